"""The composition root: the only file that names concrete classes, reads the clocks and listens to signals."""

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

import aiohttp
import uvloop
from aiohttp import http_parser, web

from geo.database import CountryDatabase, DatabaseError
from geo.locate import Locator
from hybridproxy.admin.server import AdminError, admin_app
from hybridproxy.config.load import load
from hybridproxy.config.mistakes import ConfigError, Mistake
from hybridproxy.config.settings import Configuration
from hybridproxy.gateway.explain import ExplainError, explain
from hybridproxy.gateway.operator import Operator
from hybridproxy.gateway.parts import Parts
from hybridproxy.gateway.pipeline import Gateway
from hybridproxy.gateway.poller import Poller
from hybridproxy.gateway.prober import Prober
from hybridproxy.gateway.running import Running
from hybridproxy.ingress.connection import AIOHTTP_VERSION, Server
from hybridproxy.ingress.server import Ingress
from hybridproxy.model.facts import CallFacts
from hybridproxy.residency.policy import policy_hash
from hybridproxy.resilience.breaker import Phase
from hybridproxy.routing.readiness import region_is_usable
from hybridproxy.routing.targets import is_known, other_keys, target_keys
from hybridproxy.stores.anchor import Anchor, FileSink, HttpSink
from hybridproxy.stores.audit import Audit
from hybridproxy.stores.leases import Leases, LocalLeases
from hybridproxy.stores.marks import Mark, MarkKind
from hybridproxy.stores.memory import Change, MemoryHealth
from hybridproxy.stores.segments import Segments
from hybridproxy.stores.shared import SharedHealth
from hybridproxy.stores.signing import KeyFileError, key_at
from hybridproxy.tasks import spawn
from hybridproxy.telemetry.lines import LineWriter
from hybridproxy.telemetry.logs import Log
from hybridproxy.telemetry.metrics import Metrics
from hybridproxy.transport.pool import pool_keys
from hybridproxy.transport.session import GeneralSession, SovereignSession
from hybridproxy.transport.sweep import Sweep

BACKLOG: Final = 4096
_PHASE_EVENTS: Final = {Phase.OPEN: "opened", Phase.HALF_OPEN: "half_opened", Phase.CLOSED: "closed"}


class StartError(Exception):
    """The server cannot start; the text says why and what to do."""


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


