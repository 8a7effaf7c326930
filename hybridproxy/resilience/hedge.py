"""How long the first output of a target usually takes: what decides when a second attempt is worth its price."""

from collections.abc import Mapping
from typing import Final, NewType

from hybridproxy.model.backend import Backend
from hybridproxy.model.health import HealthKey
from hybridproxy.model.plan import Plan

KEPT: Final = 128
ENOUGH: Final = 20
"""Calls below which nothing is usual yet."""

PERCENTILE: Final = 0.95


HedgeAfter = NewType("HedgeAfter", float)
"""Seconds without output after which a second backend is asked. Only `hedge_after` makes it, of an ordinary plan."""


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


def hedge_after(plan: Plan[Backend], known: Mapping[HealthKey, FirstTokens]) -> HedgeAfter | None:
    """Return when a second backend is asked beside a slow one, None: never. A sovereign plan is refused by its type.

    Args:
        plan: the attempts of an ordinary tenant's stream.
        known: how long targets took so far.

    """
    if not plan.handling.hedge:
        return None
    times = known.get(plan.targets[0].health_key)
    usual = None if times is None else times.usual()
    return None if usual is None else HedgeAfter(usual)
