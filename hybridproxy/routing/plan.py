"""Which backends serve a call, in which order, and why: the one decision everything else follows.

First policy says what is allowed (`ways` for the caller, `gate` for the call), then health removes, then scores order.
Failures can only ever remove: nothing here, and nothing after it, adds a backend that policy did not allow.
"""

import math
from typing import Final, TypeVar

from hybridproxy.model.backend import B, Backend, SovereignBackend
from hybridproxy.model.call import Call
from hybridproxy.model.caller import Caller
from hybridproxy.model.health import Admits, Ban, Health, Key, named_by
from hybridproxy.model.plan import Candidate, Plan, Refusal, RefusalKind, Target
from hybridproxy.model.snapshot import Snapshot
from hybridproxy.routing import gate
from hybridproxy.routing.scores import Rng, ordered
from hybridproxy.routing.ways import Way, Ways, general_ways, sovereign_ways

MAX_TARGETS_OF_ONE: Final = 2
"""Targets of one backend: it is never asked a third time."""

MAX_REASONS: Final = 20
"""Backends that a refusal gives its reasons for."""

COME_BACK: Final = 5.0
"""Seconds after which what is out with no end that is known may be back: as long as a target stays open at first."""

T = TypeVar("T")


def plan(
    call: Call, caller: Caller, snapshot: Snapshot, health: Health, now: float, rng: Rng
) -> Plan[Backend] | Refusal:
    """Return the attempts an ordinary tenant's call may make, or why there is none.

    Args:
        call: what is asked for.
        caller: who asks, and from where.
        snapshot: the configuration.
        health: the targets that are not fit.
        now: seconds on the clock that `health` uses.
        rng: chance.

    Raises:
        ValueError: the call is sovereign.

    """
    if caller.sovereign:
        raise ValueError("a sovereign call is planned by plan_sovereign")
    ways = general_ways(snapshot, caller, call.model)
    return ways if isinstance(ways, Refusal) else _choose(call, ways, health, now, rng)


def plan_sovereign(
    call: Call, caller: Caller, snapshot: Snapshot, health: Health, now: float, rng: Rng
) -> Plan[SovereignBackend] | Refusal:
    """Return the attempts a sovereign tenant's call may make: VPC backends with the model, wherever the caller is.

    Raises:
        ValueError: the call is not sovereign.

    """
    if not caller.sovereign:
        raise ValueError("only a sovereign call is planned by plan_sovereign")
    ways = sovereign_ways(snapshot, caller, call.model)
    return ways if isinstance(ways, Refusal) else _choose(call, ways, health, now, rng)


def _choose(call: Call, ways: Ways[B], health: Health, now: float, rng: Rng) -> Plan[B] | Refusal:
    """Gate, then health, over the ways in the order to try them."""
    kept: list[Candidate] = []
    dropped: list[Candidate] = []
    targets: list[Target[B]] = []
    late: list[tuple[Candidate, list[Target[B]]]] = []
    bans: list[Ban] = []
    touched = named_by(health)
    for group in ways.groups:
        for way in group if len(group) == 1 else ordered(group, rng):
            reason = gate.allows(call, ways.model, way.served, way.provider)
            if reason is None:
                if not touched or touched.isdisjoint(way.names):
                    targets += _all(way, rng)
                    kept.append(way.kept)
                    continue
                found, behind, against = _fit(way, health, now, rng)
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
    return Plan(tuple(targets), candidates, ways.handling)


def _all(way: Way[B], rng: Rng) -> list[Target[B]]:
    """Return the targets of a way that is fit: behind the first a second endpoint, or else a second key."""
    rows = way.targets
    if len(rows) == 1:
        return [target for _, _, target in _turned(rows[0], rng)[:MAX_TARGETS_OF_ONE]]
    return [_turned(row, rng)[0][2] for row in _turned(rows, rng)[:MAX_TARGETS_OF_ONE]]


def _fit(way: Way[B], health: Health, now: float, rng: Rng) -> tuple[list[Target[B]], bool, list[Ban]]:
    """Return the fit targets of a way, whether it stands behind the others this time, and what speaks against it.

    A target that comes back by a ramp is fit for a part of the calls; for the others it stands behind.
    """
    against = [ban for key in way.keys if (ban := _in_force(health, key, now)) is not None]
    if against:
        return [], False, against
    found: list[Target[B]] = []
    later: list[Target[B]] = []
    most = MAX_TARGETS_OF_ONE if len(way.targets) == 1 else 1
    for row in _turned(way.targets, rng):
        of_row = len(found) + most
        for key, credential, target in _turned(row, rng):
            if len(found) == of_row:
                break
            ban = _in_force(health, credential, now) or _in_force(health, key, now)
            if ban is None or ban.admits is Admits.PROBE:
                found.append(target)
                continue
            if ban.admits is Admits.RAMP:
                (found if rng.random() < ban.share(now) else later).append(target)
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
