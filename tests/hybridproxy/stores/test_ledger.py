"""The ledger of a process: what is written when, what a failing disk costs, what the next start makes of it."""

import asyncio
import errno
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hybridproxy.metering.lines import Attempt, Summed
from hybridproxy.metering.records import Called, Outcome
from hybridproxy.metering.report import COST, total
from hybridproxy.stores import ledger as module
from hybridproxy.stores import ledger_writer
from hybridproxy.stores.board import left_on
from hybridproxy.stores.ledger_files import LedgerError, is_taken, segments_in, usage_in
from hybridproxy.stores.ledger_writer import Writer
from tests.hybridproxy.stores.test_audit import until
from tests.support.bookkeeping import DAY, NOON, TODAY, Books, begun, called, over, records_in, whole
from tests.support.patience import LONG


class Disk:
    """What a test does to the writes of all ledgers: it holds them up, or lets them fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.go.set()
        self.error: OSError | None = None
        self.sync_error: OSError | None = None
        write, sync = Writer.write, Writer.sync

        def held_write(writer: Writer, *what: Any) -> None:
            self.go.wait(30)
            if self.error is not None:
                raise self.error
            write(writer, *what)

        def held_sync(writer: Writer) -> None:
            if self.sync_error is not None:
                writer._synced_at = time.monotonic()  # as it does itself: what failed is not tried again at once
                raise self.sync_error
            sync(writer)

        monkeypatch.setattr(Writer, "write", held_write)
        monkeypatch.setattr(Writer, "sync", held_sync)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """A disk that can be made to fail, and that hangs only where a test says so."""
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.01)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(module, "STALLED", LONG)
    return Disk(monkeypatch)


@pytest.fixture
async def books(tmp_path: Path, disk: Disk) -> AsyncIterator[Books]:
    """A ledger that is written, on a day that does not end."""
    made = Books(tmp_path, lambda: NOON / 1000)
    made.ledger.start()
    yield made
    disk.go.set()
    disk.error = disk.sync_error = None
    await made.close()


def events(books: Books) -> list[str]:
    """What was logged, by name."""
    return [name for name, _ in books.events]


def spent(folder: Path) -> int:
    """All that a ledger's folder says was spent."""
    return total(usage_in(folder).rows.values())[COST]


def kill(books: Books) -> None:
    """Let a ledger write no more, and give its folder back, as the kernel does at a process's end.

    What its thread wrote last it does not hear of any more, or it would empty places on a board that is another's now.
    """
    ledger = books.ledger
    for timer in (ledger._timer, ledger._stall):
        if timer is not None:
            timer.cancel()
    ledger._jobs.put(None)
    assert ledger._thread is not None
    ledger._thread.join()
    ledger._closed, ledger._board, ledger._next = True, None, module._Batch()
    assert ledger.slot is not None
    ledger.slot.close()


async def test_a_beginning_is_in_the_kernels_hands_at_once_and_an_end_soon_in_a_segment(books: Books) -> None:
    """Nobody waits: what was put is on the board, and leaves it once it is written."""
    board = books.folder / "0" / "board"
    attempt = whole("1")
    books.ledger.put(attempt.started)
    assert [b'"started"' in line for line in left_on(board)] == [True]
    books.ledger.put(attempt.ended)
    assert [b'"attempt"' in line for line in left_on(board)] == [True]
    books.ledger.put(called(attempt))
    assert len(left_on(board)) == 2
    await books.flushed()
    assert records_in(books.folder) == [attempt, called(attempt)]
    assert left_on(board) == []
    gauges = books.ledger.gauges()
    assert (gauges["hybridproxy_ledger_records"], gauges["hybridproxy_ledger_attempts_open"]) == (2, 0)
    assert is_taken(books.folder / "0")


