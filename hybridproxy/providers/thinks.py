"""How a provider is told whether, how much and how hard to think, as data: `dialects.thinking` does the rest.

A place in a body is written with dots: `reasoning.effort` is the field `effort` of the object `reasoning`.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

from hybridproxy.model.value import value

EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Words for how hard to think, from not at all to as hard as it can."""


@value
class Thinks:
    """One provider's spelling. What it has no place for cannot be said to it.

    Attributes:
        own: places that it reads by itself; where a call uses no other, the call goes as it is.
        on: what makes it think, as it would by default.
        off: what makes it not think.
        budget: the place of the most tokens that thinking may take.
        with_budget: what stands beside a budget.
        least: the smallest budget that it takes.
        effort: the place of the word for how hard.
        efforts: a word of `EFFORTS` -> its own; what is missing is said with the nearest that is there.
        with_effort: what stands beside such a word.
        hide: what makes it keep its thinking to itself.
        either: it takes a budget or a word, not both.

    """

    own: frozenset[str] = frozenset()
    on: Mapping[str, Any] = field(default_factory=dict)
    off: Mapping[str, Any] = field(default_factory=dict)
    budget: str = ""
    with_budget: Mapping[str, Any] = field(default_factory=dict)
    least: int = 1
    effort: str = ""
    efforts: Mapping[str, str] = field(default_factory=dict)
    with_effort: Mapping[str, Any] = field(default_factory=dict)
    hide: Mapping[str, Any] = field(default_factory=dict)
    either: bool = False


def same(*words: str) -> Mapping[str, str]:
    """Return the words of `EFFORTS` that a provider calls so, too."""
    return {word: word for word in words}


TEMPLATE: Final[Mapping[str, bool]] = {
    "chat_template_kwargs.enable_thinking": True,
    "chat_template_kwargs.thinking": True,
}
TEMPLATE_OWN: Final = frozenset({*TEMPLATE, "chat_template_kwargs.reasoning_effort"})
NO_TEMPLATE: Final[Mapping[str, bool]] = dict.fromkeys(TEMPLATE, False)
"""The switches of the templates of Qwen (the first) and DeepSeek (the second); no template minds an unknown one."""
