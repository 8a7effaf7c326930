"""Who is next of those who wait: by priority, and within one the tenants in turn.

A lower number comes first. Within a number each tenant has one call served, then the next tenant: a burst of one tenant
does not stand before another's single call, whoever came first. In a full line the tenant that has the most waiting
makes room.
"""

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Line(Generic[T]):
    """Items that wait."""

    __slots__ = ("_count", "_turns")

    def __init__(self) -> None:
        """Begin empty."""
        self._turns: dict[int, dict[str, deque[T]]] = {}  # of each priority the tenants, the next one first
        self._count = 0

    def __len__(self) -> int:
        """How many wait."""
        return self._count

    def add(self, item: T, priority: int, tenant: str) -> None:
        """Let an item wait behind its tenant's others."""
        self._turns.setdefault(priority, {}).setdefault(tenant, deque()).append(item)
        self._count += 1

    def firsts(self) -> Iterator[T]:
        """Return the first item of each tenant, in the order to serve them."""
        for priority in sorted(self._turns):
            for items in self._turns[priority].values():
                yield items[0]

    def served(self, priority: int, tenant: str) -> None:
        """Take out a tenant's first item; its next one is served after the other tenants'."""
        tenants = self._turns[priority]
        items = tenants.pop(tenant)
        items.popleft()
        self._count -= 1
        if items:
            tenants[tenant] = items
        elif not tenants:
            del self._turns[priority]

    def remove(self, item: T, priority: int, tenant: str) -> None:
        """Take out an item that waits no longer."""
        tenants = self._turns[priority]
        items = tenants[tenant]
        items.remove(item)
        self._count -= 1
        if not items:
            del tenants[tenant]
            if not tenants:
                del self._turns[priority]

    def last_for(self, priority: int, tenant: str) -> T | None:
        """Return who has to make room for one more of a tenant's; None: nobody does, it would be the last itself."""
        worst = max(self._turns, default=priority)
        if worst < priority or not self._turns:
            return None
        longest = max(self._turns[worst].values(), key=len)
        own = len(self._turns[worst].get(tenant, ()))
        return longest[-1] if worst > priority or own + 1 < len(longest) else None
