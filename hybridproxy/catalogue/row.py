"""What the catalogue knows: facts of a checkpoint, and facts of a checkpoint on one provider's site."""

from typing import Final

from hybridproxy.model.price import Price
from hybridproxy.model.value import value

CLOSED_LINES: Final = frozenset({"qwen-max", "qwen-plus", "qwen-flash"})
"""Lines of which nobody has published weights."""


@value
class Checkpoint:
    """A set of weights, whoever serves it.

    Attributes:
        name: ours, which is the maker's in small letters.
        line: what it is one generation of; each line is a logical name. "": of nothing.
        released: the day, YYYY-MM-DD; "": not known.
        source: who says so.

    """

    name: str
    line: str
    released: str
    source: str

    @property
    def closed(self) -> bool:
        """Whether its weights are its maker's alone, so that a host may have to pass calls on to it."""
        return self.line in CLOSED_LINES


@value
class Row:
    """One model on one site.

    Attributes:
        provider: the word used for it in the configuration.
        site: the provider's site, None: every one of them.
        name: the provider's own name of the model.
        checkpoint: the name of the checkpoint it is.
        context: tokens of the window, None: not known.
        price: what its tokens cost, None: not known.
        leaves: the day from which it is gone, YYYY-MM-DD; "": nothing was announced.
        source: who says so.
        dated: when, YYYY-MM-DD.

    """

    provider: str
    site: str | None
    name: str
    checkpoint: str
    context: int | None
    price: Price | None
    leaves: str
    source: str
    dated: str
