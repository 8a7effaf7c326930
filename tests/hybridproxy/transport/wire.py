"""The client's end of the transport tests: a session, a sink that writes everything down, targets at raw servers."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hybridproxy.model.backend import Backend, Credential, Endpoint, NameServer, SovereignBackend, Timeouts, Tls, Trust
from hybridproxy.model.fault import Fault
from hybridproxy.model.plan import Target
from hybridproxy.transport.response import Headers
from hybridproxy.transport.session import GeneralSession, SovereignSession
from hybridproxy.transport.sweep import Sweep
from hybridproxy.transport.upstream import Exchange, UpstreamRequest

KEY = Credential("first", "sk-secret-of-tests")


class Recorder:
    """A sink that holds its caller to the contract: head first, one end, nothing after it."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Headers = []
        self.heads = 0
        self.blocks: list[bytes] = []
        self.fault: Fault | None = None
        self.ended = False
        self.over = asyncio.Event()
        self.moved = asyncio.Event()
        self.on_head: Callable[[], object] = lambda: None
        self.on_body: Callable[[], object] = lambda: None
        self.on_end: Callable[[], object] = lambda: None

    @property
    def text(self) -> bytes:
        """The body so far."""
        return b"".join(self.blocks)

    def head(self, status: int, headers: Headers) -> None:
        """Take the head."""
        assert not self.over.is_set()
        assert not self.heads
        self.heads += 1
        self.status, self.headers = status, headers
        self.moved.set()
        self.on_head()

    def body(self, data: bytes) -> None:
        """Take a block."""
        assert not self.over.is_set()
        assert self.heads
        assert data
        self.blocks.append(data)
        self.moved.set()
        self.on_body()

    def end(self) -> None:
        """Take the clean end."""
        assert not self.over.is_set()
        assert self.heads
        self.ended = True
        self.over.set()
        self.on_end()

    def failed(self, fault: Fault) -> None:
        """Take the fault."""
        assert not self.over.is_set()
        self.fault = fault
        self.over.set()

    async def finish(self) -> "Recorder":
        """Wait for the end, whichever it is."""
        async with asyncio.timeout(30):
            await self.over.wait()
        return self

    async def move(self) -> None:
        """Wait for the next head or block."""
        async with asyncio.timeout(30):
            await self.moved.wait()
        self.moved.clear()

    async def failure(self) -> Fault:
        """Wait for the end, which must be a fault."""
        await self.finish()
        assert self.fault is not None, f"it ended well: {self.status} {self.text!r}"
        return self.fault


class Wire:
    """Sessions whose timer is moved by hand: `late` lets time pass."""

    def __init__(self) -> None:
        self.sweep = Sweep(interval=3600)
        self.refused: list[tuple[str, str]] = []
        self.general = GeneralSession(self.sweep, self._refused)
        self.sovereign = SovereignSession(self.sweep, self._refused)

    def _refused(self, backend: str, why: str) -> None:
        self.refused.append((backend, why))

    def target(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        scheme: str = "http",
        cidrs: tuple[str, ...] = (),
        tls: Tls = Tls(),  # noqa: B008 - frozen
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        key: Credential = KEY,
        resolver: tuple[NameServer, ...] = (),
    ) -> Target[Backend]:
        """An ordinary backend on this machine."""
        endpoint = Endpoint(scheme, host, port, "/v1")
        backend = Backend(
            "up", "openai", "", Trust.THIRD_PARTY, (endpoint,), (key,), 1.0, cidrs, tls, resolver=resolver
        )
        return Target(backend, endpoint, key, "qwen", timeouts)

    def sovereign_target(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        scheme: str = "http",
        cidrs: tuple[str, ...] = ("127.0.0.0/8",),
        tls: Tls = Tls(),  # noqa: B008 - frozen
        resolver: tuple[NameServer, ...] = (),
    ) -> Target[SovereignBackend]:
        """A sovereign backend on this machine."""
        endpoint = Endpoint(scheme, host, port, "")
        backend = SovereignBackend("vpc", "vllm", "", (endpoint,), (KEY,), cidrs, tls=tls, resolver=resolver)
        return Target(backend, endpoint, KEY, "qwen", Timeouts())

    def start(
        self,
        target: Target[Backend],
        *,
        body: bytes = b'{"model":"qwen"}',
        stream: bool = False,
        headers: tuple[tuple[str, str], ...] = (),
        sink: Recorder | None = None,
    ) -> tuple[Exchange, Recorder]:
        """Send a request."""
        sink = sink or Recorder()
        request = UpstreamRequest("/chat/completions", body, stream, headers)
        return self.general.start(target, request, sink), sink

    async def call(self, target: Target[Backend], **options: Any) -> Recorder:
        """Send a request and wait for its end."""
        return await self.start(target, **options)[1].finish()

    def late(self, seconds: float) -> None:
        """Let the sweep see a clock that is so much ahead."""
        self.sweep.tick(self.sweep.time() + seconds)

    def waits(self, exchange: Exchange, seconds: float, *, since: float) -> float:
        """Return until when an exchange waits, which is so many seconds from a moment between `since` and now."""
        assert exchange.deadline is not None
        assert since + seconds <= exchange.deadline <= self.sweep.time() + seconds
        return exchange.deadline

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something that somebody else brings about."""
        await until(condition)

    async def close(self) -> None:
        """Close the sessions; nothing may be left of them."""
        await self.general.close()
        await self.sovereign.close()
        assert self.general.open == self.sovereign.open == 0
        assert len(self.sweep) == 0


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that somebody else brings about."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


def open_sockets() -> int:
    """How many sockets this process has open."""
    count = 0
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists is gone
            count += str(fd.readlink()).startswith("socket:")
    return count
