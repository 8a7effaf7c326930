"""A list of prices that is no longer true."""

from typing import Any

import pytest

from hybridproxy.model.bill import Basis, Bill
from hybridproxy.model.call import Operation
from hybridproxy.model.facts import CallFacts
from hybridproxy.model.price import NANO
from hybridproxy.model.usage import Usage
from hybridproxy.telemetry.differences import WINDOW, Differences

CENT = NANO // 100


class Watched:
    """The watch, its clock, and what it said."""

    def __init__(self) -> None:
        self.now = 0.0
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.watch = Differences(lambda: self.now, self.log)

    def log(self, name: str, /, **fields: Any) -> None:
        """Take an event."""
        self.said.append((name, fields))

    def call(self, told: int, table: int, backend: str = "or", **more: Any) -> None:
        """Finish a call whose upstream told what it costs."""
        bill = Bill(Usage(1, 1), told, more.pop("basis", Basis.UPSTREAM), table, **more)
        self.watch.call_finished(CallFacts(request_id="r", operation=Operation.CHAT, bills=((backend, bill),)))


def test_an_upstream_that_charges_more_than_the_list_is_told_once_an_hour() -> None:
    """With the sums of both, of its own backend alone."""
    watched = Watched()
    for _ in range(30):
        watched.call(NANO, NANO // 2)
        watched.call(NANO, NANO, "other")
    assert watched.said == [
        ("ledger.prices_differ", {"backend": "or", "told_nanodollars": NANO, "table_nanodollars": NANO // 2})
    ]
    watched.now = WINDOW + 1
    watched.call(NANO, 2 * NANO)
    assert len(watched.said) == 2


@pytest.mark.parametrize(
    ("told", "table", "more"),
    [
        (CENT, 0, {}),
        (100 * CENT, 96 * CENT, {}),
        (NANO, 0, {"priced": False}),
        (NANO, 0, {"basis": Basis.TABLE}),
    ],
    ids=["a cent", "four per cent", "no price", "nothing told"],
)
def test_a_small_difference_is_no_news(told: int, table: int, more: dict[str, Any]) -> None:
    """Nor one from a price that nobody gave."""
    watched = Watched()
    watched.call(told, table, **more)
    assert watched.said == []
