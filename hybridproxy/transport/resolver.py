"""Names of VPC endpoints, asked only of the name servers an operator named: no hosts file, no resolv.conf.

Each question has an id and a socket of its own, and the kernel takes datagrams from the one server that was asked only.
What is learnt is kept for as long as the server says, five minutes at most. Whoever is asked, an address is judged by
the guard like any other: a server that lies leads nowhere else.
"""

import asyncio
import secrets
import socket
from typing import Final, cast

from hybridproxy.model.backend import NameServer
from hybridproxy.residency.address import Address
from hybridproxy.tasks import spawn
from hybridproxy.transport import dns
from hybridproxy.transport.dns import Answer, DnsError, Kind

PATIENCE: Final = 1.0
"""Seconds until a server that does not answer is passed over."""

ROUNDS: Final = 2
LONGEST: Final = 6.0
"""Seconds for all servers together; whoever waits has a timeout of its own."""

MAX_TTL: Final = 300
MAX_KNOWN: Final = 256
MAX_ADDRESSES: Final = 16

Servers = tuple[NameServer, ...]
_Key = tuple[Servers, str]


class Resolver:
    """Asks, and remembers. Questions for one name at the same time are one question."""

    def __init__(self) -> None:
        """Ask nothing yet. Must be made on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._known: dict[_Key, tuple[list[Address], float]] = {}
        self._asking: dict[_Key, asyncio.Future[list[Address]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def addresses(self, servers: Servers, name: str) -> list[Address]:
        """Return the addresses of a name, at least one.

        Raises:
            socket.gaierror: it has none, or no server answered.

        """
        if self._closed:
            raise _nobody_answered()
        key = (servers, name)
        known = self._known.get(key)
        if known is not None and known[1] > self._loop.time():
            return known[0]
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = self._loop.create_future()
            spawn(self._answer(key, asking), "dns")
        return await asyncio.shield(asking)  # who gives up does not take the answer from the others

    def forget(self) -> None:
        """Ask anew for every name that is needed next."""
        self._known.clear()

    def close(self) -> None:
        """Give up what is being asked."""
        self._closed = True
        for task in self._tasks:
            task.cancel()

    async def _answer(self, key: _Key, asking: asyncio.Future[list[Address]]) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._tasks.add(task)
        try:
            async with asyncio.timeout(LONGEST):
                found, ttl = await self._ask(*key)
            self._remember(key, found, ttl)
            asking.set_result(found)
        except (TimeoutError, asyncio.CancelledError):
            asking.set_exception(_nobody_answered())
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait get it
            asking.set_exception(error)
        finally:
            self._tasks.discard(task)
            del self._asking[key]
            asking.exception()  # or the loop complains where nobody waits any more

    def _remember(self, key: _Key, found: list[Address], ttl: int) -> None:
        if ttl <= 0:
            return
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[key] = (found, self._loop.time() + min(ttl, MAX_TTL))

    async def _ask(self, servers: Servers, name: str) -> tuple[list[Address], int]:
        """Ask one server after the other, until one knows."""
        for _ in range(ROUNDS):
            for server in servers:
                heard = await asyncio.gather(*(_told(server, name, kind) for kind in Kind), return_exceptions=True)
                for one in heard:
                    if isinstance(one, BaseException) and not isinstance(one, OSError | DnsError):
                        raise one  # a bug of ours
                answers = [one for one in heard if isinstance(one, Answer)]
                found = [address for one in answers for address in one.addresses]
                if found:
                    return found[:MAX_ADDRESSES], min(one.ttl for one in answers if one.addresses)
                if len(answers) == len(heard):
                    raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
        raise _nobody_answered()


async def _told(server: NameServer, name: str, kind: Kind) -> Answer:
    """Return what a server says: to a datagram, or over TCP where its answer does not fit into one.

    Raises:
        DnsError: it cannot answer.
        OSError: it cannot be reached, or is silent.

    """
    number = secrets.randbelow(1 << 16)
    message = dns.question(number, name, kind)
    async with asyncio.timeout(PATIENCE):
        heard = await _by_datagram(server, message, number, name, kind)
        return await _by_stream(server, message, number, name, kind) if heard.truncated else heard


async def _by_datagram(server: NameServer, message: bytes, number: int, name: str, kind: Kind) -> Answer:
    heard: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(heard, number, name, kind), remote_addr=server
    )
    try:
        transport.sendto(message)
        return await heard
    finally:
        transport.abort()


async def _by_stream(server: NameServer, message: bytes, number: int, name: str, kind: Kind) -> Answer:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(len(message).to_bytes(2) + message)
        size = int.from_bytes(await reader.readexactly(2))
        heard = dns.answer(await reader.readexactly(size), number, name, kind)
    except EOFError:
        raise DnsError("the name server broke off") from None
    finally:
        writer.transport.abort()
    if heard is None or heard.truncated:
        raise DnsError("the name server answered something else")
    return heard


class _Datagrams(asyncio.DatagramProtocol):
    """Waits for the answer to one question; others are passed over."""

    def __init__(self, heard: asyncio.Future[Answer], number: int, name: str, kind: Kind) -> None:
        self._heard = heard
        self._question = (number, name, kind)

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the kernel takes one server's only
        if self._heard.done():
            return
        try:
            answer = dns.answer(data, *self._question)
        except DnsError as error:
            self._heard.set_exception(error)
            return
        if answer is not None:
            self._heard.set_result(answer)

    def error_received(self, exc: Exception) -> None:
        if not self._heard.done():
            self._heard.set_exception(exc)


def _nobody_answered() -> socket.gaierror:
    return socket.gaierror(socket.EAI_AGAIN, "no name server answered")
