import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from hybridproxy.model.backend import Timeouts
from hybridproxy.model.fault import FaultKind
from tests.hybridproxy.transport.wire import Recorder, Wire
from tests.support.raw_server import CHUNKED, Peer, RawServer, answer, chunk

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n"


def plays(*pieces: bytes, then: str = "wait") -> Callable[[Peer], Awaitable[None]]:
    """A script: take a request, send pieces, then `close`, `reset` or `wait` for the client to leave."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(*pieces)
        if then == "close":
            peer.close()
        elif then == "reset":
            peer.reset()
        else:
            await peer.gone()

    return script


async def serves(peer: Peer) -> None:
    """A script: answer every request until the client leaves."""
    while True:
        try:
            request = await peer.request()
        except ConnectionError:
            return
        await peer.send(answer(b"you sent %d bytes" % len(request.partition(b"\r\n\r\n")[2])))


# ---- what is sent, and what comes back ----


async def test_a_request_arrives_whole_and_its_answer_comes_back(wire: Wire) -> None:
    """The upstream gets our head with its key and our body; the sink gets status, lower-case headers and body."""
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.send(b"HTTP/1.1 201 Created\r\nX-Request-ID: r7\r\nContent-Length: 2\r\n\r\n{}")
        await peer.gone()

    async with RawServer(script) as server:
        exchange, sink = wire.start(wire.target(server.port), headers=(("x-request-id", "r7"),))
        assert not exchange.peer
        await sink.finish()
        assert (exchange.peer, exchange.reused) == ("127.0.0.1", False)
        await wire.close()
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v1/chat/completions HTTP/1.1"
    assert {
        b"host: 127.0.0.1:%d" % server.port,
        b"authorization: Bearer sk-secret-of-tests",
        b"content-type: application/json",
        b"accept: application/json",
        b"accept-encoding: identity",
        b"content-length: 16",
        b"x-request-id: r7",
    } <= set(lines)
    assert body == b'{"model":"qwen"}'
    assert (sink.status, sink.headers, sink.text, sink.ended) == (
        201,
        [(b"x-request-id", b"r7"), (b"content-length", b"2")],
        b"{}",
        True,
    )


async def test_nothing_is_told_before_the_caller_has_its_exchange(wire: Wire) -> None:
    """Starting calls the sink neither for a good request nor for one that cannot be sent."""
    async with RawServer(serves) as server:
        _, bad = wire.start(wire.target(server.port), headers=(("x-id", "a\r\nhost: evil"),))
        assert not bad.over.is_set()
        fault = await bad.failure()
    assert (fault.kind, fault.backend, fault.billed) == (FaultKind.INTERNAL, "up", False)
    assert "x-id" in fault.detail
    assert "evil" not in fault.detail
    assert server.peers == []


async def test_a_cancelled_request_that_could_not_be_sent_stays_silent(wire: Wire) -> None:
    """The caller who leaves before the bad news hears no news."""
    exchange, sink = wire.start(wire.target(1), headers=(("x-id", "\n"),))
    exchange.cancel()
    await asyncio.sleep(0)
    assert not sink.over.is_set()


async def test_a_large_body_goes_out_whole(wire: Wire) -> None:
    """A body far larger than any socket buffer arrives to its last byte, and the connection can be used again."""
    async with RawServer(serves) as server:
        sink = await wire.call(wire.target(server.port), body=b"x" * 8_000_000)
        assert sink.text == b"you sent 8000000 bytes"
        assert (await wire.call(wire.target(server.port))).ended
        assert len(server.peers) == 1


async def test_a_burst_of_chunks_is_one_block(wire: Wire) -> None:
    """However many chunks a received block holds, the sink is called once for them."""
    burst = b"".join(chunk(b"data: %d\n\n" % n) for n in range(200))
    async with RawServer(plays(CHUNKED, burst + chunk(b""))) as server:
        sink = await wire.call(wire.target(server.port), stream=True)
        assert sink.blocks == [b"".join(b"data: %d\n\n" % n for n in range(200))]
        assert sink.ended


async def test_an_answer_that_comes_byte_by_byte_is_the_same(wire: Wire) -> None:
    """Splitting head, chunks and end at every byte changes nothing but the number of blocks."""
    whole = b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED + chunk(b"data: 1\n\n") + chunk(b"data: 2\n\n") + chunk(b"")
    async with RawServer(plays(*[bytes([byte]) for byte in whole])) as server:
        sink = await wire.call(wire.target(server.port), stream=True)
        assert (sink.status, sink.text, sink.ended) == (200, b"data: 1\n\ndata: 2\n\n", True)
        assert len(sink.blocks) > 10


async def test_provisional_answers_are_skipped(wire: Wire) -> None:
    """100 and 103 are no answers; the one that follows is."""
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    async with RawServer(plays(early, answer())) as server:
        sink = await wire.call(wire.target(server.port))
        assert (sink.status, sink.text) == (200, b'{"ok":true}')
        assert all(name != b"link" for name, _ in sink.headers)


@pytest.mark.parametrize("status", [b"302 Found", b"429 Too Many Requests", b"500 Oops"])
async def test_every_status_is_an_answer(wire: Wire, status: bytes) -> None:
    """A redirect or an error is delivered like any answer: nothing is followed, nothing repeated."""
    async with RawServer(plays(answer(b"no", b"location: http://127.0.0.1:1/", status=status))) as server:
        sink = await wire.call(wire.target(server.port))
        assert (sink.status, sink.text) == (int(status[:3]), b"no")
        assert len(server.peers) == 1


async def test_a_body_without_length_ends_with_the_connection(wire: Wire) -> None:
    """The proper end of the connection is the clean end of such a body."""
    async with RawServer(plays(b"HTTP/1.1 200 OK\r\n\r\n", b"all ", b"of it", then="close")) as server:
        sink = await wire.call(wire.target(server.port))
        assert (sink.text, sink.ended) == (b"all of it", True)


async def test_a_half_close_ends_such_a_body_too(wire: Wire) -> None:
    """An upstream that ends its side and goes on reading has said all."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.0 200 OK\r\n\r\nall")
        peer.half_close()
        await peer.gone()

    async with RawServer(script) as server:
        sink = await wire.call(wire.target(server.port))
        assert (sink.text, sink.ended) == (b"all", True)


