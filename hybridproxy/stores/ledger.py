"""The ledger of one process: takes records on the event loop, has a thread write them, and never makes anybody wait.

    an attempt begins   its line is on the board before its request leaves: `kill -9` does not take it back
    it ends             the whole of it is on the board, too, until it is in a segment: at most a quarter second later
    once a second       what is in the segment is made durable
    at a start          what the process before left on the board is written down: what had ended as it was, what was
                        under way as `unknown` with its estimate

Where the disk is full or does not answer, lines wait in memory, up to a bound. What comes on top is kept as sums, and
written as sums once the disk is well: then single records are lost, which is counted and told, and no money is.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from hybridproxy.metering.lines import attempt_line, call_line, names_in, started_line, sums_line, within
from hybridproxy.metering.records import Called, Ended, Entry, Started
from hybridproxy.metering.report import Key, Rows, add_attempt, add_call, day_of, merge, spent
from hybridproxy.stores.board import NONE, SLOTS, Board
from hybridproxy.stores.ledger_files import Segment, Slot, Tally, left_behind, take_slot, usage_in, usage_of
from hybridproxy.stores.ledger_writer import Writer

FLUSH_SECONDS: Final = 0.25
RETRY_SECONDS: Final = 1.0
ASKED_SECONDS: Final = 1.0
"""Seconds after which the open segment is read instead of asking the thread that writes it."""

STALLED: Final = 1.0
"""Seconds after which a disk that does not answer is told of, and the board is left alone, too."""

MAX_WAITING: Final = 50_000
"""Lines that wait for the disk, beside as many at most that are being written, 50 MB or so in all; what comes on top is
kept as sums."""

DAY_MS: Final = 86_400_000
MAX_FLIGHTS: Final = 100_000
DAYS, MOST_DAYS = 4, 40
"""Days whose rows are kept in memory, to be told to others; as long as they cannot be told, more of them."""


@dataclass(slots=True)
class _Batch:
    """What goes out in one write, and what it sums up to; `folded` records of it are there as sums only.

    `oldest`: segments begun before that day may go.
    """

    lines: list[bytes] = field(default_factory=list, repr=False)
    slots: list[int] = field(default_factory=list)
    rows: Rows = field(default_factory=dict)
    folded: int = 0
    day: str = ""
    oldest: str = ""

    @property
    def records(self) -> int:
        """How many records it is."""
        return len(self.lines) - bool(self.folded) + self.folded


_Flight = tuple[Started, str, int]
"""An attempt under way: its beginning, what both of its lines have in common, the slot of the first one."""

_Asked = asyncio.Future[tuple[Segment, Tally] | None]
_Job = _Batch | str | _Asked | None
"""What the thread does: write, read the rows of a day, tell of the open segment; None: end."""


def _answer(asked: _Asked, known: tuple[Segment, Tally] | None) -> None:
    if not asked.done():
        asked.set_result(known)


class FileLedger:
    """One process's ledger.

    Attributes:
        id: its name, the same after a restart.
        slot: its own folder.
        totals: rows by day, all that this ledger ever had of it; of a few days only.
        tells: somebody takes out of `changed` what he has told.
        changed: keys of rows that changed since.
        incomplete: days of which `totals` does not have all yet.
        records: written so far.
        folded: records that were or will be written as sums only, since the disk was not well.
        strays: ends without a beginning, and what could not be written as a line.
        failing: the disk is full, does not answer, or cannot be written to for another reason.

    """

    def __init__(
        self,
        folder: Path,
        *,
        keep: int | None = None,
        wall: Callable[[], float],
        new_id: Callable[[], str],
        log: Callable[..., None],
    ) -> None:
        """Write to a folder. Must be made on the running loop.

        Args:
            folder: of all ledgers of this machine; each process has a folder of its own in it.
            keep: days after which segments are removed, though not their sums; None: never.
            wall: seconds since the epoch.
            new_id: 16 hexadecimal digits, the name of a new ledger.
            log: takes events.

        """
        self.id = ""
        self.folder = folder
        self.slot: Slot | None = None
        self.totals: dict[str, Rows] = {}
        self.changed: dict[Key, None] = {}
        self.incomplete: set[str] = set()
        self.records = self.folded = self.strays = 0
        self.failing = self.tells = False
        self._keep = keep
        self._wall = wall
        self._new_id = new_id
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._flights: dict[tuple[str, int], _Flight] = {}
        self._next = _Batch()
        self._excess: Rows = {}
        self._excess_slots: list[int] = []
        self._excess_records = 0
        self._batch: _Batch | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._stalled = False
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._ended = asyncio.Event()
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._board: Board | None = None
        self._writer: Writer | None = None
        self._thread: threading.Thread | None = None

    # ---- what goes in ----

    def put(self, entry: Entry) -> None:
        """Take a record."""
        try:
            if type(entry) is Started:
                if len(self._flights) < MAX_FLIGHTS:
                    names = names_in(entry)
                    slot = self._hold(started_line(entry, names))
                    self._flights[entry.call, entry.n] = entry, names, slot
            elif type(entry) is Ended:
                flight = self._flights.pop((entry.call, entry.n), None)
                if flight is None:
                    self.strays += 1
                else:
                    self._end(flight, within(entry))
            elif type(entry) is Called:
                if self._has_room():
                    self._take(call_line(entry), NONE)
                    add_call(self._next.rows, entry)
                else:
                    add_call(self._excess, entry)
        except (TypeError, ValueError, OverflowError):  # no text or number that a line can hold
            self.strays += 1

    def _end(self, flight: _Flight, ended: Ended) -> None:
        started, names, slot = flight
        if self._has_room():
            self._take(attempt_line(started, ended, names), slot)
            add_attempt(self._next.rows, started, ended)
        else:
            self._excess_slots.append(slot)
            add_attempt(self._excess, started, ended)

    def _has_room(self) -> bool:
        """Return whether one more line may wait; if not, one more record is kept as sums."""
        if len(self._next.lines) < MAX_WAITING and self._thread is not None and not self._closed:
            return True
        self._excess_records += 1
        self.folded += 1
        self._alarm("too many records wait for the disk")
        return False

    def _take(self, line: bytes, before: int) -> None:
        """Have a line written. It is on the board before what it replaces there is not."""
        batch = self._next
        batch.lines.append(line)
        batch.slots.append(self._hold(line))
        if before != NONE:
            if self._stalled:
                batch.slots.append(before)
            else:
                self._board.free(before)  # type: ignore[union-attr] # a slot of it is taken
        if self._timer is None and self._batch is None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self._flush)

    def _hold(self, line: bytes) -> int:
        """Put a line on the board, unless the disk hangs: then even memory that is a file's might."""
        return NONE if self._stalled or self._board is None else self._board.put(line)

    # ---- the process ----

    def start(self) -> None:
        """Take a folder, write down what the process before left, and begin. May take seconds: nothing is served yet.

        Raises:
            OSError: the folder cannot be made, read or written to.
            LedgerError: all of its folders are taken.

        """
        slot = take_slot(self.folder, self._new_id)
        try:
            writer = Writer(slot)
            writer.open()
            today = day_of(self._now())
            left = left_behind(slot.folder)
            if left:
                writer.append(left, today)
                self._log("ledger.recovered", records=len(left))
            board = Board(slot.folder / "board")
            board.clear()
            self._load(writer, today)
        except BaseException:
            slot.close()
            raise
        self.id, self.slot, self._writer, self._board = slot.name, slot, writer, board
        self._thread = threading.Thread(target=self._work, args=(writer,), name="ledger", daemon=True)
        self._thread.start()

    def _load(self, writer: Writer, today: str) -> None:
        """Take into memory what this ledger has of the days that are likely to get more."""
        days = sorted({today, day_of(self._now() - DAY_MS), *(key[0] for key in writer.tally.rows)})[-DAYS:]
        self.totals = {day: {} for day in days}
        for key, sums in writer.rows_of(set(days)).items():
            self.totals[key[0]][key] = sums
            self._changed([key])

    async def close(self, seconds: float = 2.0) -> None:
        """Write what waits, for at most so long, and let go of the folder."""
        thread, slot = self._thread, self.slot
        if thread is None or self._closed:
            return
        await self.flushed(seconds)
        self._closed = True
        self._jobs.put(None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()
                thread.join()
        for timer in (self._timer, self._stall):
            if timer is not None:
                timer.cancel()
        if not thread.is_alive() and slot is not None and self._board is not None:
            self._board.close()
            self._board = None
            slot.close()  # a thread that hangs holds on to it until the process ends

    async def flushed(self, seconds: float = 1.0) -> bool:
        """Wait until all that was put is in a segment, for at most so long; return whether it is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._thread is not None and not self.failing:
                    if not (self._next.lines or self._excess_records or self._batch is not None):
                        return True
                    self._flush()
                    await self._idle.wait()
        return False

    async def usage(self, tenant: str | None = None, since: str = "", until: str = "") -> Tally:
        """Return what this ledger sums up to, see `usage_of`; the open segment is not read, its sums are in memory.

        Raises:
            OSError: a file cannot be read.

        """
        assert self.slot is not None  # noqa: S101 - it was started
        asked: _Asked = self._loop.create_future()
        self._jobs.put(asked)
        known = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ASKED_SECONDS):
                known = await asked
        return await asyncio.to_thread(usage_of, self.slot.folder, tenant, since, until, known=known)

    def spent(self, *, by_all: bool) -> list[tuple[str, str, str, int]]:
        """Return what was spent this month: day, tenant, model, nano-dollars. Reads files, so not on the loop.

        Args:
            by_all: by all ledgers in the folder, whose processes may be gone; else by this one only.

        Raises:
            OSError: a file cannot be read.

        """
        since = f"{day_of(self._now())[:7]}-01"
        if by_all:
            return spent(usage_in(self.folder, since=since).rows)
        return [] if self.slot is None else spent(usage_of(self.slot.folder, since=since).rows)

    def gauges(self) -> dict[str, float]:
        """Return what there is to measure; the longest `fdatasync` is that since this was asked last."""
        writer, board, batch = self._writer, self._board, self._batch
        slowest = 0.0
        if writer is not None:
            slowest, writer.slowest = writer.slowest, 0.0
        return {
            "hybridproxy_ledger_records": self.records,
            "hybridproxy_ledger_records_waiting": len(self._next.lines) + (0 if batch is None else len(batch.lines)),
            "hybridproxy_ledger_records_folded": self.folded,
            "hybridproxy_ledger_strays": self.strays,
            "hybridproxy_ledger_attempts_open": len(self._flights),
            "hybridproxy_ledger_board_free": 0 if board is None else SLOTS - board.used,
            "hybridproxy_ledger_fsync_seconds_max": slowest,
            "hybridproxy_ledger_failing": float(self.failing),
        }

    # ---- writing ----

    def _now(self) -> int:
        return int(self._wall() * 1000)

    def _flush(self) -> None:
        """Hand what waits to the thread, unless it is still writing."""
        if self._batch is not None or not (self._next.lines or self._excess_records):
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._next = self._next, _Batch()
        if self._excess_records:
            batch.lines.append(sums_line(self._excess, self._excess_records))
            batch.slots += self._excess_slots
            batch.folded = self._excess_records
            merge(batch.rows, self._excess)
            self._excess, self._excess_slots, self._excess_records = {}, [], 0
        now = self._now()
        batch.day = day_of(now)
        batch.oldest = "" if self._keep is None else day_of(now - self._keep * DAY_MS)
        self._count(batch.rows)
        self._hand(batch)

    def _hand(self, batch: _Batch) -> None:
        self._batch, self._timer = batch, None
        self._idle.clear()
        self._stall = self._loop.call_later(STALLED, self._hangs)
        self._jobs.put(batch)

    def _count(self, rows: Rows) -> None:
        """Add rows to those of their days; what is not in memory of a day is read."""
        days = {key[0] for key in rows}
        for day in days - self.totals.keys():
            self._forget(days)
            self.totals[day] = {}
            self.incomplete.add(day)
            self._jobs.put(day)
        for key, sums in rows.items():
            self._changed(merge(self.totals[key[0]], {key: sums}))

    def _forget(self, needed: set[str]) -> None:
        """Make room for one more day: the oldest ones go, unless they are needed or still to be told."""
        waiting = {key[0] for key in self.changed}
        days = sorted(self.totals.keys() - needed)
        for n, day in enumerate(days):
            if len(self.totals) < DAYS:
                break
            if day not in waiting or n < len(days) - MOST_DAYS:
                del self.totals[day]
                self.incomplete.discard(day)
                self._changed([], {key for key in self.changed if key[0] == day})

    def _changed(self, keys: Iterable[Key], gone: Iterable[Key] = ()) -> None:
        if self.tells:
            for key in keys:
                self.changed[key] = None
            for key in gone:
                del self.changed[key]

    def _loaded(self, day: str, rows: Rows) -> None:
        """Take what this ledger already had of a day."""
        self.incomplete.discard(day)
        if day in self.totals:
            self._changed(merge(self.totals[day], rows))

    def _work(self, writer: Writer) -> None:
        """Write batches; the body of the thread."""
        while True:
            try:
                job = self._jobs.get(timeout=writer.sync_due)
            except Empty:
                self._sync(writer)
                continue
            if job is None:
                break
            if isinstance(job, asyncio.Future):
                self._tell(_answer, job, writer.open_segment())
                continue
            if isinstance(job, str):
                with contextlib.suppress(OSError):
                    self._tell(self._loaded, job, writer.rows_of({job}))
                continue
            error: OSError | None = None
            try:
                writer.write(b"".join(job.lines), job.rows, job.records, job.folded, job.day, job.oldest)
            except OSError as failed:
                error = failed
            self._tell(self._written, job, error)
            if writer.sync_due == 0:
                self._sync(writer)
        writer.close()
        self._tell(self._ended.set)

    def _sync(self, writer: Writer) -> None:
        try:
            writer.sync()
        except OSError as error:
            self._tell(self._alarm, error.strerror or type(error).__name__)

    def _tell(self, what: Callable[..., None], *news: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone
            self._loop.call_soon_threadsafe(what, *news)

    def _written(self, batch: _Batch, error: OSError | None) -> None:
        """Take the news of a write."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        self._stalled = False
        if error is not None:
            self._alarm(error.strerror or type(error).__name__)
            self._idle.set()
            if not self._closed:
                self._timer = self._loop.call_later(RETRY_SECONDS, self._hand, batch)
            return
        self._batch = None
        self._idle.set()
        board = self._board
        if board is not None:
            for slot in batch.slots:
                board.free(slot)
        self.records += batch.records
        if self.failing:
            self.failing = False
            self._log("ledger.works", folded=self.folded)
        if self._next.lines or self._excess_records:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self._flush)

    def _hangs(self) -> None:
        self._stalled = True
        self._alarm(f"the disk has not answered for {STALLED:g} s")

    def _alarm(self, why: str) -> None:
        if not self.failing and not self._closed:
            self.failing = True
            self._log("ledger.failing", reason=why)
