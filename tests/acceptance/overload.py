"""More calls than one worker can serve: L4."""

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tests.acceptance.installation import KEYS, Json, configuration
from tests.acceptance.processes import DROPPED, ROOT, Program, Replica, until
from tests.acceptance.report import PATIENCE, Report
from tests.support.places import Place

CALLS: Json = {
    "whole": {"share": 1, "keys": KEYS[:1], "bytes": 2000},
    "streamed": {"share": 1, "keys": KEYS[:1], "bytes": 2000, "stream": True},
}
"""Prompts of about 400 tokens; every second answer is a stream of 20 events."""

WITHIN = 10.0
"""Seconds within which all is as it was."""

REFUSED_WITHIN = 50
"""Milliseconds."""

CONNECTIONS = 64
"""With so many at once a worker is busy all the time."""


class Answerer(Program):
    """An upstream that costs little: see `storm`."""

    provider = "together"

    def __init__(self, folder: Path) -> None:
        self.place = Place()
        self.base_url = f"http://127.0.0.1:{self.place.port}/v1"
        arguments = ["-m", "tests.acceptance.storm", "upstream", str(self.place.port)]
        super().__init__(folder, "upstream-a", arguments, {})

    async def stop(self) -> None:
        """End it for good."""
        await super().stop()
        self.place.close()


class Storm:
    """A replica, the upstream behind it and the load before it, on CPUs of their own where there are several."""

    def __init__(self, folder: Path, http: aiohttp.ClientSession, change: Any, **settings: Any) -> None:
        self._folder = folder
        self.upstream = Answerer(folder)
        upstreams: Any = [self.upstream]
        own = {"connect": "3s", "first_token": "10s", "answer": "10s", "total": "20s"}
        config = configuration(upstreams, timeouts=own, change=change, tenants=1)
        config["listen"] = settings
        self.replica = Replica(folder, http, "replica-0", config, {"KEY": "upstream-key"})
        self._load: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start all of it."""
        await self.upstream.start()
        await self.replica.start()
        await self.replica.ready()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
        command = [sys.executable, "-m", "tests.acceptance.storm", "load", str(self.replica.places[0].port)]
        if setpriv := shutil.which("setpriv"):
            command = [setpriv, "--pdeathsig", "KILL", *command]
        with (self._folder / "load.err").open("ab") as err:
            self._load = await asyncio.create_subprocess_exec(
                *command, cwd=self._folder, env=kept | {"PYTHONPATH": str(ROOT)}, stderr=err,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
            )  # fmt: skip
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) > 1:
            os.sched_setaffinity(self.replica.pid, cpus[:1])
            for pid in (self.upstream.pid, self._load.pid):
                os.sched_setaffinity(pid, cpus[1:])

    async def run(self, *phases: Json, calls: Json | None = None) -> Json:
        """Send calls; return what came of them."""
        assert self._load is not None
        assert self._load.stdin is not None
        assert self._load.stdout is not None
        self._load.stdin.write(
            orjson.dumps({"pid": self.replica.pid, "phases": phases, "calls": calls or CALLS}) + b"\n"
        )
        line = await self._load.stdout.readline()
        assert line, (self._folder / "load.err").read_text()[-2000:]
        said: Json = orjson.loads(line)
        return said

    async def stop(self) -> None:
        """End all of it."""
        if self._load is not None and self._load.returncode is None:
            self._load.kill()
            await self._load.wait()
        await self.replica.stop()
        await self.upstream.stop()


@contextlib.asynccontextmanager
async def storm(folder: Path, change: Any = None, **settings: Any) -> AsyncIterator[Storm]:
    """Run one; `settings` are options of `listen`."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
        made = Storm(folder, http, change, **settings)
        try:
            await made.start()
            yield made
        finally:
            await made.stop()


def total(phase: Json, what: str) -> int:
    """Return how many calls of all kinds there were."""
    found = (kind[what] for kind in phase["calls"].values())
    return sum(one["count"] if isinstance(one, dict) else one for one in found)


def served(phase: Json) -> float:
    """Return how many calls a second were answered."""
    return total(phase, "answered") / float(phase["seconds"])


def busy(phase: Json) -> float:
    """Return the part of a CPU that the worker used."""
    return float(phase["cpu"] / phase["seconds"])


def slowest(phase: Json, what: str, percentile: str, kind: str | None = None) -> float:
    """Return the percentile of the times, in ms; of several kinds the largest one."""
    found = [one[what][percentile] for name, one in phase["calls"].items() if kind in {None, name}]
    return max((one for one in found if one is not None), default=0.0)


