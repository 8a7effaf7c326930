"""Performs what an execution commands: starts and cancels attempts, keeps the timers, opens and ends the stream.

The only waiting is for the next event of the call: two or three times a call, never for a chunk.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, Generic, Protocol

from hybridproxy.dialects import TRANSLATORS, openai
from hybridproxy.dialects.seam import Continuation, Repetition, Said, prefix, summed
from hybridproxy.gateway.account import Account, Made, Whose
from hybridproxy.gateway.attempt import Client
from hybridproxy.gateway.outgoing import Part, Sent, Spoken, outgoing_request, spoken
from hybridproxy.gateway.parts import Parts
from hybridproxy.gateway.relay import AnswerAttempt, GatheredAttempt, StreamAttempt
from hybridproxy.gateway.reply import problem_of
from hybridproxy.gateway.turns import Ready, Turns, end
from hybridproxy.metering import records as ledger
from hybridproxy.model.backend import B
from hybridproxy.model.bill import tokens_of
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.facts import Seam
from hybridproxy.model.fault import Fault, FaultKind, Verdict
from hybridproxy.model.health import HealthKey
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
from hybridproxy.resilience.terms import Terms
from hybridproxy.stores.gates import Turn
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


class Ask(Whose, Protocol):
    """Whose call it is, as far as a driver has to know."""

    @property
    def client(self) -> Client:
        """The caller's side of a stream."""
        ...

    @property
    def owner(self) -> Tenant:
        """The same tenant, with what its calls bear upstream."""
        ...

    def headers(self, backend: str, attempts: int, dropped: Sequence[str] = ()) -> dict[str, str]:
        """Return the headers of an answer; `dropped`: fields of the caller's that the backend was not sent."""
        ...

    def origin(self, n: int) -> Origin:
        """Return what the audit log tells of attempt `n`."""
        ...