async def test_what_is_written_is_durable_within_a_second_or_so(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """One `fdatasync` serves all of a second; one that fails is told of, and no record is written twice for it."""
    monkeypatch.setattr(ledger_writer, "SYNC_SECONDS", 0.05)
    books.put(whole("1"))
    await books.flushed()
    await until(lambda: books.ledger.gauges()["hybridproxy_ledger_fsync_seconds_max"] > 0)
    assert books.ledger.gauges()["hybridproxy_ledger_fsync_seconds_max"] == 0


async def test_an_end_without_a_beginning_counts_for_nothing(books: Books) -> None:
    """Nor does a second end; both are counted as strays, and so is what no line can hold."""
    books.ledger.put(over(begun("1")))
    books.put(whole("2"))
    books.ledger.put(whole("2").ended)
    books.ledger.put(begun("\ud800"))
    await books.flushed()
    assert records_in(books.folder) == [whole("2")]
    assert books.ledger.gauges()["hybridproxy_ledger_strays"] == 3


async def test_a_killed_process_loses_and_doubles_nothing(tmp_path: Path, disk: Disk) -> None:
    """What it had in flight is closed as unknown by the next start, once, even if that is killed on its way."""
    killed = Books(tmp_path, lambda: NOON / 1000)
    killed.ledger.start()
    killed.put(whole("ended"))
    killed.ledger.put(begun("open"))
    kill(killed)
    crash = RuntimeError("killed")

    def dies(*_args: Any) -> None:
        raise crash

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Board", dies)  # it has written down what was left, and not cleared the board
        with pytest.raises(RuntimeError):
            Books(tmp_path).ledger.start()
    following = Books(tmp_path, lambda: NOON / 1000)
    following.ledger.start()
    await following.close()
    attempts = {one.started.call: one for one in records_in(tmp_path) if isinstance(one, Attempt)}
    assert attempts["ended"] == whole("ended")
    assert attempts["open"].ended.outcome is Outcome.UNKNOWN
    calls = [one.call for one in records_in(tmp_path) if isinstance(one, Called)]
    assert sorted(calls) == ["ended", "open"]
    assert len(records_in(tmp_path)) == 4
    assert left_on(tmp_path / "0" / "board") == []
    del disk


async def test_a_disk_that_fails_loses_nothing_that_fits_into_memory(books: Books, disk: Disk) -> None:
    """It is told of once, tried again, and told of when it works again."""
    disk.error = OSError(errno.ENOSPC, "No space left on device")
    books.put(whole("1"))
    await until(lambda: books.ledger.failing)
    books.put(whole("2"))
    assert not await books.ledger.flushed()
    assert books.ledger.gauges()["hybridproxy_ledger_failing"] == 1
    assert len(left_on(books.folder / "0" / "board")) == 2
    disk.error = None
    await until(lambda: not books.ledger.failing)
    await books.flushed()
    assert records_in(books.folder) == [whole("1"), whole("2")]
    assert books.events == [
        ("ledger.failing", {"reason": "No space left on device"}), ("ledger.works", {"folded": 0}),
    ]  # fmt: skip


async def test_a_disk_that_hangs_holds_nobody_up(books: Books, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even memory that belongs to a file is touched then; all is written once it answers."""
    monkeypatch.setattr(module, "STALLED", 0.05)
    disk.go.clear()
    books.put(whole("1"))
    late = whole("late")
    books.ledger.put(late.started)
    await until(lambda: books.ledger.failing)
    board = left_on(books.folder / "0" / "board")
    books.put(whole("2"))
    books.ledger.put(late.ended)
    assert left_on(books.folder / "0" / "board") == board
    monkeypatch.setattr(module, "STALLED", LONG)
    disk.go.set()
    await until(lambda: not books.ledger.failing)
    await books.flushed()
    assert records_in(books.folder) == [whole("1"), whole("2"), late]
    assert left_on(books.folder / "0" / "board") == []


async def test_what_is_too_much_for_memory_is_kept_as_sums(
    books: Books, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Single records are lost, which is counted and told; money and tokens are not."""
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    disk.error = OSError(errno.EIO, "Input/output error")
    for n in range(10):
        books.put(whole(str(n)))
        books.ledger.put(called(whole(str(n))))
        await asyncio.sleep(0)
    await until(lambda: books.ledger.failing)
    disk.error = None
    await until(lambda: not books.ledger.failing)
    await books.flushed()
    found = usage_in(books.folder)
    assert found.records == 20
    assert found.folded == books.ledger.folded > 0
    assert total(found.rows.values())[:2] == [10, 10]
    assert spent(books.folder) == 10 * 700
    assert any(isinstance(one, Summed) for one in records_in(books.folder))
    assert left_on(books.folder / "0" / "board") == []
    assert books.ledger.totals[TODAY] == found.rows


async def test_a_sync_that_fails_is_told_of(books: Books, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no record is written twice for it."""
    monkeypatch.setattr(ledger_writer, "SYNC_SECONDS", 0.01)
    disk.sync_error = OSError(errno.EIO, "Input/output error")
    books.put(whole("1"))
    await until(lambda: books.ledger.failing)
    disk.sync_error = None
    books.put(whole("2"))
    await until(lambda: not books.ledger.failing)
    await books.flushed()
    assert records_in(books.folder) == [whole("1"), whole("2")]


async def test_segments_are_closed_by_size_and_day_and_their_sums_written(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old ones may go, their sums stay; a clock that is set back begins none."""
    monkeypatch.setattr(ledger_writer, "MAX_SEGMENT", 700)
    now = [NOON / 1000]
    books = Books(tmp_path, lambda: now[0], keep=2)
    books.ledger.start()
    for n, day in enumerate((0, 0, 1, -5, 4, 4)):
        now[0] = (NOON + day * DAY) / 1000
        books.put(whole(str(n), at=NOON + day * DAY))
        await books.flushed()
    await books.close()
    segments = segments_in(tmp_path / "0")
    assert [segment.day for segment in segments] == [TODAY, "2026-11-28", "2026-12-01"]
    assert [segment.path.exists() for segment in segments] == [False, False, True]
    assert [segment.sums.exists() for segment in segments] == [True, True, False]
    assert spent(tmp_path) == 6 * 700
    again = Books(tmp_path, lambda: now[0])
    again.ledger.start()
    assert again.ledger.totals["2026-12-01"] == usage_in(tmp_path, since="2026-12-01").rows
    await again.close()
    del disk


async def test_a_torn_line_is_cut_off_by_the_next_start(tmp_path: Path, disk: Disk) -> None:
    """A machine that lost its power; so is a file of nothing but half a line. Missing sums are made."""
    del disk
    for number, text in enumerate((b"", b'{"half'), 1):
        first = Books(tmp_path, lambda: NOON / 1000)
        first.ledger.start()
        first.put(whole(str(number)))
        await first.close()
        path = segments_in(tmp_path / "0")[-1].path
        path.write_bytes(path.read_bytes() + text)
    second = tmp_path / "0" / f"000002.{TODAY}.jsonl"
    second.write_bytes(b'{"half')
    again = Books(tmp_path, lambda: NOON / 1000)
    again.ledger.start()
    again.put(whole("3"))
    await again.close()
    assert [segment.sums.exists() for segment in segments_in(tmp_path / "0")] == [True, False]
    assert second.read_bytes().count(b"\n") == 1
    assert spent(tmp_path) == 3 * 700


async def test_a_segment_that_was_removed_is_not_missed(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new one is begun; what the removed one had is gone, as whoever removed it wanted."""
    monkeypatch.setattr(ledger_writer, "SYNC_SECONDS", 0.0)
    books.put(whole("1"))
    await books.flushed()
    segments_in(books.folder / "0")[0].path.unlink()
    for n in range(2, 5):
        books.put(whole(str(n)))
        await books.flushed()
    assert [one.started.call for one in records_in(books.folder) if isinstance(one, Attempt)][-1:] == ["4"]


async def test_rows_of_a_day_that_is_long_over_are_read_again_before_they_are_told(books: Books) -> None:
    """Only a few days are kept in memory; a clock that jumps does not make sums smaller."""
    books.ledger.tells = True
    for day in (0, -9, 3, 4, 5, 6):
        books.put(whole(str(day), at=NOON + day * DAY))
        await books.flushed()
        await until(lambda: not books.ledger.incomplete)
        books.ledger.changed.clear()
    old = "2026-11-18"
    assert old not in books.ledger.totals
    books.put(whole("more", at=NOON - 9 * DAY))
    await books.flushed()
    await until(lambda: not books.ledger.incomplete)
    assert [sums[COST] for sums in books.ledger.totals[old].values()] == [1400]
    assert [key[0] for key in books.ledger.changed] == [old]


async def test_the_running_ledger_tells_what_it_has_without_reading_its_open_segment(
    books: Books, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells the same as the files; where the thread is held up by the disk, the files are read."""
    monkeypatch.setattr(ledger_writer, "MAX_SEGMENT", 700)
    assert (await books.ledger.usage()).rows == {}
    for n in range(4):
        books.put(whole(str(n)))
        await books.flushed()
    monkeypatch.setattr(module, "ASKED_SECONDS", LONG)
    asked = [await books.ledger.usage("shop")]
    monkeypatch.setattr(module, "ASKED_SECONDS", 0.05)
    disk.go.clear()
    books.put(whole("5"))
    books.ledger._flush()
    asked.append(await books.ledger.usage())
    written = usage_in(books.folder).rows  # before the thread may go on and write the fifth
    disk.go.set()
    assert [(one.records, one.rows) for one in asked] == [(4, written)] * 2
    await books.flushed()


async def test_days_that_cannot_be_told_stay_for_a_while(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis may be gone for days; not for ever."""
    monkeypatch.setattr(module, "MOST_DAYS", 6)
    books.ledger.tells = True
    for day in range(12):
        books.put(whole(str(day), at=NOON + day * DAY))
        await books.flushed()
    assert len(books.ledger.totals) == 7
    assert {key[0] for key in books.ledger.changed} <= set(books.ledger.totals)


async def test_a_ledger_that_cannot_be_written_lets_go_of_what_it_took(tmp_path: Path) -> None:
    """So the next try finds the folder free."""
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "board").mkdir()
    with pytest.raises(IsADirectoryError):
        Books(tmp_path).ledger.start()
    assert not is_taken(tmp_path / "0")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(LedgerError):
        patch.setattr("hybridproxy.stores.ledger_files.MAX_SLOTS", 0)
        Books(tmp_path).ledger.start()


async def test_nothing_is_lost_that_comes_before_the_start_or_after_the_end(tmp_path: Path) -> None:
    """It is not written, and nobody fails."""
    books = Books(tmp_path)
    await books.close()
    books.put(whole("1"))
    books.ledger.start()
    await books.close()
    await books.close()
    books.put(whole("2"))
    assert books.ledger.folded >= 1
