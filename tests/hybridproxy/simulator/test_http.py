"""The small HTTP server: what it takes, and what it refuses."""

import asyncio
import re

import orjson
import pytest

from hybridproxy.simulator import http
from tests.hybridproxy.simulator.client import HELLO, STREAM, TEXT, ask, get, read_all, request, send, settled
from tests.hybridproxy.simulator.conftest import Start

KEEP = {"headers": ""}


async def test_a_connection_is_kept(start: Start) -> None:
    """Two calls use one connection, a streamed one first."""
    simulator = await start()
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(request(simulator, STREAM, **KEEP))
    first = await reader.readuntil(b"0\r\n\r\n")
    assert b"connection: close" not in first
    writer.write(request(simulator, HELLO))
    second = await read_all(reader)
    assert (second.status, second.headers["connection"]) == (200, "close")
    assert simulator.upstream.accepted == 1
    writer.close()


async def test_pipelined_requests_are_answered_in_order(start: Start) -> None:
    """Requests sent at once are answered one after the other."""
    simulator = await start(pace_ms=1)
    many = [request(simulator, HELLO | {"model": f"m{number}"}, **KEEP) for number in range(5)]
    got = await send(simulator, b"".join([*many, request(simulator, HELLO | {"model": "last"})]))
    assert re.findall(rb'"model":"(\w+)"', got.raw) == [b"m0", b"m1", b"m2", b"m3", b"m4", b"last"]


async def test_a_flood_of_pipelined_requests_is_dropped(start: Start) -> None:
    """A client that sends far ahead of the answers loses its connection."""
    simulator = await start(latency_ms=60_000)
    got = await send(simulator, request(simulator, HELLO, **KEEP) * 40)
    assert got.raw == b""
    assert (await settled(simulator)).outcome == "client_gone"


async def test_a_chunked_request_in_small_parts(start: Start) -> None:
    """A chunked request with a trailer, arriving byte by byte, is read whole."""
    simulator = await start()
    body = orjson.dumps(HELLO)
    chunks = (
        b"".join(b"%x;ext=1\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:])) + b"0\r\nX-T: 1\r\n\r\n"
    )
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: s\r\nAuthorization: Bearer k\r\nConnection: close\r\n"
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    for byte in head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks:
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert (await read_all(reader)).json["choices"][0]["message"]["content"] == TEXT.format("openai")
    entry = simulator.upstream.journal.entries[-1]
    assert (entry.body, dict(entry.headers).get("X-T")) == (body, None)
    writer.close()


async def test_a_client_that_asks_before_it_sends(start: Start) -> None:
    """`Expect: 100-continue` gets its interim answer before the body is sent."""
    simulator = await start()
    head, _, body = request(simulator, HELLO, headers="Expect: 100-continue\r\nconnection: close\r\n").partition(
        b"\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(head + b"\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await read_all(reader)).status == 200
    writer.close()


async def test_an_old_client_gets_no_chunks(start: Start) -> None:
    """A stream for HTTP/1.0 is not chunked and ends with the connection."""
    simulator = await start()
    got = await send(simulator, request(simulator, STREAM).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert "transfer-encoding" not in got.headers
    assert got.rest.startswith(b"data: {")
    assert got.rest.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"POST /v1/models HTTP/1.1\r\nHost: s\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /v1/chat/completions HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /v1/models HTTP/1.1\r\nHost: s\r\nX: " + b"a" * 70_000, 431),
        (b"GET /v1/models HTTP/1.1\r\nHost: s\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    ],
)
async def test_what_is_not_http_is_refused(start: Start, data: bytes, status: int) -> None:
    """Broken framing and endless heads are answered with an error, and the connection ends."""
    simulator = await start()
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(data)
    line = await asyncio.wait_for(reader.readline(), 30)
    assert line.startswith(b"HTTP/1.1 %d " % status)
    await read_all(reader)
    writer.transport.abort()


async def test_a_body_that_is_too_long(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body beyond the limit is answered with 413 in the provider's shape."""
    monkeypatch.setattr(http, "MAX_BODY", 1000)
    simulator = await start("vllm")
    got = await ask(simulator, HELLO | {"x": "y" * 1000})
    assert (got.status, got.json["error"]["code"]) == (413, 413)
    assert "1000 bytes" in got.json["error"]["message"]


async def test_a_slow_reader_is_waited_for(start: Start) -> None:
    """A client that does not read holds the stream back instead of filling the memory, and gets all of it."""
    simulator = await start(pieces=30_000)
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port, limit=1024)
    writer.write(request(simulator, STREAM))
    await reader.readline()
    entry = simulator.upstream.journal.entries[-1]
    async with asyncio.timeout(30):
        seen = -1
        while entry.pieces_sent != seen:
            seen = entry.pieces_sent
            await asyncio.sleep(0.02)
    assert 0 < entry.pieces_sent < 30_000
    assert (await read_all(reader)).raw.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert (await settled(simulator)).pieces_sent == 30_000
    writer.close()


async def test_garbage_behind_a_good_request(start: Start) -> None:
    """What is answered is answered; the garbage behind it ends the connection."""
    simulator = await start(latency_ms=5)
    got = await send(simulator, request(simulator, HELLO, **KEEP) + b"\x00\x01garbage\r\n\r\n")
    assert got.status == 200
    assert got.raw.count(b"HTTP/1.1") == 1


async def test_unknown_paths_and_methods(start: Start) -> None:
    """A wrong path is 404, a wrong method 405, both in the provider's shape; a query does not matter."""
    simulator = await start("vllm")
    missing = await get(simulator, "/nothing")
    assert (missing.status, missing.json["error"]["type"]) == (404, "NotFoundError")
    assert (await get(simulator, "/chat/completions")).status == 405
    assert (await ask(simulator, HELLO, "//chat/completions")).status == 404
    assert (await ask(simulator, HELLO, "/chat/completions?beta=true")).status == 200
