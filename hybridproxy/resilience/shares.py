"""What workers agree on of a limit: how much of it each may have in use; and what one does without the others.

A share is an absolute amount `held` of a limit that one worker may have in use, what it has in use already included.
All that is held together is never more than the limit. Each sync tells, of the limits in use, what is `used`, what is
`want`ed next, and what the worker keeps, which holds from the moment it is told; the answer is what it holds from now
on, and its `goal`: what it should come down to, with its own next sync. Nobody else takes anything from it. So whatever
is lost on the way, a worker has no more than the others believe.

Here are the words, and what one worker does by itself; how all agree is in `agreement`. Amounts are whole and at most
`LARGEST`.
"""

from enum import Enum
from typing import Final

from hybridproxy.model.limits import Measure
from hybridproxy.model.value import value
from hybridproxy.resilience.quota import DAY_MS, month_of

LARGEST: Final = 2**52
"""Lua's numbers are whole up to twice that."""

LOST: Final = 5_000
"""Milliseconds after which a worker that is not heard is lost: it may go on alone, and a part stays reserved for it."""

LOST_FOR: Final = 900_000
"""Milliseconds for which that is so; of a cap until its period is over."""

MOST_WORKERS: Final = 100

START_RATE, START_CAP = 16, 100
"""The start share is one in so many of a limit, divided by the workers; of a cap it is part of the cap."""

NEW: Final = 2
"""By what the start share of a rate is divided besides until the second sync: others may begin at the same time, and
those that begin do not know of each other at once."""

STRANGERS: Final = 3
"""So many workers that never reached Redis have their start share of a cap inside the cap: another one in `START_CAP`,
divided by them."""

PATIENT: Final = 10.0
"""Seconds without a sync in which a worker goes on with what it holds."""

RISES: Final = 75.0
"""Seconds after which what it uses alone is its part of the limit, even if it held less."""

ALONE_AT_MOST: Final = 86_400.0
"""Seconds after which a worker alone takes no part of a new period's cap any more."""


class Kind(Enum):
    """How a limit's use comes to its end; the value is the letter in messages."""

    RATE = "r"
    PLACES = "s"
    CAP = "m"

    __hash__ = object.__hash__


KINDS: Final = {
    Measure.REQUESTS: Kind.RATE,
    Measure.TOKENS: Kind.RATE,
    Measure.STREAMS: Kind.PLACES,
    Measure.DAY: Kind.CAP,
    Measure.MONTH: Kind.CAP,
}


# ---- what a worker may use while it does not hear the others ----


def alone(kind: Kind, limit: int, held: int, gone: int, known: int, age: float) -> int:
    """Return how much of a limit that it holds a share of a worker may have in use.

    Args:
        kind: of the limit.
        limit: the limit.
        held: its share by its last sync.
        gone: what was reserved then for others that were lost before.
        known: workers of the fleet by then, the lost ones too.
        age: seconds since it asked for that.

    """
    if kind is Kind.CAP or age <= PATIENT:
        return held
    part = max(0, limit - gone) // known
    return min(held, part) if age <= RISES else part


def cold(kind: Kind, limit: int, known: int, age: float, *, new: bool = False, began: float = 0.0) -> int:
    """Return how much of a limit that it holds no share of a worker may have in use.

    Args:
        kind: of the limit.
        limit: the limit.
        known: workers of the fleet, the lost ones too.
        age: seconds since its last sync, `inf` when there was none.
        new: it synced at most once.
        began: of a cap, seconds since the period under way began.

    """
    if kind is Kind.CAP:
        start = limit // START_CAP
        if age == float("inf"):
            return start // STRANGERS
        fresh = began < age <= ALONE_AT_MOST and age - began <= LOST_FOR / 1000 - PATIENT
        return (limit - 2 * start) // known if fresh and age > PATIENT else start // known
    if RISES < age < float("inf"):
        return limit // known
    return limit // START_RATE // known // (NEW if new else 1)


def seconds_of(measure: Measure, wall: int) -> float:
    """Return for how many seconds the day or month has been under way at `wall` milliseconds since the epoch."""
    day = first = wall // DAY_MS
    while measure is Measure.MONTH and month_of(first - 1) == month_of(day):
        first -= 1
    return (wall - first * DAY_MS) / 1000


# ---- what workers say and hear ----


@value
class Row:
    """What a worker says of one limit.

    Attributes:
        id: the limit's name in Redis.
        kind: how its use comes to its end.
        limit: the limit.
        keep: what the worker may have in use from now on until it hears more.
        used: what it has in use.
        want: what it would like to have in use soon.
        spent: of a cap, what of `used` is settled.
        began: of a cap, milliseconds since its period began.
        left: of a cap, milliseconds until it is over.
        generation: of a cap, the one of Redis in which it heard the next two, 0: in none.
        gone: what those hold that nobody hears.
        all: what all together hold.

    """

    id: str
    kind: Kind
    limit: int
    keep: int
    used: int
    want: int
    spent: int = 0
    began: int = 0
    left: int = 0
    generation: int = 0
    gone: int = 0
    all: int = 0


@value
class Said:
    """What a worker says in one sync.

    Attributes:
        me: the worker.
        name: what stays the same when it is started again.
        spender: whose money it spends: what stays the same as long as its ledger does.
        seq: larger than all it said before.
        generation: the one of Redis that it knows, 0 for none.
        known: workers that it knows of.
        bye: it is about to end.
        rows: its limits.

    """

    me: str
    name: str
    spender: str
    seq: int
    generation: int
    known: int
    bye: bool
    rows: tuple[Row, ...]


@value
class Share:
    """What a worker hears of one limit.

    Attributes:
        held: what it may have in use from now on.
        goal: what to come down to.
        spent: of a cap, what it spent in this period, a former self too.
        gone: of a cap, what those hold that nobody hears.
        all: of a cap, what all together hold.

    """

    held: int
    goal: int
    spent: int
    gone: int
    all: int


@value
class Heard:
    """What a worker hears in one sync.

    Attributes:
        generation: of what Redis knows.
        known: workers of the fleet, the lost ones too.
        shares: by the limits' names.
        full: limits of which nothing is left for whoever has no share yet.

    """

    generation: int
    known: int
    shares: dict[str, Share]
    full: tuple[str, ...]
