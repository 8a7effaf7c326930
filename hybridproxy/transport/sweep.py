"""One coarse timer for a whole worker, instead of one in the event loop's heap for every request."""

import asyncio
from typing import Protocol


class Expiring(Protocol):
    """Something that may take too long."""

    @property
    def deadline(self) -> float | None:
        """When it is too late, on the loop's clock; None while nothing is waited for."""
        ...

    def expired(self, now: float) -> None:
        """Take the news that the deadline is over. Unless it is moved on, the news comes again at the next tick."""
        ...


class Sweep:
    """Looks at everything registered, again and again, and tells what is late.

    A deadline is a plain attribute that its owner moves as often as it likes, which costs nothing here; in return it is
    noticed up to `interval` late. The timer runs only while something is registered. Make it on the running loop.

    Attributes:
        time: the clock of the deadlines.

    """

    __slots__ = ("_interval", "_items", "_loop", "_ticking", "time")

    def __init__(self, interval: float = 0.1) -> None:
        """Look every `interval` seconds."""
        self._interval = interval
        self._items: set[Expiring] = set()
        self._loop = asyncio.get_running_loop()
        self._ticking = False
        self.time = self._loop.time

    def __len__(self) -> int:
        """How many are registered."""
        return len(self._items)

    def register(self, item: Expiring) -> None:
        """Watch an item's deadline from now on; again is no harm."""
        self._items.add(item)
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(self._interval, self._run)

    def unregister(self, item: Expiring) -> None:
        """Watch an item no longer; again is no harm."""
        self._items.discard(item)

    def tick(self, now: float) -> None:
        """Tell every item whose deadline is over at `now`."""
        late = [item for item in self._items if (at := item.deadline) is not None and at <= now]
        for item in late:
            at = item.deadline  # the one before it may have ended or moved this one
            if at is not None and at <= now and item in self._items:
                item.expired(now)

    def _run(self) -> None:
        self._ticking = bool(self._items)
        if self._ticking:  # first, so that a bug in one item does not stop the clock of all the others
            self._loop.call_later(self._interval, self._run)
            self.tick(self.time())
