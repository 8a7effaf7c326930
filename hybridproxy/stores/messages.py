"""What a worker and Redis say to each other about health and limits, as JSON: `lua/sync.lua` is the other side.

Nothing here names anybody: targets, marks, limits and tenants are digests. What comes from Redis is believed only when
all of it has the right form; numbers are whole, not negative and bounded.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Final, Literal
from urllib.parse import quote, unquote

import orjson

from hybridproxy.model.value import value
from hybridproxy.resilience.shares import LARGEST
from hybridproxy.stores.marks import MAX_REASON, Mark, MarkKind

MOST: Final = 1000
"""Entries of each sort in one message."""

MAX_SHARED: Final = 300.0
"""Seconds; Redis keeps no target from calls for longer without a new opening. Marks have their own end."""

MAX_LEASE: Final = 900.0
MAX_NUMBER: Final = 10**14
TOLD: Final = 60.0
"""Seconds that the closing of a target is told."""

AHEAD: Final = 10**6
"""How far an epoch may be ahead of the server's clock in milliseconds, which it is taken from, and of the known one."""

Amounts = tuple[int, int, int, int, int]

KINDS: Final = {kind.name[0]: kind for kind in MarkKind}


class PoisonedError(Exception):
    """What Redis holds is not what a worker put there."""


def digest(parts: Iterable[str], length: int = 16) -> str:
    """Return the name of something in Redis."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:length]


def mark_id(mark: Mark) -> str:
    """Return a mark's name in Redis."""
    return f"{digest(mark.key)} {mark.kind.name[0]}"


def milliseconds(seconds: float, most: float) -> int:
    """Return whole milliseconds between 0 and `most` seconds."""
    return int(min(max(0.0, seconds), most) * 1000)


@value
class Request:
    """What a worker says, ready to be sent.

    Attributes:
        me: the worker.
        votes: all targets it found out by its own judgement: milliseconds left, since when, 1 for unreachable, tenants.
        cool: all targets it knows to be throttled: milliseconds left, the epoch it knows.
        marks: those of which Redis has no version as new: version, until, reason.
        take: targets for which it wants the right to probe: for so long, the epoch it knows.
        renew: rights it wants to keep: the epoch, for so long.
        done: rights it gives back: the epoch, 1 if its probes were good, milliseconds to stay open, since when.
        reset: targets of which an operator wants everything forgotten: the epoch it knows, since when.
        shares: what it says of limits, see `FleetShares.asked`; None: nothing this time.

    """

    me: str
    votes: dict[str, tuple[int, int, int, str]]
    cool: dict[str, tuple[int, int]]
    marks: dict[str, tuple[int, int, str]]
    take: dict[str, tuple[int, int]]
    renew: dict[str, tuple[int, int]]
    done: dict[str, tuple[int, int, int, int]]
    reset: dict[str, tuple[int, int]]
    shares: dict[str, Any] | None = None

    def encoded(self) -> bytes:
        """Return what is sent."""
        return orjson.dumps(self)


def shared_mark(mark: Mark) -> tuple[int, int, str]:
    """Return a mark as it is sent; its reason in printable ASCII."""
    return mark.version, int(max(0.0, mark.until) * 1000), quote(mark.reason, safe=" ,.:;!?()")


@value
class Verdicts:
    """What the fleet holds true of a target.

    Attributes:
        phase: of its breaker.
        seconds: that it lasts.
        epoch: the number of this opening or closing.
        unreachable: some worker could not even connect.

    """

    phase: Literal["open", "closed"]
    seconds: float
    epoch: int
    unreachable: bool


@value
class SharedLimits:
    """What the fleet agreed on of limits, see `resilience.shares.Heard`.

    Attributes:
        generation: of what Redis knows.
        known: workers of the fleet, the lost ones too.
        junk: values that no worker wrote.
        limits: by name: held, goal, spent, gone, all.
        full: limits that are used up by all together.

    """

    generation: int
    known: int
    junk: int
    limits: dict[str, Amounts]
    full: frozenset[str]


@value
class Reply:
    """What Redis answers, checked.

    Attributes:
        now: the server's time in milliseconds.
        live: workers seen within 5 s.
        junk: what was found and removed because no worker wrote it.
        targets: by digest.
        cools: seconds that targets are throttled.
        marks: by `mark_id`: version, until in seconds since the epoch, reason.
        granted: rights to probe, their epochs.
        renewed: rights to probe that hold for longer.
        shares: of limits, None: nothing was said of them, or could not be taken.
        shares_fit: whether what Redis holds of limits could be used.

    """

    now: int
    live: int
    junk: int
    targets: dict[str, Verdicts]
    cools: dict[str, float]
    marks: dict[str, tuple[int, float, str]]
    granted: dict[str, int]
    renewed: frozenset[str]
    shares: SharedLimits | None = None
    shares_fit: bool = True


def parse(answer: object) -> Reply:
    """Return what an answer says.

    Raises:
        PoisonedError: it does not have the right form.

    """
    if not isinstance(answer, bytes):
        raise PoisonedError("no text")
    try:
        body = orjson.loads(answer)
        return Reply(
            now=_whole(body["now"]),
            live=_whole(body["live"]),
            junk=_whole(body["junk"]),
            targets={_name(name): _verdicts(*found) for name, found in body["targets"].items()},
            cools={_name(name): min(_whole(left) / 1000, MAX_SHARED) for name, left in body["cools"].items()},
            marks={_name(name): _mark(*found) for name, found in body["marks"].items()},
            granted={_name(name): _whole(epoch) for name, epoch in body["granted"].items()},
            renewed=frozenset(_name(name) for name in body["renewed"]),
            shares=_shared(body["shares"]) if body["shares"] else None,
            shares_fit=body["shares"] != 0,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PoisonedError(f"not the form of an answer: {type(error).__name__}") from None


def _whole(number: Any) -> int:
    if type(number) is not int or not 0 <= number < MAX_NUMBER:
        raise ValueError
    return number


def _name(name: Any) -> str:
    if not isinstance(name, str) or len(name) > 20:
        raise ValueError
    return name


def _shared(found: Any) -> SharedLimits:
    return SharedLimits(
        generation=_whole(found["generation"]),
        known=_whole(found["known"]),
        junk=_whole(found["junk"]),
        limits={_name(name): _amounts(*text.split(" ")) for name, text in found["limits"].items()},
        full=frozenset(_name(name) for name in found["full"].split()),
    )


def _amounts(held: str, goal: str, spent: str, gone: str, together: str) -> Amounts:
    return _amount(held), _amount(goal), _amount(spent), _amount(gone), _amount(together)


def _amount(text: str) -> int:
    if len(text) > 17 or not text.isdecimal():
        raise ValueError
    return min(int(text), LARGEST)


def _verdicts(phase: Any, left: Any, epoch: Any, why: Any) -> Verdicts:
    if phase not in {"open", "closed"}:
        raise ValueError
    return Verdicts(phase, min(_whole(left) / 1000, MAX_SHARED), _whole(epoch), why == "c")


def _mark(version: Any, until: Any, reason: Any) -> tuple[int, float, str]:
    return _whole(version), _whole(until) / 1000, unquote(reason)[:MAX_REASON]
