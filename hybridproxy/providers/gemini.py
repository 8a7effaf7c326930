"""Gemini's layer for OpenAI's API: ai.google.dev/gemini-api/docs/openai (2026-10) and reports of what it sends.

Errors are Google's: a number as `code`, the name as `status`, in a list of one. A key that is not known is a 400. A
call of a tool comes whole, in older models without an `index`, and its choice finishes with "stop". Fields that it
does not know are a 400, in messages too, so they are not sent: what a model thought is none of those it takes. Settings
of Gemini alone stand in `extra_body`, which is the operator's side of the call and never passes. Continuation: nothing
is documented.
"""

from hybridproxy.model.call import Operation
from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.lists import Lists
from hybridproxy.providers.parameters import BIAS, CORE, FUNCTIONS, MESSAGES, SEARCH
from hybridproxy.providers.provider import OPENAI_PATHS, Provider
from hybridproxy.providers.thinks import Thinks, same

GEMINI = Provider(
    name="gemini",
    sites={"": "https://generativelanguage.googleapis.com/v1beta/openai"},
    paths={operation: OPENAI_PATHS[operation] for operation in (Operation.CHAT, Operation.EMBEDDING)},
    max_choices=8,
    messages=MESSAGES | {"extra_content"},
    accepts=CORE
    | {
        "logprobs",
        "max_completion_tokens",
        "modalities",
        "audio",
        "parallel_tool_calls",
        "reasoning_effort",
        "stream_options",
        "top_logprobs",
    },
    refuses={"logit_bias": BIAS, **FUNCTIONS, **SEARCH},
    whole_tools=True,
    thinks=Thinks(
        own=frozenset({"reasoning_effort"}),
        on={"reasoning_effort": "medium"},
        off={"reasoning_effort": "none"},
        effort="reasoning_effort",
        efforts=same("none", "minimal", "low", "medium", "high"),
    ),
    lists=Lists(before="models/"),
    faults=(
        FaultRule(FaultKind.CREDENTIAL, status=400, says=("api key not valid", "api key expired")),
        FaultRule(FaultKind.CONTEXT_TOO_LONG, status=400, says=("input token count",)),
        FaultRule(FaultKind.FORBIDDEN, status=400, says=("location is not supported",)),
        *OPENAI_FAULTS,
    ),
)
