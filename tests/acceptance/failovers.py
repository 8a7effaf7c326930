"""Redis that changes its master or its shape, and what it is told: R5, R6, R10."""

import asyncio
import itertools
import time
from collections import Counter, defaultdict
from pathlib import Path

from hybridproxy.stores.rights import PATIENCE
from tests.acceptance.breakers import HEALTHY, turns
from tests.acceptance.installation import KEYS, TEXT, Installation, Json, installed
from tests.acceptance.load import Load
from tests.acceptance.outages import Watch, watched
from tests.acceptance.processes import GUARD, Replica
from tests.acceptance.report import Report, bad, clusters, nothing_lost, percentile, why
from tests.support.redis_groups import ClusterOf, SentinelGroup
from tests.support.redis_monitor import Command, Monitor
from tests.support.redis_servers import RedisServer

KEY = "{hp:default}:health"


async def sentinels(folder: Path, *, calm: bool, replicas: int, rate: float, failovers: int) -> Report:
    """R5: the master changes while replicas race for the right to probe a backend that fails.

    Probes take a second at that backend, so that two of them at a time are seen.
    """
    report = Report("R5", calm=calm)
    with SentinelGroup(folder, replicas=1) as group:
        hosts = ",".join(f"{host}:{port}" for host, port in group.addresses)
        redis = {"url": f"redis+sentinel://{hosts}/{group.name}"}
        breaker = {"open_for": "500ms", "open_max": "500ms"}
        async with (
            installed(folder, calm=calm, replicas=replicas, redis=redis, breaker=breaker) as run,
            Load(run.urls, turns(replicas=replicas), rate, (TEXT,)) as load,
        ):
            await run.fleet(replicas)
            failing = {"kind": "status", "status": 500}
            await run["a"].behave(**HEALTHY, latency_ms=1000, fault=failing)
            for replica in run.replicas:
                await replica.logged("breaker.opened", backend="a")
            await load.answered()  # whoever comes to the first upstream from now on comes to probe it
            since, spans, took = time.time(), [], []
            async with watched(run) as watch:
                for _ in range(failovers):
                    began = time.time()
                    await asyncio.to_thread(group.failover)
                    spans.append((began, time.time() + 2.0))
                    took.append(time.time() - began)
                    await asyncio.sleep(2.0)
            await load.stop()
            await asyncio.sleep(1.1)
            probes = [entry for entry in await run["a"].requests() if entry["started_at"] > since]
            alone = [] if calm else _alone(watch, time.time() - load.now())
            extra = [at for at in _extra(probes) if not any(begin <= at <= end for begin, end in alone)]
            report.note("extra probes of replicas that were without Redis for long", len(_extra(probes)) - len(extra))
            each = [sum(begin <= at < end for at in extra) for begin, end in spans]
            report.check("failovers", len(spans), len(spans) == failovers)
            report.check("extra probes a failover, at most", max(each), max(each) <= 1)
            report.check("extra probes in all", len(extra), len(extra) <= failovers)
            report.note("probes", len(probes))
            errors = bad(load.calls)
            report.check("client errors", f"{why(errors)} of {len(load.calls)}", not errors)
            lost = sum(len(replica.events("redis.lost")) for replica in run.replicas)
            report.note("times that a replica was without Redis", lost)
            report.note("longest failover, s", max(took))
            await nothing_lost(report, load, run)
    return report


def _alone(watch: Watch, wall: float) -> list[tuple[float, float]]:
    """Return the times of day in which a replica may have probed on its own: it was without Redis for `PATIENCE`.

    Until a second after that: so long a probe takes. Half a second goes by until a replica knows that Redis is gone.
    """
    found = []
    for lost, polls in itertools.groupby(watch.polls, lambda poll: not poll[1]):
        times = [at for at, _ in polls]
        if lost and times[-1] - times[0] > PATIENCE - 1.0:
            found.append((times[0] + PATIENCE - 1.0 + wall, times[-1] + 2.0 + wall))
    return found


