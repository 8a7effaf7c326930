"""Workers that share one Redis, in one process: by a clock that the test sets, or left to themselves by ours."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Collection, Iterator
from types import TracebackType
from typing import Any, Self

import orjson
import pytest

from hybridproxy.config.settings import Redis
from hybridproxy.model.fault import Verdict
from hybridproxy.model.health import HealthKey, backend_key, credential_key
from hybridproxy.resilience.breaker import DEFAULT_RULES, Outcome, Phase, Rules, Signal
from hybridproxy.stores import redis as connection
from hybridproxy.stores.memory import MemoryHealth
from hybridproxy.stores.redis import Script, Server
from hybridproxy.stores.shared import SCRIPT, SharedHealth
from tests.hybridproxy.stores.agreed import AT_WILL
from tests.support.patience import LONG, until

KEY: HealthKey = ("canary-backend", "host.example:443", "canary-model", "canary-backend#1")
OTHER: HealthKey = ("canary-backend", "host.example:443", "canary-mini", "canary-backend#1")
SCOPES = (backend_key(KEY[0]), credential_key(KEY[0], KEY[3]))
REDIS_KEY = "{hp:default}:health"
BRIEF = Rules(0.05, 0.1)
TENANTS = ("canary-tenant-a", "canary-tenant-b")


def settings(*nodes: tuple[str, int], **more: Any) -> Redis:
    """Return how to reach a server."""
    return Redis(more.pop("mode", "standalone"), nodes, **more)


EPOCH = 1_800_000_000.0
"""Seconds since 1970 at a clock's beginning."""

PATIENCE = connection.TIMEOUT, connection.DEADLINE
"""Of the product."""


@contextlib.contextmanager
def impatient() -> Iterator[None]:
    """Take a server for gone as soon as the product does; else the tests have the patience that `conftest` gives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "TIMEOUT", PATIENCE[0])
        patch.setattr(connection, "DEADLINE", PATIENCE[1])
        yield


class Clock:
    """Seconds that pass when the test says so, for workers and for Redis.

    Attributes:
        now: seconds since some moment.
        way: seconds that a call takes to Redis, and as many back.

    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.way = 0.0

    def time(self) -> float:
        """Return the seconds since some moment."""
        return self.now

    def wall(self) -> float:
        """Return the seconds since the epoch."""
        return EPOCH + self.now

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def rule(self, server: Server) -> None:
        """Let Redis go by this clock when it is asked over a connection."""
        call = server.call

        async def called(script: Script, key: str | tuple[str, ...], argument: bytes) -> object:
            assert script is SCRIPT
            self.now += self.way
            timed = orjson.loads(argument) | {"time": int(self.wall() * 1000)}
            answer = await call(Script(AT_WILL), key, orjson.dumps(timed))
            self.now += self.way
            return answer

        server.call = called  # type: ignore[method-assign]


class Worker:
    """One: what it knows, what it shares, what it logged."""

    def __init__(
        self, number: int, redis: Redis, rules: Rules, keys: Collection[HealthKey], clock: Clock | None
    ) -> None:
        self.now = asyncio.get_running_loop().time if clock is None else clock.time
        self.rng = random.Random(number)
        self.events: list[tuple[str, dict[str, Any]]] = []
        wall = time.time if clock is None else clock.wall
        self.health = MemoryHealth(self.now, wall, self.rng.random, rules)
        self.shared = SharedHealth(
            self.health,
            redis,
            f"{number:016x}",
            now=self.now,
            rng=self.rng.random,
            keys=lambda: keys,
            scopes=lambda: SCOPES,
            log=lambda event, **fields: self.events.append((event, fields)),
        )
        self.rights = self.shared.rights
        self.task: asyncio.Task[None] | None = None
        if clock is not None:
            clock.rule(self.shared._server)

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
        return self.health.state(key).until - self.now()


class Fleet:
    """So many workers: `sync` lets them all sync in turn, by `clock`; those that `run` sync by themselves."""

    def __init__(
        self,
        redis: Redis,
        count: int = 2,
        *,
        rules: Rules = DEFAULT_RULES,
        keys: Collection[HealthKey] = (KEY, OTHER),
        first: int = 1,
        run: bool = False,
    ) -> None:
        self.clock = Clock()
        clock = None if run else self.clock
        self.workers = [Worker(first + number, redis, rules, keys, clock) for number in range(count)]

    async def sync(self) -> None:
        """Let every worker sync once."""
        for worker in self.workers:
            assert await worker.sync()

    def start(self) -> None:
        """Let all run, that were made to."""
        for worker in self.workers:
            worker.task = asyncio.create_task(worker.shared.run())

    async def next_syncs(self) -> None:
        """Wait until each worker that runs has begun a call since: the one before has come to its end."""
        before = [worker.shared.round_trips for worker in self.workers]
        await until(lambda: all(w.shared.round_trips > n for w, n in zip(self.workers, before, strict=True)))

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


async def reached(condition: Callable[[], bool], what: str) -> None:
    """Wait for something; say what it was where it did not come."""
    try:
        await until(condition)
    except TimeoutError:
        raise AssertionError(f"not within {LONG} s: {what}") from None
