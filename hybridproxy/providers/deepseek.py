"""DeepSeek: api-docs.deepseek.com (2026-09): error codes, rate limit, chat prefix completion, thinking mode.

A call that waits is kept alive with comments in a stream and blank lines before the JSON of a whole answer. A choice
that finishes with `insufficient_system_resource` was broken off. Usage also has `prompt_cache_hit_tokens`. The length
of an answer is `max_tokens`, thoughts included; the other name for it is not documented, as are fields that are not in
its list here. Words for how hard to think are mapped there, which has changed and may again: they go as they are.
Continuation: a last message of the assistant's with `prefix`, at the address that ends with `/beta` (`site: beta`),
which does all else, too; not while it thinks.
"""

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.lists import Lists
from hybridproxy.providers.parameters import BIAS, CORE, FUNCTIONS, SEARCH, SOUND
from hybridproxy.providers.provider import Continues, Provider
from hybridproxy.providers.thinks import Thinks, same

DEEPSEEK = Provider(
    name="deepseek",
    sites={"": "https://api.deepseek.com", "beta": "https://api.deepseek.com/beta"},
    max_choices=1,
    accepts=CORE
    | {
        "logprobs",
        "max_completion_tokens",
        "reasoning_effort",
        "stream_options",
        "thinking",
        "top_logprobs",
        "user_id",
    },
    refuses={"logit_bias": BIAS, **FUNCTIONS, **SOUND, **SEARCH},
    drops=frozenset({"n"}),
    renames={"max_completion_tokens": "max_tokens"},
    continuation=Continues(
        message={"prefix": True}, body={"thinking": {"type": "disabled"}}, sites=frozenset({"beta"})
    ),
    thinks=Thinks(
        own=frozenset({"thinking.type", "reasoning_effort"}),
        on={"thinking.type": "enabled"},
        off={"thinking.type": "disabled"},
        effort="reasoning_effort",
        efforts=same("low", "medium", "high", "xhigh", "max"),
        with_effort={"thinking.type": "enabled"},
    ),
    lists=Lists(),
    faults=(
        FaultRule(FaultKind.OVERLOADED, says=("insufficient_system_resource",)),
        FaultRule(FaultKind.NOT_FOUND, status=400, says=("model not exist",)),
        *OPENAI_FAULTS,
    ),
)
