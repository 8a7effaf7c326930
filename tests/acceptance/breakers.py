"""Upstreams that die, fall silent, fail or refuse: B1, B2, B3, B5, B6."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.acceptance.calls import Ask, Outcome
from tests.acceptance.installation import KEYS, SPOKEN, TEXT, Installation, Json, installed
from tests.acceptance.load import Load
from tests.acceptance.processes import GUARD
from tests.acceptance.report import Report, bad, nothing_lost, p99, percentile, why
from tests.support.redis_servers import RedisServer

HEALTHY: dict[str, Any] = {"text": TEXT}
SAVED = 10
"""Seconds whose retries may come at once."""


def mixed(replicas: int) -> Any:
    """Return calls of four tenants in turn: of twenty 12 whole answers, 6 streams that may resume, 2 that may not.

    The tenants t0 and t1 are on the route whose streams end with an error, t2 and t3 on the one that resumes them.
    """

    def ask(n: int) -> Ask:
        place = n % 20
        tenant = n % 4 if place < 12 else 2 + n % 2 if place < 18 else n % 2
        return Ask(KEYS[tenant], replica=n % replicas, stream=place >= 12)

    return ask


def turns(*, tenants: int = 4, replicas: int = 1, stream: bool = False) -> Any:
    """Return calls of tenants and at replicas in turn."""
    return lambda n: Ask(KEYS[n % tenants], replica=n // tenants % replicas, stream=stream)


async def killed(folder: Path, *, calm: bool, rate: float, before: float, after: float, rounds: int) -> Report:
    """B1: the first upstream is killed under load, and comes back."""
    report = Report("B1", calm=calm)
    routes = {"plain": {"on_cut": ["error"]}, "resuming": {"on_cut": ["resume", "replay", "error"]}}
    with RedisServer(folder) as redis:
        async with (
            installed(
                folder, calm=calm, replicas=3, redis={"url": redis.url}, routes=routes,
                tenant_routes=("plain", "plain", "resuming", "resuming"),
            ) as run,
            # the third replica gets no call: it can only hear
            Load(run.urls[:2], mixed(2), rate, SPOKEN) as load,
        ):  # fmt: skip
            await run.fleet(3)
            settings = HEALTHY | {"pace_ms": 10}
            await asyncio.gather(*(upstream.behave(**settings) for upstream in run.upstreams.values()))
            slowest, before_open, after_open, under_way = 0.0, 0, [], 0
            for _ in range(rounds):
                await asyncio.sleep(before)
                at, wall = load.now(), time.time()
                under_way = max(under_way, load.in_flight)
                await run["a"].kill()
                opened = [await _opened(run, n, wall) for n in range(3)]
                slowest = max(slowest, *(one - wall for one in opened))
                await asyncio.sleep(after)
                failed_over = at + slowest
                end = load.now()
                anew = time.time()
                await run["a"].start()
                await run["a"].ready()
                await run["a"].behave(**settings)
                for replica in run.replicas:
                    await replica.logged("breaker.closed", since=anew, backend="a")
                early = bad(load.between(at - 5, failed_over))
                before_open = max(before_open, len(early))
                after_open += bad(load.between(failed_over, end))
            back = load.now()
            await asyncio.sleep(min(3.0, after))
            await load.stop()
            report.within("slowest replica to open, s", slowest, 2)
            most = 10 if calm else 10 + under_way  # on a slow machine more streams that may not resume
            report.check("client errors before that, in a round", before_open, before_open <= most)
            report.check("after that", f"{len(after_open)} of {len(load.calls)}", not after_open)
            late = bad(load.between(back, load.now()))
            report.check("after it came back", len(late), not late)
            report.note("what failed:", why(bad(load.calls)))
            await nothing_lost(report, load, run, tally=False)
    return report


def first(times: dict[str, str]) -> Callable[[Json], None]:
    """Return a change of the configuration that gives the first upstream times of its own.

    They are short, and where the machine stands still for longer than that, the others are not to be given up for it.
    """
    return lambda config: config["backends"]["a"].update(timeouts=times)


async def _opened(run: Installation, number: int, wall: float, seconds: float = GUARD) -> float:
    """Return when a replica's breaker opened, by its log."""
    return float((await run.replicas[number].logged("breaker.opened", seconds, since=wall, backend="a"))["time"])


