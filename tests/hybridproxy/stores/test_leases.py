"""The right to probe of a replica that shares nothing."""

from hybridproxy.resilience import breaker
from hybridproxy.resilience.breaker import Phase
from hybridproxy.stores.leases import LocalLeases
from hybridproxy.stores.memory import MemoryHealth

KEY = ("together-us", "host", "qwen", "together-us#1")


async def test_a_replica_alone_always_has_the_right() -> None:
    """Its epoch is the next one, so that the breaker takes it; renewing works, and nobody waits for the result."""
    health = MemoryHealth(lambda: 100.0, lambda: 0.0, lambda: 0.5)
    leases = LocalLeases(health)
    for expected in (1, 2):
        health.step(KEY, breaker.HeardOpen(0.0, expected - 1, "out"))
        epoch = await leases.take(KEY, 5)
        assert epoch == expected
        assert health.step(KEY, breaker.Leased(epoch, 105.0)).phase is Phase.HALF_OPEN
        assert await leases.renew(KEY, epoch, 5)
        leases.finish(KEY, epoch, closed=False)
        health.step(KEY, breaker.Expired(force=True))
