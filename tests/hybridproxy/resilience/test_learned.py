"""What an upstream's refusals and headers teach, and when it is forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.resilience.learned import CALM, FEW, FEWEST, MAX_HOLD, ARate, AtATime, Left


def test_the_first_drop_sets_nine_tenths_of_what_was_under_way() -> None:
    """Before it there is no limit; with few calls under way a drop says nothing of their number."""
    limit = AtATime()
    assert limit.current(0.0) is None
    limit.dropped(FEW - 1, 0.0, 1.0)
    limit.good(1)
    assert limit.current(1.0) is None
    limit.dropped(20, 0.0, 2.0)
    assert limit.current(2.0) == 18


def test_of_drops_that_were_under_way_together_one_counts() -> None:
    """Twenty 429s of one burst halve nothing; one that began under the lower limit lowers it again."""
    limit = AtATime()
    for _ in range(20):
        limit.dropped(20, 0.0, 2.0)
    assert limit.current(2.0) == 18
    limit.dropped(18, 3.0, 4.0)
    assert limit.current(4.0) == 16
    for at in range(100):
        limit.dropped(1, 5.0 + at, 5.0 + at)
    assert limit.current(105.0) == 1


def test_it_grows_only_where_it_is_used() -> None:
    """A good answer adds one while half of the limit is in use; ten calm minutes lift it."""
    limit = AtATime()
    limit.dropped(20, 0.0, 0.0)
    limit.good(8)
    assert limit.current(0.0) == 18
    limit.good(9)
    assert limit.current(CALM) == 19
    assert limit.current(CALM + 1) is None


def test_a_throttled_rate_is_nine_tenths_of_what_went_out() -> None:
    """It holds for a minute, grows by a tenth of itself a minute, and is forgotten after ten calm ones."""
    rate = ARate()
    assert rate.current(0.0) is None
    rate.throttled(1000, 60.0, 0.0)
    rate.throttled(100, 60.0, 59.0)
    assert [rate.current(at) for at in (0.0, 60.0, 120.0, 660.0)] == [900, 900, 990, None]


def test_a_burst_is_taken_for_the_rate_it_was() -> None:
    """Twenty in the first second are 1200 a minute, not twenty; and few calls a minute are never too many."""
    rate = ARate()
    rate.throttled(20, 1.0, 0.0)
    assert rate.current(0.0) == 1080
    rate.throttled(3, 60.0, 60.0)
    assert rate.current(60.0) == FEWEST


def test_what_is_left_is_counted_from_the_call_that_was_answered() -> None:
    """Calls that left after it count against it; an older answer says nothing new; then it waits for the reset."""
    left = Left()
    assert left.wait(1, 0.0) == 0
    left.told(5, [(3, 10.0), (50, 2.0)], 100.0)
    left.told(4, [(0, 60.0)], 100.0)
    assert left.counts
    assert [left.wait(number, 101.0) for number in (6, 7, 8, 9)] == [0, 0, 9.0, 9.0]
    assert left.wait(9, 110.0) == 0
    assert not left.counts
    left.told(9, [(5000, 1.0)], 111.0)
    assert not left.counts


@given(calls=st.integers(0, 10**9), seconds=st.floats(-1e9, 1e9))
def test_no_header_holds_us_up_for_longer_than_a_minute(calls: int, seconds: float) -> None:
    """Whatever an upstream says."""
    left = Left()
    left.told(1, [(calls, seconds)], 0.0)
    assert 0 <= left.wait(1, 0.0) <= MAX_HOLD
    assert left.wait(10**12, MAX_HOLD) == 0
