"""What upstreams say they charge, against our table: a list of prices that is no longer true is told, once an hour.

Both are added up for each backend over an hour of calls whose upstream told the cost. An alarm is due where the sums
differ by more than a twentieth of the larger one and by more than a cent.
"""

from collections.abc import Callable
from typing import Final, Protocol

from hybridproxy.model.bill import Basis
from hybridproxy.model.facts import CallFacts
from hybridproxy.model.price import NANO
from hybridproxy.telemetry.logs import Loggable

WINDOW: Final = 3600.0
SHARE: Final = 0.05
LEAST: Final = NANO // 100
"""Nano-dollars: a cent."""


class Event(Protocol):
    """Takes an event for the log."""

    def __call__(self, name: str, /, **fields: Loggable) -> None:
        """Log it."""
        ...


class _Sums:
    __slots__ = ("since", "table", "told", "warned")

    def __init__(self, since: float) -> None:
        self.since = since
        self.told = self.table = 0
        self.warned = False


class Differences:
    """Watches finished calls; an observer. Bounded by the number of backends."""

    def __init__(self, now: Callable[[], float], log: Event) -> None:
        """Begin with nothing; `now`: seconds on a clock that is never set back."""
        self._now = now
        self._log = log
        self._sums: dict[str, _Sums] = {}

    def call_finished(self, facts: CallFacts) -> None:
        """Compare what the attempts of a call cost with what the table says."""
        for backend, bill in facts.bills:
            if bill.basis is Basis.UPSTREAM and bill.priced:
                self._add(backend, bill.cost, bill.table)

    def _add(self, backend: str, told: int, table: int) -> None:
        now = self._now()
        sums = self._sums.get(backend)
        if sums is None or now - sums.since > WINDOW:
            sums = self._sums[backend] = _Sums(now)
        sums.told += told
        sums.table += table
        if not sums.warned and abs(sums.told - sums.table) > max(LEAST, SHARE * max(sums.told, sums.table)):
            sums.warned = True
            self._log("ledger.prices_differ", backend=backend, told_nanodollars=sums.told, table_nanodollars=sums.table)
