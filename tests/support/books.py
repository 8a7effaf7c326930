"""A ledger that only keeps what it is told, and what can be asked of it."""

from dataclasses import replace
from typing import Any

from hybridproxy.metering.records import Called, Ended, Entry, Started
from tests.support.stack import Stack


class Books:
    """Keeps entries in their order."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def put(self, entry: Entry) -> None:
        """Take one."""
        self.entries.append(entry)

    @property
    def started(self) -> list[Started]:
        """The attempts that began."""
        return [entry for entry in self.entries if isinstance(entry, Started)]

    @property
    def ended(self) -> list[Ended]:
        """The attempts that ended."""
        return [entry for entry in self.entries if isinstance(entry, Ended)]

    @property
    def called(self) -> list[Called]:
        """The calls."""
        return [entry for entry in self.entries if isinstance(entry, Called)]

    def check(self) -> None:
        """Each attempt has begun once and ended once, in this order, before its call did; the sums agree."""
        keys: dict[Any, list[type]] = {}
        costs: dict[str, list[int]] = {}
        for entry in self.entries:
            if isinstance(entry, Called):
                mine = costs.pop(entry.call, [])
                assert (entry.attempts, entry.cost) == (len(mine), sum(mine)), entry
                continue
            keys.setdefault((entry.call, entry.n), []).append(type(entry))
            if isinstance(entry, Ended):
                costs.setdefault(entry.call, []).append(entry.cost)
        assert all(kinds == [Started, Ended] for kinds in keys.values()), keys
        assert len({call.call for call in self.called}) == len(self.called)
        assert all(call.startswith("probe_") for call in costs), costs


def books_of(stack: Stack) -> Books:
    """Give an installation a ledger that can be looked into."""
    books = Books()
    gateway = stack.worker.gateway
    gateway._parts = replace(gateway._parts, ledger=books)
    stack.worker.prober._parts = gateway._parts
    return books
