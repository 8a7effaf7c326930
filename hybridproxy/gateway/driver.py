"""Performs what an execution commands: starts and cancels attempts, keeps the timers, opens and ends the stream.

The only waiting is for the next event of the call: two or three times a call, never for a chunk.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Generic, Protocol

from hybridproxy.dialects import openai
from hybridproxy.dialects.seam import Continuation, Repetition, Said, prefix, summed
from hybridproxy.gateway.outgoing import outgoing_request
from hybridproxy.gateway.parts import Parts
from hybridproxy.gateway.relay import AnswerAttempt, Client, StreamAttempt
from hybridproxy.model.backend import B
from hybridproxy.model.call import Call
from hybridproxy.model.facts import Seam
from hybridproxy.model.fault import Fault, FaultKind, Verdict
from hybridproxy.model.health import HealthKey
from hybridproxy.model.load import EndpointKey
from hybridproxy.model.plan import Plan, Target
from hybridproxy.model.snapshot import Tenant
from hybridproxy.model.usage import Usage
from hybridproxy.residency.records import Origin
from hybridproxy.resilience.breaker import Outcome, Phase, Signal, outcome_of
from hybridproxy.resilience.budget import Allowance
from hybridproxy.resilience.events import (
    CancelAttempt,
    ClientGone,
    Command,
    Commit,
    Complete,
    Event,
    Failed,
    GiveUp,
    Join,
    Mode,
    Observe,
    Refused,
    SetTimer,
    StartAttempt,
    Timer,
    TimerFired,
)
from hybridproxy.resilience.execution import Execution
from hybridproxy.resilience.hedge import FirstTokens
from hybridproxy.resilience.terms import BYTES_A_TOKEN, Terms
from hybridproxy.transport.upstream import Exchange, Sink, UpstreamRequest

STREAM_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # nginx would collect events into blocks
}


_TOLD_IN_ORDER: Final = (Timer.HEDGE, Timer.PAUSE, Timer.COMMIT, Timer.TOTAL)
"""Of timers that ran out together."""

MAX_KNOWN: Final = 10_000
"""Targets whose times are kept; more can only come from names that wildcards cover, and then all are learnt anew."""


class Session(Protocol[B]):
    """A way out: starts an exchange with a target of its own kind."""

    def start(self, target: Target[B], request: UpstreamRequest, sink: Sink) -> Exchange:
        """Send a request; what comes back goes to the sink."""
        ...


class Ask(Protocol):
    """Whose call it is, as far as a driver has to know."""

    @property
    def client(self) -> Client:
        """The caller's side of a stream."""
        ...

    @property
    def request_id(self) -> str:
        """Our name of the call; the upstream gets it too."""
        ...

    @property
    def tenant(self) -> str:
        """Whose call it is: one tenant's failures alone do not speak for the fleet."""
        ...

    @property
    def owner(self) -> Tenant:
        """The same tenant, with what its calls bear upstream."""
        ...

    def headers(self, backend: str, attempts: int) -> dict[str, str]:
        """Return the headers of an answer."""
        ...

    def origin(self, n: int) -> Origin:
        """Return what the audit log tells of attempt `n`."""
        ...


@dataclass(slots=True)
class Made(Generic[B]):
    """An attempt that was made: its target, when, and under which right to probe if it is one.

    `caught`: it failed, and its target has opened since it began. `place`: where it counts as load, while it does.
    """

    target: Target[B]
    mode: Mode
    began: float
    epoch: int | None
    attempt: AnswerAttempt | StreamAttempt
    caught: bool = False
    place: EndpointKey | None = None


