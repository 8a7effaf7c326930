"""From a host to a connection: look the name up, keep the allowed addresses, take the first that answers."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from itertools import zip_longest
from typing import Final, Generic, TypeVar

from hybridproxy.residency.address import disguised
from hybridproxy.transport.egress import Address, EgressRefusedError, Guard, literal

HEAD_START: Final = 0.25
"""Seconds an address has for itself before the next one is tried beside it (RFC 8305 §5)."""

T = TypeVar("T")
Connect = Callable[[Address], Awaitable[T]]

Ask = Callable[[str], Awaitable[list[Address]]]
"""Asks the name servers of a backend for a name; raises `socket.gaierror`."""

Locate = Callable[[str, int, Guard, Ask | None], Awaitable[list[Address]]]
"""From a host to the addresses it may be reached at, in the order to try them; raises EgressRefusedError."""


async def locate_any(host: str, port: int, guard: Guard, ask: Ask | None) -> list[Address]:
    """Return the allowed addresses of a name or of an IP literal; `ask`: None for the system's name servers.

    Raises:
        EgressRefusedError: the guard allows none of them.
        OSError: the name could not be resolved (`socket.gaierror`).

    """
    address = literal(host)
    if address is not None:
        return guard.only_allowed([address])
    if ask is not None:
        return await locate_inside(host, port, guard, ask)
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    names = dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found)
    return guard.only_allowed(_interleaved([a for name in names if (a := literal(name)) is not None]))


async def locate_inside(
    host: str,
    port: int,  # noqa: ARG001 - a `Locate`
    guard: Guard,
    ask: Ask | None,
) -> list[Address]:
    """Return the addresses inside the guard's networks of what the host is written as, or of a name by its own servers.

    Never asks the system for a name.

    Raises:
        EgressRefusedError: it is outside the networks, or there are no networks, or a name and nobody to ask.
        OSError: the name could not be resolved (`socket.gaierror`).

    """
    if guard.open:
        raise EgressRefusedError("it has no allow_cidrs, which a sovereign backend must have")
    address = literal(host)
    if address is not None:
        return guard.only_allowed([address])
    if ask is None or disguised(host):
        raise EgressRefusedError("its endpoint is a name; a sovereign backend's is an IP address, or it has a resolver")
    return _interleaved(guard.only_allowed(await ask(host)))


async def first_to_answer(addresses: Sequence[Address], connect: Connect[T], drop: Callable[[T], None]) -> T:
    """Return the connection to the first of the addresses that answers; the others are let go.

    Args:
        addresses: at least one, in the order to try them.
        connect: makes a connection to one of them.
        drop: closes a connection that came second.

    Raises:
        Exception: none answers; what `connect` raised for the first one that failed.

    """
    if len(addresses) == 1:
        return await connect(addresses[0])
    return await _Race(connect, drop).run(addresses)


class _Race(Generic[T]):
    """Connects to several addresses, each with a head start over the next."""

    __slots__ = ("_connect", "_drop", "_errors", "_moved", "_tasks", "_won")

    def __init__(self, connect: Connect[T], drop: Callable[[T], None]) -> None:
        self._connect = connect
        self._drop = drop
        self._won: list[T] = []
        self._errors: list[OSError] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._moved = asyncio.Event()

    async def run(self, addresses: Sequence[Address]) -> T:
        try:
            async with asyncio.TaskGroup() as group:
                for address in addresses:
                    self._moved.clear()
                    self._tasks.append(group.create_task(self._attempt(address), name="dial"))
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(HEAD_START):
                            await self._moved.wait()
                    if self._won:
                        break
        except BaseException:
            for won in self._won:
                self._drop(won)
            raise
        for second in self._won[1:]:  # two answered in the same turn of the loop
            self._drop(second)
        if not self._won:
            raise self._errors[0]
        return self._won[0]

    async def _attempt(self, address: Address) -> None:
        try:
            connection = await self._connect(address)
        except OSError as error:
            self._errors.append(error)
        else:
            self._won.append(connection)
            for task in self._tasks:
                if task is not asyncio.current_task():
                    task.cancel()
        self._moved.set()


def _interleaved(addresses: list[Address]) -> list[Address]:
    """Return the addresses with the families by turns, the resolver's favourite first: one family may lead nowhere."""
    favourite = [a for a in addresses if a.version == addresses[0].version]
    other = [a for a in addresses if a.version != addresses[0].version]
    return [a for pair in zip_longest(favourite, other) for a in pair if a is not None]
