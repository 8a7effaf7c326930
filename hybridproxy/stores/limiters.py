"""What this process sends for each of our credentials: limits of backends that the operator gave, or that it learnt.

A call that finds no room waits in the line of its credential if there will be some within `gates.MAX_WAIT`; else the
next backend is chosen before anything is sent. In a fleet each worker holds an equal part: what the operator gave,
divided by the workers that are alive.
"""

import asyncio
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

from hybridproxy.model.backend import Backend, SovereignBackend
from hybridproxy.model.limits import NO_RATES, Rates
from hybridproxy.model.plan import Target
from hybridproxy.model.snapshot import Snapshot
from hybridproxy.resilience.limiter import Limiter
from hybridproxy.stores.gates import Books, Full, Gate, Lane, LaneKey, Timers, Turn, Waiting, Wish

MAX_LANES: Final = 20_000
"""Lanes that are kept; more can only come from names that wildcards cover, and then quiet ones are forgotten.

First those where nothing was learnt; if that does not make room for half as many, then whatever has no call under way.
A caller can make up names as fast as it can call, so what is forgotten is never looked through for each of them.
"""


class Limiters:
    """Every lane of this process."""

    def __init__(
        self,
        workers: Callable[[], int] = lambda: 1,
        loop: Timers | None = None,
        log: Callable[..., object] = lambda *_, **__: None,
    ) -> None:
        """Begin with nothing under way.

        Args:
            workers: how many of the fleet are alive, this one too.
            loop: whose clock and timers count, None: the running one's.
            log: takes events by name.

        """
        self.books = Books(log)
        self._loop: Timers = loop or asyncio.get_running_loop()
        self._time = self._loop.time
        self._workers = workers
        self._parts = 1
        self._lanes: dict[LaneKey, Lane] = {}
        self._gates: dict[tuple[str, str], Gate] = {}

    def free(self, target: Target[Any]) -> Turn | None:
        """Return a turn at a target that nothing limits, None where the call has to ask. On a good day that is all."""
        backend = target.backend
        lane = self._lanes.get((backend.id, target.credential.id, target.model))
        if lane is None or lane.gate.given is not backend.limits:
            lane = self._lane(backend, target.credential.id, target.model)
        return None if lane.bounded else lane.start(self._time())

    def ask(
        self, target: Target[Any], wish: Wish, ready: Callable[[Turn | Full], None] | None = None
    ) -> Turn | Waiting | Full:
        """Return a call's turn at a target, its place in the line, or that there is no room.

        Args:
            target: where it goes.
            wish: what the call needs.
            ready: is told of its turn where it waits, or that it got none after all; None: it never waits.

        """
        lane = self._lane(target.backend, target.credential.id, target.model)
        self._divide()
        return lane.gate.ask(lane, wish, ready)

    def full(self, target: Target[Any]) -> Full | None:
        """Return why a small call would not begin at a target now, None where it would."""
        lane = self._lanes.get((target.backend.id, target.credential.id, target.model))
        if lane is None or not lane.bounded:
            return None
        return lane.gate.against(lane, 1 if lane.gate.given.tpm else 0, self._time())

    def retain(self, snapshot: Snapshot) -> None:
        """Forget lanes of what is no longer configured, and gates where nothing is limited any more."""
        backends: Iterator[Backend | SovereignBackend] = chain(snapshot.backends.values(), snapshot.sovereign.values())
        known = {(one.id, key.id): one.limits != NO_RATES for one in backends for key in one.credentials}
        self._lanes = {key: lane for key, lane in self._lanes.items() if key[:2] in known}
        self._gates = {key: gate for key, gate in self._gates.items() if known.get(key)}

    def shown(self) -> list[dict[str, Any]]:
        """Return what limits this process, and how much of it is in use, as JSON values."""
        self._divide()
        now = self._time()
        rows: list[dict[str, Any]] = []
        for (backend, credential), gate in self._gates.items():
            limiter = gate.limiter
            if limiter is not None:
                limiter.requests.expire(now)
                limiter.tokens.expire(now)
                rates, used = limiter.rates, (limiter.requests.total, limiter.tokens.total, limiter.under_way)
                given = zip(("rpm", "tpm", "streams"), (rates.rpm, rates.tpm, rates.streams), used, strict=True)
                limits = {name: {"limit": limit, "used": n} for name, limit, n in given if limit is not None}
                row = {"backend": backend, "credential": credential, "model": None, "limits": limits, "learnt": {}}
                rows.append({**row, "waiting": len(gate), "refused": gate.refused})
        for lane in self._lanes.values():
            if lane.bounded and (learnt := lane.shown(now)):
                backend, credential, model = lane.key
                row = {"backend": backend, "credential": credential, "model": model, "limits": {}, "learnt": learnt}
                rows.append({**row, "waiting": len(lane.gate), "refused": lane.gate.refused})
        return rows

    def gauges(self) -> dict[str, float]:
        """Return numbers for whoever watches."""
        gates = {id(lane.gate): lane.gate for lane in self._lanes.values() if lane.bounded}
        return {
            "hybridproxy_upstream_waiting": sum(map(len, gates.values())),
            "hybridproxy_upstream_waited": self.books.waited,
            "hybridproxy_upstream_waited_seconds": self.books.seconds,
            "hybridproxy_upstream_refused": self.books.refused,
            "hybridproxy_upstream_learnt": sum(bool(lane.shown(self._time())) for lane in self._bounded()),
        }

    def _bounded(self) -> Iterator[Lane]:
        return (lane for lane in self._lanes.values() if lane.bounded)

    def _lane(self, backend: Backend | SovereignBackend, credential: str, model: str) -> Lane:
        key = (backend.id, credential, model)
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= MAX_LANES:
                self._forget()
            lane = self._lanes[key] = Lane(key, self._gate(backend.limits, key), self._time)
        elif lane.gate.given is not backend.limits:  # its gate goes by those of another call's configuration
            lane.gate = self._gate(backend.limits, key)
            lane.bounded = True
        return lane

    def _forget(self) -> None:
        """Make room: what the operator gave for a credential stands at its gate, which stays."""
        now = self._time()
        kept = {key: lane for key, lane in self._lanes.items() if lane.under_way or lane.has_learnt(now)}
        if len(kept) > MAX_LANES // 2:
            kept = {key: lane for key, lane in kept.items() if lane.under_way}
        self._lanes = kept

    def _gate(self, rates: Rates, key: LaneKey) -> Gate:
        if rates == NO_RATES:
            return Gate(rates, None, self._workers, self.books, self._loop)
        gate = self._gates.get(key[:2])
        if gate is None:
            limiter = Limiter(rates, self._parts)
            gate = self._gates[key[:2]] = Gate(rates, limiter, self._workers, self.books, self._loop)
        else:
            gate.give(rates, self._parts)
        return gate

    def _divide(self) -> None:
        """Hold another part where the fleet has grown or shrunk."""
        parts = max(1, self._workers())
        if parts != self._parts:
            self._parts = parts
            for gate in self._gates.values():
                gate.give(gate.given, parts)
