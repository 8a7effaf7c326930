"""The shares that one worker has of its tenants' limits, as the fleet agrees on them: see `resilience.shares`.

`ceiling` is asked on the way of each call that a limit covers and looks only at what is here; `asked` and `answered`
are the two halves of a sync, which `shared.SharedHealth` makes twice a second. Redis can make a share smaller than what
this worker would allow by itself, and never larger than the limit.

A limit is told to Redis while it is in use. When it is not used any more its share is given back. Whoever calls then
finds a small start share, which every worker has of every limit, and the first call of all is let through; unless all
workers together have used the limit up or, of money, Redis has not been heard lately.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from hybridproxy.model.limits import LimitKey, Measure
from hybridproxy.resilience.quota import Moment, rest_of
from hybridproxy.resilience.shares import (
    KINDS,
    LARGEST,
    LOST,
    MOST_WORKERS,
    NEW,
    PATIENT,
    Kind,
    alone,
    cold,
    seconds_of,
)
from hybridproxy.stores.messages import SharedLimits, digest
from hybridproxy.stores.quotas import Use

EVERY: Final = 0.5
"""Seconds between two times that limits are told, at least: no field of Redis is written three times in a second."""

MOST_ROWS: Final = 500
"""Limits in one message; of more those are told that were not told for the longest time."""

MOST_GOODBYES: Final = 4
SHORT: Final = 2.0
"""Seconds for which everything is wanted of a limit whose share was nearly used up."""

SLACK: Final = 50
"""One in so many of a limit is wanted beyond what is asked for at present."""

FORGET: Final = 60.0
"""Seconds after which a limit is forgotten that somebody asked for and nobody used."""

_SINGLE: Final = frozenset({Measure.REQUESTS, Measure.STREAMS})

Row = tuple[str, str, int, int, int, int, int, int, int, int, int, int]
"""See `resilience.shares.Row`, whose fields these are."""


@dataclass(slots=True)
class Held:
    """What is known of this worker's share of one limit.

    Attributes:
        key: the limit.
        id: its name in Redis.
        kind: how its use comes to its end.
        period: of a cap, the day or month since the epoch.
        since: when it was asked for first.
        share: what this worker may have in use by the last sync; None: none was agreed on yet.
        until: how long, by the loop's clock, `share` is all that there is to know.
        given_back: it is not in use, so there is a start share beside what was spent.
        is_known: Redis knows what was told last.
        let: the first call was let through.
        short_at: when the share was nearly used up.
        told_at: when it was told last.
        told: what was told then.
        owed: of a cap, what a former self has spent that this one does not know of.
        heard: the generation of Redis; what is reserved for those that nobody hears; what all together hold.

    """

    key: LimitKey
    id: str
    kind: Kind
    period: int | None
    since: float
    share: int | None = None
    until: float = -math.inf
    given_back: bool = False
    is_known: bool = False
    let: bool = False
    short_at: float = -math.inf
    told_at: float = -math.inf
    told: Row | None = None
    owed: int = 0
    heard: tuple[int, int, int] = (0, 0, 0)


class FleetShares:
    """See `model.limits.Shares`.

    Attributes:
        known: workers of the fleet by the last sync, the lost ones too.
        spender: whose money is spent, in hexadecimal digits: the ledger's id, else the worker's.
        listed: limits that there were to tell last.

    """

    def __init__(
        self,
        worker: str,
        name: str,
        *,
        uses: Callable[[], Iterable[Use]],
        now: Callable[[], float],
        moment: Callable[[], Moment],
        wall: Callable[[], float],
    ) -> None:
        """Hold nothing yet.

        Args:
            worker: random hexadecimal digits, different for each worker.
            name: hexadecimal digits that are the same when this worker is started again.
            uses: what the limits have in use.
            now: the clock of `moment`.
            moment: the present, by the clocks that limits are counted by.
            wall: seconds since the epoch.

        """
        self.known = 1
        self.spender = worker
        self.listed = 0
        self._name = name
        self._uses = uses
        self._now = now
        self._moment = moment
        self._wall = wall
        self._held: dict[LimitKey, Held] = {}
        self._full: frozenset[str] = frozenset()
        self._seq = self._syncs = 0
        self._generation = 0
        self._synced_at = self._asked_at = -math.inf
        self._sent: dict[LimitKey, Held] = {}
        self._leaving = False

    # ---- on the way of a call: these look only at what is here ----

    def ceiling(self, key: LimitKey, limit: int) -> int:
        """Return how much of a limit this worker may have in use now, what it has in use already included."""
        known = self._held.get(key)
        if known is not None and known.share is not None and self._now() < known.until:  # nearly always
            return min(limit, known.share - known.owed)
        at = self._moment()
        mine = self._of(key, at)
        age = at.now - self._synced_at
        if (mine.share is None or mine.given_back) and not mine.let and self._may_begin(mine, age):
            mine.let = True
            return limit
        share = self._share(mine, limit, age)
        if mine.share is None and key[2] in _SINGLE and not self._is_full(mine, age):
            share = max(1, share)
        return min(limit, share - mine.owed)

    def short(self, key: LimitKey) -> None:
        """Take the news that the share and not the limit is, or is nearly, used up."""
        mine = self._held.get(key)
        if mine is not None:
            mine.short_at = self._now()

    # ---- what the sync calls ----

    @property
    def month(self) -> int:
        """The month under way, since the epoch."""
        return self._moment().month

    def is_due(self) -> bool:
        """Return whether limits may be told again."""
        return self._leaving or self._now() >= self._asked_at + EVERY

    def asked(self) -> dict[str, Any]:
        """Return what to send, see `resilience.shares.Said`. What is said to be kept holds from now on."""
        at, wall = self._moment(), int(self._wall() * 1000)
        uses = {use.key: use for use in self._uses()}
        told = [self._of(key, at) for key in uses]
        unused = [(key, mine) for key, mine in self._held.items() if key not in uses]
        told += [mine for key, mine in unused if self._is_to_be_told(key, mine, at)]
        told.sort(key=lambda mine: mine.told_at)
        self.listed = len(told)
        self._sent = {mine.key: mine for mine in told[:MOST_ROWS]}
        for key, mine in self._sent.items():
            mine.told = self._used(mine, uses[key], at, wall) if key in uses else self._unused(mine)
            mine.told_at, mine.is_known = at.now, False
        self._asked_at, self._seq = at.now, self._seq + 1
        return {
            "name": self._name,
            "spender": self.spender,
            "seq": self._seq,
            "generation": self._generation,
            "known": self.known if self._generation else 0,
            "bye": int(self._leaving),
            "rows": [mine.told for mine in self._sent.values()],
        }

    def answered(self, shared: SharedLimits) -> None:
        """Take what Redis answered to that."""
        self._synced_at, self.known = self._asked_at, min(max(1, shared.known), MOST_WORKERS)
        self._syncs += 1
        self._generation, self._full = shared.generation, shared.full
        for key, mine in self._sent.items():
            if mine.told is None or mine.id not in shared.limits:
                continue
            held, goal, spent, gone, together = shared.limits[mine.id]
            mine.is_known = True
            mine.heard = (shared.generation, gone, together)
            if mine.kind is Kind.CAP:
                mine.share = min(held, goal)
                mine.owed += max(0, spent - mine.told[6])
            elif not mine.given_back:
                mine.share = min(held, goal)
            if not mine.given_back:
                lasts = PATIENT if mine.kind is not Kind.CAP else min(PATIENT, mine.told[8] / 1000)
                mine.until = self._asked_at + lasts
            elif mine.kind is not Kind.CAP and self._held.get(key) is mine:
                del self._held[key]

    def gauges(self) -> dict[str, float]:
        """Return what metrics show."""
        return {
            "hybridproxy_fleet_workers": self.known,
            "hybridproxy_limits_shared": self.listed,
            "hybridproxy_limits_used_up": len(self._full),
        }

    def leave(self) -> int:
        """Say goodbye with the next syncs; return how many it takes."""
        self._leaving = True
        return min(MOST_GOODBYES, 1 + self.listed // MOST_ROWS)

    # ---- inside ----

    def _of(self, key: LimitKey, at: Moment) -> Held:
        measure = key[2]
        kind = KINDS[measure]
        period = None if kind is not Kind.CAP else at.day if measure is Measure.DAY else at.month
        mine = self._held.get(key)
        if mine is None or mine.period != period:
            name = digest((key[0], key[1], measure.value, str(period)))
            mine = self._held[key] = Held(key, name, kind, period, at.now)
        return mine

    def _is_full(self, mine: Held, age: float) -> bool:
        return mine.id in self._full and (mine.kind is Kind.CAP or age <= PATIENT)

    def _may_begin(self, mine: Held, age: float) -> bool:
        """Return whether the first call may have any amount: nobody had the time to ask for a share."""
        return not self._is_full(mine, age) and (mine.kind is not Kind.CAP or age <= LOST / 1000)

    def _share(self, mine: Held, limit: int, age: float) -> int:
        """Return what this worker may have in use, what a former self spent included."""
        share = 0 if mine.share is None else alone(mine.kind, limit, mine.share, mine.heard[1], self.known, age)
        is_given_back = mine.given_back and mine.is_known
        if (mine.share is not None and not is_given_back) or self._is_full(mine, age):
            return share
        began = math.inf
        if mine.kind is Kind.CAP and mine.share is None and age > PATIENT:
            began = seconds_of(mine.key[2], int(self._wall() * 1000))
        return share + cold(mine.kind, limit, self.known, age, new=self._syncs < NEW, began=began)

    def _is_to_be_told(self, key: LimitKey, mine: Held, at: Moment) -> bool:
        """Return whether Redis has to hear that a limit is not in use; forget it where nothing is worth knowing."""
        is_over = mine.period is not None and mine.period != (at.day if key[2] is Measure.DAY else at.month)
        if is_over or (mine.told is None and at.now - mine.since > FORGET):
            del self._held[key]
            return False
        is_told = mine.told is None or (mine.given_back and mine.is_known)
        return not is_told and (self._leaving or at.now - self._synced_at <= PATIENT)  # in vain nothing is given back

    def _used(self, mine: Held, use: Use, at: Moment, wall: int) -> Row:
        """Say what is in use of a limit, and keep what may be had of it."""
        limit = min(use.limit, LARGEST)
        used = min(use.used + mine.owed, LARGEST)
        keep = used if self._leaving else max(used, self._share(mine, limit, at.now - self._synced_at))
        want = used + max(0, use.want - use.used) + limit // SLACK + 1
        if use.short or at.now - mine.short_at < SHORT:
            want = limit
        if mine.share is not None:
            mine.share = keep
        mine.given_back = False
        spent, began, left = 0, 0, 0
        if mine.kind is Kind.CAP:
            spent = max(0, used - use.reserved)
            began, left = (int(seconds(mine.key[2], wall) * 1000) for seconds in (seconds_of, rest_of))
        want = max(used + 1, min(limit, want))  # not more than is used: it is given back
        return mine.id, mine.kind.value, limit, keep, used, want, spent, began, left, *mine.heard

    def _unused(self, mine: Held) -> Row:
        """Say that a limit is not in use, and keep nothing but what was spent."""
        assert mine.told is not None  # noqa: S101 - only what was told is taken back
        name, kind, limit, _, used, _, spent, began, left, *_ = mine.told
        mine.given_back, mine.let, mine.until = True, False, -math.inf
        if mine.kind is Kind.CAP:
            mine.share = None if mine.share is None else used
            return name, kind, limit, used, used, used, spent, began, left, *mine.heard
        mine.share = None
        return name, kind, limit, 0, 0, 0, 0, 0, 0, 0, 0, 0
