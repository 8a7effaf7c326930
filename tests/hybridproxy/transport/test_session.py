import asyncio
import contextlib
import dataclasses
import itertools
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hybridproxy.model.backend import Credential, Timeouts, Tls
from hybridproxy.model.fault import FaultKind
from hybridproxy.stores.audit import Audit
from hybridproxy.stores.segments import Segments
from hybridproxy.stores.signing import make_key
from hybridproxy.transport import resolver, session
from hybridproxy.transport.pool import pool_keys
from hybridproxy.transport.session import GeneralSession, SovereignSession
from hybridproxy.transport.sweep import Sweep
from hybridproxy.transport.upstream import Connection, Exchange, UpstreamRequest
from tests.hybridproxy.transport.certificates import Authority
from tests.hybridproxy.transport.wire import Recorder, Wire
from tests.support.audits import records
from tests.support.name_server import AAAA, A, name_server
from tests.support.places import Place
from tests.support.raw_server import CHUNKED, Peer, RawServer, answer, chunk

REQUEST = UpstreamRequest("/chat/completions", b"{}", stream=False)


async def serves(peer: Peer) -> None:
    """A script: answer every request until the client leaves."""
    while True:
        try:
            await peer.request()
        except ConnectionError:
            return
        await peer.send(answer())


async def stalls(peer: Peer) -> None:
    """A script: take the connection and say nothing."""
    await peer.gone()


# ---- where a connection may go ----


async def test_a_sovereign_call_reaches_its_address(wire: Wire) -> None:
    """An IP literal inside allow_cidrs is connected to, and the connection is used again."""
    async with RawServer(serves) as server:
        for _ in range(2):
            sink = Recorder()
            wire.sovereign.start(wire.sovereign_target(server.port), REQUEST, sink)
            assert (await sink.finish()).ended
        assert (wire.sovereign.opened, wire.sovereign.reused, wire.sovereign.open) == (1, 1, 1)
        assert wire.general.open == 0


@pytest.mark.parametrize(
    ("host", "cidrs"),
    [
        ("127.0.0.1", ("10.0.0.0/8",)),
        ("127.0.0.1", ("127.0.0.0/32", "fd00::/8")),
        ("127.0.0.1", ()),
        ("localhost", ("127.0.0.0/8", "::1/128")),
        ("64:ff9b::7f00:1", ("64:ff9b::/96",)),
        ("0.0.0.0", ("0.0.0.0/0",)),
        ("::ffff:127.0.0.1", ("::/0",)),
        ("0177.0.0.1", ("127.0.0.0/8",)),
    ],
)
async def test_a_sovereign_call_goes_nowhere_else(wire: Wire, host: str, cidrs: tuple[str, ...]) -> None:
    """Outside, without networks, or by a name, whatever that leads to: refused before any connection."""
    async with RawServer(serves) as server:
        sink = Recorder()
        wire.sovereign.start(wire.sovereign_target(server.port, host=host, cidrs=cidrs), REQUEST, sink)
        fault = await sink.failure()
        assert (fault.kind, fault.backend, fault.billed) == (FaultKind.EGRESS_REFUSED, "vpc", False)
        assert host not in fault.detail
        assert server.peers == []
        assert wire.sovereign.opened == 0