async def silent(folder: Path, *, calm: bool, rate: float, first_token: float, before: float, after: float) -> Report:
    """B2: the first upstream is stopped: its kernel takes connections and requests, and nobody answers."""
    report = Report("B2", calm=calm)
    limit = first_token + 2
    times = {"first_token": f"{first_token}s", "answer": f"{first_token}s"}

    def ask(n: int) -> Ask:
        return Ask(KEYS[n % 4], stream=n // 4 % 2 == 0)

    async with (
        installed(folder, calm=calm, timeouts={"total": f"{first_token + 30}s"}, change=first(times)) as run,
        Load(run.urls, ask, rate, (TEXT,)) as load,
    ):
        await asyncio.sleep(before)
        at, wall = load.now(), time.time()
        run["a"].pause()
        opened = await _opened(run, 0, wall, limit + GUARD) - wall
        await asyncio.sleep(after)
        end = load.now()
        run["a"].resume()
        await run.replicas[0].logged("breaker.closed", first_token + GUARD, backend="a")
        await load.stop()
        caught = [call for call in load.between(at - 1, end) if call.took is not None and call.took > first_token / 2]
        slowest = max(call.took or 0.0 for call in load.calls)
        report.within("slowest call, s", slowest, limit)
        report.within("opened after, s", opened, limit)
        answered = [call for call in caught if not call.bad]
        report.check("answered of the calls that it caught", f"{len(answered)} of {len(caught)}", answered == caught)
        late = bad(load.between(at + opened + 0.1, load.now()))
        report.check("client errors once it was open", len(late), not late)
        report.note("what failed:", why(bad(load.calls)))
        await nothing_lost(report, load, run, tally=False)
    return report


async def stalled(folder: Path, *, calm: bool, rate: float, between_bytes: float, seconds: float) -> Report:
    """B3: the first upstream begins its streams and then says nothing more."""
    report = Report("B3", calm=calm)
    times, total = {"between_bytes": f"{between_bytes}s"}, {"total": f"{between_bytes + 60}s"}
    async with (
        installed(folder, calm=calm, timeouts=total, change=first(times)) as run,
        Load(run.urls, turns(stream=True), rate, (TEXT,), patience=between_bytes + 30) as load,
    ):
        await run["a"].behave(**HEALTHY, fault={"kind": "stall", "after_pieces": 3})
        opened = await run.replicas[0].logged("breaker.opened", between_bytes + GUARD, backend="a")
        await asyncio.sleep(seconds)
        await run["a"].behave(**HEALTHY)  # before its next probe stalls as well
        await load.stop()
        hit = [call for call in load.calls if call.backend == "a" and call.bad]
        report.check("streams that stalled", len(hit), len(hit) >= 10)
        ends = [call.took or 0.0 for call in hit]
        report.check("error event after, s, at least", min(ends), min(ends) >= between_bytes)
        report.within("at most, beyond that", max(ends) - between_bytes, 1)
        told = [call for call in hit if call.outcome is Outcome.BROKEN and not call.done]
        report.check("with an error event and no [DONE]", len(told), told == hit)
        report.check("attempts of one", max(call.attempts for call in hit), all(call.attempts == 1 for call in hit))
        report.check("opened by", opened["reason"], "streams broke off" in opened["reason"])
        others = [call for call in bad(load.calls) if call not in hit]
        report.check("other client errors", len(others), not others)
        await nothing_lost(report, load, run)
    return report


async def half_broken(folder: Path, *, calm: bool, rate: float, seconds: float, seeds: int) -> Report:
    """B5: the first upstream answers every second call with 500, at random."""
    report = Report("B5", calm=calm)
    beyond, requests, attempts, room, errors = [], 0, 0, 0.0, 0
    for seed in range(seeds):
        async with (
            installed(folder / f"seed-{seed}", calm=calm, breaker={"open_for": "5s", "open_max": "15s"}) as run,
            Load(run.urls, turns(tenants=1), rate, (TEXT,)) as load,
        ):
            await asyncio.sleep(1)
            began = load.now()
            fault = {"kind": "status", "status": 500, "probability": 0.5, "seed": seed}
            await run["a"].behave(**HEALTHY, fault=fault)
            opened = await run.replicas[0].logged("breaker.opened", backend="a")
            samples = [entry for entry in await run["a"].requests() if entry["started_at"] <= opened["time"]]
            late = 0 if calm else len(load.under_way(opened["time"] + load.now() - time.time()))
            beyond.append(len(samples) - _threshold([entry["status"] == 500 for entry in samples]) - late)
            await asyncio.sleep(max(0.0, seconds - (load.now() - began)))
            await load.stop()
            report_of_one = Report("B5")
            await nothing_lost(report_of_one, load, run)
            report.checks += [check for check in report_of_one.checks if not check.holds or seed == 0]
            requests += len(load.calls)
            attempts += sum([await upstream.total() for upstream in run.upstreams.values()])
            room += _room(run, load, 1, load.now() - began, calm=calm)
            errors += len(bad(load.calls))
    what = "samples between threshold and opening, at most" + ("" if calm else ", beside what was under way")
    report.check(what, max(beyond), max(beyond) <= 20)
    most = 1.1 * requests + room
    report.check(f"attempts for {requests} requests", attempts, attempts <= most)
    report.note("attempts a request", attempts / requests)
    report.note("client errors", errors)
    return report


def _room(run: Installation, load: Load, tenants: int, seconds: float, *, calm: bool) -> float:
    """Return how many attempts there may be beside 1.1 for each call.

    One a second for each tenant, of which those of ten seconds may come at once; and where the machine is not calm one
    for each call that was under way when a breaker opened: it was caught, and moves once. On a calm one these are few.
    """
    room = tenants * max(seconds, SAVED)
    if not calm:
        past = load.now() - time.time()
        opened = [line["time"] + past for line in run.replicas[0].events("breaker.opened")]
        room += len({call.number for at in opened for call in load.under_way(at)})
    return room


def _threshold(faults: list[bool]) -> int:
    """Return after how many outcomes the rules say: open. Five in a row, or half of at least twenty."""
    streak = count = 0
    for number, fault in enumerate(faults, 1):
        streak, count = (streak + 1, count + 1) if fault else (0, count)
        if fault and (streak >= 5 or (number >= 20 and count >= number / 2)):
            return number
    return len(faults)


async def all_failing(folder: Path, *, calm: bool, rate: float, seconds: float) -> Report:
    """B6: all three upstreams answer every call with 500."""
    report = Report("B6", calm=calm)
    async with installed(folder, calm=calm, breaker={"open_for": "5s", "open_max": "15s"}) as run:
        for upstream in run.upstreams.values():
            await upstream.behave(**HEALTHY, fault={"kind": "status", "status": 500})
        async with Load(run.urls, turns(), rate) as load:
            began, cpu = load.now(), run.replicas[0].cpu()
            await asyncio.sleep(seconds)
            took = load.now() - began
            used = (run.replicas[0].cpu() - cpu) / took
        sent = len(load.calls) / took
        attempts = sum([await upstream.total() for upstream in run.upstreams.values()])
        report.note("calls a second", round(sent))
        most = 1.1 * len(load.calls) + _room(run, load, 4, took, calm=calm)
        report.check(f"attempts for {len(load.calls)} calls", attempts, attempts <= most)
        refused = [call for call in load.calls if call.status == 503]
        others = [call for call in load.calls if call.status != 503]
        if calm:
            report.within("503 within, ms (p99)", p99(refused), 50)
        else:  # who stands still has many late ones; who waits for an upstream has no others
            quick = 1000 * percentile((call.took or 0.0 for call in refused), 0.1)
            report.within("503 within, ms (a tenth of them)", quick, 50)
        report.check("CPU of the worker", f"{used:.0%}", used < 0.9 or not calm)
        report.check("answered with something else", why(others), all(call.status in {502, 503} for call in others))
        hints = sum(bool(call.retry_after) for call in refused)
        report.check("503 with Retry-After", f"{hints} of {len(refused)}", hints == len(refused))
        await nothing_lost(report, load, run)
    return report
