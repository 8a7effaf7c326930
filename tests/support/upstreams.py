"""A simulated upstream, or a resolver, as a process in another namespace, told what to do over its stdin.

Nothing goes over the network but what the proxy sends: a control address would be traffic that a witness could not
tell from the proxy's.

    python -m tests.support.upstreams together 203.0.113.11
    python -m tests.support.upstreams dns 203.0.113.53 '{"api.example": "203.0.113.11"}'

It says `ready`, takes a JSON object a line, and answers each with one.
"""

import asyncio
import json
import socket
import sys
from typing import Any, Final

from hybridproxy.simulator.server import RunningSimulators, SimulatorSpec, serve
from tests.support.packets import questions

PORT: Final = 8000
DNS_PORT: Final = 53
GONE: Final = {"kind": "refuse", "when": "accept", "how": "reset", "for_ms": 3_600_000}


class Simulated:
    """An upstream that can stop listening and begin again."""

    def __init__(self, provider: str, host: str) -> None:
        self._spec, self._host = SimulatorSpec(provider, PORT), host
        self._running: RunningSimulators | None = None
        self._before = 0  # connections until it last left its port
        self._settings: dict[str, Any] = {}

    async def listen(self) -> None:
        """Take calls."""
        if self._running is None:
            self._running = await serve([self._spec], self._host)
            self._running.all[0].behave(self._settings)

    async def refuse(self) -> None:
        """Leave the port, and break what is connected."""
        if self._running is not None:
            self._before = self._connections
            self._running.all[0].behave({"fault": GONE})  # for a connection that is being made at this moment
            for connection in list(self._running.all[0].upstream.connections):
                connection.transport.abort()
            await self._running.close()
            self._running = None

    @property
    def _connections(self) -> int:
        return self._before + (0 if self._running is None else self._running.all[0].upstream.accepted)

    async def do(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do what is told, and say how many connections were made to it."""
        if "behave" in order:
            self._settings = order["behave"]
            if self._running is not None:
                self._running.all[0].behave(self._settings)
        if "listen" in order:
            await (self.listen() if order["listen"] else self.refuse())
        return {"connections": self._connections}


class Resolver(asyncio.DatagramProtocol):
    """Knows some names; of others it says that there are none."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Keep the way to answer."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer."""
        (name, *_) = questions(data) or ("?",)
        address = self._names.get(name.lower())
        end = data.index(b"\0", 12) + 5
        wants_v4 = data[end - 4 : end - 2] == b"\0\1"
        found = address is not None and wants_v4
        head = (
            data[:2] + (b"\x81\x80" if address else b"\x81\x83") + b"\0\1" + (b"\0\1" if found else b"\0\0") + bytes(4)
        )
        record = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(address or "0.0.0.0") if found else b""
        self._transport.sendto(head + data[12:end] + record, addr)


async def run(kind: str, host: str, names: dict[str, str]) -> None:
    """Serve until stdin ends."""
    simulated = None if kind == "dns" else Simulated(kind, host)
    if simulated is None:
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: Resolver(names), (host, DNS_PORT))
    else:
        await simulated.listen()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _say("ready")
    while line := await reader.readline():
        _say(json.dumps({} if simulated is None else await simulated.do(json.loads(line))))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}))