async def test_a_name_in_the_vpc_is_asked_of_its_own_name_server_only(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's resolver is never asked, and what the own one says is judged like any address."""

    def system(*_args: object, **_more: object) -> list[Any]:
        raise AssertionError("the system was asked")

    monkeypatch.setattr(socket, "getaddrinfo", system)
    monkeypatch.setattr(resolver, "PATIENCE", 30.0)
    monkeypatch.setattr(resolver, "LONGEST", 60.0)
    async with RawServer(serves) as server, name_server(("vllm.internal", A, 300, "127.0.0.1")) as names:
        target = wire.sovereign_target(server.port, host="vllm.internal", resolver=(names.address,))
        for _ in range(2):
            sink = Recorder()
            wire.sovereign.start(target, REQUEST, sink)
            assert (await sink.finish()).ended
        assert sorted(names.asked) == [("vllm.internal", A), ("vllm.internal", AAAA)]
        assert (
            await wire.general.check(
                wire.target(server.port, host="vllm.internal", cidrs=("127.0.0.0/8",), resolver=(names.address,))
            )
            is None
        )
        names.records = [("vllm.internal", A, 9, "127.1.0.1")]
        wire.sovereign.retain(())
        sink = Recorder()
        narrow = wire.sovereign_target(
            server.port, host="vllm.internal", resolver=(names.address,), cidrs=("127.0.0.0/16",)
        )
        wire.sovereign.start(narrow, REQUEST, sink)
        assert (await sink.failure()).kind is FaultKind.EGRESS_REFUSED
        assert wire.refused == [("vpc", "none of its addresses is inside allow_cidrs")]
        names.flags = 0x8183
        wire.sovereign.retain(())
        sink = Recorder()
        wire.sovereign.start(target, REQUEST, sink)
        fault = await sink.failure()
        assert (fault.kind, "could not be resolved" in fault.detail) == (FaultKind.CONNECT, True)


async def test_a_session_is_safe_even_with_the_others_target(wire: Wire) -> None:
    """The type checker refuses the mix-up; would it happen all the same, no door opens that should be shut."""
    async with RawServer(serves) as server:
        sink = Recorder()
        wire.sovereign.start(wire.target(server.port), REQUEST, sink)  # type: ignore[arg-type]
        assert (await sink.failure()).kind is FaultKind.EGRESS_REFUSED
        sink = Recorder()
        outside = wire.sovereign_target(server.port, cidrs=("10.0.0.0/8",))
        wire.general.start(outside, REQUEST, sink)  # type: ignore[arg-type]
        assert (await sink.failure()).kind is FaultKind.EGRESS_REFUSED
        assert server.peers == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_an_ordinary_backend_with_networks_stays_inside_them(wire: Wire, host: str) -> None:
    """What a name leads to is judged like an address, before anything is connected to."""
    async with RawServer(serves) as server:
        fault = await wire.start(wire.target(server.port, host=host, cidrs=("10.0.0.0/8",)))[1].failure()
        assert fault.kind is FaultKind.EGRESS_REFUSED
        assert server.peers == []
        sink = await wire.call(wire.target(server.port, host=host, cidrs=("127.0.0.0/8",)))
        assert sink.ended


async def test_a_network_that_is_none_stops_the_backend(wire: Wire) -> None:
    """A mistake in allow_cidrs never means: no restriction."""
    fault = await wire.start(wire.target(1, cidrs=("10.0.0.0/99",)))[1].failure()
    assert (fault.kind, "allow_cidrs" in fault.detail) == (FaultKind.INTERNAL, True)


# ---- connecting that fails ----


async def test_nothing_listens(wire: Wire) -> None:
    """A refused connection is a connect fault, told to the sink."""
    with contextlib.closing(Place()) as place:
        fault = await wire.start(wire.target(place.port))[1].failure()
    assert (fault.kind, fault.backend, fault.billed) == (FaultKind.CONNECT, "up", False)
    assert "127" not in fault.detail
    assert len(wire.sweep) == 0


@pytest.mark.parametrize("way", ["speaks", "closes"])
async def test_an_upstream_that_does_not_wait_for_the_request(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """It speaks or closes before it was asked: nothing is sent to it, so nothing can be charged."""
    original = Connection.connection_made

    def made(self: Connection, transport: asyncio.BaseTransport) -> None:
        original(self, transport)
        if way == "speaks":
            self.data_received(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        else:
            self.transport.close()

    monkeypatch.setattr(Connection, "connection_made", made)
    async with RawServer(stalls) as server:
        fault = await wire.start(wire.target(server.port))[1].failure()
        assert (fault.kind, fault.billed) == (FaultKind.CONNECT, False)
        assert "before it was asked" in fault.detail
        await server.peers[0].gone()
        assert not server.peers[0].received


async def test_a_name_that_does_not_exist(wire: Wire) -> None:
    """A name that no resolver takes is a connect fault without the name."""
    fault = await wire.start(wire.target(1, host="a" * 64 + ".invalid"))[1].failure()
    assert fault.kind is FaultKind.CONNECT
    assert "invalid" not in fault.detail


async def test_connecting_that_takes_too_long(wire: Wire, authority: Authority) -> None:
    """One clock for name, TCP and TLS: a server that takes the connection and never shakes hands is late."""
    async with RawServer(stalls) as server:
        target = wire.target(server.port, scheme="https", tls=Tls(authority.ca), timeouts=Timeouts(connect=60))
        _, sink = wire.start(target)
        await wire.until(lambda: server.peers and server.peers[0].received)
        wire.late(30)
        assert not sink.over.is_set()
        wire.late(61)
        fault = await sink.failure()
        assert (fault.kind, fault.billed) == (FaultKind.TIMEOUT_CONNECT, False)
        assert "60 s" in fault.detail
        await server.peers[0].gone()


async def test_a_name_server_that_is_silent(wire: Wire) -> None:
    """Looking the name up counts for the same clock."""

    async def silent(*_: object) -> list[Any]:
        await asyncio.Event().wait()
        return []

    wire.general._network.common.locate = silent
    _, sink = wire.start(wire.target(1, host="api.example.com"))
    await asyncio.sleep(0)
    wire.late(3.1)
    assert (await sink.failure()).kind is FaultKind.TIMEOUT_CONNECT


async def test_a_bug_while_connecting_is_reported(wire: Wire) -> None:
    """It ends the exchange as an internal error, and the loop gets the exception."""
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))

    async def broken(*_: object) -> list[Any]:
        raise ZeroDivisionError

    wire.general._network.common.locate = broken
    fault = await wire.start(wire.target(1))[1].failure()
    assert fault.kind is FaultKind.INTERNAL
    await wire.until(lambda: reported)
    assert isinstance(reported[0], ZeroDivisionError)


async def test_a_machine_without_sockets_is_not_the_upstreams_fault(wire: Wire) -> None:
    """No file descriptor left: internal, and no exception for anybody to trip over."""

    async def nothing_left(*_: object) -> list[Any]:
        raise OSError(24, "Too many open files")

    wire.general._network.common.locate = nothing_left
    fault = await wire.start(wire.target(1))[1].failure()
    assert (fault.kind, "file descriptor" in fault.detail) == (FaultKind.INTERNAL, True)


# ---- TLS ----


def secure(wire: Wire, server: RawServer, ca: str | None, name: str | None = "vllm.internal") -> Any:
    """A target behind TLS."""
    return wire.target(server.port, scheme="https", tls=Tls(ca, name))


async def test_a_good_certificate(wire: Wire, authority: Authority) -> None:
    """The name in tls.name is checked instead of the address, HTTP/1.1 is agreed on, and large bodies pass."""
    async with RawServer(serves, authority.server("vllm.internal")) as server:
        target = secure(wire, server, authority.ca)
        for size in (10, 3_000_000, 10):
            assert (await wire.call(target, body=b"x" * size)).ended
        assert (len(server.peers), wire.general.reused) == (1, 2)
        assert server.peers[0].transport.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


async def test_the_hosts_own_name_counts_when_no_other_is_given(wire: Wire, authority: Authority) -> None:
    """Without tls.name the certificate must be for the endpoint's host."""
    async with RawServer(serves, authority.server("localhost")) as server:
        target = wire.target(server.port, host="localhost", scheme="https", tls=Tls(authority.ca))
        assert (await wire.call(target)).ended


@pytest.mark.parametrize(
    ("case", "words"),
    [("another CA", "CA"), ("the system's roots", "CA"), ("another name", "tls.name"), ("expired", "expired")],
)
async def test_a_bad_certificate(wire: Wire, authority: Authority, stranger: Authority, case: str, words: str) -> None:
    """Each reason has its own words, so that the operator knows what to correct; no request is sent."""
    context = authority.server(
        "other.internal" if case == "another name" else "vllm.internal", days=-1 if case == "expired" else 5
    )
    ca = {"another CA": stranger.ca, "the system's roots": None}.get(case, authority.ca)
    async with RawServer(serves, context) as server:
        fault = await wire.start(secure(wire, server, ca))[1].failure()
        assert (fault.kind, fault.backend, fault.billed) == (FaultKind.TLS, "up", False)
        assert words in fault.detail
        assert not any(peer.received for peer in server.peers)


async def test_an_impostor_in_the_vpc_is_told_of(wire: Wire, authority: Authority, stranger: Authority) -> None:
    """A certificate of another authority: a fault, no request, and whoever listens hears the backend and why."""
    async with RawServer(serves, stranger.server("vllm.internal")) as server:
        tls = Tls(authority.ca, "vllm.internal")
        target = wire.sovereign_target(server.port, scheme="https", tls=tls)
        sink = Recorder()
        wire.sovereign.start(target, REQUEST, sink)
        assert (await sink.failure()).kind is FaultKind.TLS
        assert (await wire.sovereign.check(target)) is not None
        assert [backend for backend, _ in wire.refused] == ["vpc", "vpc"]
        assert "CA" in wire.refused[0][1]
        assert "127." not in wire.refused[0][1]
        assert not any(peer.received for peer in server.peers)


async def test_a_server_may_ask_who_we_are(wire: Wire, authority: Authority) -> None:
    """With a certificate of ours the call goes through; each set of files is a context of its own."""
    cert, key = map(str, authority.client("hybridproxy"))
    async with RawServer(serves, authority.asking("vllm.internal")) as server:
        tls = Tls(authority.ca, "vllm.internal", cert, key)
        sink = Recorder()
        wire.sovereign.start(wire.sovereign_target(server.port, scheme="https", tls=tls), REQUEST, sink)
        assert (await sink.finish()).ended
        without = wire.sovereign_target(server.port, scheme="https", tls=Tls(authority.ca, "vllm.internal"))
        sink = Recorder()
        wire.sovereign.start(without, REQUEST, sink)
        await sink.failure()


async def test_an_address_is_not_a_name(wire: Wire, authority: Authority) -> None:
    """A certificate for a name does not cover the address that the name happens to have."""
    async with RawServer(serves, authority.server("vllm.internal")) as server:
        fault = await wire.start(secure(wire, server, authority.ca, None))[1].failure()
        assert (fault.kind, "tls.name" in fault.detail) == (FaultKind.TLS, True)


async def test_a_server_that_speaks_no_tls(wire: Wire, authority: Authority) -> None:
    """Plain HTTP on the port is named as the reason."""

    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.gone()

    async with RawServer(script) as server:
        fault = await wire.start(secure(wire, server, authority.ca))[1].failure()
        assert (fault.kind, "does not speak TLS" in fault.detail) == (FaultKind.TLS, True)


async def test_a_ca_file_that_is_missing(wire: Wire, tmp_path: Path) -> None:
    """It is found before anything is connected to, and its path stays with the operator."""
    async with RawServer(serves) as server:
        target = secure(wire, server, str(tmp_path / "missing.pem"))
        found = await wire.general.check(target)
        fault = await wire.start(target)[1].failure()
        assert found == dataclasses.replace(fault, backend="")
        assert (fault.kind, "tls.ca" in fault.detail) == (FaultKind.TLS, True)
        assert str(tmp_path) not in fault.detail
        assert server.peers == []


@pytest.mark.parametrize(("way", "whole"), [("close", True), ("cut_off", False), ("reset", False)])
async def test_only_tls_own_goodbye_ends_a_body_without_length(
    wire: Wire, authority: Authority, way: str, whole: bool
) -> None:
    """Anyone on the way can end TCP; only the upstream can end TLS. The first is a cut."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nall of it?")
        await seen.wait()
        getattr(peer, way)()

    seen = asyncio.Event()
    async with RawServer(script, authority.server("vllm.internal")) as server:
        sink = Recorder()
        sink.on_body = seen.set
        await wire.call(secure(wire, server, authority.ca), sink=sink)
        assert sink.ended == whole
        if sink.fault is not None:
            assert sink.fault.kind is FaultKind.CUT


async def test_a_stream_over_tls_can_be_paused_and_cancelled(wire: Wire, authority: Authority) -> None:
    """Back-pressure and leaving work as without TLS."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        peer.transport.write(chunk(b"x" * 20_000_000))
        await peer.gone()

    async with RawServer(script, authority.server("vllm.internal")) as server:
        exchange, sink = wire.start(secure(wire, server, authority.ca), stream=True)
        sink.on_body = exchange.pause
        await wire.until(lambda: sink.blocks)
        for _ in range(30):
            await asyncio.sleep(0.001)
        held = len(sink.text)
        assert held < 10_000_000
        exchange.resume()
        await wire.until(lambda: len(sink.text) > held)
        exchange.cancel()
        await server.peers[0].gone()


# ---- the end, and the new configuration ----


async def test_closing_ends_everything(wire: Wire) -> None:
    """What is under way fails with a word about why, idle connections go, and nothing can be started any more."""
    async with RawServer(serves) as idle, RawServer(stalls) as busy:
        await wire.call(wire.target(idle.port))
        _, waiting = wire.start(wire.target(busy.port))
        await wire.until(lambda: busy.peers and busy.peers[0].received)
        _, connecting = wire.start(wire.target(busy.port))
        await wire.general.close()
        assert wire.general.open == 0
        _, late = wire.start(wire.target(idle.port))
        for sink in (waiting, connecting, late):
            fault = await sink.failure()
            assert (fault.kind, "shutting down" in fault.detail) == (FaultKind.INTERNAL, True)
        assert len(idle.peers) == 1
        await wire.general.close()


async def test_a_new_configuration_closes_what_it_does_not_need(wire: Wire) -> None:
    """Connections of backends that are gone are closed at once when idle, else after their exchange; others stay."""
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        for _ in range(2):
            await peer.request()
            if peer.number == 1:
                await go.wait()
            await peer.send(answer())
        await peer.gone()

    async with RawServer(script) as leaving, RawServer(serves) as staying:
        gone, kept = wire.target(leaving.port), wire.target(staying.port)
        await wire.call(gone)
        await wire.call(kept)
        _, first = wire.start(gone)
        _, second = wire.start(gone)
        await first.finish()
        await wire.until(lambda: len(leaving.peers) == 2)
        wire.general.retain(pool_keys(kept.backend))
        await leaving.peers[0].gone()
        go.set()
        assert (await second.finish()).ended
        await leaving.peers[1].gone()
        exchange, sink = wire.start(kept)
        assert exchange.reused
        await sink.finish()


async def test_a_new_configuration_reads_ca_files_anew(
    wire: Wire, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    """A CA file that was exchanged counts from then on, without a restart."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(Path(stranger.ca).read_bytes())
    async with RawServer(serves, authority.server("vllm.internal")) as server:
        target = secure(wire, server, str(ca))
        assert (await wire.start(target)[1].failure()).kind is FaultKind.TLS
        ca.write_bytes(Path(authority.ca).read_bytes())
        assert (await wire.start(target)[1].failure()).kind is FaultKind.TLS
        wire.general.retain(pool_keys(target.backend))
        assert (await wire.call(target)).ended


async def test_a_connection_made_by_a_file_that_was_exchanged_is_not_used_again(
    wire: Wire, authority: Authority, tmp_path: Path
) -> None:
    """Whoever takes an authority out of service wants it out: what it vouched for may not live on."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(Path(authority.ca).read_bytes())
    async with RawServer(serves, authority.server("vllm.internal")) as server:
        target = secure(wire, server, str(ca))
        assert (await wire.call(target)).ended
        wire.general.retain(pool_keys(target.backend))
        await server.peers[0].gone()
        assert (await wire.call(target)).ended
        assert len(server.peers) == 2


async def test_many_credentials_are_no_leak(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepared heads are bounded in number; requests go on as before."""
    monkeypatch.setattr(session, "MAX_LANES", 3)
    async with RawServer(serves) as server:
        for n in range(10):
            assert (await wire.call(wire.target(server.port, key=Credential(f"c{n}", f"sk-{n}")))).ended
            assert len(wire.general._network._lanes) <= 3
        assert len(server.peers) == 1


async def test_nagle_is_off(wire: Wire) -> None:
    """Small writes go out at once, with and without a race between addresses."""
    async with RawServer(serves) as server:
        for host in ("127.0.0.1", "localhost"):
            await wire.call(wire.target(server.port, host=host))
        for connection in wire.general._network.common.connections:
            sock = connection.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# ---- the audit log ----


class Recorded:
    """A session, and its audit log."""

    def __init__(self, session: SovereignSession, audit: Audit, folder: Path) -> None:
        self.session = session
        self.audit = audit
        self.folder = folder

    def start(self, target: Any) -> tuple[Exchange, Recorder]:
        """Send a request."""
        sink = Recorder()
        return self.session.start(target, REQUEST, sink), sink

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The records of a kind."""
        return records(self.folder, kind)

    async def written(self, wire: Wire, count: int) -> None:
        """Wait for so many records of requests."""
        await wire.until(lambda: len([r for r in records(self.folder) if "id" in r]) >= count)


@pytest.fixture
async def recorded(wire: Wire, tmp_path: Path) -> AsyncIterator[Recorded]:
    """A way into the VPC that is recorded."""
    ids = itertools.count()
    audit = Audit(
        Segments(tmp_path / "audit"), make_key(tmp_path / "key.pem"), "policy", wall=lambda: 1_790_000_000.0,
        new_id=lambda: f"{next(ids):016x}", log=lambda *_, **__: None,
    )  # fmt: skip
    audit.start()
    session = SovereignSession(wire.sweep, audit=audit)
    yield Recorded(session, audit, tmp_path / "audit")
    await session.close()
    await audit.close()
    await wire.until(lambda: not any(thread.name == "audit" for thread in threading.enumerate()))


async def test_nothing_is_sent_before_it_is_recorded(wire: Wire, recorded: Recorded) -> None:
    """Fresh or reused; what was sent and received is counted, heads too."""
    async with RawServer(serves) as server:
        target = wire.sovereign_target(server.port)
        for number in range(2):
            await recorded.start(target)[1].finish()
            assert recorded.session.reused == number
        await recorded.written(wire, 4)
        intents, outcomes = recorded.of("intent"), recorded.of("outcome")
    assert [(i["peer"], i["reused"], i["endpoint"]) for i in intents] == [
        ("127.0.0.1", reused, f"http://127.0.0.1:{server.port}") for reused in (False, True)
    ]
    assert [(o["received"], o["status"]) for o in outcomes] == [(len(answer()), 200)] * 2
    assert outcomes[0]["sent"] == outcomes[1]["sent"] > len(REQUEST.body)


async def test_who_leaves_at_once_has_sent_nothing(wire: Wire, recorded: Recorded) -> None:
    """Before the record was even on its way; the connection waits for the next request."""
    async with RawServer(serves) as server:
        target = wire.sovereign_target(server.port)
        await recorded.start(target)[1].finish()
        exchange, _ = recorded.start(target)
        exchange.cancel()
        await recorded.written(wire, 4)
        assert (recorded.of("outcome")[-1]["fault"], recorded.of("outcome")[-1]["sent"]) == ("cancelled", 0)
        await recorded.start(target)[1].finish()
        assert (len(server.peers), recorded.session.reused) == (1, 2)


async def test_a_session_that_closes_while_a_record_is_waited_for_leaves_nothing(
    wire: Wire, recorded: Recorded
) -> None:
    """The request ends with a fault; nothing of it was sent."""
    async with RawServer(stalls) as server:
        target = wire.sovereign_target(server.port)
        await wire.until(lambda: recorded.audit._batch is None and not recorded.audit._queue)
        go = threading.Event()
        write = recorded.audit._segments.write
        recorded.audit._segments.write = lambda *a, **k: go.wait(30) and write(*a, **k)  # type: ignore[method-assign]
        _, sink = recorded.start(target)
        await wire.until(lambda: recorded.audit._batch is not None and recorded.audit._batch.entries)
        closing = asyncio.create_task(recorded.session.close())
        await asyncio.sleep(0)
        go.set()
        await closing
        assert (await sink.failure()).kind is FaultKind.INTERNAL
        assert server.peers[0].received == b""


async def test_a_request_that_cannot_be_made_is_recorded_as_one_that_went_nowhere(
    wire: Wire, recorded: Recorded
) -> None:
    """It has no connection."""
    target = wire.sovereign_target(1, cidrs=("nonsense",))
    _, sink = recorded.start(target)
    await sink.failure()
    await recorded.written(wire, 1)
    assert recorded.of("unreached")[0]["fault"] == "internal"


async def test_what_has_no_body_carries_nothing_and_is_not_recorded(wire: Wire, recorded: Recorded) -> None:
    """An engine's metrics: asked for each second, whatever the disk does."""
    async with RawServer(serves) as server:
        sink = Recorder()
        request = UpstreamRequest("/metrics", b"", stream=False, method="GET")
        recorded.session.start(wire.sovereign_target(server.port), request, sink)
        assert (await sink.finish()).status == 200
        assert [r for r in records(recorded.folder) if "id" in r] == []


async def test_a_request_is_signed_with_its_body_and_its_time() -> None:
    """Each anew, and the secret is not in it; a key that cannot sign is told from the loop."""
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            try:
                heads.append((await peer.request()).partition(b"\r\n\r\n")[0])
            except ConnectionError:
                return
            await peer.send(answer())

    times = itertools.count(1795420800)
    general = GeneralSession(Sweep(interval=3600), wall=lambda: next(times))
    target = Wire().target(0, key=Credential("b", "AKIA1:sEcReT", signs=("bedrock", "us-east-1")))
    async with RawServer(script) as server:
        endpoint = dataclasses.replace(target.endpoint, port=server.port)
        target = dataclasses.replace(target, endpoint=endpoint)
        for body in (b"{}", b"[]"):
            sink = Recorder()
            general.start(target, UpstreamRequest("/chat/completions", body, stream=False), sink)
            assert (await sink.finish()).ended
        await general.close()
    found = [head.decode() for head in heads]
    assert ["x-amz-date: 20261123T08000" in head for head in found] == [True, True]
    assert len({head.partition("Signature=")[2][:64] for head in found}) == 2
    assert not any("sEcReT" in head for head in found)
    bad = dataclasses.replace(target, credential=Credential("b", "one", signs=("bedrock", "us-east-1")))
    sink = Recorder()
    general.start(bad, REQUEST, sink)
    fault = (await sink.finish()).fault
    assert fault is not None
    assert (fault.kind, "cannot sign" in fault.detail) == (FaultKind.INTERNAL, True)
