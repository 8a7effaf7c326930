"""Writes the ledger's segments: for one thread only, but for what is done before it begins.

A write that failed is taken back whole, so that it can be tried again; where even that fails, or the file was removed,
a new segment is begun and the old one is read when the process starts again.
"""

import contextlib
import os
import time
from typing import Final

from hybridproxy.metering.lines import Attempt, attempt_line, call_line
from hybridproxy.metering.records import Called
from hybridproxy.metering.report import Rows, merge
from hybridproxy.stores.disk import FILE_MODE, sync_folder, write_all
from hybridproxy.stores.ledger_files import (
    MOST_READ,
    Segment,
    Slot,
    Tally,
    segment_of,
    segments_in,
    size_of,
    tally_of,
    write_sums,
)

MAX_SEGMENT: Final = 32 * 1024 * 1024
"""Bytes after which a new segment is begun; at a start, so much is read at most."""

SYNC_SECONDS: Final = 1.0


class Writer:
    """The segments of one process.

    Attributes:
        tally: what is in the open segment.
        slowest: seconds of the longest `fdatasync` so far.

    """

    def __init__(self, slot: Slot) -> None:
        """Write to a folder."""
        self.tally = Tally()
        self.slowest = 0.0
        self._folder = slot.folder
        self._segment: Segment | None = None
        self._fd: int | None = None
        self._size = 0
        self._synced_at = time.monotonic()
        self._dirty = False

    def open(self) -> None:
        """Go on with the newest segment, mended; write down the sums of the others where they are missing.

        Raises:
            OSError: they cannot be read or written.

        """
        segments = segments_in(self._folder)
        for segment in segments[:-1]:
            if not segment.sums.exists() and segment.path.exists():
                write_sums(segment, tally_of(segment))
        if segments and not segments[-1].sums.exists():
            newest = segments[-1]
            self._open(newest, os.O_RDWR)
            self._mend()
            self.tally = tally_of(newest)

    def write(self, data: bytes, rows: Rows, records: int, folded: int, day: str, oldest: str = "") -> None:
        """Append lines, which sum up to rows; of earlier segments keep the sums, and those begun since a day.

        Raises:
            OSError: nothing of it is there.

        """
        segment = self._segment
        if segment is not None and ((self._size and self._size + len(data) > MAX_SEGMENT) or day > segment.day):
            self._finish(segment, oldest)
        if self._segment is None:
            self._begin(day)
        fd = self._fd
        assert fd is not None  # noqa: S101 - one is open now
        try:
            write_all(fd, data)
        except OSError:
            try:
                os.ftruncate(fd, self._size)
            except OSError:
                self._leave()
            raise
        self._size += len(data)
        self._dirty = True
        merge(self.tally.rows, rows)
        self.tally.records += records
        self.tally.folded += folded

    @property
    def sync_due(self) -> float | None:
        """Seconds until what was written is to be made durable, None where nothing was."""
        return max(0.0, self._synced_at + SYNC_SECONDS - time.monotonic()) if self._dirty else None

    def sync(self) -> None:
        """Make durable what was written.

        Raises:
            OSError: it cannot be, or the file is gone.

        """
        if not self._dirty or self._fd is None:
            return
        began = self._synced_at = time.monotonic()  # one that fails is not tried again at once
        os.fdatasync(self._fd)
        self._synced_at = time.monotonic()
        self.slowest = max(self.slowest, self._synced_at - began)
        self._dirty = False
        if os.fstat(self._fd).st_nlink == 0:
            self._leave()

    def append(self, left: list[Attempt | Called], day: str) -> None:
        """Write what a process before left behind, and make it durable.

        Raises:
            OSError: it cannot be written.

        """
        tally = Tally()
        for record in left:
            tally.take(record)
        lines = [call_line(one) if isinstance(one, Called) else attempt_line(one.started, one.ended) for one in left]
        self.write(b"".join(lines), tally.rows, tally.records, 0, day)
        self.sync()

    def open_segment(self) -> tuple[Segment, Tally] | None:
        """Return the open segment, and a copy of what is in it; None where none is open."""
        if self._segment is None:
            return None
        copy = Tally()
        copy.add(self.tally, self.tally.rows)
        return self._segment, copy

    def rows_of(self, days: set[str]) -> Rows:
        """Return the rows of these days, of all segments.

        Raises:
            OSError: they cannot be read.

        """
        rows: Rows = {}
        for segment in segments_in(self._folder):
            tally = self.tally if segment == self._segment else tally_of(segment, min(days), max(days))
            merge(rows, {key: sums for key, sums in tally.rows.items() if key[0] in days}, MOST_READ)
        return rows

    def close(self) -> None:
        """Make durable what was written, and close the file."""
        with contextlib.suppress(OSError):
            self.sync()
        self._leave()

    def _finish(self, segment: Segment, oldest: str) -> None:
        """Close a segment that is full, or of a day that is over; remove those begun before the day `oldest`."""
        self.sync()
        write_sums(segment, self.tally)
        self._leave()
        for one in segments_in(self._folder):
            if one.day < oldest and one.sums.exists():
                one.path.unlink(missing_ok=True)

    def _begin(self, day: str) -> None:
        segments = segments_in(self._folder)
        number = segments[-1].number + 1 if segments else 1
        self._open(segment_of(self._folder, number, day), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        self.tally = Tally()
        sync_folder(self._folder)

    def _open(self, segment: Segment, flags: int) -> None:
        self._fd = os.open(segment.path, flags | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
        self._segment, self._size = segment, size_of(segment.path)

    def _mend(self) -> None:
        """Cut off a last line that a crash left unfinished."""
        fd, size = self._fd, self._size
        assert fd is not None  # noqa: S101 - it was just opened
        while size:
            begin = max(0, size - 65536)
            at = os.pread(fd, size - begin, begin).rfind(b"\n")
            size = begin + at + 1
            if at >= 0:
                break
        if size < self._size:
            os.ftruncate(fd, size)
            self._size = size

    def _leave(self) -> None:
        fd, self._fd = self._fd, None
        self._segment, self._dirty = None, False
        if fd is not None:
            os.close(fd)
