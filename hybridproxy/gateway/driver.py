"""Performs what an execution commands: starts and cancels attempts, keeps the timers, opens and ends the stream.

The only waiting is for the next event of the call: two or three times a call, never for a chunk.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Any, ClassVar, Final, Generic, Protocol

from hybridproxy.dialects import openai
from hybridproxy.gateway.outgoing import outgoing_body
from hybridproxy.gateway.parts import Parts
from hybridproxy.gateway.relay import AnswerAttempt, Client, StreamAttempt
from hybridproxy.model.backend import B
from hybridproxy.model.call import Call
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.model.plan import Plan, Target
from hybridproxy.providers import PROVIDERS
from hybridproxy.resilience.execution import (
    CancelAttempt,
    ClientGone,
    Command,
    Commit,
    Complete,
    Event,
    Execution,
    GiveUp,
    Observe,
    SetTimer,
    StartAttempt,
    Timer,
    TimerFired,
)
from hybridproxy.transport.upstream import Exchange, Sink, UpstreamRequest

STREAM_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # nginx would collect events into blocks
}


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

    def headers(self, backend: str, attempts: int) -> dict[str, str]:
        """Return the headers of an answer."""
        ...


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

    """

    __slots__ = (
        "_ask",
        "_call",
        "_client",
        "_commit_at",
        "_events",
        "_loop",
        "_over",
        "_parts",
        "_plan",
        "_session",
        "_total_at",
        "_waiter",
        "attempt",
        "backend",
        "deadline",
        "execution",
        "fault",
        "first_output",
        "opened",
        "result",
    )

    def __init__(self, call: Call, plan: Plan[B], session: Session[B], parts: Parts, ask: Ask) -> None:
        """Prepare a call."""
        self.execution = Execution(len(plan.targets), plan.timeouts, stream=call.stream)
        self.backend = ""
        self.attempt: AnswerAttempt | StreamAttempt | None = None
        self.result: AnswerAttempt | StreamAttempt | None = None
        self.fault: Fault | None = None
        self.opened = False
        self.first_output: float | None = None
        self.deadline: float | None = None
        self._call: Call | None = call
        self._plan: Plan[B] = plan
        self._session: Session[B] = session
        self._parts = parts
        self._ask = ask
        self._client = ask.client
        self._loop = asyncio.get_running_loop()
        self._events: list[Event] = []
        self._waiter: asyncio.Future[None] | None = None
        self._total_at = self._commit_at = math.inf
        self._over = False

    async def run(self) -> None:
        """Carry the call to its end. Cancelling it means that the caller left."""
        try:
            self._perform(self.execution.start())
            while not self._over:
                if not self._events:
                    self._waiter = self._loop.create_future()
                    await self._waiter
                    self._waiter = None
                self._perform(self.execution.on(self._events.pop(0)))
        except asyncio.CancelledError:
            self._perform(self.execution.on(ClientGone(Fault(FaultKind.CLIENT_GONE, billed=True))))
            raise
        finally:
            self._parts.sweep.unregister(self)
            if self.attempt is not None:
                self.attempt.release()

    def expired(self, now: float) -> None:
        """Take the sweep's word that `deadline` is over."""
        if self._commit_at <= now:
            self._commit_at = math.inf
            self._post(TimerFired(Timer.COMMIT))
        if self._total_at <= now:
            self._total_at = math.inf
            self._post(TimerFired(Timer.TOTAL))
        self.deadline = min(self._commit_at, self._total_at)

    def _post(self, event: Event) -> None:
        self._events.append(event)
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _perform(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            self._PERFORM[type(command)](self, command)

    def _start(self, command: StartAttempt) -> None:
        target = self._plan.targets[command.n]
        backend = target.backend
        provider = PROVIDERS[backend.provider]
        call = self._call
        assert call is not None  # noqa: S101 - no attempt is started after the commit
        self.backend = backend.id
        if self.attempt is not None:
            self.attempt.release()
        kind = StreamAttempt if call.stream else AnswerAttempt
        attempt = self.attempt = kind(command.n, call, provider, backend.id, self._post, self._parts.wall)
        request = UpstreamRequest(
            path=provider.path(call.operation, target.endpoint.base_path),
            body=outgoing_body(call, provider, target.model, backend.pin),
            stream=call.stream,
            headers=(("x-request-id", self._ask.request_id),),
        )
        attempt.exchange = self._session.start(target, request, attempt)

    def _set_timer(self, command: SetTimer) -> None:
        at = self._loop.time() + command.after
        if command.timer is Timer.COMMIT:
            self._commit_at = at
        else:
            self._total_at = at
        if self.deadline is None:
            self._parts.sweep.register(self)
        self.deadline = min(self._commit_at, self._total_at)

    def _observe(self, command: Observe) -> None:
        self._parts.note(self._plan.targets[command.n].health_key, command.verdict, command.fault)

    def _cancel(self, _command: CancelAttempt) -> None:
        if self.attempt is not None and self.attempt.exchange is not None:
            self.attempt.exchange.cancel()

    def _commit(self, _command: Commit) -> None:
        """Open the caller's stream and let the attempt write to it."""
        self._call = None  # no other attempt will be made, and what was asked may be large
        self.first_output = self._loop.time()
        if isinstance(self.attempt, StreamAttempt):
            self.opened = True
            self._client.open(STREAM_HEADERS | self._ask.headers(self.backend, self.execution.attempts))
            self.attempt.attach(self._client)

    def _complete(self, _command: Complete) -> None:
        """End the caller's stream: our terminal marker, then the clean end of the body."""
        self.result = self.attempt
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

    _PERFORM: ClassVar[dict[type[Command], Callable[[Any, Any], None]]] = {
        StartAttempt: _start,
        SetTimer: _set_timer,
        Observe: _observe,
        CancelAttempt: _cancel,
        Commit: _commit,
        Complete: _complete,
        GiveUp: _give_up,
    }
