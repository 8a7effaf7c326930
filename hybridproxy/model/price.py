"""What tokens cost. Money is a whole number of nano-dollars; a price is nano-dollars for a million tokens."""

from hybridproxy.model.usage import Usage
from hybridproxy.model.value import value

NANO = 1_000_000_000
"""Nano-dollars of a dollar."""

MILLION = 1_000_000


@value
class Price:
    """Nano-dollars for a million tokens of input and of output. `known`: not a stand-in."""

    input: int
    output: int
    known: bool = True

    def of(self, usage: Usage) -> int:
        """Return what these tokens cost, in nano-dollars, rounded up: half a nano-dollar is money too."""
        return -(-(usage.prompt * self.input + usage.completion * self.output) // MILLION)


def price(usd_input: float, usd_output: float) -> Price:
    """Return a price given in US dollars for a million tokens."""
    return Price(round(usd_input * NANO), round(usd_output * NANO))


UNKNOWN = Price(NANO, 3 * NANO, known=False)
"""Stands for a price nobody gave. A budget compares sums of one tenant, so what matters is that output weighs more."""
