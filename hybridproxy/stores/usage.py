"""What the fleet's calls used and cost: each ledger tells Redis its sums in the background, and whoever asks adds up.

There is one hash a day, and in it each ledger has fields of its own, which it overwrites with its sums so far. So what
is told twice counts once, what a lost answer leaves in doubt is told again, and what Redis forgot is told from the
ledger's files. Nothing in Redis is ever read back into a ledger. Tenants are digests; whoever reads knows their names
from its configuration.

At most one message a second is sent, with at most `MOST` rows.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote, unquote

import orjson

from hybridproxy.config.settings import Redis
from hybridproxy.metering.report import MAX_NAME, WIDTH, Key, Rows, day_of, merge
from hybridproxy.stores.ledger import FileLedger
from hybridproxy.stores.ledger_files import MOST_READ
from hybridproxy.stores.messages import PoisonedError, digest
from hybridproxy.stores.redis import Server, script
from hybridproxy.tasks import wait

PERIOD: Final = 1.0
RETRY: Final = 5.0
MOST: Final = 500
KEPT_DAYS: Final = 40
DAY_MS: Final = 86_400_000
MAX_FIELD: Final = 4000
MAX_PAGES: Final = 5000
"""Of a thousand fields or so each: more than a hash of ours can have."""


TELL: Final = script("usage")
PAGE: Final = script("usage_page")


def key_of(settings: Redis, day: str) -> str:
    """Return the name of a day's hash."""
    return f"{{hp:{settings.name}}}:usage:{day}"


def field_of(key: Key) -> str:
    """Return the name of a row in Redis, without the ledger's."""
    _, tenant, *names = key
    return " ".join((digest([tenant]) if tenant else "-", *(quote(name[:MAX_NAME], safe="/:.-_()") for name in names)))


class UsageTeller:
    """Tells Redis what one ledger has.

    Attributes:
        up: the last message arrived.
        told: rows told so far.
        failures: messages that did not arrive.

    """

    def __init__(self, ledger: FileLedger, settings: Redis, *, wall: Callable[[], float]) -> None:
        """Tell of a ledger.

        Args:
            ledger: has been started when `run` is.
            settings: where Redis is.
            wall: seconds since the epoch.

        Raises:
            OSError: the file of the certificate authorities cannot be used.

        """
        self.up = False
        self.told = self.failures = 0
        self._ledger = ledger
        self._settings = settings
        self._wall = wall
        self._server = Server(settings)
        self._number = 0
        self._numbers: dict[str, int] = {}
        self._old: Rows = {}  # of days that the ledger does not have in memory
        self._all = True  # tell these too: at the start, and when Redis forgot something
        self._closed = asyncio.Event()
        self._ended = asyncio.Event()
        self._running = False
        ledger.tells = True

    @property
    def waiting(self) -> int:
        """Rows that are not told yet."""
        return len(self._ledger.changed) + len(self._old)

    async def run(self) -> None:
        """Tell until `close`."""
        self._running = True
        try:
            while not await wait(self._closed, PERIOD if self.up or not self.failures else RETRY):
                await self.tell()
            while self.up and self._ledger.changed and await self.tell():
                pass  # what the last calls cost
        finally:
            await self._server.close()
            self._ended.set()

    async def close(self, seconds: float = 1.0) -> None:
        """Tell what is left, for at most so long, and stop."""
        self._closed.set()
        if self._running:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._ended.wait()

    async def tell(self) -> bool:
        """Send one message, if there is something to tell; return whether there was, and it arrived."""
        if self._all:
            self._all = False
            self._ledger.changed |= dict.fromkeys(key for rows in self._ledger.totals.values() for key in rows)
            await self._read_old()
        rows = self._next()
        if not rows:
            return False
        day = next(iter(rows))[0]
        self._number += 1
        told = {key: tuple(sums) for key, sums in rows.items()}
        try:
            before = await self._server.call(TELL, key_of(self._settings, day), self._message(told))
        except Exception:  # noqa: BLE001 - whatever a server's bytes bring about, this task goes on
            self.up = False
            self.failures += 1
            return False
        self.up = True
        self.told += len(told)
        self._took(told)
        expected, self._numbers[day] = self._numbers.get(day), self._number
        if expected is not None and before != str(expected).encode():
            self._forgotten()
        return True

    def _next(self) -> dict[Key, list[int]]:
        """Return rows of one day that are to be told."""
        ledger = self._ledger
        rows: dict[Key, list[int]] = {}
        for key in ledger.changed:
            if key[0] not in ledger.incomplete and (not rows or key[0] == next(iter(rows))[0]):
                rows[key] = ledger.totals[key[0]][key]
                if len(rows) == MOST:
                    break
        if not rows:
            for key, sums in self._old.items():
                if len(rows) == MOST or (rows and key[0] != next(iter(rows))[0]):
                    break
                rows[key] = sums
        return rows

    def _message(self, rows: Mapping[Key, tuple[int, ...]]) -> bytes:
        told = [(field_of(key), " ".join(map(str, sums))) for key, sums in rows.items()]
        return orjson.dumps({
            "me": self._ledger.id, "number": str(self._number), "rows": told, "kept": KEPT_DAYS * DAY_MS // 1000,
        })  # fmt: skip

    def _took(self, told: Mapping[Key, tuple[int, ...]]) -> None:
        """Take what arrived out of what is to be told, unless it has changed meanwhile."""
        ledger = self._ledger
        for key, sums in told.items():
            self._old.pop(key, None)
            if key in ledger.changed and tuple(ledger.totals[key[0]][key]) == sums:
                del ledger.changed[key]

    def _forgotten(self) -> None:
        """Tell all again: Redis does not have what it was told."""
        self._all = True
        self._numbers.clear()

    async def _read_old(self) -> None:
        """Read the rows of days that the ledger has not in memory, as far back as Redis keeps them."""
        ledger = self._ledger
        since = day_of(int(self._wall() * 1000) - KEPT_DAYS * DAY_MS)
        if ledger.slot is not None:
            with suppress(OSError):
                found = await ledger.usage(since=since)
                self._old = {key: found.rows[key] for key in sorted(found.rows) if key[0] not in ledger.totals}