async def test_nothing_in_the_environment_changes_the_way(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy named in the environment is not used."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with RawServer(serves) as server:
        assert (await wire.call(wire.target(server.port))).ended


# ---- what breaks ----


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize(
    ("pieces", "place"),
    [
        ((), "before the answer began"),
        ((b"HTTP/1.1 200 O",), "inside the head"),
        ((HEAD,), "inside the body"),
        ((HEAD, b"12345"), "inside the body"),
        ((CHUNKED, chunk(b"data: 1\n\n")), "inside the body"),
        ((CHUNKED, b"9\r\ndata"), "inside the body"),
        ((CHUNKED + chunk(b"data: 1\n\n") + b"0\r\n",), "inside the body"),
    ],
)
async def test_an_answer_that_breaks_off_never_looks_whole(
    wire: Wire, then: str, pieces: tuple[bytes, ...], place: str
) -> None:
    """Whatever way it ends before its end, it is cut; what had come was delivered, and the upstream may charge."""
    async with RawServer(plays(*pieces, then=then)) as server:
        sink = Recorder()
        fault = await wire.start(wire.target(server.port), sink=sink)[1].failure()
        assert (fault.kind, fault.backend, fault.billed) == (FaultKind.CUT, "up", True)
        assert place in fault.detail
        assert ("reset" in fault.detail) == (then == "reset")
        assert sink.text in b"data: 1\n\n12345"
        assert len(server.peers) == 1


async def test_a_reset_never_ends_a_body_without_length(wire: Wire) -> None:
    """Only a proper end counts as the end of a body that nothing else delimits."""
    async with RawServer(plays(b"HTTP/1.1 200 OK\r\n\r\nhalf", then="reset")) as server:
        assert (await wire.start(wire.target(server.port))[1].failure()).kind is FaultKind.CUT


async def test_an_end_with_an_error_is_no_proper_end(wire: Wire) -> None:
    """Even when the upstream had ended its side, an error of the connection leaves the body's end in doubt."""
    async with RawServer(plays(b"HTTP/1.1 200 OK\r\n\r\nhalf")) as server:
        exchange, sink = wire.start(wire.target(server.port))
        await wire.until(lambda: sink.blocks)
        connection = exchange._connection
        assert connection is not None
        connection.eof_received()
        connection.transport.abort()
        connection.connection_lost(TimeoutError(110, "Connection timed out"))
        assert (await sink.failure()).kind is FaultKind.CUT


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ((b"SSH-2.0-OpenSSH_9.6\r\n",), "not HTTP"),
        ((b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nxyz",), "101"),
        ((b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx",), "compressed"),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",), "not HTTP"),
        ((CHUNKED, b"zz\r\n"), "chunk size"),
        ((b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 129 + b"\r\n",), "128"),
    ],
)
async def test_what_is_no_proper_answer_is_refused(wire: Wire, pieces: tuple[bytes, ...], words: str) -> None:
    """It is a protocol fault that says what is wrong, and the connection is closed."""
    async with RawServer(plays(*pieces)) as server:
        fault = await wire.start(wire.target(server.port))[1].failure()
        assert fault.kind is FaultKind.PROTOCOL
        assert words in fault.detail
        assert fault.billed
        await server.peers[0].gone()
        assert (wire.general.open, wire.general.discarded) == (0, 1)


async def test_what_came_before_the_mistake_is_delivered(wire: Wire) -> None:
    """A good chunk in the same block as a bad one still reaches the sink."""
    async with RawServer(plays(CHUNKED + chunk(b"good") + b"?!")) as server:
        _, sink = wire.start(wire.target(server.port))
        assert (await sink.failure()).kind is FaultKind.PROTOCOL
        assert sink.text == b"good"


async def test_a_bug_in_the_sink_is_neither_hidden_nor_blamed_on_the_upstream(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    """The loop reports the exception, the exchange ends as an internal error, the connection is closed."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    bug = ZeroDivisionError("a bug")

    def crash() -> None:
        raise bug

    async with RawServer(plays(answer())) as server:
        sink = Recorder()
        sink.on_body = crash
        fault = await wire.start(wire.target(server.port), sink=sink)[1].failure()
        await server.peers[0].gone()
    assert fault.kind is FaultKind.INTERNAL
    assert "ZeroDivisionError" in fault.detail
    assert reported == [bug]


# ---- cancelling ----


async def test_cancel_while_connecting(wire: Wire) -> None:
    """The attempt to connect ends, and the sink hears nothing, however often it is cancelled."""
    async with RawServer(serves) as server:
        exchange, sink = wire.start(wire.target(server.port))
        exchange.cancel()
        exchange.cancel()
        await wire.until(lambda: not wire.general._network.common.connecting)
        await asyncio.sleep(0.01)
        assert server.peers == []  # it had not even begun
        later, other = wire.start(wire.target(server.port))
        await asyncio.sleep(0)
        later.cancel()
        await wire.until(lambda: not wire.general._network.common.connecting)
        assert not sink.over.is_set()
        assert not other.over.is_set()


@pytest.mark.parametrize("pieces", [(), (b"HTTP/1.1 200",), (HEAD, b"1234")])
async def test_cancel_closes_the_connection_at_once(wire: Wire, pieces: tuple[bytes, ...]) -> None:
    """Before the head, in it and in the body: the upstream sees the end, the sink sees nothing more."""
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.send(*pieces)
        await peer.gone()

    async with RawServer(script) as server:
        exchange, sink = wire.start(wire.target(server.port))
        await wire.until(lambda: asked.is_set() and exchange.received == len(b"".join(pieces)))
        exchange.cancel()
        exchange.cancel()
        exchange.pause()
        exchange.resume()
        exchange.first_output()
        await server.peers[0].gone()
        assert not sink.over.is_set()
        assert wire.general.discarded == 1
        assert len(wire.sweep) == 0


@pytest.mark.parametrize("moment", ["on_head", "on_body", "on_end"])
async def test_cancel_from_inside_the_sink(wire: Wire, moment: str) -> None:
    """A sink that gives up while it is being called is not called again."""
    async with RawServer(plays(answer(b"abc"))) as server:
        sink = Recorder()
        exchange, _ = wire.start(wire.target(server.port), sink=sink)
        setattr(sink, moment, exchange.cancel)
        await sink.move()
        if moment != "on_end":
            await server.peers[0].gone()
            assert not sink.over.is_set()
            assert sink.text == (b"" if moment == "on_head" else b"abc")
        else:
            await sink.finish()
            assert wire.general.open == 1  # it had ended well before


# ---- back-pressure ----


async def test_a_paused_upstream_waits(wire: Wire) -> None:
    """While paused nothing more is read, so that the upstream's sending stops; then everything comes, in order."""
    blocks = [chunk(b"%06d" % n * 10_000) for n in range(200)]

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED + blocks[0])
        peer.transport.writelines(blocks[1:])
        peer.transport.write(chunk(b""))
        await peer.gone()

    async with RawServer(script) as server:
        exchange, sink = wire.start(wire.target(server.port), stream=True)
        sink.on_head = exchange.pause
        await sink.move()
        for _ in range(50):
            await asyncio.sleep(0.001)
        held = len(sink.text)
        assert server.peers[0].transport.get_write_buffer_size() > 0
        assert held < 6_000_000
        exchange.pause()
        exchange.resume()
        exchange.resume()
        await sink.finish()
        assert sink.text == b"".join(b"%06d" % n * 10_000 for n in range(200))


async def test_a_pause_while_connecting_holds(wire: Wire) -> None:
    """Who pauses before the connection is there gets nothing until it resumes."""
    async with RawServer(plays(answer())) as server:
        exchange, sink = wire.start(wire.target(server.port))
        exchange.pause()
        exchange.resume()
        exchange.pause()
        await wire.until(lambda: exchange.peer)
        for _ in range(30):
            await asyncio.sleep(0.001)
        assert not sink.heads
        exchange.resume()
        assert (await sink.finish()).ended


async def test_a_paused_exchange_that_ends_leaves_a_connection_that_reads(wire: Wire) -> None:
    """A pause belongs to its exchange: the next one on the connection is not held up by it."""
    async with RawServer(serves) as server:
        exchange, sink = wire.start(wire.target(server.port))
        sink.on_head = exchange.pause
        await sink.finish()
        assert (await wire.call(wire.target(server.port))).ended
        assert len(server.peers) == 1


async def test_pausing_a_connection_that_is_just_dying_is_no_error(wire: Wire) -> None:
    """Between the end of a connection and the news of it, pausing and resuming do nothing."""
    async with RawServer(plays(HEAD)) as server:
        exchange, sink = wire.start(wire.target(server.port))
        await sink.move()
        assert exchange._connection is not None
        exchange._connection.transport.abort()
        exchange.pause()
        exchange.resume()
        assert (await sink.failure()).kind is FaultKind.CUT


# ---- time ----

TIMES = Timeouts(connect=1, first_token=10, between_bytes=3, answer=100)


async def test_a_stream_without_output_in_time(wire: Wire) -> None:
    """Head, comments and empty deltas do not stop the clock of the first output."""
    async with RawServer(plays(CHUNKED, chunk(b": wait\n\n"))) as server:
        since = wire.sweep.time()
        exchange, sink = wire.start(wire.target(server.port, timeouts=TIMES), stream=True)
        await wire.until(lambda: sink.blocks)
        end = wire.waits(exchange, 10, since=since)
        wire.sweep.tick(end - 0.1)
        assert not sink.over.is_set()
        wire.sweep.tick(end)
        fault = await sink.failure()
        assert (fault.kind, fault.billed, fault.backend) == (FaultKind.TIMEOUT_FIRST_TOKEN, True, "up")
        await server.peers[0].gone()


async def test_a_stream_that_falls_silent(wire: Wire) -> None:
    """After the first output only silence counts, however long the stream takes."""
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED, chunk(b"data: 1\n\n"))
        await go.wait()
        await peer.send(chunk(b"data: 2\n\n"))
        await peer.gone()

    async with RawServer(script) as server:
        exchange, sink = wire.start(wire.target(server.port, timeouts=TIMES), stream=True)
        await wire.until(lambda: sink.blocks)
        exchange.first_output()
        exchange.first_output()
        before = exchange.deadline
        assert before is not None
        await wire.until(lambda: wire.sweep.time() > before - 3)
        since = wire.sweep.time()
        go.set()
        await wire.until(lambda: len(sink.blocks) == 2)
        end = wire.waits(exchange, 3, since=since)
        assert end > before
        wire.sweep.tick(end - 0.1)
        assert not sink.over.is_set()
        wire.sweep.tick(end)
        assert (await sink.failure()).kind is FaultKind.TIMEOUT_BETWEEN_BYTES
        await server.peers[0].gone()


