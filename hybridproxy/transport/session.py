"""The two ways out: one for ordinary tenants' calls, one that reaches VPC addresses or nothing.

They are separate types with nothing in common but what they are made of; neither takes the other's targets.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from hybridproxy.model.backend import Backend, SovereignBackend
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.model.plan import Target
from hybridproxy.residency.records import Way
from hybridproxy.stores.audit import Audit
from hybridproxy.stores.trail import Trail
from hybridproxy.transport.dial import locate_any, locate_inside
from hybridproxy.transport.faults import connect_fault
from hybridproxy.transport.heads import request_head, request_prefix, signature
from hybridproxy.transport.pool import IDLE_TIMEOUT, MAX_IDLE, Common, ConnectionPool, PoolKey, Refused, pool_key
from hybridproxy.transport.sweep import Sweep
from hybridproxy.transport.tls import Contexts, TlsSetupError
from hybridproxy.transport.upstream import Exchange, Sink, UpstreamRequest

MAX_LANES: Final = 4096

_Lane = tuple[Target[Backend] | Target[SovereignBackend], ConnectionPool, bytes, Way]
"""A target, with the pool of its connections, the beginning of its requests' heads, and its words in the audit log."""


class _Network:
    """What a session is made of: pools, and the heads of requests that were sent before."""

    __slots__ = ("_audit", "_closed", "_lanes", "_loop", "_pools", "_sovereign", "common")

    def __init__(self, common: Common, audit: Audit | None, *, sovereign: bool) -> None:
        self.common = common
        self._audit = audit
        self._sovereign = sovereign
        self._loop = asyncio.get_running_loop()
        self._pools: dict[PoolKey, ConnectionPool] = {}
        self._lanes: dict[tuple[int, str, bool, str | None], _Lane] = {}
        self._closed = False

    def start(
        self, target: Target[Backend] | Target[SovereignBackend], request: UpstreamRequest, sink: Sink
    ) -> Exchange:
        """Send a request; a fault on the way there is told from the loop, after the caller has its exchange."""
        backend = target.backend
        sweep = self.common.sweep
        try:
            _, pool, prefix, way = self._lane(target, request)
            signed = () if target.credential.signs is None else self._signature(target, request)
            head = request_head(prefix, len(request.body), request.headers, signed)
        except (TlsSetupError, ValueError) as error:
            exchange = Exchange(sink, backend.id, b"", request, target.timeouts, sweep)
            self._record(exchange, request, self._way(target))
            known = isinstance(error, TlsSetupError)
            fault = connect_fault(error) if known else Fault(FaultKind.INTERNAL, str(error))
            self._loop.call_soon(exchange.fail, fault)
            return exchange
        exchange = Exchange(sink, backend.id, head, request, target.timeouts, sweep)
        self._record(exchange, request, way)
        if self._closed:
            self._loop.call_soon(exchange.fail, Fault(FaultKind.INTERNAL, "hybridproxy is shutting down"))
        else:
            pool.start(exchange)
        return exchange

    def _signature(
        self, target: Target[Backend] | Target[SovereignBackend], request: UpstreamRequest
    ) -> tuple[tuple[str, str], ...]:
        endpoint = target.endpoint
        path = (endpoint.base_path if request.root is None else request.root) + request.path
        return signature(endpoint, target.credential, path, request.body, self.common.wall(), method=request.method)

    async def check(self, target: Target[Backend] | Target[SovereignBackend]) -> Fault | None:
        """Return why no connection to a target can be had, None when one can."""
        try:
            pool = self._pool(target)
        except (TlsSetupError, ValueError) as error:
            return connect_fault(error) if isinstance(error, TlsSetupError) else Fault(FaultKind.INTERNAL, str(error))
        return await pool.check(target.backend.id, target.timeouts.connect)

    def _record(self, exchange: Exchange, request: UpstreamRequest, way: Way) -> None:
        # without a body there is nothing that could be carried out: an engine's metrics, asked for once a second
        if self._audit is not None and request.body:
            exchange.trail = Trail(self._audit, request.origin, way)

    def _way(self, target: Target[Backend] | Target[SovereignBackend]) -> Way:
        endpoint = target.endpoint
        return Way(target.backend.id, f"{endpoint.scheme}://{endpoint.authority}", self._sovereign)

    def _lane(self, target: Target[Backend] | Target[SovereignBackend], request: UpstreamRequest) -> _Lane:
        # targets live as long as their configuration, and a lane keeps its own: so its id stands for it
        key = (id(target), request.path, request.stream, request.root)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._new_lane(target, request)
            if len(self._lanes) >= MAX_LANES:
                self._lanes.clear()
            self._lanes[key] = lane
        return lane

    def _new_lane(self, target: Target[Backend] | Target[SovereignBackend], request: UpstreamRequest) -> _Lane:
        prefix = request_prefix(
            target.endpoint,
            target.credential,
            request.path,
            stream=request.stream,
            method=request.method,
            root=request.root,
        )
        return target, self._pool(target), prefix, self._way(target)

    def _pool(self, target: Target[Backend] | Target[SovereignBackend]) -> ConnectionPool:
        key = pool_key(target.backend, target.endpoint)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = ConnectionPool(key, self.common)
        return pool

    def retain(self, keys: Collection[PoolKey]) -> None:
        self._lanes.clear()
        self.common.contexts.forget_files()
        self.common.resolver.forget()
        for key in [key for key in self._pools if key not in keys or _has_files(key)]:
            self._pools.pop(key).retire()

    async def close(self) -> None:
        self._closed = True
        self.retain(())
        closing = Fault(FaultKind.INTERNAL, "hybridproxy is shutting down")
        self.common.resolver.close()
        exchanges = list(self.common.connecting)
        exchanges += [c.exchange for c in self.common.connections if c.exchange is not None]
        for exchange in exchanges:
            exchange.fail(closing)
        for connection in list(self.common.connections):
            connection.transport.abort()  # those on their way out already, too
        await self.common.emptied()


