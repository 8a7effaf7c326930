"""What the tests of the shared store stand on: a relay that spoils connections, and real servers."""

import asyncio
import contextlib
import errno
import os
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.hybridproxy.transport.certificates import Authority
from tests.support.patience import until
from tests.support.redis_groups import ClusterOf, SentinelGroup
from tests.support.redis_monitor import commands
from tests.support.redis_servers import RedisServer
from tests.support.relay import BLACK_HOLE, PARTITION, PIECES, REFUSED, STALLED, Faults, Relay, Way

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]
MOMENT = 0.05  # s, to see that nothing comes


@dataclass
class Echo:
    """A server that sends back what it gets, and goes on until it is closed."""

    port: int = 0
    received: bytearray = field(default_factory=bytearray)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; at its end note how it ended and leave our side open."""
        self.writers.append(writer)
        try:
            while data := await reader.read(65536):
                self.received += data
                writer.write(data)
            self.ends.append("closed")
        except ConnectionResetError:
            self.ends.append("reset")

    async def until_ended(self, count: int = 1) -> None:
        """Wait until so many connections ended."""
        await until(lambda: len(self.ends) >= count)


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    """The server behind the relay."""
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.port = server.sockets[0].getsockname()[1]
    yield echo
    server.close()
    for writer in echo.writers:
        writer.transport.abort()
    await asyncio.sleep(0)


@pytest.fixture
async def relay(echo: Echo) -> AsyncIterator[Relay]:
    """A relay before the server; in the end nothing of it is left."""
    before = asyncio.all_tasks()
    async with Relay("127.0.0.1", echo.port) as relay:
        yield relay
    left = {task.get_name() for task in asyncio.all_tasks() - before if task.get_name().startswith("relay")}
    assert left == set()


@contextlib.asynccontextmanager
async def connected(relay: Relay) -> AsyncIterator[Pair]:
    """A connection through the relay."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def talk(pair: Pair, data: bytes) -> bytes:
    """Send something and wait for as much."""
    pair[1].write(data)
    async with asyncio.timeout(30):
        return await pair[0].readexactly(len(data))


async def silent(pair: Pair, data: bytes) -> bool:
    """Send something and say whether nothing came, not even an end."""
    pair[1].write(data)
    try:
        async with asyncio.timeout(MOMENT):
            await pair[0].read(1)
    except TimeoutError:
        return True
    return False


# ---- the relay -----------------------------------------------------------------------------------------------------


async def test_a_sound_relay_changes_nothing(relay: Relay, echo: Echo) -> None:
    """Bytes pass both ways as they are, ends too; connections and bytes are counted."""
    start = asyncio.get_running_loop().time()
    data = os.urandom(500_000)
    async with connected(relay) as one, connected(relay) as two:
        assert await talk(one, data) == data
        assert await talk(two, b"two") == b"two"
        two[1].write_eof()
        await echo.until_ended()
        assert len(relay.live) == 2
        echo.writers[1].close()
        assert await two[0].read() == b""
    assert relay.passed == {"up": 500_003, "down": 500_003}
    assert len(relay.accepts) == 2
    assert start <= relay.accepts[0] <= relay.accepts[1] <= asyncio.get_running_loop().time()


async def test_a_delay_holds_in_both_directions_and_keeps_the_order(relay: Relay) -> None:
    """With 30 ms each way an answer takes 60 ms, with jitter more; what is sent together does not wait in line."""
    loop = asyncio.get_running_loop()
    async with connected(relay) as pair:
        await talk(pair, b"x")
        relay.faults = Faults.both(delay=0.03, jitter=0.01)
        start = loop.time()
        sent = b"".join(b"%04d" % number for number in range(10))
        for number in range(10):
            pair[1].write(sent[number * 4 : number * 4 + 4])
            await asyncio.sleep(0.002)
        assert await pair[0].readexactly(40) == sent
        assert loop.time() - start >= 0.055
    relay.faults = Faults(down=Way(delay=0.03))
    async with connected(relay) as pair:
        start = loop.time()
        await talk(pair, b"x")
        assert loop.time() - start >= 0.025


async def test_a_stall_holds_everything_and_loses_nothing(relay: Relay, echo: Echo) -> None:
    """Old and new connections are silent while it lasts; afterwards what was sent arrives."""
    async with connected(relay) as old:
        await talk(old, b"before")
        relay.faults = STALLED
        async with connected(relay) as new:
            assert await silent(old, b"old")
            assert await silent(new, b"new")
            assert echo.received == b"before"
            relay.faults = Faults()
            assert await old[0].readexactly(3) == b"old"
            assert await new[0].readexactly(3) == b"new"


