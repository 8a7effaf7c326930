"""Who waits at one of our credentials, for how long, and what is learnt there; on a clock that the tests move."""

import heapq
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.model.limits import Rates
from hybridproxy.providers.quotas import Remaining
from hybridproxy.simulator.behaviour import Behaviour
from hybridproxy.simulator.quota import Quota
from hybridproxy.stores import limiters as module
from hybridproxy.stores.gates import MAX_WAIT, Full, Turn, Waiting, Wish
from hybridproxy.stores.limiters import Limiters
from tests.support import make

SHOP, OTHER = Wish("shop"), Wish("other")


class Clock:
    """A loop's clock and timers."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = count()
        self._cancelled: set[int] = set()

    def time(self) -> float:
        """The time."""
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> Any:
        """Remember a timer."""
        number = next(self._numbers)
        heapq.heappush(self._due, (when, number, callback))
        clock = self

        class Handle:
            def cancel(self) -> None:
                clock._cancelled.add(number)

        return Handle()

    def pass_(self, seconds: float) -> None:
        """Let time pass, with whatever is due in it."""
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            when, number, callback = heapq.heappop(self._due)
            self.now = max(self.now, when)
            if number not in self._cancelled:
                callback()
        self.now = end


class Caller:
    """One call: its turn, or why it got none, and when."""

    def __init__(self, limiters: Limiters, clock: Clock, target: Any, wish: Wish = SHOP, *, waits: bool = True) -> None:
        self.got: Turn | Waiting | Full | None = None
        self.at = clock.now
        self._clock = clock
        first = limiters.free(target) or limiters.ask(target, wish, self._ready if waits else None)
        if not isinstance(self.got, Turn):
            self.got = first

    def _ready(self, got: Turn | Full) -> None:
        self.got, self.at = got, self._clock.now

    @property
    def turn(self) -> Turn:
        """Its turn, which it has."""
        assert isinstance(self.got, Turn)
        return self.got


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def limiters(clock: Clock) -> Limiters:
    """Limiters on it."""
    return Limiters(loop=clock)


def limited(**rates: int) -> Any:
    """A target of a backend with limits."""
    target = make.target()
    return replace(target, backend=replace(target.backend, limits=Rates(**rates)))


def test_where_nothing_is_limited_nobody_asks(clock: Clock, limiters: Limiters) -> None:
    """A turn is there at once, and nothing is shown."""
    target = make.target()
    turns = [limiters.free(target) for _ in range(100)]
    assert all(isinstance(turn, Turn) for turn in turns)
    for turn in turns:
        assert turn is not None
        turn.end(10, 5)
        turn.end(10, 5)
    assert limiters.shown() == []
    assert limiters.full(target) is None
    assert limiters.gauges()["hybridproxy_upstream_learnt"] == 0


def test_a_burst_waits_and_goes_one_after_the_other(clock: Clock, limiters: Limiters) -> None:
    """Of ten a second: ten of thirty go within a second, twenty are told at once that there is no room."""
    target = limited(rpm=600)
    callers = [Caller(limiters, clock, target, Wish(f"t{n}")) for n in range(30)]
    assert sum(isinstance(caller.got, Full) for caller in callers) == 20
    clock.pass_(MAX_WAIT)
    went = sorted(caller.at - 1000 for caller in callers if isinstance(caller.got, Turn))
    assert len(went) == 10
    assert went[:3] == pytest.approx([0, 0.0825, 0.185], abs=0.003)
    assert limiters.books.waited == 9
    assert limiters.books.seconds == pytest.approx(sum(went))
    (row,) = limiters.shown()
    assert row["limits"] == {"rpm": {"limit": 600, "used": 10}}
    assert (row["waiting"], row["refused"]) == (0, 20)


@pytest.mark.parametrize("rpm", [90, 600, 3000])
def test_three_times_the_quota_uses_all_of_it_and_an_upstream_that_counts_seconds_throttles_nothing(
    clock: Clock, limiters: Limiters, rpm: int
) -> None:
    """Judged by the simulated provider's own count; calls that find no room are told so and not sent."""
    judge, settings = Quota(), Behaviour(per_second=math.ceil(rpm / 60), per_minute=rpm)
    target, sent = limited(rpm=rpm), 0

    def took(got: Turn | Full) -> None:
        nonlocal sent
        if isinstance(got, Turn):
            assert judge.overrun(settings, clock.now) is None
            sent += 1
            got.end(10, 5)

    for _ in range(rpm * 3):
        got = limiters.ask(target, SHOP, took)
        if isinstance(got, Turn):
            took(got)
        clock.pass_(60 / (rpm * 3))
    assert sent >= 0.95 * rpm
    assert limiters.books.waited > 0


