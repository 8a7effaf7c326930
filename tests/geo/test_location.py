import dataclasses

import pytest

from geo.location import FAILED, SPECIAL, UNKNOWN, Location


@pytest.mark.parametrize(("location", "source"), [(UNKNOWN, "unknown"), (SPECIAL, "special"), (FAILED, "error")])
def test_no_country_says_why(location: Location, source: str) -> None:
    """An address without a country has no continent either, and the source tells the reason."""
    assert (location.country, location.continent, location.source, location.accuracy) == (None, None, source, "none")


def test_a_location_cannot_be_changed() -> None:
    """A location is shared by many calls, so nobody may change it."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        UNKNOWN.country = "SG"  # type: ignore[misc]
