"""Tests of what is said of offers that end."""

from dataclasses import replace

import pytest

from hybridproxy.catalogue.offers import Offer, ending, unpriced, unpriced_warning, warnings
from hybridproxy.model.price import UNKNOWN, price

OFFER = Offer("qwen", "us", "Qwen/Q", None, "", price(1, 2), "configuration", "", "2026-12-31", "somebody")


@pytest.mark.parametrize(
    ("today", "said"),
    [
        ("2026-11-01", "leaves on 2026-12-31"),
        ("2026-10-31", None),
        ("2026-12-30", "leaves on 2026-12-31"),
        ("2026-12-31", "gone since 2026-12-31"),
        ("2027-05-01", "gone since 2026-12-31"),
    ],
)
def test_a_removal_is_told_sixty_days_before(today: str, said: str | None) -> None:
    """And from then on; earlier it is no news."""
    assert ending(OFFER, today) == said


def test_what_nobody_announced_is_not_told() -> None:
    """Most offers have no end that is known."""
    assert ending(replace(OFFER, leaves=""), "2026-11-01") is None
    assert warnings([replace(OFFER, leaves=""), OFFER], "2027-01-01") == [
        (OFFER, "Qwen/Q gone since 2026-12-31 at us (somebody)")
    ]


def test_offers_without_a_price_are_those_that_somebody_bills() -> None:
    """A server in the VPC has no list price and needs none; the others are named, the first twenty of them."""
    nobody = replace(OFFER, price=UNKNOWN)
    assert unpriced([OFFER, nobody, replace(nobody, free=True)]) == [nobody]
    assert unpriced_warning([OFFER]) is None
    said = unpriced_warning([nobody, nobody])
    assert said is not None
    assert said.startswith(f"no price is known for {OFFER.model} at us (Qwen/Q): ")
    many = unpriced_warning(replace(nobody, model=f"m{n}") for n in range(25))
    assert many is not None
    assert "m19 at us (Qwen/Q) and 5 more: " in many
