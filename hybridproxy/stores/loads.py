"""What this process knows of the load of endpoints: its own calls there, and what their engines said last.

And how soon backends answer, which each process measures for itself.
"""

from collections.abc import Collection
from typing import Final

from hybridproxy.model.load import EndpointKey, Loads, Pace, PaceKey, Reading
from hybridproxy.routing.preference import paced

MAX_PACES: Final = 10_000
"""Models of backends whose times are kept; more can only come from wildcards, and then all are learnt anew."""


class MemoryLoads:
    """Loads by endpoint; `view` is what routing gets: it is never replaced, and changed only here."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._ours: dict[EndpointKey, int] = {}
        self._readings: dict[EndpointKey, Reading] = {}
        self._paces: dict[PaceKey, Pace] = {}
        self.view = Loads(self._ours, self._readings, self._paces)

    def began(self, place: EndpointKey) -> None:
        """Take the news that a call went there."""
        self._ours[place] = self._ours.get(place, 0) + 1

    def ended(self, place: EndpointKey) -> None:
        """Take the news that a call there is over."""
        left = self._ours[place] - 1
        if left:
            self._ours[place] = left
        else:
            del self._ours[place]

    def said(
        self, place: EndpointKey, running: float, waiting: float, usage: float, now: float, before: int = 0
    ) -> None:
        """Take what an engine says of its load; `before`: our calls there when it was asked.

        It counted at some moment between the two, and calls that ended meanwhile are not to count as another's.
        """
        self._readings[place] = Reading(running, waiting, usage, now, max(before, self._ours.get(place, 0)))

    def spoke(self, key: PaceKey, seconds: float, now: float) -> None:
        """Take the time to the first output of a stream."""
        if len(self._paces) >= MAX_PACES:
            self._paces.clear()
        self._paces[key] = paced(self._paces.get(key), seconds, now)

    def retain(self, places: Collection[EndpointKey]) -> None:
        """Forget what engines said that are not among these."""
        for place in [place for place in self._readings if place not in places]:
            del self._readings[place]
