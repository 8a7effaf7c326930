"""What this process knows of the load of endpoints: its own calls there, and what their engines said last."""

from collections.abc import Collection

from hybridproxy.model.load import EndpointKey, Loads, Reading


class MemoryLoads:
    """Loads by endpoint; `view` is what routing gets: it is never replaced, and changed only here."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._ours: dict[EndpointKey, int] = {}
        self._readings: dict[EndpointKey, Reading] = {}
        self.view = Loads(self._ours, self._readings)

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

    def retain(self, places: Collection[EndpointKey]) -> None:
        """Forget what engines said that are not among these."""
        for place in [place for place in self._readings if place not in places]:
            del self._readings[place]
