"""Scripts of a call's course: `<< command` is expected next, `>> event` happens next.

    assert Playbook(2) << SetTimer(…) << StartAttempt(0, 0) >> FirstOutput(0) << Commit(0)

An event may only happen when every command before it was expected, and in the end none may be left over.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from hybridproxy.model.backend import Backend, Timeouts
from hybridproxy.model.fault import Fault, FaultKind, Verdict
from hybridproxy.model.plan import Target
from hybridproxy.model.snapshot import Handling, OnCut
from hybridproxy.resilience.breaker import Signal
from hybridproxy.resilience.events import (
    Command,
    Commit,
    Event,
    Failed,
    FirstOutput,
    Mode,
    Observe,
    SetTimer,
    StartAttempt,
    Timer,
    TimerFired,
)
from hybridproxy.resilience.execution import Execution
from hybridproxy.resilience.hedge import HedgeAfter
from hybridproxy.resilience.terms import Terms
from tests.support.make import target

TOTAL, COMMIT, HEDGE = SetTimer(Timer.TOTAL, 600.0), SetTimer(Timer.COMMIT, 50.0), SetTimer(Timer.HEDGE, 2.0)
DOWN = Fault(FaultKind.CONNECT, backend="together-us")
BUSY = Fault(FaultKind.THROTTLED, "slow down", "openrouter-us", status=429, retry_after=2.0)
BROKEN = Fault(FaultKind.OVERLOADED, backend="together-us", status=503)
SILENT = Fault(FaultKind.TIMEOUT_FIRST_TOKEN, backend="together-us", billed=True)
LOST = Fault(FaultKind.CUT, "the stream ended without a finish reason", "together-us", billed=True)
OTHER = Fault(FaultKind.DIFFERS, backend="together-us", billed=True)
BAD = Fault(FaultKind.INVALID_REQUEST, "temperature", "together-us", status=400)
LONG = Fault(FaultKind.CONTEXT_TOO_LONG, backend="together-us", status=400)
KEY = Fault(FaultKind.CREDENTIAL, backend="together-us", status=401)
GONE = Fault(FaultKind.CLIENT_GONE, billed=True)
RESUME, REPLAY, ERROR = OnCut.RESUME, OnCut.REPLAY, OnCut.ERROR
COST = 1_000_000
"""Nano-dollars of the playbook's 4,000 bytes at a dollar for a million tokens."""


class Half:
    """Chance that is always the same."""

    def __init__(self, number: float = 0.5) -> None:
        self.number = number

    def random(self) -> float:
        """Return the number."""
        return self.number


class Purse:
    """An allowance with so much room, which keeps what was asked of it."""

    def __init__(self, retries: int = 1000, hedges: int = 1000) -> None:
        self.retries = retries
        self.hedges = hedges
        self.asked: list[tuple[bool, int]] = []
        self.moved = 0
        self.corrected: list[int] = []

    def retry(self, now: float, *, loads: bool, cost: int = 0, moves: bool = False) -> bool:
        """Give room while there is some."""
        self.asked.append((loads, cost))
        self.moved += moves
        self.retries -= not moves
        return self.retries >= 0

    def correct(self, now: float, difference: int) -> None:
        """Keep it."""
        self.corrected.append(difference)

    def hedge(self) -> bool:
        """Give room while there is some."""
        self.hedges -= 1
        return self.hedges >= 0


def targets(count: int) -> list[Target[Backend]]:
    """Make targets of so many backends, a, b and on."""
    return [target(chr(ord("a") + n)) for n in range(count)]


class Playbook:
    """One call; true when its course was exactly as written."""

    def __init__(
        self,
        plan: int | Sequence[Target[Backend]] = 1,
        *,
        stream: bool = True,
        timeouts: Timeouts | None = None,
        patience: float = 0.0,
        on_cut: Sequence[OnCut] = (),
        hedge_after: float | None = None,
        purse: Purse | None = None,
        chance: float = 0.5,
    ) -> None:
        self.purse = purse or Purse()
        handling = replace(Handling(timeouts or Timeouts()), patience=patience)
        terms = Terms(
            stream,
            handling,
            tuple(on_cut),
            prompt=1000,
            hedge_after=None if hedge_after is None else HedgeAfter(hedge_after),
        )
        chosen = targets(plan) if isinstance(plan, int) else plan
        self.now = 100.0
        self.execution = Execution(chosen, terms, self.purse, Half(chance))
        self._given: deque[Command] = deque(self.execution.start())

    def __lshift__(self, command: Command) -> "Playbook":
        assert self._given, f"expected {command}, but nothing more was commanded"
        given = self._given.popleft()
        assert given == command, f"expected {command}, but {given} was commanded"
        return self

    def __rshift__(self, event: Event) -> "Playbook":
        assert not self._given, f"not expected before {event}: {list(self._given)}"
        self._given.extend(self.execution.on(event, self.now))
        return self

    def __bool__(self) -> bool:
        assert not self._given, f"not expected at the end: {list(self._given)}"
        return True


def begun(plan: int | Sequence[Target[Backend]] = 1, **given: object) -> Playbook:
    """A stream whose first attempt is under way."""
    return Playbook(plan, **given) << TOTAL << COMMIT << StartAttempt(0, 0)  # type: ignore[arg-type]


def bad(n: int, fault: Fault, signal: Signal = Signal.START) -> Observe:
    """What health hears of an attempt that failed."""
    return Observe(n, signal, fault.facts.verdict, fault)


def good(n: int, signal: Signal = Signal.START) -> Observe:
    """What health hears of a good start, or of a good end."""
    return Observe(n, signal, Verdict.OK)


def left(n: int, fault: Fault | None = None, signal: Signal = Signal.START) -> Observe:
    """What health hears of an attempt that was cancelled: nothing for or against it."""
    return Observe(n, signal, Verdict.IGNORED, fault)


def deadline(text: str, before: str = "") -> Fault:
    """The fault of a timer, and what went wrong before."""
    return Fault(FaultKind.DEADLINE, text, billed=True, words=before and f"before: {before}")


def hedged(plan: int | Sequence[Target[Backend]] = 3, purse: Purse | None = None) -> Playbook:
    """A stream whose first backend is slower than usual, and whose second was asked beside it."""
    book = Playbook(plan, hedge_after=2.0, purse=purse) << TOTAL << COMMIT << HEDGE << StartAttempt(0, 0)
    return book >> TimerFired(Timer.HEDGE) << StartAttempt(1, 1, Mode.HEDGE)


def cut(
    plan: int | Sequence[Target[Backend]], *on_cut: OnCut, fault: Fault = LOST, purse: Purse | None = None
) -> Playbook:
    """A stream that broke after its first output, which another attempt could go on from."""
    book = begun(plan, on_cut=on_cut, purse=purse) >> FirstOutput(0) << Commit(0) << good(0)
    return book >> Failed(0, fault, follows=True) << bad(0, fault, Signal.INTEGRITY)
