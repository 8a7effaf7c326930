"""How a provider lists its models: a call as data, and its answer read into the same few facts for all of them.

A path of a field is written with dots, `pricing.input`. In a list `sku=LLM output tokens` is the entry whose `sku` is
so called. What is not there, or is no number, is not known.
"""

import re
from typing import Any, Final

from hybridproxy.model.dialect import Dialect
from hybridproxy.model.value import value

MAX_LISTED: Final = 20_000
"""Entries of a list that are read; none of the known ones has as many."""

MAX_ID: Final = 256
_DATE: Final = len("2026-11-04")


@value
class Lists:
    """The call that lists the models, and where an entry has which fact.

    Attributes:
        path: under the base URL; a whole https URL where the list has an address of its own.
        dialect: the one of the provider's other dialects under whose root the path stands; None: the base URL's own.
        headers: what the call has beside the key.
        page: the parameter that counts the list's pages from 1; "": it comes whole.
        total: the field of the answer with the number of entries on all pages.
        entries: the field of the answer that has the entries; "": the answer is the list itself.
        id: the name a call uses.
        before: what the listed name begins with and a call's name does not.
        context: tokens of the window; "": it does not say.
        input: price of the tokens that are read, likewise.
        output: price of the tokens that are made, likewise.
        per_million: US dollars for a million tokens are a price times this.
        removal: the date from which it is gone, YYYY-MM-DD with or without a time; "": it does not say.
        keyless: it is answered to anybody.
        about: a regular expression of the names it has, if there are others that are called just as well.

    """

    path: str = "/models"
    dialect: Dialect | None = None
    headers: tuple[tuple[str, str], ...] = ()
    page: str = ""
    total: str = ""
    entries: str = "data"
    id: str = "id"
    before: str = ""
    context: str = ""
    input: str = ""
    output: str = ""
    per_million: float = 1.0
    removal: str = ""
    keyless: bool = False
    about: str = ""

    def is_about(self, name: str) -> bool:
        """Return whether a model of this name would be on the list."""
        return not self.about or re.fullmatch(self.about, name) is not None


@value
class Listed:
    """A model as its provider lists it: tokens, US dollars for a million tokens, a date; None: it does not say."""

    id: str
    context: int | None = None
    input: float | None = None
    output: float | None = None
    removal: str | None = None


def read_list(lists: Lists, body: Any) -> tuple[Listed, ...] | None:
    """Return the models of a list, in its order; None for an answer that is no such list."""
    entries = _at(body, lists.entries) if lists.entries else body
    if not isinstance(entries, list):
        return None
    found = (_listed(lists, entry) for entry in entries[:MAX_LISTED])
    return tuple(one for one in found if one is not None)


def is_whole(lists: Lists, body: Any, entries: int) -> bool:
    """Return whether so many entries are all of a list; `body`: the last answer."""
    total = _at(body, lists.total)
    return not lists.page or (type(total) is int and entries >= total)


def count(lists: Lists, body: Any) -> int:
    """Return how many entries an answer has, those without a name too."""
    entries = _at(body, lists.entries) if lists.entries else body
    return len(entries) if isinstance(entries, list) else 0


def _listed(lists: Lists, entry: Any) -> Listed | None:
    name = _at(entry, lists.id)
    if not isinstance(name, str) or not name or len(name) > MAX_ID or not name.isprintable():
        return None
    context, removal = _at(entry, lists.context), _at(entry, lists.removal)
    return Listed(
        id=name.removeprefix(lists.before),
        context=context if type(context) is int and context > 0 else None,
        input=_price(lists, entry, lists.input),
        output=_price(lists, entry, lists.output),
        removal=removal[:_DATE] if isinstance(removal, str) and removal else None,
    )


def _price(lists: Lists, entry: Any, path: str) -> float | None:
    given = _at(entry, path)
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        dollars = float(given) * lists.per_million
    except (ValueError, OverflowError):
        return None
    return dollars if 0 <= dollars < 1e6 else None  # which NaN is not; OpenRouter has -1 for what depends


def _at(holder: Any, path: str) -> Any:
    """Return what stands at a path, None where nothing does."""
    if not path:
        return None
    for step in path.split("."):
        name, chosen, wanted = step.partition("=")
        if chosen:
            entries = holder if isinstance(holder, list) else []
            holder = next((one for one in entries if isinstance(one, dict) and one.get(name) == wanted), None)
        else:
            holder = holder.get(step) if isinstance(holder, dict) else None
    return holder
