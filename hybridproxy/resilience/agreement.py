"""How workers come to agree on a limit: the memory's form of what `stores/lua/shares.lua` does in Redis.

The words are those of `shares`: each worker tells what it has in use, wants and keeps, and hears what it holds and its
goal, which it comes down to with its own next sync. Nobody else takes anything from it, and all that is held together
is never more than the limit.

    the goal    of what the lost and the gone leave: the wants, the smallest first, as far as all get the same; and an
                equal part of half of what nobody wants, so that a burst, or the loss of Redis, finds something there
    rates       what came within 60 s counts. A worker that said goodbye, or came back under another number, still has
                in use what it used last, for 65 s
    places      calls at a time: as rates, but what is gone is free at once
    caps        nano-dollars of one day or month: what was spent stays. Who is not heard keeps what it holds until the
                period is over; who said goodbye keeps what it spent
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from hybridproxy.model.value import value
from hybridproxy.resilience.shares import (
    LARGEST,
    LOST,
    LOST_FOR,
    MOST_WORKERS,
    START_CAP,
    Heard,
    Kind,
    Row,
    Said,
    Share,
)

SETTLED: Final = 80_000
"""Milliseconds after which a lost worker has no more in use than its part."""

WINDOW: Final = 65_000
"""Milliseconds for which a rate's use counts, and some for the way."""

AWAY: Final = 90_000_000
"""Milliseconds for which a lost worker is remembered: 25 h."""

HEALING: Final = 8_000
"""Milliseconds in which all workers find a Redis that has forgotten everything; until then nobody gets more."""

MOST_ENTRIES: Final = 100
MOST_FULL: Final = 500
FULL_FOR: Final = 3_000

BASE, FLOOR = "0", "1"
"""Whose entries of a cap are what was spent by those that nobody knows any more, and what all held before a wipe."""


@dataclass(slots=True)
class Member:
    """A worker: its lasting name, when it was heard last, its last number, the workers it knows, whether it is gone."""

    name: str
    at: int
    seq: int
    known: int
    gone: bool = False


@dataclass(slots=True)
class Entry:
    """What somebody has of one limit; `who` is the worker, of a cap whoever spends."""

    who: str
    worker: str
    held: int
    used: int
    want: int
    spent: int


@dataclass(slots=True)
class Agreed:
    """What Redis holds."""

    generation: int = 0
    expected: int = 0
    members: dict[str, Member] = field(default_factory=dict)
    full: dict[str, int] = field(default_factory=dict)
    limits: dict[str, list[Entry]] = field(default_factory=dict)


def sync(agreed: Agreed, said: Said, now: int) -> Heard:
    """Take what a worker says at a time in milliseconds; return what it hears."""
    if not agreed.generation:
        agreed.generation, agreed.expected = now, 0
    generation = agreed.generation
    young = now - generation < LOST_FOR
    if young and said.generation not in {0, generation}:  # Redis forgot what this worker knew
        agreed.expected = max(agreed.expected, min(said.known, MOST_WORKERS))
    members = agreed.members
    me = members.get(said.me)
    stale = me is not None and said.seq <= me.seq  # it was on the way for so long that a later one came first
    if not stale:
        _enter(members, said, now)
    counted = sum(not member.gone and now - member.at <= LOST_FOR for member in members.values())
    known = max(1, counted, agreed.expected if young else 0)
    if stale:
        return Heard(generation, known, {}, ())
    members[said.me].known = min(said.known, known) if said.known else known
    agreed.full = {name: until for name, until in agreed.full.items() if until > now}
    fleet = Fleet(
        members, said, now, known, known - counted, agreed.expected > 0 and now - generation < HEALING, generation
    )
    shares = {}
    for row in said.rows:
        shares[row.id], entries, full = _share(fleet, row, _others(fleet, row, agreed.limits.get(row.id, [])))
        agreed.limits[row.id] = entries
        if not entries:
            del agreed.limits[row.id]
        if not full:
            agreed.full.pop(row.id, None)
        elif len(agreed.full) < MOST_FULL or row.id in agreed.full:
            agreed.full[row.id] = now + (row.left if row.kind is Kind.CAP else FULL_FOR)
    return Heard(generation, known, shares, tuple(sorted(agreed.full)))


def _enter(members: dict[str, Member], said: Said, now: int) -> None:
    """Take note of who speaks, and forget those of whom nobody has to know any more."""
    for worker, member in list(members.items()):
        age = now - member.at
        if worker != said.me and member.name == said.name and age > LOST:
            member.gone = True  # it is here again under another number
        if age > (WINDOW if member.gone else AWAY):
            del members[worker]
    if said.me not in members and len(members) >= MOST_WORKERS:
        del members[min(members, key=lambda worker: (members[worker].at, worker))]
    members[said.me] = Member(said.name, now, said.seq, 1, said.bye)


@value
class Fleet:
    """What is the same for all limits of one sync: `missing` are workers that Redis knew before it forgot."""

    members: dict[str, Member]
    said: Said
    now: int
    known: int
    missing: int
    healing: bool
    generation: int


@value
class Others:
    """What there is of a limit beside one worker's: those that are heard, what stands for the rest, all to be kept."""

    live: list[Entry]
    stays: list[Entry]
    reserved: int
    spent: int
    floor: int


