"""What a simulated provider charges: nano-dollars for a million tokens, by what a token is and how long the input is.

The rules are those of the providers' price lists (Alibaba Model Studio, OpenRouter, Anthropic; November 2026): all of
the input picks a tier, which then holds for the whole call; input that came from a cache and input that was put into
one have prices of their own, and neither is charged as plain input besides; an answer that thinks may cost more, all of
it. What is no whole nano-dollar is rounded up.
"""

from dataclasses import dataclass
from typing import Final

from hybridproxy.simulator.row import COMPLETION_PRICE, PROMPT_PRICE

MILLION: Final = 1_000_000
MAX_DOLLARS: Final = 1_000_000
MAX_MODELS: Final = 1_000
MAX_TIERS: Final = 20


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a call took and made; `cached` and `written` are parts of `prompt`, `reasoning` is one of `completion`."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    written: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-dollars for a million tokens; None: as `input`, or as `output` for `thinking`."""

    input: int
    output: int
    cached: int | None = None
    written: int | None = None
    thinking: int | None = None
    tiers: "tuple[tuple[int, Price], ...]" = ()
    """Prices for longer inputs, the shortest first: each holds above its number of tokens."""

    def charge(self, tokens: Tokens) -> int:
        """Return what a call costs, nano-dollars."""
        price = next((dearer for above, dearer in reversed(self.tiers) if tokens.prompt > above), self)
        plain = tokens.prompt - tokens.cached - tokens.written
        total = plain * price.input
        total += tokens.cached * (price.input if price.cached is None else price.cached)
        total += tokens.written * (price.input if price.written is None else price.written)
        thinks = tokens.reasoning > 0 and price.thinking is not None
        total += tokens.completion * (price.thinking if thinks and price.thinking is not None else price.output)
        return (total + MILLION - 1) // MILLION


USUAL: Final = Price(PROMPT_PRICE * MILLION, COMPLETION_PRICE * MILLION)
"""Of models whose price nobody set: the same at every provider, so that bills can be compared to the cent."""


def read_prices(given: object) -> dict[str, Price]:
    """Read prices by model from JSON, in dollars for a million tokens; `*` stands for all models not named.

    Raises:
        ValueError: something in it is no price.
    """
    if not isinstance(given, dict) or len(given) > MAX_MODELS:
        raise ValueError(f"expected an object of at most {MAX_MODELS} models and their prices")
    return {model: _price(price) for model, price in given.items()}


def _price(given: object) -> Price:
    if not isinstance(given, dict) or not given.keys() <= {"input", "output", "cached", "written", "thinking", "tiers"}:
        raise ValueError("expected a price: input, output, cached, written, thinking, tiers")
    tiers = given.get("tiers", [])
    if not isinstance(tiers, list) or len(tiers) > MAX_TIERS or not all(isinstance(tier, dict) for tier in tiers):
        raise ValueError(f"expected at most {MAX_TIERS} tiers")
    found: list[tuple[int, Price]] = []
    for tier in tiers:
        above = tier.get("above")
        if not isinstance(above, int) or above < (found[-1][0] if found else 0):
            raise ValueError("expected tiers with `above` a number of tokens, the smallest first")
        found.append((above, _price({name: value for name, value in tier.items() if name != "above"})))
    more = {name: _nano(given[name]) for name in ("cached", "written", "thinking") if given.get(name) is not None}
    return Price(_nano(given.get("input")), _nano(given.get("output")), tiers=tuple(found), **more)


def _nano(dollars: object) -> int:
    if isinstance(dollars, bool) or not isinstance(dollars, int | float) or not 0 <= dollars <= MAX_DOLLARS:
        raise ValueError(f"expected dollars for a million tokens, from 0 to {MAX_DOLLARS}")
    return round(dollars * 1e9)


def shown_prices(prices: dict[str, Price]) -> dict[str, object]:
    """Return prices as `read_prices` takes them."""
    return {model: _shown(price) for model, price in prices.items()}


def _shown(price: Price) -> dict[str, object]:
    shown: dict[str, object] = {"input": price.input / 1e9, "output": price.output / 1e9}
    more = {"cached": price.cached, "written": price.written, "thinking": price.thinking}
    shown |= {name: nano / 1e9 for name, nano in more.items() if nano is not None}
    tiers = [{"above": above, **_shown(dearer)} for above, dearer in price.tiers]
    return shown | {"tiers": tiers} if tiers else shown
