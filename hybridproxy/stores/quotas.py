"""What tenants have in use of their limits, in this process: places, requests, tokens and money.

A call finds its tenant (`of`), takes a place when its key is known (`enter`), and gives it back when it is over
(`leave`). Once its model and its estimate are known it reserves what it will use of all limits that cover it
(`reserve`): of all or, where one has no room, of none. The reservation is settled once by what was used. How much of a
limit is this process's tells `Shares`.

What is counted for a limit outlives a reload of the configuration, and a change of the limit. Bounded by the tenants
and patterns of the configuration: what nobody uses is dropped, money with its period.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any, Final

from hybridproxy.metering.report import OTHERS
from hybridproxy.model.limits import NO_LIMITS, LimitKey, Limits, Measure, Shares
from hybridproxy.model.snapshot import Tenant
from hybridproxy.model.value import value
from hybridproxy.resilience.quota import (
    SPAN,
    Calendar,
    Counter,
    Excess,
    Moment,
    Places,
    Spending,
    Window,
    month_of,
    rest_of,
)
from hybridproxy.routing.gate import covers

SWEEP_EVERY: Final = 600.0
"""Seconds between two looks for what nobody uses."""

IDLE: Final = 2 * SPAN
MAX_MODELS: Final = 256
"""Names of models of which it is remembered which of a tenant's limits cover them."""

MAX_SHOWN: Final = 200
"""Limits that `state` lists."""

DEMAND: Final = 2.0
"""Seconds of present demand that a limit's `want` looks ahead."""

UNSURE: Final = 1.0
"""Seconds after which to come back when nobody knows when there is room, but there may be any moment: the share and not
the limit is used up, or what is used up is reserved for calls that may cost less."""

NEARLY: Final = 0.75
"""Part of a share in use from which more of it is asked for."""

_MONEY: Final = frozenset({Measure.DAY, Measure.MONTH})
_WEIGHED: Final = _MONEY | {Measure.TOKENS}
_PLACE: Final = {measure: place for place, measure in enumerate(Measure)}
_NOTHING: Final = (0,) * len(Measure)
_EPOCH: Final = date(1970, 1, 1).toordinal()

Spend = tuple[str, str, str, int]
"""What the ledger knows: day (UTC, YYYY-MM-DD), tenant, model by the caller's name, nano-dollars."""


@value
class Use:
    """What one limit has in use here.

    Attributes:
        key: tenant, pattern, measure.
        limit: the limit.
        used: in use now; of money what was spent in the period, what is reserved included.
        reserved: of money, what of that is not settled.
        want: how much it would have in use in about two seconds at the present demand; all while it is short.
        short: a call was refused within the last two seconds.
        refused: calls that were refused since the start.
        period: of money, the day or month since the epoch.

    """

    key: LimitKey
    limit: int
    used: int
    reserved: int
    want: int
    short: bool
    refused: int
    period: int | None


class Meter:
    """One limit with what is in use of it, and how much was asked for lately."""

    __slots__ = (
        "_before", "_lately", "_since", "_until", "counter", "key", "limit", "measure", "place", "refused",
        "refused_at", "short_at", "touched",
    )  # fmt: skip

    def __init__(self, key: LimitKey, limit: int, counter: Counter) -> None:
        """Count by a counter."""
        self.key = key
        self.limit = limit
        self.measure = key[2]
        self.place = _PLACE[key[2]]
        self.counter = counter
        self.refused = 0
        self.refused_at = self.short_at = self.touched = -math.inf
        self._since = self._lately = self._before = 0
        self._until = DEMAND

    def asked(self, at: Moment, amount: int) -> None:
        """Take the news that a call asked for an amount, whether it got it or not."""
        self.touched = now = at.now
        if now >= self._until:
            since = int(now / DEMAND)
            self._before = self._lately if since == self._since + 1 else 0
            self._since, self._until, self._lately = since, (since + 1) * DEMAND, 0
        self._lately += amount

    def demand(self, at: Moment) -> int:
        """Return about how much is asked for in two seconds."""
        passed = int(at.now / DEMAND) - self._since
        return max(self._lately, self._before) if passed == 0 else self._lately if passed == 1 else 0

    def use(self, at: Moment) -> Use:
        """Return what is in use and wanted."""
        counter, used = self.counter, self.counter.used(at)
        short = at.now - self.refused_at < DEMAND
        ahead = 1 + used // 4 if self.measure is Measure.STREAMS else self.demand(at)
        want = self.limit if short else min(self.limit, used + ahead)
        reserved, period = (counter.reserved(at), counter.period(at)) if isinstance(counter, Spending) else (0, None)
        return Use(self.key, self.limit, used, reserved, want, short, self.refused, period)


