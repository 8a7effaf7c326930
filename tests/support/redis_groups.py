"""Real Valkey servers that work together: a group watched by sentinels, and a cluster.

    with SentinelGroup(tmp_path) as group:
        group.kill_master()  # returns the next one, writable

Nothing is written to the disk but a cluster's and a sentinel's own notes, so a restart forgets all keys.
"""

import contextlib
import functools
import re
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from redis.cluster import ClusterNode, RedisCluster

from tests.support.places import HOST
from tests.support.redis_servers import RedisServer, until

SLOTS = 16384


class Sentinel(RedisServer):
    """One sentinel; the settings come from its group."""

    # Milliseconds, much less than the 10 s after which a sentinel looks who follows whom. They fit each other: a ping
    # has to be answered within `down_after`; a replica that told nothing of itself for five pings is not eligible, and
    # it tells once a second during a failover; one that is a master for four publish periods is made a replica again.
    # One that was not let run for two seconds would do nothing for the next thirty (TILT): machines of tests are busy.
    PERIODS = (
        ("INFO-PERIOD", 200), ("PING-PERIOD", 300), ("ASK-PERIOD", 100), ("PUBLISH-PERIOD", 500),
        ("TILT-TRIGGER", 60_000), ("TILT-PERIOD", 1000),
    )  # fmt: skip

    def start(self) -> None:
        """Start it and make it look often."""
        super().start()
        self.ask("SENTINEL", "DEBUG", *(word for period in self.PERIODS for word in period))

    def arguments(self) -> list[str]:
        """Return the command line."""
        return [*super().arguments(), "--sentinel"]