class Driver(Generic[B]):
    """One call under way.

    Attributes:
        execution: the call's course.
        account: what its attempts use and cost.
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
        "_ask", "_before", "_call", "_claims", "_client", "_due", "_events", "_flowing", "_loop", "_made", "_operation",
        "_over", "_parts", "_plan", "_said", "_session", "_terms", "_turns", "_unsent", "_voice", "_waiter", "account",
        "attempt", "backend", "deadline", "execution", "fault", "first_output", "hedged", "opened", "result", "seams",
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
        voice = TRANSLATORS[call.dialect].voice
        self._voice = None if voice is None else voice(call, ask.request_id)
        self._operation = call.operation
        self._plan: Plan[B] = plan
        self._session: Session[B] = session
        self._parts = parts
        self._ask = ask
        self._terms = terms
        self._client = ask.client
        self._loop = asyncio.get_running_loop()
        self.account: Account[B] = Account(call, ask, terms, allowance, self.execution, parts, plan)
        self._events: list[Event | Ready] = []
        self._made: dict[int, Made[B]] = self.account.made
        self._claims: dict[int, tuple[HealthKey, int]] = {}
        self._turns: Turns | None = None
        self._unsent: Turn | None = None
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
    def cost(self) -> int:
        """Nano-dollars of all attempts; 0 before the call is over."""
        return self.account.cost

    @property
    def at_least(self) -> int:
        """Nano-dollars that its attempts cost at least, as far as is known while it is under way."""
        return self.account.at_least()

    @property
    def text(self) -> int:
        """Characters of output that went to the caller."""
        return 0 if self.attempt is None else self.attempt.text

    @property
    def plan(self) -> Plan[B]:
        """Where the call may go."""
        return self._plan

    @property
    def reached(self) -> bool:
        """Whether somebody got a byte of the call, as far as is known: not where it waited for its turn to the end."""
        return any(made.fault is None or not made.fault.facts.sent_nothing for made in self._made.values())

    @property
    def tokens(self) -> int:
        """Tokens of the input and the output of all attempts that anybody charges for; 0 before the call is over."""
        return tokens_of(self.account.bills)

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
                elif isinstance(event, Ready):
                    self._take_turn(event)
                    continue
                self._perform(self.execution.on(event, self._loop.time()))
        except asyncio.CancelledError:
            gone = ClientGone(Fault(FaultKind.CLIENT_GONE, billed=True))
            self._perform(self.execution.on(gone, self._loop.time()))
            raise
        finally:
            self._parts.sweep.unregister(self)
            self.account.settle(self.attempt, self.usage, joined=bool(self.seams))
            if self._turns is not None:
                self._turns.close()
            if self._unsent is not None:  # a bug stood between its turn and its attempt
                self._unsent.cancel()
            for made in self._made.values():
                self._leave(made, answered=made.attempt is self.result)
                made.attempt.release()
            for key, epoch in self._claims.values():  # a bug took the probe's outcome: there is no evidence
                self._parts.health.note(key, Outcome(Signal.START, Verdict.IGNORED, epoch=epoch))

    def expired(self, now: float) -> None:
        """Take the sweep's word that `deadline` is over."""
        for timer in _TOLD_IN_ORDER:
            if self._due.get(timer, math.inf) <= now:
                del self._due[timer]
                self._post(TimerFired(timer))
        self.deadline = min(self._due.values(), default=math.inf)

    def _post(self, event: Event | Ready) -> None:
        self._events.append(event)
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _perform(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            self._PERFORM[type(command)](self, command)

    def _looked_at(self, event: Failed) -> Failed:
        """Return the failure with what is known here of it: whether its target has opened since it began."""
        self.account.count_repeated(event.n)
        made = self._made.get(event.n)
        if made is None:
            return event
        self.account.end(event.n, ledger.Outcome.CUT if self._flowing is made else ledger.Outcome.FAILED, event.fault)
        self._leave(made, event.fault)
        state = self._parts.health.state(made.target.health_key)
        made.caught = state.phase is not Phase.CLOSED or state.closed_at > made.began
        return replace(event, caught=True) if made.caught else event

    def _start(self, command: StartAttempt) -> None:
        target = self._plan.targets[command.target]
        turn = self._parts.limiters.free(target)
        if turn is None:  # its use is limited
            call = self._call
            assert call is not None  # noqa: S101 - it is kept as long as another attempt may be made
            if self._turns is None:
                self._turns = Turns(self._parts.limiters, call, self._ask.owner, self._terms.prompt, self._post)
            turn = self._turns.ask(command, target)
        if turn is not None:
            self._send(command, target, turn)

    def _take_turn(self, event: Ready) -> None:
        """Send an attempt that has waited for its turn, unless the call has moved on since."""
        taken = None if self._turns is None else self._turns.take(event.n)
        if taken is not None:
            command, turn = taken
            self._send(command, self._plan.targets[command.target], turn)

    def _send(self, command: StartAttempt, target: Target[B], turn: Turn) -> None:
        self._unsent = turn
        health, epoch = self._parts.health, None
        if health.view:  # something is out: it may be this one by now, or this call may be its probe
            admitted, epoch = health.enter(target.around, target.health_key)
            if not admitted:
                turn.cancel()
                self._unsent = None
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
                self._flowing.attempt.said(self.account.so_far(self._flowing)),
                self._flowing.target.backend.id,
            )
            self._flowing = None
        way = spoken(call, target, self._voice, recovers=bool(self._terms.recoveries))
        attempt = self.attempt = self._attempt(command, call, target, way)
        made = Made(target, command.mode, self._loop.time(), epoch, attempt, turn, self._ahead(command))
        self.account.begin(command.n, made)
        attempt.turn, self._unsent = turn, None
        sent = self._request(command, call, target, way)
        attempt.dropped = sent.dropped
        attempt.exchange = self._session.start(target, sent.request, attempt)
        if target.place is not None:
            made.place = target.place
            self._parts.loads.began(target.place)
        attempt.exchange.repeatable = not self.execution.lost  # one repeat of what may be billed is all a call gets

    def _attempt(
        self, command: StartAttempt, call: Call, target: Target[B], way: Spoken
    ) -> AnswerAttempt | StreamAttempt:
        if not call.stream:
            kind = GatheredAttempt if way.gathers else AnswerAttempt
            return kind(command.n, call, target, self._post, self._parts.wall, way)
        said, mode = self._said, command.mode
        seam = None
        if said is not None:
            seam = Continuation(said) if mode is Mode.RESUME else Repetition(said)
        keep = bool(self._terms.recoveries)
        return StreamAttempt(command.n, call, target, self._post, self._parts.wall, way, keep=keep, seam=seam)

    def _request(self, command: StartAttempt, call: Call, target: Target[B], way: Spoken) -> Sent:
        resumes = self._said if command.mode is Mode.RESUME else None
        part = Part(
            None if resumes is None else prefix(resumes),
            self._ahead(command),
            breaks=bool(self._terms.recoveries),
        )
        return outgoing_request(
            call,
            target,
            self._ask.request_id,
            way=way,
            owner=self._ask.owner,
            part=part,
            origin=self._ask.origin(command.n),
        )

    def _ahead(self, command: StartAttempt) -> int:
        """Return about how many tokens of the answer an attempt is sent to be gone on with."""
        resumes = self._said if command.mode is Mode.RESUME else None
        return 0 if resumes is None or resumes.usage is None else resumes.usage.completion

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
        made.fault = made.fault or command.fault
        key, fault, health = made.target.health_key, command.fault, self._parts.health
        if command.verdict is Verdict.OK and self._operation is Operation.COUNT:
            command = replace(command, verdict=Verdict.IGNORED)  # who counts may still not answer
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
            if self._turns is not None:
                self._turns.leave(command.n)
            return
        self._leave(made)
        self.account.end(command.n, ledger.Outcome.CANCELLED)
        if made.attempt.exchange is not None:
            made.attempt.exchange.cancel()
        if self.first_output is not None and not self.seams and self._flowing is not made:
            self.account.lose(command.n)

    def _leave(self, made: Made[B], fault: Fault | None = None, *, answered: bool = False) -> None:
        """Count an attempt no longer as under way, neither at its endpoint nor for its credential."""
        if not made.turn.over:
            end(made.turn, made.attempt, self._terms.prompt, fault, answered=answered)
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
            if self._terms.handling.paced:
                self._parts.loads.spoke((self.backend, made.target.model), now - made.began, now)
            self.opened = True
            self._flowing = made
            headers = self._ask.headers(self.backend, self.execution.attempts, made.attempt.dropped)
            self._client.open(STREAM_HEADERS | headers)
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
        self.account.end(command.n, ledger.Outcome.ANSWERED)
        self.result = self.attempt = made.attempt
        self.backend = made.target.backend.id
        self._over = True
        if self.opened:
            closing = made.attempt.closing
            if closing is None:
                closing = openai.DONE if self._voice is None else self._voice.end()
            self._client.end(closing)

    def _give_up(self, command: GiveUp) -> None:
        self.fault = command.fault
        self._over = True
        if self.opened:
            self._break_off(command.fault)

    def _break_off(self, fault: Fault) -> None:
        """Tell the caller honestly that its stream broke: an error event, no terminal marker, no clean end."""
        if fault.kind not in {FaultKind.CLIENT_GONE, FaultKind.CLIENT_STALLED}:
            problem = problem_of(fault)
            self._client.write(openai.stream_error(problem) if self._voice is None else self._voice.error(problem))
        self._client.cut()

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
