"""What is in use of a limit: no 60 s hold too much, what is settled is settled where it was counted, clocks step."""

import math
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.limits import Measure
from hybridproxy.resilience.quota import (
    DAY_MS,
    DAY_SECONDS,
    MAX_PERIODS,
    Calendar,
    Moment,
    Places,
    Spending,
    Window,
    month_of,
    rest_of,
)

EPOCH = date(1970, 1, 1)


def at(now: float, day: int = 20_000, month: int = 657) -> Moment:
    """Return a moment."""
    return Moment(now, day, month)


# ---- the last 60 s ---------------------------------------------------------------------------------------------------


steps = st.lists(
    st.tuples(st.one_of(st.floats(0, 3), st.floats(0, 90)), st.integers(1, 7), st.integers(0, 7), st.integers(0, 5)),
    max_size=80,
)


@given(steps, st.integers(1, 30), st.floats(0, 1e7))
def test_no_60_seconds_hold_more_than_was_admitted(
    history: list[tuple[float, int, int, int]], limit: int, begun: float
) -> None:
    """Whoever asks whenever, and whatever is given back: what any 60 s hold is at most the limit."""
    window, now = Window(), begun
    kept: list[list[float]] = []
    open_: list[tuple[int, object, int]] = []
    for passed, amount, used, which in history:
        now += passed
        if window.used(at(now)) + amount <= limit:
            mark = window.take(at(now), amount)
            kept.append([now, amount])
            open_.append((len(kept) - 1, mark, amount))
        if open_ and which < len(open_):
            index, settled, taken = open_.pop(which)
            less = min(used, taken)
            window.settle(at(now), settled, taken, less)  # type: ignore[arg-type]
            kept[index][1] = less
        held = sum(amount for then, amount in kept if then + 60 > now)
        assert held <= window.used(at(now)) <= limit


@given(steps, st.integers(8, 30), st.integers(1, 8))
def test_after_the_wait_there_is_room(history: list[tuple[float, int, int, int]], limit: int, wanted: int) -> None:
    """A caller that comes back when it was told to gets in, if nobody else came; and not earlier."""
    window, now = Window(), 5.0
    for passed, amount, _, _ in history:
        now += passed
        if window.used(at(now)) + amount <= limit:
            window.take(at(now), amount)
    wait = window.wait(at(now), wanted, limit)
    assert 0 <= wait <= 60
    if wait:
        assert window.used(at(now + wait * 0.99 - 0.001)) + wanted > limit
    assert window.used(at(now + wait + 1e-6)) + wanted <= limit
    held, whole = window.standing(now + wait)
    assert held == window.used(at(now + wait))
    assert whole <= 60
    assert window.used(at(now + wait + whole + 1e-6)) == 0
    assert window.is_empty(at(now + wait + whole + 61))


def test_what_is_told_of_a_limit_that_nobody_used_for_a_while() -> None:
    """Half a minute later half a minute is left, and from a minute on nothing is in use; who comes then fits."""
    window = Window()
    window.take(at(0), 3)
    window.take(at(20), 4)
    assert (window.standing(30), window.standing(70), window.standing(80)) == ((7, 50.0), (4, 10.0), (0, 0.0))
    window.take(at(100), 3)
    window.take(at(120), 4)
    assert (window.wait(at(120), 4, 10), window.wait(at(120), 7, 10)) == (40.0, 60.0)


def test_a_limit_is_used_to_the_full() -> None:
    """At ten times its rate for an hour, 600 a minute let through 97 % of what they could."""
    window, passed = Window(), 0
    for tick in range(3600 * 20):
        now = at(tick / 20)
        for _ in range(5):
            if window.used(now) + 1 <= 600:
                window.take(now, 1)
                passed += 1
    assert 0.97 * 36_000 <= passed <= 36_000 + 600


def test_what_can_never_fit_waits_for_ever() -> None:
    """More than the limit has no time at which it fits."""
    window = Window()
    assert window.wait(at(1.0), 11, 10) == math.inf
    window.take(at(1.0), 4)
    assert window.wait(at(1.0), 6, 10) == 0