_Amounts = tuple[int, ...]
"""How much of each measure, in the order of `Measure`."""


class Reservation:
    """What one call has taken; settled once, by what it used."""

    __slots__ = ("_covering", "_marks", "_quotas", "_taken")

    def __init__(self, quotas: "Quotas", covering: "Covering", marks: list[Any], taken: _Amounts) -> None:
        """Hold what was taken of which limits, and their marks of it."""
        self._quotas = quotas
        self._covering = covering
        self._marks = marks
        self._taken = taken

    def settle(self, tokens: int, cost: int) -> None:
        """Put what was used in the place of what was reserved. A second time nothing happens."""
        self._end((1, tokens, 0, cost, cost))

    def give_back(self) -> None:
        """Give everything back: the call reached nobody. A second time nothing happens."""
        self._end(_NOTHING)

    def stands(self) -> None:
        """Let the estimate stand: nobody knows what was used. A second time nothing happens."""
        self._end(self._taken)

    def grow(self, cost: int) -> None:
        """Reserve this cost where less is reserved: the call got dearer than expected. Once settled nothing happens."""
        meters, (*others, expected, _) = self._covering.meters, self._taken
        if cost > expected and meters:
            for meter, mark in zip(meters, self._marks, strict=True):
                if isinstance(meter.counter, Spending):
                    meter.counter.grow(mark, cost - expected)
            self._taken = (*others, cost, cost)

    @property
    def capped(self) -> bool:
        """Whether a budget covers the call."""
        return self._covering.capped

    def _end(self, used: _Amounts) -> None:
        meters, self._covering = self._covering.meters, NOTHING_COVERED
        if meters:
            at, taken = self._quotas.moment(), self._taken
            for meter, mark in zip(meters, self._marks, strict=True):
                place = meter.place
                meter.touched = at.now
                meter.counter.settle(at, mark, taken[place], used[place])


@value
class Covering:
    """The limits that cover a tenant's calls for one model, but the one of places of all its calls.

    Attributes:
        meters: all of them.
        rates: those of requests and of tokens, with what they count by.
        weighs: it matters how many tokens a call will use, or what it will cost.
        capped: one of them is a budget.

    """

    meters: tuple[Meter, ...]
    rates: tuple[tuple[Meter, Window], ...]
    weighs: bool
    capped: bool


def covering(meters: Iterable[Meter]) -> Covering:
    """Return limits by what they are about."""
    listed = tuple(meters)
    rates = tuple((meter, meter.counter) for meter in listed if isinstance(meter.counter, Window))
    measures = {meter.measure for meter in listed}
    return Covering(listed, rates, bool(measures & _WEIGHED), bool(measures & _MONEY))


NOTHING_COVERED: Final = covering(())


