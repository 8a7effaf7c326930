"""Two replicas that share health through a real Redis server."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hybridproxy.app import Worker
from hybridproxy.config.load import load
from hybridproxy.resilience.breaker import Phase
from tests.support.redis_servers import RedisServer
from tests.support.stack import SHOP, TORONTO, Stack, chat, running


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[tuple[Stack, Worker, RedisServer]]:
    """A stack, a second replica of it, and their Redis."""
    with RedisServer(tmp_path) as server:
        redis = f'redis: {{url: "{server.url}"}}'
        async with running(tmp_path, redis=redis, open_for="1s", open_max="1s") as stack, replica(stack) as other:
            await stack.until(lambda: both_live(stack, other))
            yield stack, other, server


@asynccontextmanager
async def replica(stack: Stack) -> AsyncIterator[Worker]:
    """Start one more worker with the same configuration."""
    fd = os.open(stack.log.with_name("other.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    worker = Worker(stack.worker.path, load(stack.worker.path, os.environ), fd)
    try:
        await worker.start()
        yield worker
    finally:
        await worker.close()
        os.close(fd)


def both_live(stack: Stack, other: Worker) -> bool:
    """Return whether both replicas see each other."""
    sharing = [worker.shared for worker in (stack.worker, other)]
    return all(one is not None and one.live == 2 for one in sharing)


async def ask(stack: Stack, worker: Worker) -> tuple[int, str, str]:
    """Make a call at one replica; return status, backend and attempts."""
    headers = {"x-forwarded-for": TORONTO, "authorization": f"Bearer {SHOP}"}
    url = f"http://127.0.0.1:{worker.port}/v1/chat/completions"
    async with stack.http.post(url, headers=headers, json=chat()) as response:
        await response.read()
        answered = response.headers
        return response.status, answered["x-hybridproxy-backend"], answered["x-hybridproxy-attempts"]


def phases(worker: Worker, backend: str) -> set[Phase]:
    """Return the phases of a backend's targets at a replica."""
    return {state.phase for key, state in worker.health.states().items() if key[0] == backend}


async def test_what_one_replica_found_out_the_other_knows(fleet: tuple[Stack, Worker, RedisServer]) -> None:
    """A host that cannot be reached is left alone by both within two seconds; both have it back after one's probes."""
    stack, other, _ = fleet
    stack.sim("together").behave({"fault": {"kind": "refuse", "when": "accept", "how": "reset", "for_ms": 3000}})
    stack.sim("together").server.close()
    for _ in range(5):
        assert await ask(stack, stack.worker) == (200, "openrouter-us", "2")
    await stack.until(lambda: phases(other, "together-us") - {Phase.CLOSED}, 2.0)
    assert await ask(stack, other) == (200, "openrouter-us", "1")


async def test_a_drain_at_one_replica_is_a_drain_at_all(fleet: tuple[Stack, Worker, RedisServer]) -> None:
    """The operator speaks to one admin port; the other replica hears it, and hears the end of it."""
    stack, other, _ = fleet
    stack.worker.health.drain("together-us", "maintenance", 60)
    await stack.until(lambda: other.health.view, 2.0)
    assert await ask(stack, other) == (200, "openrouter-us", "1")
    stack.worker.health.undrain("together-us")
    await stack.until(lambda: not other.health.view, 2.0)
    assert await ask(stack, other) == (200, "together-us", "1")


async def test_a_reset_at_one_replica_is_a_reset_at_all(fleet: tuple[Stack, Worker, RedisServer]) -> None:
    """A trip is heard, and so is the reset that ends it before its time."""
    stack, other, _ = fleet
    for worker in (stack.worker, other):
        assert await ask(stack, worker) == (200, "together-us", "1")
    stack.worker.health.trip("together-us", "it answers nonsense", 60)
    await stack.until(lambda: phases(other, "together-us") == {Phase.OPEN}, 2.0)
    assert other.health.reset("together-us")
    await stack.until(lambda: phases(stack.worker, "together-us") == {Phase.CLOSED}, 2.0)
    assert await ask(stack, stack.worker) == (200, "together-us", "1")


async def test_redis_goes_away_and_nobody_notices(fleet: tuple[Stack, Worker, RedisServer]) -> None:
    """Killed under load: every call is answered, the replica says that it is alone, and finds Redis again."""
    stack, _, server = fleet
    server.kill()
    assert stack.worker.shared is not None
    shared = stack.worker.shared
    for _ in range(50):
        assert await ask(stack, stack.worker) == (200, "together-us", "1")
        await asyncio.sleep(0.02)
    await stack.until(lambda: not shared.up)
    async with stack.http.get(stack.url + "/readyz") as response:
        assert response.status == 200
    server.restart()
    await stack.until(lambda: shared.up, 10.0)
    names = [line["event"] for line in await stack.lines() if line["event"].startswith("redis.")]
    assert names == ["redis.lost", "redis.found"]


async def test_what_is_shared_names_nobody(fleet: tuple[Stack, Worker, RedisServer]) -> None:
    """No key, tenant, backend, model or address stands in Redis, whatever happened."""
    stack, _, server = fleet
    stack.sim("together").behave({"bad_keys": ["tg-key"]})
    stack.sim("openrouter").behave({"fault": {"kind": "status", "status": 429}})
    for _ in range(8):
        await ask(stack, stack.worker)
    stack.worker.health.drain("dashscope-sg", "maintenance", 60)
    await asyncio.sleep(1.2)
    client = server.client()
    shown: list[Any] = [client.hgetall(key) for key in client.scan_iter()]
    client.close()
    assert shown
    text = str(shown)
    for secret in ("tg-key", "or-key", "shop", "together", "openrouter", "dashscope", "qwen", "127.0.0.1", SHOP):
        assert secret not in text
