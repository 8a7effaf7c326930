import random
from dataclasses import replace

import pytest

from hybridproxy.demo.judgement import (
    AWAY,
    HOME,
    Call,
    Changes,
    Second,
    Story,
    came_back,
    failures,
    longest_pause,
    mistakes,
    moved_after,
    seconds,
    share,
)

BEGUN, CUT, RESTORED, CLOSED, END = 100.0, 104.0, 109.5, 111.0, 127.0
STORY = Story(BEGUN, CUT, RESTORED, CLOSED, END)
CHANGES = Changes(opened=2, half_opened=2, closed=1, resumed=9)
PIECES = 12
PACE = 0.04


def call(begun: float, backend: str, attempts: int = 1, first: float = 0.02) -> Call:
    """Return a call that came whole, whose first piece took `first` seconds."""
    pieces = [begun + first + n * PACE for n in range(PIECES)]
    return Call(begun, backend, attempts, pieces, pieces[-1])


def resumed(begun: float, silence: float) -> Call:
    """Return a stream that was under way at the cut and silent for so long before it went on."""
    whole = call(begun, HOME)
    whole.pieces = [at if at <= CUT else at + silence for at in whole.pieces]
    whole.ended = whole.pieces[-1]
    return whole


def as_it_must_be() -> list[Call]:
    """Return 20 calls a second of an outage without a fault."""
    chance = random.Random(7)
    calls: list[Call] = []
    probes = 3
    for n in range(int((END - BEGUN) * 20)):
        begun = BEGUN + n / 20
        if begun < CUT:
            calls.append(resumed(begun, 0.05) if begun > CUT - 0.4 else call(begun, HOME))
        elif begun < CUT + 0.25:
            calls.append(call(begun, AWAY, attempts=2))
        elif begun < CLOSED:
            probe = begun > CLOSED - 0.4 and probes > 0
            probes -= probe
            calls.append(call(begun, HOME if probe else AWAY))
        else:
            back = chance.random() < 0.1 + 0.9 * (begun - CLOSED) / 30
            calls.append(call(begun, HOME if back else AWAY))
    return calls


def test_an_outage_without_a_fault_has_no_mistake() -> None:
    """What the proxy promises passes."""
    assert mistakes(STORY, as_it_must_be(), CHANGES) == []


def test_the_time_until_calls_moved_is_that_of_the_last_caller_who_noticed() -> None:
    """A call that lost an attempt counts until its first piece, a stream until it went on, others not at all."""
    calls = as_it_must_be()
    moved = moved_after(calls, CUT, RESTORED)
    assert moved == pytest.approx(0.2 + 0.02)
    calls.append(resumed(CUT - 0.1, 1.5))
    moved = moved_after(calls, CUT, RESTORED)
    assert moved is not None
    assert 1.4 < moved < 1.6
    assert longest_pause(calls, CUT) == pytest.approx(1.5 + PACE)
    assert moved_after([call(CUT + 1, AWAY), call(CUT - 1, HOME)], CUT, RESTORED) is None
    assert moved_after([Call(CUT + 1, HOME)], CUT, RESTORED) is None
    assert longest_pause([call(CUT + 1, AWAY)], CUT) is None


def test_a_call_that_is_still_tried_there_after_two_seconds_is_told() -> None:
    """One call that loses an attempt three seconds after the cut is enough."""
    calls = [*as_it_must_be(), call(CUT + 3, AWAY, attempts=2)]
    assert mistakes(STORY, calls, CHANGES) == ["calls moved: expected within 2 s of the cut, got 3.0 s"]


def test_a_failed_call_is_told_with_its_reason() -> None:
    """However well everything else went; a call that is still under way has not failed."""
    bad = replace(call(CUT, AWAY, attempts=2), problem="the text is not the whole one: 'The ni'")
    calls = [*as_it_must_be(), bad, Call(END, problem="not known yet")]
    assert failures(calls) == [bad]
    (told,) = mistakes(STORY, calls, CHANGES)
    assert told == "failed calls: expected none, got 1; the first: the text is not the whole one: 'The ni'"


def test_coming_back_all_at_once_is_told() -> None:
    """All calls at the restored backend from the first moment on are no ramp."""
    calls = [replace(c, backend=HOME) if c.begun >= CLOSED else c for c in as_it_must_be()]
    assert mistakes(STORY, calls, CHANGES) == ["the ramp's first 3 s: expected at most 40 %, got 100 %"]


def test_callers_that_find_out_in_place_of_a_probe_are_told() -> None:
    """More calls there than probes before the ramp: somebody opened the gate too early."""
    calls = [replace(c, backend=HOME) if CLOSED - 1 <= c.begun < CLOSED else c for c in as_it_must_be()]
    (told,) = mistakes(STORY, calls, CHANGES)
    assert told.startswith("calls at dashscope-sg before the ramp: expected its probes, at most 6, got 2")
    none = [replace(c, backend=AWAY) if RESTORED <= c.begun < CLOSED else c for c in as_it_must_be()]
    assert len(mistakes(STORY, none, CHANGES)) == 1


@pytest.mark.parametrize(
    ("story", "changes", "told"),
    [
        (replace(STORY, cut=None), CHANGES, "Singapore was not cut off"),
        (replace(STORY, restored=None), CHANGES, "Singapore was not restored"),
        (replace(STORY, closed=None), CHANGES, "dashscope-sg was not seen to come back by a probe"),
        (STORY, replace(CHANGES, half_opened=0), "dashscope-sg was not seen to come back by a probe"),
        (replace(STORY, half=None), CHANGES, "half of the calls were not answered by dashscope-sg again in time"),
        (STORY, replace(CHANGES, opened=0), "the breaker of dashscope-sg did not open"),
        (STORY, replace(CHANGES, resumed=0), "streams that were cut and went on: expected some, got none"),
    ],
)
def test_whatever_did_not_happen_is_told(story: Story, changes: Changes, told: str) -> None:
    """Each part of the promise is missed when it is missing."""
    assert told in mistakes(story, as_it_must_be(), changes)


def test_an_application_that_made_no_call_shows_nothing() -> None:
    """No call at all is not a good outage."""
    told = mistakes(STORY, [], CHANGES)
    assert "before the cut: expected every call at dashscope-sg, got no call" in told
    assert "calls moved: expected within 2 s of the cut, got no call that noticed" in told
    assert "the ramp's first 3 s: expected at most 40 %, got no call" in told


def test_calls_are_counted_by_the_second_in_which_they_were_made() -> None:
    """A call nobody has answered yet is in no column; one that failed is in the failed one as well."""
    failed = replace(call(1.5, AWAY), problem="cut")
    calls = [call(0.1, HOME), call(0.9, HOME), call(1.0, AWAY), failed, Call(1.7), call(9.0, HOME)]
    assert seconds(calls, 0.0, 2.2) == [Second(2, 0, 0), Second(0, 2, 1), Second(0, 0, 0)]


def test_the_act_is_over_when_more_than_half_is_back() -> None:
    """The share of the last three seconds counts, and only once the ramp has lasted as long."""
    calls = [call(n / 20, HOME if n % 3 else AWAY) for n in range(200)]
    assert share(calls, 0, 10) == pytest.approx(2 / 3, abs=0.01)
    assert share(calls, 20, 30) is None
    assert came_back(calls, closed=2.0, now=9.0)
    assert not came_back(calls, closed=7.0, now=9.0)
    assert not came_back(calls, closed=2.0, now=90.0)
