"""Groq: its Python SDK 1.7.0 and console.groq.com/docs/openai (2026-10).

It refuses fields that it does not know, in messages too, and 400 is its answer to log probabilities, a bias, names of
participants and more than one answer. Reasoning is `reasoning`, in the stream as well. An error inside a stream is a
text in `x_groq`. 498: there is no flexible capacity.
"""

from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.providers.lists import Lists
from hybridproxy.providers.parameters import BIAS, CORE, LOGPROBS, MESSAGES, SEARCH, SOUND
from hybridproxy.providers.provider import OPENAI_PATHS, RESPONSES_WIRE, Provider
from hybridproxy.providers.quotas import GROQ_QUOTAS
from hybridproxy.providers.thinks import Thinks, same

GROQ = Provider(
    name="groq",
    quotas=GROQ_QUOTAS,
    sites={"": "https://api.groq.com/openai/v1"},
    paths={Operation.CHAT: OPENAI_PATHS[Operation.CHAT]},
    wires={Dialect.RESPONSES: RESPONSES_WIRE},
    max_choices=1,
    messages=MESSAGES | {"function_call", "reasoning"},
    accepts=CORE
    | {
        "citation_options",
        "compound_custom",
        "disable_tool_validation",
        "documents",
        "exclude_domains",
        "function_call",
        "functions",
        "include_domains",
        "include_reasoning",
        "max_completion_tokens",
        "metadata",
        "parallel_tool_calls",
        "reasoning_effort",
        "reasoning_format",
        "search_settings",
        "service_tier",
        "stream_options",
        "user",
    },
    refuses={
        **SOUND,
        **SEARCH,
        "logprobs": LOGPROBS,
        "top_logprobs": LOGPROBS,
        "logit_bias": BIAS,
        "messages[].name": "it would not be told who speaks",
    },
    reasoning="reasoning",
    error_in="x_groq",
    thinks=Thinks(
        own=frozenset({"reasoning_effort", "include_reasoning", "reasoning_format"}),
        on={"reasoning_effort": "default"},
        off={"reasoning_effort": "none"},
        effort="reasoning_effort",
        efforts=same("none", "low", "medium", "high"),
        hide={"include_reasoning": False},
    ),
    lists=Lists(context="context_window"),
)
