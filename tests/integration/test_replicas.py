"""Two replicas that share health through a real Redis server."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hybridproxy.app import Worker
from hybridproxy.config.load import load
from hybridproxy.resilience.breaker import Phase
from tests.support.patience import LONG
from tests.support.redis_servers import RedisServer
from tests.support.stack import ENVIRON, SHOP, TORONTO, Stack, chat, running


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
    """A host that cannot be reached is left alone by both."""
    stack, other, _ = fleet
    stack.sim("together").behave({"fault": {"kind": "refuse", "when": "accept", "how": "reset", "for_ms": 3000}})
    stack.sim("together").server.close()
    for _ in range(5):
        assert await ask(stack, stack.worker) == (200, "openrouter-us", "2")
    await stack.until(lambda: phases(other, "together-us") - {Phase.CLOSED})
    assert await ask(stack, other) == (200, "openrouter-us", "1")


async def test_a_drain_at_one_replica_is_a_drain_at_all(fleet: tuple[Stack, Worker, RedisServer]) -> None:
    """The operator speaks to one admin port; the other replica hears it, and hears the end of it."""
    stack, other, _ = fleet
    stack.worker.health.drain("together-us", "maintenance", 60)
    await stack.until(lambda: other.health.view)
    assert await ask(stack, other) == (200, "openrouter-us", "1")
    stack.worker.health.undrain("together-us")
    await stack.until(lambda: not other.health.view)
    assert await ask(stack, other) == (200, "together-us", "1")


async def test_a_reset_at_one_replica_is_a_reset_at_all(fleet: tuple[Stack, Worker, RedisServer]) -> None:
    """A trip is heard, and so is the reset that ends it before its time."""
    stack, other, _ = fleet
    for worker in (stack.worker, other):
        assert await ask(stack, worker) == (200, "together-us", "1")
    stack.worker.health.trip("together-us", "it answers nonsense", 60)
    await stack.until(lambda: phases(other, "together-us") == {Phase.OPEN})
    assert other.health.reset("together-us")
    await stack.until(lambda: phases(stack.worker, "together-us") == {Phase.CLOSED})
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
    await stack.until(lambda: shared.up)
    names = [line["event"] for line in await stack.lines() if line["event"].startswith("redis.")]
    # on a machine that stands for a moment it may be lost and found more than once
    assert (set(names[::2]), set(names[1::2])) == ({"redis.lost"}, {"redis.found"})


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


# ---- limits of tenants ----


async def admitted(stack: Stack, workers: Sequence[Worker], calls: int) -> int:
    """Make calls at replicas in turn; return how many were let in, the others having been refused for a limit."""
    statuses = [(await ask(stack, workers[n % len(workers)]))[0] for n in range(calls)]
    assert set(statuses) <= {200, 429}
    return statuses.count(200)


def most_in_a_minute(stack: Stack) -> int:
    """Return the most calls that came to the upstream within any 60 s: a slow machine makes them in more than that."""
    times = [entry.began for entry in stack.sim("together").upstream.journal.entries]
    return max(sum(0 <= other - one < 60 for other in times) for one in times)


async def shares_of(stack: Stack, *workers: Worker) -> list[int]:
    """Return the share of the shop's requests that replicas show in their state."""
    return [worker.quotas.state()["limits"][0]["share"] for worker in workers]


async def test_a_limit_is_one_limit_at_all_replicas(tmp_path: Path) -> None:
    """Twenty calls a minute, asked for at both: no more than a tenth above come through, however they are spread."""
    with RedisServer(tmp_path) as server:
        redis, limits = f'redis: {{url: "{server.url}"}}', ", limits: {rpm: 20}"
        async with running(tmp_path, redis=redis, limits=limits) as stack, replica(stack) as other:
            await stack.until(lambda: both_live(stack, other))
            assert await admitted(stack, [stack.worker], 15) >= 1
            async with asyncio.timeout(LONG):
                while len(stack.received("together")) < 19:
                    await admitted(stack, [stack.worker, other], 4)
                    await asyncio.sleep(0.1)
            await admitted(stack, [stack.worker, other], 40)
            assert most_in_a_minute(stack) <= 22
            assert sum(await shares_of(stack, stack.worker, other)) <= 22
            server.kill()
            await stack.until(lambda: stack.worker.shared is not None and not stack.worker.shared.up)
            await admitted(stack, [stack.worker, other], 20)
            assert most_in_a_minute(stack) <= 24
            metrics = stack.worker.metrics.render()
            assert b"hybridproxy_fleet_workers 2.0" in metrics


