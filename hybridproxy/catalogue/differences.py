"""What the upstreams' own lists say otherwise than what is held, and the overlay of it."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any, Final

from hybridproxy.catalogue.catalogue import NEVER, Note, Overlay
from hybridproxy.catalogue.checkpoints import CHECKPOINTS, LINES
from hybridproxy.catalogue.offers import CONFIGURED, Offer
from hybridproxy.model.price import NANO, Price, nano
from hybridproxy.model.value import value
from hybridproxy.providers.lists import Listed

_GENERATION: Final = re.compile(r"(?:.*/)?qwen-?([0-9]+)(?:[.p]([0-9]+))?-([a-z0-9-]+)", re.IGNORECASE)
"""What a generation of a line is called: `qwen/qwen3.8-max`, `Qwen/Qwen3.6-35B-A3B`, `qwen3p7-plus`."""

MAX_CONTEXT: Final = 1_000_000_000
"""Tokens of a window that may be true; an overlay takes no more."""


@value
class Difference:
    """One thing that a list says otherwise.

    Attributes:
        backend: whose list.
        name: the backend's own name of the model.
        what: `price`, `context`, `leaves`, `gone`, `listed` (though it was said to be gone) or `new`.
        before: what is held; "": nothing.
        after: what the list says.

    """

    backend: str
    name: str
    what: str
    before: str
    after: str

    def __str__(self) -> str:
        """Say it in one line."""
        before = f", was {self.before}" if self.before else ""
        return f"{self.backend}: {self.name}: {self.what}: {self.after}{before}"


def differences(
    offers: Iterable[Offer],
    lists: Mapping[str, tuple[Listed, ...]],
    overlay: Overlay,
    pinned: Collection[str],
    today: str,
) -> tuple[list[Difference], Overlay]:
    """Return what is different, and the overlay with all of that in it.

    Args:
        offers: what is held.
        lists: what those backends said that answered.
        overlay: the overlay so far; what it says beside that stays.
        pinned: backends whose price is that of the providers they are pinned to, which no list tells.
        today: YYYY-MM-DD, the day from which a model that is on no list any more is held to be gone.

    """
    found: list[Difference] = []
    notes = dict(overlay)
    offered = {(offer.backend, offer.name): offer for offer in offers if "*" not in offer.name}
    for (backend, name), offer in offered.items():
        if backend not in lists:
            continue
        listed = next((one for one in lists[backend] if one.id == name), None)
        note = notes.get((backend, name)) or Note(backend, name)
        changes, changed = _gone(offer, note, today) if listed is None else _compared(offer, note, listed, pinned)
        found += changes
        if changed != note:
            notes[backend, name] = changed
    for backend, entries in lists.items():
        known = {name for own, name in (*offered, *notes) if own == backend}
        found += [
            Difference(backend, one.id, "new", "", f"a {line}; give it `line` and `released` in the overlay")
            for one in entries
            if one.id not in known and (line := _unknown_of_line(one.id))
        ]
    return found, notes


def _gone(offer: Offer, note: Note, today: str) -> tuple[list[Difference], Note]:
    """Return what is to be said of a model that is not listed: it is gone if it was on a list before."""
    change = Difference(offer.backend, offer.name, "gone", "", "it is not on the list")
    if offer.leaves and offer.leaves <= today:
        return [], note
    listed_before = not offer.owned and offer.price_from not in {"", CONFIGURED}
    return [change], replace(note, leaves=today) if listed_before else note


def _compared(offer: Offer, note: Note, listed: Listed, pinned: Collection[str]) -> tuple[list[Difference], Note]:
    found: list[Difference] = []

    def differs(what: str, before: str, after: str) -> None:
        found.append(Difference(offer.backend, offer.name, what, before, after))

    if listed.context is not None and offer.context != listed.context <= MAX_CONTEXT:
        before = "" if offer.context is None else f"{offer.context} ({offer.context_from})"
        differs("context", before, str(listed.context))
        note = replace(note, context=listed.context)
    if listed.input is not None and listed.output is not None and offer.backend not in pinned:
        price = Price(nano(listed.input), nano(listed.output))
        if not offer.price.known or (price.input, price.output) != (offer.price.input, offer.price.output):
            before = f"{shown(offer.price)} ({offer.price_from})" if offer.price.known else ""
            differs("price", before, shown(price))
            note = replace(note, price=price)
    removal = _day(listed.removal)
    if removal and removal != offer.leaves:
        differs("leaves", offer.leaves, removal)
        note = replace(note, leaves=removal)
    elif not removal and offer.leaves:
        differs("listed", f"leaves on {offer.leaves} ({offer.leaves_from})", "with no day on which it leaves")
        note = replace(note, leaves=NEVER)
    return found, note


def _day(text: str | None) -> str:
    try:
        return date.fromisoformat(text or "").isoformat()
    except ValueError:
        return ""


def _unknown_of_line(name: str) -> str:
    """Return the line of which a name is a generation that the catalogue does not have, "" where it is none."""
    match = _GENERATION.fullmatch(name)
    if match is None:
        return ""
    version, kind = match[1] + (f".{match[2]}" if match[2] else ""), match[3].lower()
    line = f"qwen-{kind}"
    return line if line in LINES and f"qwen{version}-{kind}" not in CHECKPOINTS else ""


def shown(price: Price) -> str:
    """Return a price as people write it: `$1.2/$6`, and the tiers behind it."""
    text = f"${_dollars(price.input)}/${_dollars(price.output)}"
    if price.thinking is not None:
        text += f" (thinking ${_dollars(price.thinking)})"
    return "; ".join([text, *(f"over {above:,}: {shown(dearer)}" for above, dearer in price.tiers)])


def _dollars(amount: int) -> str:
    return f"{amount / NANO:.4f}".rstrip("0").rstrip(".")


def written(overlay: Overlay) -> list[dict[str, Any]]:
    """Return the notes of an overlay as the entries of its file."""
    entries = []
    for note in overlay.values():
        entry: dict[str, Any] = {
            "backend": note.backend,
            "name": note.name,
            "line": note.line,
            "released": note.released,
        }
        priced = {} if note.price is None else {"price": rates(note.price)}
        entry |= {"context": note.context, **priced, "leaves": note.leaves}
        entries.append({key: said for key, said in entry.items() if said not in (None, "")})
    return entries


def rates(price: Price) -> dict[str, Any]:
    """Return a price as a configuration has it, in dollars."""
    amounts = {
        "input": price.input,
        "output": price.output,
        "thinking": price.thinking,
        "cache_read": price.cached,
        "cache_read_explicit": price.asked,
        "cache_write": price.written,
    }
    made: dict[str, Any] = {key: amount / NANO for key, amount in amounts.items() if amount is not None}
    if price.tiers:
        made["tiers"] = [{"above": above, **rates(dearer)} for above, dearer in price.tiers]
    return made