class Counted:
    """What one tenant has in use, under the limits that it has at the moment."""

    __slots__ = ("by_model", "entry", "limits", "meters", "places", "scopes", "seen")

    def __init__(self) -> None:
        """Begin with nothing in use, and no limits."""
        self.seen = 0.0
        self.places = Places()
        self.limits: Limits = NO_LIMITS
        self.meters: dict[LimitKey, Meter] = {}
        self.scopes: tuple[tuple[str, tuple[Meter, ...]], ...] = ()
        self.entry: tuple[Meter | None, Meter | None] = (None, None)
        self.by_model: dict[str | None, Covering] = {}

    def covering(self, model: str | None) -> Covering:
        """Return the limits that cover a call for a model, by the caller's name of it; None: it is not known."""
        found = self.by_model.get(model)
        if found is None:
            if len(self.by_model) >= MAX_MODELS:
                self.by_model.clear()
            scopes = [
                meters for scope, meters in self.scopes if not scope or (model is not None and covers(scope, model))
            ]
            found = self.by_model[model] = covering(
                meter for meters in scopes for meter in meters if meter is not self.entry[0]
            )
        return found

    def is_in_use(self, at: Moment) -> bool:
        """Return whether there are calls under way, or anything that counts."""
        return bool(self.places.used(at)) or not all(meter.counter.is_empty(at) for meter in self.meters.values())


