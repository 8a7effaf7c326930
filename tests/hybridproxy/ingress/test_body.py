"""Reading a body over real sockets: whole, or refused with the right status as early as possible."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from hybridproxy.config.settings import Listen
from hybridproxy.gateway.reply import BodyError
from hybridproxy.ingress.body import read_body
from hybridproxy.ingress.connection import Request, Server

LIMIT = 100
LISTEN = Listen(
    host="127.0.0.1", port=0, workers=None, forwarded_header="x-forwarded-for", max_body=LIMIT, body_timeout=60.0,
    keepalive=5.0, drain_delay=0.0, drain_timeout=1.0,
)  # fmt: skip

Ask = Callable[..., Awaitable[tuple[int, bytes]]]


async def handler(request: Request) -> None:
    """Answer with the body that was read, or the reason why it was not; a caller to `/soon` has no time."""
    listen = replace(LISTEN, body_timeout=0.2) if request.target == "/soon" else LISTEN
    try:
        request.reply(200, {}, await read_body(request, listen))
    except BodyError as error:
        request.close = True
        request.reply(error.status, {}, f"{error.code}: {error.message}".encode())


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    """Sends a POST with these headers, then the pieces one by one; returns the status and body of the last answer."""
    server = Server(handler)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)

    async def send(headers: str, *pieces: bytes, path: str = "/", hang_up: bool = False) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
        try:
            writer.write(f"POST {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n\r\n".encode())
            for piece in pieces:
                await asyncio.sleep(0.01)  # a piece of its own on the wire
                writer.write(piece)
            if hang_up:
                writer.write_eof()
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return int(head[9:12]), await reader.readexactly(size)
        finally:
            writer.close()

    yield send
    listening.close()
    await server.shutdown(0.1)


@pytest.mark.parametrize("size", [0, 1, LIMIT])
async def test_a_body_up_to_the_limit_is_whole(size: int, ask: Ask) -> None:
    """With a length or chunked, at once or in pieces, the bytes are those that were sent."""
    body = bytes(range(97, 97 + 25)) * 4
    body = body[:size]
    assert await ask(f"content-length: {size}", body) == (200, body)
    assert await ask(f"content-length: {size}", body[:1], body[1:]) == (200, body)
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:40], body[40:]) if part]
    assert await ask("transfer-encoding: chunked", *chunks, b"0\r\n\r\n") == (200, body)
    assert await ask("transfer-encoding: chunked", b"".join([*chunks, b"0\r\n\r\n"])) == (200, body)


async def test_one_byte_too_many_is_413(ask: Ask) -> None:
    """A length that is too large is refused before the body comes, chunks as soon as they are too many."""
    for headers, pieces in (
        (f"content-length: {LIMIT + 1}", ()),
        ("content-length: 99999999999", ()),
        ("transfer-encoding: chunked", (b"40\r\n" + b"x" * 64 + b"\r\n", b"40\r\n" + b"x" * 64 + b"\r\n")),
        ("transfer-encoding: chunked", (b"65\r\n" + b"x" * 101 + b"\r\n0\r\n\r\n",)),
    ):
        status, text = await ask(headers, *pieces)
        assert (status, text) == (413, b"body_too_large: the body is larger than 100 bytes")


async def test_a_body_that_does_not_come_is_408(ask: Ask) -> None:
    """A caller that sends half and waits is told how long it had."""
    for headers, piece in (("content-length: 10", b"half"), ("transfer-encoding: chunked", b"4\r\nhalf\r\n")):
        status, text = await ask(headers, piece, path="/soon")
        assert (status, text) == (408, b"body_timeout: the body did not arrive within 0.2 s")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "gzip, identity", "x"])
async def test_a_compressed_body_is_415(encoding: str, ask: Ask) -> None:
    """Nothing is unpacked here, so nothing can explode."""
    status, text = await ask(f"content-encoding: {encoding}\r\ncontent-length: 2", b"hi")
    assert status == 415
    assert text.startswith(b"unsupported_encoding: ")


async def test_identity_is_no_encoding(ask: Ask) -> None:
    """The word for no encoding changes nothing."""
    assert await ask("content-encoding: Identity\r\ncontent-length: 2", b"hi") == (200, b"hi")


async def test_broken_chunks_are_400_at_once(ask: Ask) -> None:
    """A body whose framing breaks in the middle is told to the caller, not waited for until the timeout."""
    status, _ = await ask("transfer-encoding: chunked", b"4\r\nhalf\r\n", b"nonsense\r\n")
    assert status == 400


async def test_the_caller_is_asked_for_a_body_that_it_holds_back(ask: Ask) -> None:
    """With Expect the first answer is 100, but a refusal comes without it."""
    status, _ = await ask("expect: 100-continue\r\ncontent-length: 1000")
    assert status == 413
