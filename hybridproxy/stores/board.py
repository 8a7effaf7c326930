"""What is in flight, in a file that is mapped into memory: a process that is killed leaves it behind whole.

The file has a fixed number of slots of a fixed size, each empty (its first byte is 0) or one line. Putting a line is a
copy into memory, hence no system call and no waiting for the disk, and from then on the line is the kernel's: `kill -9`
does not take it back. The first byte is written last, so that a line that was cut off by the end of the process is
none. A machine that loses its power keeps what the kernel had written by itself, usually all but the last half minute.

Its slots are used again and again, the one that was freed last first, so few pages of it are ever touched. All of it
is allocated when it is made: a disk that fills up later cannot fail a write to it.
"""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hybridproxy.stores.disk import FILE_MODE

SLOT: Final = 1024
"""Bytes of a slot; a longer line is not put there."""

SLOTS: Final = 8192
"""More than there are calls at a time, and records that wait for the disk, as long as it is well."""

NONE: Final = -1


class Board:
    """The slots of one process. Nothing here raises once it is open."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            OSError: it cannot be made or mapped.

        """
        size = SLOT * SLOTS
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            there = os.fstat(fd).st_size
            if there < size:
                os.posix_fallocate(fd, 0, size)
            self._memory = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        self._free: list[int] = []

    def lines(self) -> list[bytes]:
        """Return what the process before left, and free nothing yet."""
        return list(_lines(self._memory))

    def clear(self) -> None:
        """Empty all slots, those only that are not."""
        memory = self._memory
        for at in range(0, len(memory), SLOT):
            if memory[at]:
                memory[at] = 0
        self._free = list(range(len(memory) - SLOT, -1, -SLOT))

    @property
    def used(self) -> int:
        """Slots in use."""
        return SLOTS - len(self._free)

    def put(self, line: bytes) -> int:
        """Put a line; return its slot, `NONE` where there is no room."""
        size = len(line)
        if not self._free or size > SLOT:
            return NONE
        at, memory = self._free.pop(), self._memory
        memory[at + 1 : at + size] = line[1:]
        memory[at] = line[0]
        return at

    def free(self, slot: int) -> None:
        """Empty a slot; `NONE` does nothing."""
        if slot != NONE:
            self._memory[slot] = 0
            self._free.append(slot)

    def close(self) -> None:
        """Let go of the file."""
        self._memory.close()


def left_on(path: Path) -> list[bytes]:
    """Return the lines of a board without opening it for writing, none where there is no board.

    Raises:
        OSError: it cannot be read.

    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    return list(_lines(data))


def _lines(data: bytes | mmap.mmap) -> Iterator[bytes]:
    for at in range(0, len(data) - SLOT + 1, SLOT):
        if data[at]:
            line, end, _ = bytes(data[at : at + SLOT]).partition(b"\n")
            if end:
                yield line
