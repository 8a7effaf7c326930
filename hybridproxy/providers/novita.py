"""Novita: novita.ai/docs (2026-10), models.dev's list of providers (2026-07); what others captured of its errors.

An error is flat: a number as `code`, its name as `reason`. 403 `NOT_ENOUGH_BALANCE` is about money. Its list has
prices in units of 0.0001 US dollars for a million tokens. The length of an answer is `max_tokens`; the other name for
it is not documented, nor are fields that are not in its list here. Where it computes is not documented.
"""

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.lists import Lists
from hybridproxy.providers.parameters import CORE, FUNCTIONS, SEARCH, SOUND
from hybridproxy.providers.provider import Provider
from hybridproxy.providers.thinks import Thinks

NOVITA = Provider(
    name="novita",
    sites={"": "https://api.novita.ai/openai/v1"},
    accepts=CORE
    | {
        "enable_thinking",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "min_p",
        "repetition_penalty",
        "separate_reasoning",
        "stream_options",
        "top_k",
        "top_logprobs",
    },
    refuses=FUNCTIONS | SOUND | SEARCH,
    renames={"max_completion_tokens": "max_tokens"},
    thinks=Thinks(own=frozenset({"enable_thinking"}), on={"enable_thinking": True}, off={"enable_thinking": False}),
    lists=Lists(
        context="context_size",
        input="input_token_price_per_m",
        output="output_token_price_per_m",
        per_million=0.0001,
    ),
    faults=(FaultRule(FaultKind.QUOTA, status=403, code=("not_enough_balance",)), *OPENAI_FAULTS),
)
