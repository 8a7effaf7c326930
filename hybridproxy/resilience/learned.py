"""What an upstream's own words and refusals teach of how much it takes, for one model with one credential.

    calls at a time    After Netflix's AIMD limit: the first drop (a 429, a 503, no first token in time) sets it to 0.9
                       of what was under way, each further one to 0.9 of that; a good answer adds one where at least
                       half of it was in use. Of the drops that were under way together one counts.
    requests a minute  A 429 where the operator gave no limit: nine tenths of what went out within the last minute.
                       That holds for a minute and then grows by a tenth of itself a minute.
    calls that are left  What the headers of an answer say. Calls that left after the answer's own count against it.

Before the first drop there is no limit, so a good day costs nothing. After ten calm minutes what was learnt is
forgotten. Few calls are never too many: with fewer than `FEW` under way no drop says that there were too many of them,
and no fewer than `FEWEST` requests a minute are ever learnt.
"""

import math
from collections.abc import Iterable
from typing import Final

from hybridproxy.model.fault import FaultKind
from hybridproxy.resilience.limiter import SPAN

BACKOFF: Final = 0.9
CALM: Final = 600.0
"""Seconds without a drop after which what was learnt is forgotten."""

FEW: Final = 5
FEWEST: Final = 60.0
GROWTH: Final = 0.1
"""Part of itself by which a learnt rate grows in a minute, once it has held for one."""

MAX_HOLD: Final = 60.0
"""Seconds; whatever its headers say, an upstream is not left alone for longer."""

PLENTY: Final = 1000
"""Calls; where more are left nothing has to be counted."""

DROPS: Final = frozenset({FaultKind.THROTTLED, FaultKind.OVERLOADED, FaultKind.TIMEOUT_FIRST_TOKEN})


class AtATime:
    """How many calls may be under way."""

    __slots__ = ("_at", "limit")

    def __init__(self) -> None:
        """Begin without a limit."""
        self.limit: float | None = None
        self._at = -math.inf

    def dropped(self, under_way: int, began: float, now: float) -> None:
        """Take the news that a call which began then was dropped while so many were under way, itself included."""
        if self.limit is None:
            if under_way < FEW:
                return
            self.limit = float(under_way)
        elif began < self._at:
            return  # it began before the limit was lowered, and says nothing of the lower one
        self.limit = max(1.0, BACKOFF * min(self.limit, under_way))
        self._at = now

    def good(self, under_way: int) -> None:
        """Take the news that a call was answered while so many were under way."""
        if self.limit is not None and under_way * 2 >= self.limit:
            self.limit += 1.0

    def current(self, now: float) -> int | None:
        """Return the limit, None when there is none, or none any more."""
        if self.limit is not None and now - self._at > CALM:
            self.limit = None
        return None if self.limit is None else int(self.limit)


class ARate:
    """How many requests may go out in a minute."""

    __slots__ = ("_at", "_base")

    def __init__(self) -> None:
        """Begin without a limit."""
        self._base: float | None = None
        self._at = -math.inf

    def throttled(self, sent: int, seconds: float, now: float) -> None:
        """Take the news that a call was throttled, after so many went out in the last so many seconds."""
        if self._base is None or now - self._at >= SPAN:
            self._base = max(FEWEST, BACKOFF * sent * SPAN / seconds)
            self._at = now

    def current(self, now: float) -> int | None:
        """Return the limit, None when there is none, or none any more."""
        if self._base is None:
            return None
        calm = now - self._at
        if calm > CALM:
            self._base = None
            return None
        return int(self._base * (1.0 + GROWTH * max(0.0, calm - SPAN) / SPAN))


class Left:
    """How many calls are left by the upstream's own words, and until when that holds."""

    __slots__ = ("_heard", "_last", "_until")

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._heard = 0
        self._last: int | None = None
        self._until = 0.0

    def told(self, number: int, left: Iterable[tuple[int, float]], now: float) -> None:
        """Take what the answer to our call of this number says: calls that are left, and seconds until more are.

        Of several the fewest count. An answer to an earlier call than the one heard of last says nothing new.
        """
        if number < self._heard:
            return
        self._heard = number
        calls, seconds = min(left, key=lambda one: (one[0], -one[1]))
        self._last = None if calls >= PLENTY else number + calls
        self._until = now + min(max(0.0, seconds), MAX_HOLD)

    def wait(self, number: int, now: float) -> float:
        """Return the seconds until one more may go out, after so many did."""
        if self._last is None or number < self._last:
            return 0.0
        if now >= self._until:
            self._last = None
            return 0.0
        return self._until - now

    @property
    def counts(self) -> bool:
        """Whether there is anything to count."""
        return self._last is not None