# ---- adding up ----


class Fleet:
    """What all ledgers of the fleet told, added up."""

    def __init__(self, settings: Redis, tenants: Iterable[str]) -> None:
        """Read from a Redis; `tenants` are the names that are known."""
        self.rows: Rows = {}
        self.junk = 0
        self._settings = settings
        self._names = {digest([tenant]): tenant for tenant in tenants} | {"-": ""}

    async def read(self, days: Iterable[str]) -> None:
        """Read some days.

        Raises:
            Exception: it did not work, see `Server.call`; or what is there has not the right form.

        """
        server = Server(self._settings)
        try:
            for day in days:
                seen: dict[bytes, bytes] = {}
                cursor = b"0"
                for _ in range(MAX_PAGES):
                    cursor, page = _page(await server.call(PAGE, key_of(self._settings, day), cursor))
                    seen.update(page)
                    if cursor == b"0":
                        break
                for name, sums in seen.items():
                    self._take(day, name, sums)
        finally:
            await server.close()

    def _take(self, day: str, name: bytes, sums: bytes) -> None:
        """Add one field of a hash; a ledger's own name is none of a row."""
        if b" " not in name:
            return
        try:
            _, tenant, model, backend, region = name.decode("ascii").split(" ")
            numbers = [int(number) for number in sums.split(b" ")]
        except ValueError:
            self.junk += 1
            return
        if len(name) > MAX_FIELD or len(numbers) != WIDTH or min(numbers) < 0 or max(numbers) >= 2**63:
            self.junk += 1
            return
        who = self._names.get(tenant, f"#{tenant[:16]}")
        merge(self.rows, {(day, who, unquote(model), unquote(backend), unquote(region)): numbers}, MOST_READ)


def _page(answer: Any) -> tuple[bytes, dict[bytes, bytes]]:
    """Return where to go on, and the fields of a page."""
    if not isinstance(answer, list) or len(answer) != 2 or not isinstance(answer[1], list):
        raise PoisonedError("no page of a hash")
    cursor, fields = answer
    return cursor, dict(zip(fields[::2], fields[1::2], strict=True))