async def test_a_stall_of_the_answers_lets_commands_through(relay: Relay, echo: Echo) -> None:
    """With the way down stalled the server has acted, and the client does not know."""
    relay.faults = Faults(down=Way(stall=True))
    async with connected(relay) as pair:
        assert await silent(pair, b"order")
        await until(lambda: echo.received == b"order")


async def test_a_black_hole_swallows_for_good(relay: Relay, echo: Echo) -> None:
    """Who connects is connected and hears nothing; a connection that lost bytes stays dead, a later one is well."""
    async with connected(relay) as old, connected(relay) as spared:
        await talk(old, b"before")
        relay.faults = BLACK_HOLE
        async with connected(relay) as new:
            assert await silent(old, b"lost")
            assert await silent(new, b"lost")
            await until(lambda: relay.links[0].dead)
            relay.faults = Faults()
            assert await silent(old, b"lost")
            assert await silent(new, b"lost")
        assert await talk(spared, b"spared") == b"spared"
        async with connected(relay) as later:
            assert await talk(later, b"later") == b"later"
    assert bytes(echo.received) == b"beforesparedlater"


async def test_a_closed_port_refuses_and_opens_again(relay: Relay) -> None:
    """While it refuses nobody gets in, those inside stay; then the same port serves again."""
    async with connected(relay) as old:
        await talk(old, b"x")
        relay.faults = REFUSED
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", relay.port)
        assert await talk(old, b"old") == b"old"
        relay.faults = Faults()
        async with connected(relay) as new:
            assert await talk(new, b"new") == b"new"


async def test_a_partition_does_not_even_answer_who_connects(relay: Relay) -> None:
    """An attempt to connect gets no answer of any kind, old connections are silent, and it heals."""
    loop = asyncio.get_running_loop()
    async with connected(relay) as old:
        await talk(old, b"x")
        relay.faults = PARTITION
        with socket.socket() as attempt:
            attempt.setblocking(False)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(MOMENT):
                    await loop.sock_connect(attempt, ("127.0.0.1", relay.port))
        assert await silent(old, b"old")
        relay.faults = Faults()
        assert await old[0].readexactly(3) == b"old"
        async with connected(relay) as new:
            assert await talk(new, b"new") == b"new"
    assert len(relay.accepts) == 2


async def test_a_reset_is_seen_on_both_sides(relay: Relay, echo: Echo) -> None:
    """All connections break with a TCP reset at once; new ones are served."""
    async with connected(relay) as one, connected(relay) as two:
        for pair in (one, two):
            await talk(pair, b"x")
        await relay.reset()
        for pair in (one, two):
            with pytest.raises(ConnectionResetError):
                await pair[0].read(1)
        await echo.until_ended(2)
        assert echo.ends == ["reset", "reset"]
        async with connected(relay) as new:
            assert await talk(new, b"new") == b"new"


async def test_a_reset_of_one_side_reaches_the_other(relay: Relay, echo: Echo) -> None:
    """A client that breaks off is a reset for the server as well."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    await talk((reader, writer), b"x")
    inside = writer.get_extra_info("socket")
    inside.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()
    await echo.until_ended()
    assert echo.ends == ["reset"]


async def test_one_direction_can_end_alone(relay: Relay, echo: Echo) -> None:
    """With the way up ended the server sees an end and can still send; with the way down ended it is the client."""
    async with connected(relay) as up:
        await talk(up, b"x")
        relay.half_close("up")
        await echo.until_ended()
        echo.writers[0].write(b"more")
        assert await up[0].readexactly(4) == b"more"
    echo.received.clear()
    async with connected(relay) as down:
        await talk(down, b"x")
        relay.half_close("down")
        assert await down[0].read() == b""
        down[1].write(b"still heard")
        await until(lambda: echo.received.endswith(b"still heard"))


async def test_a_connection_is_cut_after_so_many_bytes(relay: Relay, echo: Echo) -> None:
    """The count begins when the fault is set, or with the connection; then both sides see a proper end."""
    async with connected(relay) as old:
        await talk(old, b"x" * 100)
        relay.faults = Faults(down=Way(cut_after=5))
        old[1].write(b"abcdefgh")
        assert await old[0].read() == b"abcde"
        async with connected(relay) as new:
            new[1].write(b"1234")
            assert await new[0].readexactly(4) == b"1234"
            new[1].write(b"5678")
            assert await new[0].read() == b"5"
    await echo.until_ended(2)
    assert echo.ends == ["closed", "closed"]
    relay.faults = Faults(up=Way(cut_after=3))
    echo.received.clear()
    async with connected(relay) as pair:
        pair[1].write(b"abcdefgh")
        await pair[0].read()
        await echo.until_ended(3)
        assert echo.received == b"abc"


async def test_one_byte_is_flipped(relay: Relay) -> None:
    """One bit of one byte changes, of those after the fault was set; later bytes are well."""
    async with connected(relay) as pair:
        await talk(pair, b"\0" * 10)
        relay.faults = Faults(up=Way(flip_at=3))
        got = await talk(pair, b"\0" * 10)
        assert got[:3] + got[4:] == b"\0" * 9
        assert got[3].bit_count() == 1
        assert await talk(pair, b"\0" * 10) == b"\0" * 10


async def test_bytes_are_flipped_by_chance_and_reproducibly(echo: Echo) -> None:
    """A rate spoils about so many bytes; the seed decides which, however the bytes come in pieces."""

    async def spoiled(seed: int, size: int) -> bytes:
        faults = Faults(down=Way(flip_rate=0.01))
        async with Relay("127.0.0.1", echo.port, faults, seed=seed) as relay, connected(relay) as pair:
            return b"".join([await talk(pair, b"\0" * size) for _ in range(20_000 // size)])

    whole = await spoiled(1, 20_000)
    assert 100 < sum(byte > 0 for byte in whole) < 300
    assert whole == await spoiled(1, 2_000)
    assert whole != await spoiled(2, 20_000)


async def test_what_waits_is_bounded(relay: Relay, echo: Echo) -> None:
    """A sender cannot fill the memory while nothing passes: the relay stops reading."""
    relay.faults = Faults(up=Way(stall=True))
    async with connected(relay) as pair:
        pair[1].write(b"x" * 30_000_000)
        await until(lambda: relay.links and relay.links[0].up._waiting.qsize() == PIECES)
        await asyncio.sleep(MOMENT)
        assert relay.links[0].up._waiting.qsize() == PIECES
        assert pair[1].transport.get_write_buffer_size() > 10_000_000
        relay.faults = Faults()
        await pair[0].readexactly(30_000_000)


async def test_a_server_that_is_not_there_breaks_the_connection(echo: Echo) -> None:
    """The relay accepts before it knows; the client learns of it by a reset."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        async with Relay("127.0.0.1", nobody.getsockname()[1]) as relay, connected(relay) as pair:
            with pytest.raises(ConnectionResetError):
                await pair[0].read(1)