class Driver(Generic[B]):
    """One call under way.

    Attributes:
        execution: the call's course.
        backend: the backend of the attempt under way or last made.
        attempt: the attempt under way or last made.
        result: the attempt that answered, None when none did.
        fault: what the caller is told, None when the call was answered.
        opened: the head of the stream went to the caller.
        first_output: when the first real output was there, on the loop's clock.
        usage: what all parts of the answer used; a part that was cut off counts by an estimate.
        text: characters of output that went to the caller.
        seams: where the stream broke and went on.
        hedged: a second backend was asked because the first was slow.

    """

    __slots__ = (
        "_allowance", "_ask", "_before", "_call", "_claims", "_client", "_due", "_events", "_flowing", "_loop", "_made",
        "_operation", "_over", "_parts", "_plan", "_repeated", "_said",
        "_session", "_terms", "_waiter", "attempt", "backend", "deadline", "execution", "fault",
        "first_output", "hedged", "opened", "result", "seams",
    )  # fmt: skip

    def __init__(
        self, call: Call, plan: Plan[B], session: Session[B], parts: Parts, ask: Ask, terms: Terms, allowance: Allowance
    ) -> None:
        """Prepare a call."""
        self.execution = Execution(plan.targets, terms, allowance, parts.rng)
        self.backend = ""
        self.attempt: AnswerAttempt | StreamAttempt | None = None
        self.result: AnswerAttempt | StreamAttempt | None = None
        self.fault: Fault | None = None
        self.opened = self.hedged = False
        self.first_output: float | None = None
        self.deadline: float | None = None
        self.seams: list[Seam] = []
        self._call: Call | None = call
        self._operation = call.operation
        self._plan: Plan[B] = plan
        self._session: Session[B] = session
        self._parts = parts
        self._ask = ask
        self._terms = terms
        self._allowance = allowance
        self._client = ask.client
        self._loop = asyncio.get_running_loop()
        self._events: list[Event] = []
        self._made: dict[int, Made[B]] = {}
        self._claims: dict[int, tuple[HealthKey, int]] = {}
        self._repeated: set[int] = set()
        self._flowing: Made[B] | None = None
        self._said: Said | None = None
        self._before = ""
        self._waiter: asyncio.Future[None] | None = None
        self._due: dict[Timer, float] = {}
        self._over = False

    @property
    def usage(self) -> Usage | None:
        """What all parts of the answer used."""
        attempt = self.attempt
        return None if attempt is None else summed(None if self._said is None else self._said.usage, attempt.usage)

    @property
    def text(self) -> int:
        """Characters of output that went to the caller."""
        return 0 if self.attempt is None else self.attempt.text

    async def run(self) -> None:
        """Carry the call to its end. Cancelling it means that the caller left."""
        try:
            self._perform(self.execution.start())
            while not self._over:
                if not self._events:
                    self._waiter = self._loop.create_future()
                    await self._waiter
                    self._waiter = None
                event = self._events.pop(0)
                if type(event) is Failed:
                    event = self._looked_at(event)
                self._perform(self.execution.on(event, self._loop.time()))
        except asyncio.CancelledError:
            gone = ClientGone(Fault(FaultKind.CLIENT_GONE, billed=True))
            self._perform(self.execution.on(gone, self._loop.time()))
            raise
        finally:
            self._parts.sweep.unregister(self)
            for n, made in self._made.items():
                self._count_repeated(n)
                if made.place is not None:
                    self._leave(made)
                made.attempt.release()
            for key, epoch in self._claims.values():  # a bug took the probe's outcome: there is no evidence
                self._parts.health.note(key, Outcome(Signal.START, Verdict.IGNORED, epoch=epoch))
            self._settle()

    def expired(self, now: float) -> None:
        """Take the sweep's word that `deadline` is over."""
        for timer in _TOLD_IN_ORDER:
            if self._due.get(timer, math.inf) <= now:
                del self._due[timer]
                self._post(TimerFired(timer))
        self.deadline = min(self._due.values(), default=math.inf)

    def _post(self, event: Event) -> None:
        self._events.append(event)
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _perform(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            self._PERFORM[type(command)](self, command)

    def _looked_at(self, event: Failed) -> Failed:
        """Return the failure with what is known here of it: whether its target has opened since it began."""
        self._count_repeated(event.n)
        made = self._made.get(event.n)
        if made is None:
            return event
        self._leave(made)
        state = self._parts.health.state(made.target.health_key)
        made.caught = state.phase is not Phase.CLOSED or state.closed_at > made.began
        return replace(event, caught=True) if made.caught else event

    def _start(self, command: StartAttempt) -> None:
        target = self._plan.targets[command.target]
        health, epoch = self._parts.health, None
        if health.view:  # something is out: it may be this one by now, or this call may be its probe
            admitted, epoch = health.enter(target.around, target.health_key)
            if not admitted:
                self._post(Refused(command.n))
                return
            if epoch is not None:
                self._claims[command.n] = (target.health_key, epoch)
        call = self._call
        assert call is not None  # noqa: S101 - it is kept as long as another attempt may be made
        self.backend = target.backend.id
        self.hedged = self.hedged or command.mode is Mode.HEDGE
        if self._flowing is not None:  # its stream broke: this attempt is to go on from what the caller has
            self._said, self._before = (
                self._flowing.attempt.said(self._part(self._flowing)),
                self._flowing.target.backend.id,
            )
            self._flowing = None
        attempt = self.attempt = self._attempt(command, call, target)
        made = self._made[command.n] = Made(target, command.mode, self._loop.time(), epoch, attempt)
        attempt.exchange = self._session.start(target, self._request(command, call, target), attempt)
        if target.place is not None:
            made.place = target.place
            self._parts.loads.began(target.place)
        attempt.exchange.repeatable = not self.execution.lost  # one repeat of what may be billed is all a call gets

    def _attempt(self, command: StartAttempt, call: Call, target: Target[B]) -> AnswerAttempt | StreamAttempt:
        if not call.stream:
            return AnswerAttempt(command.n, call, target, self._post, self._parts.wall)
        said, mode = self._said, command.mode
        seam = None
        if said is not None:
            seam = Continuation(said) if mode is Mode.RESUME else Repetition(said)
        keep = bool(self._terms.recoveries)
        return StreamAttempt(command.n, call, target, self._post, self._parts.wall, keep=keep, seam=seam)

    def _request(self, command: StartAttempt, call: Call, target: Target[B]) -> UpstreamRequest:
        resumes = self._said if command.mode is Mode.RESUME else None
        return outgoing_request(
            call,
            target,
            self._ask.request_id,
            owner=self._ask.owner,
            said=None if resumes is None else prefix(resumes),
            running_usage=bool(self._terms.recoveries),
            spent=0 if resumes is None or resumes.usage is None else resumes.usage.completion,
            origin=self._ask.origin(command.n),
        )

    def _set_timer(self, command: SetTimer) -> None:
        self._due[command.timer] = self._loop.time() + command.after
        if self.deadline is None:
            self._parts.sweep.register(self)
        self.deadline = min(self._due.values())

    def _observe(self, command: Observe) -> None:
        made = self._made.get(command.n)
        if made is None:
            return  # it was never made: its refusal waited behind another event
        self._claims.pop(command.n, None)
        key, fault, health = made.target.health_key, command.fault, self._parts.health
        if command.verdict is Verdict.OK and made.epoch is None:
            health.good(key, command.signal, self._operation)
            return
        if made.caught and made.epoch is None and command.verdict is Verdict.FAULT:
            return  # it may have closed again: what began before that says nothing of now
        outcome = outcome_of(command.signal, command.verdict, fault, tenant=self._ask.tenant, epoch=made.epoch)
        health.note(key, outcome, fault, self._operation)

    def _cancel(self, command: CancelAttempt) -> None:
        made = self._made.get(command.n)
        if made is None:
            return
        self._leave(made)
        if made.attempt.exchange is not None:
            made.attempt.exchange.cancel()
        if self.first_output is not None and not self.seams and self._flowing is not made:  # the loser of a hedge
            cost = made.target.price.of(self._part(made))
            self.execution.lost[command.n] = cost
            self._allowance.correct(self._loop.time(), cost)

    def _leave(self, made: Made[B]) -> None:
        """Count an attempt no longer as load of its endpoint."""
        place, made.place = made.place, None
        if place is not None:
            self._parts.loads.ended(place)

    def _commit(self, command: Commit) -> None:
        """Open the caller's stream and let the attempt write to it."""
        made = self._made[command.n]
        self.attempt, self.backend = made.attempt, made.target.backend.id
        if not self.execution.recoverable:
            self._call = None  # no other attempt will be made, and what was asked may be large
        self.first_output = now = self._loop.time()
        if self._terms.handling.hedge:
            known = self._parts.first_tokens
            if len(known) >= MAX_KNOWN:
                known.clear()
            known.setdefault(made.target.health_key, FirstTokens()).add(now - made.began)
        if isinstance(made.attempt, StreamAttempt):
            self.opened = True
            self._flowing = made
            self._client.open(STREAM_HEADERS | self._ask.headers(self.backend, self.execution.attempts))
            made.attempt.attach(self._client)

    def _join(self, command: Join) -> None:
        """Let the caller's stream go on with another attempt."""
        made = self._made[command.n]
        if not self.execution.recoverable:
            self._call = None
        assert self._said is not None  # noqa: S101 - what is gone on with
        self.seams.append(Seam(len(self._said.text), made.mode.name.lower(), self._before, made.target.backend.id))
        self._flowing = made
        if isinstance(made.attempt, StreamAttempt):
            made.attempt.attach(self._client)

    def _complete(self, command: Complete) -> None:
        """End the caller's stream: our terminal marker, then the clean end of the body."""
        made = self._made[command.n]
        self.result = self.attempt = made.attempt
        self.backend = made.target.backend.id
        self._over = True
        if self.opened:
            self._client.end(openai.DONE)

    def _give_up(self, command: GiveUp) -> None:
        self.fault = command.fault
        self._over = True
        if self.opened:
            self._break_off(command.fault)

    def _break_off(self, fault: Fault) -> None:
        """Tell the caller honestly that its stream broke: an error event, no terminal marker, no clean end."""
        facts = fault.facts
        if fault.kind not in {FaultKind.CLIENT_GONE, FaultKind.CLIENT_STALLED}:
            self._client.write(openai.encode_stream_error(message=fault.sentence(), type_=facts.type, code=facts.code))
        self._client.cut()

    def _part(self, made: Made[B]) -> Usage:
        """Return what an attempt used, estimated where it did not come to report it."""
        attempt = made.attempt
        if attempt.usage is not None:
            return attempt.usage
        return Usage(self._terms.prompt, attempt.text // BYTES_A_TOKEN, estimated=True)

    def _count_repeated(self, n: int) -> None:
        """Count what an attempt may cost twice: it was sent whole over a connection that turned out to be stale."""
        made = self._made.get(n)
        exchange = None if made is None else made.attempt.exchange
        if made is not None and exchange is not None and exchange.repeated:
            exchange.repeated = False
            self._repeated.add(n)
            cost = self.execution.cost(n)
            self.execution.lost[n] = self.execution.lost.get(n, 0) + cost
            self._allowance.correct(self._loop.time(), cost)

    def _settle(self) -> None:
        """Charge the tenant: what the answer cost, and what was paid for nothing, by the tokens that were counted."""
        now, usage = self._loop.time(), self.usage
        for made in self._made.values():
            if made.attempt is self.attempt and usage is not None:
                self._allowance.spent(now, made.target.price.of(usage))
        if usage is None or usage.estimated:
            return
        for n, estimate in self.execution.lost.items():
            made_for_nothing = self._made.get(n)
            answered = made_for_nothing is not None and made_for_nothing.attempt.usage is not None
            if made_for_nothing is None or self.seams or (answered and n not in self._repeated):
                continue
            times = 2 if n in self._repeated and not answered else 1
            known = times * made_for_nothing.target.price.of(Usage(usage.prompt, 0))
            self.execution.lost[n] = known
            self._allowance.correct(now, known - estimate)

    _PERFORM: ClassVar[dict[type[Command], Callable[[Any, Any], None]]] = {
        StartAttempt: _start,
        SetTimer: _set_timer,
        Observe: _observe,
        CancelAttempt: _cancel,
        Commit: _commit,
        Join: _join,
        Complete: _complete,
        GiveUp: _give_up,
    }
