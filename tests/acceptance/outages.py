"""Redis that is killed, stopped, slow or out of reach: R1, R2, R3. No caller may notice.

A third replica has no Redis at all and gets as many calls: what the machine's other work does to times, it does to that
one too. Where that is too much for a short run, the fault is repeated: what is there every time is not by chance. And
where calls are late that have nothing to do with the fault, it is looked at which ones are: of a replica that stands
still all of them, and of one that waits for Redis some that others overtake, or all of them all the time.
"""

import asyncio
import itertools
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from tests.acceptance.breakers import turns
from tests.acceptance.installation import SPOKEN, Installation, installed
from tests.acceptance.load import Load
from tests.acceptance.processes import GUARD, until
from tests.acceptance.report import Report, bad, clusters, nothing_lost, overtaken, p99, percentile, why
from tests.support.redis_servers import RedisServer
from tests.support.relay import BLACK_HOLE, Faults, Relay

NOISE, LOUD_NOISE = 5.0, 200.0
"""Milliseconds by which the 99th percentile may change, and by which on a machine that is not calm: no call may wait
for a connection attempt or an answer, which take 300 ms and more."""

FEW = 0.01
"""Part of the calls; as few do not move the 99th percentile."""


class Watch:
    """Asks /readyz and `hybridproxy_redis_up` of all replicas several times a second while its context is open."""

    def __init__(self, run: Installation) -> None:
        self._run = run
        self.statuses: list[int] = []
        self.polls: list[tuple[float, bool]] = []  # when they were asked, and whether all had Redis

    @property
    def down(self) -> list[float]:
        """When some replica said that Redis is gone."""
        return [at for at, up in self.polls if not up]

    @property
    def unready(self) -> int:
        """How often a replica was not ready."""
        return sum(status != 200 for status in self.statuses)

    async def watch(self) -> None:
        """Ask until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self.statuses += await asyncio.gather(*(replica.readyz() for replica in self._run.sharing))
            ups = [(await replica.metrics())["hybridproxy_redis_up"] for replica in self._run.sharing]
            self.polls.append((loop.time(), all(ups)))
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
Fault = Callable[[], Awaitable[None]]


def p99_change(load: Load, quiet: Sequence[Span], faulty: Span, noise: float) -> tuple[bool, str]:
    """Return whether the fault changed the 99th percentile by no more than so many ms, and how that was found.

    What the replica without Redis saw is taken off. Of the times without the fault the one with the slowest calls
    counts.
    """
    changes, before = [], []
    for shares in (True, False):
        spans = [
            [call for call in load.between(*span) if (call.ask.replica < 2) is shares] for span in (*quiet, faulty)
        ]
        figures = [p99(calls) for calls in spans]
        before.append(max(figures[:-1]))
        changes.append(figures[-1] - before[-1])
    change = changes[0] - max(0.0, changes[1])
    shown = f"{changes[0]:+.1f} from {before[0]:.1f} (without Redis {changes[1]:+.1f} from {before[1]:.1f})"
    loud = max(*before, before[1] + changes[1]) > LOUD_NOISE
    if change <= noise or noise < LOUD_NOISE or not loud:
        return change <= noise, shown
    late = [call for call in load.between(*faulty) if call.ask.replica < 2]
    alone, quick = len(overtaken(late)), 1000 * percentile((call.took or 0.0 for call in late), 0.1)
    shown += f"; {alone} of {len(late)} overtaken, a tenth of them within {quick:.1f}"
    return alone <= max(2, FEW * len(late)) and quick <= LOUD_NOISE, shown


async def killed(folder: Path, *, calm: bool, rate: float, quiet: float, seconds: float, tries: int) -> Report:
    """R1: Redis is killed, and started again later."""
    report = Report("R1", calm=calm)
    with RedisServer(folder) as redis:

        async def begin() -> None:
            await asyncio.to_thread(redis.kill)

        async def end() -> None:
            await asyncio.to_thread(redis.start)

        await _without(
            report, folder, redis.url, Load([], turns(replicas=3), rate, SPOKEN), (begin, end), quiet, seconds, tries
        )
    return report


async def stopped(folder: Path, *, calm: bool, rate: float, quiet: float, seconds: float, tries: int) -> Report:
    """R2: Redis is stopped (SIGSTOP), and goes on later."""
    report = Report("R2", calm=calm)
    with RedisServer(folder) as redis:

        async def begin() -> None:
            redis.pause()

        async def end() -> None:
            redis.resume()

        await _without(
            report, folder, redis.url, Load([], turns(replicas=3), rate, SPOKEN), (begin, end), quiet, seconds, tries
        )
    return report


async def _without(
    report: Report,
    folder: Path,
    url: str,
    load: Load,
    fault: tuple[Fault, Fault],
    quiet: float,
    seconds: float,
    tries: int,
) -> None:
    """Load three replicas, two of which use Redis, before, during and after a fault that has a begin and an end."""
    begin, end = fault
    noise = NOISE if report.calm else LOUD_NOISE
    async with installed(folder, calm=report.calm, replicas=3, redis=[{"url": url}, {"url": url}, None]) as run:
        load.urls = run.urls
        await run.fleet(2)
        slowest, same, shown = 0.0, False, ""
        async with load, watched(run) as watch:
            await asyncio.sleep(0.5)
            for _ in range(tries):
                start = load.now()
                await asyncio.sleep(quiet)
                gone = load.now()
                await begin()
                await asyncio.sleep(seconds)
                there = load.now()
                await _up(run, up=False)
                await end()
                await _up(run)
                again = load.now()
                slowest = max(slowest, again - there)
                await asyncio.sleep(quiet)
                after = load.now()
                await load.answered()
                same, shown = p99_change(load, [(start, gone), (again, after)], (gone, there), noise)
                if same:
                    break
        failed = bad(load.calls)
        report.check("client errors", f"{why(failed)} of {len(load.calls)}", not failed)
        report.check("p99 change, ms", shown, same)
        report.check("/readyz other than 200", f"{watch.unready} of {len(watch.statuses)}", not watch.unready)
        report.within("shared again after, s", slowest, 10)
        await nothing_lost(report, load, run)


async def _up(run: Installation, *, up: bool = True, seconds: float = GUARD) -> None:
    """Wait until every replica shares again, or has noticed that it does not."""
    async with asyncio.timeout(seconds):
        for replica in run.sharing:
            while bool((await replica.metrics())["hybridproxy_redis_up"]) is not up:
                await asyncio.sleep(0.05)


def _tried(relays: Sequence[Relay], since: float, least: int) -> bool:
    """Return whether so many attempts to connect have been made by each since a time."""
    return all(sum(at > since for at in relay.accepts) >= least for relay in relays)


FEWEST = 3
PHASES = {
    "300 ms": Faults.both(delay=0.15),
    "5 s": Faults.both(delay=2.5),
    "black hole": BLACK_HOLE,
}


async def unreachable(folder: Path, *, calm: bool, rate: float, quiet: float, seconds: float, tries: int) -> Report:
    """R3: what lies between the replicas and Redis delays by 300 ms, then by 5 s, then swallows everything."""
    report = Report("R3", calm=calm)
    noise = NOISE if calm else LOUD_NOISE
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisServer(folder))
        relays = [await stack.enter_async_context(Relay("127.0.0.1", redis.port)) for _ in range(2)]
        sections = [*({"url": f"redis://127.0.0.1:{relay.port}"} for relay in relays), None]
        run = await stack.enter_async_context(installed(folder, calm=calm, replicas=3, redis=sections))
        await run.fleet(2)
        most, beyond, gaps = 0, 0.0, []
        async with Load(run.urls, turns(replicas=3), rate, SPOKEN) as load, watched(run) as watch:
            await asyncio.sleep(0.5)
            for name, faults in PHASES.items():
                same, shown = False, ""
                for _ in range(tries):
                    start = load.now()
                    await asyncio.sleep(quiet)
                    gone = load.now()
                    for relay in relays:
                        relay.faults = faults
                    await asyncio.sleep(seconds)
                    if faults is BLACK_HOLE:  # on a machine that stands still few attempts are made
                        await until(partial(_tried, relays, gone, FEWEST), "attempts to connect")
                    there = load.now()
                    for relay in relays:
                        relay.faults = Faults()
                    await _up(run)
                    again = load.now()
                    for relay in relays:
                        times = [at for at in relay.accepts if gone < at]
                        most = max(most, clusters(times, 0.98))
                        beyond = max(beyond, len(times) - (again - gone))
                        gaps += [later - earlier for earlier, later in itertools.pairwise(times)]
                    await asyncio.sleep(quiet)
                    after = load.now()
                    await load.answered()
                    same, shown = p99_change(load, [(start, gone), (again, after)], (gone, there), noise)
                    if same:
                        break
                report.check(f"p99 change by {name}, ms", shown, same)
        failed = bad(load.calls)
        report.check("client errors", f"{why(failed)} of {len(load.calls)}", not failed)
        report.check("/readyz other than 200", f"{watch.unready} of {len(watch.statuses)}", not watch.unready)
        report.check("connection attempts of a worker in a second, at most", most, most <= 1 or not calm)
        report.check("and beyond one a second, at most", beyond, beyond <= 2)
        spread = statistics.stdev(gaps) if len(gaps) > 2 else 0.0
        report.check("spread of the times between them, s", spread, spread > 0.1)
        await nothing_lost(report, load, run)
    return report
