"""How backends come back, and what is held against them meanwhile: B7, B9, B11, B13."""

import asyncio
import itertools
import math
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from hybridproxy.model.health import RAMP_SECONDS, RAMP_START
from hybridproxy.simulator.books import Line
from hybridproxy.simulator.rows import COMPLETION_PRICE, PROMPT_PRICE
from tests.acceptance.breakers import HEALTHY, turns
from tests.acceptance.calls import Ask
from tests.acceptance.installation import KEYS, TEXT, Installation, Json, installed
from tests.acceptance.load import Load
from tests.acceptance.processes import GUARD
from tests.acceptance.report import Report, bad, nothing_lost, overlap, why
from tests.support.redis_servers import RedisServer

CENT = 10_000_000
"""Nano-dollars."""


async def recovers(folder: Path, *, calm: bool, replicas: int, rate: float, down: float, ramp: float) -> Report:
    """B7: the first upstream fails until all replicas have opened, and is then well again."""
    report = Report("B7", calm=calm)
    with RedisServer(folder) as redis:
        async with installed(folder, calm=calm, replicas=replicas, redis={"url": redis.url}) as run:
            await run.fleet(replicas)
            failing = {"kind": "status", "status": 500}
            await run["a"].behave(**HEALTHY, latency_ms=150, fault=failing)
            async with Load(run.urls, turns(replicas=replicas), rate, (TEXT,)) as load:
                for replica in run.replicas:
                    await replica.logged("breaker.opened", backend="a")
                await load.answered()  # whoever comes to the first upstream from now on comes to probe it
                all_open = time.time()
                await asyncio.sleep(down)
                await run["a"].behave(**HEALTHY, latency_ms=150)
                closed = [
                    float((await replica.logged("breaker.closed", backend="a"))["time"]) for replica in run.replicas
                ]
                first = min(closed)
                seen = await run["a"].requests()
                shares = await _ramp(load, closed, ramp)
            alone = 0 if calm else sum(bool(replica.events("redis.lost")) for replica in run.replicas)
            probes = [one for one in seen if all_open < one["started_at"] < first - 0.001]
            spans = [
                (one["started_at"], one["started_at"] + (one["duration_ms"] or 0) / 1000 - 0.002) for one in probes
            ]
            most = overlap(spans)  # a replica that a slow machine kept from Redis probes on its own
            report.check("probes at a time, at most", most, 1 <= most <= 1 + alone)
            report.note("probes", len(spans))
            good = sum(one["status"] == 200 for one in probes)
            report.check("good probes until it closed", good, 3 <= good <= 3 * (1 + alone))
            report.within("last replica knew after, s", max(closed) - first, 2)
            ratios = [got / due for got, due in shares]
            report.check(
                "most calls in two seconds, of the ramp's share", max(ratios), max(ratios) <= (2 if calm else 5)
            )
            grown = f"{shares[0][0]:.0%} to {shares[-1][0]:.0%}"
            report.check("share of the calls grew from", grown, shares[-1][0] > shares[0][0])
            if ramp >= RAMP_SECONDS + 4:
                report.check("after the ramp", f"{shares[-1][0]:.0%}", shares[-1][0] > 0.95)
            errors = bad(load.calls)
            report.check("client errors", why(errors), not errors)
            await nothing_lost(report, load, run)
    return report


async def _ramp(load: Load, closed: list[float], seconds: float) -> list[tuple[float, float]]:
    """Return for each two seconds the share of the calls that the first upstream answered, and what a ramp allows."""
    edges = [(load.now(), time.time())]
    while edges[-1][0] - edges[0][0] < seconds:
        await asyncio.sleep(2)
        edges.append((load.now(), time.time()))
    await load.answered()
    found: list[tuple[float, float]] = []
    for (begin, _), (end, wall) in itertools.pairwise(edges):
        ramps = [min(1.0, RAMP_START + (1 - RAMP_START) * (wall - at) / RAMP_SECONDS) for at in closed]
        calls = load.between(begin, end)
        found.append((sum(call.backend == "a" for call in calls) / len(calls), sum(ramps) / len(ramps)))
    return found


