"""Lines to a file descriptor without ever making a call wait: buffered in memory, written by a thread.

Failure mode: when whoever reads the log stops reading, lines are dropped and counted, and the first line that goes out
again says how many.
"""

import asyncio
import os
from collections import deque
from typing import Final

MAX_BUFFERED: Final = 50_000
FLUSH_SECONDS: Final = 0.1


class LineWriter:
    """Takes lines on the event loop; at most one write is under way at a time."""

    def __init__(self, fd: int) -> None:
        """Write to a file descriptor, which stays open."""
        self.dropped = 0
        self._fd = fd
        self._lines: deque[bytes] = deque()
        self._writing: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unreported = 0

    def write(self, line: bytes) -> None:
        """Take one line, without its line end."""
        if len(self._lines) >= MAX_BUFFERED:
            self.dropped += 1
            self._unreported += 1
            return
        self._lines.append(line)
        if self._timer is None and self._writing is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def _flush(self) -> None:
        self._timer = None
        self._writing = asyncio.get_running_loop().run_in_executor(None, _write_all, self._fd, self._take())
        self._writing.add_done_callback(self._written)

    def _written(self, done: "asyncio.Future[None]") -> None:
        self._writing = None
        if not done.cancelled():
            done.exception()  # a closed pipe is nobody's fault here
        if self._lines:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def _take(self) -> bytes:
        lines = list(self._lines)
        self._lines.clear()
        if self._unreported:
            lines.insert(0, b'{"event":"log.dropped","lines":%d}' % self._unreported)
            self._unreported = 0
        return b"\n".join(lines) + b"\n" if lines else b""

    async def close(self, seconds: float = 2.0) -> None:
        """Write what is left, for at most so long."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            async with asyncio.timeout(seconds):
                if self._writing is not None:
                    await self._writing
                if self._lines or self._unreported:
                    await asyncio.get_running_loop().run_in_executor(None, _write_all, self._fd, self._take())
        except (TimeoutError, OSError):
            return


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
