"""The connections to one upstream: the one used last is taken first, so that those too many grow old and go."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from hybridproxy.model.backend import Backend, Endpoint, NameServer, SovereignBackend, Tls
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.stores.audit import AuditError
from hybridproxy.tasks import spawn
from hybridproxy.transport import dial
from hybridproxy.transport.egress import Address, Guard
from hybridproxy.transport.faults import connect_fault
from hybridproxy.transport.resolver import Resolver
from hybridproxy.transport.sweep import Sweep
from hybridproxy.transport.tls import Contexts
from hybridproxy.transport.upstream import Connection, Exchange

MAX_IDLE: Final = 512
"""Idle connections that are kept to one upstream."""

IDLE_TIMEOUT: Final = 30.0
"""Seconds until an idle connection is closed; load balancers in front of upstreams close theirs after 60 and more."""


Refused = Callable[[str, str], None]
"""Takes a backend's id and why no connection to it was made: it is outside its networks, or no such server of ours."""


class PoolKey(NamedTuple):
    """What two requests must have in common to share a connection."""

    scheme: str
    host: str
    port: int
    tls: Tls
    allow_cidrs: tuple[str, ...]
    resolver: tuple[NameServer, ...] = ()


def pool_key(backend: Backend | SovereignBackend, endpoint: Endpoint) -> PoolKey:
    """Return the key of the pool of a backend's endpoint."""
    return PoolKey(endpoint.scheme, endpoint.host, endpoint.port, backend.tls, backend.allow_cidrs, backend.resolver)


def pool_keys(backend: Backend | SovereignBackend) -> set[PoolKey]:
    """Return the keys of the pools that a backend uses."""
    return {pool_key(backend, endpoint) for endpoint in backend.endpoints}


@dataclass(slots=True, eq=False)
class Common:
    """What the pools of a session share.

    Attributes:
        locate: how a host becomes addresses.
        refused: hears of a backend to which a connection was refused by us, and why.
        contexts: how TLS is spoken. This and `locate` are what a sovereign session differs in from a general one.
        resolver: asks the name servers that backends have of their own.
        wall: tells seconds since the epoch, for signatures.
        connections: those that are open.
        connecting: exchanges that wait for a connection, or for the audit log to have taken their intent.
        opened: connections opened so far.
        reused: requests sent over a connection that had carried others.
        discarded: connections closed by us that could not be reused.

    """

    sweep: Sweep
    locate: dial.Locate
    refused: Refused = lambda _backend, _why: None
    max_idle: int = MAX_IDLE
    idle_timeout: float = IDLE_TIMEOUT
    contexts: Contexts = field(default_factory=Contexts)
    resolver: Resolver = field(default_factory=Resolver)
    wall: Callable[[], float] = lambda: 0.0
    connections: set[Connection] = field(default_factory=set)
    connecting: set[Exchange] = field(default_factory=set)
    opened: int = 0
    reused: int = 0
    discarded: int = 0
    _empty: asyncio.Event | None = None

    async def emptied(self) -> None:
        """Wait until no connection is open and none is being made."""
        self._empty = asyncio.Event()
        self.departed()
        await self._empty.wait()

    def departed(self) -> None:
        """Take the news that a connection is gone, or was not made."""
        if self._empty is not None and not self.connections and not self.connecting:
            self._empty.set()