def _others(fleet: Fleet, row: Row, entries: list[Entry]) -> Others:
    """Weigh what others have of a limit."""
    cap, said = row.kind is Kind.CAP, fleet.said
    mine = said.spender if cap else said.me
    special = {entry.who: entry for entry in entries if entry.who in {BASE, FLOOR, mine, said.me}}
    live: list[Entry] = []
    stays: list[Entry] = []
    reserved = 0
    for entry in entries:
        if entry.who in special:
            continue
        weight = _weight(fleet.members.get(entry.worker), row, entry, fleet.now)
        if weight is None:
            live.append(entry)
        reserved += weight or 0
        if weight != 0:
            stays.append(entry)
    for lost in _lost(fleet, row, {entry.worker for entry in entries}):
        reserved += lost.held
        if cap:
            stays.append(lost)
    if not cap:
        reserved += 0 if fleet.healing else fleet.missing * (row.limit // fleet.known)
        return Others(live, stays, reserved, 0, 0)
    base, floor = (special[who].held if who in special else 0 for who in (BASE, FLOOR))
    if row.generation not in {0, fleet.generation}:
        base, floor = max(base, row.gone), max(floor, row.all)
    if len(stays) > MOST_ENTRIES:  # those that nobody hears become one
        merged = sum(entry.held for entry in stays if entry not in live)
        base, reserved, stays = base + merged, reserved - merged, list(live)
    if not fleet.healing and not fleet.missing:
        floor = 0  # all are here again, so what they hold is known
    stays += [Entry(who, who, held, 0, 0, 0) for who, held in ((BASE, base), (FLOOR, floor)) if held]
    return Others(live, stays, reserved + base, special[mine].spent if mine in special else 0, floor)


def _lost(fleet: Fleet, row: Row, there: set[str]) -> list[Entry]:
    """Return what has to be left to lost workers that never spoke of this limit: of a cap, their parts of a new period.

    The part counts as used: a worker that goes on alone does not tell.
    """
    until = fleet.now - row.began  # of a rate there is no period, `began` is 0
    return [
        Entry(worker, worker, part, part, part, 0)
        for worker, member in fleet.members.items()
        if until - LOST_FOR <= member.at < until and fleet.now - member.at > LOST and not member.gone
        if worker not in there and worker != fleet.said.me
        for part in (row.limit // member.known,)
    ]


def _weight(member: Member | None, row: Row, entry: Entry, now: int) -> int | None:
    """Return what has to be left to somebody that is not heard; None: it is heard. 0: it may be forgotten."""
    age = AWAY if member is None else now - member.at
    if member is not None and not member.gone and age <= LOST:
        return None
    if row.kind is Kind.CAP:
        return entry.held
    if member is None or member.gone:
        return entry.used if row.kind is Kind.RATE and age <= WINDOW else 0
    part = row.limit // member.known if age <= LOST_FOR else 0
    return max(entry.held, part) if age <= SETTLED else part


def _share(fleet: Fleet, row: Row, others: Others) -> tuple[Share, list[Entry], bool]:
    """Return a worker's share, what is kept of the limit, and whether nothing is left for who has no share."""
    cap, said, live = row.kind is Kind.CAP, fleet.said, others.live
    starts = 0
    if cap:  # what those may spend that have not spoken of this limit, or not lately, or are not heard, or never were
        begun = {entry.worker for entry in live if entry.want > entry.used}
        if row.want > row.used:
            begun.add(said.me)
        starts = row.limit // START_CAP + sum(
            row.limit // START_CAP // member.known
            for worker, member in fleet.members.items()
            if worker not in begun and not member.gone
        )
    fixed = max(others.reserved, others.floor - row.keep)
    held_by_others = max(others.reserved + sum(max(one.held, one.used) for one in live), others.floor - row.keep)
    if said.bye or row.want <= row.used:
        held, goal = max(row.keep, row.used), row.used
    elif fleet.healing:
        held = goal = row.keep
    else:
        low = row.used if cap else 0  # what was spent stays: shared is what is left
        wants = [row.want - low, *(max(0, one.want - (one.used if cap else 0)) for one in live)]
        room = max(0, row.limit - starts - fixed - low - (sum(one.used for one in live) if cap else 0))
        level = _level(room, wants)
        rest = room - sum(min(level, want) for want in wants)
        goal = low + min(level, wants[0]) + rest // (2 * fleet.known)
        held = max(row.keep, min(goal, max(0, row.limit - starts - held_by_others)))
    stays = list(others.stays)
    spent = max(row.spent, others.spent)
    if held or row.want or spent:
        stays.append(Entry(said.spender if cap else said.me, said.me, held, row.used, row.want, spent))
    together = min(LARGEST, held_by_others + held)
    if cap:
        full = together + starts + row.limit // START_CAP // fleet.known > row.limit
    else:
        full = others.reserved + row.used + sum(one.used for one in live) >= row.limit
    return Share(held, goal, spent, min(LARGEST, others.reserved), together), stays, full


def _level(room: int, wants: Iterable[int]) -> int:
    """Return the most that one gets where all that want it get the same and together no more than there is."""
    ordered = sorted(wants)
    for count, want in zip(range(len(ordered), 0, -1), ordered, strict=True):
        if want > room // count:
            return room // count
        room -= want
    return LARGEST
