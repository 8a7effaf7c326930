import asyncio
from collections.abc import Awaitable, Callable

import pytest

from hybridproxy.model.backend import Endpoint, SovereignBackend, Tls
from hybridproxy.model.fault import FaultKind
from hybridproxy.transport import upstream
from hybridproxy.transport.pool import PoolKey, pool_keys
from hybridproxy.transport.upstream import Connection, Exchange
from tests.hybridproxy.transport.wire import Recorder, Wire
from tests.support.raw_server import CHUNKED, Peer, RawServer, answer, chunk


def answers(*replies: bytes | str) -> Callable[[Peer], Awaitable[None]]:
    """A script: one reply a request; `close` and `reset` end the connection instead, after them it waits."""

    async def script(peer: Peer) -> None:
        for reply in replies:
            await peer.request()
            if isinstance(reply, bytes):
                await peer.send(reply)
            elif reply == "close":
                peer.close()
                return
            else:
                peer.reset()
                return
        await peer.gone()

    return script


def by_number(*scripts: Callable[[Peer], Awaitable[None]]) -> Callable[[Peer], Awaitable[None]]:
    """A script that differs from connection to connection."""

    async def script(peer: Peer) -> None:
        await scripts[peer.number](peer)

    return script


# ---- reuse ----


async def test_a_connection_serves_one_request_after_the_other(wire: Wire) -> None:
    """After a clean end with keep-alive the next request goes out at once, without connecting."""
    async with RawServer(answers(*[answer()] * 3)) as server:
        target = wire.target(server.port)
        await wire.call(target)
        for _ in range(2):
            exchange, sink = wire.start(target)
            assert (exchange.reused, exchange.peer) == (True, "127.0.0.1")
            await sink.finish()
        assert len(server.peers) == 1
        general = wire.general
        assert (general.opened, general.reused, general.discarded, general.open) == (1, 2, 0, 1)


async def test_the_next_request_may_start_inside_the_end_of_the_last(wire: Wire) -> None:
    """The connection is back before the sink hears of the end."""
    async with RawServer(answers(answer(), CHUNKED + chunk(b"second") + chunk(b""))) as server:
        target = wire.target(server.port)
        first, second = Recorder(), Recorder()
        started: list[Exchange] = []
        first.on_end = lambda: started.append(wire.start(target, sink=second)[0])
        await wire.call(target, sink=first)
        assert started[0].reused
        assert (await second.finish()).text == b"second"
        assert second.status == 200


async def test_the_connection_used_last_is_taken_first(wire: Wire) -> None:
    """So that those too many fall idle and are closed."""
    async with RawServer(answers(*[answer()] * 9)) as server:
        target = wire.target(server.port)
        pair = [wire.start(target), wire.start(target)]
        for _, sink in pair:
            await sink.finish()
        assert len(server.peers) == 2
        last = next(iter(wire.general._network._pools.values()))._idle[-1]
        for _ in range(3):
            exchange, sink = wire.start(target)
            assert exchange._connection is last
            await sink.finish()


@pytest.mark.parametrize(
    "reply",
    [
        answer(b"ok", b"connection: close"),
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        answer(b"ok") + b"x",
        answer(b"ok") + answer(b"not yours"),
        CHUNKED + chunk(b"ok") + chunk(b"") + b"HTTP/1.1 200 OK\r\n",
    ],
)
async def test_a_connection_in_doubt_is_not_used_again(wire: Wire, reply: bytes) -> None:
    """It was not to be kept, or bytes follow that nobody asked for: the answer counts, the connection goes."""
    async with RawServer(answers(reply)) as server:
        target = wire.target(server.port)
        for number in (1, 2):
            sink = await wire.call(target)
            assert (sink.text, sink.ended) == (b"ok", True)
            assert len(server.peers) == number
            assert wire.general.discarded == number


@pytest.mark.parametrize("surplus", [b"x", b"\r\n", answer(b"not yours")])
async def test_bytes_on_an_idle_connection_end_it(wire: Wire, surplus: bytes) -> None:
    """What an upstream says unasked never becomes the answer to the next request."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b"%d" % peer.number), surplus)
        await peer.gone()

    async with RawServer(script) as server:
        target = wire.target(server.port)
        assert (await wire.call(target)).text == b"0"
        await server.peers[0].gone()
        assert (await wire.call(target)).text == b"1"
        assert wire.general.reused == 0


@pytest.mark.parametrize("way", ["close", "half_close", "reset"])
async def test_an_idle_connection_that_the_upstream_ends_is_forgotten(wire: Wire, way: str) -> None:
    """It is not counted any more, and the next request opens a new one."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer())
        if peer.number == 0:
            await go.wait()
            getattr(peer, way)()
        await peer.gone()

    go = asyncio.Event()
    async with RawServer(script) as server:
        target = wire.target(server.port)
        await wire.call(target)
        assert (wire.general.open, len(wire.sweep)) == (1, 1)
        go.set()
        await wire.until(lambda: wire.general.open == 0)
        assert len(wire.sweep) == 0
        exchange, sink = wire.start(target)
        assert not exchange.reused
        await sink.finish()
        assert (wire.general.opened, wire.general.discarded) == (2, 0)


