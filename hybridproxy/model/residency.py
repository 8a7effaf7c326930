"""Where calls may be worked on and kept: what is demanded of a backend, and what one promises.

Places are ISO 3166-1 country codes. What nobody knows is never good enough.
"""

from typing import Final

from hybridproxy.model.value import value

EUROPEAN_UNION: Final = frozenset(
    {
        "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU",
        "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
    }
)  # fmt: skip
"""What `EU` stands for in a demand and in a promise."""


def listed(places: frozenset[str]) -> str:
    """Return places in words."""
    union = places >= EUROPEAN_UNION
    return (
        ", ".join([*(["EU"] if union else []), *sorted(places - EUROPEAN_UNION if union else places)]) or "no country"
    )


@value
class Residency:
    """What is demanded of whoever works on a call. None: of that nothing is.

    Attributes:
        vpc: only the operator's own machines; such a call, and a tenant whose calls all are, is sovereign.
        compute: the countries it may be computed in.
        storage: the countries in which anything of it may be kept.
        retention: the days for which anything of it may be kept, 0: not at all.

    """

    vpc: bool = False
    compute: frozenset[str] | None = None
    storage: frozenset[str] | None = None
    retention: int | None = None

    def raised(self, other: "Residency") -> "Residency":
        """Return the demand that holds where both do: a demand is only ever raised."""
        return Residency(
            vpc=self.vpc or other.vpc,
            compute=_both(self.compute, other.compute),
            storage=_both(self.storage, other.storage),
            retention=min((days for days in (self.retention, other.retention) if days is not None), default=None),
        )


NO_DEMAND: Final = Residency()


@value
class Promise:
    """What a site says of itself, or the operator of a backend by a contract. None: unknown, or no limit.

    Attributes:
        compute: the countries it computes in.
        storage: the countries it keeps things in.
        retention: the days it keeps prompts and answers, 0: not at all.
        computes: where it computes, in words that follow its name; likewise `stores` and `retains`.
        processors: who else gets to see a prompt.
        evidence: where that is written: an address, or the operator's own words.
        dated: the day of the evidence, as YYYY-MM-DD.

    """

    compute: frozenset[str] | None = None
    storage: frozenset[str] | None = None
    retention: int | None = None
    computes: str = "does not say where it computes"
    stores: str = "does not say where it keeps prompts"
    retains: str = "does not say for how long it keeps prompts"
    processors: str = ""
    evidence: str = ""
    dated: str = ""


NO_PROMISE: Final = Promise()


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other
