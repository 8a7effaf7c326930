"""Callers that read slowly or never: little is held for them, and whoever stalls is let go."""

import asyncio
import contextlib
import os
import socket
from pathlib import Path

import pytest

from hybridproxy.ingress import connection
from tests.support.inside import connections, finished, keep_alive
from tests.support.raw_calls import call
from tests.support.raw_server import CHUNKED, Peer, RawServer, chunk
from tests.support.raw_upstream import delta, scripted
from tests.support.stack import Stack, running


def resident() -> float:
    """Return this process's resident memory in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def flood(peer: Peer) -> None:
    """Send a stream without end as fast as it is taken."""
    await peer.request()
    await peer.send(CHUNKED)
    block = chunk(delta("x" * 60_000))
    while not peer.closed.is_set():
        if peer.transport.get_write_buffer_size() > 100_000:
            await asyncio.sleep(0.01)
        else:
            peer.transport.write(block)
            await asyncio.sleep(0)


async def test_two_hundred_slow_readers_of_fast_streams_take_bounded_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Back-pressure reaches the upstream at once and lets go again; what is held for a stream is small."""
    # the upstream shares the loop, and two hundred that talk at once keep each other waiting
    async with RawServer(flood) as server, running(tmp_path, connect="80s", first_token="80s", total="250s") as stack:
        await scripted(stack, server)
        callers = []
        before = resident()
        for _ in range(200):
            slow = socket.socket()
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            slow.setblocking(False)
            await asyncio.get_running_loop().sock_connect(slow, ("127.0.0.1", stack.worker.port))
            reader, writer = await asyncio.open_connection(sock=slow, limit=4096)
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            callers.append((reader, writer))
        await stack.until(lambda: len(connections(stack)) == 200, 80)
        for one in connections(stack):  # else the kernel takes 3 MB of each stream before anybody is held back
            one.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        for _, writer in callers:
            writer.write(call(None, stream=True))

        def paused() -> int:
            common = stack.worker.general._network.common
            return sum(c.exchange is not None and c.exchange._paused for c in common.connections)

        await stack.until(lambda: paused() == 200, 80)
        held = [c.transport.get_write_buffer_size() for c in connections(stack) if c.transport]
        grown = resident() - before
        with capsys.disabled():
            print(f"\n200 slow readers: RSS +{grown:.0f} MB with the upstream's side; buffers {sum(held) / 1e6:.0f} MB")  # noqa: T201
        assert max(held) < 600_000
        reader, writer = callers[0]
        reader._transport.resume_reading()  # type: ignore[attr-defined]
        got = 0
        async with asyncio.timeout(80):
            while got < 5_000_000:
                got += len(await reader.read(1 << 20))
        async with stack.http.get(stack.url + "/livez") as response:
            assert response.status == 200
        for _, writer in callers:
            writer.transport.abort()
        await stack.until(lambda: stack.worker.gateway.in_flight == 0)
        await stack.until(lambda: all(peer.closed.is_set() or peer.ended for peer in server.peers))
        server.errors.clear()


async def test_a_stream_nobody_reads_is_cut_after_the_stall(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """One caller that stops reading is given up: its upstream call stops, its socket is closed, its record says why."""
    monkeypatch.setattr(connection, "STALL", 0.4)
    async with RawServer(flood) as server:
        await scripted(stack, server)
        reader, writer = await asyncio.open_connection("127.0.0.1", stack.worker.port, limit=4096)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(call(None, stream=True))
        await stack.until(lambda: server.peers)
        await stack.until(lambda: stack.worker.gateway.in_flight == 0)
        await stack.until(lambda: server.peers[0].ended or server.peers[0].closed.is_set())
        await stack.until(lambda: not connections(stack))
        writer.transport.abort()
        server.errors.clear()
    (line,) = await finished(stack)
    assert (line["status"], line["code"]) == (200, "client_stalled")


async def test_a_caller_that_never_reads_its_answer_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole answer that is never read must not hold its memory and its socket for ever."""
    monkeypatch.setattr(connection, "STALL", 0.5)
    async with running(tmp_path) as stack:
        keep_alive(stack, 0.5)
        stack.sim("together").behave({"text": "x" * 900_000})
        writers = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", stack.worker.port, limit=1024)
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(call() * 10)  # more than the sockets' own buffers take
            writers.append(writer)
        await stack.until(lambda: len(stack.received("together")) >= 3)
        kept = connections(stack)
        transports = [one.transport for one in kept]
        with contextlib.suppress(TimeoutError):
            await stack.until(lambda: not connections(stack))
        held = sum(t.get_write_buffer_size() for t in transports if t is not None)
        left = len(connections(stack))
        for writer in writers:
            writer.transport.abort()
        assert left == 0, f"{left} connections still hold {held} bytes"


async def test_a_caller_that_pipelines_and_never_reads_is_held_back(stack: Stack) -> None:
    """Answers nobody reads must not pile up: without a key, 6 MB of requests must not become 50 MB of buffer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.worker.port)
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    requests = b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n" * 2000
    sent = 0
    try:
        async with asyncio.timeout(2.5):
            while sent < 6_000_000:
                writer.write(requests)
                await writer.drain()
                sent += len(requests)
    except TimeoutError:
        pass
    buffered = sum(one.transport.get_write_buffer_size() for one in connections(stack) if one.transport is not None)
    writer.transport.abort()
    assert buffered < 1_000_000, f"{buffered} bytes of unread answers for {sent} bytes of requests"
