"""Anthropic: platform.claude.com/docs (2026-11), and the types and errors of its Python SDK 2.12.

It speaks its own Messages API alone. A field it does not know is an error there, so only those are sent that have a
counterpart. Faults: the type follows from the status; 529 is "overloaded". No money left is a 400 of which only the
words tell. Thinking: newer models decide themselves how much (`adaptive`, with a word for how hard), older ones take a
budget. Continuation: a message of the assistant that stands last is only written on by models before 4.6, so none is
promised. Keys: `Authorization: Bearer` as its SDK sends them.
"""

from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.lists import Lists
from hybridproxy.providers.parameters import BIAS, LOGPROBS, SEARCH
from hybridproxy.providers.provider import Provider, Wire
from hybridproxy.providers.quotas import ANTHROPIC_QUOTAS
from hybridproxy.providers.thinks import Thinks, same

_ALONE = "the answer would come in another form"

ANTHROPIC = Provider(
    name="anthropic",
    quotas=ANTHROPIC_QUOTAS,
    marks=frozenset({"cache_control", "is_error", "thinking_blocks"}),
    sites={"": "https://api.anthropic.com"},
    paths={},
    wires={
        Dialect.ANTHROPIC: Wire(
            {Operation.CHAT: "/messages", Operation.COUNT: "/messages/count_tokens"}, root="/v1", instead_of="/v1"
        )
    },
    asks_for_usage=False,
    accepts=frozenset(
        {
            "max_completion_tokens",
            "max_tokens",
            "messages",
            "model",
            "output_config",
            "parallel_tool_calls",
            "response_format",
            "stop",
            "stream",
            "temperature",
            "thinking",
            "tool_choice",
            "tools",
            "top_k",
            "top_p",
            "user",
        }
    ),
    drops=frozenset({"stream_options"}),
    refuses={
        "logprobs": LOGPROBS,
        "top_logprobs": LOGPROBS,
        "logit_bias": BIAS,
        "functions": _ALONE,
        "messages[].function_call": "the model would not know of that call",
        "audio": _ALONE,
        "messages[].audio": "the model would not know what was said in that sound",
        **SEARCH,
    },
    max_choices=1,
    thinks=Thinks(
        own=frozenset({"thinking.type", "thinking.budget_tokens", "output_config.effort"}),
        on={"thinking.type": "adaptive"},
        off={"thinking.type": "disabled"},
        budget="thinking.budget_tokens",
        with_budget={"thinking.type": "enabled"},
        least=1024,
        effort="output_config.effort",
        efforts=same("low", "medium", "high", "xhigh", "max"),
        with_effort={"thinking.type": "adaptive"},
        either=True,
    ),
    # what was retired stays on the list, with its day
    lists=Lists(
        path="/models?limit=1000",
        dialect=Dialect.ANTHROPIC,
        headers=(("anthropic-version", "2023-06-01"),),
        context="max_input_tokens",
        removal="retires_at",
    ),
    faults=(
        FaultRule(FaultKind.CONTEXT_TOO_LONG, status=400, says=("prompt is too long", "exceed context limit")),
        FaultRule(FaultKind.QUOTA, status=400, says=("credit balance is too low",)),
        *OPENAI_FAULTS,
    ),
)