async def test_a_real_client_through_the_relay(tmp_path: Path) -> None:
    """A client with short timeouts and no retries fails in time when the server's answers stall, then works again."""
    with RedisServer(tmp_path) as server:
        async with Relay(server.host, server.port) as relay:
            retry = redis.asyncio.retry.Retry(NoBackoff(), 0)
            async with redis.asyncio.Redis(port=relay.port, socket_timeout=3.0, retry=retry) as client:
                assert await client.incr("calls") == 1
                relay.faults = Faults(down=Way(stall=True))
                with pytest.raises(redis.TimeoutError):
                    await client.incr("calls")
                relay.faults = Faults()
                assert await client.incr("calls") == 3


# ---- one server ----------------------------------------------------------------------------------------------------


def test_a_server_starts_and_ends_as_told(tmp_path: Path) -> None:
    """Each start is a new process on the same port that knows nothing of before; a killed one refuses."""
    with RedisServer(tmp_path) as server, server.client() as client:
        first = server.pid
        client.set("key", "value")
        assert client.get("key") == b"value"
        server.restart()
        assert server.pid != first
        assert client.get("key") is None
        server.kill()
        assert not server.running
        with pytest.raises(redis.ConnectionError, match=str(errno.ECONNREFUSED)):
            client.ping()
        server.start()
        assert client.ping()
        pid = server.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert [path for path in tmp_path.rglob("*") if path.suffix in {".rdb", ".aof"}] == []


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A setting the server does not know fails at once, with what the server wrote."""
    with pytest.raises(RuntimeError, match="ended at once"), RedisServer(tmp_path, options={"no-such-setting": "1"}):
        pass


def test_a_paused_server_is_silent(tmp_path: Path) -> None:
    """It keeps its connections, lets others in, and answers nobody until it goes on."""
    with RedisServer(tmp_path) as server, server.client() as old, server.client(timeout=0.1) as new:
        old.set("key", "value")
        server.pause()
        assert not server.serving
        with pytest.raises(redis.TimeoutError):
            new.ping()
        server.resume()
        assert old.get("key") == b"value"
        server.pause()
        server.stop()
        assert not server.running


def test_a_server_can_want_a_password_or_a_user(tmp_path: Path) -> None:
    """Without the right login nothing is done; the server's own client has it."""
    for user in ("", "gateway"):
        with RedisServer(tmp_path, user=user, password="secret") as server:
            with server.client() as client:
                assert client.ping()
            with (
                redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0)) as stranger,
                pytest.raises(redis.AuthenticationError),
            ):
                stranger.ping()
            with redis.Redis.from_url(server.url) as client:
                assert client.acl_whoami() == (user or "default")