class SentinelGroup:
    """A master, its replicas and three sentinels of which two must agree."""

    def __init__(
        self,
        folder: Path,
        *,
        replicas: int = 1,
        password: str = "",
        sentinel_password: str = "",
        down_after: int = 2500,
        name: str = "main",
    ) -> None:
        self.name = name
        self._stack = contextlib.ExitStack()
        first = RedisServer(folder, password=password, options={"masterauth": password or '""'})
        options = {"masterauth": password or '""', "replicaof": f"{first.host} {first.port}"}
        self.servers = [first, *(RedisServer(folder, password=password, options=options) for _ in range(replicas))]
        self.sentinels = [Sentinel(folder, password=sentinel_password) for _ in range(3)]
        for place, sentinel in enumerate(self.sentinels):
            sentinel.configure(self._settings(place, down_after))

    def _settings(self, place: int, down_after: int) -> dict[str, str]:
        """Return a sentinel's settings; it is told of the others, whom it else finds within some seconds."""
        own, name, first = self.sentinels[place], self.name, self.servers[0]
        settings = {
            "port": str(own.port),
            "bind": HOST,
            "dir": str(own.folder),
            "logfile": str(own.folder / "log"),
            "sentinel myid": f"{place + 1:040x}",
            f"sentinel monitor {name}": f"{first.host} {first.port} 2",
            f"sentinel down-after-milliseconds {name}": str(down_after),
            f"sentinel failover-timeout {name}": "2000",
        }
        if first.password:
            settings[f"sentinel auth-pass {name}"] = first.password
        if own.password:
            settings["requirepass"] = own.password
        for replica in self.servers[1:]:
            settings[f"sentinel known-replica {name} {replica.host} {replica.port}"] = ""
        for number, other in enumerate(self.sentinels):
            if other is not own:
                settings[f"sentinel known-sentinel {name} {other.host} {other.port} {number + 1:040x}"] = ""
        return settings

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where the sentinels are."""
        return [sentinel.address for sentinel in self.sentinels]

    def master(self) -> RedisServer:
        """Return the server that all sentinels call the master and that agrees."""
        named = {self._named(sentinel) for sentinel in self.sentinels if sentinel.serving}
        for server in self.servers:
            if named == {server.port} and server.serving and role(server) == "master":
                return server
        raise LookupError("there is no master, or the sentinels do not agree")

    def _named(self, sentinel: RedisServer) -> int:
        address = sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)
        return int(cast("tuple[bytes, bytes]", address)[1])

    def replicas(self) -> list[RedisServer]:
        """Return the servers that follow the master."""
        return [server for server in self.servers if server.serving and role(server) == "slave"]

    def settle(self) -> None:
        """Wait until every sentinel knows every replica to be in step: only such a one can take over."""
        until(lambda: all(map(self._settled, self.sentinels)), "sentinels that know the replicas in step")

    def _settled(self, sentinel: RedisServer) -> bool:
        if not sentinel.serving:
            return True
        answer = sentinel.ask("SENTINEL", "REPLICAS", self.name)
        ports = {server.port for server in self.servers if server.serving} - {self.master().port}
        for seen in cast("list[dict[bytes, bytes]]", answer):
            state = seen[b"flags"], seen.get(b"role-reported"), seen.get(b"master-link-status")
            if state == (b"slave", b"slave", b"ok"):
                ports.discard(int(seen[b"port"]))
        return not ports

    def failover(self) -> RedisServer:
        """Let the sentinels change the master while all is well; return the new one, writable."""
        self.settle()
        before = self.master()
        for _ in range(10):  # a change whose new master stands still for two seconds is given up
            until(lambda: self.sentinels[0].obeys("SENTINEL", "FAILOVER", self.name), "the order to fail over")
            with contextlib.suppress(TimeoutError):
                return self.wait(but=before, seconds=12)
        raise TimeoutError("the sentinels do not change the master")

    def kill_master(self) -> RedisServer:
        """Kill the master and wait for the next; return it, writable."""
        self.settle()
        before = self.master()
        before.kill()
        return self.wait(but=before)

    def wait(self, *, but: RedisServer | None = None, seconds: float = 120.0) -> RedisServer:
        """Wait for a master, another than `but`, and return it."""
        until(lambda: self.master() is not but, "a new master", seconds)
        return self.master()

    def rejoin(self, server: RedisServer) -> None:
        """Start a killed server and wait until it follows the master."""
        server.start()
        until(lambda: role(server) == "slave" and linked(server), "a replica in step")
        self.settle()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for server in [*self.servers, *self.sentinels]:
                stack.callback(server.close)
            for server in self.servers:
                server.start()
            for server in self.servers[1:]:
                until(functools.partial(linked, server), "a replica in step")
            for sentinel in self.sentinels:
                sentinel.start()
            for sentinel in self.sentinels:
                asked = functools.partial(sentinel.obeys, "SENTINEL", "CKQUORUM", self.name)
                until(asked, "sentinels that know each other")
            self.settle()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def role(server: RedisServer) -> str:
    """Return what a server takes itself for: master or slave."""
    with server.client() as client:
        return cast("bytes", client.role()[0]).decode()


def linked(server: RedisServer) -> bool:
    """Return whether a replica is in step with its master."""
    with server.client() as client:
        return cast("list[object]", client.role())[3] == b"connected"


class ClusterOf:
    """So many masters with so many replicas each; the masters come first in `nodes`."""

    def __init__(
        self, folder: Path, masters: int = 3, *, replicas: int = 0, password: str = "", node_timeout: int = 3000
    ) -> None:
        self._masters = masters
        self._stack = contextlib.ExitStack()
        self.nodes = []
        for _ in range(masters * (1 + replicas)):
            node = RedisServer(folder, password=password)
            with (node.folder / "conf").open("a") as file:
                file.write("cluster-enabled yes\ncluster-config-file nodes.conf\n")
                file.write(f"cluster-port {node.reserve()}\ncluster-node-timeout {node_timeout}\n")
                file.write("cluster-replica-validity-factor 0\n")
                if password:
                    file.write(f"masterauth {password}\n")
            self.nodes.append(node)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where the nodes are."""
        return [node.address for node in self.nodes]

    def client(self) -> RedisCluster:
        """Return a client of the cluster; close it, or use `with`."""
        nodes = [ClusterNode(*node.address) for node in self.nodes if node.serving]  # type: ignore[no-untyped-call] # has no types
        return RedisCluster(startup_nodes=nodes, password=self.nodes[0].password or None, socket_timeout=20.0)

    def slot(self, key: str) -> int:
        """Return the slot a key is in."""
        return cast("int", self._any().ask("CLUSTER", "KEYSLOT", key))

    def owner(self, key: str) -> RedisServer:
        """Return the node that holds a key's slot."""
        slot = self.slot(key)
        for line in self._lines(self._any()):
            ranges = [part.split("-") for part in line[8:] if part[0] != "["]
            if any(int(part[0]) <= slot <= int(part[-1]) for part in ranges):
                return self._node(line)
        raise LookupError(f"no node holds slot {slot}")

    def migration(self, key: str, target: RedisServer | None = None) -> "Migration":
        """Return the move of a key's slot to another node (the next master if none is named), not yet begun."""
        source = self.owner(key)
        masters = [self._node(line) for line in self._lines(self._any()) if "master" in line[2] and len(line) > 8]
        target = target or next(node for node in masters if node is not source)
        return Migration(self.slot(key), source, target, [node for node in masters if node not in {source, target}])

    def migrate(self, key: str, target: RedisServer | None = None) -> RedisServer:
        """Move a key's slot with all its keys; return the node that has it now."""
        migration = self.migration(key, target)
        migration.begin()
        migration.move()
        migration.finish()
        return migration.target

    def wait(self, seconds: float = 120.0) -> None:
        """Wait until every running node finds the cluster whole, with all slots at running nodes."""
        until(lambda: all(self._whole(node) for node in self.nodes if node.serving), "a cluster that is whole", seconds)

    def _any(self) -> RedisServer:
        return next(node for node in self.nodes if node.serving)

    def _lines(self, node: RedisServer) -> list[list[str]]:
        with node.client() as client:
            client.response_callbacks.clear()
            text = cast("bytes", client.execute_command("CLUSTER", "NODES"))
        return [line.split() for line in text.decode().splitlines()]

    def _node(self, line: list[str]) -> RedisServer:
        port = int(line[1].partition("@")[0].rpartition(":")[2])
        return next(node for node in self.nodes if node.port == port)

    def _whole(self, node: RedisServer) -> bool:
        lines = self._lines(node)
        masters = [line for line in lines if "master" in line[2] and len(line) > 8 and self._node(line).serving]
        info = cast("dict[str, str]", node.ask("CLUSTER INFO"))
        whole = info["cluster_state"] == "ok" and info["cluster_slots_ok"] == str(SLOTS)
        return whole and len(lines) == len(self.nodes) and len(masters) == self._masters

    def _form(self) -> None:
        masters, replicas = self.nodes[: self._masters], self.nodes[self._masters :]
        for number, node in enumerate(masters):
            first, end = (SLOTS * place // len(masters) for place in (number, number + 1))
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for node in self.nodes:
            for other in self.nodes:
                if other is not node:
                    (bus,) = re.findall(r"cluster-port (\d+)", (other.folder / "conf").read_text())
                    node.ask("CLUSTER", "MEET", other.host, other.port, bus)
        for number, node in enumerate(replicas):
            master = identity(masters[number % len(masters)])
            until(functools.partial(node.obeys, "CLUSTER", "REPLICATE", master), "a replica")
        self.wait()
        for node in replicas:
            until(functools.partial(linked, node), "a replica in step")

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for node in self.nodes:
                stack.callback(node.close)
            for node in self.nodes:
                node.start()
            self._form()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def identity(node: RedisServer) -> str:
    """Return the name of a node inside its cluster."""
    return cast("bytes", node.ask("CLUSTER", "MYID")).decode()


@dataclass(frozen=True, slots=True)
class Migration:
    """The move of a slot, step by step; between the steps clients are redirected with ASK."""

    slot: int
    source: RedisServer
    target: RedisServer
    others: list[RedisServer]

    def begin(self) -> None:
        """Mark it: keys that are not at the source are asked for at the target."""
        self.target.ask("CLUSTER", "SETSLOT", self.slot, "IMPORTING", identity(self.source))
        self.source.ask("CLUSTER", "SETSLOT", self.slot, "MIGRATING", identity(self.target))

    def move(self) -> None:
        """Move the keys that are there."""
        login = ["AUTH", self.source.password] if self.source.password else []
        while keys := cast("list[bytes]", self.source.ask("CLUSTER", "GETKEYSINSLOT", self.slot, 100)):
            self.source.ask("MIGRATE", *self.target.address, "", 0, 5000, *login, "KEYS", *keys)

    def finish(self) -> None:
        """Give the slot away: from here on clients are redirected with MOVED."""
        for node in (self.target, self.source, *self.others):
            node.ask("CLUSTER", "SETSLOT", self.slot, "NODE", identity(self.target))
