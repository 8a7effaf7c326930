"""What people and refused keys took out of service: drains, trips, evacuations, quarantines, each with its end.

A mark has a version, so that replicas which hear of it in any order agree: the larger one holds, also when it says that
the mark was lifted. Versions are milliseconds since the epoch, or one more than the last where the clock went back. Of
two of the same millisecond the one that came first to Redis holds, which is what the others hear.
Failure mode: a mark lives in memory and, where replicas share, in Redis; a restart of the only replica forgets it,
which `state` shows. Nothing here ever lets a call through that policy did not allow.
"""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Final

from hybridproxy.model.health import Ban, Key
from hybridproxy.model.value import value

MAX_SECONDS: Final = 7 * 24 * 3600.0
"""The longest time of a mark; whoever wants it for good changes the configuration."""

SKEW: Final = 3600.0
"""Seconds that the clocks of replicas may differ before the end of a mark that is heard is cut; as in `sync.lua`."""

KEPT: Final = 600.0
"""Seconds that a mark which was lifted is remembered, so that a replica that missed it does not bring it back."""

MAX_MARKS: Final = 1000
MAX_REASON: Final = 200


class MarkKind(Enum):
    """Why something is out of service; the value is what callers may see, who do not see the operator's reason."""

    DRAIN = "drained by an operator"
    TRIP = "tripped by an operator"
    EVACUATE = "its region is evacuated"
    QUARANTINE = "its key is quarantined"
    RESET = "reset by an operator"
    """Keeps nothing out: it is put for other replicas to hear."""


BANS: Final = tuple(kind for kind in MarkKind if kind is not MarkKind.RESET)
"""The kinds that keep calls away."""


@value
class Mark:
    """One thing out of service.

    Attributes:
        key: what is out of service.
        kind: why.
        reason: in words.
        until: when it ends by itself, in seconds since the epoch; in the past: it was lifted.
        version: see the head of this file.

    """

    key: Key
    kind: MarkKind
    reason: str
    until: float
    version: int


def fits(key: Key, kind: MarkKind) -> bool:
    """Return whether this kind is ever put on such a key: what comes from elsewhere may say anything."""
    if kind is MarkKind.QUARANTINE:
        return len(key) == 4 or (len(key) == 3 and key[0] == "credential")
    return len(key) == 2 and key[0] == ("region" if kind is MarkKind.EVACUATE else "backend")


def _is_news(heard: Mark, ours: Mark, latest: float) -> bool:
    """Return whether a mark holds against ours. An echo has its end by the millisecond, at the latest `latest`."""
    if heard.version != ours.version:
        return heard.version > ours.version
    return heard.reason != ours.reason or (abs(heard.until - ours.until) > 0.01 and heard.until <= latest)


class Marks:
    """All marks of this replica. `changed` hears of each key whose bans may be others now.

    Attributes:
        listeners: who hears of each mark that is new here, and whether it was put here or heard from another replica.

    """

    def __init__(self, now: Callable[[], float], wall: Callable[[], float], changed: Callable[[Key], None]) -> None:
        """Begin with none; `now` is the loop's clock, `wall` the time of day."""
        self.listeners: list[Callable[[Mark, bool], None]] = []
        self._now = now
        self._wall = wall
        self._changed = changed
        self._marks: dict[tuple[Key, MarkKind], Mark] = {}

    def __iter__(self) -> Iterator[Mark]:
        """Give every mark, those that were lifted too."""
        return iter(tuple(self._marks.values()))

    def __len__(self) -> int:
        """How many there are, those that were lifted too."""
        return len(self._marks)

    def in_force(self) -> list[Mark]:
        """Return the marks that keep calls away now."""
        wall = self._wall()
        return [mark for mark in self._marks.values() if mark.until > wall and mark.kind in BANS]

    def put(self, key: Key, kind: MarkKind, reason: str, seconds: float) -> Mark:
        """Take something out of service for so long, at most `MAX_SECONDS`."""
        until = self._wall() + min(max(0.0, seconds), MAX_SECONDS)
        mark = Mark(key, kind, reason[:MAX_REASON], until, self._version(key, kind))
        self._store(mark)
        return mark

    def lift(self, key: Key, kind: MarkKind) -> Mark | None:
        """Take something into service again; None when it was not out of it."""
        mark = self._marks.get((key, kind))
        if mark is None or mark.until <= self._wall():
            self._changed(key)  # it may have ended by a step of the wall clock, which its ban has not seen
            return None
        lifted = Mark(key, kind, mark.reason, 0.0, self._version(key, kind))
        self._store(lifted)
        return lifted

    def hear(self, mark: Mark) -> bool:
        """Take another replica's mark; False when ours is as new, or it cannot be true."""
        if not fits(mark.key, mark.kind):
            return False
        ours = self._marks.get((mark.key, mark.kind))
        newest, latest = int((self._wall() + MAX_SECONDS) * 1000), self._wall() + MAX_SECONDS + SKEW
        if (ours is not None and not _is_news(mark, ours, latest)) or not 0 < mark.version <= newest:
            return False
        if ours is None and len(self._marks) >= MAX_MARKS:
            return False
        until = min(mark.until, latest)
        self._store(Mark(mark.key, mark.kind, mark.reason[:MAX_REASON], until, mark.version), heard=True)
        return True

    def ban(self, key: Key) -> Ban | None:
        """Return what keeps calls from a key, on the loop's clock."""
        wall = self._wall()
        marks = [mark for kind in BANS if (mark := self._marks.get((key, kind))) is not None and mark.until > wall]
        if not marks:
            return None
        last = max(marks, key=lambda mark: mark.until)
        return Ban(self.ends(last), last.kind.value)

    def ends(self, mark: Mark) -> float:
        """Return when a mark ends, on the loop's clock."""
        return self._now() + mark.until - self._wall()

    def forget(self, keep: Callable[[Key], bool]) -> None:
        """Drop the quarantines of what is no longer configured; other replicas may still have it."""
        for at, mark in tuple(self._marks.items()):
            if mark.kind is MarkKind.QUARANTINE and not keep(mark.key):
                del self._marks[at]
                self._changed(mark.key)

    def tick(self) -> None:
        """Let what ended be over, and forget it after a while."""
        wall = self._wall()
        oldest = wall - KEPT
        for at, mark in tuple(self._marks.items()):
            if mark.until <= wall:
                self._changed(mark.key)
            if mark.until < oldest and mark.version < oldest * 1000:
                del self._marks[at]

    def _version(self, key: Key, kind: MarkKind) -> int:
        ours = self._marks.get((key, kind))
        return max(int(self._wall() * 1000), 0 if ours is None else ours.version + 1)

    def _store(self, mark: Mark, *, heard: bool = False) -> None:
        self._marks[mark.key, mark.kind] = mark
        self._changed(mark.key)
        for listener in self.listeners:
            listener(mark, heard)
