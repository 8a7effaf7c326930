"""The composition root: it names concrete classes (as does `building`), reads the clocks and listens to signals."""

import asyncio
import contextlib
import gc
import os
import random
import secrets
import signal
import socket
import sys
import time
import traceback
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvloop
from aiohttp import web

from hybridproxy.admin.server import AdminError, admin_app
from hybridproxy.admin.usage import UsageDesk
from hybridproxy.building import StartError, anchoring, auditing, bookkeeping, check_parts, make_running, today
from hybridproxy.config.load import load
from hybridproxy.config.mistakes import ConfigError
from hybridproxy.config.settings import Configuration, Settings
from hybridproxy.gateway.explain import ExplainError, explain
from hybridproxy.gateway.memory import Memory, affordable
from hybridproxy.gateway.operator import Operator
from hybridproxy.gateway.parts import Parts
from hybridproxy.gateway.pipeline import Gateway
from hybridproxy.gateway.poller import Poller
from hybridproxy.gateway.pressure import Pressure
from hybridproxy.gateway.prober import Prober
from hybridproxy.ingress.backlog import Backlog
from hybridproxy.ingress.connection import Server
from hybridproxy.ingress.server import Ingress
from hybridproxy.metering.records import NoLedger
from hybridproxy.model.facts import CallFacts
from hybridproxy.resilience.breaker import Phase
from hybridproxy.routing.readiness import region_is_usable
from hybridproxy.routing.targets import is_known, other_keys, target_keys
from hybridproxy.stores.leases import Leases, LocalLeases
from hybridproxy.stores.ledger import FileLedger
from hybridproxy.stores.ledger_files import LedgerError
from hybridproxy.stores.limiters import Limiters
from hybridproxy.stores.marks import Mark, MarkKind
from hybridproxy.stores.memory import Change, MemoryHealth
from hybridproxy.stores.messages import digest
from hybridproxy.stores.quotas import Quotas
from hybridproxy.stores.shared import SharedHealth
from hybridproxy.stores.shares import FleetShares
from hybridproxy.stores.usage import UsageTeller
from hybridproxy.tasks import spawn
from hybridproxy.telemetry.differences import Differences
from hybridproxy.telemetry.lines import LineWriter
from hybridproxy.telemetry.logs import Log
from hybridproxy.telemetry.metrics import Metrics
from hybridproxy.transport.pool import pool_keys
from hybridproxy.transport.session import GeneralSession, SovereignSession
from hybridproxy.transport.sweep import Sweep

BACKLOG: Final = 4096
FIRST_SYNC: Final = 0.5
"""Seconds to wait before listening for what the fleet knows: shares of limits, and what is used up."""

_PHASE_EVENTS: Final = {Phase.OPEN: "opened", Phase.HALF_OPEN: "half_opened", Phase.CLOSED: "closed"}


def run(path: Path, configuration: Configuration) -> None:
    """Serve with a configuration until a signal ends it; `path` is loaded anew on SIGHUP.

    Raises:
        StartError: a port is taken, or a needed part is missing.

    """
    check_parts()
    gc.collect()
    gc.freeze()  # what is there now stays; and a call's many small values need no collector to go
    gc.set_threshold(50_000, 20, 50)
    uvloop.run(_serve(path, configuration))


class _Observers:
    """Tells everyone who wants to know of a finished call."""

    def __init__(self, log: Log, metrics: Metrics, differences: Differences) -> None:
        self._log = log
        self._metrics = metrics
        self._differences = differences

    def call_finished(self, facts: CallFacts) -> None:
        self._metrics.call_finished(facts)
        self._differences.call_finished(facts)
        self._log.call_finished(facts)


