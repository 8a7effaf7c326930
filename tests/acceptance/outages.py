"""Redis that is killed, stopped, slow or out of reach: R1, R2, R3. No caller may notice."""

import asyncio
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.acceptance.breakers import HEALTHY, turns
from tests.acceptance.installation import SPOKEN, Installation, installed
from tests.acceptance.load import Load
from tests.acceptance.report import Report, bad, clusters, nothing_lost, p99, why
from tests.support.redis_servers import RedisServer
from tests.support.relay import BLACK_HOLE, Faults, Relay

NOISE = 5.0
"""Milliseconds by which the 99th percentile may change."""


class Watch:
    """Asks /readyz and `hybridproxy_redis_up` of all replicas several times a second while its context is open."""

    def __init__(self, run: Installation) -> None:
        self._run = run
        self.statuses: list[int] = []
        self.down: list[float] = []  # when some replica said that Redis is gone
        self.longest_gap = 0.0

    @property
    def unready(self) -> int:
        """How often a replica was not ready."""
        return sum(status != 200 for status in self.statuses)

    async def watch(self) -> None:
        """Ask until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self.statuses += await asyncio.gather(*(replica.readyz() for replica in self._run.replicas))
            ups = [(await replica.metrics())["hybridproxy_redis_up"] for replica in self._run.replicas]
            if not all(ups):
                self.down.append(loop.time())
            await asyncio.sleep(0.1)


@asynccontextmanager
async def watched(run: Installation) -> AsyncIterator[Watch]:
    """Watch an installation while the context is open."""
    watch = Watch(run)
    task = asyncio.create_task(watch.watch())
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            raise error


Span = tuple[float, float]


def compare(report: Report, load: Load, quiet: Sequence[Span], faulty: Span, label: str = "") -> None:
    """Check errors and times of a phase with a fault against those without, in the same run.

    What a machine's other work does to the 99th percentile is in the phases without a fault as well: of two such the
    worse one counts, and where they differ by more than the 5 ms, so may the phase with the fault.
    """
    figures = [p99(load.between(*span)) for span in quiet]
    during = load.between(*faulty)
    change = p99(during) - max(figures)
    allowed = max(NOISE, max(figures) - min(figures))
    failed = bad(during)
    report.check(f"client errors {label}".strip(), f"{len(failed)} of {len(during)}", not failed)
    shown = f"{change:+.1f} (from {max(figures):.1f})"
    report.check(f"p99 change {label}, ms".replace(" ,", ","), shown, change <= allowed)


async def killed(folder: Path, *, rate: float, quiet: float, seconds: float) -> Report:
    """R1: Redis is killed, and started again later."""
    report = Report("R1")
    with RedisServer(folder) as redis:

        async def begin() -> None:
            await asyncio.to_thread(redis.kill)

        async def end() -> None:
            await asyncio.to_thread(redis.start)

        await _without(report, folder, redis, rate, quiet, seconds, begin, end)
    return report


async def stopped(folder: Path, *, rate: float, quiet: float, seconds: float) -> Report:
    """R2: Redis is stopped (SIGSTOP), and goes on later."""
    report = Report("R2")
    with RedisServer(folder) as redis:

        async def begin() -> None:
            redis.pause()

        async def end() -> None:
            redis.resume()

        await _without(report, folder, redis, rate, quiet, seconds, begin, end)
    return report


async def _without(report, folder, redis, rate, quiet, seconds, begin, end) -> None:  # type: ignore[no-untyped-def]
    async with (
        installed(folder, replicas=2, redis={"url": redis.url}) as run,
        Load(run.urls, turns(replicas=2), rate, SPOKEN) as load,
    ):
        await run.fleet(2)
        await asyncio.sleep(1)
        async with watched(run) as watch:
            start = load.now()
            await asyncio.sleep(quiet)
            gone = load.now()
            await begin()
            await asyncio.sleep(seconds)
            there = load.now()
            noticed = [bool(replica.events("redis.lost")) for replica in run.replicas]
            await end()
            await _up(run)
            again = load.now()
            await asyncio.sleep(quiet)
            over = load.now()
        await load.stop()
        compare(report, load, [(start, gone), (again, over)], (gone, there))
        failed = bad(load.calls)
        report.check("client errors in all", why(failed), not failed)
        report.check("/readyz other than 200", f"{watch.unready} of {len(watch.statuses)}", not watch.unready)
        report.check("replicas that noticed", f"{sum(noticed)} of 2", all(noticed))
        report.check("found again after, s", again - there, again - there <= 10)
        await nothing_lost(report, load, run)


async def _up(run: Installation, seconds: float = 20.0) -> None:
    """Wait until every replica shares again."""
    async with asyncio.timeout(seconds):
        for replica in run.replicas:
            while not (await replica.metrics())["hybridproxy_redis_up"]:
                await asyncio.sleep(0.05)


async def unreachable(folder: Path, *, rate: float, quiet: float, seconds: float) -> Report:
    """R3: what lies between the replicas and Redis delays by 300 ms, then by 5 s, then swallows everything."""
    report = Report("R3")
    phases = {
        "300 ms": Faults.both(delay=0.15),
        "5 s": Faults.both(delay=2.5),
        "black hole": BLACK_HOLE,
    }
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisServer(folder))
        relays = [await stack.enter_async_context(Relay("127.0.0.1", redis.port)) for _ in range(2)]
        sections = [{"url": f"redis://127.0.0.1:{relay.port}"} for relay in relays]
        run = await stack.enter_async_context(installed(folder, replicas=2, redis=sections))
        load = await stack.enter_async_context(Load(run.urls, turns(replicas=2), rate, SPOKEN))
        await run.fleet(2)
        await asyncio.sleep(1)
        watch = await stack.enter_async_context(watched(run))
        calm: list[Span] = []
        spans: dict[str, Span] = {}
        most, gaps = 0, []
        for name, faults in phases.items():
            start = load.now()
            await asyncio.sleep(quiet)
            calm.append((start, load.now()))
            for relay in relays:
                relay.faults = faults
            start = load.now()
            await asyncio.sleep(seconds)
            spans[name] = start, load.now()
            for relay in relays:
                relay.faults = Faults()
            await _up(run)
            for relay in relays:
                times = [at for at in relay.accepts if start < at]
                most = max(most, clusters(times, 0.98))
                gaps += [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
        await load.stop()
        for name, span in spans.items():
            compare(report, load, calm, span, name)
        failed = bad(load.calls)
        report.check("client errors in all", why(failed), not failed)
        report.check("/readyz other than 200", f"{watch.unready} of {len(watch.statuses)}", not watch.unready)
        report.check("connection attempts of a worker in a second, at most", most, most <= 1)
        spread = statistics.stdev(gaps) if len(gaps) > 2 else 0.0
        report.check("spread of the times between them, s", spread, spread > 0.1)
        await nothing_lost(report, load, run)
    return report
