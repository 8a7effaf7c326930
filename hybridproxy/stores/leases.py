"""The right to probe: one in the whole fleet for each target.

Whoever has it carries its epoch, a number that only grows; a result that comes under an older one is dropped.
"""

from typing import Protocol

from hybridproxy.model.health import HealthKey
from hybridproxy.stores.memory import MemoryHealth


class Leases(Protocol):
    """Where the right to probe comes from."""

    async def take(self, key: HealthKey, seconds: float) -> int | None:
        """Return the epoch of the right to probe for so long, None when somebody else has it."""
        ...

    async def renew(self, key: HealthKey, epoch: int, seconds: float) -> bool:
        """Keep the right for longer; False when it is lost."""
        ...

    def finish(self, key: HealthKey, epoch: int, *, closed: bool, open_for: float = 0.0) -> None:
        """Give the right back with the result; not closed and open for no time: there is no evidence."""
        ...


class LocalLeases:
    """The rights of a replica that shares nothing: it always has them, one at a time by `breaker.step`."""

    def __init__(self, health: MemoryHealth) -> None:
        """Take the health whose epochs go on."""
        self._health = health

    async def take(self, key: HealthKey, seconds: float) -> int | None:  # noqa: ARG002 - as the protocol
        """Return the next epoch."""
        return self._health.state(key).epoch + 1

    async def renew(self, key: HealthKey, epoch: int, seconds: float) -> bool:  # noqa: ARG002 - as the protocol
        """Keep it."""
        return True

    def finish(self, key: HealthKey, epoch: int, *, closed: bool, open_for: float = 0.0) -> None:
        """Nobody else waits for it."""
