"""Qwen at hosts in the US, and at those whose place is not known: prices in dollars for a million tokens.

Mostly LiteLLM's list (1.109.1, of 2026-11-23), which has the announced removals too; what is past is kept, so that a
configuration that still names it is told so. OpenRouter's are headline prices, not those of a host that is pinned. Of
Fireworks only the two serverless models have a price for tokens.
"""

from collections.abc import Iterable
from typing import Final

from hybridproxy.catalogue.row import Row
from hybridproxy.model.price import price

_LITELLM = ("litellm 1.109.1", "2026-11-23")
_PORTKEY = ("github.com/Portkey-AI/models", "2026-08-18")
_CEREBRAS = ("inference-docs.cerebras.ai/support/deprecation", "2026-11-23")

_32K, _64K, _128K, _256K = 32_768, 65_536, 131_072, 262_144

_NEXT, _CODER, _235B = "qwen3-next-80b-a3b-instruct", "qwen3-coder-480b-a35b-instruct", "qwen3-235b-a22b-instruct-2507"
_THINKING, _72B = "qwen3-235b-a22b-thinking-2507", "qwen2.5-72b-instruct"

_Line = tuple[str, str, int | None, tuple[float, float] | None, str]
"""The host's own name, the checkpoint, the window, input and output, the day it leaves."""


def _rows(provider: str, source: tuple[str, str], lines: Iterable[_Line], site: str | None = None) -> tuple[Row, ...]:
    return tuple(
        Row(provider, site, name, checkpoint, context, None if dollars is None else price(*dollars), leaves, *source)
        for name, checkpoint, context, dollars, leaves in lines
    )


