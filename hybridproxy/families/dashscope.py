"""How DashScope treats each model: which path of its own protocol is its own, which form is usual, which bound holds.

Sources: docs.qwencloud.com, chat/dashscope and streaming (mid-2026). A model on the wrong path is refused with
`InvalidParameter`, "url error". Of qwen3.7-max the snapshots differ, which others have written and Alibaba has not.
"""

from collections.abc import MutableMapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final

_PATHS: Final = (
    ("qwen3.7-max-2026-06-08", True),
    ("qwen3.7-max*", False),
    ("qwen3.[567]*", True),
    ("qvq*", True),
    ("*-vl*", True),
    ("*-omni*", True),
    ("*-ocr*", True),
    ("*-audio*", True),
    ("qwen-plus*", False),
    ("qwen-max*", False),
    ("qwen-turbo*", False),
    ("qwen-flash*", False),
    ("qwen3-max*", False),
    ("qwen3-coder*", False),
    ("qwen3-*b*", False),
    ("qwen2.5-*", False),
    ("qwq*", False),
    ("deepseek-*", False),
)
"""Which models are asked at the path for images, audio and video, also for text alone, and which at the one for text;
the first that fits counts. Of others nobody says."""

_MESSAGES: Final = ("qwen3-max*", "qwen3-vl*", "qwq*", "qwen3-*b", "qwen3-*b-*")
"""Models whose answers are messages where the caller does not choose; the others give one text. The last two are the
open Qwen3, named by their size."""


_BOUND_WHOLE: Final = ("qwen3.[789]-max*", "qwen3.[5-9]-plus*", "qwen3.[5-9]-flash*", "qwen[4-9]*", "deepseek-*")
"""Models that know `max_completion_tokens`, which bounds answer and thoughts together; the others have `max_tokens`,
which bounds the answer alone."""


@lru_cache(maxsize=1000)
def is_multimodal(model: str) -> bool | None:
    """Return whether a model stands behind multimodal-generation, and not behind text-generation; None: nobody says."""
    name = model.lower()
    return next((found for pattern, found in _PATHS if fnmatchcase(name, pattern)), None)


@lru_cache(maxsize=1000)
def gives_messages(model: str) -> bool:
    """Return whether a model's `result_format` is `message` by itself."""
    return _is_one_of(model, _MESSAGES)


@lru_cache(maxsize=1000)
def bounds_whole(model: str) -> bool:
    """Return whether a model knows the bound of answer and thoughts together."""
    return _is_one_of(model, _BOUND_WHOLE)


def _is_one_of(model: str, patterns: tuple[str, ...]) -> bool:
    name = model.lower()
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def say_bound(fields: MutableMapping[str, Any], model: str) -> None:
    """Say the bound of an answer, in place, by the name that its model knows: another one is overlooked in silence."""
    whole = fields.get("max_completion_tokens")
    if whole is not None and not bounds_whole(model):
        del fields["max_completion_tokens"]
        known = fields.get("max_tokens")
        if known is None or (type(known) is type(whole) is int and whole < known):
            fields["max_tokens"] = whole
