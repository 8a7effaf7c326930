"""How long the first output of a target usually takes."""

from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.plan import Plan
from hybridproxy.model.snapshot import Handling
from hybridproxy.resilience.hedge import ENOUGH, KEPT, PERCENTILE, FirstTokens, hedge_after
from tests.support.make import target


def learnt(*seconds: float) -> FirstTokens:
    """What these calls taught."""
    times = FirstTokens()
    for one in seconds:
        times.add(one)
    return times


def test_a_few_calls_say_nothing_of_what_is_usual() -> None:
    """Without twenty of them no second backend is paid."""
    assert learnt(*[1.0] * (ENOUGH - 1)).usual() is None
    assert learnt(*[1.0] * ENOUGH).usual() == 1.0


def test_usual_is_what_nineteen_of_twenty_calls_keep_to() -> None:
    """A hundred calls, ten of them slow: the slowest few do not decide, and the fast many do not either."""
    times = learnt(*[float(n) for n in range(1, 101)])
    assert times.usual() == 95.0
    assert times.usual() == 95.0


def test_what_was_usual_an_hour_ago_is_forgotten() -> None:
    """A backend that became slow is slow after its last 128 calls, wherever they stand in memory."""
    times = learnt(*[1.0] * (2 * KEPT + 7))
    assert times.usual() == 1.0
    for _ in range(KEPT):
        times.add(9.0)
    assert times.usual() == 9.0
    assert len(times._seconds) == KEPT


@given(st.lists(st.floats(0, 600), min_size=ENOUGH, max_size=3 * KEPT))
def test_it_is_one_of_the_last_times_and_hardly_any_are_longer(seconds: list[float]) -> None:
    """Whatever the calls took: the answer is the 95th percentile of the last 128."""
    usual, last = learnt(*seconds).usual(), seconds[-KEPT:]
    assert usual is not None
    assert usual in last
    assert sum(one > usual for one in last) <= (1 - PERCENTILE) * (len(last) - 1) + 0.5
    assert sum(one < usual for one in last) <= PERCENTILE * (len(last) - 1) + 0.5


def test_a_hedge_waits_for_what_is_usual_of_the_first_target() -> None:
    """Only where the route hedges, and once enough is known."""
    first = target("a")
    times = FirstTokens()
    plan = Plan((first,), (), Handling(hedge=0.01))
    assert hedge_after(plan, {}) is None
    assert hedge_after(plan, {first.health_key: times}) is None
    for _ in range(ENOUGH):
        times.add(0.5)
    assert hedge_after(plan, {first.health_key: times}) == 0.5
    assert hedge_after(Plan((first,), (), Handling()), {first.health_key: times}) is None
