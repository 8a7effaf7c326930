"""Outcomes of the last seconds."""

from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.resilience.window import EMPTY, Window, add


def after(*outcomes: tuple[float, bool], span: int = 30) -> Window:
    """The window after these outcomes, each with its time and whether it was a fault."""
    window = EMPTY
    for now, fault in outcomes:
        window = add(window, now, span, fault=fault)
    return window


def test_where_nothing_happened_nothing_failed() -> None:
    """A target nobody calls is no bad one."""
    assert (EMPTY.samples, EMPTY.share_of_faults()) == (0, 0.0)


def test_a_share_is_of_all_outcomes() -> None:
    """One fault among four calls is a quarter."""
    window = after((1.0, False), (1.9, True), (2.0, False), (2.5, False))
    assert (window.samples, window.faults, window.share_of_faults()) == (4, 1, 0.25)


def test_outcomes_of_one_second_share_a_row() -> None:
    """A thousand calls a second take no more room than one."""
    assert after(*[(7.0 + n / 1000, n % 2 == 0) for n in range(1000)]).rows == ((7, 500, 500),)


def test_what_is_as_old_as_the_span_is_forgotten() -> None:
    """Faults of half a minute ago say nothing of now; those of 29 s ago still do."""
    window = after((0.0, True), (1.0, True), (30.9, False))
    assert (window.rows, window.good, window.faults) == (((1, 0, 1), (30, 1, 0)), 1, 1)


def test_after_a_long_silence_everything_is_forgotten() -> None:
    """The night's first call begins anew."""
    assert after((0.0, True), (1.0, False), (1000.0, False)).rows == ((1000, 1, 0),)


def test_a_clock_that_steps_back_counts_into_the_newest_second() -> None:
    """Nothing is lost, and the rows stay in order."""
    assert after((100.0, False), (90.0, True), (100.5, True)).rows == ((100, 1, 2),)


def test_good_outcomes_are_counted_many_at_once() -> None:
    """A second's good calls come as one number."""
    window = add(add(EMPTY, 5.0, 30, fault=False, count=40), 5.5, 30, fault=True)
    assert window == Window(((5, 40, 1),), 40, 1)


STEPS = st.lists(st.tuples(st.floats(0, 40), st.booleans(), st.integers(1, 3)), max_size=60)


@given(STEPS, st.integers(1, 120), st.floats(0, 1e6))
def test_it_equals_a_plain_list_of_times(steps: list[tuple[float, bool, int]], span: int, begun: float) -> None:
    """Whatever happens when: the sums are those of a list that keeps every outcome, and the rows stay few."""
    window, kept, now = EMPTY, list[tuple[int, bool]](), begun
    for passed, fault, count in steps:
        now += passed
        window = add(window, now, span, fault=fault, count=count)
        kept = [(second, bad) for second, bad in kept if second > int(now) - span] + [(int(now), fault)] * count
        assert (window.good, window.faults) == (sum(not bad for _, bad in kept), sum(bad for _, bad in kept))
        assert sum(row[1] for row in window.rows) == window.good
        assert sum(row[2] for row in window.rows) == window.faults
        assert [row[0] for row in window.rows] == sorted({second for second, _ in kept})
        assert len(window.rows) <= span
