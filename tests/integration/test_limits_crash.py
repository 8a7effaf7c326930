"""A process that is killed while it has shares of limits: the other one gets what is its due, and no more."""

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from hybridproxy.model.limits import Measure
from hybridproxy.resilience.agreement import SETTLED
from hybridproxy.resilience.shares import LOST_FOR
from hybridproxy.simulator.server import RunningSimulator, RunningSimulators
from hybridproxy.stores.messages import digest
from tests.integration.test_audit_crash import proxy, simulators
from tests.support.patience import LONG, begin_a_day
from tests.support.redis_servers import RedisServer
from tests.support.stack import SHOP, TORONTO, chat

__all__ = ["simulators"]

STREAMS, RPM, DOLLARS = 10, 30, 0.004
LIMITS = f", limits: {{streams: {STREAMS}, models: {{only-us: {{rpm: {RPM}}}}}}}, budget: {{usd_per_day: {DOLLARS}}}"
SHARES = "{hp:default}:shares"


class Fleet:
    """Processes that share a Redis; `ports` are theirs."""

    def __init__(
        self, redis: RedisServer, http: aiohttp.ClientSession, ports: tuple[int, int], upstream: RunningSimulator
    ) -> None:
        self.redis = redis
        self.http = http
        self.ports = ports
        self.upstream = upstream

    async def ask(self, place: int, model: str = "qwen", count: int = STREAMS) -> int:
        """Make so many calls at once; return how many were let in."""

        async def one() -> bool:
            async with self.http.post(
                f"http://127.0.0.1:{self.ports[place]}/v1/chat/completions",
                headers={"authorization": f"Bearer {SHOP}", "x-forwarded-for": TORONTO},
                json=chat(model=model, max_tokens=8),
            ) as response:
                assert response.status in {200, 429}, await response.text()
                return response.status == 200

        return sum(await asyncio.gather(*(one() for _ in range(count))))

    async def at_once(self, place: int) -> int:
        """Make so many calls that last until all of them were let in or refused; return how many were let in."""
        self.upstream.behave({"latency_ms": 5000})
        admitted = await self.ask(place)
        self.upstream.behave({"latency_ms": 100})
        return admitted

    async def press(self, place: int, model: str = "qwen") -> int:
        """Make calls for as long as one is let in within a second and a half; return how many were."""
        loop = asyncio.get_running_loop()
        total, last = 0, loop.time()
        while loop.time() - last < 1.5:
            if admitted := await self.ask(place, model):
                total, last = total + admitted, loop.time()
            await asyncio.sleep(0.05)
        return total

    async def minute(self, place: int, model: str, count: int) -> None:
        """Wait until so many calls were let in; of a minute no more are."""
        loop = asyncio.get_running_loop()
        total, began = 0, loop.time()
        async with asyncio.timeout(LONG):
            while total < count:
                total += await self.ask(place, model)
                await asyncio.sleep(0.05)
        for _ in range(5):
            total += await self.ask(place, model)
        assert total <= count * (1 + (loop.time() - began) // 55)

    async def until(self, place: int, count: int, *, each: int = STREAMS) -> None:
        """Wait until so many calls at a time are let in."""
        async with asyncio.timeout(LONG):
            while await self.ask(place, count=each) < count:
                await asyncio.sleep(0.1)

    def members(self) -> dict[str, list[str]]:
        """Return what all know of the workers."""
        return {one[0]: one for one in self._records(SHARES, "w")}

    def entries(self, measure: Measure, period: int | None = None) -> dict[str, tuple[int, int]]:
        """Return by workers what each holds and has in use of a limit of all the tenant's calls."""
        today = datetime.now(UTC)
        key = SHARES if period is None else f"{{hp:default}}:spend:{(today.year - 1970) * 12 + today.month - 1}"
        records = self._records(key, "l " + digest(("shop", "", measure.value, str(period))))
        return {one[1]: (int(one[2]), int(one[3])) for one in records}

    def pass_by(self, worker: str, milliseconds: int) -> None:
        """Let it be so much longer ago that a worker was heard: what the others see when they wait."""
        members = self.members()
        members[worker][2] = str(int(members[worker][2]) - milliseconds)
        with self.redis.client() as client:
            client.hset(SHARES, "w", "".join(" ".join(one) + ";" for one in members.values()))

    def _records(self, key: str, field: str) -> list[list[str]]:
        with self.redis.client() as client:
            text = client.hget(key, field) or b""
        return [one.split() for one in text.decode().split(";") if one]


async def test_a_process_that_is_killed_leaves_no_limit_stuck_and_its_money_reserved(
    tmp_path: Path, simulators: RunningSimulators, unused_tcp_port_factory: object
) -> None:
    """Its places and calls are the other's after 15 minutes at most; its money once it is back with its ledger."""
    begin_a_day(150)
    ports = (unused_tcp_port_factory(), unused_tcp_port_factory())  # type: ignore[operator]
    day = (datetime.now(UTC).date() - datetime(1970, 1, 1, tzinfo=UTC).date()).days
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with RedisServer(tmp_path) as redis:
        settings = {"redis": f'redis: {{url: "{redis.url}"}}', "limits": LIMITS, "audit": "ledger: {path: ledger}"}
        async with contextlib.AsyncExitStack() as stack:
            http = await stack.enter_async_context(aiohttp.ClientSession())
            processes = await asyncio.gather(
                *(
                    stack.enter_async_context(proxy(tmp_path / name, simulators, port, **settings))
                    for name, port in zip("ab", ports, strict=True)
                )
            )
            fleet = Fleet(redis, http, ports, simulators["together"])
            simulators["together"].behave({"latency_ms": 25_000})
            held = [asyncio.create_task(fleet.until(0, 1, each=1)) for _ in range(6)]
            async with asyncio.timeout(LONG):
                while not (dead := [one for one, (_, used) in fleet.entries(Measure.STREAMS).items() if used == 6]):
                    assert not any(one.done() for one in held)
                    await asyncio.sleep(0.05)
            (gone,) = dead
            processes[0].kill()
            await processes[0].wait()
            assert all(isinstance(one, Exception) for one in await asyncio.gather(*held, return_exceptions=True))
            reserved, _ = fleet.entries(Measure.DAY, day)[gone]

            assert await fleet.at_once(1) <= STREAMS - 6 + 1
            fleet.pass_by(gone, SETTLED + 1)
            await fleet.until(1, STREAMS // 2)
            assert await fleet.at_once(1) <= STREAMS // 2 + 1
            fleet.pass_by(gone, LOST_FOR)
            await fleet.until(1, STREAMS)
            await fleet.minute(1, "only-us", RPM)

            await fleet.press(1)
            money = fleet.entries(Measure.DAY, day)
            assert money[gone][0] == reserved > 0
            assert sum(most for most, _ in money.values()) <= DOLLARS * 1e9
            await stack.enter_async_context(proxy(tmp_path / "a", simulators, ports[0], **settings))

            def used() -> int:
                return sum(used for _, used in fleet.entries(Measure.DAY, day).values())

            async with asyncio.timeout(LONG):
                while not await fleet.ask(1, count=1):
                    await fleet.ask(0, count=1)
                    await asyncio.sleep(0.05)
            async with asyncio.timeout(LONG):
                while used() < 0.9 * DOLLARS * 1e9:
                    await asyncio.gather(fleet.ask(0), fleet.ask(1))
                    await asyncio.sleep(0.05)
            await asyncio.gather(fleet.press(0), fleet.press(1))
            assert used() <= DOLLARS * 1e9
