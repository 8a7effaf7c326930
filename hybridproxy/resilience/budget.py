"""What a tenant's calls may add to the load and to the bill: retries, attempts paid twice, hedges.

Retries: at most a tenth of the calls of the last 10 s and one a second beside that, so that a quiet tenant may retry
too (Google SRE: 10 % a client; Finagle: credits that expire within 10 s, with a floor). What was never sent does not
count: it loaded nobody. Nor does a call that moves: it was caught at a target that opened while it waited there, and
its load goes where that target's load goes anyway.
Money: an attempt that was sent whole and then lost may be billed for nothing. Trying again is charged to 5 % of what
the tenant spent within the last hour, with a floor of half a dollar; for calls that move to five times as much, since
an outage catches all that wait. Amounts are integer nano-dollars; before usage is known they are estimates.
Hedges: a share of the calls, saved up to a few.
"""

from collections import deque
from typing import Final

from hybridproxy.model.price import NANO

RETRY_SHARE, RETRY_SPAN, RETRY_FLOOR = 0.1, 10, 1.0
"""Of the calls; over so many seconds; beside it so many a second."""

MONEY_SHARE, MONEY_SPAN, MONEY_FLOOR = 0.05, 3600, NANO // 2
"""Of the money spent; over so many seconds; at least so much."""

MOVING: Final = 5
"""Times the money that retries may cost, for calls that move. Ours: five minutes of answers are 8 % of an hour."""

HEDGES_SAVED: Final = 5.0


class Tally:
    """A sum over the last `span` seconds, kept in `slots` parts."""

    __slots__ = ("_parts", "_span", "_total", "_width")

    def __init__(self, span: float, slots: int = 10) -> None:
        """Begin at nothing."""
        self._parts: deque[list[int]] = deque()
        self._total = 0
        self._span = slots
        self._width = span / slots

    def add(self, now: float, amount: int = 1) -> None:
        """Add an amount, which may be negative where an estimate was too high."""
        slot = int(now / self._width)
        parts = self._parts
        if parts and parts[-1][0] >= slot:
            parts[-1][1] += amount
        else:
            parts.append([slot, amount])
            self._drop(slot)
        self._total += amount

    def total(self, now: float) -> int:
        """Return the sum."""
        self._drop(int(now / self._width))
        return max(0, self._total)  # a correction outlives the estimate it corrects

    def _drop(self, slot: int) -> None:
        parts = self._parts
        while parts and parts[0][0] <= slot - self._span:
            self._total -= parts.popleft()[1]


class Allowance:
    """What one tenant's calls may cost beyond themselves. Mutable, and a function of nothing but what it is told."""

    __slots__ = ("_calls", "_extra", "_hedges", "_retries", "_spent")

    def __init__(self) -> None:
        """Begin with the floors."""
        self._calls = Tally(RETRY_SPAN)
        self._retries = Tally(RETRY_SPAN)
        self._spent = Tally(MONEY_SPAN, 60)
        self._extra = Tally(MONEY_SPAN, 60)
        self._hedges = 0.0

    def called(self, now: float, hedges: float = 0.0) -> None:
        """Take the news of a call that is sent; `hedges`: what it adds to those that may be made."""
        self._calls.add(now)
        if hedges:
            self._hedges = min(HEDGES_SAVED, self._hedges + hedges)

    def retry(self, now: float, *, loads: bool, cost: int = 0, moves: bool = False) -> bool:
        """Take the room for one more attempt, if there is any.

        Args:
            now: seconds on the loop's clock.
            loads: the attempt before reached the upstream, so this one adds to somebody's load.
            cost: what the attempt before may be billed for nothing, in nano-dollars, as estimated.
            moves: it was caught at a target that opened meanwhile.

        """
        loads = loads and not moves
        if loads and self._retries.total(now) + 1 > RETRY_SHARE * self._calls.total(now) + RETRY_FLOOR * RETRY_SPAN:
            return False
        if cost:
            room = max(MONEY_FLOOR, MONEY_SHARE * self._spent.total(now)) * (MOVING if moves else 1)
            if self._extra.total(now) + cost > room:
                return False
        if loads:
            self._retries.add(now)
        if cost:
            self._extra.add(now, cost)
        return True

    def spent(self, now: float, amount: int) -> None:
        """Take what a call cost, in nano-dollars."""
        self._spent.add(now, amount)

    def correct(self, now: float, difference: int) -> None:
        """Put a measured amount in the place of an estimate that `retry` took."""
        self._extra.add(now, difference)

    def hedge(self) -> bool:
        """Take the room for one hedge, if there is any."""
        if self._hedges < 1.0:
            return False
        self._hedges -= 1.0
        return True


class Allowances:
    """Everybody's, by tenant. Bounded: those of tenants that have not called for an hour are forgotten."""

    __slots__ = ("_by_tenant", "_swept")

    def __init__(self) -> None:
        """Begin with none."""
        self._by_tenant: dict[str, tuple[Allowance, list[float]]] = {}
        self._swept = 0.0

    def of(self, tenant: str, now: float) -> Allowance:
        """Return a tenant's."""
        found = self._by_tenant.get(tenant)
        if found is None:
            self._sweep(now)
            found = self._by_tenant[tenant] = (Allowance(), [now])
        found[1][0] = now
        return found[0]

    def __len__(self) -> int:
        """How many tenants are known."""
        return len(self._by_tenant)

    def _sweep(self, now: float) -> None:
        if now - self._swept > MONEY_SPAN:
            self._swept = now
            old = [tenant for tenant, (_, last) in self._by_tenant.items() if now - last[0] > MONEY_SPAN]
            for tenant in old:
                del self._by_tenant[tenant]
