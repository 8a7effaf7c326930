import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.countries import CONTINENT_OF
from geo.location import FAILED, SPECIAL, UNKNOWN, Location
from geo.regions import Region, region_of


def region(name: str, countries: str = "", continents: str = "") -> Region:
    """Make a region from codes in a row."""
    return Region(name, frozenset(countries.split()), frozenset(continents.split()))


def at(country: str) -> Location:
    """Place a caller in a country."""
    return Location(country, CONTINENT_OF[country], "database", "country")


CHINA = region("china", "CN")
ASIA = region("asia", "AU NZ", "AS")
NORTH_AMERICA = region("north-america", "US CA MX")
EUROPE = region("europe", continents="EU")
DEFAULT = region("default")
REGIONS = (CHINA, ASIA, NORTH_AMERICA, EUROPE, DEFAULT)


@pytest.mark.parametrize(
    ("country", "expected"),
    [("SG", "asia"), ("AU", "asia"), ("US", "north-america"), ("DE", "europe"), ("CN", "china"), ("BR", "default"),
     ("GL", "default"), ("HK", "asia")],
)  # fmt: skip
def test_regions_of_the_example_configuration(country: str, expected: str) -> None:
    """Callers land where the operator's file says: by country, by continent, or in the default region."""
    assert region_of(at(country), REGIONS) == expected


def test_the_first_match_wins() -> None:
    """A country that two regions have belongs to the one written first."""
    assert region_of(at("SG"), (region("a", continents="AS"), region("b", "SG"))) == "a"
    assert region_of(at("SG"), (region("b", "SG"), region("a", continents="AS"))) == "b"


def test_the_default_region_waits_wherever_it_stands() -> None:
    """A default region written first does not take what a later region names; of two the first counts."""
    assert region_of(at("SG"), (DEFAULT, ASIA)) == "asia"
    assert region_of(at("BR"), (DEFAULT, ASIA, region("rest"))) == "default"


def test_no_region_and_no_default() -> None:
    """Without a default region a country that nobody names has no region."""
    assert region_of(at("BR"), (ASIA,)) is None
    assert region_of(at("BR"), ()) is None


@pytest.mark.parametrize("order", [*itertools.permutations((ASIA, DEFAULT, region("world", continents="AS EU NA")))])
def test_mainland_china_is_in_no_continent_and_not_in_the_default(order: tuple[Region, ...]) -> None:
    """A caller in mainland China has no region unless one names CN."""
    assert region_of(at("CN"), order) is None
    assert region_of(at("CN"), (*order, CHINA)) == "china"


@pytest.mark.parametrize("location", [UNKNOWN, SPECIAL, FAILED])
def test_an_unknown_place_is_in_the_default_region(location: Location) -> None:
    """Private, unknown and malformed addresses follow the default region's policy, and without one have none."""
    assert region_of(location, REGIONS) == "default"
    assert region_of(location, (CHINA, ASIA)) is None


def test_a_continent_without_a_country_is_an_unknown_place() -> None:
    """Somewhere in Asia could be mainland China, so the continent alone decides nothing."""
    assert region_of(Location(None, "AS", "database", "none"), REGIONS) == "default"


@given(
    st.sampled_from(sorted(CONTINENT_OF)),
    st.lists(
        st.builds(
            Region,
            st.text(max_size=3),
            st.frozensets(st.sampled_from(["CN", "SG", "US", "DE"])),
            st.frozensets(st.sampled_from(sorted(set(CONTINENT_OF.values())))),
        ),
        max_size=5,
    ),
)
def test_every_answer_has_a_reason(country: str, regions: list[Region]) -> None:
    """A region found names the country, or has its continent, or is a default; mainland China only the first."""
    found = region_of(at(country), regions)
    reasons = {
        one.name
        for one in regions
        if country in one.countries
        or (country != "CN" and (CONTINENT_OF[country] in one.continents or not one.countries | one.continents))
    }
    assert (found in reasons) if reasons else (found is None)
