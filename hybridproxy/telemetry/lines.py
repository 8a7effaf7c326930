"""Lines to a file descriptor without ever making a call wait: buffered in memory, written by a thread of their own.

Failure mode: when whoever reads the log stops reading, lines are dropped and counted, and the first line that goes out
again says how many. The thread is a daemon: a write that hangs does not keep the process alive.
"""

import asyncio
import contextlib
import os
import threading
from collections import deque
from queue import SimpleQueue
from typing import Final

MAX_BUFFERED: Final = 50_000
FLUSH_SECONDS: Final = 0.1


class LineWriter:
    """Takes lines on the event loop; at most one write is under way at a time."""

    def __init__(self, fd: int) -> None:
        """Write to a file descriptor, which stays open. Must be made on the running loop."""
        self.dropped = 0
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._lines: deque[bytes] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._unreported = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._batches: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def write(self, line: bytes) -> None:
        """Take one line, without its line end."""
        if len(self._lines) >= MAX_BUFFERED:
            self.dropped += 1
            self._unreported += 1
            return
        self._lines.append(line)
        if self._timer is None and self._idle.is_set():
            self._timer = self._loop.call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Hand what there is to the thread, unless it is still writing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._lines or not self._idle.is_set():
            return
        lines = list(self._lines)
        self._lines.clear()
        if self._unreported:
            lines.insert(0, b'{"event":"log.dropped","lines":%d}' % self._unreported)
            self._unreported = 0
        self._idle.clear()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()
        self._batches.put(b"\n".join(lines) + b"\n")

    async def close(self, seconds: float = 2.0) -> None:
        """Write what is left, for at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._lines or not self._idle.is_set():
                    self.flush()
                    await self._idle.wait()
        if self._timer is not None:
            self._timer.cancel()
        self._batches.put(None)

    def _run(self) -> None:
        """Write batches; the body of the thread."""
        while (data := self._batches.get()) is not None:
            with contextlib.suppress(OSError):  # a closed pipe is nobody's fault here
                while data:
                    data = data[os.write(self._fd, data) :]
            with contextlib.suppress(RuntimeError):  # the loop is gone
                self._loop.call_soon_threadsafe(self._written)

    def _written(self) -> None:
        self._idle.set()
        if self._lines and self._timer is None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self.flush)
