"""What an attempt is charged for, in nano-dollars, and how sure that is."""

from collections.abc import Iterable
from enum import Enum
from typing import Final

from hybridproxy.model.usage import Usage
from hybridproxy.model.value import value


class Basis(Enum):
    """Where an attempt's cost is from; the value is the word in the ledger."""

    UPSTREAM = "upstream"
    """The upstream told it."""
    TABLE = "table"
    """Tokens that the upstream reported, at the price of the table."""
    ESTIMATE = "estimate"
    """Tokens that nobody reported, at the price of the table."""
    NOTHING = "nothing"
    """Nothing was sent, or it was refused: nobody charges for it."""

    __hash__ = object.__hash__


@value
class Bill:
    """What one attempt used and cost.

    Attributes:
        usage: tokens as reported, or as estimated where `usage.estimated` says so.
        cost: nano-dollars that count: `table`, or what the upstream told.
        basis: where that is from.
        table: nano-dollars by the table, whatever the upstream told.
        priced: the table has a price; else a stand-in was used.

    """

    usage: Usage
    cost: int
    basis: Basis
    table: int
    priced: bool = True


NO_BILL: Final = Bill(Usage(0, 0), 0, Basis.NOTHING, 0)


def cost_of(bills: Iterable[tuple[str, Bill]]) -> int:
    """Return the nano-dollars of all attempts of a call; each bill with its backend."""
    total = 0
    for _, bill in bills:  # of one, nearly always: sum() with a generator takes twice as long
        total += bill.cost
    return total


def tokens_of(bills: Iterable[tuple[str, Bill]]) -> int:
    """Return the tokens of input and output that anybody charges for, of all attempts of a call."""
    total = 0
    for _, bill in bills:
        total += bill.usage.prompt + bill.usage.completion  # 0 where nobody does
    return total
