"""The connection to Redis, on real servers: alone, behind sentinels, in a cluster, by TLS, and in trouble."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import AuthenticationError, RedisError

from hybridproxy.config.settings import Redis
from hybridproxy.stores.redis import DEADLINE, NoMasterError, Script, Server
from tests.hybridproxy.stores.fleet import impatient, settings
from tests.hybridproxy.transport.certificates import Authority
from tests.support.patience import LONG, until
from tests.support.redis_groups import ClusterOf, SentinelGroup
from tests.support.redis_monitor import commands
from tests.support.redis_servers import RedisServer
from tests.support.relay import BLACK_HOLE, PARTITION, REFUSED, STALLED, Faults, Relay

ADD = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
KEY = "{hp:test}:number"


@contextlib.asynccontextmanager
async def connected(redis: Redis) -> AsyncIterator[Server]:
    """Give a connection, and close it."""
    server = Server(redis)
    try:
        yield server
    finally:
        await server.close()


async def add(server: Server, number: int = 1) -> Any:
    """Add to the number; return the sum."""
    return await server.call(ADD, KEY, str(number).encode())


async def recovers(server: Server) -> None:
    """Call until it works again. Whatever comes in between is an exception."""
    async with asyncio.timeout(2 * LONG):
        while True:
            try:
                await add(server)
            except (RedisError, OSError):
                await asyncio.sleep(0.1)
            else:
                return


async def test_it_says_nothing_but_the_script(server: RedisServer) -> None:
    """No greeting, ping or name: one command a call. The text goes over once, also after the server forgot it."""
    with commands(server) as monitor:
        async with connected(settings(server.address)) as redis:
            assert [await add(redis, number) for number in (1, 2, 3)] == [1, 3, 6]
            server.ask("SCRIPT", "FLUSH")
            assert await add(redis) == 7
            assert (redis.connects, redis.trips) == (1, 6)
        records = monitor.records()
    (ours,) = {record.client for record in records if record.name == "EVALSHA"}
    said = [record.name for record in records if record.client == ours]
    assert said == ["EVALSHA", "EVAL", "EVALSHA", "EVALSHA", "EVALSHA", "EVAL"]


async def test_it_logs_in_and_takes_its_database(tmp_path: Path) -> None:
    """With user, password and number; a wrong password is an error that does not say it."""
    with RedisServer(tmp_path, user="health", password="canary-secret") as server:
        login = {"username": "health", "password": "canary-secret", "db": 3}
        async with connected(settings(server.address, **login)) as redis:
            assert await add(redis) == 1
        with server.client() as client:
            client.select(3)
            assert client.get(KEY) == b"1"
        async with connected(settings(server.address, **login | {"password": "canary-wrong"})) as redis:
            with pytest.raises(AuthenticationError) as caught:
                await add(redis)
            assert "canary" not in str(caught.value)


@pytest.mark.parametrize("faults", [STALLED, BLACK_HOLE, REFUSED, PARTITION], ids=["stalled", "hole", "refused", "off"])
async def test_no_call_lasts_long_and_one_connection_is_tried(server: RedisServer, faults: Faults) -> None:
    """However the server is gone, a call ends within its time and tries to connect at most once; then all is well."""
    loop = asyncio.get_running_loop()
    async with Relay(*server.address) as relay, connected(settings(("127.0.0.1", relay.port))) as redis:
        assert await add(redis) == 1
        relay.faults = faults
        if faults is REFUSED:
            await relay.reset()
        with impatient():
            for _ in range(2):
                started, connects = loop.time(), redis.connects
                with pytest.raises((RedisError, OSError)):
                    await add(redis)
                assert loop.time() - started < DEADLINE * 10
                assert redis.connects - connects <= 1
        relay.faults = Faults()
        await recovers(redis)


async def test_a_connection_that_was_lost_is_made_anew(own_server: RedisServer) -> None:
    """After a reset, a proper close and a restart of the server the next calls work; nothing is left open."""
    async with Relay(*own_server.address) as relay, connected(settings(("127.0.0.1", relay.port))) as redis:
        for lose in (relay.reset, relay.close, own_server.restart):
            await add(redis)
            done = lose()
            if done is not None:
                await done
            await recovers(redis)
        await until(lambda: len(relay.live) == 1)


async def test_spoiled_bytes_end_in_exceptions_only(server: RedisServer) -> None:
    """Whatever arrives: an answer or an exception within the time of a call, and it works again afterwards."""
    async with Relay(*server.address, seed=7) as relay, connected(settings(("127.0.0.1", relay.port))) as redis:
        relay.faults = Faults.both(flip_rate=0.01)
        outcomes = set()
        with impatient():
            for _ in range(60):
                try:
                    async with asyncio.timeout(DEADLINE * 10):
                        await add(redis)
                        outcomes.add("answer")
                except Exception as error:  # noqa: BLE001 - that is what is tested
                    outcomes.add(type(error).__name__)
        assert len(outcomes) >= 3
        relay.faults = Faults()
        await recovers(redis)


async def test_the_master_is_found_behind_sentinels(tmp_path: Path) -> None:
    """With passwords of both; after a failover the new master, also when the first sentinel is gone."""
    with SentinelGroup(tmp_path, password="secret", sentinel_password="other") as group:
        redis = settings(
            *group.addresses, mode="sentinel", service="main", password="secret", sentinel_password="other"
        )
        async with connected(redis) as server:
            assert await add(server) == 1
            await asyncio.to_thread(group.failover)
            await recovers(server)
            group.sentinels[0].kill()
            await server.close()
            await recovers(server)
            await asyncio.to_thread(group.kill_master)
            await recovers(server)
        async with connected(
            settings(group.addresses[1], mode="sentinel", service="none", sentinel_password="other")
        ) as server:
            with pytest.raises(NoMasterError):
                await add(server)


async def test_a_cluster_leads_to_the_node(tmp_path: Path) -> None:
    """From any node, through each step of a slot's move, without a key in two slots or a call that fails."""
    with ClusterOf(tmp_path, node_timeout=30_000) as cluster:
        for address in cluster.addresses:
            async with connected(settings(address, mode="cluster")) as server:
                await add(server)
                assert server.connects <= 2
        async with connected(settings(*cluster.addresses, mode="cluster")) as server:
            assert await add(server) == 4
            migration = cluster.migration(KEY)
            for number, step in enumerate((migration.begin, migration.move, migration.finish)):
                await asyncio.to_thread(step)
                assert [await add(server), await add(server)] == [5 + 2 * number, 6 + 2 * number]
            assert cluster.owner(KEY) is migration.target
            await asyncio.to_thread(cluster.migrate, KEY, migration.source)
            assert await add(server) == 11


async def test_tls_asks_for_the_right_certificate(tmp_path: Path, authority: Authority) -> None:
    """Of the configured authority and with the configured name; nothing is said to anybody else."""
    good = {"tls": True, "ca": Path(authority.ca), "tls_name": "redis.example"}
    with RedisServer(tmp_path, tls=authority.server("redis.example")) as server:
        address = ("127.0.0.1", server.tls_port)
        async with connected(settings(address, **good)) as redis:
            assert [await add(redis), await add(redis)] == [1, 2]
        for bad in ({"tls_name": None}, {"tls_name": "other.example"}, {"ca": None}):
            async with connected(settings(address, **good | bad)) as redis:
                with pytest.raises(RedisError, match="certificate verify failed"):
                    await add(redis)
        assert server.ask("GET", KEY) == b"2"


def test_a_missing_file_of_authorities_is_told_at_once(tmp_path: Path) -> None:
    """Not at the first call."""
    with pytest.raises(FileNotFoundError):
        Server(settings(("127.0.0.1", 1), tls=True, ca=tmp_path / "none.pem"))