def test_an_amount_is_corrected_where_it_was_counted() -> None:
    """A call of half a minute that used less than it reserved frees what it took when it began, not when it ended."""
    window = Window()
    mark = window.take(at(100.0), 1000)
    window.take(at(120.0), 50)
    window.settle(at(130.0), mark, 1000, 300)
    assert window.used(at(159.9)) == 350
    assert window.used(at(160.0)) == 50


def test_what_a_long_call_used_beyond_its_reservation_counts_when_it_is_known() -> None:
    """Its place in the window is gone by then; what it used less does not become a credit."""
    window = Window()
    more, less = window.take(at(100.0), 10), window.take(at(101.0), 10)
    window.settle(at(200.0), more, 10, 25)
    window.settle(at(200.0), less, 10, 3)
    assert window.used(at(200.0)) == 15


def test_what_comes_late_in_an_earlier_second_counts_with_the_newest() -> None:
    """A clock that goes back a little, as no loop's does, takes nothing out of the window."""
    window = Window()
    window.take(at(100.5), 1)
    window.take(at(98.0), 1)
    assert window.used(at(160.4)) == 2
    assert window.used(at(160.5)) == 0


# ---- places ----------------------------------------------------------------------------------------------------------


def test_places_are_taken_and_given_back() -> None:
    """Nobody knows how long a call takes."""
    places = Places()
    assert places.is_empty(at(0))
    places.take(at(0), 1)
    places.take(at(0), 1)
    places.settle(at(1), None, 1, 0)
    assert places.used(at(1)) == 1
    assert places.wait(at(1), 1, 1) == math.inf
    assert not places.is_empty(at(1))
    places.leave()
    assert places.is_empty(at(1))


# ---- money -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", [Measure.DAY, Measure.MONTH])
def test_money_is_reserved_and_settled_in_the_period_it_was_reserved_in(measure: Measure) -> None:
    """A call over midnight belongs to the day it began on."""
    spending = Spending(measure)
    mark = spending.take(at(0.0), 100)
    assert (spending.used(at(0.0)), spending.reserved(at(0.0))) == (100, 100)
    next_one = at(50.0, 20_001, 658)
    assert spending.used(next_one) == 0
    spending.settle(next_one, mark, 100, 70)
    assert spending.used(next_one) == 0
    assert (spending.used(at(60.0)), spending.reserved(at(60.0))) == (70, 0)
    assert spending.period(at(0.0)) == (20_000 if measure is Measure.DAY else 657)
    assert spending.wait(at(0.0), 1, 1) == math.inf


def test_money_is_reserved_once_more_where_a_call_gets_dearer() -> None:
    """In the period in which it began; of one that is forgotten nothing is."""
    spending = Spending(Measure.DAY)
    mark = spending.take(at(0.0), 100)
    spending.grow(mark, 20)
    assert (spending.used(at(1.0)), spending.reserved(at(1.0))) == (120, 120)
    assert spending.used(at(1.0, 20_001)) == 0
    spending.settle(at(2.0), mark, 120, 110)
    assert (spending.used(at(3.0)), spending.reserved(at(3.0))) == (110, 0)
    spending.grow(19_999, 5)
    assert spending.used(at(4.0)) == 110


def test_a_clock_that_is_set_back_reopens_nothing() -> None:
    """What was spent in a day that has not begun counts in the day it is."""
    spending = Spending(Measure.DAY)
    spending.take(at(0.0, 20_001), 100)
    assert spending.used(at(1.0, 20_000)) == 100
    spending.take(at(2.0, 20_000), 5)
    assert spending.used(at(3.0, 20_000)) == 105
    assert spending.used(at(4.0, 20_001)) == 100
    assert spending.reserved(at(4.0, 20_000)) == 105


def test_a_clock_that_was_set_forward_and_back_again_loses_nothing() -> None:
    """Neither for the day it is, nor for good: what was spent in the year 2030 is forgotten a day later."""
    spending = Spending(Measure.DAY)
    spending.take(at(0.0), 100)
    spending.take(at(10.0, 22_000), 7)
    assert spending.used(at(20.0)) == 107
    spending.take(at(DAY_SECONDS - 5, 20_000), 1)
    assert spending.used(at(DAY_SECONDS + 5, 20_001)) == 7
    assert spending.used(at(DAY_SECONDS + 11, 20_001)) == 0


