"""Where a tenant's calls connected: the audit log's records, summed up by where they went."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hybridproxy.model.value import value
from hybridproxy.residency.chain import INTENT, OUTCOME, UNREACHED, Record

MAX_ROWS: Final = 10_000
"""Places that are told apart; the rest is summed up as one."""


@value
class Place:
    """Where requests went; `address` is the peer that was connected to, "" where no connection was to be had."""

    backend: str
    address: str
    certificate: str
    sovereign: bool


@dataclass(slots=True)
class Sum:
    """What went there.

    Attributes:
        calls: requests.
        unsent: those of them of which no byte left.
        open: those of which no end is recorded: under way, or cut off by a crash.
        sent: bytes.
        received: bytes.
        first: the first one's time, in ms of the epoch.
        last: the last one's.

    """

    calls: int = 0
    unsent: int = 0
    open: int = 0
    sent: int = 0
    received: int = 0
    first: int = 0
    last: int = 0


class Report:
    """Takes the records of one chain after the other."""

    def __init__(self, tenant: str | None, since: int, until: int) -> None:
        """Sum up one tenant's requests, by its hash, or with None everybody's and our own, from `since` to `until`."""
        self.places: dict[Place, Sum] = {}
        self._tenant = tenant
        self._since = since
        self._until = until
        self._open: dict[int, tuple[Sum, Any]] = {}

    def next_chain(self) -> None:
        """Say that the records to come are another chain's."""
        self._open.clear()

    def take(self, record: Record) -> None:
        """Take one record."""
        kind = record["kind"]
        if kind == OUTCOME:
            self._end(record)
        elif kind in {INTENT, UNREACHED} and self._asked_for(record):
            found = self._sum(_place(record))
            found.calls += 1
            found.first = found.first or record["at"]
            found.last = record["at"]
            if kind == UNREACHED:
                found.unsent += 1
            else:
                found.open += 1
                self._open[record["seq"]] = found, record.get("id")

    def _end(self, record: Record) -> None:
        number = _number(record, "of", -1)
        found, request = self._open.get(number, (None, None))
        if found is None or record.get("id") != request:
            return
        del self._open[number]
        sent = _number(record, "sent")
        found.open -= 1
        found.sent += sent
        found.received += _number(record, "received")
        found.unsent += sent == 0

    def _asked_for(self, record: Record) -> bool:
        at = record.get("at")
        return (
            type(at) is int
            and self._since <= at < self._until
            and (self._tenant is None or record.get("tenant") == self._tenant)
        )

    def _sum(self, place: Place) -> Sum:
        if place not in self.places and len(self.places) >= MAX_ROWS:
            place = Place("(others)", "", "", sovereign=False)
        return self.places.setdefault(place, Sum())


def _place(record: Mapping[str, Any]) -> Place:
    return Place(
        str(record.get("backend", "")),
        str(record.get("peer") or ""),
        str(record.get("certificate") or ""),
        sovereign=record.get("sovereign") is True,
    )


def _number(record: Mapping[str, Any], name: str, otherwise: int = 0) -> int:
    found = record.get(name)
    return found if type(found) is int else otherwise
