"""Which backends serve a call, in which order, and why: the one decision everything else follows.

First policy says what is allowed (`ways` for the caller, `gate` for the call), then health removes, then scores order.
Failures can only ever remove: nothing here, and nothing after it, adds a backend that policy did not allow.
"""

from typing import Final, TypeVar

from hybridproxy.model.backend import B, Backend, SovereignBackend
from hybridproxy.model.call import Call
from hybridproxy.model.caller import Caller
from hybridproxy.model.health import Ban, Health
from hybridproxy.model.plan import Candidate, Plan, Refusal, RefusalKind, Target
from hybridproxy.model.snapshot import Snapshot
from hybridproxy.routing import gate
from hybridproxy.routing.scores import Rng, ordered
from hybridproxy.routing.ways import Way, Ways, general_ways, sovereign_ways

MAX_TARGETS_OF_ONE: Final = 2
"""Targets of one backend where a plan has others too: of a call's few attempts one has to reach the next backend."""

MAX_REASONS: Final = 20
"""Backends that a refusal gives its reasons for."""

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
        ValueError: the tenant is sovereign.

    """
    if caller.tenant.sovereign:
        raise ValueError("a sovereign tenant's call is planned by plan_sovereign")
    ways = general_ways(snapshot, caller, call.model)
    return ways if isinstance(ways, Refusal) else _choose(call, ways, health, now, rng)


def plan_sovereign(
    call: Call, caller: Caller, snapshot: Snapshot, health: Health, now: float, rng: Rng
) -> Plan[SovereignBackend] | Refusal:
    """Return the attempts a sovereign tenant's call may make: VPC backends with the model, wherever the caller is.

    Raises:
        ValueError: the tenant is not sovereign.

    """
    if not caller.tenant.sovereign:
        raise ValueError("only a sovereign tenant's call is planned by plan_sovereign")
    ways = sovereign_ways(snapshot, caller, call.model)
    return ways if isinstance(ways, Refusal) else _choose(call, ways, health, now, rng)


def _choose(call: Call, ways: Ways[B], health: Health, now: float, rng: Rng) -> Plan[B] | Refusal:
    """Gate, then health, over the ways in the order to try them."""
    kept: list[Candidate] = []
    dropped: list[Candidate] = []
    chosen: list[list[Target[B]]] = []
    bans: list[Ban] = []
    for group in ways.groups:
        for way in group if len(group) == 1 else ordered(group, rng):
            reason = gate.allows(call, ways.model, way.served, way.provider)
            if reason is None:
                banned: list[Ban] = []
                targets = _fit(way, health, now, rng, banned)
                if targets:
                    chosen.append(targets)
                    kept.append(way.kept)
                    continue
                bans += banned
                reason = f"health: {banned[0].reason}"
            dropped.append(Candidate(way.kept.backend, kept=False, reason=reason))
    candidates = (*kept, *dropped, *ways.dropped)
    if not chosen:
        return _nothing_left(dropped, candidates, bans, now)
    most = MAX_TARGETS_OF_ONE if len(chosen) > 1 else None
    return Plan(tuple([target for targets in chosen for target in targets[:most]]), candidates, ways.timeouts)


def _fit(way: Way[B], health: Health, now: float, rng: Rng, banned: list[Ban]) -> list[Target[B]]:
    """Return one target an endpoint, from a random one on, each with the first fit credential from a random one on."""
    found: list[Target[B]] = []
    for row in _turned(way.targets, rng):
        for key, target in _turned(row, rng):
            ban = health.get(key) if health else None
            if ban is None or ban.until <= now:
                found.append(target)
                break
            banned.append(ban)
    return found


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
        wait = max(1.0, min(ban.until for ban in bans) - now)
    elif dropped and all(candidate.reason.startswith(gate.TOO_LONG) for candidate in dropped):
        kind, message = RefusalKind.CONTEXT_TOO_LONG, "the input is longer than any allowed backend's context window"
    reasons = "; ".join(f"{c.backend}: {c.reason}" for c in candidates[:MAX_REASONS])
    return Refusal(kind, f"{message}. {reasons}" if reasons else message, candidates, wait)
