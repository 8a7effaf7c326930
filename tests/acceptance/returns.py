"""How backends come back, and what is held against them meanwhile: B7, B9, B11, B13."""

import asyncio
import itertools
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from hybridproxy.model.health import RAMP_SECONDS, RAMP_START
from hybridproxy.simulator.rows import COMPLETION_PRICE, PROMPT_PRICE
from tests.acceptance.breakers import HEALTHY, turns
from tests.acceptance.calls import Ask
from tests.acceptance.installation import KEYS, TEXT, Installation, Json, installed
from tests.acceptance.load import Load
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
                opened = [await replica.logged("breaker.opened", backend="a") for replica in run.replicas]
                all_open = max(line["time"] for line in opened) + (0.2 if calm else 1.0)  # what was under way has ended
                await asyncio.sleep(all_open + down - time.time())
                well = time.time()
                await run["a"].behave(**HEALTHY, latency_ms=150)
                closed = [
                    float((await replica.logged("breaker.closed", backend="a"))["time"]) for replica in run.replicas
                ]
                first = min(closed)
                seen = await run["a"].requests()
                shares = await _ramp(load, run, closed, ramp)
            probes = [one for one in seen if all_open < one["started_at"] < first - 0.001]
            spans = [(one["started_at"], one["started_at"] + one["duration_ms"] / 1000 - 0.002) for one in probes]
            report.check("probes at a time, at most", overlap(spans), overlap(spans) == 1)
            report.note("probes", len(spans))
            good = sum(one["started_at"] > well for one in probes)
            report.check("good probes until it closed", good, good == 3)
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


async def _ramp(load: Load, run: Installation, closed: list[float], seconds: float) -> list[tuple[float, float]]:
    """Return for each two seconds the share of the calls that came to the first upstream, and what a ramp allows."""
    found: list[tuple[float, float]] = []
    total, calls, end = await run["a"].total(), len(load.calls), load.now() + seconds
    while load.now() < end:
        await asyncio.sleep(2)
        total_now, calls_now, wall = await run["a"].total(), len(load.calls), time.time()
        ramps = [min(1.0, RAMP_START + (1 - RAMP_START) * (wall - at) / RAMP_SECONDS) for at in closed]
        found.append(((total_now - total) / (calls_now - calls), sum(ramps) / len(ramps)))
        total, calls = total_now, calls_now
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
        gaps = {name: _gap(await run[name].requests()) for name in names}
        wanted = {
            "seven": seconds,
            "date": date.timestamp() - gaps["date"][1],
            "negative": 5.0,
            "junk": 5.0,
            "huge": 300.0,
        }
        slack = 2 * len(names) / rate + 0.2  # the next call has to come, and a sweep lets go ten times a second
        slack += 0 if calm else 3
        for name, due in wanted.items():
            gap = gaps[name][0]
            if name == "huge" and longest < 300:
                report.check("10^9: still off, s", gap, gap >= longest - 1)
            else:
                label = f"{values[name]} ({due:.2f} s): off for, s"
                report.check(label, round(gap, 2), -0.02 <= gap - due <= slack)
        opened = run.replicas[0].events("breaker")
        report.check("breaker changes", len(opened), not opened)
        await load.stop()
        errors = bad(load.calls)
        report.check("client errors", why(errors), not errors)
        await nothing_lost(report, load, run)
    return report


def _gap(entries: list[Json]) -> tuple[float, float]:
    """Return for how long an upstream was left alone after its 429, to the end of what was seen, and when that came."""
    at = next(entry["started_at"] for entry in entries if entry["status"] == 429)
    starts = [entry["started_at"] for entry in entries if entry["started_at"] >= at] + [time.time()]
    return max(later - earlier for earlier, later in itertools.pairwise(starts)), at


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
        sample = (await run["a"].requests())[0]
        assert sample["prompt_tokens"] == len(load.calls[0].ask.prompt.split())
        pieces = sample["completion_tokens"]
        fault = {"kind": "cut", "before_head": True, "probability": share, "seed": 11}
        await run["a"].behave(**HEALTHY, fault=fault)
        async with Load(run.urls, ask, rate, (TEXT,), calls=load.calls) as load:
            await asyncio.sleep(seconds)
        state = await run["a"].state()
        good = [call for call in load.calls if call.backend == "a" and not call.bad]
        useful = sum(len(call.ask.prompt.split()) * PROMPT_PRICE + pieces * COMPLETION_PRICE for call in good)
        ledger = state["totals"]["billed_nanodollars"] - useful
        counted = round((await run.replicas[0].metrics())["hybridproxy_lost_nanodollars_total"])
        report.check("attempts lost", state["fault_struck"], state["fault_struck"] > 0)
        report.check("billed for nothing, cents", ledger / CENT, ledger > CENT)
        report.check("counted, cents", counted / CENT, abs(counted - ledger) < CENT / 2)
        report.note("difference, nano-dollars", counted - ledger)
        most = max(call.attempts for call in load.calls)
        report.check("attempts of a call, at most", most, most == 2)
        errors = bad(load.calls)
        report.check("client errors", why(errors), not errors)
        await nothing_lost(report, load, run)
        for upstream in run.upstreams.values():
            await upstream.forget()
            await upstream.behave(**HEALTHY, fault={"kind": "cut", "before_head": True})
        async with Load(run.urls, turns(), 20) as all_cut:
            await asyncio.sleep(0.2)  # fewer calls than open a breaker
        got = sum([await upstream.total() for upstream in run.upstreams.values()]) / len(all_cut.calls)
        report.check("requests for a call where all three do so", got, got <= 2)
    return report


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