def _has_files(key: PoolKey) -> bool:
    """Return whether connections were made by files that may hold something else by now."""
    return bool(key.tls.ca or key.tls.cert)


class _Session:
    """What both sessions show of their network."""

    __slots__ = ("_network",)

    def __init__(self, network: _Network) -> None:
        self._network = network

    @property
    def open(self) -> int:
        """Connections open now, idle ones too."""
        return len(self._network.common.connections)

    @property
    def opened(self) -> int:
        """Connections opened so far."""
        return self._network.common.opened

    @property
    def reused(self) -> int:
        """Requests sent so far over a connection that had carried others."""
        return self._network.common.reused

    @property
    def discarded(self) -> int:
        """Connections closed so far because they could not be reused."""
        return self._network.common.discarded

    def retain(self, keys: Collection[PoolKey]) -> None:
        """Keep connections for these keys only (see `pool_keys`); exchanges under way come to their end.

        To be called after a new configuration: the files of TLS are read anew, so connections made by them are not
        used again, and old keys are forgotten.
        """
        self._network.retain(keys)

    async def close(self) -> None:
        """End what is under way with a fault, close every connection, and wait until they are gone."""
        await self._network.close()


class GeneralSession(_Session):
    """The way out for ordinary tenants' calls. A backend's `allow_cidrs` is kept to where there is one."""

    __slots__ = ()

    def __init__(
        self,
        sweep: Sweep,
        refused: Refused = lambda _backend, _why: None,
        *,
        max_idle: int = MAX_IDLE,
        idle_timeout: float = IDLE_TIMEOUT,
        audit: Audit | None = None,
        wall: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Make a session on the running loop that opens nothing until it is used.

        Args:
            sweep: the worker's timer.
            refused: hears of a backend to which we refuse to connect, and why.
            max_idle: idle connections that are kept to one upstream.
            idle_timeout: seconds until an idle connection is closed.
            audit: takes a record of each request, for which nothing waits.
            wall: tells seconds since the epoch, for requests that are signed.

        """
        common = Common(sweep, locate_any, refused, max_idle, idle_timeout, wall=wall)
        super().__init__(_Network(common, audit, sovereign=False))

    def start(self, target: Target[Backend], request: UpstreamRequest, sink: Sink) -> Exchange:
        """Send a request. Never raises: every failure goes to the sink, from the loop."""
        return self._network.start(target, request, sink)

    async def check(self, target: Target[Backend]) -> Fault | None:
        """Connect to a target and ask nothing; return what went wrong, None when nothing did."""
        return await self._network.check(target)


class SovereignSession(_Session):
    """The way out for sovereign tenants' calls: inside the backend's `allow_cidrs`, or to nothing."""

    __slots__ = ()

    def __init__(
        self,
        sweep: Sweep,
        refused: Refused = lambda _backend, _why: None,
        *,
        max_idle: int = MAX_IDLE,
        idle_timeout: float = IDLE_TIMEOUT,
        audit: Audit | None = None,
    ) -> None:
        """Make a session on the running loop that opens nothing until it is used.

        Args:
            sweep: the worker's timer.
            refused: hears of a backend to which we refuse to connect, and why.
            max_idle: idle connections that are kept to one upstream.
            idle_timeout: seconds until an idle connection is closed.
            audit: takes a record of each request; not a byte of one leaves before that is durable.

        """
        contexts = Contexts(environment=False)
        common = Common(sweep, locate_inside, refused, max_idle, idle_timeout, contexts)
        super().__init__(_Network(common, audit, sovereign=True))

    def start(self, target: Target[SovereignBackend], request: UpstreamRequest, sink: Sink) -> Exchange:
        """Send a request. Never raises: every failure goes to the sink, from the loop."""
        return self._network.start(target, request, sink)

    async def check(self, target: Target[SovereignBackend]) -> Fault | None:
        """Connect to a target and ask nothing; return what went wrong, None when nothing did."""
        return await self._network.check(target)
