"""Sends the audit log's signed heads to where whoever can write to the log cannot: a file elsewhere, an HTTP sink.

No call waits for it. Heads wait in a bounded queue; a delivery that fails is repeated after a pause that doubles. One
head vouches for all that was before it, so when the queue overflows the oldest are the ones to lose.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import aiohttp

from hybridproxy.stores.segments import append_to
from hybridproxy.tasks import wait

MAX_WAITING: Final = 1000
MAX_AT_ONCE: Final = 100
PAUSE: Final = 1.0
MAX_PAUSE: Final = 30.0
DELIVERY: Final = 10.0
"""Seconds one delivery may take."""

LAST: Final = 2.0
"""Seconds the last one may take."""


class AnchorError(Exception):
    """A sink did not take what it was sent; the text says why."""


class Sink(Protocol):
    """Where heads go."""

    async def take(self, lines: bytes) -> None:
        """Keep these lines, or raise OSError, AnchorError or what aiohttp raises."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...


class FileSink:
    """A file on another disk, a mount, a named pipe's other end: wherever the log's own machine cannot reach back."""

    def __init__(self, path: Path) -> None:
        """Append to a file."""
        self._path = path

    async def take(self, lines: bytes) -> None:
        """Append, in a thread of its own: a mount that hangs may keep it without holding up the end of the process."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def work() -> None:
            error: OSError | None = None
            try:
                append_to(self._path, lines)
            except OSError as failed:
                error = failed
            try:
                loop.call_soon_threadsafe(_settle, done, error)
            except RuntimeError:  # the loop is gone
                return

        threading.Thread(target=work, name="anchor", daemon=True).start()
        await done

    async def close(self) -> None:
        """Nothing is held."""


class HttpSink:
    """A server that takes lines by POST and answers 2xx once it has them."""

    def __init__(self, url: str) -> None:
        """Post to a URL. No proxy of the environment is used, and no redirect followed."""
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def take(self, lines: bytes) -> None:
        """Post lines."""
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=False)
        headers = {"content-type": "text/plain"}
        async with self._session.post(self._url, data=lines, headers=headers, allow_redirects=False) as response:
            if not 200 <= response.status < 300:
                raise AnchorError(f"it answered with status {response.status}")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


class Anchor:
    """The heads on their way."""

    def __init__(self, sink: Sink, log: Callable[..., None]) -> None:
        """Send to a sink; `log` takes events. Must be made on the running loop."""
        self.failures = self.lost = self.sent = 0
        """Deliveries that failed, heads that were given up, heads that were taken."""
        self._sink = sink
        self._log = log
        self._heads: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._closed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._failing = False

    def gauges(self) -> dict[str, float]:
        """Return what there is to measure."""
        return {
            "hybridproxy_audit_anchored_heads": self.sent,
            "hybridproxy_audit_anchor_failures": self.failures,
            "hybridproxy_audit_anchor_waiting": len(self._heads),
            "hybridproxy_audit_anchor_lost": self.lost,
        }

    def send(self, line: bytes) -> None:
        """Take one head's line."""
        self._heads.append(line)
        if len(self._heads) > MAX_WAITING:
            self._heads.popleft()
            self.lost += 1
        self._wake.set()

    async def run(self) -> None:
        """Deliver until `close`."""
        pause = PAUSE
        while not self._closed.is_set():
            await self._wake.wait()
            self._wake.clear()
            while self._heads and not self._closed.is_set():
                if await self.deliver():
                    pause = PAUSE
                else:
                    await wait(self._closed, pause)
                    pause = min(MAX_PAUSE, pause * 2)

    async def deliver(self) -> bool:
        """Deliver the oldest heads, one delivery at a time; return whether that worked."""
        async with self._turn:
            return await self._deliver()

    async def _deliver(self) -> bool:
        heads = [self._heads.popleft() for _ in range(min(MAX_AT_ONCE, len(self._heads)))]
        if not heads:
            return True
        try:
            async with asyncio.timeout(DELIVERY):
                await self._sink.take(b"".join(heads))
        except (OSError, AnchorError, aiohttp.ClientError) as error:  # TimeoutError is an OSError
            self._failed(heads, error)
            return False
        self.sent += len(heads)
        if self._failing:
            self._failing = False
            self._log("audit.anchored", lost=self.lost)
        return True

    async def close(self) -> None:
        """Stop; what is left gets one more delivery, and a moment for it."""
        self._closed.set()
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST):
                while await self.deliver() and self._heads:
                    pass
        await self._sink.close()

    def _failed(self, heads: list[bytes], error: Exception) -> None:
        self.failures += 1
        room = max(0, MAX_WAITING - len(self._heads))
        self.lost += max(0, len(heads) - room)
        self._heads.extendleft(reversed(heads[len(heads) - room :] if room < len(heads) else heads))
        if not self._failing:
            self._failing = True
            own = str(error) if isinstance(error, AnchorError) else getattr(error, "strerror", None)
            self._log("audit.anchor_failing", reason=own or type(error).__name__)


def _settle(done: asyncio.Future[None], error: OSError | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
