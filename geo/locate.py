"""From an address to a location: the operator's word, then the special ranges, then the database."""

from collections.abc import Iterable

from geo.countries import CONTINENT_OF
from geo.database import CountryDatabase
from geo.location import FAILED, SPECIAL, UNKNOWN, Location
from geo.networks import SPECIAL_NETWORKS, Network, NetworkMap, pack, text, unmap


class Locator:
    """Locates addresses; the database in it may be swapped meanwhile."""

    __slots__ = ("_database", "_overrides")

    def __init__(self, database: CountryDatabase, overrides: Iterable[tuple[str, str]] = ()) -> None:
        """Take the database and the operator's (CIDR, country code) pairs, of which the longest prefix wins.

        Raises:
            ValueError: A CIDR or a country code is wrong, or one CIDR has two countries.
        """
        self._database = database
        self._overrides = NetworkMap.of((Network.parse(cidr), _override(country)) for cidr, country in overrides)

    def locate(self, address: str) -> Location:
        """Return where an address is; "" is the address of a unix socket. Never raises, never waits."""
        if not address:
            return UNKNOWN
        packed = pack(address)
        if packed is None:
            return FAILED
        plain = unmap(packed)
        override = self._overrides.get(plain)
        if override is not None:
            return override
        if plain in SPECIAL_NETWORKS:
            return SPECIAL
        return self._database.look_up(address if plain is packed else text(plain))


def _override(country: str) -> Location:
    if country not in CONTINENT_OF:
        raise ValueError(f"{country[:16]!r} is not a country: write an ISO 3166-1 code in capitals, such as SG")
    return Location(country, CONTINENT_OF[country], "override", "country")
