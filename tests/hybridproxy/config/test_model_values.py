"""The values that options about models take."""

from typing import Any

import pytest

from hybridproxy.config.model_values import day, preferences
from hybridproxy.model.snapshot import Prefer


@pytest.mark.parametrize("given", ["2026-11-4", "20261104", "2026-13-01", "2026-02-30", "tomorrow", 20261104, None, ""])
def test_a_day_is_written_out(given: Any) -> None:
    """Year, month and day, and one that there is."""
    with pytest.raises(ValueError, match="expected a day such as 2026-11-04"):
        day(given)
    assert day("2026-11-04") == "2026-11-04"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([], "expected a list of order, latency, price, fresh, weight"),
        ("price", "expected a list of"),
        ([["price"]], "expected a list of"),
        (["cheap"], "expected a list of"),
        (["price", "price"], "names something twice"),
        (["order", "price"], "put one of them last"),
        (["weight", "order"], "put one of them last"),
    ],
)
def test_a_preference_that_cannot_be_is_refused(given: Any, why: str) -> None:
    """Unknown words, repeated ones, and what would decide all before the rest is asked."""
    with pytest.raises(ValueError, match=why):
        preferences(given)


def test_preferences_are_asked_in_their_order() -> None:
    """The first first."""
    assert preferences(["latency", "price", "weight"]) == (Prefer.LATENCY, Prefer.PRICE, Prefer.WEIGHT)
    assert preferences(["order"]) == (Prefer.ORDER,)
