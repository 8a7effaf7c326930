"""What models are by nature: whether they think, whether they see, what they only do in a stream.

A model is known by its name, in whichever of its spellings a provider has it. Of a name that no row fits nothing is
known; a row says only what a source says. Sources: docs.qwencloud.com chat/dashscope, chat/openai-chat and streaming
(mid-2026), Model Studio's pages on partial mode (2026-10-11) and deep thinking, the models' own cards.
"""

import re
from collections.abc import Callable
from enum import Enum
from fnmatch import fnmatchcase
from typing import Final, TypeVar

from hybridproxy.model.value import value

T = TypeVar("T")


class Thought(Enum):
    """Whether a model thinks before it answers."""

    NEVER = "never"
    ASKED = "when asked to"
    ALWAYS = "always"


@value
class Nature:
    """What is known of models whose names fit a pattern; None: nothing.

    Attributes:
        pattern: of the plain name, in which only `*` is special.
        thought: whether they think.
        sees: whether they take images.
        streams_at: providers where they answer only as a stream.
        source: who says so, and when.

    """

    pattern: str
    thought: Thought | None = None
    sees: bool | None = None
    streams_at: frozenset[str] | None = None
    source: str = "the model's card"


_STREAMING: Final = "Model Studio, deep thinking (2026-10): not without a stream"
_DASHSCOPE: Final = frozenset({"dashscope", "dashscope-native"})
_NOWHERE: Final[frozenset[str]] = frozenset()

NATURES: Final = (
    Nature("qwq*", Thought.ALWAYS, sees=False, streams_at=_DASHSCOPE, source=_STREAMING),
    Nature("qvq*", Thought.ALWAYS, sees=True, streams_at=_DASHSCOPE, source=_STREAMING),
    Nature("*-omni*", sees=True, streams_at=_DASHSCOPE, source="docs.qwencloud.com chat/openai-chat (mid-2026)"),
    Nature("*-vl*", sees=True),
    Nature("*-ocr*", sees=True),
    Nature("qwen*-thinking*", Thought.ALWAYS),
    Nature("qwen3-*-instruct*", Thought.NEVER, streams_at=_NOWHERE),
    Nature("qwen3-coder*", Thought.NEVER, sees=False, streams_at=_NOWHERE),
    Nature("qwen2.5-*", Thought.NEVER, sees=False, streams_at=_NOWHERE),
    Nature("qwen3-next*", sees=False),
    Nature("qwen3-max*", Thought.ASKED, sees=False, source="docs.qwencloud.com chat/dashscope (mid-2026)"),
    # the open ones: "enable_thinking must be set to false for non-streaming calls"
    Nature("qwen3-*b", Thought.ASKED, sees=False, streams_at=_DASHSCOPE, source=_STREAMING),
    Nature("qwen3-*b-*", sees=False),
    Nature("qwen3.[567]*", Thought.ASKED, sees=True, source="docs.qwencloud.com streaming (mid-2026)"),
    Nature("qwen3.8*", Thought.ASKED),
    Nature("qwen-turbo*", Thought.ASKED, sees=False),
    Nature("deepseek-r1*", Thought.ALWAYS, sees=False),
    Nature("deepseek-reasoner", Thought.ALWAYS, sees=False),
    Nature("deepseek-v3*", sees=False),
    Nature("smollm2*", Thought.NEVER, sees=False),
)
"""What fits first counts, for each fact by itself: of `qwen3-vl-32b` the row of `*-vl*` says that it sees."""

_UNCONTINUED: Final = (
    ("dashscope*", "beijing", "qwen-turbo*"),  # Model Studio's page of the model (2026-10)
    ("dashscope*", "*", "qwen3.8*"),  # not among the models of partial mode (2026-10)
    ("*", "*", "qwen3.8-2.4t*"),  # the same, as others host it
)
"""Provider, site, model: where an answer that broke off cannot be continued though the provider does it of others."""


def plain_name(name: str) -> str:
    """Return a model's name without what a provider puts around it.

    `Qwen/Qwen3.7-Plus`, `accounts/fireworks/models/qwen3p7-plus`, `qwen.qwen3-32b-v1:0` and `qwen-3-32b` become what
    the model's makers call it, in small letters.
    """
    found = name.lower().rpartition("/")[2].removeprefix("qwen.").partition(":")[0]
    found = re.sub(r"(?<=\d)p(?=\d)", ".", found).removesuffix("-v1")
    return re.sub(r"^qwen-(?=\d)", "qwen", found)


def _first(name: str, fact: Callable[[Nature], T | None]) -> T | None:
    plain = plain_name(name)
    found = (fact(row) for row in NATURES if fnmatchcase(plain, row.pattern))
    return next((one for one in found if one is not None), None)


def thought_of(name: str) -> Thought | None:
    """Return whether a model thinks; None: nobody says."""
    return _first(name, lambda row: row.thought)


def sees(name: str) -> bool | None:
    """Return whether a model takes images; None: nobody says."""
    return _first(name, lambda row: row.sees)


def streams_only(provider: str, name: str) -> bool:
    """Return whether a model is known to answer only as a stream at a provider."""
    return provider in (_first(name, lambda row: row.streams_at) or ())


def continues(provider: str, site: str, name: str) -> bool:
    """Return whether a model, at a provider that continues answers, may be asked to; one that always thinks may not.

    It would think of the text anew, or take it for its thoughts.
    """
    if thought_of(name) is Thought.ALWAYS:
        return False
    asked = (provider, site, plain_name(name))
    return not any(all(map(fnmatchcase, asked, row)) for row in _UNCONTINUED)
