"""What a call used, as the upstream reported it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MAX_TOKENS = 2**53


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer. `cached` of `prompt` came from a cache, `reasoning` of `completion` was thinking."""

    prompt: int
    completion: int
    cached: int = 0
    reasoning: int = 0

    @classmethod
    def from_openai(cls, usage: Any) -> "Usage | None":
        """Read a `usage` object in OpenAI's form; None when it is none. Absurd numbers count as 0."""
        if not isinstance(usage, Mapping):
            return None
        return cls(
            prompt=_tokens(usage, "prompt_tokens"),
            completion=_tokens(usage, "completion_tokens"),
            cached=_tokens(usage.get("prompt_tokens_details"), "cached_tokens"),
            reasoning=_tokens(usage.get("completion_tokens_details"), "reasoning_tokens"),
        )


def _tokens(holder: Any, name: str) -> int:
    value = holder.get(name) if isinstance(holder, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_TOKENS else 0
