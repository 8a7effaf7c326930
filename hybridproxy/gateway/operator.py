"""The operator's hand: takes backends and regions out of service by word, brings them back, and shows what is out.

    drain      a backend gets no new calls; those under way come to their end. Over by time or by `undrain`
    trip       a backend's breakers are open until then; afterwards it comes back as after any fault: a check, probes, a
               ramp. Earlier by `reset`
    reset      what is held against a backend is forgotten: its trip, its quarantined keys, breakers, cool-offs, ramps.
               A drain is no such thing and stays
    evacuate   the backends that lie in a region get no new calls, wherever callers are. Over by time or by `restore`

Each order only removes, or takes an earlier removal back: where a sovereign tenant's backends are out its calls are
refused, and nothing goes elsewhere. An order holds here at once, and wherever health is shared within a second; while
Redis cannot be reached it holds here alone and is told as soon as Redis is back. Callers read that something is out;
the operator's reason is for other operators and for the log.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from hybridproxy.config.values import duration, suggestion
from hybridproxy.gateway.running import Running
from hybridproxy.model.health import Admits, HealthKey, Key, credential_key, named_by, region_key
from hybridproxy.model.value import value
from hybridproxy.resilience.breaker import INTEGRITY_SPAN, START_SPAN, BreakerState, Phase, recent_opens
from hybridproxy.resilience.window import add
from hybridproxy.stores.marks import MAX_REASON, MAX_SECONDS, Mark, MarkKind
from hybridproxy.stores.memory import MemoryHealth

HOUR: Final = 3600.0
"""Seconds that something is out where nobody says for how long."""

MAX_TARGETS: Final = 1000
"""Targets that `state` lists, those that are not fit first."""

_LASTING = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|[smhd])")
_DAY: Final = 86_400.0
_WHY: Final = {
    MarkKind.DRAIN: "drained",
    MarkKind.TRIP: "tripped",
    MarkKind.EVACUATE: "evacuated",
    MarkKind.QUARANTINE: "quarantined",
    MarkKind.RESET: "reset",  # keeps nothing out, unless Redis says so
}
_ADMITS: Final = {Admits.NONE: "none", Admits.PROBE: "probe", Admits.RAMP: "ramp"}


class OperatorError(Exception):
    """An order that cannot be carried out; the text says why, and what to do."""


class UnknownNameError(OperatorError):
    """Nothing configured has this name."""


class EmptyRegionError(OperatorError):
    """No backend lies in this region."""


@value
class Order:
    """One order.

    Attributes:
        noun: what it is given for: a backend or a region.
        event: how the log calls it.
        kind: the mark it puts or lifts.
        perform: what does it; False when there was nothing to do.
        lasts: it takes out of service: it needs a reason, and ends by itself.
        says: what is so afterwards.
        nothing: what was so before, where there was nothing to do.

    """

    noun: str
    event: str
    kind: MarkKind
    perform: Callable[..., bool | None]
    lasts: bool
    says: str
    nothing: str = ""


ORDERS: Final = {
    "drain": Order(
        "backend", "backend.drained", MarkKind.DRAIN, MemoryHealth.drain, lasts=True,
        says="is drained until {until}: no new calls, those under way come to their end",
    ),
    "undrain": Order(
        "backend", "backend.undrained", MarkKind.DRAIN, MemoryHealth.undrain, lasts=False,
        says="is no longer drained", nothing="is not drained",
    ),
    "trip": Order(
        "backend", "backend.tripped", MarkKind.TRIP, MemoryHealth.trip, lasts=True,
        says="is tripped until {until}; then it comes back by a check, probes and a ramp",
    ),
    "reset": Order(
        "backend", "backend.reset", MarkKind.TRIP, MemoryHealth.reset, lasts=False,
        says="is reset: forgot {forgot}", nothing="has nothing held against it",
    ),
    "evacuate": Order(
        "region", "region.evacuated", MarkKind.EVACUATE, MemoryHealth.evacuate, lasts=True,
        says="is evacuated until {until}: no new calls to {backends}",
    ),
    "restore": Order(
        "region", "region.restored", MarkKind.EVACUATE, MemoryHealth.restore, lasts=False,
        says="is no longer evacuated", nothing="is not evacuated",
    ),
}  # fmt: skip


@value
class Result:
    """What came of an order.

    Attributes:
        id: the backend or the region.
        changed: False: there was nothing to do.
        message: the same in words.
        out: what keeps it out of service the longest: `why`, `reason`, `until` (ISO 8601, UTC); None: nothing does.
        backends: those it is about.
        shared: the other replicas hear of it; False: Redis cannot be reached; None: nothing is shared.
        forgot: of a reset: how many of what.

    """

    id: str
    changed: bool
    message: str
    out: Mapping[str, str] | None
    backends: tuple[str, ...]
    shared: bool | None
    forgot: Mapping[str, int] | None


class Operator:
    """Carries out orders on one worker's health."""

    def __init__(  # noqa: PLR0913 - each tells of another part of the worker
        self,
        health: MemoryHealth,
        *,
        running: Callable[[], Running],
        shared: Callable[[], Mapping[str, Any] | None],
        under_way: Callable[[], Mapping[str, int]],
        pressure: Callable[[], Mapping[str, Any]],
        limits: Callable[[], Mapping[str, Any]] = dict,
        log: Callable[..., None],
        now: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """Give orders to `health`.

        Args:
            health: what this worker knows.
            running: the configuration of the moment.
            shared: how sharing goes: `up`, `live` (workers), `age` (seconds since the last sync); None: it is not
                configured.
            under_way: how much is under way, by what it is.
            limits: what limits tenants and our use of backends, and how much of it is in use, as parts of the state.
            pressure: how this worker bears its load, and which calls it refuses because of it.
            log: takes the name of an event and its fields.
            now: the clock of `health`.
            wall: seconds since the epoch.

        """
        self._health = health
        self._running = running
        self._sharing = shared
        self._under_way = under_way
        self._limits = limits
        self._pressure = pressure
        self._log = log
        self._now = now
        self._wall = wall

    def give(self, order: str, name: str, reason: object = "", lasting: object = HOUR) -> Result:
        """Carry out an order.

        Args:
            order: one of `ORDERS`.
            name: the backend or region it is for.
            reason: why, see `reason_of`; required where it takes something out of service.
            lasting: for how long, see `seconds_of`.

        Raises:
            OperatorError: it cannot be carried out.

        """
        row = ORDERS[order]
        reason = reason_of(reason, required=row.lasts)
        seconds = seconds_of(lasting) if row.lasts else 0.0
        key = (row.noun, name)
        backends = self._meant(row, key)
        forgot = self._held(name) if row.perform is MemoryHealth.reset else None
        performed = row.perform(self._health, name, *((reason, seconds) if row.lasts else ()))
        mark = self._mark(key, row.kind)
        until = None if mark is None else _iso(mark.until)
        changed = performed is not False if forgot is None else any(forgot.values())
        counted = ", ".join(f"{what}: {count}" for what, count in (forgot or {}).items() if count)
        if changed or forgot is not None:  # a reset is told to other replicas even where there was nothing to forget
            self._log(row.event, id=name, reason=reason or None, until=until, shared=self._shared())
        says = row.says.format(until=until, forgot=counted, backends=_list(backends)) if changed else row.nothing
        message = f"{'' if changed else 'nothing to do: '}{row.noun} {name} {says}"
        out = self._out(self._health.marks.in_force(), key)
        if out is not None and (mark is None or out != _shown(mark)):
            message += f"; it is {out['why']} until {out['until']}: {out['reason']}"
        return Result(
            id=name,
            changed=changed,
            message=message,
            out=out,
            backends=backends,
            shared=self._shared(),
            forgot=forgot,
        )

    # ---- what is out ----

    def state(self) -> dict[str, Any]:
        """Return what is known of backends, regions, keys and sharing, as a JSON value; it holds no secret."""
        snapshot = self._running().snapshot
        marks = self._health.marks.in_force()
        targets, left_off = self._targets(marks)
        return {
            "at": _iso(self._wall()),
            "backends": [
                {
                    "id": backend.id,
                    "provider": backend.provider,
                    "site": backend.site or None,
                    "region": backend.region or None,
                    "trust": backend.trust.value,
                    "out": self._out(marks, ("backend", backend.id)),
                    "targets": targets.get(backend.id, []),
                }
                for backend in snapshot.backends.values()
            ],
            "regions": [
                {"id": region, "backends": self._lying_in(region), "out": self._out(marks, region_key(region))}
                for region in snapshot.regions
            ],
            "marks": [{**_named(mark.key), **_shown(mark)} for mark in sorted(marks, key=lambda mark: mark.until)],
            "sharing": self._shown_sharing(),
            "under_way": dict(self._under_way()),
            "pressure": dict(self._pressure()),
            "targets_left_off": left_off,
            **self._limits(),
        }

    def _targets(self, marks: list[Mark]) -> tuple[dict[str, list[dict[str, Any]]], int]:
        """Return by backend the targets of which something is known, and how many more there are."""
        quarantined = {mark.key: mark for mark in marks if mark.kind is MarkKind.QUARANTINE}
        known = []
        for key, state in self._health.states().items():
            shown = self._target(key, state, quarantined)
            if shown is not None:
                known.append((shown["admits"] == "all", key, shown))
        known.sort(key=lambda row: row[:2])
        targets: dict[str, list[dict[str, Any]]] = {}
        for _, key, shown in known[:MAX_TARGETS]:
            targets.setdefault(key[0], []).append(shown)
        return targets, max(0, len(known) - MAX_TARGETS)

    def _target(self, key: HealthKey, state: BreakerState, quarantined: Mapping[Key, Mark]) -> dict[str, Any] | None:
        now = self._now()
        refused = quarantined.get(credential_key(key[0], key[3])) or quarantined.get(key)
        ban = self._health.view.get(credential_key(key[0], key[3])) or self._health.view.get(key)
        ban = None if ban is None or ban.until <= now else ban
        starts = add(state.starts, now, START_SPAN, fault=False, count=0)
        ends = add(state.ends, now, INTEGRITY_SPAN, fault=False, count=0)
        opens = recent_opens(state, now)
        if ban is None and not (starts.samples or ends.samples or state.streak or opens):
            return None
        _, endpoint, model, credential = key
        return {
            "endpoint": endpoint,
            "model": model,
            "credential": credential,
            "phase": state.phase.value,
            "admits": "all" if ban is None else _ADMITS[ban.admits],
            "reason": None if ban is None else f"quarantined: {_plain(refused.reason)}" if refused else ban.reason,
            "open_until": self._time(state.until) if state.phase is Phase.OPEN else None,
            "cooling_until": self._time(state.cool_until) if state.cool_until > now else None,
            "ramp": round(ban.share(now), 2) if ban is not None and ban.admits is Admits.RAMP else None,
            "opens": opens,
            "faults_in_a_row": state.streak,
            "starts": {"seen": starts.samples, "faults": starts.faults, "seconds": START_SPAN},
            "ends": {"seen": ends.samples, "faults": ends.faults, "seconds": INTEGRITY_SPAN},
        }

    def _shown_sharing(self) -> dict[str, Any] | None:
        sharing = self._sharing()
        if sharing is None:
            return None
        age = float(sharing["age"])
        return {
            "up": bool(sharing["up"]),
            "live_workers": int(sharing["live"]),
            "seconds_since_sync": round(age, 1) if math.isfinite(age) else None,
        }

    # ---- inside ----

    def _meant(self, row: Order, key: Key) -> tuple[str, ...]:
        """Return the backends an order is about. What is not configured any more can be given back, not taken out."""
        snapshot, name = self._running().snapshot, key[1]
        known = snapshot.backends if row.noun == "backend" else snapshot.regions
        if name not in known and (row.lasts or self._mark(key, row.kind) is None):
            raise UnknownNameError(f"there is no {row.noun} {name[:64]!r}: {suggestion(name, known)}")
        backends = (name,) if row.noun == "backend" else self._lying_in(name)
        if not backends and row.lasts:
            raise EmptyRegionError(
                f"no configured backend lies in region {name!r}: set backends.NAME.region for those that do"
            )
        return backends

    def _mark(self, key: Key, kind: MarkKind) -> Mark | None:
        return next((mark for mark in self._health.marks.in_force() if mark.key == key and mark.kind is kind), None)

    def _lying_in(self, region: str) -> tuple[str, ...]:
        return tuple(name for name, backend in self._running().snapshot.backends.items() if backend.region == region)

    def _held(self, backend: str) -> dict[str, int]:
        """Return how many of what a reset of this backend forgets."""
        now, view = self._now(), self._health.view
        marks = [mark.kind for mark in self._health.marks.in_force() if named_by([mark.key]) == {backend}]
        states = {key: state for key, state in self._health.states().items() if key[0] == backend}
        ramps = [ban for key in states if (ban := view.get(key)) is not None and ban.admits is Admits.RAMP]
        return {
            "trips": marks.count(MarkKind.TRIP),
            "quarantines": marks.count(MarkKind.QUARANTINE),
            "breakers": sum(state.phase is not Phase.CLOSED for state in states.values()),
            "cool_offs": sum(state.cool_until > now for state in states.values()),
            "ramps": sum(ban.until > now for ban in ramps),
        }

    def _out(self, marks: list[Mark], key: Key) -> Mapping[str, str] | None:
        """Return what keeps a backend or a region out; a backend may be so by its region."""
        backend = self._running().snapshot.backends.get(key[1]) if key[0] == "backend" else None
        keys = (key,) if backend is None else (key, region_key(backend.region))
        against = [mark for mark in marks if mark.key in keys]
        return _shown(max(against, key=lambda mark: mark.until)) if against else None

    def _shared(self) -> bool | None:
        sharing = self._sharing()
        return None if sharing is None else bool(sharing["up"])

    def _time(self, moment: float) -> str:
        """Return a moment on the loop's clock as time of day."""
        return _iso(self._wall() + moment - self._now())


def reason_of(given: object, *, required: bool = True) -> str:
    """Return a reason that may be logged and shown.

    Raises:
        OperatorError: it is none.

    """
    reason = given.strip() if isinstance(given, str) else None
    if reason is None or not int(required) <= len(reason) <= MAX_REASON or not reason.isprintable():
        raise OperatorError(f"'reason': expected a text of 1 to {MAX_REASON} printable characters that says why")
    return reason


def seconds_of(given: object) -> float:
    """Return for how long.

    Raises:
        OperatorError: it is no duration, or not from 1 s to 7 days.

    """
    if isinstance(given, str) and (match := _LASTING.fullmatch(given)):
        given = float(match[1]) * (_DAY if match[2] == "d" else duration(f"1{match[2]}"))
    if isinstance(given, bool) or not isinstance(given, int | float) or not 1 <= given <= MAX_SECONDS:
        raise OperatorError("'for': expected a duration such as 90s, 30m, 1h or 7d, or seconds, from 1s to 7d (168h)")
    return float(given)


def _named(key: Key) -> dict[str, str]:
    """Return what a mark is about."""
    if len(key) == 4:
        return dict(zip(("backend", "endpoint", "model", "credential"), key, strict=True))
    if len(key) == 3:
        return {"backend": key[1], "credential": key[2]}
    return {key[0]: key[1]}


def _shown(mark: Mark) -> dict[str, str]:
    return {"why": _WHY[mark.kind], "reason": _plain(mark.reason), "until": _iso(mark.until)}


def _plain(text: str) -> str:
    """Return a text for a terminal: another replica's reason came through Redis."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
