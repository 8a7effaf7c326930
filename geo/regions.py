"""The operator's regions: which one a location belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass

from geo.location import Location

MAINLAND_CHINA = "CN"
"""Belongs only to a region that names it: sending its callers elsewhere is a data export under Chinese law."""


@dataclass(frozen=True, slots=True)
class Region:
    """A name for some countries and continents; with neither, it is the default region.

    Attributes:
        name: As the operator calls it.
        countries: ISO 3166-1 alpha-2 codes.
        continents: AF, AN, AS, EU, NA, OC, SA.
    """

    name: str
    countries: frozenset[str]
    continents: frozenset[str]


def region_of(location: Location, regions: Sequence[Region]) -> str | None:
    """Return the name of the first region that has the location's country or continent.

    What no region has goes to the default region, wherever that stands; so does a location without a country.
    Mainland China goes to a region that names it and nowhere else.

    Returns:
        None when no region matches and there is no default, or for mainland China when no region names it.
    """
    country = location.country
    default = None
    for region in regions:
        if country in region.countries:
            return region.name
        if country == MAINLAND_CHINA:
            continue
        if country is not None and location.continent in region.continents:
            return region.name
        if default is None and not region.countries and not region.continents:
            default = region.name
    return default