async def throttled(folder: Path, *, calm: bool, rate: float, seconds: float, longest: float) -> Report:
    """B9: five upstreams throttle, each with another Retry-After."""
    report = Report("B9", calm=calm)
    names = ["seven", "date", "negative", "huge", "junk"]

    def change(config: Json) -> None:
        config["models"] = {
            f"model-{name}": {"family": "qwen3", "served_by": {name: {"name": name}, "b": {"name": "spare"}}}
            for name in names
        }

    def ask(n: int) -> Ask:
        return Ask(KEYS[n % 4], model=f"model-{names[n % 5]}", stream=n // 5 % 2 == 0)

    providers = dict.fromkeys(names, "together") | {"b": "openrouter"}
    async with (
        installed(folder, calm=calm, providers=providers, change=change) as run,
        Load(run.urls, ask, rate, (TEXT,)) as load,
    ):
        await asyncio.sleep(1)
        date = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=4)
        values = {
            "seven": f"{seconds:g}",
            "date": format_datetime(date, usegmt=True),
            "negative": "-1",
            "huge": "1000000000",
            "junk": "soon",
        }
        for name, value in values.items():
            fault = {"kind": "status", "status": 429, "times": 1, "headers": {"retry-after": value}}
            await run[name].behave(**HEALTHY, fault=fault)
        end = load.now() + longest
        while load.now() < end:
            await asyncio.sleep(min(10.0, max(0.0, end - load.now())))
            await asyncio.gather(*(run[name].requests() for name in names))
        async with asyncio.timeout(GUARD):  # on a slow machine some began later
            for name in names:
                least = seconds if name == "seven" else min(longest, 299.0) if name == "huge" else 5.0
                while _since(await run[name].requests(), alone=name == "huge") < least:
                    await asyncio.sleep(0.1)
        await load.answered()
        gaps = {name: _rest(await run[name].requests(), load) for name in names}
        wanted = {
            "seven": seconds,
            "date": date.timestamp() - gaps["date"][1],
            "negative": 5.0,
            "junk": 5.0,
            "huge": 300.0,
        }
        slack = 2 * len(names) / rate + 0.2  # the next call has to come, and a sweep lets go ten times a second
        slack += 0 if calm else 10
        for name, due in wanted.items():
            gap = gaps[name][0]
            if name == "huge" and longest < 300:
                report.check("10^9: still off, s", gap, gap >= longest - 1)
            else:
                label = f"{values[name]} ({due:.2f} s): off for, s"
                report.check(label, round(gap, 2), -0.02 <= gap - due <= slack)
        if not calm:
            first, other = gaps["seven"][0], gaps["junk"][0]
            report.check("the shortest one was read", f"{first:.2f} and {other:.2f}", first < other)
        opened = run.replicas[0].events("breaker")
        report.check("breaker changes", len(opened), not opened)
        await load.stop()
        errors = bad(load.calls)
        report.check("client errors", why(errors), not errors)
        await nothing_lost(report, load, run)
    return report


def _since(entries: list[Json], *, alone: bool) -> float:
    """Return how long after its 429 an upstream was asked for the last time; `alone`: until now, asked or not."""
    now = time.time()
    at = next((entry["started_at"] for entry in entries if entry["status"] == 429), now)
    return (now if alone or not entries else float(entries[-1]["started_at"])) - at


def _rest(entries: list[Json], load: Load) -> tuple[float, float]:
    """Return for how long an upstream was left alone after its 429, or until now, and when that came.

    What was on its way then may still come; who asks after the answer to the call that met the 429 may not.
    """
    sent = {call.id: call.sent for call in load.calls}
    refused = next(entry for entry in entries if entry["status"] == 429)
    met = next(call for call in load.calls if call.id == _header(refused, "x-request-id"))
    known, at = met.sent + (met.took or 0.0), float(refused["started_at"])
    # whose call has no name yet is still under way: it is one of the last
    later = [one["started_at"] for one in entries if sent.get(_header(one, "x-request-id"), math.inf) > known]
    return min(later, default=time.time()) - at, at


