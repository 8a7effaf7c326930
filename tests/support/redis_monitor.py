"""What a Valkey server was told: every command that it ran, by whom and when."""

import contextlib
import re
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.support.redis_servers import RedisServer, until

PATIENCE: Final = 30.0
"""Seconds within which a server answers, also on a machine that stands still for a moment."""


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
        self._marks: dict[bytes, threading.Event] = {}
        self._stream = self._connect()
        self._order(self._stream, "MONITOR")
        self._side = self._connect()
        self._own = "{}:{}".format(*self._side.getsockname())
        self._reader = threading.Thread(target=self._read, name="monitor", daemon=True)
        self._reader.start()

    def records(self) -> list[Command]:
        """The commands so far, oldest first."""
        mark = uuid.uuid4().hex
        seen = self._marks[mark.encode()] = threading.Event()  # before the thread can hear of it
        self._send(self._side, "ECHO", mark)
        if not seen.wait(PATIENCE):
            raise TimeoutError("the server does not answer")
        return list(self._seen)

    def named(self, *names: str) -> list[Command]:
        """Those of some names, in capitals."""
        return [record for record in self.records() if record.name in names]

    def until(self, condition: Callable[[list[Command]], bool], seconds: float = 30.0) -> list[Command]:
        """Wait until the commands are as wanted, and return them."""
        until(lambda: condition(self.records()), "the commands waited for", seconds)
        return self.records()

    def _connect(self) -> socket.socket:
        made = socket.create_connection(self._server.address, timeout=PATIENCE)
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
            if (mark := self._marks.get(args[-1])) is not None:
                mark.set()
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
