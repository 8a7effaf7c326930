"""The ledger's folder: one folder a process, in it segments of records, their sums, and the board of what is in flight.

    0/lock                        held by the process that writes here; the next process takes folder 1, and so on
    0/id                          names this ledger, made once
    0/board                       what is in flight, see `board`
    0/000001.2026-11-27.jsonl     a segment: lines, see `metering.lines`; the newest is appended to
    0/000001.2026-11-27.sums      what its records sum up to, once it is closed; the segment need not be read then

Everything here is read by one process while another writes, so what is half there is taken for not there yet.
"""

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from hybridproxy.metering.lines import (
    Attempt,
    Record,
    Summed,
    closed,
    listed,
    record_in,
    rows_in,
)
from hybridproxy.metering.records import Called, Started
from hybridproxy.metering.report import Rows, add_attempt, add_call, chosen, merge
from hybridproxy.model.usage import Usage
from hybridproxy.stores.board import left_on
from hybridproxy.stores.disk import FILE_MODE, FOLDER_MODE, write_all

SEGMENT, SUMS = ".jsonl", ".sums"
MOST_READ: Final = 1_000_000
"""Rows of a report, before they are put together by what was asked for."""

MAX_SLOTS: Final = 1000
BLOCK: Final = 1 << 20
FIRST, LAST = "0000-00-00", "9999-99-99"
"""Before and after all days."""

_NAMED: Final = re.compile(r"([0-9]{6,12})\.([0-9]{4}-[0-9]{2}-[0-9]{2})")
_HEAD: Final = re.compile(rb'^\{"record":"(attempt|call)","call":"([^"\n]*)"(?:,"n":([0-9]{1,9}))?', re.MULTILINE)
_SPAN: Final = re.compile(rb'^\{"from":"([0-9-]{10})","until":"([0-9-]{10})"')
_ID: Final = re.compile(r"[0-9a-f]{16}")

Step = Callable[[int], None]


class LedgerError(Exception):
    """The folder cannot be used; the text says why."""


@dataclass(slots=True)
class Tally:
    """What records sum up to.

    Attributes:
        rows: their sums.
        records: how many they are.
        folded: of those, how many are there as sums only.
        unreadable: lines that are no records.
        running: records that were estimated because the process that began them is gone.

    """

    rows: Rows = field(default_factory=dict)
    records: int = 0
    folded: int = 0
    unreadable: int = 0
    running: int = 0

    def take(self, record: Record | None) -> None:
        """Add one."""
        match record:
            case Attempt(started, ended):
                add_attempt(self.rows, started, ended)
                self.records += 1
            case Called():
                add_call(self.rows, record)
                self.records += 1
            case Summed(rows, records):
                merge(self.rows, dict(rows))
                self.records += records
                self.folded += records
            case _:
                self.unreadable += 1

    def add(self, other: "Tally", chosen: Rows) -> None:
        """Add what another one has, and of its rows those that were chosen."""
        merge(self.rows, chosen, MOST_READ)
        self.records += other.records
        self.folded += other.folded
        self.unreadable += other.unreadable
        self.running += other.running


# ---- one process's folder ----


class Slot:
    """The folder that this process writes to, locked as long as it lives."""

    def __init__(self, folder: Path, lock: int, name: str) -> None:
        """Hold a locked folder; `take_slot` makes this."""
        self.folder = folder
        self.name = name
        self._lock: int | None = lock

    def close(self) -> None:
        """Let go of it."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def take_slot(folder: Path, new_id: Callable[[], str]) -> Slot:
    """Return the first folder that no other process writes to.

    Raises:
        OSError: it cannot be made or written to.
        LedgerError: all are taken.

    """
    for number in range(MAX_SLOTS):
        slot = folder / str(number)
        slot.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        for _ in range(3):  # who only looks whether it is taken holds it for a moment
            lock = _locked(slot)
            if lock is not None:
                return Slot(slot, lock, _id_of(slot, new_id))
            time.sleep(0.005)
    raise LedgerError(f"other processes write to all {MAX_SLOTS} folders")


def is_taken(slot: Path) -> bool:
    """Return whether a process writes to a folder.

    Raises:
        OSError: that cannot be found out.

    """
    if not (slot / "lock").exists():
        return False
    fd = os.open(slot / "lock", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return not _lock(fd)
    finally:
        os.close(fd)


def slots_in(folder: Path) -> list[Path]:
    """Return the folders of all processes that ever wrote here.

    Raises:
        OSError: the folder cannot be read.

    """
    return sorted((path for path in folder.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))


def _locked(slot: Path) -> int | None:
    fd = os.open(slot / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    if _lock(fd):
        return fd
    os.close(fd)
    return None


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _id_of(slot: Path, new_id: Callable[[], str]) -> str:
    path = slot / "id"
    with contextlib.suppress(FileNotFoundError):
        name = path.read_text(encoding="ascii", errors="replace").strip()
        if _ID.fullmatch(name):
            return name
    name = new_id()
    replace_file(path, name.encode() + b"\n")
    return name


# ---- segments and their sums ----


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A file of records: its number, the day it was begun, and where it is."""

    number: int
    day: str
    path: Path

    @property
    def sums(self) -> Path:
        """The file with its sums."""
        return self.path.with_suffix(SUMS)