def test_a_server_behind_tls(tmp_path: Path) -> None:
    """A client that trusts the authority is served, another one refuses; the port goes down with the server."""

    def client(ca: str) -> redis.Redis:
        retry = Retry(NoBackoff(), 0)
        return redis.Redis("localhost", server.tls_port, ssl=True, ssl_ca_certs=ca, socket_timeout=5, retry=retry)

    (tmp_path / "other").mkdir()
    ours, other = Authority(tmp_path, "ours"), Authority(tmp_path / "other", "other")
    with RedisServer(tmp_path, tls=ours.server("localhost")) as server:
        with client(ours.ca) as trusting:
            data = os.urandom(1_000_000)
            trusting.set("key", data)
            assert trusting.get("key") == data
            server.kill()
            with pytest.raises(redis.ConnectionError):
                trusting.ping()
            server.start()
            assert trusting.ping()
        with client(other.ca) as strict, pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            strict.ping()


def test_the_commands_of_a_server_are_seen(tmp_path: Path) -> None:
    """Every command until now is there with its client and moment, byte for byte, and what a script did as well."""
    start = time.time()
    with RedisServer(tmp_path, password="secret") as server, server.client() as client:
        client.ping()
        with commands(server) as monitor:
            client.set("a key", b'\x00\xff\n"\\')
            client.eval("return redis.call('get', KEYS[1])", 1, "a key")
            first, second, third = monitor.records()
            assert first.args == (b"SET", b"a key", b'\x00\xff\n"\\')
            assert (second.name, second.client) == ("EVAL", first.client)
            assert (third.name, third.client, third.args) == ("GET", "lua", (b"get", b"a key"))
            assert start - 1 < first.at <= second.at <= third.at < time.time() + 1
            client.get("more")
            assert len(monitor.until(lambda seen: len(seen) == 4)) == 4
            assert [record.args[1] for record in monitor.named("GET")] == [b"a key", b"more"]


# ---- many servers --------------------------------------------------------------------------------------------------


def test_sentinels_replace_a_master(tmp_path: Path) -> None:
    """A killed master is replaced by its replica, which is writable; it can come back, and change on demand."""
    with SentinelGroup(tmp_path, password="secret", sentinel_password="guard") as group:
        first, second = group.servers
        assert group.master() is first
        with first.client() as client:
            client.set("key", "value")
            client.wait(1, 4000)
        assert group.kill_master() is second
        with second.client() as client:
            assert client.get("key") == b"value"
            client.set("key", "more")
        finder = redis.Sentinel(  # type: ignore[no-untyped-call] # has no types
            group.addresses, sentinel_kwargs={"password": "guard", "socket_timeout": 1}
        )
        assert finder.discover_master(group.name) == second.address  # type: ignore[no-untyped-call] # as above
        group.rejoin(first)
        assert group.replicas() == [first]
        assert group.failover() is first
        with first.client() as client:
            assert client.get("key") == b"more"
            client.set("key", "last")
        for sentinel in finder.sentinels:
            sentinel.close()


def test_a_cluster_keeps_a_key_while_its_slot_moves(tmp_path: Path) -> None:
    """Three masters share the slots; a key can be read before, during and after the move of its slot."""
    with ClusterOf(tmp_path, 3, password="secret") as cluster, cluster.client() as client:
        keys = [f"key{number}" for number in range(30)]
        for key in keys:
            client.set(key, key)
        assert {cluster.owner(key).port for key in keys} == {node.port for node in cluster.nodes}
        source = cluster.owner("{a}1")
        client.set("{a}1", "one")
        migration = cluster.migration("{a}1")
        migration.begin()
        client.set("{a}2", "two")
        with migration.source.client() as direct:
            assert direct.get("{a}1") == b"one"
            with pytest.raises(redis.exceptions.AskError):
                direct.get("{a}2")
        migration.move()
        assert (client.get("{a}1"), client.get("{a}2")) == (b"one", b"two")
        migration.finish()
        assert cluster.owner("{a}1") is migration.target
        with source.client() as direct, pytest.raises(redis.exceptions.MovedError):
            direct.get("{a}1")
        assert (client.get("{a}1"), client.get("{a}2")) == (b"one", b"two")
        assert cluster.migrate("{a}1", source) is source
        assert client.get("{a}1") == b"one"
        cluster.wait()


def test_a_cluster_with_replicas_outlives_a_master(tmp_path: Path) -> None:
    """Of six nodes one master is killed: its replica takes the slots, and the cluster is whole again."""
    with ClusterOf(tmp_path, 3, replicas=1) as cluster:
        before = cluster.owner("key")
        with before.client() as client:
            client.set("key", "value")
            client.wait(1, 4000)
        before.kill()
        cluster.wait()
        after = cluster.owner("key")
        assert after in cluster.nodes[3:]
        with cluster.client() as client:
            assert client.get("key") == b"value"
            client.set("key", "more")
