"""One tenant that asks for ten times its share, beside twenty that do not: L5."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from tests.acceptance.installation import PRICE, Json, digest
from tests.acceptance.overload import Storm, slowest, storm, total
from tests.acceptance.report import Report

QUIET, NOISY, GREEDY = "quiet", "noisy", "greedy"
KEYS = [f"hp_{n:043d}" for n in range(22)]
"""Of twenty quiet tenants, of a noisy one with the same quota, and of one that has none."""

MODEL = "shared"
"""Is served by a credential that has a quota, and the other model by one that has none."""

USE = 0.8
"""The part of its quota that a quiet tenant asks for."""

TIMES = 10
SIZE = 2000
TRIES = 40
MOST = 8
"""Rounds, where the machine is not calm: there it is enough that one of them is even, since who is held up by the noisy
one is so in all of them."""


async def noisy(folder: Path, *, calm: bool, rpm: int, seconds: float, rounds: int) -> Report:
    """L5: rounds of the quiet tenants alone, beside the noisy one, and beside the greedy one at a shared credential.

    `rpm`: the quota of each tenant; the shared credential has that of twenty-one. Where the machine is calm the slowest
    calls count; else medians do, and more is allowed.
    """
    report = Report("L5", calm=calm)

    def change(config: Json) -> None:
        shared = config["backends"]["a"] | {"limits": {"rpm": 21 * rpm}}
        config["backends"]["b"] = shared
        config["models"][MODEL] = {"family": "qwen3", "served_by": {"b": {"name": "qwen-b", "price": PRICE}}}
        config["routes"]["default"]["regions"]["default"].append("b")
        config["tenants"] = {
            f"t{n}": {"keys": [digest(key)], "limits": {} if n == 21 else {"rpm": rpm}} for n, key in enumerate(KEYS)
        }

    async with storm(folder, change, shed_lag="10s") as run:
        await _use_up(run)
        rate = rpm / 60
        alone = (20 * USE * rate, {QUIET: {"share": 1, "keys": KEYS[:20], "bytes": SIZE}})
        beside = _joined(alone, rate, NOISY, KEYS[20])
        at_shared = _joined(alone, rate, GREEDY, KEYS[21], MODEL)
        phases: list[list[Json]] = [[], [], []]
        while len(phases[0]) < rounds or (not calm and len(phases[0]) < MOST and not _even(*phases[:2], calm=calm)):
            for kept, (calls_a_second, calls) in zip(phases, (alone, beside, at_shared), strict=True):
                said = await run.run({"rate": calls_a_second, "seconds": seconds}, calls=calls)
                phase = said["phases"][0]
                kept += [phase | {"late": said["late"]}]
    _judge(report, *phases, calm=calm)
    return report


def _joined(alone: tuple[float, Json], rate: float, name: str, key: str, model: str = "qwen") -> tuple[float, Json]:
    """Return the calls with those of one more tenant, at so many times its quota."""
    calls_a_second, calls = alone
    more = TIMES * rate
    quiet = calls[QUIET] | {"share": round(100 * calls_a_second), "model": model}
    loud = {"share": round(100 * more), "keys": [key], "bytes": SIZE, "model": model}
    return calls_a_second + more, {QUIET: quiet, name: loud}


async def _use_up(run: Storm) -> None:
    """Let the noisy tenant use up its minute, so that every round finds it refused."""
    calls = {NOISY: {"share": 1, "keys": [KEYS[20]], "bytes": SIZE}}
    for _ in range(TRIES):
        said = await run.run({"connections": 16, "seconds": 0.25}, calls=calls)
        if total(said["phases"][0], "refused"):
            return
    raise AssertionError("a tenant without end was not refused")


def _count(phases: Sequence[Json], kind: str, what: str) -> int:
    """Return how many calls of a kind there were, those included whose answers came after their phase."""
    found = [part[kind][what] for phase in phases for part in (phase["calls"], phase["late"])]
    return sum(one["count"] if isinstance(one, dict) else one for one in found)


def _times(phases: Sequence[Json], percentile: str) -> list[float]:
    """Return the percentile of the quiet ones' times in each round."""
    return [slowest(phase, "answered", percentile, QUIET) for phase in phases]


def _even(alone: Sequence[Json], beside: Sequence[Json], *, calm: bool) -> bool:
    """Return whether the quiet ones are served beside the noisy one as they are without it."""
    was, is_ = (_times(phases, "p99" if calm else "p50") for phases in (alone, beside))
    rounds = list(zip(was, is_, strict=True))
    if calm:
        return statistics.median(b / a for a, b in rounds) <= 1.2
    return any(b <= max(5 * a, a + 100) for a, b in rounds)


def _judge(report: Report, alone: list[Json], beside: list[Json], at_shared: list[Json], *, calm: bool) -> None:
    """Judge the quiet ones' answers and times by those that they have alone."""
    for name, phases in (("alone", alone), ("beside the noisy one", beside), ("at a shared credential", at_shared)):
        answered = _count(phases, QUIET, "answered")
        others = {what: _count(phases, QUIET, what) for what in ("refused", "failed", "unsent")}
        sent = answered + sum(others.values())
        shown = f"{answered} of {sent}" + "".join(f", {count} {what}" for what, count in others.items() if count)
        report.check(f"answered {name}", shown, answered >= 0.999 * sent)
    percentile = "p99" if calm else "p50"
    was, is_, shared = (_times(phases, percentile) for phases in (alone, beside, at_shared))
    ratio = statistics.median(b / a for a, b in zip(was, is_, strict=True))
    report.check(f"their {percentile}, of that alone", ratio, _even(alone, beside, calm=calm))
    report.note(f"{percentile} in ms, median of rounds", f"{statistics.median(is_):.2f} ({statistics.median(was):.2f})")
    report.note("rounds", len(was))
    report.note("at a shared credential", statistics.median(shared))
    refused = _count(beside, NOISY, "refused")
    asked = refused + _count(beside, NOISY, "answered")
    report.check("refused of the noisy one", f"{refused} of {asked}", refused >= asked / 2)
    without = _count(beside, NOISY, "without") + _count(at_shared, GREEDY, "without")
    report.check("refused without Retry-After", without, without == 0)
    failed = _count(beside, NOISY, "failed") + _count(at_shared, GREEDY, "failed")
    report.check("failed in any other way", failed, failed == 0)
    spent, usual = (sum(phase["cpu"] for phase in phases) for phases in (beside, alone))
    served = usual / max(1, _count(alone, QUIET, "answered"))
    report.note(
        "CPU time of the loop for a call of the noisy one, of that for an answered one",
        (spent - usual) / max(1, asked) / served,
    )
    greedy = _count(at_shared, GREEDY, "answered")
    report.note("answered of the greedy one", f"{greedy} of {greedy + _count(at_shared, GREEDY, 'refused')}")
