from dataclasses import replace

import pytest

from hybridproxy.demo.captions import Moment, summary, view
from hybridproxy.demo.judgement import AWAY, HOME, Call, Changes, Story
from hybridproxy.demo.watch import Sight

ROOM = 68
"""Columns of a terminal of 80 behind the word before the caption."""

CALLS = [
    Call(0.5, HOME, 1, [0.6, 0.7], 0.8),
    Call(3.9, HOME, 1, [3.95, 4.3], 4.4),
    Call(4.1, AWAY, 2, [4.4, 4.5], 4.6),
    Call(12.0, HOME, 1, [12.1], 12.2),
    Call(12.5, AWAY, 1, [12.6], 12.7),
]
WELL = Story(0.0)
CUT = replace(WELL, cut=4.0)
BACK = replace(CUT, restored=9.5)
RAMP = replace(BACK, closed=11.0)
OPEN, OPEN_AGAIN = Changes(opened=1, resumed=10), Changes(opened=2, half_opened=1, resumed=10)
HALF_OPEN, CLOSED = Changes(opened=2, half_opened=2, resumed=10), Changes(2, 2, 1, 10)


@pytest.mark.parametrize(
    ("story", "changes", "now", "moment", "says"),
    [
        (WELL, Changes(), 1.0, Moment.WELL, "every call goes to dashscope-sg"),
        (CUT, Changes(), 4.1, Moment.CUT, "Singapore is cut off"),
        (CUT, OPEN, 4.5, Moment.CUT, "Singapore is cut off"),
        (CUT, OPEN, 5.1, Moment.MOVED, "moved after 0.4 s, 10 cut streams went on. It is left alone"),
        (CUT, OPEN_AGAIN, 7.0, Moment.CHECKED, "Not back yet"),
        (BACK, OPEN_AGAIN, 9.6, Moment.BACK, "next check finds out"),
        (BACK, HALF_OPEN, 10.8, Moment.PROBE, "as a probe"),
        (RAMP, CLOSED, 11.2, Moment.PROBED, "three calls as probes were good"),
        (RAMP, CLOSED, 13.0, Moment.RAMP, "a ramp: 50 % of the calls by now."),
        (replace(RAMP, half=13.0), CLOSED, 13.0, Moment.OVER, "More than half"),
    ],
)
def test_each_moment_has_its_words(story: Story, changes: Changes, now: float, moment: Moment, says: str) -> None:
    """The caption follows from times, calls and the breaker, and fits behind its label on 80 columns."""
    seen = view(story, CALLS, Sight(changes, "5 faults in a row: it could not be reached"), now)
    assert seen.moment is moment
    assert says in seen.caption
    assert len(seen.caption) <= ROOM
    assert len(seen.breaker) <= ROOM


def test_the_breaker_is_shown_with_its_reason_while_it_is_open() -> None:
    """The reason of an opening that is over would mislead."""
    reason = "5 faults in a row: it could not be reached"
    assert view(CUT, CALLS, Sight(OPEN, reason), 5.0).breaker == f"open: {reason}"
    assert view(BACK, CALLS, Sight(HALF_OPEN, reason), 10.5).breaker == "half-open"
    assert view(RAMP, CALLS, Sight(CLOSED, "coming back by a ramp", 0.16), 13.0).breaker == "closed, ramp 16 %"
    assert view(WELL, CALLS, Sight(), 1.0).breaker == "closed"


def test_what_happened_is_marked_at_its_second() -> None:
    """The chart writes under the columns when Singapore went, came, and was trusted again."""
    assert view(RAMP, CALLS, Sight(CLOSED), 13.0).marks == ((4, "cut"), (9, "back"), (11, "ramp"))
    assert view(WELL, CALLS, Sight(), 1.0).marks == ()


def test_the_summary_has_the_figures() -> None:
    """One sentence after the act; what did not happen is not in it."""
    told = summary(replace(RAMP, half=25.0), CALLS, CLOSED)
    assert told == (
        "5 calls, 0 failed; moved within 0.4 s of the cut; 10 cut streams went on at openrouter-us, every text whole, "
        "their longest silence 0.35 s; found by a check and probed 1.5 s after Singapore was back; "
        "half of the calls there again 14 s later"
    )
    assert summary(WELL, [], Changes()) == "0 calls, 0 failed"
    failed = [*CALLS, Call(5.0, problem="refused", ended=5.1)]
    assert "whole" not in summary(CUT, failed, OPEN)
    assert "no call noticed the cut" in summary(CUT, CALLS[:1], OPEN)