class Worker:
    """One process that serves: everything built from one configuration, and how to exchange that while it runs."""

    def __init__(self, path: Path, configuration: Configuration, log_fd: int = 1) -> None:
        """Build the parts; nothing listens yet. Must be called on the running loop."""
        self.path = path
        self.plane = configuration.snapshot.plane
        self.loop = asyncio.get_running_loop()
        self.writer = LineWriter(log_fd)
        self.log = Log(self.writer)
        self.sweep = Sweep()
        rng = random.Random()  # noqa: S311 - spreads load, guards nothing
        self.health = MemoryHealth(self.loop.time, time.time, rng.random, configuration.settings.breaker)
        running = make_running(configuration)
        self.anchor = anchoring(configuration.settings, self.log.event)
        self.audit = auditing(configuration.settings, running.policy, self.log.event, self.anchor)
        self.ledger = bookkeeping(configuration.settings, self.log.event)
        self.general = GeneralSession(self.sweep, self._refused, audit=self.audit, wall=time.time)
        self.sovereign = SovereignSession(self.sweep, self._refused, audit=self.audit)
        self.metrics = Metrics(self._gauges)
        self.health.listeners.append(self._phase_changed)
        self.health.marks.listeners.append(self._marked)
        self.quotas = Quotas(self.loop.time, time.time)
        self.shares: FleetShares | None = None
        parts = Parts(
            sweep=self.sweep,
            health=self.health,
            observer=_Observers(self.log, self.metrics, Differences(self.loop.time, self.log.event)),
            wall=time.time,
            report=self._report,
            rng=rng,
            quotas=self.quotas,
            limiters=Limiters(lambda: 1 if self.shared is None else self.shared.live, log=self.log.event),
            ledger=NoLedger() if self.ledger is None else self.ledger,
        )
        self.loads, self.limiters = parts.loads, parts.limiters
        self.gateway = Gateway(running, parts, general=self.general, sovereign=self.sovereign)
        listen = configuration.settings.listen
        self.pressure = Pressure(
            lambda: self.gateway.in_flight,
            Memory(),
            clock=time.monotonic,
            log=self.log.event,
            most=affordable(listen.max_calls),
            late=listen.shed_lag,
        )
        self.ingress = Ingress(self.gateway, self._ready, self.pressure)
        self.shared = self._sharing(configuration, rng)
        leases: Leases = LocalLeases(self.health) if self.shared is None else self.shared.rights
        self.prober = Prober(
            parts,
            leases,
            lambda: self.gateway.running.snapshot,
            self.general,
            self.sovereign,
        )
        self.poller = Poller(
            parts.loads,
            lambda: self.gateway.running.snapshot,
            self.general,
            self.sovereign,
            rng,
            partial(self._report, "poll"),
        )
        self.teller = self._telling(configuration)
        self.data: asyncio.Server | None = None
        self.connections: Server | None = None
        self.backlog: Backlog | None = None
        self.admin: web.AppRunner | None = None
        self.stopped = asyncio.Event()
        self._reloading = asyncio.Lock()

    @property
    def port(self) -> int:
        """The data port that is listened on."""
        assert self.data is not None  # noqa: S101 - asked after start
        return int(self.data.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen on both ports.

        Raises:
            StartError: a port is taken or may not be listened on.

        """
        settings = self.gateway.running.settings
        if self.audit is not None:
            try:
                self.audit.start()
            except OSError as error:
                raise StartError(f"the audit log cannot be written ({error.strerror}): correct audit.path") from None
        if self.anchor is not None:
            spawn(self.anchor.run(), "anchor")
        if self.ledger is not None:
            try:
                self.ledger.start()
            except (OSError, LedgerError) as error:
                why = error.strerror if isinstance(error, OSError) else str(error)
                raise StartError(f"the ledger cannot be written ({why}): correct ledger.path") from None
            try:
                await self._remember(self.ledger)
            except OSError as error:
                raise StartError(f"the ledger cannot be read ({error.strerror}): correct ledger.path") from None
        if self.shared is not None:
            if self.shares is not None and self.ledger is not None:
                self.shares.spender = digest((self.ledger.id,))
            spawn(self.shared.run(), "redis")
            await self.shared.begun(FIRST_SYNC)
        self.connections = self.ingress.server()
        with _port(settings.listen.host, settings.listen.port, "listen"):
            self.data = await self.loop.create_server(
                self.connections, settings.listen.host, settings.listen.port, backlog=BACKLOG, reuse_address=True
            )
        self.backlog = Backlog(self.connections, [one.fileno() for one in self.data.sockets])
        if settings.admin is not None:
            app = admin_app(
                token=settings.admin.token,
                metrics=self.metrics.render,
                explain=self._explain,
                reload=self.reload,
                operator=self._operator(),
                usage=UsageDesk(
                    self.ledger,
                    settings.redis,
                    tenants=lambda: self.gateway.running.snapshot.tenants,
                    wall=time.time,
                ).answer,
            )
            self.admin = web.AppRunner(app, access_log=None)
            await self.admin.setup()
            with _port(settings.admin.host, settings.admin.port, "admin"):
                await web.TCPSite(self.admin, settings.admin.host, settings.admin.port).start()
        self.pressure.start()
        spawn(self.prober.run(), "prober")
        spawn(self.poller.run(), "poller")
        if self.teller is not None:
            spawn(self.teller.run(), "usage")
        self.log.event(
            "server.started", host=settings.listen.host, port=self.port, pid=os.getpid(), plane=self.plane.value
        )

    async def reload(self) -> list[str]:
        """Load the configuration anew: the whole of it or, with a list of the mistakes, nothing."""
        async with self._reloading:
            try:
                configuration = await asyncio.to_thread(load, self.path, os.environ, self.plane, today())
                running = await asyncio.to_thread(make_running, configuration)
            except ConfigError as error:
                mistakes = [str(mistake) for mistake in error.mistakes]
                self.log.event("config.refused", mistakes=mistakes[:20], more=max(0, len(mistakes) - 20))
                return mistakes
            if self.ledger is not None:  # limits that are new begin with what was spent
                await self.ledger.flushed()
                try:
                    await self._remember(self.ledger)
                except OSError as error:
                    self.log.event("budgets.not_restored", reason=error.strerror)
            before = self.gateway.running.settings
            after = running.settings
            self.gateway.running = running
            snapshot = running.snapshot
            if self.audit is not None:
                self.audit.policy(running.policy)
            self.health.rules = after.breaker
            self.pressure.most, self.pressure.late = affordable(after.listen.max_calls), after.listen.shed_lag
            self.health.forget(partial(is_known, snapshot))
            self.quotas.forget(snapshot.tenants.__contains__)
            self.limiters.retain(snapshot)
            self.general.retain({key for backend in snapshot.backends.values() for key in pool_keys(backend)})
            self.sovereign.retain({key for backend in snapshot.sovereign.values() for key in pool_keys(backend)})
            restart = _fixed(before) != _fixed(after)
            self.log.event("config.reloaded", needs_restart=restart)
            return []

    async def _remember(self, ledger: FileLedger) -> None:
        """Let budgets go on with what the ledger knows of this month; with Redis, what others spent comes from there.

        Raises:
            OSError: it cannot be read.

        """
        alone = self.gateway.running.settings.redis is None
        self.quotas.restore(await asyncio.to_thread(partial(ledger.spent, by_all=alone)))

    async def stop(self) -> None:
        """Drain: tell the load balancer, let it notice, take no new connection, let calls end, then close."""
        if self.ingress.draining:
            self.stopped.set()
            return
        self.ingress.draining = True
        listen = self.gateway.running.settings.listen
        self.log.event("server.draining", in_flight=self.gateway.in_flight)
        await self._until(listen.drain_delay, idle=False)
        self._listen_no_more()
        if self.connections is not None:
            self.connections.drain()
        await self._until(listen.drain_timeout, idle=True)
        self.stopped.set()

    async def _until(self, seconds: float, *, idle: bool) -> None:
        """Wait so long; less when a second signal comes, or, with `idle`, when no call is under way any more."""
        end = self.loop.time() + seconds
        while not self.stopped.is_set() and self.loop.time() < end and not (idle and self.gateway.in_flight == 0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopped.wait(), min(0.05, seconds))

    def _listen_no_more(self) -> None:
        """Take no new connection; again is no harm."""
        if self.backlog is not None:
            self.backlog.close()
        if self.data is not None:
            self.data.close()

    async def close(self) -> None:
        """Let go of everything."""
        self.pressure.close()
        self.poller.close()
        await self.prober.close()
        if self.shared is not None:
            self.shared.close()
            await self.shared.ended()
        self._listen_no_more()
        if self.connections is not None:
            await self.connections.shutdown(0.5)
        if self.admin is not None:
            await self.admin.cleanup()
        await self.general.close()
        await self.sovereign.close()
        if self.audit is not None:
            await self.audit.close()
        if self.ledger is not None:
            await self.ledger.flushed()
            if self.teller is not None:
                await self.teller.close()
            await self.ledger.close()
        if self.anchor is not None:
            await self.anchor.close()
        self.log.event("server.stopped")
        await self.writer.close()

    def _explain(self, described: dict[str, Any]) -> dict[str, Any]:
        try:
            return explain(
                self.gateway.running,
                described,
                health=self.health.view,
                now=self.loop.time(),
                loads=self.loads.view,
                limiters=self.limiters,
            )
        except ExplainError as error:
            raise AdminError(str(error)) from None

    def _ready(self, region: str | None) -> tuple[bool, str]:
        """Whether traffic should come here; with a region, whether any route has a fit backend for it."""
        if region is None:
            return True, ""
        snapshot = self.gateway.running.snapshot
        if region not in snapshot.regions:
            return False, "unknown region"
        usable = region_is_usable(snapshot, region, self.health.view, self.loop.time())
        return usable, "" if usable else "no usable backend"

    def _sharing(self, configuration: Configuration, rng: random.Random) -> SharedHealth | None:
        """Return what shares health with the other replicas, None where the configuration has no Redis."""
        settings, listen = configuration.settings.redis, configuration.settings.listen
        if settings is None:
            return None
        worker = secrets.token_hex(8)
        lasting = (socket.gethostname(), listen.host, str(listen.port)) if listen.port else (worker,)
        self.shares = self.quotas.shares = FleetShares(
            worker,
            digest(lasting, 8),
            uses=self.quotas.uses,
            now=self.loop.time,
            moment=self.quotas.moment,
            wall=time.time,
        )
        try:
            shared = SharedHealth(
                self.health,
                settings,
                worker,
                now=self.loop.time,
                rng=rng.random,
                keys=lambda: target_keys(self.gateway.running.snapshot),
                scopes=lambda: other_keys(self.gateway.running.snapshot),
                log=self.log.event,
            )
        except OSError as error:  # ssl.SSLError is one
            raise StartError(f"the CA file of redis.tls.ca cannot be used ({error.strerror or error})") from None
        shared.shares = self.shares
        return shared

    def _telling(self, configuration: Configuration) -> UsageTeller | None:
        """Return what tells the fleet of this worker's ledger, None where there is no ledger or no Redis."""
        redis = configuration.settings.redis
        if redis is None or self.ledger is None:
            return None
        return UsageTeller(self.ledger, redis, wall=time.time)

    def _operator(self) -> Operator:
        """Return what carries out an operator's orders here."""
        return Operator(
            self.health,
            running=lambda: self.gateway.running,
            shared=lambda: (
                None
                if self.shared is None
                else {"up": self.shared.up, "live": self.shared.live, "age": self.shared.age()}
            ),
            under_way=lambda: {"calls": self.gateway.in_flight},
            limits=lambda: {"upstream_limits": self.limiters.shown(), **self.quotas.state()},
            pressure=self.pressure.shown,
            log=self.log.event,
            now=self.loop.time,
            wall=time.time,
        )

    def _phase_changed(self, change: Change) -> None:
        """Log what became of a target; a backend that is left alone is news, and so is one that came back."""
        backend, endpoint, model, credential = change.key
        state = change.state
        self.log.event(
            f"breaker.{_PHASE_EVENTS[state.phase]}",
            backend=backend,
            endpoint=endpoint,
            model=model,
            credential=credential,
            reason=state.reason,
            seconds=round(max(0.0, state.until - self.loop.time()), 2) if state.phase is Phase.OPEN else None,
        )
        self.metrics.phase_changed(backend, state.phase.value)

    def _marked(self, mark: Mark, heard: bool) -> None:  # noqa: FBT001 - a listener's signature
        """Log a quarantine at once: until somebody acts the key is not used."""
        if mark.kind is MarkKind.QUARANTINE:
            named = mark.key[1:] if len(mark.key) == 3 else (mark.key[0], mark.key[-1])
            name = "credential.quarantined" if mark.until > time.time() else "credential.released"
            model = None if len(mark.key) == 3 else mark.key[2]
            self.log.event(name, backend=named[0], credential=named[1], model=model, reason=mark.reason, heard=heard)

    def _refused(self, backend: str, why: str) -> None:
        """Tell whoever is on call that a connection would have gone where it must not, or met an impostor."""
        self.metrics.egress_refused(backend)
        self.log.event("egress.refused", backend=backend, reason=why)

    def _gauges(self) -> dict[str, float]:
        return {
            "hybridproxy_calls_in_flight": self.gateway.in_flight,
            **self.pressure.gauges(),
            "hybridproxy_upstream_connections": self.general.open + self.sovereign.open,
            "hybridproxy_targets_out": len(self.health.out()),
            "hybridproxy_credentials_quarantined": sum(
                mark.kind is MarkKind.QUARANTINE for mark in self.health.marks.in_force()
            ),
            "hybridproxy_probes_sent": self.prober.sent,
            "hybridproxy_engine_polls": self.poller.asked,
            "hybridproxy_engine_polls_unanswered": self.poller.unanswered,
            **self.limiters.gauges(),
            **(self._redis_gauges(self.shared) if self.shared is not None else {}),
            **(self.audit.gauges() if self.audit is not None else {}),
            **(self.anchor.gauges() if self.anchor is not None else {}),
            **(self.ledger.gauges() if self.ledger is not None else {}),
            **({} if self.teller is None else {"hybridproxy_ledger_rows_untold": self.teller.waiting}),
            "hybridproxy_log_lines_dropped": self.writer.dropped,
        }

    @staticmethod
    def _redis_gauges(shared: SharedHealth) -> dict[str, float]:
        return {
            "hybridproxy_redis_up": float(shared.up),
            "hybridproxy_redis_live_workers": shared.live,
            "hybridproxy_redis_round_trips": shared.round_trips,
            "hybridproxy_redis_failures": shared.failures,
            "hybridproxy_redis_poisoned_values": shared.poisoned,
            **({} if shared.shares is None else shared.shares.gauges()),
        }

    def _report(self, request_id: str) -> None:
        """Log a bug: the kind of error and where it happened, without the values it happened with."""
        error = sys.exc_info()[1]
        frames = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(sys.exc_info()[2])[-6:]]
        self.log.event("call.crashed", id=request_id, error=type(error).__name__, where=frames)


def _fixed(settings: Settings) -> tuple[object, ...]:
    """Return what a reload does not change in a running process."""
    listen = settings.listen
    places = listen.host, listen.port, listen.keepalive
    return *places, settings.admin, settings.redis, settings.audit, settings.ledger


async def _serve(path: Path, configuration: Configuration) -> None:
    worker = Worker(path, configuration)
    loop = asyncio.get_running_loop()
    # before anything listens: whoever sees the port open may send a signal
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: spawn(worker.stop(), "drain"))
    loop.add_signal_handler(signal.SIGHUP, lambda: spawn(worker.reload(), "reload"))
    try:
        await worker.start()
        for warning in configuration.warnings:
            worker.log.event("config.warned", warning=warning)
        await worker.stopped.wait()
    finally:
        await worker.close()


@contextlib.contextmanager
def _port(host: str, port: int, section: str) -> Any:
    """Turn the failure to listen into words."""
    try:
        yield
    except (OSError, socket.gaierror) as error:
        why = "something else listens there" if error.errno == 98 else (error.strerror or str(error))
        raise StartError(f"cannot listen on {host}:{port} ({why}); change {section}.port or stop the other") from None
