"""What an application's calls say of an outage: second by second, and whether all went as it must.

Pure: calls and times are handed in. All times are seconds on one clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

HOME: Final = "dashscope-sg"
"""The backend that is cut off."""

AWAY: Final = "openrouter-us"
"""The backend that takes over."""

MOVED_WITHIN: Final = 2.0
"""Seconds from the cut until no call is touched by it any more."""

WINDOW: Final = 3.0
"""Seconds of calls that a share is taken of; at 20 a second it is then known to about six points of a hundred."""

FIRST_SHARE: Final = 0.4
"""What the ramp's first window stays below: it begins with a tenth, and the rest is chance."""

HALF: Final = 0.5
SETTLED: Final = 1.0
"""Seconds before the cut in which a call that began may still have been touched by it."""

MOST_PROBES: Final = 6
"""Calls there before the ramp: three probes, and what came between its beginning and the look that noticed it."""


@dataclass(slots=True)
class Call:
    """One streamed call as its caller saw it.

    Attributes:
        begun: when it was made.
        backend: the backend that began the answer, "" as long as none did.
        attempts: how many were made until then.
        pieces: when each piece of text came.
        ended: when it was over, None as long as it runs.
        problem: why it failed, "" when its text came whole.

    """

    begun: float
    backend: str = ""
    attempts: int = 0
    pieces: list[float] = field(default_factory=list)
    ended: float | None = None
    problem: str = ""

    @property
    def failed(self) -> bool:
        """Whether it is over without the whole text."""
        return self.ended is not None and bool(self.problem)


@dataclass(slots=True)
class Story:
    """When what happened; None: it has not.

    Attributes:
        begun: the first call.
        cut: Singapore was cut off.
        restored: it answers again.
        closed: the proxy was seen to send it more than probes again.
        half: more than half of the calls were answered there again.

    """

    begun: float
    cut: float | None = None
    restored: float | None = None
    closed: float | None = None
    half: float | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What the proxy counted since the first call: changes of the breaker's phase, and streams that were resumed."""

    opened: int = 0
    half_opened: int = 0
    closed: int = 0
    resumed: int = 0


@dataclass(frozen=True, slots=True)
class Second:
    """The calls that were made in one second, by who answered; `failed` are among them or were answered by nobody."""

    home: int
    away: int
    failed: int


def seconds(calls: Sequence[Call], begun: float, until: float) -> list[Second]:
    """Return the calls of each second from `begun` on; the last one may not be over yet."""
    counts = [[0, 0, 0] for _ in range(max(0, int(until - begun) + 1))]
    for call in calls:
        at = int(call.begun - begun)
        if 0 <= at < len(counts):
            counts[at][0] += call.backend == HOME
            counts[at][1] += call.backend == AWAY
            counts[at][2] += call.failed
    return [Second(*count) for count in counts]


def share(calls: Sequence[Call], since: float, until: float) -> float | None:
    """Return which part of the calls made between two times was answered by `HOME`, None when none was answered."""
    answered = [call for call in calls if since <= call.begun < until and call.backend]
    return sum(call.backend == HOME for call in answered) / len(answered) if answered else None


def moved_after(calls: Sequence[Call], cut: float, until: float) -> float | None:
    """Return the seconds from the cut to the last moment at which it held a caller up, None when it touched no call.

    It held up the calls that lost an attempt, until their first piece, and the streams under way, until they went on.
    Only calls that were made before `until` count.
    """
    moments: list[float] = []
    for call in calls:
        if call.begun >= until or not call.pieces:
            continue
        if call.begun >= cut:
            if call.attempts > 1 or call.backend == HOME:
                moments.append(call.pieces[0])
        elif call.backend == HOME or call.attempts > 1:
            went_on = _went_on(call, cut)
            moments += [] if went_on is None else [went_on]
    return max(moments) - cut if moments else None


def longest_pause(calls: Sequence[Call], cut: float) -> float | None:
    """Return the longest silence in the streams that were under way at the cut, None when there was none."""
    pauses = [_pauses(call) for call in calls if _under_way(call, cut)]
    return max((max(pause for pause, _ in found) for found in pauses if found), default=None)


def failures(calls: Sequence[Call]) -> list[Call]:
    """Return the calls that failed."""
    return [call for call in calls if call.failed]


def came_back(calls: Sequence[Call], closed: float, now: float) -> bool:
    """Return whether more than half of the calls of the last window were answered by `HOME`, the ramp being on."""
    return now - closed >= WINDOW and (share(calls, now - WINDOW, now) or 0.0) > HALF


def mistakes(story: Story, calls: Sequence[Call], changes: Changes) -> list[str]:
    """Return in words what did not go as it must."""
    found = _failed(calls)
    if story.cut is None:
        return [*found, "Singapore was not cut off"]
    before = share(calls, story.begun, story.cut - SETTLED)
    if before != 1.0:
        found.append(f"before the cut: expected every call at {HOME}, got {_percent(before)}")
    moved = moved_after(calls, story.cut, story.cut if story.restored is None else story.restored)
    if moved is None or moved > MOVED_WITHIN:
        found.append(f"calls moved: expected within {MOVED_WITHIN:g} s of the cut, got {_seconds(moved)}")
    if changes.resumed < 1:
        found.append("streams that were cut and went on: expected some, got none")
    if changes.opened < 1:
        found.append(f"the breaker of {HOME} did not open")
    return found + _way_back(story, calls, changes)


def _way_back(story: Story, calls: Sequence[Call], changes: Changes) -> list[str]:
    if story.restored is None:
        return ["Singapore was not restored"]
    if changes.half_opened < 1 or changes.closed < 1 or story.closed is None:
        return [f"{HOME} was not seen to come back by a probe"]
    found: list[str] = []
    probes = sum(story.restored <= call.begun < story.closed and call.backend == HOME for call in calls)
    if not 0 < probes <= MOST_PROBES:
        found.append(f"calls at {HOME} before the ramp: expected its probes, at most {MOST_PROBES}, got {probes}")
    first = share(calls, story.closed, story.closed + WINDOW)
    if first is None or first > FIRST_SHARE:
        found.append(f"the ramp's first {WINDOW:g} s: expected at most {_percent(FIRST_SHARE)}, got {_percent(first)}")
    if story.half is None:
        found.append(f"half of the calls were not answered by {HOME} again in time")
    return found


def _failed(calls: Sequence[Call]) -> list[str]:
    failed = failures(calls)
    return [f"failed calls: expected none, got {len(failed)}; the first: {failed[0].problem}"] if failed else []


def _under_way(call: Call, cut: float) -> bool:
    return call.begun < cut and call.backend == HOME and bool(call.pieces) and (call.ended is None or call.ended > cut)


def _went_on(call: Call, cut: float) -> float | None:
    """Return when a call that began before the cut went on after it; None when its longest pause was not the cut's."""
    _, end = max(_pauses(call), default=(0.0, 0.0))
    return end if end > cut else None


def _pauses(call: Call) -> list[tuple[float, float]]:
    """Return each silence of a call, from its beginning on, and when it ended."""
    times = [call.begun, *call.pieces]
    return [(after - before, after) for before, after in pairwise(times)]


def _percent(part: float | None) -> str:
    return "no call" if part is None else f"{part:.0%}".replace("%", " %")


def _seconds(value: float | None) -> str:
    return "no call that noticed" if value is None else f"{value:.1f} s"
