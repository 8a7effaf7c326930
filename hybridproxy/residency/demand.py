"""What a caller demands with `x-hybridproxy-residency`: `vpc`, or `{compute: [US], storage: [US], retention: none}`.

The same words as a tenant's `residency` in the configuration, quoted or not, so that JSON is read too. It is only ever
joined to the tenant's own demand, so nothing that stands in it can lower that.
"""

import re
from typing import Any, Final

from hybridproxy.model.residency import EUROPEAN_UNION, Residency

EXPECTED: Final = "expected vpc, or as in {compute: [US], storage: [US], retention: none}"
MAX_LENGTH: Final = 500
MAX_DAYS: Final = 3650

_TERM = re.compile(r'\s*"?(compute|storage|retention)"?\s*:\s*(\[[^][]*\]|"?\w+"?)\s*(,|\Z)')
_COUNTRY = re.compile(r"[A-Z]{2}")
_DAYS = re.compile(r"([0-9]{1,4})d")


class DemandError(ValueError):
    """It cannot be read. The text says what was expected and repeats nothing of it."""


def parse_demand(text: str) -> Residency:
    """Return the demand.

    Raises:
        DemandError: it is none.

    """
    text = text.strip()
    if text == "vpc":
        return Residency(vpc=True)
    if len(text) > MAX_LENGTH or not (text.startswith("{") and text.endswith("}")):
        raise DemandError(EXPECTED)
    found: dict[str, str] = {}
    rest, more = text[1:-1], True
    while more:
        term = _TERM.match(rest)
        if term is None or term[1] in found:
            raise DemandError(EXPECTED)
        found[term[1]] = term[2]
        rest, more = rest[term.end() :], bool(term[3])
    return Residency(
        compute=_places(found["compute"]) if "compute" in found else None,
        storage=_places(found["storage"]) if "storage" in found else None,
        retention=days(found["retention"].strip('"')) if "retention" in found else None,
    )


def places(words: Any) -> frozenset[str]:
    """Return the countries that a list of ISO codes and `EU` stands for.

    Raises:
        DemandError: one of them is neither.

    """
    if (
        not isinstance(words, list)
        or not words
        or not all(isinstance(word, str) and _COUNTRY.fullmatch(word) for word in words)
    ):
        raise DemandError("expected a list of ISO 3166-1 country codes in capitals, or EU")
    return frozenset[str]().union(*(EUROPEAN_UNION if word == "EU" else {word} for word in words))


def days(word: Any) -> int:
    """Return the days of `none` or `30d`.

    Raises:
        DemandError: it is neither.

    """
    match = _DAYS.fullmatch(word) if isinstance(word, str) else None
    if word != "none" and (match is None or not 0 < int(match[1]) <= MAX_DAYS):
        raise DemandError("expected none, or days as in 30d")
    return 0 if match is None else int(match[1])


def _places(text: str) -> frozenset[str]:
    if not text.startswith("["):
        raise DemandError("expected a list of ISO 3166-1 country codes in capitals, or EU")
    return places([word.strip().strip('"') for word in text[1:-1].split(",")])