class ConnectionPool:
    """The connections for one key."""

    __slots__ = ("_ask", "_common", "_guard", "_idle", "_key", "_retired", "_time")

    def __init__(self, key: PoolKey, common: Common) -> None:
        """Make an empty pool.

        Raises:
            TlsSetupError: its CA file cannot be used.
            ValueError: `allow_cidrs` holds something that is no network.

        """
        self._key = key
        self._common = common
        self._guard = Guard(key.allow_cidrs)
        self._ask = partial(common.resolver.addresses, key.resolver) if key.resolver else None
        self._idle: list[Connection] = []  # the one used last is at the end
        self._retired = False
        self._time = common.sweep.time
        self._context()

    def start(self, exchange: Exchange) -> None:
        """Send an exchange at once over an idle connection, or as soon as a fresh one is there."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if not idle:
                self._common.sweep.unregister(self)
            if not connection.transport.is_closing():
                self._common.reused += 1
                self._carry(connection, exchange)
                return
        self.connect(exchange)

    def connect(self, exchange: Exchange) -> None:
        """Send an exchange over a fresh connection."""
        exchange.wait_for_connection()
        self._common.connecting.add(exchange)
        spawn(self._connect(exchange), f"connect: {exchange.backend}")

    def _carry(self, connection: Connection, exchange: Exchange) -> None:
        """Send an exchange over a connection that has carried others, once that is recorded."""
        trail = exchange.trail
        durable = None if trail is None else trail.intend(connection.peer, connection.certificate, reused=True)
        if durable is None:
            connection.send(exchange, reused=True)
        else:
            exchange.wait_for_record()
            self._common.connecting.add(exchange)
            spawn(self._carry_when(durable, connection, exchange), f"audit: {exchange.backend}")

    async def check(self, backend: str, seconds: float) -> Fault | None:
        """Open a connection, and keep it for a request to come; return why there is none."""
        try:
            async with asyncio.timeout(seconds):
                connection = await self._open()
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes a fault
            fault = connect_fault(error)
            self._alert(error, fault, backend)
            return fault
        self.keep(connection)
        return None

    def retire(self) -> None:
        """Close what is idle and keep no connection any more; exchanges under way come to their end."""
        self._retired = True
        self._common.sweep.unregister(self)
        for connection in self._idle:
            connection.transport.abort()
        self._idle.clear()

    # ---- called by the sweep ----

    @property
    def deadline(self) -> float | None:
        """When the connection that has been idle longest is too old."""
        return self._idle[0].idle_since + self._common.idle_timeout if self._idle else None

    def expired(self, now: float) -> None:
        """Close the connections that have been idle for too long."""
        oldest = now - self._common.idle_timeout
        young = next((n for n, c in enumerate(self._idle) if c.idle_since > oldest), len(self._idle))
        for connection in self._idle[:young]:
            connection.transport.abort()
        del self._idle[:young]
        if not self._idle:
            self._common.sweep.unregister(self)

    # ---- called by connections ----

    def keep(self, connection: Connection) -> None:
        """Keep a connection for another request, unless there are enough."""
        if self._retired or len(self._idle) >= self._common.max_idle:
            connection.drop()
            return
        connection.idle_since = self._time()
        self._idle.append(connection)
        if len(self._idle) == 1:
            self._common.sweep.register(self)

    def dropped(self, connection: Connection) -> None:  # noqa: ARG002 - which one does not matter
        """Count a connection that could not be reused."""
        self._common.discarded += 1

    def gone(self, connection: Connection) -> None:
        """Forget a connection."""
        if connection in self._idle:
            self._idle.remove(connection)
            if not self._idle:
                self._common.sweep.unregister(self)
        self._common.connections.discard(connection)
        self._common.departed()

    # ---- connecting ----

    async def _connect(self, exchange: Exchange) -> None:
        try:
            if exchange.over:
                return
            exchange.connecting(asyncio.current_task())
            connection = await self._open()
            if exchange.over:  # cancelled in the very turn of the loop in which the connection was there
                connection.drop()
                return
            trail = exchange.trail
            durable = None if trail is None else trail.intend(connection.peer, connection.certificate, reused=False)
            if durable is not None:
                exchange.wait_for_record()
                if not await self._recorded(durable, connection, exchange):
                    return
                _still_open(connection)
            connection.send(exchange, reused=False)
        except Exception as error:
            exchange.connecting(None)
            fault = connect_fault(error)
            exchange.fail(fault)
            self._alert(error, fault, exchange.backend)
            if fault.kind is FaultKind.INTERNAL and not isinstance(error, OSError):
                raise  # a bug of ours, which the loop reports
        finally:
            self._common.connecting.discard(exchange)
            self._common.departed()

    def _alert(self, error: Exception, fault: Fault, backend: str) -> None:
        """Tell at once that somebody else is where the backend should be, or that the way would lead elsewhere."""
        impostor = bool(self._key.allow_cidrs) and isinstance(error, ssl.SSLCertVerificationError)
        if impostor or fault.kind is FaultKind.EGRESS_REFUSED:
            self._common.refused(backend, fault.detail)

    async def _carry_when(self, durable: asyncio.Future[None], connection: Connection, exchange: Exchange) -> None:
        """Send an exchange over a connection that has carried others, once its intent is durable."""
        try:
            if exchange.over:
                durable.cancel()
                self._unused(connection)
                return
            exchange.connecting(asyncio.current_task())
            if not await self._recorded(durable, connection, exchange):
                return
            if connection.transport.is_closing():  # like one that turns out to be stale, but nothing was sent
                exchange.went_stale(billed=False)
                exchange.wait_for_connection()
                await self._connect(exchange)
            else:
                connection.send(exchange, reused=True)
        finally:
            self._common.connecting.discard(exchange)
            self._common.departed()

    async def _recorded(self, durable: asyncio.Future[None], connection: Connection, exchange: Exchange) -> bool:
        """Wait until an exchange's intent is durable; False, and the connection is free again, where it is not sent."""
        try:
            await durable
        except AuditError as error:
            self._unused(connection)
            exchange.connecting(None)
            exchange.fail(Fault(FaultKind.AUDIT, str(error)))
            return False
        except asyncio.CancelledError:
            self._unused(connection)
            raise
        exchange.recorded()
        if exchange.over:  # it ended in the very turn of the loop in which the record was durable
            self._unused(connection)
        return not exchange.over

    def _unused(self, connection: Connection) -> None:
        """Take back a connection over which nothing was sent."""
        if not connection.transport.is_closing():
            self.keep(connection)

    async def _open(self) -> Connection:
        key = self._key
        context = self._context()
        name = None if context is None else key.tls.name or key.host
        loop = asyncio.get_running_loop()

        async def connect(address: Address) -> Connection:
            # Not with a socket of our own: uvloop closes its number twice when the connection ends at the wrong moment.
            _, connection = await loop.create_connection(
                lambda: Connection(self), str(address), key.port, ssl=context, server_hostname=name
            )
            _still_open(connection)
            # Only now: of a connection that is given up before, uvloop does not report the end.
            self._common.opened += 1
            self._common.connections.add(connection)
            return connection

        addresses = await self._common.locate(key.host, key.port, self._guard, self._ask)
        return await dial.first_to_answer(addresses, connect, Connection.drop)

    def _context(self) -> ssl.SSLContext | None:
        return self._common.contexts.get(self._key.tls) if self._key.scheme == "https" else None


def _still_open(connection: Connection) -> None:
    if connection.transport.is_closing():
        raise ConnectionAbortedError
