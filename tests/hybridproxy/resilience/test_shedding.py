"""When a worker refuses calls because of its own load, and how many."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.resilience.shedding import (
    BURST,
    CALM,
    ENOUGH,
    FEW,
    GOAL,
    GOOD_AGAIN,
    LATE,
    LEAST,
    PATIENCE,
    Sample,
    Shed,
    Shedding,
    refuse,
    room_after,
    step,
)

WELL = Sample(seconds=0.1, lag=0.001, least=0.0, let_in=100, refused=0, memory=0.1)
BAD = replace(WELL, lag=0.15, least=0.12)


def after(state: Shedding, sample: Sample, count: int) -> Shedding:
    """The state after so many samples like this."""
    for _ in range(count):
        state = step(state, sample)
    return state


# ---- the order of the rules ------------------------------------------------------------------------------------------


def test_calls_come_before_memory_and_memory_before_lag() -> None:
    """Where all three rules refuse a call, the caller is told of the first one."""
    state = Shedding(rate=100.0, memory=True)
    assert refuse(state, calls=50, most=50, room=0.0) is Shed.CALLS
    assert refuse(state, calls=49, most=50, room=0.0) is Shed.MEMORY
    assert refuse(replace(state, memory=False), calls=49, most=50, room=0.0) is Shed.LAG
    assert refuse(replace(state, memory=False), calls=49, most=50, room=1.0) is None


def test_a_calm_worker_refuses_nothing() -> None:
    """Without a reason every call is let in, whatever there is room for."""
    assert refuse(CALM, calls=4999, most=5000, room=0.0) is None


# ---- memory ----------------------------------------------------------------------------------------------------------


def test_memory_has_to_be_well_below_the_mark_before_calls_are_let_in_again() -> None:
    """It begins at 80 % and ends below 75 %, so that it does not begin anew with each call."""
    state = step(CALM, replace(WELL, memory=ENOUGH))
    assert state.memory
    assert step(state, replace(WELL, memory=GOOD_AGAIN)).memory
    state = step(state, replace(WELL, memory=GOOD_AGAIN - 0.001))
    assert not state.memory
    assert not step(state, replace(WELL, memory=ENOUGH - 0.001)).memory


def test_a_few_calls_are_let_in_even_where_memory_does_not_shrink() -> None:
    """A process that never gives memory back would otherwise be out of service for good."""
    state = step(CALM, replace(WELL, memory=0.9))
    assert refuse(state, calls=FEW - 1, most=5000, room=0.0) is None
    assert refuse(state, calls=FEW, most=5000, room=0.0) is Shed.MEMORY


# ---- lag -------------------------------------------------------------------------------------------------------------


def test_three_seconds_of_a_tenth_of_a_second_begin_it() -> None:
    """At just more than 100 ms it takes 3 s until the first call is refused, and the rate is what was let in."""
    sample = replace(WELL, lag=LATE * 1.001, least=0.02)
    assert after(CALM, sample, 29).rate is None
    state = after(CALM, sample, 30)
    assert state.rate == pytest.approx(1000, rel=0.05)


def test_a_loop_that_is_very_late_does_not_get_three_seconds() -> None:
    """Half a second of lag counts five times, a whole second ten times."""
    assert after(CALM, replace(BAD, seconds=0.5, lag=0.5), 1).rate is None
    assert after(CALM, replace(BAD, seconds=0.5, lag=0.5), 2).rate is not None


def test_one_pause_is_no_overload() -> None:
    """A process that was stopped for a minute was late once; what it does next tells more."""
    state = step(CALM, replace(BAD, seconds=60.0, lag=60.0, least=60.0))
    assert state.rate is None
    assert after(state, WELL, 30).late == 0.0


def test_pauses_now_and_then_begin_nothing() -> None:
    """Late for a fifth of the time, for an hour: the time between is longer."""
    state = CALM
    for _ in range(3600):
        state = after(step(state, replace(BAD, seconds=0.2)), WELL, 8)
    assert state.rate is None


def test_an_operator_may_bear_more_lag() -> None:
    """With `listen.shed_lag: 1s` what is bad by default is well."""
    assert step(CALM, BAD, 1.0).late == 0.0


def test_a_rate_that_holds_nobody_back_stays_as_it_is() -> None:
    """More of it would be a guess; less of it is not needed."""
    assert step(Shedding(rate=500.0, late=2.0), replace(WELL, refused=0)).rate == 500.0


def test_the_rate_is_raised_in_small_steps_while_calls_are_refused_and_the_loop_is_in_time() -> None:
    """Where it is nearly late they wait, and where it is late it falls, by a tenth at most."""
    held = Shedding(rate=100.0, late=PATIENCE)
    assert step(held, replace(WELL, refused=5)).rate == pytest.approx(103)
    assert step(held, replace(WELL, refused=5, least=GOAL)).rate == pytest.approx(100)
    assert step(held, replace(WELL, refused=5, least=GOAL * 1.05)).rate == pytest.approx(100 / 1.05)
    assert step(held, replace(WELL, refused=5, least=1.0)).rate == pytest.approx(90)


def test_the_rate_never_falls_to_nothing() -> None:
    """If something else delays the loop, refusing everything would not help, and nobody would find out."""
    assert after(Shedding(rate=100.0), replace(BAD, refused=9), 100).rate == LEAST


def test_it_is_over_when_nobody_was_refused_for_three_seconds() -> None:
    """The rate is forgotten, unless the loop is still late."""
    held = Shedding(rate=900.0, late=PATIENCE)
    assert after(held, WELL, 28).rate == 900.0
    assert after(held, WELL, 31).rate is None
    assert after(held, replace(BAD, least=0.0), 100).rate == 900.0


def test_room_is_what_the_rate_allows_and_does_not_pile_up() -> None:
    """After a minute without calls no more than 50 ms' worth of them are let in at once, and two at least."""
    state = Shedding(rate=1000.0)
    assert room_after(state, 0.0, 0.02) == pytest.approx(20)
    assert room_after(state, 0.0, 60.0) == 1000 * BURST
    assert room_after(replace(state, rate=LEAST), 0.0, 60.0) == 2.0
    assert room_after(CALM, 7.0, 1.0) == 0.0


