"""Two ledgers of the same calls: the proxy's and its upstreams' books. M1.

Everything runs in one process, over real sockets; the ledger is on the disk, and is read as its readers read it.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import orjson
from typer.testing import CliRunner

from hybridproxy.cli.main import app
from hybridproxy.gateway.attempt import Client
from hybridproxy.gateway.pipeline import Arrival
from hybridproxy.metering.lines import Attempt, record_in
from hybridproxy.metering.records import Basis, Called, Outcome
from hybridproxy.metering.report import day_of
from hybridproxy.model.usage import Usage
from hybridproxy.stores.ledger_files import lines_of, segments_in, slots_in
from tests.acceptance.mixed import CALLER, Told, installed, made
from tests.acceptance.mixture import Mixture
from tests.acceptance.reconcile import Match, Reconciliation, difference, reconciled
from tests.acceptance.report import Report
from tests.support.redis_servers import RedisServer
from tests.support.stack import Stack

MANY: Final = 5000
"""Calls of which it is counted how often something happened."""

REACHED: Final = 0.95
"""Part of the calls; the others were left early."""

AT_ONCE: Final = 0.1
"""Seconds within which an attempt that was sent may be ended by us before its upstream reads a byte."""

OFTEN: Final = {
    "cut": 100, "again after a failure": 100, "hedge": 100, "resume": 100, "replay": 50, "throttled": 100,
    "client_gone": 100, "timeout_first_token": 20, "integrity": 20,
}  # fmt: skip
"""How often what happens to attempts has to happen among many calls."""

BY = "tenant,model,backend,day"
Sums = dict[tuple[str, ...], Counter[str]]
COUNTED = ("calls", "attempts", "prompt", "completion", "cached", "written", "reasoning", "cost", "estimated")


async def reconciles(folder: Path, *, calm: bool, count: int, seed: int, at_a_time: int) -> Report:
    """M1: mixed calls, then every attempt against the line of the books that is its own."""
    report = Report("M1", calm=calm)
    ledger = folder / "ledger"
    with RedisServer(folder) as redis:
        async with installed(folder, ledger, {"redis": {"url": redis.url}}) as stack:
            read = _read(stack)
            told = await made(stack, Mixture(seed).calls(count), at_a_time)
            await _quiet(stack)
            books = {
                name: list(stack.sim(simulator).upstream.journal.books.lines) for name, simulator in CALLER.items()
            }
            attempts, calls = _records(ledger)
            running, asked = _usage(folder), await _asked(stack, _sums(attempts, calls))
            spent = {use.key[0]: (use.used, use.reserved) for use in stack.worker.quotas.uses(every=True)}
    found = reconciled([(one.started, one.ended) for one in attempts], books)
    _judge_calls(report, count, told, read, attempts, calls)
    _judge_attempts(report, found, books)
    _judge_told(report, told, attempts)
    said = {"while it runs": running, "by the admin port, through Redis": asked, "afterwards": _usage(folder)}
    _judge_sums(report, _sums(attempts, calls), said)
    _judge_budgets(report, attempts, spent)
    _tell_estimates(report, found)
    return report


def _read(stack: Stack) -> list[str]:
    """Return the names of the calls whose requests the proxy reads from now on, told before it does anything else."""
    gateway, names = stack.worker.gateway, []
    serve = gateway.serve

    def noted(arrival: Arrival, client: Client) -> Any:
        names.append(arrival.request_id)
        return serve(arrival, client)

    gateway.serve = noted  # type: ignore[method-assign]
    return names


async def _quiet(stack: Stack) -> None:
    """Wait until nothing is under way any more, here and there, and the ledger is on the disk."""
    await stack.until(lambda: not stack.worker.gateway.in_flight, 20)
    journals = [stack.sim(name).upstream.journal for name in CALLER.values()]
    await stack.until(lambda: not any(journal.in_flight for journal in journals), 20)
    assert stack.worker.ledger is not None
    assert await stack.worker.ledger.flushed(20)


async def _asked(stack: Stack, sums: Sums) -> dict[str, Any]:
    """Return what the running server says of the whole fleet, once Redis has been told all, or at last."""
    query = {"by": BY, "scope": "fleet"}
    headers = {"authorization": "Bearer admin-token-of-tests"}
    end = asyncio.get_running_loop().time() + 30
    while True:
        async with stack.http.get(f"{stack.admin_url}/admin/v1/usage", params=query, headers=headers) as response:
            said: dict[str, Any] = await response.json()
        late = asyncio.get_running_loop().time() > end
        # on a machine that stands still Redis may not be reached for a moment
        if response.status == 200 and (late or _rows(said) == sums):
            return said
        assert not late, said
        await asyncio.sleep(0.3)


def _usage(folder: Path) -> dict[str, Any]:
    """Return what `hybridproxy usage` says."""
    result = CliRunner().invoke(app, ["usage", "--json", "--by", BY, "--path", str(folder / "ledger")])
    assert result.exit_code == 0, result.output
    said: dict[str, Any] = orjson.loads(result.stdout)
    return said


def _records(folder: Path) -> tuple[list[Attempt], list[Called]]:
    """Return the ledger's attempts and calls; each line has to be a record."""
    found = [
        record_in(line)
        for slot in slots_in(folder)
        for segment in segments_in(slot)
        if segment.path.exists()
        for line in lines_of(segment.path)
    ]
    attempts = [record for record in found if isinstance(record, Attempt)]
    calls = [record for record in found if isinstance(record, Called)]
    assert len(attempts) + len(calls) == len(found)
    return attempts, calls


