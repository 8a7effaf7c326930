"""`GET /admin/v1/usage`: what calls used and cost, of this worker or of the whole fleet."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson

from hybridproxy.admin.server import AdminError, UnavailableError
from hybridproxy.config.settings import Redis
from hybridproxy.metering.report import BY, Rows, chosen, day_of
from hybridproxy.metering.statement import Question, QuestionError, answer, as_csv, notes_of, question
from hybridproxy.stores.ledger import FileLedger
from hybridproxy.stores.usage import DAY_MS, KEPT_DAYS, Fleet

MOST_ROWS: Final = 20_000
"""Rows of one answer. Making many takes long, and what Python computes beside the loop slows its calls down, too."""

TAKES: Final = frozenset({"tenant", "by", "since", "until", "format", "scope"})
JSON, CSV = "application/json", "text/csv; charset=utf-8"


class UsageDesk:
    """Answers what a budget owner asks the running server."""

    def __init__(
        self,
        ledger: FileLedger | None,
        redis: Redis | None,
        *,
        tenants: Callable[[], Iterable[str]],
        wall: Callable[[], float],
    ) -> None:
        """Answer from a ledger, and from the Redis that the fleet tells; None: there is none.

        Args:
            ledger: this worker's.
            redis: what the fleet shares.
            tenants: the names that are known; Redis has only their digests.
            wall: seconds since the epoch.

        """
        self._ledger = ledger
        self._redis = redis
        self._tenants = tenants
        self._wall = wall

    async def answer(self, asked: Mapping[str, str]) -> tuple[bytes, str]:
        """Return an answer and its type.

        Raises:
            AdminError: it cannot be asked for, or not be had.

        """
        if self._ledger is None:
            raise AdminError("the configuration has no ledger section, so nothing is written down")
        unknown = sorted(asked.keys() - TAKES)
        if unknown:
            raise AdminError(f"unknown parameter {unknown[0][:64]!r}: expected some of {', '.join(sorted(TAKES))}")
        form = asked.get("format") or "json"
        scope = asked.get("scope") or ("worker" if self._redis is None else "fleet")
        if form not in {"json", "csv"}:
            raise AdminError("format: expected json or csv")
        try:
            what = question(asked.get("by"), asked.get("tenant"), asked.get("since"), asked.get("until"))
        except QuestionError as error:
            raise AdminError(str(error)) from None
        if scope == "worker":
            rows, notes = await self._worker(self._ledger, what)
        elif scope == "fleet" and self._redis is not None:
            rows, notes = await self._fleet(self._redis, what)
        else:
            raise AdminError("scope: expected worker, or fleet where the configuration has a redis section")
        return await asyncio.to_thread(_answered, rows, what, notes, scope, form)

    async def _worker(self, ledger: FileLedger, asked: Question) -> tuple[Rows, list[str]]:
        """Return what this worker's ledger has, all that was put so far."""
        written = await ledger.flushed()
        notes = [] if written else ["the disk does not take them: the last records are not counted"]
        try:
            found = await ledger.usage(asked.tenant, asked.since, asked.until)
        except OSError as error:
            raise UnavailableError(f"the ledger cannot be read ({error.strerror})") from None
        return found.rows, notes + notes_of(folded=found.folded, unreadable=found.unreadable)

    async def _fleet(self, redis: Redis, asked: Question) -> tuple[Rows, list[str]]:
        """Return what all ledgers have told Redis, which keeps it for a while only."""
        now = int(self._wall() * 1000)
        days = [day_of(now + n * DAY_MS) for n in range(-KEPT_DAYS, 2)]
        found = Fleet(redis, self._tenants())
        try:
            await found.read(day for day in days if asked.since <= day and (not asked.until or day < asked.until))
        except Exception as error:  # noqa: BLE001 - whatever a server's bytes bring about, it is no answer
            raise UnavailableError(f"Redis cannot be asked ({type(error).__name__}): scope=worker can") from None
        notes = notes_of(junk=found.junk)
        if not asked.since or asked.since < days[0]:
            notes.append(f"from {days[0]} on, as Redis keeps it: `hybridproxy usage` reads the ledger's files")
        return await asyncio.to_thread(chosen, found.rows, asked.tenant, asked.since, asked.until), notes


def _answered(rows: Rows, asked: Question, notes: list[str], scope: str, form: str) -> tuple[bytes, str]:
    """Return an answer in a form, and its type.

    Raises:
        AdminError: it would have too many rows.

    """
    places = [BY.index(name) for name in asked.by]
    count = len({tuple(key[place] for place in places) for key in rows})
    if count > MOST_ROWS:
        fewer = "ask for fewer days, one tenant or fewer parts of by, or use `hybridproxy usage`"
        raise AdminError(f"the answer would have {count:,} rows, and {MOST_ROWS:,} are the most: {fewer}")
    made: dict[str, Any] = {"scope": scope} | answer(rows, asked, notes)
    return (as_csv(made).encode(), CSV) if form == "csv" else (orjson.dumps(made), JSON)