def test_what_is_remembered_is_bounded() -> None:
    """A clock that jumps about leaves a few periods, and a settlement for one that is forgotten changes nothing."""
    spending = Spending(Measure.DAY)
    mark = spending.take(at(0.0, 1), 10)
    for n in range(2 * MAX_PERIODS):
        spending.take(at(1.0 + n, 100 + n), 1)
    assert spending.used(at(50.0, 0)) == MAX_PERIODS
    spending.settle(at(50.0, 0), mark, 10, 1000)
    assert spending.used(at(50.0, 0)) == MAX_PERIODS
    assert not spending.is_empty(at(51.0, 0))
    assert spending.is_empty(at(52.0 + 2 * DAY_SECONDS, 0))


def test_what_was_spent_before_is_added() -> None:
    """As a ledger tells it at the start."""
    spending = Spending(Measure.MONTH)
    spending.add(at(0.0), 657, 40)
    assert (spending.used(at(0.0)), spending.reserved(at(0.0))) == (40, 0)


def test_what_was_spent_while_nobody_counted_is_caught_up_with() -> None:
    """What is reserved comes on top, and who knows of less takes nothing back."""
    spending = Spending(Measure.DAY)
    spending.add(at(0.0), at(0.0).day, 40)
    mark = spending.take(at(0.0), 5)
    spending.catch_up(at(1.0), 30)
    assert (spending.used(at(1.0)), spending.reserved(at(1.0))) == (45, 5)
    spending.catch_up(at(1.0), 60)
    assert (spending.used(at(1.0)), spending.reserved(at(1.0))) == (65, 5)
    spending.settle(at(1.0), mark, 5, 7)
    assert spending.used(at(1.0)) == 67


@given(
    st.lists(st.tuples(st.integers(-2, 2), st.floats(0, 40_000), st.integers(1, 40), st.integers(0, 60)), max_size=40),
    st.integers(50, 200),
)
def test_no_step_of_the_clock_lets_a_cap_be_spent_twice_within_one_day_of_the_loop(
    history: list[tuple[int, float, int, int]], cap: int
) -> None:
    """Set back and on again at will: in a day never more is spent than the cap and what was settled above it."""
    spending, now, day = Spending(Measure.DAY), 0.0, 20_000
    admitted: dict[int, int] = {}
    for step, passed, amount, used in history:
        now, day = now + passed, day + step
        moment = at(now, day)
        if spending.used(moment) + amount <= cap:
            mark = spending.take(moment, amount)
            spending.settle(moment, mark, amount, min(used, amount))
            admitted[day] = admitted.get(day, 0) + min(used, amount)
        if now <= DAY_SECONDS:  # nothing is forgotten before
            assert max(admitted.values(), default=0) <= cap


# ---- the calendar ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 80_000))
def test_months_are_those_of_the_calendar(day: int) -> None:
    """From 1970 to 2189."""
    there = EPOCH + timedelta(days=day)
    assert month_of(day) == (there.year - 1970) * 12 + there.month - 1


@given(st.integers(0, 80_000 * DAY_MS))
def test_the_rest_of_a_period_ends_where_the_next_begins(wall: int) -> None:
    """At midnight, UTC."""
    now = datetime.fromtimestamp(wall / 1000, UTC)
    day_ends = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
    year, month = divmod(now.year * 12 + now.month, 12)
    month_ends = datetime(year, month + 1, 1, tzinfo=UTC)
    assert rest_of(Measure.DAY, wall) == pytest.approx(day_ends.timestamp() - wall / 1000, abs=1e-5)
    assert rest_of(Measure.MONTH, wall) == pytest.approx(month_ends.timestamp() - wall / 1000, abs=1e-5)


def test_a_calendar_makes_moments() -> None:
    """The same day has the same month, the next may have another."""
    calendar = Calendar()
    assert calendar.moment(5.0, 30 * DAY_SECONDS) == Moment(5.0, 30, 0)
    assert calendar.moment(6.0, 30 * DAY_SECONDS + 5) == Moment(6.0, 30, 0)
    assert calendar.moment(7.0, 31 * DAY_SECONDS) == Moment(7.0, 31, 1)
    assert calendar.moment(8.0, 31 * DAY_SECONDS - 0.001) == Moment(8.0, 30, 0)