async def test_a_closing_connection_is_passed_over(wire: Wire) -> None:
    """Between its end and the news of it, a connection gets no request."""
    async with RawServer(answers(answer())) as server:
        target = wire.target(server.port)
        await wire.call(target)
        (connection,) = wire.general._network.common.connections
        connection.transport.close()
        exchange, sink = wire.start(target)
        assert not exchange.reused
        assert (await sink.finish()).ended


async def test_an_answer_before_the_request_was_out_ends_the_connection(wire: Wire) -> None:
    """An early answer counts, but what is left of its request would stand before the next one."""

    async def script(peer: Peer) -> None:
        await peer.begun()
        await peer.send(answer(b"too large", status=b"413 Payload Too Large"))
        await asyncio.Event().wait()

    async with RawServer(script) as server:
        target = wire.target(server.port)
        sink = await wire.call(target, body=b"x" * 16_000_000)
        assert (sink.status, sink.text, sink.ended) == (413, b"too large", True)
        assert wire.general.discarded == 1
        await wire.until(lambda: wire.general.open == 0)


async def test_a_head_before_the_request_was_out_is_enough_to_end_it(wire: Wire) -> None:
    """Even if the rest of the request gets out while the answer comes."""

    async def script(peer: Peer) -> None:
        await peer.begun()
        await peer.send(CHUNKED)
        await seen.wait()
        peer.transport.resume_reading()
        await peer.request()
        await peer.send(chunk(b"ok") + chunk(b""))
        await peer.gone()

    seen = asyncio.Event()
    async with RawServer(script) as server:
        sink = Recorder()
        sink.on_head = seen.set
        await wire.call(wire.target(server.port), body=b"x" * 16_000_000, sink=sink)
        assert (sink.text, sink.ended, wire.general.discarded) == (b"ok", True, 1)


# ---- stale connections ----


@pytest.fixture
def long_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections count as idle for long enough to be stale at once."""
    monkeypatch.setattr(upstream, "STALE_AFTER", 0.0)


async def test_a_busy_connection_that_dies_has_refused_the_request(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """It took the whole request a moment after the last one: that may be billed, and is not silently sent again."""
    assert upstream.STALE_AFTER >= 1
    monkeypatch.setattr(upstream, "STALE_AFTER", 3600.0)  # however long this moment is on a busy machine
    async with RawServer(by_number(answers(answer(), "close"), answers(answer(b"fresh")))) as server:
        target = wire.target(server.port)
        await wire.call(target)
        fault = await wire.start(target)[1].failure()
        assert (fault.kind, fault.billed) == (FaultKind.CUT, True)
        assert len(server.peers) == 1


@pytest.mark.usefixtures("long_idle")
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_stale_connection_costs_the_caller_nothing(wire: Wire, end: str) -> None:
    """A reused connection that dies before the first byte: the request goes out once more, on a fresh one."""
    async with RawServer(by_number(answers(answer(), end), answers(answer(b"fresh")))) as server:
        target = wire.target(server.port)
        await wire.call(target)
        exchange, sink = wire.start(target)
        assert exchange.reused
        await sink.finish()
        assert (sink.text, exchange.reused) == (b"fresh", False)
        assert len(server.peers) == 2
        assert wire.general.discarded == 0


@pytest.mark.usefixtures("long_idle")
async def test_a_call_that_was_repeated_before_is_not_sent_again(wire: Wire) -> None:
    """What may be billed is repeated once in a call: a second repeat over a stale connection would be one too many."""
    async with RawServer(by_number(answers(answer(), "close"), answers(answer(b"fresh")))) as server:
        target = wire.target(server.port)
        await wire.call(target)
        exchange, sink = wire.start(target)
        exchange.repeatable = False
        fault = await sink.failure()
        assert (fault.kind, fault.billed) == (FaultKind.CUT, True)
        assert len(server.peers) == 1


@pytest.mark.usefixtures("long_idle")
async def test_only_once_and_only_a_stale_one(wire: Wire) -> None:
    """When the fresh connection dies too, that is a fault: nothing is sent a third time, whatever else is idle."""
    script = by_number(answers(answer(), "close"), answers(answer(), answer()), answers("close"))
    async with RawServer(script) as server:
        target = wire.target(server.port)
        for _, sink in [wire.start(target), wire.start(target)]:
            await sink.finish()
        stale = server.peers[0]
        peers = {c.transport.get_extra_info("sockname"): c for c in wire.general._network.common.connections}
        idle = next(iter(wire.general._network._pools.values()))._idle
        idle.sort(key=lambda c: c is peers[stale.transport.get_extra_info("peername")])  # taken first
        exchange, sink = wire.start(target)
        fault = await sink.failure()
        assert (fault.kind, fault.billed) == (FaultKind.CUT, True)
        assert exchange.repeated, "both may be charged for"
        assert len(server.peers) == 3


async def test_a_reused_connection_that_breaks_after_a_byte_is_a_fault(wire: Wire) -> None:
    """Once the upstream has begun to answer, the request is not sent again."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer())
        await peer.request()
        await peer.send(b"H")
        peer.close()

    async with RawServer(script) as server:
        target = wire.target(server.port)
        await wire.call(target)
        fault = await wire.start(target)[1].failure()
        assert fault.kind is FaultKind.CUT
        assert len(server.peers) == 1