async def test_what_is_shared_of_limits_names_nobody(tmp_path: Path) -> None:
    """Nor does it say more than amounts: three keys, opaque names, numbers, and each key has its end."""
    with RedisServer(tmp_path) as server:
        redis, limits = f'redis: {{url: "{server.url}"}}', ", limits: {rpm: 20, tpm: 9000}, budget: {usd_per_day: 5}"
        async with running(tmp_path, redis=redis, limits=limits) as stack:
            await ask(stack, stack.worker)
            await stack.until(lambda: server.ask("EXISTS", "{hp:default}:shares"))
            with server.client() as client:
                await stack.until(lambda: len(client.hkeys("{hp:default}:shares")) >= 4)
                for key in client.keys("*:sh*") + client.keys("*:spend*"):
                    assert client.pttl(key) > 0
                    for field, text in client.hgetall(key).items():
                        assert re.fullmatch(rb"[gwf]|l [0-9a-f]{16}", field)
                        assert re.fullmatch(rb"[0-9a-f ;]+", text)


RIGHTS = re.compile(r"^ACL SETUSER hybridproxy on >\S+ (.*)$", re.MULTILINE)
"""What the configuration's page tells an operator to give our user in Redis."""


async def test_the_documented_rights_in_redis_are_enough(tmp_path: Path) -> None:
    """Health, shares and sums of the ledger are shared with the rights that the page names, and with no others."""
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    (rights,) = RIGHTS.findall(page)
    with RedisServer(tmp_path, options={"user hybridproxy": f"on >{ENVIRON['TOGETHER2']} {rights}"}) as server:
        redis = f'redis: {{url: "redis://hybridproxy:${{TOGETHER2}}@127.0.0.1:{server.port}/1"}}'
        ledger, limits = f"ledger: {{path: {tmp_path / 'ledger'}}}", ", limits: {rpm: 20}, budget: {usd_per_day: 5}"
        async with running(tmp_path, redis=redis, audit=ledger, limits=limits) as stack:
            await ask(stack, stack.worker)
            with server.client() as client:
                client.select(1)
                names = rb"\{hp:default\}:(health|shares|spend:\d+|usage:[0-9-]{10})"
                await stack.until(lambda: len(client.keys("*")) == 4)
                assert all(re.fullmatch(names, name) for name in client.keys("*"))
            headers = {"authorization": f"Bearer {ENVIRON['ADMIN_TOKEN']}"}
            async with stack.http.get(stack.admin_url + "/admin/v1/usage", headers=headers) as response:
                assert (await response.json())["scope"] == "fleet"
            await ask(stack, stack.worker)
            shared, teller = stack.worker.shared, stack.worker.teller
            assert shared is not None
            assert teller is not None
            await stack.until(lambda: shared.up)
            assert (shared.failures, shared.poisoned, teller.failures) == (0, 0, 0)


async def test_what_lies_in_redis_of_limits_makes_them_no_larger(tmp_path: Path) -> None:
    """Values of another form are removed and counted; a key of another sort is told, and health goes on."""
    with RedisServer(tmp_path) as server:
        redis, limits = f'redis: {{url: "{server.url}"}}', ", limits: {rpm: 20}"
        async with running(tmp_path, redis=redis, limits=limits) as stack:
            await ask(stack, stack.worker)
            shared = stack.worker.shared
            assert shared is not None
            with server.client() as client:
                key = "{hp:default}:shares"
                await stack.until(lambda: len(client.hkeys(key)) >= 3)
                for field in client.hkeys(key):
                    client.hset(key, field, "a b 99999999999999999999 1;" * 3)
                await stack.until(lambda: shared.poisoned >= 3)
                assert await admitted(stack, [stack.worker], 30) <= 20
                client.delete(key)
                client.set(key, "x")
                before = shared.poisoned
                await stack.until(lambda: shared.poisoned > before)
                assert shared.up
                assert await admitted(stack, [stack.worker], 10) <= 20
