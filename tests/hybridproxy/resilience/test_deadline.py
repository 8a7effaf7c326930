"""How long the caller will wait."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.backend import Timeouts
from hybridproxy.resilience.deadline import FEWEST, LEAST, MARGIN, MOST, seconds, shortened

ROUTE = Timeouts(total=600, commit_within=50)


def test_a_caller_that_says_nothing_gets_the_routes_times() -> None:
    """The very same value, on the way of almost every call."""
    assert shortened(ROUTE, silence=None, whole=None, stream=True) is ROUTE
    assert shortened(ROUTE, silence=None, whole=None, stream=False) is ROUTE


@pytest.mark.parametrize("stream", [True, False])
def test_a_caller_that_waits_longer_changes_nothing(stream: bool) -> None:
    """Its word shortens and never lengthens; the client's usual ten minutes are as long as the route's own."""
    assert shortened(ROUTE, silence=601, whole=3600, stream=stream) is ROUTE


@pytest.mark.parametrize("stream", [True, False])
def test_the_time_for_the_whole_call_bounds_all_attempts(stream: bool) -> None:
    """We give up half a second earlier, so that the caller reads why."""
    assert shortened(ROUTE, silence=None, whole=30, stream=stream) == replace(ROUTE, total=29.5)


def test_the_silence_a_stream_bears_is_the_time_to_its_head() -> None:
    """It hears something when the head is there; all of the stream may last as long as before."""
    assert shortened(ROUTE, silence=20, whole=None, stream=True) == replace(ROUTE, commit_within=19.5)


def test_the_silence_a_whole_answer_bears_is_all_it_has() -> None:
    """Nothing comes before the answer, so the answer has to come in time."""
    assert shortened(ROUTE, silence=20, whole=None, stream=False) == replace(ROUTE, total=19.5)
    assert shortened(ROUTE, silence=20, whole=10, stream=False) == replace(ROUTE, total=9.5)
    assert shortened(ROUTE, silence=20, whole=10, stream=True) == replace(ROUTE, total=9.5, commit_within=19.5)


@pytest.mark.parametrize(("whole", "total"), [(5, 4.5), (3, 2.7), (1, 0.8), (0.3, 0.1), (0.1, LEAST)])
def test_of_a_short_time_a_tenth_goes_and_a_fifth_of_a_second_at_least(whole: float, total: float) -> None:
    """Timers are coarse, so less would not be in time; there is always a moment to try in."""
    assert shortened(ROUTE, silence=None, whole=whole, stream=True).total == pytest.approx(total)


TIMES = st.none() | st.floats(0, 1000, exclude_min=True)


@given(TIMES, TIMES, st.booleans())
def test_no_time_grows_and_the_others_stay(silence: float | None, whole: float | None, stream: bool) -> None:
    """Whatever a caller says, the times of single attempts are the route's; its own time is given less a margin."""
    times = shortened(ROUTE, silence=silence, whole=whole, stream=stream)
    assert replace(times, total=ROUTE.total, commit_within=ROUTE.commit_within) == ROUTE
    assert LEAST <= times.total <= ROUTE.total
    assert LEAST <= times.commit_within <= ROUTE.commit_within
    if whole is not None:
        assert times.total <= max(LEAST, whole - min(MOST, max(FEWEST, MARGIN * whole)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("30", 30.0),
        ("0.5", 0.5),
        (" 7 ", 7.0),
        ("1e3", 1000.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("0", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e6", None),
        ("0" * 16 + "1", None),
    ],
)
def test_only_seconds_that_make_sense_are_believed(text: str | None, value: float | None) -> None:
    """A header that is no time is as if it were not there; the call is served all the same."""
    assert seconds(text) == value


@given(st.text(max_size=20))
def test_any_header_is_read(text: str) -> None:
    """Nothing a caller writes there makes reading fail."""
    value = seconds(text)
    assert value is None or 0 < value < 1e6
