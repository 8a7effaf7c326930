"""What a call used, as the upstream reported it."""

from typing import Any

from hybridproxy.model.value import value

_MAX_TOKENS = 2**53


@value
class Usage:
    """Tokens of one answer.

    `cached` of `prompt` came from a cache, `reasoning` of `completion` was thinking; `estimated`: a part of it was
    never reported.
    """

    prompt: int
    completion: int
    cached: int = 0
    reasoning: int = 0
    estimated: bool = False

    @classmethod
    def from_openai(cls, usage: Any) -> "Usage | None":
        """Read a `usage` object in OpenAI's form; None when it is none. Absurd numbers count as 0."""
        if type(usage) is not dict:
            return None
        prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
        return cls(
            prompt=_tokens(usage, "prompt_tokens"),
            completion=_tokens(usage, "completion_tokens"),
            cached=_tokens(prompt, "cached_tokens") if type(prompt) is dict else 0,
            reasoning=_tokens(completion, "reasoning_tokens") if type(completion) is dict else 0,
        )


def _tokens(holder: dict[str, Any], name: str) -> int:
    found = holder.get(name)
    return found if type(found) is int and 0 <= found <= _MAX_TOKENS else 0
