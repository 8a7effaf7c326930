"""The audit log's files: appended to by one thread, and whole again, or given up, after a write that failed.

What could not be written whole is cut off again, which works on a full disk too. Where that fails, or the disk refused
to make durable what it had taken, nobody knows what the file holds: it is left as it is, and a new chain is begun.
"""

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from hybridproxy.residency.chain import MAX_LINE, SUFFIX
from hybridproxy.stores.disk import FILE_MODE, FOLDER_MODE, sync_folder, write_all


class Segments:
    """The files of one process, in one folder. But for `tails`, for one thread only."""

    def __init__(self, folder: Path) -> None:
        """Write into a folder."""
        self.folder = folder
        self.usable = False
        """Whether the open file ends where the last write that worked ended."""
        self._fd: int | None = None
        self._size = 0

    def tails(self) -> Iterator[tuple[str, bytes]]:
        """Make the folder; give the ends of the files that are there, with their names, the last one first.

        Raises:
            OSError: the folder cannot be made or read.

        """
        self.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        for path in reversed(files_in(self.folder)):
            with path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 2 * MAX_LINE))
                yield path.name, file.read()

    def write(self, data: bytes, *, name: str | None, sync: bool) -> float:
        """Append, or with a name begin a file; return the seconds it took to make that durable, 0.0: it was not asked.

        Raises:
            OSError: nothing of it is there, or `usable` is no longer true.

        """
        if name is not None:
            self._begin(name, data)
            return 0.0
        fd = self._fd
        if fd is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        try:
            write_all(fd, data)
        except OSError:
            self.usable = False
            with contextlib.suppress(OSError):
                os.ftruncate(fd, self._size)
                self.usable = True
            raise
        self._size += len(data)
        return self._durable(fd) if sync else 0.0

    def close(self) -> None:
        """Close the file that is open."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _durable(self, fd: int) -> float:
        began = time.perf_counter()
        self.usable = False  # until it is known that the disk has it, and that the file is still there
        os.fdatasync(fd)
        if os.fstat(fd).st_nlink == 0:
            raise OSError(errno.ENOENT, "the file was removed")
        self.usable = True
        return time.perf_counter() - began

    def _begin(self, name: str, data: bytes) -> None:
        """Begin a file; the one before stays open, and is the one that counts, until all of it is durable."""
        if self._fd is not None and self.usable:
            self._durable(self._fd)
        self.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        path = self.folder / name
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
        try:
            write_all(fd, data)
            os.fdatasync(fd)
            sync_folder(self.folder)
        except OSError:
            os.close(fd)
            self._take_back(path)
            raise
        self.close()
        self._fd, self._size, self.usable = fd, len(data), True

    def _take_back(self, path: Path) -> None:
        try:
            path.unlink()
        except OSError:
            self.usable = False


def files_in(folder: Path) -> list[Path]:
    """Return a log's files in their order."""
    return sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIX) and path.is_file())


def lines_of(path: Path) -> Iterator[bytes]:
    """Give the lines of a file with their line ends; of a line that is far too long, pieces."""
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE + 1):
            yield line


def append_to(path: Path, data: bytes) -> None:
    """Append to a file and make it durable, whole or not at all.

    Raises:
        OSError: it was not.

    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
    try:
        size, written = os.fstat(fd).st_size, 0
        try:
            while written < len(data):
                written += os.write(fd, data[written:])
            os.fsync(fd)
        except OSError:
            with contextlib.suppress(OSError):
                if os.fstat(fd).st_size == size + written:  # else another process has appended since
                    os.ftruncate(fd, size)
            raise
    finally:
        os.close(fd)
