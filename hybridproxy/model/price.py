"""What tokens cost. Money is a whole number of nano-dollars; a price is nano-dollars for a million tokens."""

from dataclasses import field, replace
from functools import lru_cache

from hybridproxy.model.usage import Usage
from hybridproxy.model.value import value

NANO = 1_000_000_000
"""Nano-dollars of a dollar."""

MILLION = 1_000_000


@value
class Price:
    """Nano-dollars for a million tokens.

    Attributes:
        input: of input.
        output: of output.
        known: not a stand-in.
        thinking: of output where the model thinks, all of the answer then; None: the same as `output`.
        cached: of input that came from a cache; None: the same as `input`.
        written: of input that is put into a cache because the call asks for it; None: the same as `input`.
        tiers: other prices for longer inputs, the shortest first: one holds for more tokens of input than its number
            says, and then for the whole call.
        asked: of input that came from a cache, where the call asks for one itself; None: the same as `cached`.
        source: whose list it is from, and of which day.

    """

    input: int
    output: int
    known: bool = True
    thinking: int | None = None
    cached: int | None = None
    written: int | None = None
    tiers: "tuple[tuple[int, Price], ...]" = ()
    asked: int | None = None
    source: str = field(default="", compare=False)

    @property
    def stands_in(self) -> bool:
        """Whether it is charged in place of a price that nobody gave."""
        return not self.known and self.input > 0

    def tier(self, tokens: int) -> "Price":
        """Return the price of a call with so many tokens of input."""
        found = self
        for above, price in self.tiers:
            if tokens <= above:
                break
            found = price
        return found

    @property
    def tells_asking(self) -> bool:
        """Whether input from a cache costs something else where the call asks for that itself."""
        return self.asked is not None or any(dearer.asked is not None for _, dearer in self.tiers)

    def asking(self) -> "Price":
        """Return the price of a call that asks for its prompt to be kept."""
        return _asking(self)

    def of(self, usage: Usage) -> int:
        """Return what these tokens cost, in nano-dollars, rounded up: half a nano-dollar is money too."""
        price = self.tier(usage.prompt) if self.tiers else self
        total = usage.prompt * price.input + usage.completion * price.output
        if usage.cached and price.cached is not None:
            total -= min(usage.cached, usage.prompt) * (price.input - price.cached)
        if usage.written and price.written is not None:
            rest = max(0, usage.prompt - usage.cached)  # what is read from a cache is not put into it as well
            total += min(usage.written, rest) * (price.written - price.input)
        if usage.reasoning and price.thinking is not None:
            total += usage.completion * (price.thinking - price.output)
        return -(-total // MILLION)

    def expected(self, prompt: int, completion: int, *, thinks: bool = False) -> int:
        """Return what a call is expected to cost, in nano-dollars, rounded up as `of` does, before it is known."""
        price = self.tier(prompt) if self.tiers else self
        output = price.thinking if thinks and price.thinking is not None else price.output
        return -(-(prompt * price.input + completion * output) // MILLION)

    def at_most(self, prompt: int, completion: int) -> int:
        """Return what a call is expected to cost, in nano-dollars, if it thinks where that is dearer; rounded up."""
        price = self.tier(prompt) if self.tiers else self
        output = price.output
        if price.thinking is not None and price.thinking > output:
            output = price.thinking
        return -(-(prompt * price.input + completion * output) // MILLION)


@lru_cache(maxsize=1000)
def _asking(price: Price) -> Price:
    cached = price.cached if price.asked is None else price.asked
    return replace(price, cached=cached, tiers=tuple((above, dearer.asking()) for above, dearer in price.tiers))


def price(
    usd_input: float,
    usd_output: float,
    *,
    thinking: float | None = None,
    cached: float | None = None,
    written: float | None = None,
    tiers: tuple[tuple[int, Price], ...] = (),
    asked: float | None = None,
) -> Price:
    """Return a price given in US dollars for a million tokens."""
    return Price(
        nano(usd_input),
        nano(usd_output),
        thinking=None if thinking is None else nano(thinking),
        cached=None if cached is None else nano(cached),
        written=None if written is None else nano(written),
        tiers=tiers,
        asked=None if asked is None else nano(asked),
    )


def nano(usd: float) -> int:
    """Return dollars as nano-dollars."""
    return round(usd * NANO)


def dollars(amount: int) -> str:
    """Return nano-dollars as dollars, exactly: nine digits after the point."""
    whole, rest = divmod(abs(amount), NANO)
    return f"{'-' if amount < 0 else ''}{whole}.{rest:09}"


FREE = Price(0, 0, known=False, source="none")
"""Of a server in the VPC: nobody sends a bill for its tokens. An operator who wants to charge them gives a price."""

UNKNOWN = Price(NANO, 3 * NANO, known=False, source="stand-in")
"""Stands for a price nobody gave. A budget compares sums of one tenant, so what matters is that output weighs more."""