def _extra(probes: list[Json]) -> list[float]:
    """Return when a probe began while another one was under way."""
    found: list[float] = []
    until = 0.0
    for probe in probes:
        if probe["started_at"] < until - 0.002:
            found.append(probe["started_at"])
        until = max(until, probe["started_at"] + (probe["duration_ms"] or 0.0) / 1000)
    return found


async def cluster(folder: Path, *, calm: bool, masters: int, spares: int, rate: float, rounds: int) -> Report:
    """R6: the slot of what is shared moves to another node, then its master is killed."""
    report = Report("R6", calm=calm)
    with ClusterOf(folder, masters, replicas=spares, node_timeout=1000) as nodes:
        hosts = ",".join(f"{host}:{port}" for host, port in nodes.addresses)
        async with (
            installed(folder, calm=calm, replicas=2, redis={"url": f"redis+cluster://{hosts}"}) as run,
            Load(run.urls, turns(replicas=2), rate, (TEXT,)) as load,
        ):
            await run.fleet(2)
            slowest_move = slowest_kill = 0.0
            async with watched(run) as watch:
                for _ in range(rounds):
                    before = load.now()
                    migration = await asyncio.to_thread(nodes.migration, KEY)
                    await asyncio.to_thread(migration.begin)
                    await asyncio.sleep(0.7)
                    await asyncio.to_thread(migration.move)
                    await asyncio.sleep(0.7)
                    await asyncio.to_thread(migration.finish)
                    await asyncio.sleep(1.5)
                    slowest_move = max(slowest_move, max((at - before for at in watch.down if at > before), default=0))
                    await _drained_everywhere(run)
                    owner = await asyncio.to_thread(nodes.owner, KEY)
                    killed = load.now()
                    await asyncio.to_thread(owner.kill)
                    if not spares:
                        await asyncio.to_thread(owner.start)
                    await asyncio.sleep(1.0)
                    await _shares_again(run)
                    slowest_kill = max(slowest_kill, load.now() - killed)
                    await _drained_everywhere(run)
                    if not owner.running:
                        await asyncio.to_thread(owner.start)
                    await asyncio.to_thread(nodes.wait, GUARD)
            await load.stop()
            report.within("without Redis after a slot moved, s", slowest_move, 10)
            report.within("sharing again after a master was killed, s", slowest_kill, 10)
            said = b"".join(part.read_bytes() for replica in run.replicas for part in (replica.out, replica.err))
            logs = "".join(node.log for node in nodes.nodes)
            crossed = said.count(b"CROSSSLOT") + logs.count("CROSSSLOT")
            report.check("CROSSSLOT in the logs", crossed, crossed == 0)
            refused = sum("CROSSSLOT" in str(node.ask("INFO", "errorstats")) for node in nodes.nodes)
            report.check("nodes that refused with CROSSSLOT", refused, refused == 0)
            errors = bad(load.calls)
            report.check("client errors", f"{why(errors)} of {len(load.calls)}", not errors)
            report.check("/readyz other than 200", watch.unready, not watch.unready)
            await nothing_lost(report, load, run)
    return report


async def _shares_again(run: Installation, seconds: float = GUARD) -> None:
    """Wait until what is said to one replica is heard by the other, whatever their gauges say."""
    async with asyncio.timeout(seconds):
        while True:
            metrics = [await replica.metrics() for replica in run.replicas]
            if all(one["hybridproxy_redis_up"] and one["hybridproxy_redis_live_workers"] == 2 for one in metrics):
                return
            await asyncio.sleep(0.05)


async def _drained_everywhere(run: Installation) -> None:
    """Drain the last backend at one replica and have it back at the other one; both hear of both."""
    speaker, hearer = run.replicas
    path = "/admin/v1/backends/c"
    for teller, asked, order, drained in ((speaker, hearer, "drain", True), (hearer, speaker, "undrain", False)):
        await teller.admin("POST", f"{path}/{order}", {"reason": "drill"})
        async with asyncio.timeout(GUARD):
            while (b"drained by an operator" in await _decision(asked)) is not drained:
                await asyncio.sleep(0.05)


async def _decision(replica: Replica) -> bytes:
    described = {"model": "qwen", "tenant": "t0", "ip": "128.100.1.1"}
    return await replica.admin("POST", "/admin/v1/explain", described)


