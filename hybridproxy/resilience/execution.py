"""The course of one call over its attempts: events in, commands out, no IO.

Theory of operation. A call is `trying` attempt n until that attempt shows its first real output; then it is
`committed` to it, and from there on no other attempt may be made. It is `over` after exactly one of the commands
`Complete` and `GiveUp`. For a call that does not stream the first output is the whole answer.

    trying(n)     FirstOutput(n) -> committed(n)          Commit(n)
                  Finished(n)    -> over                  Observe(n), Complete(n)
                  Failed(n)      -> trying(n + 1) | over  Observe(n), StartAttempt(n + 1) | GiveUp
                  TimerFired     -> over                  CancelAttempt(n), Observe(n), GiveUp
                  ClientGone     -> over                  CancelAttempt(n), Observe(n), GiveUp
    committed(n)  Finished(n)    -> over                  Observe(n), Complete(n)
                  Failed(n)      -> over                  Observe(n), GiveUp
                  TimerFired     -> over (total only)     CancelAttempt(n), Observe(n), GiveUp
                  ClientGone     -> over                  CancelAttempt(n), Observe(n), GiveUp
    over          anything       -> over                  nothing

Another attempt is made only when the fault allows it (`FACTS[kind].moves_on`), the plan has another target, and fewer
than `MAX_ATTEMPTS` were made. An event of any attempt but the one under way changes nothing. Every attempt that was
started is observed exactly once. At most a dozen events a call, never one per chunk.
"""

from enum import Enum, auto

from hybridproxy.model.backend import Timeouts
from hybridproxy.model.fault import FACTS, Fault, FaultKind, Verdict
from hybridproxy.model.value import value

MAX_ATTEMPTS = 3


class Timer(Enum):
    """The timers of a call, over all its attempts."""

    COMMIT = "commit_within"
    TOTAL = "total"

    __hash__ = object.__hash__  # members are one of a kind; Enum's own hash is a call in Python


@value
class FirstOutput:
    """Attempt `n` showed its first real output."""

    n: int


@value
class Finished:
    """Attempt `n` came to a clean and complete end."""

    n: int


@value
class Failed:
    """Attempt `n` failed."""

    n: int
    fault: Fault


@value
class TimerFired:
    """A timer ran out."""

    timer: Timer


@value
class ClientGone:
    """The caller left, or stopped reading."""

    fault: Fault


Event = FirstOutput | Finished | Failed | TimerFired | ClientGone


@value
class StartAttempt:
    """Send the call to target `n` of the plan."""

    n: int


@value
class CancelAttempt:
    """Close attempt `n`'s connection at once."""

    n: int


@value
class SetTimer:
    """Give `TimerFired(timer)` after so many seconds."""

    timer: Timer
    after: float


@value
class Commit:
    """Send the head and what attempt `n` has held back, and let the rest flow."""

    n: int


@value
class Observe:
    """Tell health what became of attempt `n`."""

    n: int
    verdict: Verdict
    fault: Fault | None = None


@value
class Complete:
    """The call was answered by attempt `n`."""

    n: int


@value
class GiveUp:
    """The call failed; `fault` is what the caller is told."""

    fault: Fault


Command = StartAttempt | CancelAttempt | SetTimer | Commit | Observe | Complete | GiveUp


class _State(Enum):
    TRYING = auto()
    COMMITTED = auto()
    OVER = auto()


class Execution:
    """One call's course. `start` gives the first commands, `on` those that follow from an event."""

    __slots__ = ("_n", "_state", "_stream", "_targets", "_timeouts", "faults")

    def __init__(self, targets: int, timeouts: Timeouts, *, stream: bool) -> None:
        """Begin a call with so many targets in its plan."""
        self._targets = min(targets, MAX_ATTEMPTS)
        self._timeouts = timeouts
        self._stream = stream
        self._state = _State.TRYING
        self._n = 0
        self.faults: list[Fault] = []
        """The faults of the attempts so far, in order."""

    @property
    def attempts(self) -> int:
        """How many attempts were started."""
        return self._n + 1

    @property
    def committed(self) -> bool:
        """Whether output went to the caller."""
        return self._state is _State.COMMITTED

    def start(self) -> tuple[Command, ...]:
        """Return the commands that begin the call."""
        total = SetTimer(Timer.TOTAL, self._timeouts.total)
        if self._stream:
            return (total, SetTimer(Timer.COMMIT, self._timeouts.commit_within), StartAttempt(0))
        return (total, StartAttempt(0))

    def on(self, event: Event) -> tuple[Command, ...]:
        """Return the commands that follow from an event."""
        match event:
            case _ if self._state is _State.OVER:
                return ()
            case TimerFired(timer):
                return self._expired(timer)
            case ClientGone(fault):
                return self._stop(fault)
            case _ if event.n != self._n:
                return ()
            case Failed(n, fault):
                return self._failed(n, fault)
            case Finished(n):
                self._state = _State.OVER
                return (Observe(n, Verdict.OK), Complete(n))
            case _ if self._state is _State.COMMITTED:
                return ()
            case _:
                self._state = _State.COMMITTED
                return (Commit(event.n),)

    def _failed(self, n: int, fault: Fault) -> tuple[Command, ...]:
        self.faults.append(fault)
        observe = Observe(n, fault.facts.verdict, fault)
        if self._state is _State.TRYING and fault.facts.moves_on and n + 1 < self._targets:
            self._n = n + 1
            return (observe, StartAttempt(self._n))
        committed, self._state = self._state is _State.COMMITTED, _State.OVER
        return (observe, GiveUp(fault if committed else worst(self.faults)))

    def _expired(self, timer: Timer) -> tuple[Command, ...]:
        if timer is Timer.COMMIT and self._state is _State.COMMITTED:
            return ()
        seconds = self._timeouts.total if timer is Timer.TOTAL else self._timeouts.commit_within
        before = "".join(f"; before: {fault.sentence()}" for fault in self.faults)
        return self._stop(Fault(FaultKind.DEADLINE, f"{timer.value} is {seconds:g} s{before}", billed=True))

    def _stop(self, fault: Fault) -> tuple[Command, ...]:
        self._state = _State.OVER
        self.faults.append(fault)
        return (CancelAttempt(self._n), Observe(self._n, fault.facts.verdict, fault), GiveUp(fault))


def worst(faults: list[Fault]) -> Fault:
    """Return the fault the caller is told when every attempt failed: the last, with what came before in its words.

    A fault of the caller's own (an invalid request) stands for itself. Throttling is told as such only when every
    attempt was throttled; the shortest wait is passed on where waiting can help.
    """
    last = faults[-1]
    if len(faults) == 1 or not last.facts.moves_on:
        return last
    kind = last.kind
    if kind is FaultKind.THROTTLED and any(f.kind is not FaultKind.THROTTLED for f in faults):
        kind = FaultKind.OVERLOADED
    helps = FACTS[kind].status >= 429
    waits = [fault.retry_after for fault in faults if fault.retry_after is not None and helps]
    return Fault(
        kind=kind,
        detail="; ".join(f.sentence() for f in faults),
        status=None,
        code=last.code,
        retry_after=min(waits) if waits else None,
        billed=any(f.billed for f in faults),
    )