def _judge_calls(
    report: Report,
    count: int,
    told: Sequence[Told],
    read: Sequence[str],
    attempts: Sequence[Attempt],
    calls: Sequence[Called],
) -> None:
    """Every call whose request was read has one record, and that is the sum of its attempts."""
    report.note("calls", count)
    report.note("made again, as nothing of them was sent", len(told) - count)
    kinds = Counter(one.asked.kind + (" streamed" if one.asked.stream else "") for one in told)
    report.note("of these", dict(sorted(kinds.items())))
    twice = len(calls) - len({one.call for one in calls})
    report.check("calls with two records", twice, twice == 0)
    without = len(set(read) ^ {one.call for one in calls})
    report.check("requests read without a record, or the reverse", without, without == 0 and len(read) == len(calls))
    early, unread = sum(one.left and not one.id for one in told), len(told) - len(read)
    report.check(f"calls never read, of {early} that were left before an answer", unread, 0 <= unread <= early)
    named = {one.id for one in told if one.id}
    missing = len(named - {one.call for one in calls})
    report.check("calls that callers know by a name and the ledger does not", missing, missing == 0)
    cost: dict[str, int] = defaultdict(int)
    made_of: Counter[str] = Counter()
    for one in attempts:
        cost[one.started.call] += one.ended.cost
        made_of[one.started.call] += 1
    apart = [one for one in calls if (cost[one.call], made_of[one.call]) != (one.cost, one.attempts)]
    shown = f"{len(apart)}, as {apart[0]}: {cost[apart[0].call]}, {made_of[apart[0].call]}" if apart else "0"
    report.check("calls that are not the sum of their attempts", shown, not apart)
    tried = sum(one.attempts > 0 for one in calls)
    many = count >= MANY
    report.check("calls that reached an upstream", tried, tried >= REACHED * count)
    happened = Counter(one.started.mode for one in attempts if one.started.mode != "fresh")
    happened += Counter(one.ended.fault for one in attempts if one.ended.fault)
    happened["again after a failure"] = sum(one.started.mode == "fresh" and one.started.n > 0 for one in attempts)
    wanted = OFTEN if many else {"cut": 5, "again after a failure": 5}
    enough = all(happened[what] >= times for what, times in wanted.items())
    report.check("what happened", dict(sorted(happened.items())), enough)


def _judge_attempts(report: Report, found: Reconciliation, books: dict[str, list[Any]]) -> None:
    """Every attempt is in the books, every line of these is an attempt, and both say the same of what was reported."""
    report.note("lines of the books", sum(map(len, books.values())))
    report.note("attempts in the ledger", len(found.matches) + len(found.unseen))
    sent = [ended for _, ended in found.unseen if ended.basis is not Basis.NOTHING]
    lost = [ended for ended in sent if not (ended.outcome is Outcome.CANCELLED and ended.seconds < AT_ONCE)]
    report.check("attempts no books have, but for those never sent or left at once", len(lost), not lost)
    report.note("never sent", len(found.unseen) - len(sent))
    report.note("left before the upstream read them, and charged for all the same", len(sent) - len(lost))
    unknown = f"{len(found.unknown)}, as {found.unknown[0]}" if found.unknown else "0"
    report.check("lines that are no attempt", unknown, not found.unknown)
    report.note("requests that went out twice", sum(len(match.lines) > 1 for match in found.matches))
    reported = found.of(Basis.TABLE, Basis.UPSTREAM)
    report.note("attempts reported", len(reported))
    report.check("of these not equal to the token and the nano-dollar", _shown(found.wrong), not found.wrong)
    report.check("charged for, and not in the ledger", _shown(found.missed), not found.missed)
    report.check("reported, and an estimate all the same", _shown(found.overlooked), not found.overlooked)
    by_word = found.of(Basis.UPSTREAM)
    others = sum(match.lines[0].told_cost != match.ended.cost for match in by_word)
    report.check("costs that are not what OpenRouter told", f"{others} of {len(by_word)}", bool(by_word) and not others)


def _shown(matches: Sequence[Match]) -> str:
    """Return how many, and what the first one is."""
    if not matches:
        return "0"
    one, line = matches[0], matches[0].lines[0]
    began, ended = one.started, one.ended
    return (
        f"{len(matches)}, as {began.backend} {began.mode} {ended.outcome.value} {ended.fault} ({line.call}, "
        f"{line.stream}, {line.fault}, {line.outcome}): {one.counted} {ended.cost}, and {one.tokens} {one.charged}"
    )