def test_a_wait_that_is_told_is_honest(clock: Clock, limiters: Limiters) -> None:
    """Who comes again when it was told to gets its turn."""
    target = limited(rpm=2)
    for _ in range(2):
        assert isinstance(Caller(limiters, clock, target).got, Turn)
        clock.pass_(2.0)
    refused = Caller(limiters, clock, target).got
    assert isinstance(refused, Full)
    assert "2 requests a minute" in refused.why
    full = limiters.full(target)
    assert full is not None
    assert full.seconds == refused.seconds
    clock.pass_(refused.seconds)
    assert isinstance(Caller(limiters, clock, target).got, Turn)


def test_a_noisy_tenants_burst_does_not_stand_before_a_quiet_ones_call(clock: Clock, limiters: Limiters) -> None:
    """The quiet call came last, into a full line: the noisy tenant's last one makes room, and it is second to go."""
    target = limited(rpm=600)
    noisy = [Caller(limiters, clock, target) for _ in range(20)]
    quiet = Caller(limiters, clock, target, OTHER)
    assert isinstance(quiet.got, Waiting)
    assert sum(isinstance(caller.got, Full) for caller in noisy) == 11
    clock.pass_(MAX_WAIT)
    before = [caller for caller in noisy if isinstance(caller.got, Turn) and caller.at < quiet.at]
    assert len(before) == 2


def test_a_lower_number_goes_first(clock: Clock, limiters: Limiters) -> None:
    """Calls that stand back let the others go before them."""
    target = limited(rpm=600)
    behind = [Caller(limiters, clock, target, Wish("batch", priority=5)) for _ in range(5)]
    first = Caller(limiters, clock, target, OTHER)
    clock.pass_(MAX_WAIT)
    one, another, *_ = sorted(caller.at for caller in behind)
    assert one < first.at < another


def test_who_leaves_the_line_gives_its_place_to_the_next(clock: Clock, limiters: Limiters) -> None:
    """At once, and leaving twice is no harm."""
    target = limited(streams=4)
    turns = [Caller(limiters, clock, target).turn for _ in range(4)]
    first = Caller(limiters, clock, target)
    second = Caller(limiters, clock, target)
    assert isinstance(first.got, Waiting)
    assert isinstance(second.got, Full)
    first.got.leave()
    first.got.leave()
    third = Caller(limiters, clock, target)
    turns[0].end(5, 5)
    clock.pass_(0.0)
    assert isinstance(third.got, Turn)


def test_nobody_waits_for_longer_than_a_second(clock: Clock, limiters: Limiters) -> None:
    """Then it hears that there is no room, and why; a quarter of those at a time may wait."""
    target = limited(streams=8)
    turns = [Caller(limiters, clock, target).turn for _ in range(8)]
    waiting = [Caller(limiters, clock, target) for _ in range(3)]
    assert [type(caller.got) for caller in waiting] == [Waiting, Waiting, Full]
    clock.pass_(0.999)
    assert isinstance(waiting[0].got, Waiting)
    clock.pass_(0.002)
    for caller in waiting:
        assert isinstance(caller.got, Full)
        assert "8 calls at a time" in caller.got.why
    turns[0].end()
    clock.pass_(0.0)
    assert isinstance(Caller(limiters, clock, target).got, Turn)


def test_a_hedge_never_waits(clock: Clock, limiters: Limiters) -> None:
    """Room or none: it is to be quicker."""
    target = limited(rpm=600)
    assert isinstance(Caller(limiters, clock, target, waits=False).got, Turn)
    assert isinstance(Caller(limiters, clock, target, waits=False).got, Full)


def test_tokens_are_settled_by_what_was_used(clock: Clock, limiters: Limiters) -> None:
    """An answer that was shorter than it might have been makes room for the next."""
    target = limited(tpm=6000)
    turn = Caller(limiters, clock, target, Wish("shop", prompt=1000, answer=4500)).turn
    clock.pass_(2.0)
    assert isinstance(Caller(limiters, clock, target, Wish("shop", prompt=1000)).got, Full)
    turn.end(1200, 200)
    assert isinstance(Caller(limiters, clock, target, Wish("shop", prompt=1000)).got, Turn)
    assert limiters.shown()[0]["limits"] == {"tpm": {"limit": 6000, "used": 2200}}