async def billed_for_nothing(
    folder: Path, *, calm: bool, rate: float, seconds: float, share: float, words: int
) -> Report:
    """B11: the first upstream takes a part of the requests whole, bills them, and closes the connection.

    What it billed for nothing is its bill without that for the answers that callers got from it.
    """
    report = Report("B11", calm=calm)

    def ask(n: int) -> Ask:
        return Ask(KEYS[n % 4], stream=n // 4 % 2 == 0, prompt=" ".join(["word"] * (1 + n * 37 % words)))

    async with installed(folder, calm=calm) as run:
        await run["a"].behave(**HEALTHY)
        async with Load(run.urls, ask, 20, (TEXT,)) as load:
            await asyncio.sleep(0.3)
        sample = next(one for one in await run["a"].requests() if _header(one, "x-request-id") == load.calls[0].id)
        assert sample["prompt_tokens"] == len(load.calls[0].ask.prompt.split())
        pieces = sample["completion_tokens"]
        fault = {"kind": "cut", "before_head": True, "probability": share, "seed": 11}
        await run["a"].behave(**HEALTHY, fault=fault)
        async with Load(run.urls, ask, rate, (TEXT,), calls=load.calls) as load:
            await asyncio.sleep(seconds)
        state = await run["a"].state()
        good = [call for call in load.calls if call.backend == "a" and not call.bad]
        useful = sum(len(call.ask.prompt.split()) * PROMPT_PRICE + pieces * COMPLETION_PRICE for call in good)
        counted = round((await run.replicas[0].metrics())["hybridproxy_lost_nanodollars_total"])
        # a connection that nobody used for a second may be stale: who was cut on one and then again has failed
        twice = {name for name, times in Counter(line.request_id for line in await _cut(run)).items() if times == 2}
        errors = bad(load.calls)
        failed = {call.id for call in errors} & twice
        ledger = state["totals"]["billed_nanodollars"] - useful
        ledger -= sum(line.charged for line in await run["a"].books() if line.request_id in failed)
        await nothing_lost(report, load, run)
        records = run.replicas[0].records
        counted -= sum(record.get("lost_nanodollars", 0) for record in records if record["id"] in failed)
        report.check("attempts lost", state["fault_struck"], state["fault_struck"] > 0)
        report.check("billed for nothing, cents", ledger / CENT, ledger > CENT)
        report.check("counted, cents", counted / CENT, abs(counted - ledger) < CENT / 2)
        report.note("difference, nano-dollars", counted - ledger)
        most = max(call.attempts for call in load.calls)
        report.check("attempts of a call, at most", most, most == 2)
        others = [call for call in errors if call.id not in failed]
        report.check("client errors", why(others), not others)
        report.note("cut twice", len(failed))
        for upstream in run.upstreams.values():
            await upstream.forget()
            await upstream.behave(**HEALTHY, fault={"kind": "cut", "before_head": True})
        async with Load(run.urls, turns(), 20):
            await asyncio.sleep(0.2)  # fewer calls than open a breaker
        most = max(Counter(line.request_id for line in await _cut(run)).values())
        report.check("requests for a call where all three do so, at most", most, most <= 2)
    return report


async def _cut(run: Installation) -> list[Line]:
    """Return the upstreams' lines of what they cut off."""
    return [line for upstream in run.upstreams.values() for line in await upstream.books() if line.outcome == "cut"]


async def refused_key(folder: Path, *, calm: bool, rate: float, seconds: float) -> Report:
    """B13: one of the two credentials of the first upstream is refused from now on."""
    report = Report("B13", calm=calm)
    keys: dict[str, Any] = {"a": ["${FIRST}", "${SECOND}"]}
    secrets = {"FIRST": "first-key-of-a", "SECOND": "second-key-of-a"}
    with RedisServer(folder) as redis:
        async with (
            installed(folder, calm=calm, replicas=2, redis={"url": redis.url}, keys=keys, secrets=secrets) as run,
            Load(run.urls, turns(replicas=2), rate, (TEXT,)) as load,
        ):
            await run.fleet(2)
            await asyncio.sleep(0.5)
            since = time.time()
            await run["a"].behave(**HEALTHY, bad_keys=[secrets["FIRST"]])
            lines = [await replica.logged("credential.quarantined", since=since) for replica in run.replicas]
            for _ in range(4):
                await asyncio.sleep(seconds / 4)
                await run["a"].requests()
            async with asyncio.timeout(GUARD):  # on a slow machine nobody may have asked meanwhile
                while max(one["started_at"] for one in await run["a"].requests()) <= max(one["time"] for one in lines):
                    await asyncio.sleep(0.05)
            gauges = [(await replica.metrics())["hybridproxy_credentials_quarantined"] for replica in run.replicas]
            seen = await run["a"].requests()
            await load.stop()
            wall = time.time() - load.now()
            refused = [entry["started_at"] for entry in seen if entry["status"] == 401]
            known = max(line["time"] for line in lines)
            report.within("alert after, s", known - refused[0], 5)
            named = sorted({line["credential"] for replica in run.replicas for line in replica.events("credential")})
            report.check("quarantined", ", ".join(named), [name.partition(".")[0] for name in named] == ["a#1"])
            report.check("by the metrics", gauges, gauges == [1.0, 1.0])
            sent = {call.id: call.sent + wall for call in load.calls}
            failed = [_header(entry, "x-request-id") for entry in seen if entry["status"] == 401]
            further = sum(sent.get(name, 0.0) > known for name in failed)
            report.check("further uses", further, further == 0)
            report.note("uses until all knew", len(refused))
            later = [_header(entry, "authorization") for entry in seen if entry["started_at"] > known]
            used = later.count(f"Bearer {secrets['SECOND']}")
            report.check("uses of the other one meanwhile", used, used > 0)
            errors = bad(load.calls)
            report.check("client errors", why(errors), not errors)
            await nothing_lost(report, load, run)
    return report


def _header(entry: Json, name: str) -> str:
    return str(dict(entry["headers"])[name])
