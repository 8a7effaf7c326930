"""Looking things up in the catalogue: what a site calls a model, and what is known of it.

What was refreshed or written into an overlay (`Note`) belongs to one backend and comes before the built-in rows.
"""

from collections.abc import Mapping
from typing import Final

from hybridproxy.catalogue.alibaba import ALIBABA
from hybridproxy.catalogue.checkpoints import CHECKPOINTS, checkpoint_by_name
from hybridproxy.catalogue.hosts import HOSTS
from hybridproxy.catalogue.row import Row
from hybridproxy.model.price import Price
from hybridproxy.model.value import value

DATED: Final = "2026-11-23"
"""The day the sources were read last."""

OFFICIAL: Final = frozenset({"dashscope"})
"""Providers that are the makers of what they serve: first among equally fresh ones."""

NAMED_BY_HAND: Final = frozenset({("dashscope", "virginia")})
"""Sites where the name of a model decides where it is computed: nobody but the operator picks one there."""

_ROWS: Final[Mapping[tuple[str, str | None, str], Row]] = {
    (row.provider, row.site, row.name): row for row in (*ALIBABA, *HOSTS)
}


@value
class Note:
    """What an overlay says of one backend's model; None, and "": nothing.

    Attributes:
        backend: the operator's name for the backend.
        name: the backend's own name of the model.
        line: the line it is a generation of.
        released: the day its checkpoint came out, YYYY-MM-DD.
        context: tokens of the window.
        price: what its tokens cost.
        leaves: the day from which it is gone, YYYY-MM-DD; `NEVER`: none, whatever the catalogue says.

    """

    backend: str
    name: str
    line: str = ""
    released: str = ""
    context: int | None = None
    price: Price | None = None
    leaves: str = ""


NEVER: Final = "9999-12-31"
"""The day in a note that takes back what the catalogue says of a removal."""

Overlay = Mapping[tuple[str, str], Note]
"""Notes by backend and the backend's own name of the model."""

NO_OVERLAY: Final[Overlay] = {}


@value
class Known:
    """What is known of a backend's model, and of each price and window who says so; None, and "": nothing is known.

    `closed`: its weights are its maker's, and the backend is another's: it may pass calls on.
    """

    name: str
    line: str
    released: str
    context: int | None
    context_from: str
    price: Price | None
    price_from: str
    leaves: str
    leaves_from: str
    closed: bool


REFRESHED: Final = "refreshed"


def row_of(provider: str, site: str, name: str) -> Row | None:
    """Return the built-in row of a model, None where there is none."""
    return _ROWS.get((provider, site, name)) or _ROWS.get((provider, None, name))


def known_of(backend: str, provider: str, site: str, name: str, overlay: Overlay = NO_OVERLAY) -> Known:
    """Return what the overlay and the catalogue know of a backend's model.

    Args:
        backend: the operator's name for the backend.
        provider: its provider.
        site: the provider's site, "" for its only one.
        name: the backend's own name of the model.
        overlay: what was refreshed.

    """
    row = row_of(provider, site, name)
    note = overlay.get((backend, name)) or Note(backend, name)
    checkpoint = checkpoint_by_name(name) if row is None else CHECKPOINTS[row.checkpoint]
    said = "" if row is None else f"catalogue of {row.dated}: {row.source}"
    context, context_from = (note.context, REFRESHED) if note.context else (row.context if row else None, said)
    price, price_from = (note.price, REFRESHED) if note.price else (row.price if row else None, said)
    leaves, leaves_from = (note.leaves, REFRESHED) if note.leaves else (row.leaves if row else "", said)
    leaves = "" if leaves == NEVER else leaves
    return Known(
        name=name,
        line=note.line or (checkpoint.line if checkpoint else ""),
        released=note.released or (checkpoint.released if checkpoint else ""),
        context=context,
        context_from=context_from if context else "",
        price=price,
        price_from=price_from if price else "",
        leaves=leaves,
        leaves_from=leaves_from if leaves else "",
        closed=checkpoint is not None and checkpoint.closed and provider not in OFFICIAL,
    )


def freshest(
    line: str, backend: str, provider: str, site: str, overlay: Overlay = NO_OVERLAY, today: str = ""
) -> Known | None:
    """Return the newest of a line that a backend offers and that is not gone; None where it offers none.

    Args:
        line: one of `LINES`, or one that only the overlay has.
        backend: the operator's name for the backend.
        provider: its provider.
        site: the provider's site, "" for its only one.
        overlay: what was refreshed.
        today: YYYY-MM-DD; "": nothing is taken for gone.

    """
    names = [name for own, where, name in _ROWS if own == provider and where in (site, None)]
    names += [name for own, name in overlay if own == backend and name not in names]
    if (provider, site) in NAMED_BY_HAND:
        return None
    offered = [
        known
        for known in (known_of(backend, provider, site, name, overlay) for name in names)
        if known.line == line and not (known.leaves and known.leaves <= today)
    ]
    return max(offered, key=lambda known: known.released, default=None)
