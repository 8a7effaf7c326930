"""Which backends serve a call, in which order, and why: the one decision everything else follows.

First policy says what is allowed (`ways` for the caller, `gate` for the call), then health removes, then scores order,
and within a backend of several endpoints `cluster`.
Failures can only ever remove: nothing here, and nothing after it, adds a backend that policy did not allow.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final, TypeVar

from hybridproxy.model.backend import B, Backend, SovereignBackend
from hybridproxy.model.call import Call
from hybridproxy.model.caller import Caller
from hybridproxy.model.health import HEALTHY, Admits, Ban, Health, HealthKey, Key, named_by
from hybridproxy.model.load import NO_LOADS, Loads
from hybridproxy.model.plan import Candidate, Plan, Refusal, RefusalKind, Target
from hybridproxy.model.snapshot import Snapshot
from hybridproxy.routing import gate
from hybridproxy.routing.cluster import Place, bond_of, chance_of, order
from hybridproxy.routing.preference import preferred
from hybridproxy.routing.scores import Rng, ordered
from hybridproxy.routing.ways import Way, Ways, general_ways, sovereign_ways

MAX_TARGETS_OF_ONE: Final = 2
"""Targets of one backend: it is never asked a third time."""

MAX_REASONS: Final = 20
"""Backends that a refusal gives its reasons for."""

COME_BACK: Final = 5.0
"""Seconds after which what is out with no end that is known may be back: as long as a target stays open at first."""

T = TypeVar("T")

Rows = Sequence[tuple[tuple[HealthKey, Key, Target[B]], ...]]
"""For each endpoint the targets with each credential, as in `Way.targets`."""


def plan(
    call: Call,
    caller: Caller,
    snapshot: Snapshot,
    health: Health,
    now: float,
    rng: Rng,
    loads: Loads = NO_LOADS,
) -> Plan[Backend] | Refusal:
    """Return the attempts an ordinary tenant's call may make, or why there is none.

    Args:
        call: what is asked for.
        caller: who asks, and from where.
        snapshot: the configuration.
        health: the targets that are not fit.
        now: seconds on the clock that `health` and `loads` use.
        rng: chance.
        loads: how loaded endpoints are, which says which endpoint of a backend comes first, and how soon backends
            answer, which orders them where the route goes by that; nothing else.

    Raises:
        ValueError: the call is sovereign.

    """
    if caller.sovereign:
        raise ValueError("a sovereign call is planned by plan_sovereign")
    ways = general_ways(snapshot, caller, call.model)
    return ways if isinstance(ways, Refusal) else _choose(call, caller, ways, health, now, rng, loads)


def plan_sovereign(
    call: Call,
    caller: Caller,
    snapshot: Snapshot,
    health: Health,
    now: float,
    rng: Rng,
    loads: Loads = NO_LOADS,
) -> Plan[SovereignBackend] | Refusal:
    """Return the attempts a sovereign tenant's call may make: VPC backends with the model, wherever the caller is.

    Raises:
        ValueError: the call is not sovereign.

    """
    if not caller.sovereign:
        raise ValueError("only a sovereign call is planned by plan_sovereign")
    ways = sovereign_ways(snapshot, caller, call.model)
    return ways if isinstance(ways, Refusal) else _choose(call, caller, ways, health, now, rng, loads)


class _Endpoints:
    """Orders the endpoints of backends that have several; what binds the call is worked out once."""

    __slots__ = ("_bond", "_loads", "_now", "_rng")

    def __init__(self, call: Call, caller: Caller, loads: Loads, now: float, rng: Rng) -> None:
        self._bond = bond_of(caller.tenant.id, call)
        self._loads = loads
        self._now = now
        self._rng = rng

    def rows(self, way: Way[B], health: Health) -> Rows[B]:
        """Return a way's rows in the order to try them; those that are out count for nothing, and stand last."""
        rows: Rows[B] = way.targets
        out: Rows[B] = ()
        places: Sequence[Place] = way.places
        if health:
            up = [
                n
                for n, row in enumerate(rows)
                if any(self._serves(health, key, credential) for key, credential, _ in row)
            ]
            out = [row for n, row in enumerate(rows) if n not in up]
            rows, places = [rows[n] for n in up], [places[n] for n in up]
        if len(rows) > 1:
            rows = [rows[n] for n in order(places, self._loads, self._bond, self._now, self._rng)]
        return tuple(chain(rows, out)) if out else rows

    def _serves(self, health: Health, key: Key, credential: Key) -> bool:
        ban = _in_force(health, credential, self._now) or _in_force(health, key, self._now)
        return ban is None or ban.admits is not Admits.NONE

    def random(self) -> float:
        """Return the call's chance at a ramp: the same for the whole conversation, where it is bound."""
        return self._rng.random() if self._bond is None else chance_of(self._bond)


