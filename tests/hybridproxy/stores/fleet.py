"""Workers that share one Redis, in one process."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any, Self

from hybridproxy.config.settings import Redis
from hybridproxy.model.fault import Verdict
from hybridproxy.model.health import HealthKey, backend_key, credential_key
from hybridproxy.resilience.breaker import DEFAULT_RULES, Outcome, Phase, Rules, Signal
from hybridproxy.stores.memory import MemoryHealth
from hybridproxy.stores.shared import SharedHealth

KEY: HealthKey = ("canary-backend", "host.example:443", "canary-model", "canary-backend#1")
OTHER: HealthKey = ("canary-backend", "host.example:443", "canary-mini", "canary-backend#1")
SCOPES = (backend_key(KEY[0]), credential_key(KEY[0], KEY[3]))
REDIS_KEY = "{hp:default}:health"
BRIEF = Rules(0.05, 0.1)
TENANTS = ("canary-tenant-a", "canary-tenant-b")


def settings(*nodes: tuple[str, int], **more: Any) -> Redis:
    """Return how to reach a server."""
    return Redis(more.pop("mode", "standalone"), nodes, **more)


class Worker:
    """One: what it knows, what it shares, what it logged."""

    def __init__(self, number: int, redis: Redis, rules: Rules, keys: Collection[HealthKey]) -> None:
        self.loop = asyncio.get_running_loop()
        self.rng = random.Random(number)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.health = MemoryHealth(self.loop.time, time.time, self.rng.random, rules)
        self.shared = SharedHealth(
            self.health,
            redis,
            f"{number:016x}",
            now=self.loop.time,
            rng=self.rng.random,
            keys=lambda: keys,
            scopes=lambda: SCOPES,
            log=lambda event, **fields: self.events.append((event, fields)),
        )
        self.rights = self.shared.rights
        self.task: asyncio.Task[None] | None = None

    async def sync(self) -> bool:
        """Say and hear once, now."""
        return await self.shared._sync()

    def fault(self, key: HealthKey = KEY, *, tenant: str = TENANTS[0], unreachable: bool = False) -> None:
        """Let one call fail."""
        self.health.step(
            key, Outcome(Signal.START, Verdict.FAULT, "overloaded", tenant=tenant, unreachable=unreachable)
        )

    def find_out(self, key: HealthKey = KEY, *, tenants: tuple[str, ...] = TENANTS, unreachable: bool = False) -> None:
        """Let as many calls of these tenants fail as open the breaker."""
        for number in range(5):
            self.fault(key, tenant=tenants[number % len(tenants)], unreachable=unreachable)
        assert self.phase(key) is Phase.OPEN

    def phase(self, key: HealthKey = KEY) -> Phase:
        """Return the phase of a target."""
        return self.health.state(key).phase

    def left(self, key: HealthKey = KEY) -> float:
        """Return for how long a target stays open."""
        return self.health.state(key).until - self.loop.time()


class Fleet:
    """So many workers; `sync` lets them all sync in turn, `start` lets each run by itself."""

    def __init__(
        self,
        redis: Redis,
        count: int = 2,
        *,
        rules: Rules = DEFAULT_RULES,
        keys: Collection[HealthKey] = (KEY, OTHER),
        first: int = 1,
    ) -> None:
        self.workers = [Worker(first + number, redis, rules, keys) for number in range(count)]

    async def sync(self) -> None:
        """Let every worker sync once."""
        for worker in self.workers:
            assert await worker.sync()

    def start(self) -> None:
        """Let all run."""
        for worker in self.workers:
            worker.task = asyncio.create_task(worker.shared.run())

    def phases(self, key: HealthKey = KEY) -> list[Phase]:
        """Return what each holds of a target."""
        return [worker.phase(key) for worker in self.workers]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.shared.close()
        for worker in self.workers:
            if worker.task is None:
                await worker.shared._server.close()
            else:
                await worker.task


async def until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> float:
    """Wait for something; return how long it took."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)
            return loop.time() - started
    raise AssertionError(f"not within {seconds} s: {what}")