def segment_of(slot: Path, number: int, day: str) -> Segment:
    """Return the segment of that number."""
    return Segment(number, day, slot / f"{number:06d}.{day}{SEGMENT}")


def segments_in(slot: Path) -> list[Segment]:
    """Return a folder's segments in their order, those too of which only the sums are left.

    Raises:
        OSError: the folder cannot be read.

    """
    found = set()
    for path in slot.iterdir():
        named = _NAMED.fullmatch(path.stem)
        if named is not None and path.suffix in {SEGMENT, SUMS}:
            found.add(Segment(int(named[1]), named[2], path.with_suffix(SEGMENT)))
    return sorted(found)


def lines_of(path: Path, step: Step | None = None) -> Iterator[bytes]:
    """Give the whole lines of a segment; its last one may be under way."""
    done = 0
    with path.open("rb") as file:
        for line in file:
            done += len(line)
            if step is not None and done >= BLOCK:
                step(done)
                done = 0
            if line.endswith(b"\n"):
                yield line
    if step is not None:
        step(done)


def tally_of(segment: Segment, first: str = FIRST, last: str = LAST, step: Step | None = None) -> Tally:
    """Return what a segment's records sum up to, from its sums or else from its lines; rows of other days may be in it.

    Where none of its rows is between the days `first` and `last`, nothing is read but that.

    Raises:
        OSError: neither can be read.

    """
    tally = None
    with contextlib.suppress(FileNotFoundError):
        with segment.sums.open("rb") as file:
            span = _SPAN.match(file.read(64))
        if span is not None and (span[2].decode() < first or span[1].decode() > last):
            return Tally()
        tally = read_sums(segment)
    if tally is None:
        tally = Tally()
        for line in lines_of(segment.path, step):
            tally.take(record_in(line))
    elif step is not None:
        step(size_of(segment.path))
    return tally


def read_sums(segment: Segment) -> Tally | None:
    """Return what a segment's records sum up to, None where that is not written down, or damaged.

    Raises:
        OSError: the file is there and cannot be read.

    """
    try:
        found = orjson.loads(segment.sums.read_bytes())
        rows, counts = rows_in(found["rows"]), [found[name] for name in ("records", "folded", "unreadable")]
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
    return Tally(rows, *counts) if all(type(count) is int for count in counts) else None


def write_sums(segment: Segment, tally: Tally) -> None:
    """Write down what a segment's records sum up to, whole or not at all.

    Raises:
        OSError: it cannot be written.

    """
    days = [key[0] for key in tally.rows]
    span = {"from": min(days, default=LAST), "until": max(days, default=FIRST)}
    counts = {"records": tally.records, "folded": tally.folded, "unreadable": tally.unreadable}
    replace_file(segment.sums, orjson.dumps(span | counts | {"rows": listed(tally.rows)}))