async def overloaded(
    folder: Path, *, calm: bool, lag: str, peak: float, usual: float, begins: float, storms: float, back: float
) -> Report:
    """L4: three times as many calls as a worker can serve, and then less again.

    Where the machine is not calm CPU time counts, and medians; it is enough to serve a fifth of the capacity then,
    and to have nothing to refuse in some second at 0.3 times within 20 s.
    """
    report = Report("L4", calm=calm)
    async with storm(folder, shed_lag=lag) as run:
        await _overload(report, run, calm=calm, peak=peak, usual=usual, begins=begins, storms=storms, back=back)
    return report


async def _overload(
    report: Report, run: Storm, *, calm: bool, peak: float, usual: float, begins: float, storms: float, back: float
) -> None:
    await run.run({"connections": CONNECTIONS, "seconds": peak / 3})
    (best,) = (await run.run({"connections": CONNECTIONS, "seconds": peak}))["phases"]
    # who sends and who answers share the other CPU, and keep the worker waiting
    capacity = served(best) / busy(best) if calm else served(best)
    ordinary = {"rate": (0.7 if calm else 0.3) * capacity, "seconds": usual}  # other work may come meanwhile
    said = await run.run(ordinary)
    (before,) = said["phases"]
    phases = [before, {"calls": said["late"]}]
    times, tries = 3, 1
    while True:
        too_many = {"rate": times * capacity}
        said = await run.run({**too_many, "seconds": begins}, {**too_many, "seconds": storms})
        begun, during = said["phases"]
        phases += [begun, during, {"calls": said["late"]}]
        sheds = bool(total(during, "refused"))
        if calm or tries == 4 or (sheds and slowest(during, "refused", "p50") <= REFUSED_WITHIN * PATIENCE):
            break
        tries += 1
        times *= 1 if sheds else 2  # what else the machine does made the capacity look smaller than it is
    waited, refused = 0.0, 1
    while refused and waited < WITHIN * (1 if calm else 2):
        waited += back
        said = await run.run({**ordinary, "seconds": back})
        phases += [*said["phases"], {"calls": said["late"]}]
        refused = total(said["phases"][0], "refused")
    report.note("looked at after, s", waited)
    if calm:  # else the next time may find a machine that is busy, and refuse for that
        said = await run.run(ordinary)
        phases += [*said["phases"], {"calls": said["late"]}]
    (after,) = said["phases"]
    report.note("capacity, calls a second", round(capacity))
    report.note("came, of that", (total(during, "answered") + total(during, "refused")) / during["seconds"] / capacity)
    share = served(during) / capacity
    by_cpu = served(during) / busy(during) / (served(best) / busy(best))
    # beside other work a worker's calls cost what that leaves of its caches: a fifth is asked for there
    report.check(
        "served during it, of the capacity", share if calm else by_cpu, share >= 0.8 if calm else by_cpu >= 0.2
    )
    report.note("by CPU time", by_cpu)
    report.note(
        "CPU of the worker then, and when its capacity was measured", f"{busy(during):.0%} and {busy(best):.0%}"
    )
    p50, p99 = (slowest(during, "refused", percentile) for percentile in ("p50", "p99"))
    report.within(f"refused within, ms ({'p99' if calm else 'median'})", p99 if calm else p50, REFUSED_WITHIN)
    report.check("refused", total(during, "refused"), total(during, "refused") > 0)
    report.note("median, ms", p50)
    report.note("at most", slowest(during, "refused", "most"))
    without = sum(total(phase, "without") for phase in phases)
    report.check("refused without Retry-After", without, without == 0)
    failed = sum(total(phase, "failed") for phase in phases)
    report.check("failed in any other way", failed, failed == 0)
    percentile = "p99" if calm else "p50"
    was, is_ = (slowest(phase, "answered", percentile, "whole") for phase in (before, after))
    report.check(
        f"{percentile} after it, ms (before it)",
        f"{is_:.1f} ({was:.1f})",
        is_ <= max(2 * was, was + (25 if calm else 1000)),
    )
    share = total(after, "refused") / max(1, total(after, "answered"))
    report.check("refused then", f"{share:.1%}", share == 0)
    report.note(f"refused in the {begins:g} s until it was noticed", total(begun, "refused"))
    with contextlib.suppress(TimeoutError):
        await until(lambda: run.replica.events("shedding.ended"), "the end of it in the log")
    lines = [line["event"] for line in run.replica.events("shedding")]
    report.check("log lines of it", len(lines), lines[:2] == ["shedding.began", "shedding.ended"])
