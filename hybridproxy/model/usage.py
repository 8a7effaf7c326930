"""What a call used, as the upstream reported it."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

from hybridproxy.model.value import value

MAX_TOKENS: Final = 100_000_000
"""Of one answer, ten times the longest window that a model has; what is more is no count of tokens.

An upstream that reports nonsense once must not use up a tenant's month.
"""

_MAX_DOLLARS: Final = 10_000
"""What an upstream says one answer costs; what is more is no cost."""

_NANO: Final = 1_000_000_000


@value
class Usage:
    """Tokens of one answer.

    Attributes:
        prompt: of input, whatever it came from or was put into.
        completion: of output, thinking too.
        cached: of input that came from a cache.
        reasoning: of output that was thinking.
        estimated: a part of it was never reported.
        written: of input that was put into a cache because the call asked for it.
        cost: nano-dollars that the upstream says it charges, None: it says nothing.

    """

    prompt: int
    completion: int
    cached: int = 0
    reasoning: int = 0
    estimated: bool = False
    written: int = 0
    cost: int | None = None

    def plus(self, other: "Usage") -> "Usage":
        """Return the tokens of both; what they cost is known where both told it."""
        told = None if self.cost is None or other.cost is None else self.cost + other.cost
        return Usage(
            self.prompt + other.prompt,
            self.completion + other.completion,
            self.cached + other.cached,
            self.reasoning + other.reasoning,
            self.estimated or other.estimated,
            self.written + other.written,
            told,
        )

    @classmethod
    def from_openai(cls, usage: Any, cost: str = "") -> "Usage | None":
        """Read a `usage` object in OpenAI's form; None when it is none. Absurd numbers count as 0.

        DeepSeek also has what came from a cache beside the rest, as `prompt_cache_hit_tokens`. What was put into a
        cache is OpenRouter's `cache_write_tokens` or DashScope's `cache_creation_input_tokens`, which LiteLLM has
        beside the rest. What is in the total alone is output that nobody shows: Gemini's thoughts, which it bills.

        Args:
            usage: what an upstream sent.
            cost: the field in which it says what it charges, in dollars; "": it does not.

        """
        if type(usage) is not dict:
            return None
        prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
        cached = (
            count_in(prompt, "cached_tokens") if type(prompt) is dict else count_in(usage, "prompt_cache_hit_tokens")
        )
        written = (
            count_in(prompt, "cache_write_tokens")
            or count_in(prompt, "cache_creation_input_tokens")
            or count_in(usage, "cache_creation_input_tokens")
        )
        spent, made = count_in(usage, "prompt_tokens"), count_in(usage, "completion_tokens")
        thought, unseen = count_in(completion, "reasoning_tokens"), count_in(usage, "total_tokens") - spent - made
        if unseen > 0:
            made, thought = made + unseen, thought or unseen
        return cls(
            spent,
            made,
            cached,
            thought,
            False,
            written,
            _cost_in(usage, cost) if cost else None,
        )


@value
class Seen:
    """What was seen of an output whose tokens nobody reported.

    Attributes:
        events: of a stream, that said something.
        text: characters, thoughts too.
        wide: bytes that these have in UTF-8 beyond one each.
        thought: characters that were thinking.

    """

    events: int = 0
    text: int = 0
    wide: int = 0
    thought: int = 0


NOTHING_SEEN: Final = Seen()


def count_of(given: Any) -> int:
    """Return a whole number that somebody told, 0 for what cannot be one of tokens."""
    return given if type(given) is int and 0 <= given <= MAX_TOKENS else 0


def count_in(holder: Any, name: str) -> int:
    """Return the whole number of this name in an object, 0 where there is none."""
    return count_of(holder.get(name)) if type(holder) is dict else 0


def cost_of(given: Any) -> int | None:
    """Return dollars that somebody told, as nano-dollars; None for what cannot be the cost of an answer.

    They are read as the decimal number they were written as, so that no part of a nano-dollar comes from rounding.
    """
    if type(given) is float:
        given = repr(given)
    if type(given) is not int and (type(given) is not str or len(given) > _MAX_DIGITS):
        return None
    try:
        dollars = Decimal(given)
    except InvalidOperation:
        return None
    if not dollars.is_finite() or not 0 <= dollars <= _MAX_DOLLARS:
        return None
    return int((dollars * _NANO).to_integral_value(ROUND_HALF_UP))


_MAX_DIGITS: Final = 40


def cost_in(usage: Mapping[str, Any]) -> dict[str, float]:
    """Return what a usage object in any dialect has of OpenRouter's cost, for one in another: a number, or nothing."""
    cost = usage.get("cost")
    if (type(cost) is float or type(cost) is int) and usage.get("is_byok") is not True:
        return {"cost": cost}
    return {}


def _cost_in(usage: dict[str, Any], name: str) -> int | None:
    """Return what an upstream charges; OpenRouter's own fee and the host's where the host's bill goes elsewhere."""
    cost = cost_of(usage.get(name))
    if usage.get("is_byok") is not True or cost is None:
        return cost
    details = usage.get("cost_details")
    host = cost_of(details.get("upstream_inference_cost")) if type(details) is dict else None
    return None if host is None else cost + host
