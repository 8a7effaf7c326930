"""Limits while a part of the fleet is without Redis: R9."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import orjson

from tests.acceptance.calls import Ask, Call, Outcome
from tests.acceptance.installation import KEYS, SPOKEN, Installation, Json, installed
from tests.acceptance.load import Load
from tests.acceptance.processes import GUARD
from tests.acceptance.report import Report, clusters, nothing_lost, overlap, why
from tests.support.redis_servers import RedisServer
from tests.support.relay import BLACK_HOLE, Faults, Relay

REPLICAS = 4
STREAMS = 20
LATENCY = 1200
"""Milliseconds that an answer takes: more calls of one tenant are asked for at a time than it may have."""

REQUESTS, PLACES, MONEY = KEYS[:3]
LIMITED = {"rate_limit_exceeded", "insufficient_quota"}
MOST = 8
"""Tokens that an answer may have; it has fewer, so that less is spent than was reserved."""


async def partitioned(
    folder: Path,
    *,
    calm: bool,
    rate: float,
    rpm: int,
    dollars: float,
    before: float,
    seconds: float,
    after: float,
    least: float,
) -> Report:
    """R9: half of the replicas lose Redis while tenants ask for more than they may have, and get it back.

    `least`: the part of limit and cap that has to be used.
    """
    report = Report("R9", calm=calm)

    def limits(config: Json) -> None:
        config["tenants"]["t0"]["limits"] = {"rpm": rpm}
        config["tenants"]["t1"]["limits"] = {"streams": STREAMS}
        config["tenants"]["t2"]["budget"] = {"usd_per_day": dollars}

    def ask(n: int) -> Ask:
        return Ask(KEYS[n % 3], replica=n // 3 % REPLICAS, most=MOST)

    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisServer(folder))
        relay = await stack.enter_async_context(Relay("127.0.0.1", redis.port))
        sections = [{"url": redis.url}] * 2 + [{"url": f"redis://127.0.0.1:{relay.port}"}] * 2
        run = await stack.enter_async_context(
            installed(folder, calm=calm, replicas=REPLICAS, redis=sections, change=limits)
        )
        await run["a"].behave(latency_ms=LATENCY, text="as ever")
        await run.fleet(REPLICAS)
        async with Load(run.urls, ask, rate, (*SPOKEN, "as ever")) as load:
            await asyncio.sleep(before)
            relay.faults = BLACK_HOLE
            await asyncio.sleep(seconds)
            relay.faults = Faults()
            healed = load.now()
            async with asyncio.timeout(GUARD):
                while not all([(await replica.metrics())["hybridproxy_redis_up"] for replica in run.replicas]):
                    await asyncio.sleep(0.05)
            shared = load.now()
            report.note("Redis reached again by all after, s", shared - healed)
            agreed = await _agree(run, rpm)
            report.within("agreed again after, s", agreed, 2)
            await asyncio.sleep(after)
        _judge(report, load.calls, rpm, await _price(run), dollars, least)
        await nothing_lost(report, load, run, others=[])
    return report


def _judge(report: Report, calls: Sequence[Call], rpm: int, price: int, dollars: float, least: float) -> None:
    """Judge what came through by who asked."""
    answered = {key: [call for call in calls if call.ask.key == key and call.status == 200] for key in KEYS[:3]}
    most = clusters((call.sent for call in answered[REQUESTS]), 60.0)
    report.check(f"requests within 60 s, of {rpm}", most, rpm * least <= most <= rpm * 1.1)
    ends = [call.sent + call.took for call in answered[PLACES] if call.took is not None]
    over = 1.1 if report.calm else 1.5  # ends that are seen late lie closer together; two halves apart have 2.0
    places = overlap([(end - LATENCY / 1000, end) for end in ends])  # without what it took until they had a place
    report.check(f"calls at a time, of {STREAMS}", places, STREAMS * least <= places <= STREAMS * over)
    full = sum(call.ask.key == PLACES and call.status != 200 for call in calls)
    report.check("refused for want of a place", full, full > 0)
    spent, cap = price * len(answered[MONEY]), round(dollars * 1e9)
    report.check(f"spent, nano-dollars of {cap}", spent, cap * least <= spent <= cap)
    others = [call for call in calls if call.status != 200 and call.code not in LIMITED]
    report.check("refused for something else", why(others), not others)
    refused = sum(call.outcome is Outcome.FAILED for call in calls)
    report.note("refused for a limit", f"{refused} of {len(calls)}")


async def _price(run: Installation) -> int:
    """Return the nano-dollars of one call, by the upstream's own ledger."""
    requests = [entry for entry in await run["a"].requests() if entry["billed"]]
    prices = {entry["billed"] for entry in requests}
    assert len(prices) == 1, prices
    return int(prices.pop())


async def _agree(run: Installation, rpm: int, seconds: float = GUARD) -> float:
    """Wait until all replicas have about the same share, together no more than the limit; return how long it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(seconds):
        while True:
            shares = [await _share(replica.admin("GET", "/admin/v1/state")) for replica in run.replicas]
            if sum(shares) <= rpm and max(shares) - min(shares) <= 0.1 * rpm:
                return loop.time() - began
            await asyncio.sleep(0.05)


async def _share(state: object) -> int:
    """Return the share of the first tenant's requests that a replica shows."""
    shown = orjson.loads(await state)["limits"]  # type: ignore[misc]
    return next((int(one["share"]) for one in shown if one["tenant"] == "t0" and one["measure"] == "requests"), 0)