def check_parts() -> None:
    """Refuse to start on parts that are known to be unsafe or far too slow.

    Raises:
        StartError: aiohttp is another version, or came without its C extension.

    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise StartError("aiohttp's C parser is not loaded: install its wheel and unset AIOHTTP_NO_EXTENSIONS")
    if aiohttp.__version__ != AIOHTTP_VERSION:
        raise StartError(f"aiohttp is {aiohttp.__version__}, this version is made for {AIOHTTP_VERSION}: install that")


class _Observers:
    """Tells everyone who wants to know of a finished call."""

    def __init__(self, log: Log, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics

    def call_finished(self, facts: CallFacts) -> None:
        self._metrics.call_finished(facts)
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
        self.anchor = self._anchoring(configuration)
        self.audit = self._auditing(configuration, running.policy)
        self.general = GeneralSession(self.sweep, self._refused, audit=self.audit)
        self.sovereign = SovereignSession(self.sweep, self._refused, audit=self.audit)
        self.metrics = Metrics(self._gauges)
        self.health.listeners.append(self._phase_changed)
        self.health.marks.listeners.append(self._marked)
        parts = Parts(
            sweep=self.sweep,
            health=self.health,
            observer=_Observers(self.log, self.metrics),
            wall=time.time,
            report=self._report,
            rng=rng,
        )
        self.gateway = Gateway(running, parts, general=self.general, sovereign=self.sovereign)
        self.ingress = Ingress(self.gateway, self._ready)
        self.shared = self._sharing(configuration, rng)
        leases: Leases = LocalLeases(self.health) if self.shared is None else self.shared.rights
        self.prober = Prober(
            self.health,
            leases,
            lambda: self.gateway.running.snapshot,
            self.general,
            self.sovereign,
            time.time,
            partial(self._report, "probe"),
        )
        self.poller = Poller(
            parts.loads,
            lambda: self.gateway.running.snapshot,
            self.general,
            self.sovereign,
            rng,
            partial(self._report, "poll"),
        )
        self.data: asyncio.Server | None = None
        self.connections: Server | None = None
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
        self.connections = self.ingress.server()
        with _port(settings.listen.host, settings.listen.port, "listen"):
            self.data = await self.loop.create_server(
                self.connections, settings.listen.host, settings.listen.port, backlog=BACKLOG, reuse_address=True
            )
        if settings.admin is not None:
            app = admin_app(
                token=settings.admin.token,
                metrics=self.metrics.render,
                explain=self._explain,
                reload=self.reload,
                operator=self._operator(),
            )
            self.admin = web.AppRunner(app, access_log=None)
            await self.admin.setup()
            with _port(settings.admin.host, settings.admin.port, "admin"):
                await web.TCPSite(self.admin, settings.admin.host, settings.admin.port).start()
        spawn(self.prober.run(), "prober")
        spawn(self.poller.run(), "poller")
        if self.shared is not None:
            spawn(self.shared.run(), "redis")
        self.log.event(
            "server.started", host=settings.listen.host, port=self.port, pid=os.getpid(), plane=self.plane.value
        )

    async def reload(self) -> list[str]:
        """Load the configuration anew: the whole of it or, with a list of the mistakes, nothing."""
        async with self._reloading:
            try:
                configuration = await asyncio.to_thread(load, self.path, os.environ, self.plane)
                running = await asyncio.to_thread(make_running, configuration)
            except ConfigError as error:
                mistakes = [str(mistake) for mistake in error.mistakes]
                self.log.event("config.refused", mistakes=mistakes[:20], more=max(0, len(mistakes) - 20))
                return mistakes
            before = self.gateway.running.settings
            after = running.settings
            self.gateway.running = running
            snapshot = running.snapshot
            if self.audit is not None:
                self.audit.policy(running.policy)
            self.health.rules = after.breaker
            self.health.forget(partial(is_known, snapshot))
            self.general.retain({key for backend in snapshot.backends.values() for key in pool_keys(backend)})
            self.sovereign.retain({key for backend in snapshot.sovereign.values() for key in pool_keys(backend)})
            restart = (before.listen.host, before.listen.port, before.admin, before.redis, before.audit) != (
                after.listen.host,
                after.listen.port,
                after.admin,
                after.redis,
                after.audit,
            )
            self.log.event("config.reloaded", needs_restart=restart)
            return []

    async def stop(self) -> None:
        """Drain: tell the load balancer, let it notice, take no new connection, let calls end, then close."""
        if self.ingress.draining:
            self.stopped.set()
            return
        self.ingress.draining = True
        listen = self.gateway.running.settings.listen
        self.log.event("server.draining", in_flight=self.gateway.in_flight)
        await self._until(listen.drain_delay, idle=False)
        if self.data is not None:
            self.data.close()
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

    async def close(self) -> None:
        """Let go of everything."""
        self.poller.close()
        await self.prober.close()
        if self.shared is not None:
            self.shared.close()
            await self.shared.ended()
        if self.data is not None:
            self.data.close()
        if self.connections is not None:
            await self.connections.shutdown(0.5)
        if self.admin is not None:
            await self.admin.cleanup()
        await self.general.close()
        await self.sovereign.close()
        if self.audit is not None:
            await self.audit.close()
        if self.anchor is not None:
            await self.anchor.close()
        self.log.event("server.stopped")
        await self.writer.close()

    def _explain(self, described: dict[str, Any]) -> dict[str, Any]:
        try:
            return explain(self.gateway.running, described, health=self.health.view, now=self.loop.time())
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
        settings = configuration.settings.redis
        if settings is None:
            return None
        try:
            return SharedHealth(
                self.health,
                settings,
                secrets.token_hex(8),
                now=self.loop.time,
                rng=rng.random,
                keys=lambda: target_keys(self.gateway.running.snapshot),
                scopes=lambda: other_keys(self.gateway.running.snapshot),
                log=self.log.event,
            )
        except OSError as error:  # ssl.SSLError is one
            raise StartError(f"the CA file of redis.tls.ca cannot be used ({error.strerror or error})") from None

    def _anchoring(self, configuration: Configuration) -> Anchor | None:
        """Return what sends the audit log's heads elsewhere, None where the configuration names no place."""
        audit = configuration.settings.audit
        if audit is None or audit.anchor is None:
            return None
        sink = FileSink(audit.anchor) if isinstance(audit.anchor, Path) else HttpSink(audit.anchor)
        return Anchor(sink, self.log.event)

    def _auditing(self, configuration: Configuration, policy: str) -> Audit | None:
        """Return the audit log, None where the configuration has none."""
        audit = configuration.settings.audit
        if audit is None:
            return None
        try:
            key = key_at(audit.key)
        except KeyFileError as error:
            raise StartError(f"audit.key: {error}") from None
        return Audit(
            Segments(audit.folder),
            key,
            policy,
            wall=time.time,
            new_id=partial(secrets.token_hex, 8),
            log=self.log.event,
            heads=self.anchor,
        )

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
            "hybridproxy_upstream_connections": self.general.open + self.sovereign.open,
            "hybridproxy_targets_out": len(self.health.out()),
            "hybridproxy_credentials_quarantined": sum(
                mark.kind is MarkKind.QUARANTINE for mark in self.health.marks.in_force()
            ),
            "hybridproxy_probes_sent": self.prober.sent,
            "hybridproxy_engine_polls": self.poller.asked,
            "hybridproxy_engine_polls_unanswered": self.poller.unanswered,
            **(self._redis_gauges(self.shared) if self.shared is not None else {}),
            **(self.audit.gauges() if self.audit is not None else {}),
            **(self.anchor.gauges() if self.anchor is not None else {}),
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
        }

    def _report(self, request_id: str) -> None:
        """Log a bug: the kind of error and where it happened, without the values it happened with."""
        error = sys.exc_info()[1]
        frames = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(sys.exc_info()[2])[-6:]]
        self.log.event("call.crashed", id=request_id, error=type(error).__name__, where=frames)


def make_running(configuration: Configuration) -> Running:
    """Return the configuration with what is built from it. Reads the country database, so not on the loop.

    Raises:
        ConfigError: the database cannot be used.

    """
    geo = configuration.settings.geo
    try:
        database = CountryDatabase.open(geo.database)
    except DatabaseError as error:
        mistake = Mistake(str(configuration.sources[0]), 0, 0, "geo.database", str(error))
        raise ConfigError([mistake]) from None
    locator = Locator(database, geo.overrides)
    return Running(configuration.snapshot, configuration.settings, locator, policy_hash(configuration.snapshot))


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