def _judge_told(report: Report, told: Sequence[Told], attempts: Sequence[Attempt]) -> None:
    """The usage in a caller's answer is that of the attempts whose output it has.

    Of an answer whose stream broke and went on, the first part's input is told as it was estimated when it broke; the
    ledger has it from the part that reported it.
    """
    parts: dict[str, list[Usage]] = defaultdict(list)
    for one in attempts:
        if one.ended.outcome in {Outcome.ANSWERED, Outcome.CUT}:
            parts[one.started.call].append(one.ended.usage)
    answered = [one for one in told if one.whole and one.usage is not None]
    # a request that went out twice has the second one's input in the ledger as well
    estimated = {id_ for id_, usages in parts.items() if len(usages) > 1 or any(usage.estimated for usage in usages)}
    for what, joined in (("answers", False), ("answers with an estimated part", True)):
        mine = [one for one in answered if (one.id in estimated) is joined]
        sums = {one.id: _sum(parts[one.id]) for one in mine}
        apart = [one for one in mine if one.usage is not None and sums[one.id][joined:] != one.usage[joined:]]
        first = f", as {apart[0].asked.kind} {apart[0].usage} and {sums[apart[0].id]}" if apart else ""
        report.check(
            f"{what} that tell other {'output' if joined else 'usage'}",
            f"{len(apart)} of {len(mine)}{first}",
            not apart,
        )


def _sum(usages: Sequence[Usage]) -> tuple[int, int]:
    """Return input and output of parts together."""
    return sum(usage.prompt for usage in usages), sum(usage.completion for usage in usages)


def _sums(attempts: Iterable[Attempt], calls: Iterable[Called]) -> Sums:
    """Return the sums of the records, by tenant, model, backend and day."""
    sums: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    began: dict[str, int] = {}
    for one in attempts:
        started, ended = one.started, one.ended
        began[started.call] = min(started.at, began.get(started.call, started.at))
        row = sums[started.tenant, started.model, started.backend, day_of(started.at)]
        row["attempts"] += 1
        for name in ("prompt", "completion", "cached", "written", "reasoning"):
            row[name] += getattr(ended.usage, name)
        row["cost"] += ended.cost
        row["estimated"] += ended.cost if ended.basis is Basis.ESTIMATE else 0
    for call in calls:
        began_at = call.at - round(call.seconds * 1000)
        sums[call.tenant, call.model, call.backend, day_of(began_at)]["calls"] += 1
    return {key: +row for key, row in sums.items()}


def _rows(said: dict[str, Any]) -> Sums:
    """Return the rows of a usage report in the words of the records."""
    return {tuple(row[name] for name in said["by"]): _sums_of(row) for row in said["rows"]}


def _judge_sums(report: Report, sums: Sums, told: dict[str, dict[str, Any]]) -> None:
    """What `hybridproxy usage` sums up are the sums of the records."""
    for what, said in told.items():
        rows = _rows(said)
        keys = rows.keys() | sums.keys()
        apart = [key for key in keys if rows.get(key, Counter()) != sums.get(key, Counter())]
        report.check(f"rows of usage {what} that are other sums", f"{len(apart)} of {len(keys)}", not apart)
    report.note("in all, nano-dollars", f"{sum(row['cost'] for row in sums.values()):,}")


def _judge_budgets(report: Report, attempts: Iterable[Attempt], spent: dict[str, tuple[int, int]]) -> None:
    """What tenants' budgets were charged is what their attempts cost, and nothing is reserved any more."""
    cost: dict[str, int] = defaultdict(int)
    for one in attempts:
        cost[one.started.tenant] += one.ended.cost
    apart = {tenant: (cost[tenant], used) for tenant, used in spent.items() if used != (cost[tenant], 0)}
    report.check("budgets that were charged something else", f"{apart or 0} of {len(spent)}", bool(spent) and not apart)


def _sums_of(row: dict[str, Any]) -> Counter[str]:
    """Return a row in the words of the records."""
    found = Counter({name: row[name if name in row else f"{name}_tokens"] for name in COUNTED[:7]})
    found |= Counter({name: int(Decimal(row[f"{name}_usd"]) * 10**9) for name in COUNTED[7:]})
    return +found


def _tell_estimates(report: Report, found: Reconciliation) -> None:
    """How far from the books is what nobody reported."""
    estimates = found.of(Basis.ESTIMATE)
    for what, mine in (
        ("charged for", [match for match in estimates if match.charged]),
        ("charged nothing for", [match for match in estimates if not match.charged]),
    ):
        part = difference(mine)
        report.note(f"estimates of what the upstream {what}", part.attempts)
        report.note("their tokens, by the books and by the ledger", f"{part.tokens[0]:,} and {part.tokens[1]:,}")
        report.note("nano-dollars", f"{part.cost[0]:,} and {part.cost[1]:,}")
        report.note("apart one by one", f"{part.apart:,}")
    guessed, whole = difference(estimates), difference(found.matches)
    report.note("all estimates beyond the books", f"{guessed.share:+.1%}")
    report.check("the ledger beyond the books, in all", f"{whole.share:+.2%}", -0.05 <= whole.share <= 0.25)