def test_what_was_not_sent_takes_nothing(clock: Clock, limiters: Limiters) -> None:
    """Health took the target away while it waited."""
    target = limited(rpm=2, tpm=6000, streams=2)
    turn = Caller(limiters, clock, target, Wish("shop", prompt=1000)).turn
    turn.cancel()
    turn.cancel()
    used = {name: one["used"] for name, one in limiters.shown()[0]["limits"].items()}
    assert used == {"rpm": 0, "tpm": 0, "streams": 0}


def test_a_429_teaches_a_rate_and_how_many_at_a_time(clock: Clock, limiters: Limiters) -> None:
    """Where the operator gave no limit; it is shown, and ten calm minutes later nobody asks any more."""
    target = make.target()
    turns = []
    for _ in range(1200):
        turns.append(Caller(limiters, clock, target).turn)
        clock.pass_(0.05)
        if len(turns) > 20:
            turns.pop(0).end(10, 5)
    turns.pop().end(fault=Fault(FaultKind.THROTTLED))
    (row,) = limiters.shown()
    assert row["learnt"] == {"at_a_time": 18, "rpm": pytest.approx(1080, abs=20), "nothing_left_for": None}
    for turn in turns:
        turn.end(10, 5)
    assert limiters.free(target) is None
    burst = [Caller(limiters, clock, target) for _ in range(30)]
    assert sum(isinstance(caller.got, Turn) for caller in burst) < 5
    clock.pass_(900.0)
    burst = [Caller(limiters, clock, target) for _ in range(30)]
    assert all(isinstance(caller.got, Turn) for caller in burst)
    assert limiters.free(target) is not None


def test_the_log_tells_once_that_something_was_learnt(clock: Clock) -> None:
    """Of a hundred 429s in a row, and again when it was forgotten meanwhile; not where nothing follows from a drop."""
    told: list[tuple[str, dict[str, Any]]] = []
    limiters = Limiters(loop=clock, log=lambda event, **what: told.append((event, what)))
    target = make.target()
    Caller(limiters, clock, target).turn.end(fault=Fault(FaultKind.OVERLOADED))
    assert told == []
    for _ in range(2):
        for turn in [Caller(limiters, clock, target).turn for _ in range(50)]:
            turn.end(fault=Fault(FaultKind.THROTTLED))
        clock.pass_(900.0)
    assert [event for event, _ in told] == ["upstream_limit.learnt"] * 2
    (backend, credential, model) = (target.backend.id, target.credential.id, target.model)
    what = told[0][1]
    assert (what["backend"], what["credential"], what["model"]) == (backend, credential, model)
    assert what["at_a_time"] == 45


def test_where_the_operator_gave_a_rate_none_is_learnt(clock: Clock, limiters: Limiters) -> None:
    """It knows better; how many at a time is learnt beside it, by models."""
    target = limited(rpm=60_000)
    turns = []
    for _ in range(10):
        turns.append(Caller(limiters, clock, target).turn)
        clock.pass_(0.01)
    turns.pop().end(fault=Fault(FaultKind.OVERLOADED))
    assert [row["learnt"] for row in limiters.shown()] == [{}, {"at_a_time": 9, "rpm": None, "nothing_left_for": None}]
    assert isinstance(Caller(limiters, clock, target).got, Waiting)
    assert isinstance(Caller(limiters, clock, replace(target, model="another"), OTHER).got, Turn)
    clock.pass_(0.5)
    for turn in turns:
        turn.end(10, 5)
    clock.pass_(0.5)
    assert limiters.books.waited == 2


def test_what_an_upstream_says_is_left_is_not_overrun(clock: Clock, limiters: Limiters) -> None:
    """Two requests, or tokens for two of the usual calls; when they are there again, the next goes."""
    target = make.target()
    first = Caller(limiters, clock, target).turn
    first.end(100, 50)
    second = Caller(limiters, clock, target).turn
    assert second.each == 100
    second.told([Remaining(5000, 60.0, tokens=False), Remaining(250, 3.0, tokens=True)])
    assert [type(Caller(limiters, clock, target).got) for _ in range(4)] == [Turn, Turn, Full, Full]
    assert limiters.shown()[0]["learnt"]["nothing_left_for"] == 3.0
    clock.pass_(3.0)
    assert isinstance(Caller(limiters, clock, target).got, Turn)
    third = Caller(limiters, clock, target).turn
    third.told([Remaining(0, 0.5, tokens=False)])
    late = Caller(limiters, clock, target)
    assert isinstance(late.got, Waiting)
    clock.pass_(0.6)
    assert isinstance(late.got, Turn)