def _choose(
    call: Call, caller: Caller, ways: Ways[B], health: Health, now: float, rng: Rng, loads: Loads
) -> Plan[B] | Refusal:
    """Gate, then health, over the ways in the order to try them."""
    kept: list[Candidate] = []
    dropped: list[Candidate] = []
    targets: list[Target[B]] = []
    late: list[tuple[Candidate, list[Target[B]]]] = []
    bans: list[Ban] = []
    endpoints: _Endpoints | None = None
    touched = named_by(health)
    groups: Iterable[Sequence[Way[B]]] = ways.groups
    if ways.prefer:
        best_first = preferred(ways.groups, ways.prefer, call, ways.model.family, loads, now, rng)
        groups = [[way] for way in best_first]
    for group in groups:
        for way in group if len(group) == 1 else ordered(group, rng):
            reason = gate.allows(call, ways.model, way.served, way.provider, way.manner)
            if reason is None:
                well = not touched or touched.isdisjoint(way.names)
                rows: Rows[B] = way.targets
                if way.places:
                    endpoints = endpoints or _Endpoints(call, caller, loads, now, rng)
                    rows = endpoints.rows(way, HEALTHY if well else health)
                if well:
                    targets += _all(rows, rng)
                    kept.append(way.kept)
                    continue
                found, behind, against = _fit(way, rows, health, now, rng, endpoints or rng)
                if behind:
                    late.append((Candidate(way.kept.backend, kept=True, reason=f"last: {against[0].reason}"), found))
                    continue
                if found:
                    targets += found
                    kept.append(way.kept)
                    continue
                bans += against
                reason = f"health: {against[0].reason}"
            dropped.append(Candidate(way.kept.backend, kept=False, reason=reason))
    for candidate, found in late:
        kept.append(candidate)
        targets += found
    candidates = (*kept, *dropped, *ways.dropped)
    if not targets:
        return _nothing_left(dropped, candidates, bans, now)
    return Plan(tuple(targets), candidates, ways.handling, ways.model.family)


def _all(rows: Rows[B], rng: Rng) -> list[Target[B]]:
    """Return the targets of a way that is fit: behind the first a second endpoint, or else a second key."""
    if len(rows) == 1:
        return [target for _, _, target in _turned(rows[0], rng)[:MAX_TARGETS_OF_ONE]]
    return [_turned(row, rng)[0][2] for row in rows[:MAX_TARGETS_OF_ONE]]


def _fit(
    way: Way[B], rows: Rows[B], health: Health, now: float, rng: Rng, luck: Rng
) -> tuple[list[Target[B]], bool, list[Ban]]:
    """Return the fit targets of a way, whether it stands behind the others this time, and what speaks against it.

    A target that comes back by a ramp is fit for a part of the calls, by `luck`; for the others it stands behind.
    """
    against = [ban for key in way.keys if (ban := _in_force(health, key, now)) is not None]
    if against:
        return [], False, against
    found: list[Target[B]] = []
    later: list[Target[B]] = []
    most = MAX_TARGETS_OF_ONE if len(rows) == 1 else 1
    for row in rows:
        of_row = len(found) + most
        for key, credential, target in _turned(row, rng):
            if len(found) == of_row:
                break
            ban = _in_force(health, credential, now) or _in_force(health, key, now)
            if ban is None or ban.admits is Admits.PROBE:
                found.append(target)
                continue
            if ban.admits is Admits.RAMP:
                (found if luck.random() < ban.share(now) else later).append(target)
            against.append(ban)
    fit = found + later
    return fit[:MAX_TARGETS_OF_ONE], not found and bool(later), against


def _in_force(health: Health, key: Key, now: float) -> Ban | None:
    ban = health.get(key)
    return None if ban is None or ban.until <= now else ban


def _turned(items: tuple[T, ...], rng: Rng) -> tuple[T, ...]:
    """Return the items in their order, beginning at a random one."""
    if len(items) == 1:
        return items
    first = int(rng.random() * len(items))
    return items[first:] + items[:first]


def _nothing_left(dropped: list[Candidate], candidates: tuple[Candidate, ...], bans: list[Ban], now: float) -> Refusal:
    kind, message, wait = RefusalKind.NO_BACKEND_ALLOWED, "no backend may serve this call", None
    if bans:
        kind, message = RefusalKind.NO_BACKEND_LEFT, "every backend that may serve this call is unavailable"
        wait = max(1.0, min(COME_BACK if ban.until == math.inf else ban.until - now for ban in bans))
    elif dropped and all(candidate.reason.startswith(gate.TOO_LONG) for candidate in dropped):
        kind, message = RefusalKind.CONTEXT_TOO_LONG, "the input is longer than any allowed backend's context window"
    reasons = "; ".join(f"{c.backend}: {c.reason}" for c in candidates[:MAX_REASONS])
    return Refusal(kind, f"{message}. {reasons}" if reasons else message, candidates, wait)
