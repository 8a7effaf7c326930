"""Tests of Alibaba's prices: the figures as the pages print them."""

import pytest

from hybridproxy.catalogue.alibaba import ALIBABA, K
from hybridproxy.catalogue.checkpoints import CHECKPOINTS
from hybridproxy.model.price import NANO, Price
from hybridproxy.model.usage import Usage


def tariff(site: str, name: str) -> Price:
    """The price of a model at a site."""
    (row,) = [row for row in ALIBABA if (row.site, row.name) == (site, name)]
    assert row.price is not None
    return row.price


@pytest.mark.parametrize(
    ("tokens", "dollars"), [(32 * K, (1.2, 6)), (32 * K + 1, (2.4, 12)), (128 * K + 1, (3, 15)), (10**7, (3, 15))]
)
def test_the_input_picks_the_tier(tokens: int, dollars: tuple[float, float]) -> None:
    """qwen3-max in Singapore has three."""
    tier = tariff("singapore", "qwen3-max").tier(tokens)
    assert (tier.input, tier.output) == tuple(round(one * NANO) for one in dollars)


def test_qwen_plus_that_thinks_has_a_price_of_its_own() -> None:
    """0.40 in, 1.20 out and 4.00 where it thinks; the next tier from 256K on."""
    price = tariff("singapore", "qwen-plus")
    assert price.of(Usage(0, 1_000_000)) == 1.2 * NANO
    assert price.of(Usage(0, 1_000_000, reasoning=1)) == 4 * NANO
    assert price.tier(256 * K + 1).thinking == 12 * NANO


def test_a_cache_hit_costs_a_fifth() -> None:
    """And what is put into the cache a quarter more."""
    price = tariff("singapore", "qwen3.7-max")
    assert (price.input, price.cached, price.written) == (2_500_000_000, 500_000_000, 3_125_000_000)
    assert price.asked == 250_000_000


def test_beijings_yuan_are_dollars_as_the_page_converts_them() -> None:
    """12 yuan are about 1.60 dollars, and the same in Virginia without `-us`."""
    assert tariff("beijing", "qwen3.8-max").input == pytest.approx(1.602 * NANO, rel=1e-3)
    assert tariff("virginia", "qwen3.8-max") == tariff("beijing", "qwen3.8-max")
    assert tariff("virginia", "qwen-plus-us") == tariff("singapore", "qwen-plus")


def test_every_row_is_of_a_known_checkpoint_and_has_a_date() -> None:
    """And each model stands once at a site."""
    assert all(row.checkpoint in CHECKPOINTS and row.dated >= "2026-07-02" for row in ALIBABA)
    assert len({(row.site, row.name) for row in ALIBABA}) == len(ALIBABA)
