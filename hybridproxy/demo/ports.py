"""Which ports the demo listens on, found free before anything is started."""

import errno
import random
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final

from hybridproxy.demo.problem import DemoError

HOST: Final = "127.0.0.1"
"""Everything of the demo listens on this machine only."""

DATA_PORT: Final = 8080
SIM_PORT: Final = 9101
UPSTREAMS: Final = ("dashscope-sg", "together-us", "openrouter-us", "vpc")
"""The backends of deploy/demo.yaml, in the order of their ports."""

QUIET: Final = range(20_000, 32_000)
"""Ports that Linux and macOS give to no outgoing connection (they begin at 32768 and 49152): between finding one free
and listening on it, nobody gets it by chance."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The data port, the admin port, and each upstream's by the name of its backend."""

    data: int
    admin: int
    upstreams: dict[str, int]

    @property
    def all(self) -> tuple[int, ...]:
        """Every port, in the order of `DEFAULTS`."""
        return (self.data, self.admin, *self.upstreams.values())


DEFAULTS: Final = Ports(DATA_PORT, DATA_PORT + 1, {name: SIM_PORT + i for i, name in enumerate(UPSTREAMS)})
"""What deploy/demo.yaml says."""


def choose(data: int, sims: int) -> Ports:
    """Return the ports to use: `data` and the next, and from `sims` on one an upstream; 0: any free ones.

    Raises:
        DemoError: with every port that cannot be had, and the flag that moves it.

    """
    wanted = [
        *_row("--port", data, ("the data port", "the admin port, always the one after the data port")),
        *_row("--sim-port", sims, tuple(f"the simulated upstream {name}" for name in UPSTREAMS)),
    ]
    with ExitStack() as held:
        found: list[int] = []
        problems: list[str] = []
        for port, flag, what in wanted:
            try:
                listener = held.enter_context(_listener(port) if port else _any())
            except (OSError, OverflowError) as error:
                problems.append(f"port {port} ({what}) {_reason(error)}: choose another with {flag}")
            else:
                found.append(listener.getsockname()[1])
    if problems:
        raise DemoError("\n".join(problems))
    return Ports(found[0], found[1], dict(zip(UPSTREAMS, found[2:], strict=True)))


def _row(flag: str, first: int, names: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    for i, name in enumerate(names):
        yield (first + i if first else 0, flag, name)


def _any() -> socket.socket:
    """Return a socket bound to a free port, a quiet one where one is found."""
    for port in random.sample(QUIET, 20):
        with suppress(OSError):
            return _listener(port)
    return _listener(0)


def _listener(port: int) -> socket.socket:
    """Return a socket bound as a server's would be, so that a port somebody still holds is told from one just left."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(1)  # two sockets may be bound to a port with SO_REUSEADDR, only one may listen
    except BaseException:
        listener.close()
        raise
    return listener


def _reason(error: OSError | OverflowError) -> str:
    if isinstance(error, OverflowError):
        return "is not a port (1 to 65535)"
    if error.errno == errno.EADDRINUSE:
        return "is taken"
    return f"cannot be had ({error.strerror})"