def replace_file(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, and make it durable.

    Raises:
        OSError: it cannot be written.

    """
    new = path.with_name(path.name + ".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    try:
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
    new.replace(path)


def size_of(path: Path) -> int:
    """Return a file's size, 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


# ---- reading all of it ----


def usage_in(
    folder: Path, tenant: str | None = None, since: str = "", until: str = "", step: Step | None = None
) -> Tally:
    """Return what all ledgers in a folder sum up to, of a tenant or all, from a day to the one before another.

    Of a process that is gone, what was in flight counts as it will when the next one takes its place.

    Raises:
        OSError: a file cannot be read.

    """
    found = Tally()
    for slot in slots_in(folder):
        gone = [] if is_taken(slot) else left_behind(slot)
        one, left = usage_of(slot, tenant, since, until, step), Tally()
        for record in gone:
            left.take(record)
        left.running = sum(isinstance(record, Attempt) for record in gone)
        found.add(one, one.rows)
        found.add(left, chosen(left.rows, tenant, since, until))
    return found


def usage_of(
    slot: Path,
    tenant: str | None = None,
    since: str = "",
    until: str = "",
    step: Step | None = None,
    *,
    known: tuple[Segment, Tally] | None = None,
) -> Tally:
    """Return what one ledger's segments sum up to; of one it may be `known` already.

    Raises:
        OSError: a file cannot be read.

    """
    found = Tally()
    for segment in segments_in(slot):
        if known is not None and segment == known[0]:
            tally = known[1]
        else:
            tally = tally_of(segment, since or FIRST, until or LAST, step)
        found.add(tally, chosen(tally.rows, tenant, since, until))
    return found


def bytes_in(folder: Path) -> int:
    """Return the bytes of all segments.

    Raises:
        OSError: the folder cannot be read.

    """
    return sum(size_of(segment.path) for slot in slots_in(folder) for segment in segments_in(slot))


# ---- what a process left behind ----


def left_behind(slot: Path) -> list[Attempt | Called]:
    """Return what the board of a process that is gone holds and no segment does.

    An attempt under way is closed as unknown, and so is a call of which some attempt is there and its end is not. What
    had ended is there as it was.

    Raises:
        OSError: the board or a segment cannot be read.

    """
    attempts: dict[tuple[str, int], Attempt] = {}
    calls: dict[str, Called] = {}
    for line in left_on(slot / "board"):
        match record_in(line):
            case Started() as started:
                attempts.setdefault((started.call, started.n), Attempt(started, closed(started)))
            case Attempt() as attempt:
                attempts[attempt.started.call, attempt.started.n] = attempt
            case Called() as called:
                calls[called.call] = called
            case _:  # half a line, from a machine that lost its power
                pass
    if not attempts and not calls:
        return []
    written, open_calls = _written(segments_in(slot)[-2:], calls)
    missing = [attempt for key, attempt in attempts.items() if key not in written]
    for attempt in missing:
        if attempt.started.call not in calls and (attempt.started.call, None) not in written:
            open_calls.setdefault(attempt.started.call, []).append(attempt)
    ended = [called for called in calls.values() if (called.call, None) not in written]
    broken = [_call_of(made) for made in open_calls.values() if made[0].started.tenant]  # our own probes are no calls
    return [*missing, *ended, *broken]


def _written(
    segments: Iterable[Segment], calls: Container[str]
) -> tuple[set[tuple[str, int | None]], dict[str, list[Attempt]]]:
    """Return which attempts, and with None which calls, are in these segments; and the attempts of calls that are not.

    `calls` are known from elsewhere. Where some records are there as sums only, all calls may be.
    """
    found: set[tuple[str, int | None]] = set()
    texts, sums = [], False
    for segment in segments:
        with contextlib.suppress(FileNotFoundError):
            texts.append(segment.path.read_bytes())
            sums = sums or b'{"record":"sums"' in texts[-1]
            for kind, call, n in _HEAD.findall(texts[-1]):
                found.add((call.decode(errors="replace"), None if kind == b"call" else int(n or 0)))
    names = set() if sums else {call for call, _ in found if call not in calls and (call, None) not in found}
    made: dict[str, list[Attempt]] = {}
    for line in (line for text in texts for line in text.splitlines() if names):
        head = _HEAD.match(line)
        if head is not None and head[2].decode(errors="replace") in names:
            record = record_in(line)
            if isinstance(record, Attempt):
                made.setdefault(record.started.call, []).append(record)
    return found, made


def _call_of(attempts: list[Attempt]) -> Called:
    """Return a call that was cut off by the end of its process."""
    attempts.sort(key=lambda attempt: attempt.started.n)
    last, usages = attempts[-1].started, [attempt.ended.usage for attempt in attempts]
    usage = Usage(sum(one.prompt for one in usages), sum(one.completion for one in usages), estimated=True)
    cost = sum(attempt.ended.cost for attempt in attempts)
    guessed = sum(attempt.ended.cost for attempt in attempts if attempt.ended.usage.estimated)
    return Called(
        call=last.call, at=last.at, tenant=last.tenant, model=last.model, region=last.region, operation="", dialect="",
        stream=False, status=0, code="unknown", backend=last.backend, attempts=len(attempts),
        usage=usage, cost=cost, estimated=guessed,
    )  # fmt: skip
