"""What is happening in an outage, in words: for the screen's last line, and for the log of a demo nobody watches."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from hybridproxy.demo.judgement import (
    AWAY,
    HOME,
    WINDOW,
    Call,
    Changes,
    Second,
    Story,
    failures,
    longest_pause,
    moved_after,
    seconds,
    share,
)
from hybridproxy.demo.watch import Phase, Sight

GONE_ON: Final = 1.0
"""Seconds after the cut in which its streams come to their end elsewhere; before that they are not counted."""

PROBED_FOR: Final = 1.5
"""Seconds in which the probes are told; they take less time than it takes to read of them."""


class Moment(Enum):
    """The parts of the story; the log tells each once."""

    WELL = "well"
    CUT = "cut"
    MOVED = "moved"
    CHECKED = "checked"
    BACK = "back"
    PROBE = "probe"
    PROBED = "probed"
    RAMP = "ramp"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class View:
    """All that the screen shows at one moment.

    Attributes:
        seconds: the calls of each second so far.
        made: calls so far.
        failed: those that failed.
        resumed: streams that were cut and went on.
        breaker: the breaker's phase, with its reason where it is open, and with the share that the ramp is to give.
        short: the same without the reason.
        moment: which part of the story it is.
        caption: what happens now.
        marks: second -> the word to write under it.

    """

    seconds: Sequence[Second]
    made: int
    failed: int
    resumed: int
    breaker: str
    short: str
    moment: Moment
    caption: str
    marks: tuple[tuple[int, str], ...]


def view(story: Story, calls: Sequence[Call], sight: Sight, now: float) -> View:
    """Return what there is to see."""
    moment, caption = _caption(story, calls, sight, now)
    short = sight.phase.value
    if sight.ramp is not None:
        short = f"closed, ramp {sight.ramp:.0%}".replace("%", " %")
    times = (("cut", story.cut), ("back", story.restored), ("ramp", story.closed))
    return View(
        seconds=seconds(calls, story.begun, now),
        made=len(calls),
        failed=len(failures(calls)),
        resumed=sight.changes.resumed,
        breaker=f"{short}: {sight.reason}" if sight.reason and sight.phase is Phase.OPEN else short,
        short=short,
        moment=moment,
        caption=caption,
        marks=tuple((int(at - story.begun), word) for word, at in times if at is not None),
    )


def summary(story: Story, calls: Sequence[Call], changes: Changes) -> str:
    """Return the story in figures, as far as it got."""
    told = [f"{len(calls)} calls, {len(failures(calls))} failed"]
    if story.cut is not None:
        moved = moved_after(calls, story.cut, story.cut if story.restored is None else story.restored)
        pause = longest_pause(calls, story.cut)
        told.append("no call noticed the cut" if moved is None else f"moved within {moved:.1f} s of the cut")
        whole = "" if failures(calls) else ", every text whole"
        broke = f"{changes.resumed} cut streams went on at {AWAY}{whole}"
        told.append(broke if pause is None else f"{broke}, their longest silence {pause:.2f} s")
    if story.restored is not None and story.closed is not None:
        told.append(f"found by a check and probed {story.closed - story.restored:.1f} s after Singapore was back")
        if story.half is not None:
            told.append(f"half of the calls there again {story.half - story.closed:.0f} s later")
    return "; ".join(told)


def _caption(story: Story, calls: Sequence[Call], sight: Sight, now: float) -> tuple[Moment, str]:
    if story.cut is None:
        return Moment.WELL, f"All is well: every call goes to {HOME}."
    if story.restored is not None:
        return _back(story, calls, sight, now)
    if sight.phase is Phase.CLOSED or now - story.cut < GONE_ON:
        return Moment.CUT, "Singapore is cut off: connections break, new ones are refused."
    moved = moved_after(calls, story.cut, now)
    told = f"Calls moved after {0.0 if moved is None else moved:.1f} s, {sight.changes.resumed} cut streams went on."
    if sight.changes.opened > 1:
        return Moment.CHECKED, f"{told} Not back yet."
    return Moment.MOVED, f"{told} It is left alone."


def _back(story: Story, calls: Sequence[Call], sight: Sight, now: float) -> tuple[Moment, str]:
    if story.half is not None:
        return Moment.OVER, f"More than half of the calls are answered by {HOME} again."
    if story.closed is not None:
        if now - story.closed < PROBED_FOR:
            return Moment.PROBED, "A check reached it, three calls as probes were good. A ramp begins."
        part = share(calls, max(story.closed, now - WINDOW), now) or 0.0
        return Moment.RAMP, f"It comes back by a ramp: {part:.0%} of the calls by now.".replace("%", " %")
    if sight.phase is Phase.HALF_OPEN:
        return Moment.PROBE, "A check reached it: one call at a time goes there, as a probe."
    return Moment.BACK, "Singapore is back. The proxy's next check finds out, no caller does."