# ---- a worker under load, by the clock -------------------------------------------------------------------------------


@dataclass
class Worker:
    """A loop that takes all that came during one turn in the next: an answer costs 1 ms, a refusal 50 µs."""

    state: Shedding = CALM
    now: float = 0.0
    room: float = 0.0
    came: float = 0.0

    def run(self, rate: float, seconds: float) -> tuple[int, int, float]:
        """Return calls answered and refused, and the longest turn of the last half of the time."""
        answered = refused = 0
        longest, end, half = 0.0, self.now + seconds, self.now + seconds / 2
        let_in = shed = 0
        lags: list[float] = []
        began = self.now
        while self.now < end:
            calls, self.came = int(self.came), self.came % 1
            in_now = 0
            while in_now < calls and refuse(self.state, 0, 5000, self.room) is None:
                in_now += 1
                self.room -= 1
            let_in, shed = let_in + in_now, shed + calls - in_now
            took = max(0.002, in_now * 0.001 + (calls - in_now) * 0.00005)
            self.now += took
            self.came += rate * took
            self.room = room_after(self.state, self.room, took)
            lags.append(took)
            answered, refused = answered + in_now, refused + calls - in_now
            if self.now > half:
                longest = max(longest, took)
            if self.now - began >= 0.1:
                least, lag = min(lags), sum(lags) / len(lags)
                self.state = step(self.state, Sample(self.now - began, lag, least, let_in, shed, 0.1))
                let_in = shed = 0
                lags, began = [], self.now
        return answered, refused, longest


@pytest.mark.parametrize("times", [1.5, 3.0, 4.0])
def test_an_overloaded_worker_serves_most_of_what_it_can_and_is_well_soon_after(times: float) -> None:
    """At up to four times what it can serve it serves four fifths of that, and at last nobody is refused."""
    worker = Worker()
    assert worker.run(900, 3)[1] == 0
    worker.run(1000 * times, 5)  # the three seconds, and what it takes to find the rate
    assert worker.state.rate is not None
    answered, refused, longest = worker.run(1000 * times, 10)
    assert answered >= 0.8 * 10 * 1000
    assert refused > 0
    assert longest < 0.1
    worker.run(800, 5)
    assert worker.run(800, 5)[1] == 0
    assert worker.state.rate is None


samples = st.builds(
    Sample,
    seconds=st.floats(0, 1e4),
    lag=st.floats(0, 1e4),
    least=st.floats(0, 1e4),
    let_in=st.integers(0, 10**6),
    refused=st.integers(0, 10**6),
    memory=st.floats(0, 10),
)


@given(st.lists(samples, max_size=60))
def test_whatever_is_measured_some_calls_are_let_in(history: list[Sample]) -> None:
    """The rate is a number, and never below the least one."""
    state = CALM
    for sample in history:
        state = step(state, sample)
        assert state.rate is None or LEAST <= state.rate < 1e12
        assert 0 <= state.late <= PATIENCE
        assert room_after(state, 0.0, 1.0) >= (0 if state.rate is None else 1)
