"""What a configuration offers, with the facts of each offer and where they come from; and which of them end."""

from collections.abc import Iterable
from datetime import date
from typing import Final

from hybridproxy.model.price import NANO, UNKNOWN, Price
from hybridproxy.model.value import value

SOON: Final = 60
"""Days before a removal at which it is warned of."""

CONFIGURED: Final = "configuration"


@value
class Offer:
    """A model by the name callers use, at one backend.

    Attributes:
        model: the name callers use.
        backend: the operator's name for the backend.
        name: the backend's own name of the model.
        context: tokens of the window, None: not known.
        context_from: who says so; "" where nobody does, and likewise below.
        price: what its tokens cost, `known` or a stand-in.
        price_from: who says so.
        released: the day its checkpoint came out, YYYY-MM-DD; "": not known.
        leaves: the day from which it is gone, YYYY-MM-DD; "": nothing was announced.
        leaves_from: who says so.
        latest: the line of which this is the freshest there; "": the configuration names it.
        owned: the operator runs the server, so nobody has a list of its prices.
        free: it is in the VPC, where nobody sends a bill.

    """

    model: str
    backend: str
    name: str
    context: int | None
    context_from: str
    price: Price
    price_from: str
    released: str
    leaves: str
    leaves_from: str
    latest: str = ""
    owned: bool = False
    free: bool = False


def ending(offer: Offer, today: str) -> str | None:
    """Return what is to be said of an offer that is gone or will be within `SOON` days, None where nothing is.

    Args:
        offer: the offer.
        today: YYYY-MM-DD.

    """
    if not offer.leaves:
        return None
    if offer.leaves <= today:
        return f"gone since {offer.leaves}"
    days = (date.fromisoformat(offer.leaves) - date.fromisoformat(today)).days
    return f"leaves on {offer.leaves}" if days <= SOON else None


def warnings(offers: Iterable[Offer], today: str) -> list[tuple[Offer, str]]:
    """Return the offers that end, each with a sentence."""
    found = []
    for offer in offers:
        ends = ending(offer, today)
        if ends is not None:
            found.append((offer, f"{offer.name} {ends} at {offer.backend} ({offer.leaves_from})"))
    return found


def unpriced(offers: Iterable[Offer]) -> list[Offer]:
    """Return the offers whose price nobody gave though somebody will send a bill."""
    return [offer for offer in offers if not offer.price.known and not offer.free]


def unpriced_warning(offers: Iterable[Offer]) -> str | None:
    """Return the sentence that names the offers without a price, None where there are none."""
    names = list(dict.fromkeys(f"{offer.model} at {offer.backend} ({offer.name})" for offer in unpriced(offers)))
    if not names:
        return None
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    charged = f"${UNKNOWN.input // NANO} and ${UNKNOWN.output // NANO}"
    return (
        f"no price is known for {', '.join(names[:MAX_NAMED])}{more}: a million tokens of input and of output are "
        f"charged as {charged} there; give each its served_by.price"
    )


MAX_NAMED: Final = 20
