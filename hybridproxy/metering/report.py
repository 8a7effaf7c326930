"""What calls used and cost, summed up in rows: a day, a tenant, a model, a backend and a region each.

Sums are whole numbers and only ever added to, so it is all the same in which order records come, over how many ledgers
and restarts they are spread, and which part of them was summed up before. A row's day is that on which the attempt or
the call began, UTC.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from hybridproxy.metering.records import Basis, Called, Ended, Outcome, Started

Key = tuple[str, str, str, str, str]
"""Day as YYYY-MM-DD, tenant, model, backend, region; see `BY`."""

Rows = dict[Key, list[int]]
"""Sums by row, in the order of `FIELDS`."""

BY: Final = ("day", "tenant", "model", "backend", "region")

FIELDS: Final = (
    "calls", "attempts", "unknown", "prompt", "cached", "written", "completion", "reasoning", "guessed",
    "cost", "estimated", "upstream", "table", "unpriced",
)  # fmt: skip
"""What is summed up:

    calls       by the backend that answered or failed last
    attempts    that were made
    unknown     attempts of a process that ended before they did
    prompt      tokens of input; `cached` and `written` of them came from a cache or were put into one
    completion  tokens of output; `reasoning` of them were thinking
    guessed     tokens of both that nobody reported
    cost        nano-dollars that count; `estimated` and `upstream` of them are an estimate, or the upstream's word
    table       nano-dollars by the table of prices, whatever the upstream told
    unpriced    attempts for which the table has no price
"""

WIDTH: Final = len(FIELDS)
CALLS, COST, TABLE = (FIELDS.index(name) for name in ("calls", "cost", "table"))

OTHERS: Final = "(others)"
MAX_ROWS: Final = 10_000
"""Rows of one table; what comes on top is counted as `OTHERS`, of the same day and tenant."""

MAX_NAME: Final = 256
"""Characters of a name."""

_LAST_DAY: Final = 2_932_896  # 9999-12-31
_DAY_MS: Final = 86_400_000


@lru_cache(maxsize=1000)
def _named(day: int) -> str:
    return datetime.fromtimestamp(min(max(0, day), _LAST_DAY) * 86_400, UTC).strftime("%Y-%m-%d")


def day_of(ms: int) -> str:
    """Return the day of a time in milliseconds since the epoch, UTC."""
    return _named(ms // _DAY_MS)


def add_attempt(rows: Rows, started: Started, ended: Ended) -> Key:
    """Add one attempt; return its row's key."""
    key = (_named(started.at // _DAY_MS), started.tenant, started.model[:MAX_NAME], started.backend, started.region)
    sums = rows.get(key)
    if sums is None:
        key, sums = _new(rows, key, MAX_ROWS)
    usage, cost, basis = ended.usage, ended.cost, ended.basis
    sums[1] += 1
    sums[3] += usage.prompt
    sums[6] += usage.completion
    if usage.cached or usage.written or usage.reasoning:
        sums[4] += usage.cached
        sums[5] += usage.written
        sums[7] += usage.reasoning
    if usage.estimated:
        sums[8] += usage.prompt + usage.completion
    sums[9] += cost
    sums[12] += ended.table
    if basis is not Basis.TABLE or not ended.priced:
        sums[2] += ended.outcome is Outcome.UNKNOWN
        sums[10] += cost if basis is Basis.ESTIMATE else 0
        sums[11] += cost if basis is Basis.UPSTREAM else 0
        sums[13] += not ended.priced
    return key


def add_call(rows: Rows, called: Called) -> Key:
    """Add one call; return its row's key."""
    begun = called.at - int(called.seconds * 1000)
    key = (_named(begun // _DAY_MS), called.tenant, called.model[:MAX_NAME], called.backend, called.region)
    sums = rows.get(key)
    if sums is None:
        key, sums = _new(rows, key, MAX_ROWS)
    sums[0] += 1
    return key


def merge(into: Rows, rows: Mapping[Key, Sequence[int]], most: int = MAX_ROWS) -> list[Key]:
    """Add rows to others, which become `most` or so; return the keys of what changed."""
    changed = []
    for key, more in rows.items():
        sums = into.get(key)
        if sums is None:
            key, sums = _new(into, key, most)  # noqa: PLW2901 - the row it is counted in
        for n, number in enumerate(more):
            sums[n] += number
        changed.append(key)
    return changed


def _new(rows: Rows, key: Key, most: int) -> tuple[Key, list[int]]:
    """Return a row that is not there yet, or the one that stands for too many."""
    if len(rows) >= most:
        key = (key[0], key[1] if len(rows) < 2 * most else OTHERS, OTHERS, OTHERS, OTHERS)
    sums = rows.get(key)
    if sums is None:
        sums = rows[key] = [0] * WIDTH
    return key, sums


def chosen(rows: Mapping[Key, Sequence[int]], tenant: str | None, since: str, until: str) -> Rows:
    """Return the rows of a tenant, None: of all, from the day `since` to the one before `until`; "": no bound."""
    return {
        key: list(sums)
        for key, sums in rows.items()
        if (tenant is None or key[1] == tenant) and since <= key[0] and (not until or key[0] < until)
    }


def grouped(rows: Mapping[Key, Sequence[int]], by: Sequence[str]) -> dict[tuple[str, ...], list[int]]:
    """Return the sums by some parts of the key, in their order."""
    places = [BY.index(name) for name in by]
    groups: dict[tuple[str, ...], list[int]] = {}
    for key, sums in rows.items():
        group = groups.setdefault(tuple(key[place] for place in places), [0] * WIDTH)
        for n, number in enumerate(sums):
            group[n] += number
    return dict(sorted(groups.items()))


def total(rows: Iterable[Sequence[int]]) -> list[int]:
    """Return the sum of rows."""
    return [sum(column) for column in zip([0] * WIDTH, *rows, strict=True)]


def spent(rows: Mapping[Key, Sequence[int]]) -> list[tuple[str, str, str, int]]:
    """Return day, tenant, model and the nano-dollars that went there, wherever they went."""
    groups = grouped(rows, ("day", "tenant", "model"))
    return [(day, tenant, model, sums[COST]) for (day, tenant, model), sums in groups.items() if sums[COST]]
