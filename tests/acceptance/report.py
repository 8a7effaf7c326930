"""What a test found: figures, and for each thing it must hold whether it did."""

import asyncio
import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.acceptance.calls import Call, Outcome
from tests.acceptance.installation import Installation
from tests.acceptance.load import Load
from tests.acceptance.reconcile import Sightings, sightings

PATIENCE = 20
"""How many times as long something may take on a machine that is slow, or does other things."""


@dataclass(slots=True)
class Check:
    """One thing that must hold."""

    what: str
    found: str
    holds: bool


@dataclass(slots=True)
class Report:
    """What one test found.

    Attributes:
        id: of the test.
        calm: the machine does nothing else, so that seconds count; else what counts is what happened, and times only
            show that nothing hangs or grows without end.

    """

    id: str
    calm: bool = True
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def check(self, what: str, found: Any, holds: bool) -> None:
        """Add a thing that must hold."""
        self.checks.append(Check(what, shown(found), holds))

    def within(self, what: str, found: float, limit: float) -> None:
        """Add a time that must not be longer than this, or than `PATIENCE` times this where the machine is not calm."""
        self.check(what, found, found <= limit * (1 if self.calm else PATIENCE))

    def note(self, what: str, found: Any) -> None:
        """Add a figure that nothing depends on."""
        self.notes.append(f"{what} {shown(found)}")

    @property
    def failed(self) -> list[str]:
        """What did not hold."""
        return [f"{check.what}: {check.found}" for check in self.checks if not check.holds]

    @property
    def measured(self) -> str:
        """All figures in one line."""
        checks = [f"{check.what} {check.found}" + ("" if check.holds else " (missed)") for check in self.checks]
        return "; ".join([*checks, *self.notes])


def shown(found: Any) -> str:
    """Return a figure for people."""
    return f"{found:.3g}" if isinstance(found, float) and abs(found) < 1000 else str(found)


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that so many are not above; nan for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def p99(calls: Sequence[Call]) -> float:
    """Return the 99th percentile of the calls' times, in milliseconds."""
    return percentile((call.took for call in calls if call.took is not None), 0.99) * 1000


def bad(calls: Iterable[Call]) -> list[Call]:
    """Return the calls whose callers did not get what they asked for."""
    return [call for call in calls if call.bad]


def why(calls: Iterable[Call]) -> str:
    """Return what became of calls: how many of each kind, with the beginning of a text that was not expected."""
    kinds: Counter[str] = Counter()
    for call in calls:
        text = call.text[:80] if call.outcome is Outcome.ANSWERED else ""
        kinds[" ".join(filter(None, (call.outcome.value, call.code, text)))] += 1
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none"


def clusters(times: Iterable[float], width: float) -> int:
    """Return the largest number of moments within a time of this width."""
    ordered = sorted(times)
    most, first = 0, 0
    for last, time in enumerate(ordered):
        while time - ordered[first] >= width:
            first += 1
        most = max(most, last - first + 1)
    return most


QUICK, LATE = 0.1, 0.2
"""Seconds: a call as it should be, and one that had to wait for something."""

SOON = 0.05
OVERTAKERS = 5


def overtaken(calls: Sequence[Call]) -> list[Call]:
    """Return the late calls in whose time their replica served others quickly: it was not the machine that kept them.

    A replica, or a machine, that stands still keeps all of its calls.
    """
    ends = [(call.ask.replica, call.sent, call.sent + call.took) for call in calls if call.took is not None]
    quick = [one for one in ends if one[2] - one[1] <= QUICK]

    def others(call: Call) -> int:
        begin, end = call.sent + SOON, call.sent + (call.took or 0.0) - SOON
        return sum(place == call.ask.replica and begin <= sent and done <= end for place, sent, done in quick)

    return [call for call in calls if (call.took or 0.0) > LATE and others(call) >= OVERTAKERS]


def overlap(spans: Iterable[tuple[float, float]]) -> int:
    """Return how many spans there were at most at one time."""
    edges = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    most = now = 0
    for _, change in edges:
        now += change
        most = max(most, now)
    return most


async def nothing_lost(
    report: Report, load: Load, run: Installation, *, tally: bool = True, others: Collection[str] = ()
) -> None:
    """Check that each call has one outcome, one record, and that the upstreams got what the records say.

    `tally`: no upstream was killed and every attempt reached one, so that both must agree on every call. `others`: the
    ids of calls that were made beside the load.
    """
    lost = sum(call.outcome is Outcome.LOST for call in load.calls)
    report.check("lost", lost + load.surplus, lost + load.surplus == 0)
    told = Counter([*(call.id for call in load.calls if call.id), *others])
    logged: Counter[str] = Counter()
    for replica in run.replicas:
        logged += replica.ids()
    for _ in range(300):
        if told == logged:
            break
        await asyncio.sleep(0.1)
        logged = sum((replica.ids() for replica in run.replicas), Counter())
    without = sum((told - logged).values()) + sum((logged - told).values())
    report.check("calls without just one record", without, without == 0)
    if tally:
        seen, sent = await _seen(run)
        report.check("attempts no upstream saw", seen.unseen, seen.unseen == 0)
        report.check("requests that are no attempt", seen.surplus, seen.surplus == 0)
        report.check("probes", f"{seen.probes} of {sent}", seen.probes == sent)
        if seen.twice:
            report.note("requests that went out twice", seen.twice)


async def _seen(run: Installation) -> tuple[Sightings, int]:
    """Return what the upstreams' books say of the records' attempts, and how many probes the replicas have sent.

    A probe may go out at any time, and the books have a request once it is over: so both are looked at until they
    agree, or for a while.
    """
    attempts = {str(one["id"]): int(one["attempts"]) for replica in run.replicas for one in replica.records}
    end = asyncio.get_running_loop().time() + 30
    while True:
        before = await _probes(run)
        books = await asyncio.gather(*(upstream.books() for upstream in run.upstreams.values()))
        sent, seen = await _probes(run), sightings(attempts, (line for lines in books for line in lines))
        if (before == sent == seen.probes and not seen.unseen) or asyncio.get_running_loop().time() > end:
            return seen, sent
        await asyncio.sleep(0.3)


async def _probes(run: Installation) -> int:
    return int(sum([(await replica.metrics())["hybridproxy_probes_sent"] for replica in run.replicas]))
