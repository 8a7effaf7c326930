"""Where an address is, as far as anybody can tell.

A location is a hint: it orders what a caller may use and never grants anything.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """The country of an address, or the reason why there is none.

    Attributes:
        country: ISO 3166-1 alpha-2 code, upper case; None when it is not known.
        continent: AF, AN, AS, EU, NA, OC or SA; None exactly when the country is None.
        source: Who said so: "database"; "override" (the operator); "special" (an address that is in no country:
            private, loopback, documentation ...); "unknown" (not in the database, or no address at all);
            "error" (a malformed address or a failed look-up).
        accuracy: "country" or "none".
    """

    country: str | None
    continent: str | None
    source: str
    accuracy: str


UNKNOWN = Location(None, None, "unknown", "none")
"""The database has no country for the address, or there is no address."""

SPECIAL = Location(None, None, "special", "none")
"""The address belongs to no country by definition."""

FAILED = Location(None, None, "error", "none")
"""The text is no address, or the look-up failed."""
