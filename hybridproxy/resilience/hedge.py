"""How long the first output of a target usually takes: what decides when a second attempt is worth its price."""

from typing import Final

KEPT: Final = 128
ENOUGH: Final = 20
"""Calls below which nothing is usual yet."""

PERCENTILE: Final = 0.95


class FirstTokens:
    """The times to first output of a target's last calls, in seconds."""

    __slots__ = ("_next", "_seconds", "_sorted")

    def __init__(self) -> None:
        """Begin with none."""
        self._seconds: list[float] = []
        self._next = 0
        self._sorted: float | None = None

    def add(self, seconds: float) -> None:
        """Take one more; the oldest of many goes."""
        if len(self._seconds) < KEPT:
            self._seconds.append(seconds)
        else:
            self._seconds[self._next] = seconds
            self._next = (self._next + 1) % KEPT
        self._sorted = None

    def usual(self) -> float | None:
        """Return the 95th percentile, None while too few are known."""
        if len(self._seconds) < ENOUGH:
            return None
        if self._sorted is None:
            self._sorted = sorted(self._seconds)[int(PERCENTILE * (len(self._seconds) - 1) + 0.5)]
        return self._sorted
