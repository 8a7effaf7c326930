"""Asks the engines of a cluster how loaded they are, once a second, by the way that calls take to them.

A background task; no call waits for it, and none fails by it. Only backends with several endpoints are asked, since
elsewhere there is no choice to make, and only where the provider's row says what to ask. A sovereign backend is asked
the sovereign way. An engine that does not answer as it should is asked every `RETRY` seconds; what it said last grows
stale, and the choice goes on by our own calls (`routing.cluster`).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from hybridproxy.model.backend import Backend, Endpoint, SovereignBackend, Timeouts
from hybridproxy.model.fault import Fault
from hybridproxy.model.load import EndpointKey
from hybridproxy.model.plan import Target
from hybridproxy.model.snapshot import Snapshot
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.metrics import Metrics, read_metrics
from hybridproxy.resilience.terms import Rng
from hybridproxy.stores.loads import MemoryLoads
from hybridproxy.tasks import wait
from hybridproxy.transport.session import GeneralSession, SovereignSession
from hybridproxy.transport.upstream import Exchange, Headers, Sink, UpstreamRequest

EVERY: Final = 1.0
RETRY: Final = 5.0
"""Seconds between two questions; after one that was not answered."""

SPREAD: Final = 0.2
"""Part of `EVERY` that a turn is longer or shorter at random, so that replicas do not ask in step."""

WITHIN: Final = Timeouts(connect=1.0, answer=2.0)
MAX_PAGE: Final = 1024 * 1024
MAX_ENGINES: Final = 512
"""Engines that one process asks; of more the load is what it sends them itself."""

_OK: Final = 200
Start = Callable[[UpstreamRequest, Sink], Exchange]


@dataclass(slots=True, eq=False)
class Engine:
    """One endpoint to ask: under what, which names, and how; when it is next due, and the question under way.

    `ours`: our calls there when it was asked.
    """

    place: EndpointKey
    names: Metrics
    start: Start
    due: float = 0.0
    exchange: Exchange | None = None
    ours: int = 0


class Poller:
    """One process's."""

    def __init__(
        self,
        loads: MemoryLoads,
        snapshot: Callable[[], Snapshot],
        general: GeneralSession,
        sovereign: SovereignSession,
        rng: Rng,
        report: Callable[[], None],
    ) -> None:
        """Ask by these two ways out.

        Args:
            loads: takes the answers.
            snapshot: the configuration of the moment.
            general: the way to third parties.
            sovereign: the way into the VPC.
            rng: chance.
            report: reports a bug, while the exception is being handled.

        """
        self.asked = 0
        """Questions so far."""
        self.unanswered = 0
        """Those of them that told nothing."""
        self._loads = loads
        self._snapshot = snapshot
        self._general = general
        self._sovereign = sovereign
        self._rng = rng
        self._report = report
        self._now = asyncio.get_running_loop().time
        self._known: Snapshot | None = None
        self._engines: list[Engine] = []
        self._closed = asyncio.Event()

    async def run(self) -> None:
        """Ask until `close`."""
        while not self._closed.is_set():
            try:
                self.tick()
            except Exception:  # noqa: BLE001 - a bug here costs the readings, and no call
                self._report()
            await wait(self._closed, EVERY * (1 - SPREAD + 2 * SPREAD * self._rng.random()))

    def close(self) -> None:
        """Stop."""
        self._closed.set()
        self._drop()

    def tick(self) -> None:
        """Ask every engine that is due, unless it is still being asked."""
        snapshot = self._snapshot()
        if snapshot is not self._known:
            self._drop()
            self._known, self._engines = snapshot, self._of(snapshot)
            self._loads.retain({engine.place for engine in self._engines})
        now = self._now()
        for engine in self._engines:
            if engine.exchange is None and now >= engine.due:
                self.asked += 1
                engine.ours = self._loads.view.ours.get(engine.place, 0)
                request = UpstreamRequest(engine.names.path, b"", stream=False, method="GET")
                engine.exchange = engine.start(request, _Page(engine, self._answered))

    def _drop(self) -> None:
        for engine in self._engines:
            if engine.exchange is not None:
                engine.exchange.cancel()
        self._engines = []

    def _of(self, snapshot: Snapshot) -> list[Engine]:
        """Return the engines that a configuration has a choice between."""
        made: list[Engine] = []
        for name, backend in snapshot.backends.items():
            provider, inside = PROVIDERS[backend.provider], snapshot.sovereign.get(name)
            if provider.metrics is None or len(backend.endpoints) == 1:
                continue
            for endpoint in backend.endpoints:
                root = replace(endpoint, base_path=endpoint.base_path.removesuffix(provider.root))
                start: Start = (
                    partial(self._general.start, _target(backend, root))
                    if inside is None
                    else partial(self._sovereign.start, _inside(inside, root))
                )
                made.append(Engine((name, endpoint.authority), provider.metrics, start))
        return made[:MAX_ENGINES]

    def _answered(self, engine: Engine, page: bytes | None) -> None:
        """Take an engine's answer, None where there is none."""
        engine.exchange = None
        read = None if page is None else read_metrics(engine.names, page)
        if read is None:
            self.unanswered += 1
            engine.due = self._now() + RETRY
        else:
            self._loads.said(engine.place, *read, self._now(), engine.ours)


def _target(backend: Backend, endpoint: Endpoint) -> Target[Backend]:
    return Target(backend, endpoint, backend.credentials[0], "", WITHIN)


def _inside(backend: SovereignBackend, endpoint: Endpoint) -> Target[SovereignBackend]:
    return Target(backend, endpoint, backend.credentials[0], "", WITHIN)


class _Page:
    """Takes one engine's page; too long, or anything but a 200, is no answer."""

    def __init__(self, engine: Engine, answered: Callable[[Engine, bytes | None], None]) -> None:
        self._engine = engine
        self._answered = answered
        self._parts: list[bytes] = []
        self._size = 0

    def head(self, status: int, headers: Headers) -> None:  # noqa: ARG002 - the body says all
        """Take the head of the answer."""
        if status != _OK:
            self._give_up()

    def body(self, data: bytes) -> None:
        """Take a part of the page."""
        self._size += len(data)
        self._parts.append(data)
        if self._size > MAX_PAGE:
            self._give_up()

    def end(self) -> None:
        """Take the end of the page."""
        self._answered(self._engine, b"".join(self._parts))

    def failed(self, fault: Fault) -> None:  # noqa: ARG002 - calls find out for themselves
        """Take the news that there is no answer."""
        self._answered(self._engine, None)

    def _give_up(self) -> None:
        if self._engine.exchange is not None:
            self._engine.exchange.cancel()
        self._answered(self._engine, None)
