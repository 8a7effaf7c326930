"""Cerebras: its Python SDK 1.91.0, the OpenAPI description of its API and inference-docs.cerebras.ai (2026-10).

Errors are flat, by HTTP; inside a stream they stand under `error`, and the status beside them in `status_code`. One
429 is the account's limit, another says that everybody waits (`queue_exceeded`). Reasoning is `reasoning`. `user` and
the like are taken and do nothing; `metadata` and `store` are not. A field that it does not know is a 400, in messages
too.
"""

from hybridproxy.model.call import Operation
from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.lists import Lists
from hybridproxy.providers.parameters import CORE, FUNCTIONS, MESSAGES, SEARCH, SOUND
from hybridproxy.providers.provider import OPENAI_PATHS, Provider
from hybridproxy.providers.quotas import CEREBRAS_QUOTAS
from hybridproxy.providers.thinks import Thinks, same

CEREBRAS = Provider(
    name="cerebras",
    quotas=CEREBRAS_QUOTAS,
    sites={"": "https://api.cerebras.ai/v1"},
    paths={operation: OPENAI_PATHS[operation] for operation in (Operation.CHAT, Operation.COMPLETION)},
    messages=MESSAGES | {"reasoning"},
    accepts=CORE
    | {
        "clear_thinking",
        "disable_reasoning",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "min_completion_tokens",
        "min_tokens",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "reasoning_effort",
        "reasoning_format",
        "service_tier",
        "stream_options",
        "top_logprobs",
        "user",
    },
    refuses=FUNCTIONS | SOUND | SEARCH,
    reasoning="reasoning",
    thinks=Thinks(
        own=frozenset({"reasoning_effort", "disable_reasoning", "reasoning_format"}),
        on={"disable_reasoning": False},
        off={"reasoning_effort": "none"},
        effort="reasoning_effort",
        efforts=same("none", "low", "medium", "high"),
        hide={"reasoning_format": "hidden"},
    ),
    lists=Lists(
        path="https://api.cerebras.ai/public/v1/models",
        context="limits.max_context_length",
        input="pricing.prompt",
        output="pricing.completion",
        per_million=1_000_000,
        keyless=True,
    ),
    faults=(FaultRule(FaultKind.OVERLOADED, status=429, code=("queue_exceeded",)), *OPENAI_FAULTS),
)