class Quotas:
    """All tenants' limits. Mutable; never waits and never raises.

    Attributes:
        shares: how much of each limit is this process's; None: all, it is alone.
        refused: calls that were refused, by what the limit bounds.
        wall: seconds since the epoch.

    """

    def __init__(self, now: Callable[[], float], wall: Callable[[], float], shares: Shares | None = None) -> None:
        """Count.

        Args:
            now: seconds on a clock that nobody can set.
            wall: seconds since the epoch.
            shares: how much of each limit is this process's; None: all.

        """
        self.shares = shares
        self.refused: dict[Measure, int] = dict.fromkeys(Measure, 0)
        self._now = now
        self.wall = wall
        self._calendar = Calendar()
        self._tenants: dict[str, Counted] = {}
        self._restored: dict[str, dict[str, tuple[int, int]]] = {}
        self._restored_at = (0, 0)
        self._swept = now()

    def moment(self) -> Moment:
        """Return the present."""
        return self._calendar.moment(self._now(), self.wall())

    # ---- a call's way ----

    def of(self, tenant: Tenant) -> Counted | None:
        """Return what a tenant has in use, and put its limits in force; None where it has none.

        What comes back is good until its call has left, or for one step where it takes no place.
        """
        limits = tenant.limits
        if limits is NO_LIMITS:
            return None
        mine = self._tenants.get(tenant.id)
        if mine is None:
            self._sweep()
            mine = self._tenants[tenant.id] = Counted()
        if mine.limits is not limits:
            if mine.limits != limits:
                self._adopt(mine, tenant.id, limits)
            mine.limits = limits
        return mine

    def full(self, mine: Counted, at: Moment | None = None) -> Excess | None:
        """Return why a tenant may not call now, whatever its call is about: its places or its requests are used up."""
        at = self.moment() if at is None else at
        mine.seen = at.now
        for meter in mine.entry:
            if meter is not None and (excess := self._lacks(meter, at, 1)) is not None:
                return excess
        return None

    def enter(self, mine: Counted) -> Excess | None:
        """Take a place for a call of a tenant, before its body is read; it is given back with `leave`.

        A tenant whose requests are used up is refused here already: nothing of its call need be read.
        """
        at = self.moment()
        excess = self.full(mine, at)
        if excess is None:
            places, _ = mine.entry
            if places is not None:
                places.asked(at, 1)
            mine.places.take(at, 1)
        return excess

    def leave(self, mine: Counted) -> None:
        """Give a place back that `enter` gave."""
        mine.seen = self._now()
        mine.places.leave()

    def reserve(self, mine: Counted, covering: Covering, tokens: int = 0, cost: int = 0) -> Reservation | Excess:
        """Reserve what a call will use of every limit that covers it, or nothing where one has no room.

        Args:
            mine: what its tenant has in use.
            covering: the limits that cover it.
            tokens: as estimated.
            cost: nano-dollars, as estimated.

        """
        meters, amounts = covering.meters, (1, tokens, 1, cost, cost)
        at = self.moment()
        mine.seen = at.now
        for meter in meters:
            if (excess := self._lacks(meter, at, amounts[meter.place])) is not None:
                return excess
        marks = []
        for meter in meters:
            amount = amounts[meter.place]
            meter.asked(at, amount)
            marks.append(meter.counter.take(at, amount))
        return Reservation(self, covering, marks, amounts)

    def _lacks(self, meter: Meter, at: Moment, amount: int) -> Excess | None:
        """Return why a limit has no room for an amount; what takes nothing of it needs no room."""
        if not amount:
            return None
        limit, counter, shares = meter.limit, meter.counter, self.shares
        ceiling = limit if shares is None else min(limit, shares.ceiling(meter.key, limit))
        after = counter.used(at) + amount
        if after <= ceiling:
            if shares is not None and ceiling < limit and after > NEARLY * ceiling:
                shares.short(meter.key)
            return None
        meter.asked(at, amount)
        meter.refused += 1
        meter.refused_at = at.now
        self.refused[meter.measure] += 1
        measure = meter.measure
        reserved = counter.reserved(at) if isinstance(counter, Spending) else 0
        wait: float | None
        if amount > limit:
            wait = None
        elif measure in _MONEY:  # what is reserved may turn out to be less
            wait = UNSURE if after - reserved <= ceiling else rest_of(measure, int(self.wall() * 1000))
        else:
            wait = counter.wait(at, amount, ceiling)
        if shares is not None and after <= limit:  # the share has no room, the limit has
            shares.short(meter.key)
            if at.now - meter.short_at > 2 * DEMAND:
                meter.short_at = at.now
            wait = UNSURE if at.now - meter.short_at < DEMAND or wait == math.inf else wait
        elif wait == math.inf:
            wait = UNSURE
        return Excess(measure, meter.key[1], limit, after - amount, amount, wait, reserved)

    def _ceiling(self, key: LimitKey, limit: int) -> int:
        """Return how much of a limit this process may have in use."""
        return limit if self.shares is None else min(limit, self.shares.ceiling(key, limit))

    # ---- what is known ----

    def rates(self, covering: Covering) -> dict[Measure, tuple[int, int, float]]:
        """Return of requests and tokens, where a limit covers them: limit, what is left of it, seconds to all of it.

        Of several limits that with the least left.
        """
        found: dict[Measure, tuple[int, int, float]] = {}
        now = self._now()
        for meter, window in covering.rates:
            used, whole = window.standing(now)
            limit = meter.limit
            left = self._ceiling(meter.key, limit) - used
            known = found.get(meter.measure)
            if known is None or left < known[1]:
                found[meter.measure] = (limit, left, whole)
        return found

    def uses(self, *, every: bool = False) -> Iterator[Use]:
        """Yield what the limits have in use that were touched within the last two minutes.

        Places that are taken are in use however long ago that was.

        Args:
            every: also of limits that were not touched, as long as something is in use.

        """
        at = self.moment()
        for mine in list(self._tenants.values()):
            if not every and at.now - mine.seen > IDLE and not mine.places.used(at):
                continue
            for _, meters in mine.scopes:
                for meter in meters:
                    held = (every or meter.measure is Measure.STREAMS) and meter.counter.used(at)
                    if held or at.now - meter.touched <= IDLE:
                        yield meter.use(at)

    def state(self) -> dict[str, Any]:
        """Return the limits that have something in use, the fullest first, and how many were left off, as JSON.

        Money is in nano-dollars. `share`: how much of the limit this process may have in use.
        """
        uses = [use for use in self.uses(every=True) if use.used or use.refused]
        uses.sort(key=lambda use: -use.used / max(1, use.limit))
        shown = [
            {
                "tenant": use.key[0],
                "models": use.key[1] or "*",
                "measure": use.key[2].value,
                "limit": use.limit,
                "share": self._ceiling(use.key, use.limit),
                "used": use.used,
                "reserved": use.reserved,
                "refused": use.refused,
            }
            for use in uses[:MAX_SHOWN]
        ]
        return {"limits": shown, "limits_left_off": max(0, len(uses) - MAX_SHOWN)}

    def restore(self, rows: Iterable[Spend]) -> None:
        """Take what the ledger knows of the periods under way: what a budget has spent at least.

        Called before calls are served, and before a reload, which may bring a new budget, or one that was away for a
        while and counted nothing then.
        """
        at = self.moment()
        restored: dict[str, dict[str, tuple[int, int]]] = {}
        for text, tenant, model, amount in rows:
            try:
                day = date.fromisoformat(text).toordinal() - _EPOCH
            except ValueError:
                continue
            if month_of(day) == at.month and amount > 0:
                models = restored.setdefault(tenant, {})
                today, month = models.get(model, (0, 0))
                models[model] = (today + (amount if day == at.day else 0), month + amount)
        self._restored, self._restored_at = restored, (at.day, at.month)
        for mine in self._tenants.values():
            for meter in mine.meters.values():
                if isinstance(meter.counter, Spending):
                    meter.counter.catch_up(at, self._before(meter.key))

    def forget(self, known: Callable[[str], bool]) -> None:
        """Drop the meters of tenants that are not known any more, and have nothing in use.

        What was spent stays for its period: a file that lost a tenant by mistake, and is mended, reopens no budget.
        """
        at = self.moment()
        for tenant in [one for one, mine in self._tenants.items() if not (known(one) or mine.is_in_use(at))]:
            del self._tenants[tenant]

    def __len__(self) -> int:
        """How many tenants are counted."""
        return len(self._tenants)

    # ---- inside ----

    def _adopt(self, mine: Counted, tenant: str, limits: Limits) -> None:
        """Put other limits in force, and keep what is in use of those that go by the same name."""
        at = self.moment()
        scopes = []
        for scope, rates, caps in (
            ("", limits.rates, limits.caps),
            *((one.pattern, one.rates, one.caps) for one in limits.models),
        ):
            given = (
                (Measure.STREAMS, rates.streams), (Measure.REQUESTS, rates.rpm), (Measure.TOKENS, rates.tpm),
                (Measure.DAY, caps.day), (Measure.MONTH, caps.month),
            )  # fmt: skip
            meters = []
            for measure, limit in given:
                if limit is None:
                    continue
                key = (tenant, scope, measure)
                meter = mine.meters.get(key)
                if meter is None:
                    meter = mine.meters[key] = Meter(key, limit, self._counter(key, mine, at))
                meter.limit = limit
                meters.append(meter)
            scopes.append((scope, tuple(meters)))
        mine.scopes = tuple(scopes)
        by_measure = {meter.measure: meter for meter in scopes[0][1]}
        mine.entry = (by_measure.get(Measure.STREAMS), by_measure.get(Measure.REQUESTS))
        mine.by_model = {}

    def _counter(self, key: LimitKey, mine: Counted, at: Moment) -> Counter:
        """Return a counter of what is in use already."""
        _, scope, measure = key
        if measure is Measure.STREAMS:
            return Places() if scope else mine.places
        if measure not in _MONEY:
            return Window()
        spending, before = Spending(measure), self._before(key)
        if before:
            spending.add(at, self._restored_at[measure is Measure.MONTH], before)
        return spending

    def _before(self, key: LimitKey) -> int:
        """Return what the ledger knew of a budget's period when it was asked last."""
        tenant, scope, measure = key
        which = measure is Measure.MONTH
        return sum(
            sums[which]
            for model, sums in self._restored.get(tenant, {}).items()
            if not scope or model == OTHERS or covers(scope, model)  # of too many names nobody knows which they were
        )

    def _sweep(self) -> None:
        """Drop what nobody uses: tenants that do not call and have nothing in use."""
        at = self.moment()
        if at.now - self._swept < SWEEP_EVERY:
            return
        self._swept = at.now
        for tenant, mine in list(self._tenants.items()):
            if at.now - mine.seen > IDLE and not mine.is_in_use(at):
                del self._tenants[tenant]
