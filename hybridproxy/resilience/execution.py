"""The course of one call over its attempts: events in, commands out, no IO.

Theory of operation. A call is `trying` until an attempt shows its first real output; then it is `committed` to that
attempt, and nothing is retried any more. It is `over` after exactly one of `Complete` and `GiveUp`. For a call that
does not stream the first output is the whole answer.

    trying      FirstOutput(n) -> committed(n)         Commit(n), and the loser of a hedge is cancelled
                Finished(n)    -> over                 Complete(n)
                Failed(n)      -> trying | paused      StartAttempt(n + 1) | SetTimer(PAUSE)
                               -> over                 GiveUp
                Refused(n)     -> trying | over        its target is out, or has no room, before it was asked
                HEDGE fires    -> trying               StartAttempt beside the first
    paused      PAUSE fires    -> trying               StartAttempt
    committed   Finished(n)    -> over                 Complete(n)
                Failed(n)      -> recovering | over    StartAttempt(m, RESUME | REPLAY) | GiveUp
    recovering  FirstOutput(m) -> committed(m)         Join(m): the caller's stream goes on
                Finished(m)    -> over                 Complete(m): nothing was left to say
                Failed(m)      -> recovering | over    the next way | GiveUp(what broke the stream first)
    any         COMMIT, TOTAL, ClientGone -> over      CancelAttempt, GiveUp

Where the next attempt goes. A fault says where it may be tried again (`FACTS[kind].retry`): here after a pause,
elsewhere, never. With `patience`, and always when the plan has one backend, the same backend is asked once more: at its
other endpoint or with its other key where the plan has one, else after its Retry-After or a jittered pause that fits.
Without, the next backend of the plan is. No backend is asked a third time, a silent endpoint no second time, and no
call makes more than `MAX_ATTEMPTS` before its first output and `MAX_RECOVERIES` after it. Each further attempt is
charged to the tenant's allowance. Once a call it moves instead: after an attempt that was caught at a target which has
opened since, or was its probe. There are no more of these than calls were waiting there, so they are no retries and may
cost more. An attempt that was sent whole and then lost is repeated once at most. Input that is too long goes on only to
a window that is larger than all it did not fit in, or not known.

Every attempt that was started is observed once for its start, and once more for its end if it was committed to. An
event of any attempt that is not under way changes nothing. At most a dozen events a call, never one per chunk.
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, Final

from hybridproxy.model.fault import Fault, FaultKind, Retry, Source, Verdict
from hybridproxy.model.plan import Target
from hybridproxy.model.snapshot import OnCut
from hybridproxy.model.usage import Usage
from hybridproxy.resilience.breaker import Signal
from hybridproxy.resilience.events import (
    CancelAttempt,
    ClientGone,
    Command,
    Commit,
    Complete,
    Event,
    Failed,
    Finished,
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
from hybridproxy.resilience.terms import Allowance, Rng, Terms
from hybridproxy.resilience.worst import NOBODY_LEFT, worst

MAX_ATTEMPTS: Final = 3
MAX_RECOVERIES: Final = 2
MAX_OF_ONE: Final = 2
JITTER: Final = 0.25
"""Seconds; a pause nobody asked for is a random part of it (full jitter)."""

ONLY_PATIENCE: Final = 3.0
"""Seconds a call waits for its only backend, when the route is not more patient."""


class _State(Enum):
    TRYING = auto()
    PAUSED = auto()
    COMMITTED = auto()
    RECOVERING = auto()
    OVER = auto()


_MODES: Final = {OnCut.RESUME: Mode.RESUME, OnCut.REPLAY: Mode.REPLAY}


class Execution:
    """One call's course. `start` gives the first commands, `on` those that follow from an event.

    Attributes:
        faults: the faults of the attempts so far, in order.
        lost: nano-dollars that attempts may have cost for nothing, as estimated, by attempt.

    """

    __slots__ = (
        "_allowance", "_caught", "_full", "_hedge", "_live", "_moved", "_next_target", "_of", "_only", "_original",
        "_owed", "_recoveries", "_rng", "_state", "_targets", "_terms", "_too_small", "_tried", "_unmade", "_ways",
        "faults", "lost",
    )  # fmt: skip

    def __init__(self, targets: Sequence[Target[Any]], terms: Terms, allowance: Allowance, rng: Rng) -> None:
        """Begin a call with the targets of its plan."""
        self._targets = targets
        self._terms = terms
        self._allowance = allowance
        self._rng = rng
        self._only = targets[0].backend.id == targets[-1].backend.id  # a plan keeps those of one backend together
        self._state = _State.TRYING
        self._of: list[int] = []
        self._live: list[int] = []
        self._unmade: set[int] = set()
        self._tried: set[int] = set()
        self._too_small = 0
        self._next_target = 0
        self._hedge = -1
        self._caught = self._moved = False
        self._ways = list(terms.recoveries)
        self._recoveries = 0
        self._original: Fault | None = None
        self._full: Fault | None = None
        self._owed: tuple[int, Fault] | None = None
        self.faults: list[Fault] = []
        self.lost: dict[int, int] = {}

    @property
    def attempts(self) -> int:
        """How many attempts were made."""
        return len(self._of) - len(self._unmade)

    @property
    def committed(self) -> bool:
        """Whether output went to the caller."""
        return self._state in {_State.COMMITTED, _State.RECOVERING}

    @property
    def recoverable(self) -> bool:
        """Whether another attempt may still follow a commit, so that the call has to be kept."""
        return bool(self._ways)

    def cost(self, n: int) -> int:
        """Return the nano-dollars that an attempt's input may cost, as estimated."""
        return self._targets[self._of[n]].price.of(Usage(self._terms.prompt, 0))

    def start(self) -> tuple[Command, ...]:
        """Return the commands that begin the call."""
        times, terms = self._terms.handling.timeouts, self._terms
        total = SetTimer(Timer.TOTAL, times.total)
        first = self._start(0, Mode.FRESH)
        if not terms.stream:
            return (total, first)
        commit = SetTimer(Timer.COMMIT, times.commit_within)
        if terms.hedge_after is None:
            return (total, commit, first)
        return (total, commit, SetTimer(Timer.HEDGE, terms.hedge_after), first)

    def on(self, event: Event, now: float) -> tuple[Command, ...]:
        """Return the commands that follow from an event at `now`."""
        if self._state is _State.OVER:
            return ()
        match event:
            case TimerFired(timer):
                return self._expired(timer, now)
            case ClientGone(fault):
                return self._stop(fault, now)
            case _ if event.n not in self._live:
                return ()
            case Failed(n, fault, follows, caught):
                self._caught = caught
                return self._failed(n, fault, now, follows=follows)
            case Refused(n, fault):
                if fault is not None and (self._full is None or _wait(fault) < _wait(self._full)):
                    self._full = fault
                return self._refused(n, now)
            case Finished(n):
                return self._finished(n, now)
            case _:
                return self._output(event.n, now)

    # ---- one row of the table each ----

    def _output(self, n: int, now: float) -> tuple[Command, ...]:
        if self._state is _State.COMMITTED:
            return ()
        self._pay_owed(now)
        good = Observe(n, Signal.START, Verdict.OK)
        joins = self._state is _State.RECOVERING
        self._state = _State.COMMITTED
        if joins:
            return (Join(n), good)
        if len(self._live) == 1:
            return (Commit(n), good)
        losers = [loser for loser in self._live if loser != n]
        self._live = [n]
        return (Commit(n), good, *[command for loser in losers for command in self._cancelled(loser, None)])

    def _finished(self, n: int, now: float) -> tuple[Command, ...]:
        self._pay_owed(now)
        losers = [loser for loser in self._live if loser != n]
        signal = Signal.INTEGRITY if self._state is _State.COMMITTED else Signal.START
        self._state, self._live = _State.OVER, []
        cancelled = [command for loser in losers for command in self._cancelled(loser, None)]
        return (Observe(n, signal, Verdict.OK), *cancelled, Complete(n))

    def _failed(self, n: int, fault: Fault, now: float, *, follows: bool) -> tuple[Command, ...]:
        self.faults.append(fault)
        self._live.remove(n)
        if fault.kind is FaultKind.CONTEXT_TOO_LONG:
            self._too_small = max(self._too_small, self._targets[self._of[n]].context or 0)
        if self._state is _State.COMMITTED:
            self._original = self._original or fault
            observe = Observe(n, Signal.INTEGRITY, fault.facts.verdict, fault)
            if fault.facts.retry is Retry.NEVER or not follows:
                return (observe, self._give_up(self._original))
            return (observe, *self._go_on(now, n, self.cost(n)))
        if self._state is _State.RECOVERING:
            return (Observe(n, Signal.START, fault.facts.verdict, fault), *self._recover(n, fault, now))
        observe = Observe(n, Signal.START, fault.facts.verdict, fault)
        if self._live and n == self._hedge:
            self._owed = (n, fault)
            return (observe,)  # it was only to be quicker: the first one decides
        if fault.facts.retry is Retry.NEVER:
            self._pay_owed(now)
            others = [command for other in self._live for command in self._cancelled(other, None)]
            self._live = []
            return (observe, *others, self._give_up(worst(self.faults)))
        if self._live:
            self._owed = (n, fault)
            return (observe,)  # the other one of a hedge may still answer
        self._pay_owed(now)
        return (observe, *self._retry(n, fault, now))

    def _refused(self, n: int, now: float) -> tuple[Command, ...]:
        self._live.remove(n)
        self._unmade.add(n)
        if self._state is _State.RECOVERING:
            self._recoveries -= 1
            return self._go_on(now, n, paid=True)
        if self._live or self._state is _State.COMMITTED:
            return ()
        if self._owed is not None:
            return self._retry(*self._owed, now)  # the first of a hedge had failed, and this was to be its second
        target = self._elsewhere()
        if target is None:
            return (self._give_up(worst(self.faults) if self.faults else self._full or NOBODY_LEFT),)
        return (self._start(target, Mode.FRESH),)

    def _retry(self, n: int, fault: Fault, now: float) -> tuple[Command, ...]:
        """Choose where the call goes next, and whether the allowance has room for it."""
        self._owed = None
        chosen = self._choose(n, fault)
        if chosen is None or self.attempts >= MAX_ATTEMPTS or not self._pays(n, fault, now):
            return (self._give_up(worst(self.faults)),)
        target, pause = chosen
        if pause > 0:
            self._state, self._next_target = _State.PAUSED, target
            return (SetTimer(Timer.PAUSE, pause),)
        return (self._start(target, Mode.FRESH),)

    def _choose(self, n: int, fault: Fault) -> tuple[int, float] | None:
        patience = self._terms.handling.patience
        granted = max(patience, ONLY_PATIENCE) if self._only else patience
        here = self._here(n, fault, granted) if granted > 0 else None
        if here is not None:
            return here
        target = self._elsewhere()
        return None if target is None else (target, 0.0)

    def _here(self, n: int, fault: Fault, granted: float) -> tuple[int, float] | None:
        """Return the same backend's next target and the pause before it, None where it may not be asked again."""
        failed = self._of[n]
        target = self._targets[failed]
        backend = target.backend.id
        if self._made_at(backend) >= MAX_OF_ONE or fault.kind is FaultKind.CONTEXT_TOO_LONG:
            return None
        other = next((t for t, o in enumerate(self._targets) if t not in self._tried and o.backend.id == backend), None)
        if fault.facts.retry is Retry.HERE:
            if other is not None:
                return other, 0.0
            pause = fault.cool_off + self._rng.random() * JITTER if fault.retry_after is None else fault.retry_after
            return (failed, pause) if pause <= granted else None
        if other is None:
            return None
        changed = self._targets[other]
        key = changed.credential.id != target.credential.id
        place = changed.endpoint != target.endpoint
        helps = key if fault.facts.source is Source.CREDENTIAL else place
        return (other, 0.0) if helps else None

    def _elsewhere(self) -> int | None:
        """Return the plan's next target at a backend that was not asked yet and whose window is not too small."""
        for number, target in enumerate(self._targets):
            if number in self._tried or self._made_at(target.backend.id):
                continue
            if target.context is not None and target.context <= self._too_small:
                continue
            return number
        return None

    def _asked(self) -> list[Target[Any]]:
        """Return the targets of the attempts that were made."""
        return [self._targets[t] for n, t in enumerate(self._of) if n not in self._unmade]

    def _made_at(self, backend: str) -> int:
        """Return how many attempts were made at a backend."""
        return sum(target.backend.id == backend for target in self._asked())

    def _pays(self, n: int, fault: Fault, now: float) -> bool:
        cost = 0
        if fault.billed:
            if self.lost:
                return False
            cost = self.cost(n)
        loads = not fault.facts.sent_nothing
        if not self._allowance.retry(now, loads=loads, cost=cost, moves=self._moves()):
            return False
        if fault.billed:
            self.lost[n] = cost
        return True

    def _moves(self) -> bool:
        """Return whether the next attempt is made for one that was caught: once a call, or it would multiply load."""
        moves = self._caught and not self._moved
        self._moved = self._moved or moves
        return moves

    def _pay_owed(self, now: float) -> None:
        """Count what the other one of a hedge may have cost: it failed, and nothing was repeated for it."""
        owed, self._owed = self._owed, None
        if owed is not None and owed[1].billed:
            n = owed[0]
            self.lost[n] = self.lost.get(n, 0) + self.cost(n)
            self._allowance.correct(now, self.cost(n))

    def _recover(self, n: int, fault: Fault, now: float) -> tuple[Command, ...]:
        """Try to let the caller's stream go on once more, after an attempt at it failed."""
        if fault.kind is FaultKind.DIFFERS and self._ways[0] is OnCut.REPLAY:
            self._ways.clear()  # the call is not one that always has the same answer: a third would differ too
        if fault.kind is FaultKind.INVALID_REQUEST and OnCut.REPLAY in self._ways[1:]:
            # it does not take the beginning of an answer, but may give the same answer
            del self._ways[: self._ways.index(OnCut.REPLAY)]
            if self._made_at(self._targets[self._of[n]].backend.id) < MAX_OF_ONE:
                return self._go_on(now, n, self.cost(n) if fault.billed else 0, self._of[n])
        return self._go_on(now, n, self.cost(n) if fault.billed else 0)

    def _go_on(
        self, now: float, n: int, cost: int = 0, target: int | None = None, *, paid: bool = False
    ) -> tuple[Command, ...]:
        """Start the first of the ways that are left that has somewhere to go.

        Args:
            now: seconds on the loop's clock.
            n: the attempt before.
            cost: what that one cost.
            target: where to go, None: wherever the way leads.
            paid: the allowance has given room for this already.

        """
        self._state = _State.RECOVERING
        while self._ways and self._ways[0] is not OnCut.ERROR and self._recoveries < MAX_RECOVERIES:
            way = self._ways[0]
            chosen = self._place_for(way) if target is None else target
            if chosen is None:
                del self._ways[0]
                continue
            if not paid and not self._allowance.retry(now, loads=True, cost=cost, moves=self._moves()):
                break
            if cost:
                self.lost[n] = cost
            self._recoveries += 1
            return (self._start(chosen, _MODES[way]),)
        return (self._give_up(self._original or NOBODY_LEFT),)

    def _place_for(self, way: OnCut) -> int | None:
        """Return a target where the stream may go on: not asked yet, at another backend or another endpoint."""
        places = {(target.backend.id, target.endpoint) for target in self._asked()}
        for number, target in enumerate(self._targets):
            if number in self._tried or (target.backend.id, target.endpoint) in places:
                continue
            if way is OnCut.REPLAY or target.continues:
                return number
        return None

    def _expired(self, timer: Timer, now: float) -> tuple[Command, ...]:
        if timer is Timer.PAUSE:
            if self._state is not _State.PAUSED:
                return ()
            self._state = _State.TRYING
            return (self._start(self._next_target, Mode.FRESH),)
        if timer is Timer.HEDGE:
            return self._hedged()
        if timer is Timer.COMMIT and self.committed:
            return ()
        times = self._terms.handling.timeouts
        seconds = times.total if timer is Timer.TOTAL else times.commit_within
        before = "; ".join(f"before: {fault.sentence()}" for fault in self.faults)
        return self._stop(Fault(FaultKind.DEADLINE, f"{timer.value} is {seconds:g} s", billed=True, words=before), now)

    def _hedged(self) -> tuple[Command, ...]:
        if self._state is not _State.TRYING or len(self._live) != 1 or self.attempts >= MAX_ATTEMPTS:
            return ()
        target = self._elsewhere()
        if target is None or not self._allowance.hedge():
            return ()
        self._hedge = len(self._of)
        return (self._start(target, Mode.HEDGE),)

    def _stop(self, fault: Fault, now: float) -> tuple[Command, ...]:
        self._pay_owed(now)
        self.faults.append(fault)
        cancelled = [command for n in self._live for command in self._cancelled(n, fault)]
        self._live = []
        told = fault if fault.facts.status == 499 or self._original is None else self._original
        return (*cancelled, self._give_up(told))

    # ---- small parts ----

    def _start(self, target: int, mode: Mode) -> StartAttempt:
        n = len(self._of)
        self._of.append(target)
        self._tried.add(target)
        self._live.append(n)
        return StartAttempt(n, target, mode)

    def _cancelled(self, n: int, fault: Fault | None) -> tuple[Command, Command]:
        signal = Signal.INTEGRITY if self._state is _State.COMMITTED and fault is not None else Signal.START
        return (CancelAttempt(n), Observe(n, signal, Verdict.IGNORED, fault))

    def _give_up(self, fault: Fault) -> GiveUp:
        self._state = _State.OVER
        return GiveUp(fault)


def _wait(fault: Fault) -> float:
    return fault.retry_after or 0.0
