import re

import pytest

from geo.countries import CONTINENT_OF


def test_every_country_once() -> None:
    """All 249 ISO codes and Kosovo's XK are there, in capitals, each on one of the seven continents."""
    assert len(CONTINENT_OF) == 250
    assert all(re.fullmatch("[A-Z]{2}", country) for country in CONTINENT_OF)
    assert set(CONTINENT_OF.values()) == {"AF", "AN", "AS", "EU", "NA", "OC", "SA"}


def test_no_country_is_listed_twice() -> None:
    """The table behind the mapping names no country under two continents."""
    from geo.countries import _CODES

    assert sum(len(codes.split()) for codes in _CODES.values()) == len(CONTINENT_OF)


@pytest.mark.parametrize(
    ("country", "continent"),
    [("SG", "AS"), ("CN", "AS"), ("TR", "AS"), ("RU", "EU"), ("CY", "EU"), ("MX", "NA"), ("PA", "NA"), ("TL", "OC"),
     ("EG", "AF"), ("BR", "SA"), ("AQ", "AN"), ("NA", "AF"), ("NO", "EU"), ("XK", "EU")],
)  # fmt: skip
def test_continent(country: str, continent: str) -> None:
    """Countries on a border between continents are where GeoNames has them."""
    assert CONTINENT_OF[country] == continent


@pytest.mark.parametrize("pseudo", ["EU", "AP", "A1", "T1", "XX", "ZZ", "UK", "??", "sg", ""])
def test_pseudo_codes_are_no_countries(pseudo: str) -> None:
    """Codes that databases use for "somewhere" are not taken for countries."""
    assert pseudo not in CONTINENT_OF