async def counted(folder: Path, *, calm: bool, replicas: int, rate: float, seconds: float) -> Report:
    """R10: everything that is shared changes all the time, and Redis says what it is told."""
    report = Report("R10", calm=calm)
    tenants = len(KEYS)
    with RedisServer(folder) as redis:
        async with installed(
            folder, calm=calm, replicas=replicas, redis={"url": redis.url}, tenants=tenants, change=_limited
        ) as run:
            await run.fleet(replicas)
            random_faults = {"kind": "status", "status": 500, "probability": 0.5, "seed": 1}
            await run["a"].behave(**HEALTHY, fault=random_faults)
            throttles = {
                "kind": "status",
                "status": 429,
                "probability": 0.01,
                "seed": 2,
                "headers": {"retry-after": "1"},
            }
            await run["b"].behave(**HEALTHY, fault=throttles)
            monitor = await asyncio.to_thread(Monitor, redis)
            try:
                async with Load(run.urls, turns(tenants=tenants, replicas=replicas), rate) as load:
                    began = load.now()
                    for n in itertools.count():
                        if load.now() - began > seconds:
                            break
                        order = "undrain" if n % 2 else "drain"
                        await run.replicas[n % replicas].admin(
                            "POST", f"/admin/v1/backends/c/{order}", {"reason": "drill"}
                        )
                        await asyncio.sleep(0.4)
                    took = load.now() - began
                    await asyncio.to_thread(monitor.until, lambda seen: len(_shared(seen)) >= tenants)
                commands = await asyncio.to_thread(monitor.records)
            finally:
                await asyncio.to_thread(monitor.close)
            report.note("calls a second", round(len(load.calls) / took))
            commands = [one for one in commands if one.client == "lua" or one.name in {"EVALSHA", "EVAL"}]
            _count(report, commands, took)
            await nothing_lost(report, load, run)
    return report


def _limited(config: Json) -> None:
    """Give every tenant limits of all sorts that are never reached."""
    for tenant in config["tenants"].values():
        tenant["limits"] = {"rpm": 10**6, "tpm": 10**9, "streams": 10**4, "models": {"q*": {"rpm": 10**6}}}
        tenant["budget"] = {"usd_per_day": 10**5, "usd_per_month": 10**6}


def _count(report: Report, commands: list[Command], seconds: float) -> None:
    """Count round trips by worker, and what each worker changed: a script's commands follow the call of it."""
    trips: dict[str, list[float]] = defaultdict(list)
    changes: dict[tuple[str, bytes], list[float]] = defaultdict(list)
    inside: Counter[str] = Counter()
    worker = ""
    for one in commands:
        if one.client != "lua":
            worker = one.client
            trips[worker].append(one.at)
            continue
        inside[one.name] += 1
        for field in _fields(one):
            changes[worker, field].append(one.at)
    most = max(clusters(times, 1.0) for times in trips.values())
    bunched = 1 if report.calm else 2  # on a slow machine what was late comes with what is on time
    report.check("round trips of a worker in a second, at most", most, most <= 4 * bunched)
    average = sum(map(len, trips.values())) / len(trips) / seconds
    report.note("on average", average)
    worst = max((clusters(times, 1.0) for times in changes.values()), default=0)
    report.check("writes of a key by a worker in a second, at most", worst, 0 < worst <= 2 * bunched)
    rates = [len(times) / seconds for times in changes.values()]
    report.note("on average", percentile(rates, 0.5))
    report.note("commands inside the scripts", dict(inside))
    shared = _shared(commands)
    report.check("limits that were shared", len(shared), len(shared) >= len(KEYS))


def _shared(commands: list[Command]) -> set[bytes]:
    """Return the fields of limits that were changed."""
    return {field for one in commands for field in _fields(one) if field.startswith(b"l ")}


def _fields(one: Command) -> tuple[bytes, ...]:
    """Return what a script's command changes."""
    if one.client != "lua":
        return ()
    return one.args[2::2] if one.name == "HSET" else one.args[2:] if one.name == "HDEL" else ()
