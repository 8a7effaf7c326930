"""Any history of a target: never two probes at once, never closed without evidence; alone and in a whole fleet."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.fault import Verdict
from hybridproxy.model.health import RAMP_SECONDS, Admits
from hybridproxy.resilience.breaker import (
    CLOSED,
    FOREVER,
    INTEGRITY_SPAN,
    JITTER,
    MAX_COOL_OFF,
    PROBES_TO_CLOSE,
    START_SPAN,
    STREAK,
    BreakerState,
    Checked,
    Claimed,
    Event,
    Expired,
    HeardClosed,
    HeardOpen,
    Leased,
    Outcome,
    Phase,
    Reset,
    Signal,
    Tripped,
    ban,
    step,
)
from tests.support.outcomes import BAD, CUT, GOOD, RULES


def probe(verdict: Verdict, epoch: int) -> Outcome:
    """What became of a probe."""
    return Outcome(Signal.START, verdict, "words", epoch=epoch)


# ---- one target ------------------------------------------------------------------------------------------------------

WAITS = st.floats(0, 400) | st.sampled_from([float("inf"), float("nan"), -1.0])
OFF = st.sampled_from([0, 0, 0, 1, -1])
"""How far an event's epoch is from the target's."""

Happens = Callable[[BreakerState, float], list[Event]]
"""What happens to a target in this state at this time: with epochs that are nearly its own, so that it matters."""


def onward(state: BreakerState, now: float) -> list[Event]:
    """Return what brings a target one step on: it fails, is given a right, a check, a probe, its result."""
    if state.phase is Phase.CLOSED:
        return [BAD] * STREAK
    if state.phase is Phase.OPEN:
        return [Leased(state.epoch + 1, now + 30)]
    if state.out:
        return [probe(Verdict.OK, state.epoch)]
    return [Claimed()] if state.ticket else [Checked(state.epoch, passed=True)]


def outcome(draw: tuple[Signal, Verdict, float, bool, str], off: int | None) -> Happens:
    """An attempt's start or end, made under a right or under none."""
    signal, verdict, wait, unreachable, tenant = draw
    return lambda state, _: [
        Outcome(signal, verdict, "words", wait, unreachable, tenant, None if off is None else state.epoch + off)
    ]


def quiet(state: BreakerState, _now: float) -> list[Event]:
    """Two probes that show nothing: their callers leave; and the end of the stream of one that was good."""
    result: list[Event] = [Claimed(), probe(Verdict.IGNORED, state.epoch)]
    return [*result, *result, Outcome(Signal.INTEGRITY, Verdict.OK, epoch=state.epoch)]


def leased(off: int, seconds: float) -> Happens:
    """A right to probe."""
    return lambda state, now: [Leased(state.epoch + off, now + seconds)]


def checked(off: int, passed: bool, ours: bool) -> Happens:
    """A check."""
    return lambda state, _: [Checked(state.epoch + off, passed, "words", ours)]


def heard(off: int, seconds: float | None) -> Happens:
    """Another replica's word: open for so long, or closed."""
    return lambda state, _: [
        HeardClosed(state.epoch + off) if seconds is None else HeardOpen(seconds, state.epoch + off, "words")
    ]


def always(*events: Event) -> Happens:
    """The same in any state."""
    return lambda state, now: list(events)


OUTCOMES = st.tuples(
    st.sampled_from(Signal), st.sampled_from(Verdict), WAITS, st.booleans(), st.sampled_from(["shop", "bank", "small"])
)
HAPPENS: st.SearchStrategy[Happens] = st.one_of(
    *[st.just(onward)] * 14,
    st.just(quiet),
    *[st.builds(outcome, OUTCOMES, st.none() | OFF)] * 2,
    st.sampled_from([always(BAD), always(*[BAD, GOOD] * 10), always(*[CUT] * 10), always(Claimed())]),
    st.builds(leased, OFF, st.floats(0, 60)),
    st.builds(checked, OFF, st.booleans(), st.booleans()),
    st.builds(heard, OFF, st.none() | WAITS),
    st.sampled_from([always(Expired()), always(Expired(force=True)), always(Reset())]),
    st.floats(0, 1e9).map(lambda until: always(Tripped(until, "words"))),
)
PASSED = st.sampled_from([*[0.0] * 12, 0.1, 1.0, 1.0, 20.0, 700.0])
CHANCES = st.floats(0, 1, exclude_max=True)