@pytest.mark.usefixtures("long_idle")
async def test_a_stale_connection_whose_upstream_is_gone(wire: Wire) -> None:
    """The fresh attempt's fault is told, and that the first one may be charged for."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer())
        await peer.request()
        assert server._server is not None
        server._server.close()
        peer.close()

    async with RawServer(script) as server:
        target = wire.target(server.port)
        await wire.call(target)
        exchange, sink = wire.start(target)
        fault = await sink.failure()
        assert (fault.kind, fault.billed) == (FaultKind.CONNECT, True)
        assert not exchange.repeated, "it went out once"


# ---- how many, and for how long ----


async def test_idle_connections_grow_old(wire: Wire) -> None:
    """After thirty seconds without use they are closed, the younger ones stay."""
    async with RawServer(answers(*[answer()] * 9)) as server:
        target = wire.target(server.port)
        pair = [wire.start(target), wire.start(target)]
        for _, sink in pair:
            await sink.finish()
        pool = next(iter(wire.general._network._pools.values()))
        old, young = pool._idle
        now = wire.sweep.time()
        old.idle_since, young.idle_since = now - 10, now
        wire.sweep.tick(now + 19)
        assert wire.general.open == 2
        wire.sweep.tick(now + 21)
        await wire.until(lambda: wire.general.open == 1)
        wire.sweep.tick(now + 31)
        await wire.until(lambda: wire.general.open == 0)
        assert wire.general.discarded == 0
        assert len(wire.sweep) == 0


async def test_only_so_many_idle_connections_are_kept(wire: Wire) -> None:
    """Those beyond the limit are closed as soon as they are free."""
    wire.general._network.common.max_idle = 2
    async with RawServer(answers(answer())) as server:
        sinks = [wire.start(wire.target(server.port))[1] for _ in range(5)]
        for sink in sinks:
            await sink.finish()
        await wire.until(lambda: wire.general.open == 2)
        assert wire.general.discarded == 3


async def test_backends_with_other_rules_do_not_share_connections(wire: Wire) -> None:
    """Neither over the border of allow_cidrs, nor over that of what TLS demands."""
    async with RawServer(answers(answer(), answer())) as server:
        await wire.call(wire.target(server.port))
        await wire.call(wire.target(server.port, cidrs=("127.0.0.0/8",)))
        await wire.call(wire.target(server.port, tls=Tls(name="other")))
        assert len(server.peers) == 3


def test_the_keys_of_a_backend() -> None:
    """One for each endpoint, whatever its path."""
    endpoints = tuple(Endpoint("http", f"10.0.3.{n}", 8000, path) for n in (1, 2) for path in ("/a", "/b"))
    backend = SovereignBackend("vpc", "vllm", "", endpoints, (), ("10.0.3.0/24",))
    assert pool_keys(backend) == {PoolKey("http", f"10.0.3.{n}", 8000, Tls(), ("10.0.3.0/24",)) for n in (1, 2)}


@pytest.mark.parametrize("heard", ["in time", "too late"])
async def test_a_connection_made_for_somebody_who_just_left_is_closed(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, heard: str
) -> None:
    """Cancelled in the very turn of the loop in which the connection is there: nothing is sent, nothing stays open."""
    original = Connection.connection_made

    def made(self: Connection, transport: asyncio.BaseTransport) -> None:
        original(self, transport)
        if heard == "too late":
            exchange._task = None  # nobody left who could stop it
        exchange.cancel()

    monkeypatch.setattr(Connection, "connection_made", made)
    async with RawServer(answers(answer())) as server:
        exchange, sink = wire.start(wire.target(server.port))
        await wire.until(lambda: server.peers and not wire.general._network.common.connecting)
        await wire.until(lambda: wire.general.open == 0)
        assert wire.general.discarded == (heard == "too late")
        assert not server.peers[0].received
        assert not sink.over.is_set()