def test_a_fleet_shares_what_an_operator_gave(clock: Clock) -> None:
    """Four workers have a quarter each; when three are gone the one has all of it."""
    alive = [4]
    limiters = Limiters(lambda: alive[0], loop=clock)
    target = limited(streams=8)
    assert [type(Caller(limiters, clock, target).got) for _ in range(4)] == [Turn, Turn, Waiting, Full]
    alive[0] = 1
    assert limiters.shown()[0]["limits"] == {"streams": {"limit": 8, "used": 2}}
    assert isinstance(Caller(limiters, clock, target).got, Turn)


def test_a_reload_changes_limits_and_forgets_no_use(clock: Clock, limiters: Limiters) -> None:
    """More or fewer, none, and some again; what is no longer configured is forgotten."""
    turns = [Caller(limiters, clock, limited(streams=2)).turn for _ in range(2)]
    assert isinstance(Caller(limiters, clock, limited(streams=3)).got, Turn)
    free = make.target()
    assert isinstance(Caller(limiters, clock, free).got, Turn)
    assert isinstance(limiters.free(free), Turn)
    turns[0].end()
    assert limiters.shown()[0]["limits"]["streams"] == {"limit": 3, "used": 2}
    limiters.retain(make.snapshot())
    assert limiters.shown() == []
    turns[1].end()


def test_a_reload_gives_each_of_a_fleet_its_part_of_the_new_limits(clock: Clock) -> None:
    """Two workers had four calls of eight each; of four in all it is two, and not the four that each had before."""
    limiters = Limiters(lambda: 2, loop=clock)
    limiters.ask(limited(streams=8), SHOP)
    assert isinstance(limiters.ask(limited(streams=4), SHOP), Turn)
    assert isinstance(limiters.ask(limited(streams=4), SHOP), Full)
    assert limiters.shown()[0]["limits"] == {"streams": {"limit": 2, "used": 2}}


def test_new_limits_hold_for_all_models_at_once(clock: Clock) -> None:
    """A model that nobody calls any more keeps nothing of the limits before, however the fleet changes."""
    alive = [1]
    limiters = Limiters(lambda: alive[0], loop=clock)
    before, after = limited(streams=80), limited(streams=8)
    for target in (before, replace(before, model="quiet")):
        Caller(limiters, clock, target).turn.end()
    Caller(limiters, clock, after).turn.end()
    alive[0] = 2
    assert limiters.shown()[0]["limits"]["streams"]["limit"] == 4


def test_a_call_from_before_a_reload_leaves_the_new_limits_in_force(clock: Clock, limiters: Limiters) -> None:
    """It tries once more under those it was planned with, for another model; the next call goes by the new ones."""
    before, after = limited(streams=80), limited(streams=2)
    turns = [Caller(limiters, clock, after).turn, Caller(limiters, clock, replace(before, model="other")).turn]
    assert isinstance(limiters.ask(after, SHOP), Full)
    assert limiters.shown()[0]["limits"]["streams"] == {"limit": 2, "used": len(turns)}


def test_limits_that_a_reload_took_away_are_not_shown(clock: Clock, limiters: Limiters) -> None:
    """Whoever looks at the state sees what holds."""
    target, free = limited(streams=2), make.target()
    turn = Caller(limiters, clock, target).turn
    assert len(limiters.shown()) == 1
    limiters.retain(make.snapshot(backends=[free.backend]))
    assert limiters.shown() == []
    turn.end()
    assert isinstance(limiters.free(free) or limiters.ask(free, SHOP), Turn)


def test_no_number_of_models_fills_the_memory(
    clock: Clock, limiters: Limiters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of models come from callers where wildcards cover them: quiet ones are forgotten."""
    monkeypatch.setattr(module, "MAX_LANES", 10)
    target = make.target()
    for n in range(100):
        turn = limiters.free(replace(target, model=f"m{n}"))
        assert turn is not None
        if n:
            turn.end()
    assert len(limiters._lanes) <= 10
    assert ("a", "key1", "m0") in limiters._lanes


@pytest.mark.parametrize("learns", [False, True], ids=["limited", "learnt"])
def test_no_number_of_models_fills_the_memory_of_what_is_limited(
    clock: Clock, limiters: Limiters, monkeypatch: pytest.MonkeyPatch, learns: bool
) -> None:
    """A backend with limits of its own, or one that says of every name that nothing is left, is no way around it."""
    monkeypatch.setattr(module, "MAX_LANES", 10)
    target = make.target() if learns else limited(rpm=60_000)
    for n in range(100):
        turn = Caller(limiters, clock, replace(target, model=f"m{n}")).turn
        if learns:
            turn.told([Remaining(0, 60.0, tokens=False)])
        clock.pass_(0.1)
        if n:
            turn.end()
        assert len(limiters._lanes) <= 10
    assert ("a", "key1", "m0") in limiters._lanes