async def test_silence_that_we_asked_for_is_none(wire: Wire) -> None:
    """While reading is paused the clock between two bytes stands still; it starts afresh when reading goes on."""
    async with RawServer(plays(CHUNKED, chunk(b"data: 1\n\n"))) as server:
        exchange, sink = wire.start(wire.target(server.port, timeouts=TIMES), stream=True)
        await wire.until(lambda: sink.blocks)
        exchange.pause()
        exchange.first_output()
        wire.late(1000)
        assert not sink.over.is_set()
        exchange.resume()
        wire.late(3.1)
        assert (await sink.failure()).kind is FaultKind.TIMEOUT_BETWEEN_BYTES


async def test_an_answer_that_takes_too_long(wire: Wire) -> None:
    """A call that does not stream has one clock for its whole answer, which trickling does not stop."""
    async with RawServer(plays(HEAD, b"1")) as server:
        since = wire.sweep.time()
        exchange, sink = wire.start(wire.target(server.port, timeouts=TIMES))
        await wire.until(lambda: sink.blocks)
        exchange.first_output()
        end = wire.waits(exchange, 100, since=since)
        wire.sweep.tick(end - 0.1)
        assert not sink.over.is_set()
        wire.sweep.tick(end)
        fault = await sink.failure()
        assert (fault.kind, fault.billed) == (FaultKind.TIMEOUT_ANSWER, True)


async def test_an_upstream_that_does_not_take_the_request_is_not_billed(wire: Wire) -> None:
    """A time-out while a part of the request is still with us says that the upstream cannot charge for it."""

    async def script(peer: Peer) -> None:
        await peer.begun()
        await asyncio.Event().wait()

    async with RawServer(script) as server:
        exchange, sink = wire.start(wire.target(server.port), body=b"x" * 16_000_000)
        await wire.until(lambda: exchange.peer)
        wire.late(301)
        fault = await sink.failure()
        assert (fault.kind, fault.billed) == (FaultKind.TIMEOUT_ANSWER, False)


async def test_the_sweep_notices_by_itself(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    """With its own timer running, a late answer ends without anybody's help."""
    caplog.set_level(logging.WARNING)
    wire.sweep._interval = 0.01
    async with RawServer(plays()) as server:
        fault = await wire.start(wire.target(server.port, timeouts=Timeouts(answer=0.05)))[1].failure()
        assert fault.kind is FaultKind.TIMEOUT_ANSWER
    assert caplog.records == []