HOSTS: Final[tuple[Row, ...]] = (
    *_rows(
        "together",
        _LITELLM,
        (
            ("Qwen/Qwen2.5-7B-Instruct-Turbo", "qwen2.5-7b-instruct", _32K, (0.30, 0.30), ""),
            ("Qwen/Qwen3.5-9B", "qwen3.5-9b", _256K, (0.17, 0.25), ""),
            ("Qwen/Qwen3.6-Plus", "qwen3.6-plus", 1_000_000, (0.50, 3.00), ""),
            ("Qwen/Qwen3.7-Plus", "qwen3.7-plus", 1_000_000, (0.32, 1.28), ""),
            ("Qwen/Qwen3.8-Flash", "qwen3.8-flash", 1_000_000, (0.15, 0.47), ""),
            ("Qwen/Qwen3.7-Max", "qwen3.7-max", 1_000_000, (1.50, 4.50), ""),
            ("Qwen/Qwen3.8-2.4T-A95B", "qwen3.8-2.4t-a95b", 1_010_000, (2.00, 6.00), "2026-11-04"),
            ("Qwen/Qwen2.5-72B-Instruct-Turbo", _72B, _128K, (1.20, 1.20), "2026-02-06"),
            ("Qwen/Qwen3-Next-80B-A3B-Instruct", _NEXT, _256K, (0.15, 1.50), "2026-04-02"),
            ("Qwen/Qwen3-Coder-Next-FP8", "qwen3-coder-next", _256K, (0.50, 1.20), "2026-05-14"),
            ("Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8", _CODER, _256K, (2.00, 2.00), "2026-06-04"),
            ("Qwen/Qwen3.5-397B-A17B", "qwen3.5-397b-a17b", _256K, (0.60, 3.60), "2026-06-29"),
        ),
    ),
    *_rows("together", _PORTKEY, (("Qwen/Qwen3-235B-A22B-Instruct-2507-tput", _235B, None, (0.20, 0.60), ""),)),
    *_rows(
        "fireworks",
        _LITELLM,
        (
            ("accounts/fireworks/models/qwen3p7-plus", "qwen3.7-plus", _256K, (0.40, 1.60), ""),
            ("accounts/fireworks/models/qwen3p8-max", "qwen3.8-max", _256K, (2.00, 6.00), ""),
        ),
    ),
    *_rows(
        "deepinfra",
        _LITELLM,
        (
            ("Qwen/Qwen2.5-72B-Instruct", _72B, _32K, (0.36, 0.40), ""),
            ("Qwen/Qwen3-235B-A22B-Instruct-2507", _235B, _256K, (0.09, 0.55), ""),
            ("Qwen/Qwen3-235B-A22B-Thinking-2507", _THINKING, _256K, (0.30, 2.90), ""),
            ("Qwen/Qwen3-Coder-480B-A35B-Instruct-Turbo", _CODER, _256K, (0.30, 1.00), ""),
            ("Qwen/Qwen3-Next-80B-A3B-Instruct", _NEXT, _256K, (0.09, 1.10), ""),
            ("Qwen/Qwen3.5-397B-A17B", "qwen3.5-397b-a17b", _256K, (0.45, 3.00), ""),
            ("Qwen/Qwen3.5-122B-A10B", "qwen3.5-122b-a10b", _256K, (0.29, 2.40), ""),
            ("Qwen/Qwen3.5-27B", "qwen3.5-27b", _256K, (0.26, 2.60), ""),
            ("Qwen/Qwen3.5-35B-A3B", "qwen3.5-35b-a3b", _256K, (0.14, 1.00), ""),
            ("Qwen/Qwen3.6-27B", "qwen3.6-27b", _256K, (0.32, 3.20), ""),
            ("Qwen/Qwen3.6-35B-A3B", "qwen3.6-35b-a3b", _256K, (0.10, 0.95), ""),
            ("Qwen/Qwen3.8-27B", "qwen3.8-27b", _256K, (0.40, 3.00), ""),
            ("Qwen/Qwen3.8-2.4T-A95B", "qwen3.8-2.4t-a95b", _256K, (2.00, 6.00), ""),
            ("Qwen/Qwen3-Max", "qwen3-max", 256_000, (1.20, 6.00), ""),
            ("Qwen/Qwen3.7-Max", "qwen3.7-max", 256_000, (2.50, 7.50), ""),
            ("Qwen/Qwen3.8-Max", "qwen3.8-max", 256_000, (1.65, 4.95), ""),
        ),
    ),
    *_rows("groq", _LITELLM, (("qwen/qwen3.8-27b", "qwen3.8-27b", _128K, (0.80, 4.00), ""),)),
    *_rows("cerebras", _LITELLM, (("qwen-3.8-27b", "qwen3.8-27b", _64K, (0.99, 1.49), ""),)),
    *_rows(
        "cerebras",
        _CEREBRAS,
        (
            ("qwen-3-32b", "qwen3-32b", None, None, "2026-02-16"),
            ("qwen-3-235b-a22b-instruct-2507", _235B, None, None, "2026-05-27"),
            ("qwen-3-coder-480b", _CODER, None, None, "2025-11-05"),
        ),
    ),
    *_rows(
        "bedrock",
        _LITELLM,
        (
            ("qwen.qwen3-235b-a22b-2507-v1:0", _235B, _256K, (0.22, 0.88), ""),
            ("qwen.qwen3-coder-480b-a35b-v1:0", _CODER, _256K, (0.45, 1.80), "2027-03-30"),
            ("qwen.qwen3-coder-30b-a3b-v1:0", "qwen3-coder-30b-a3b-instruct", _256K, (0.15, 0.60), "2027-03-30"),
            ("qwen.qwen3-next-80b-a3b", _NEXT, 256_000, (0.15, 1.20), ""),
            ("qwen.qwen3-32b-v1:0", "qwen3-32b", _32K, (0.15, 0.60), ""),
            ("qwen.qwen3-vl-235b-a22b", "qwen3-vl-235b-a22b", 256_000, (0.53, 2.66), ""),
        ),
    ),
    *(
        row
        for region in ("us-east-1", "us-east-2", "us-west-2")
        for row in _rows(
            "bedrock", _LITELLM, (("qwen.qwen3-coder-next", "qwen3-coder-next", _256K, (0.50, 1.20), ""),), region
        )
    ),
    *_rows(
        "novita",
        _LITELLM,
        (
            ("qwen/qwen3-235b-a22b-instruct-2507", _235B, _128K, (0.09, 0.58), ""),
            ("qwen/qwen3-coder-480b-a35b-instruct", _CODER, _256K, (0.38, 1.55), ""),
            ("qwen/qwen3-next-80b-a3b-instruct", _NEXT, _128K, (0.15, 1.50), ""),
            ("qwen/qwen3.5-397b-a17b", "qwen3.5-397b-a17b", _256K, (0.60, 3.60), ""),
            ("qwen/qwen-2.5-72b-instruct", _72B, _32K, (0.38, 0.40), ""),
        ),
    ),
    *_rows(
        "openrouter",
        _PORTKEY,
        (
            ("qwen/qwen-2.5-72b-instruct", _72B, _32K, (0.36, 0.40), ""),
            ("qwen/qwen3-235b-a22b-2507", _235B, _256K, (0.09, 0.55), ""),
            ("qwen/qwen3-235b-a22b", "qwen3-235b-a22b", None, (0.455, 1.82), ""),
            ("qwen/qwen3-235b-a22b-thinking-2507", _THINKING, _128K, (0.23, 2.30), ""),
            ("qwen/qwen3-coder", _CODER, _256K, (0.30, 1.00), ""),
            ("qwen/qwen3-coder-next", "qwen3-coder-next", _256K, (0.12, 0.80), ""),
            ("qwen/qwen3-next-80b-a3b-instruct", _NEXT, _256K, (0.10, 1.10), ""),
            ("qwen/qwen3.5-397b-a17b", "qwen3.5-397b-a17b", _128K, (0.45, 3.00), ""),
            ("qwen/qwen3.5-122b-a10b", "qwen3.5-122b-a10b", None, (0.29, 2.40), ""),
            ("qwen/qwen3.6-27b", "qwen3.6-27b", 262_140, (0.289, 2.40), ""),
            ("qwen/qwen3.6-35b-a3b", "qwen3.6-35b-a3b", None, (0.14, 1.00), ""),
            ("qwen/qwen3.8-27b", "qwen3.8-27b", None, (0.45, 3.20), ""),
            ("qwen/qwen3.8-2.4t-a95b", "qwen3.8-2.4t-a95b", None, (2.00, 6.00), ""),
            ("qwen/qwen3-max", "qwen3-max", None, (0.78, 3.90), ""),
            ("qwen/qwen3.7-max", "qwen3.7-max", None, (1.475, 4.425), ""),
            ("qwen/qwen3.8-max", "qwen3.8-max", None, (2.00, 6.00), ""),
            ("qwen/qwen3.7-plus", "qwen3.7-plus", None, (0.32, 1.28), ""),
            ("qwen/qwen3.6-plus", "qwen3.6-plus", None, (0.325, 1.95), ""),
        ),
    ),
)
