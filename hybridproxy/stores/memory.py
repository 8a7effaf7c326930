"""What this process knows of its targets' health. Gone with the process; nothing else depends on it.

The states are `resilience.breaker`'s, and each changes only by its `step`. `view` is what routing gets: only the keys
of which something is known. Whoever shares health with other replicas listens to `Change`s and tells what it heard.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from hybridproxy.model.call import Operation
from hybridproxy.model.fault import FACTS, Fault, Scope, Verdict
from hybridproxy.model.health import (
    Admits,
    Ban,
    Health,
    HealthKey,
    Key,
    backend_key,
    credential_key,
    named_by,
    region_key,
)
from hybridproxy.model.value import value
from hybridproxy.resilience import breaker
from hybridproxy.resilience.breaker import CLOSED, BreakerState, Outcome, Phase, Rules, Signal
from hybridproxy.stores.marks import MAX_MARKS, MAX_SECONDS, Mark, MarkKind, Marks

MAX_CELLS: Final = 20_000
"""Targets that are remembered; more can only come from names that wildcards cover, and then good ones are forgotten."""


@value
class Change:
    """A target went from one phase to another."""

    key: HealthKey
    before: Phase
    state: BreakerState


@dataclass(slots=True)
class Cell:
    """One target: its state, the good outcomes of the current second that are not in it yet, and what it failed at."""

    state: BreakerState = CLOSED
    operation: Operation = Operation.CHAT
    second: int = 0
    good: dict[Signal, int] = field(default_factory=dict)


class MemoryHealth:
    """Breaker states and marks by key.

    Attributes:
        view: what is not fit, or not wholly; replaced never, changed only here.
        marks: what people and refused keys took out of service.
        listeners: who hears of changes of phase.

    """

    def __init__(
        self,
        now: Callable[[], float],
        wall: Callable[[], float],
        chance: Callable[[], float],
        rules: Rules = breaker.DEFAULT_RULES,
    ) -> None:
        """Begin with everything fit.

        Args:
            now: seconds on the loop's clock.
            wall: seconds since the epoch.
            chance: a number in [0, 1), for jitter.
            rules: how long a target stays open.

        """
        self.rules = rules
        self.listeners: list[Callable[[Change], None]] = []
        self._now = now
        self._chance = chance
        self._cells: dict[HealthKey, Cell] = {}
        self._out: set[HealthKey] = set()
        self._bans: dict[Key, Ban] = {}
        self.view: Health = self._bans
        self.marks = Marks(now, wall, self._show)
        self.marks.listeners.append(self._hear)

    # ---- outcomes of attempts ----

    def good(self, key: HealthKey, signal: Signal, operation: Operation = Operation.CHAT) -> None:
        """Take a good start or end. On a good day this is all that happens, so it only counts."""
        cell = self._cells.get(key)
        if cell is None:
            cell = self._new_cell(key)
            cell.operation = operation
        state, second = cell.state, int(self._now())
        if state.phase is not Phase.CLOSED:
            return
        if cell.second == second and not state.streak:
            cell.good[signal] = cell.good.get(signal, 0) + 1
            return
        self._fold(cell)
        cell.second = second
        if state.streak:
            self.step(key, Outcome(signal, Verdict.OK))
        else:
            cell.good[signal] = 1

    def note(
        self, key: HealthKey, outcome: Outcome, fault: Fault | None = None, operation: Operation | None = None
    ) -> None:
        """Take any other outcome, the fault that it was, and what was asked for: a probe asks for the same."""
        if outcome.verdict is Verdict.CREDENTIAL and fault is not None:
            scope = FACTS[fault.kind].scope
            banned = credential_key(key[0], key[3]) if scope is Scope.CREDENTIAL else key
            bounded = scope is Scope.CREDENTIAL or len(self.marks) < MAX_MARKS  # names of wildcards are without number
            if bounded and self.marks.ban(banned) is None:
                self.marks.put(banned, MarkKind.QUARANTINE, outcome.what, MAX_SECONDS)
        if outcome.verdict is not Verdict.IGNORED or outcome.epoch is not None:
            self.step(key, outcome)
            if operation is not None:
                self._cells[key].operation = operation

    def step(self, key: HealthKey, event: breaker.Event) -> BreakerState:
        """Take an event of a target; return its state."""
        cell = self._cells.get(key)
        if cell is None:
            cell = self._new_cell(key)
        now = self._now()
        self._fold(cell)
        before = cell.state
        after = breaker.step(before, event, now, chance=self._chance(), rules=self.rules)
        if after is not before:
            cell.state = after
            self._show(key)
            if after.phase is not before.phase:
                (self._out.discard if after.phase is Phase.CLOSED else self._out.add)(key)
                for listener in self.listeners:
                    listener(Change(key, before.phase, after))
        return after

    def enter(self, keys: Iterable[Key], key: HealthKey) -> tuple[bool, int | None]:
        """Return whether an attempt may be made now, and under which epoch when it is the probe, which it then claims.

        Args:
            keys: what is to be fit beside the target: its backend, its region, its credential.
            key: the target.

        """
        now, bans = self._now(), self._bans
        for other in keys:
            ban = bans.get(other)
            if ban is not None and ban.until > now:
                return False, None
        ban = bans.get(key)
        if ban is None or ban.until <= now or ban.admits is Admits.RAMP:
            return True, None
        if ban.admits is not Admits.PROBE:
            return False, None
        state = self.step(key, breaker.Claimed())
        return (True, state.epoch) if state.out else (False, None)

    # ---- whoever probes and shares ----

    def state(self, key: HealthKey) -> BreakerState:
        """Return what is known of a target."""
        cell = self._cells.get(key)
        return CLOSED if cell is None else cell.state

    def states(self) -> dict[HealthKey, BreakerState]:
        """Return what is known of every target."""
        for cell in self._cells.values():
            self._fold(cell)
        return {key: cell.state for key, cell in self._cells.items()}

    def operation(self, key: HealthKey) -> Operation:
        """Return what the target last failed at."""
        cell = self._cells.get(key)
        return Operation.CHAT if cell is None else cell.operation

    def out(self) -> list[HealthKey]:
        """Return the targets that are not closed."""
        return list(self._out)

    def tick(self) -> None:
        """Let what ended by time end: rights to probe, cool-offs, ramps, marks."""
        now = self._now()
        for key in self.out():
            self.step(key, breaker.Expired())
            self._show(key)  # of one that is half-open a cool-off may be over
        for ended in [key for key, ban in self._bans.items() if ban.until <= now]:
            self._show(ended)
        self.marks.tick()

    # ---- the operator ----

    def drain(self, backend: str, reason: str, seconds: float) -> None:
        """Send a backend no more calls; those under way come to their end."""
        self.marks.put(backend_key(backend), MarkKind.DRAIN, reason, seconds)

    def undrain(self, backend: str) -> bool:
        """Send it calls again; False when it was not drained."""
        return self.marks.lift(backend_key(backend), MarkKind.DRAIN) is not None

    def trip(self, backend: str, reason: str, seconds: float) -> None:
        """Open all of a backend's breakers; afterwards it comes back by check, probe and ramp."""
        self._trip(self.marks.put(backend_key(backend), MarkKind.TRIP, reason, seconds))

    def reset(self, backend: str) -> bool:
        """Forget what is held against a backend: trips, quarantines, breakers, cool-offs; False when nothing was."""
        lifted = [self.marks.lift(backend_key(backend), MarkKind.TRIP)]
        lifted += [
            self.marks.lift(mark.key, mark.kind)
            for mark in self.marks
            if mark.kind is MarkKind.QUARANTINE and named_by([mark.key]) == {backend}
        ]
        self.marks.put(backend_key(backend), MarkKind.RESET, "", 0.0)
        return self._reset(backend) or any(mark is not None for mark in lifted)

    def evacuate(self, region: str, reason: str, seconds: float) -> None:
        """Send no more calls to the backends of a region."""
        self.marks.put(region_key(region), MarkKind.EVACUATE, reason, seconds)

    def restore(self, region: str) -> bool:
        """Send calls there again; False when it was not evacuated."""
        return self.marks.lift(region_key(region), MarkKind.EVACUATE) is not None

    def forget(self, keep: Callable[[Key], bool]) -> None:
        """Drop what is known of targets and keys that are no longer configured."""
        for key in [key for key in self._cells if not keep(key)]:
            self.forget_one(key)
        self.marks.forget(keep)

    def forget_one(self, key: HealthKey) -> None:
        """Drop what is known of a target that is no longer configured."""
        self._cells.pop(key, None)
        self._out.discard(key)
        self._show(key)

    # ---- inside ----

    def _hear(self, mark: Mark, heard: bool) -> None:  # noqa: FBT001 - a listener's signature
        """Do here what an operator did at another replica."""
        if heard and mark.kind is MarkKind.TRIP and mark in self.marks.in_force():
            self._trip(mark)
        elif heard and mark.kind is MarkKind.RESET:
            self._reset(mark.key[1])

    def _trip(self, mark: Mark) -> None:
        for key in [key for key in self._cells if key[0] == mark.key[1]]:
            self.step(key, breaker.Tripped(self.marks.ends(mark), MarkKind.TRIP.value))

    def _reset(self, backend: str) -> bool:
        known = [key for key, cell in self._cells.items() if key[0] == backend and cell.state != CLOSED]
        for key in known:
            self.step(key, breaker.Reset())
        return bool(known)

    def _new_cell(self, key: HealthKey) -> Cell:
        if len(self._cells) >= MAX_CELLS:
            for known in [k for k, cell in self._cells.items() if k not in self._out and k not in self._bans]:
                del self._cells[known]
        cell = self._cells[key] = Cell(second=int(self._now()))
        return cell

    def _fold(self, cell: Cell) -> None:
        """Put the good outcomes that were only counted into the state."""
        if cell.good:
            good, cell.good = cell.good, {}
            for signal, count in good.items():
                cell.state = breaker.step(cell.state, Outcome(signal, Verdict.OK, count=count), float(cell.second))

    def _show(self, key: Key) -> None:
        """Bring the view of one key up to date."""
        ban = self.marks.ban(key)
        if ban is None and len(key) == 4:
            cell = self._cells.get((key[0], key[1], key[2], key[3]))
            ban = None if cell is None else breaker.ban(cell.state, self._now())
        if ban is None:
            self._bans.pop(key, None)
        else:
            self._bans[key] = ban