@dataclass
class Witness:
    """Sees only events and phases: how many probes are out, and what was proved.

    Attributes:
        right: the epoch of the right to probe that was last taken, and when it ends.
        out: probes under way under it.
        good: probes that were good under it.
        newest: the newest epoch that was heard of or taken.

    """

    right: tuple[int, float] | None = None
    out: int = 0
    good: int = 0
    newest: int = 0

    def saw(self, before: BreakerState, event: Event, now: float, after: BreakerState) -> None:
        """Hold a step to the rules."""
        was, is_ = before.phase, after.phase
        proved = False
        match event:
            case Leased(epoch, until) if is_ is Phase.HALF_OPEN and was is not Phase.HALF_OPEN:
                assert was is Phase.OPEN
                assert now >= before.until, "nobody may probe while it is left alone"
                assert epoch > self.newest, "an old right came back to life"
                self.right, self.out, self.good = (epoch, until), 0, 0
            case Leased(epoch, until) if self.right and epoch == self.right[0]:
                self.right = (epoch, max(until, self.right[1]))
            case Claimed() if after is not before:
                assert self.right, "a probe without the right to one"
                assert now < self.right[1], "a probe after the end of its right"
                self.out += 1
            case Outcome(Signal.START, verdict) if self.right and event.epoch == self.right[0] and self.out:
                self.out -= 1
                self.good += verdict is Verdict.OK
                proved = self.good == PROBES_TO_CLOSE
            case HeardClosed(epoch):
                proved = epoch > self.newest
            case Reset():
                proved = True
            case _:
                pass
        self.newest = max(self.newest, after.epoch)
        if is_ is not Phase.HALF_OPEN:
            self.right, self.out = None, 0
        assert self.out <= 1, "two probes are out"
        assert after.out == bool(self.out)
        assert (is_ is Phase.HALF_OPEN) == (self.right is not None)
        if was is not Phase.CLOSED and is_ is Phase.CLOSED:
            assert proved, "it closed without evidence"
        if was is Phase.CLOSED and is_ is Phase.OPEN:
            faulty = type(event) is Outcome and event.verdict is Verdict.FAULT
            assert faulty or isinstance(event, HeardOpen | Tripped), "it opened without evidence"


def bounded(before: BreakerState, event: Event, now: float, after: BreakerState) -> None:
    """Hold a step to its bounds, and what it shows to what it does."""
    longest = RULES.open_max * (1 + JITTER)
    if not isinstance(event, Tripped):
        assert after.until <= max(before.until, now + longest, after.cool_until)
    assert after.cool_until <= max(before.cool_until, now + MAX_COOL_OFF)
    assert after.epoch >= before.epoch
    assert len(after.tenants) <= 2
    assert len(after.starts.rows) <= START_SPAN
    assert len(after.ends.rows) <= INTEGRITY_SPAN
    assert after.streak < STREAK
    shown = ban(after, now)
    if after.phase is not Phase.CLOSED:
        assert shown is not None
        assert shown.until == FOREVER
        assert shown.admits is not Admits.RAMP
        if shown.admits is Admits.PROBE:
            assert step(after, Claimed(), now).out == (now < after.lease_until)
    elif shown is not None:
        assert now < shown.until <= now + max(MAX_COOL_OFF, RAMP_SECONDS)
        assert shown.admits is not Admits.PROBE


@pytest.mark.no_cover  # it computes for long what other tests cover, and being watched doubles that
@given(st.lists(st.tuples(PASSED, HAPPENS, CHANCES), min_size=30, max_size=60))
def test_never_two_probes_and_never_closed_without_evidence(history: list[tuple[float, Happens, float]]) -> None:
    """Whatever happens, in whatever order and however long in between."""
    state, now, witness = CLOSED, 0.0, Witness()
    for passed, happens, chance in history:
        now += passed
        if happens is onward and state.phase is Phase.OPEN:
            now = max(now, state.until)
        for event in happens(state, now):
            before, state = state, step(state, event, now, chance=chance, rules=RULES)
            witness.saw(before, event, now, state)
            bounded(before, event, now, state)


# ---- a fleet ---------------------------------------------------------------------------------------------------------


@dataclass
class Replica:
    """One of a fleet: what it knows, and the right it was given."""

    state: BreakerState = CLOSED
    epoch: int = 0

    def take(self, *events: Event, now: float) -> None:
        """Let these happen."""
        for event in events:
            self.state = step(self.state, event, now, rules=RULES)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["take", "check", "claim", "claim", "good", "bad", "quiet", "give up", "tell", "opens"]),
        st.sampled_from([0.0, 0.0, 0.5, 5.0, 20.0, 40.0]),
    ),
    max_size=80,
)


@pytest.mark.no_cover
@given(STEPS)
def test_in_a_whole_fleet_one_probe_is_out(steps: list[tuple[int, str, float]]) -> None:
    """Three replicas and one place that gives the right: under rights that still hold there is never a second probe."""
    fleet, now, epoch, holder, until = [Replica() for _ in range(3)], 1000.0, 0, -1, 0.0
    for one in fleet:
        one.take(*[BAD] * STREAK, now=now - 20)
    for who, what, passed in steps:
        now += passed
        one = fleet[who]
        events: list[Event] = []
        match what:
            case "take" if holder < 0 or now >= until:
                epoch, holder, until = epoch + 1, who, now + 30
                one.epoch = epoch
                events = [Leased(epoch, until)]
            case "check":
                events = [Checked(one.epoch, passed=True)]
            case "claim":
                events = [Claimed()]
            case "good" | "bad" | "quiet" if one.state.out:
                verdict = {"good": Verdict.OK, "bad": Verdict.FAULT, "quiet": Verdict.IGNORED}[what]
                events = [probe(verdict, one.epoch)]
            case "give up":
                events = [Expired(force=True)]
            case "tell":
                state = fleet[who - 1].state
                events = [HeardClosed(state.epoch) if state.phase is Phase.CLOSED else HeardOpen(9, state.epoch, "out")]
            case "opens":
                events = [BAD] * STREAK
            case _:
                pass
        one.take(*events, now=now)
        if holder >= 0 and fleet[holder].state.phase is not Phase.HALF_OPEN:
            holder = -1  # its result is known, so another may have the right
        out = [r for r in fleet if r.state.out and now < r.state.lease_until]
        assert len(out) <= 1
        assert all(r.epoch == epoch for r in out)
