"""Any server that speaks OpenAI's API; the operator gives its `base_url` as an SDK would take it, with `/v1`.

It is sent what the caller wrote, but for OpenAI's own models, which are known by their names: a field that these do not
know is a 400, so what callers of other dialects and of Qwen say is said in their words, or left out by name. Models
that think take `max_completion_tokens` alone, and a `reasoning_effort`, of which those since 5.1 have "none"; nothing
of what they thought is given back. Sources: the types of the `openai` package 3.57; for the 400s the reports in
BerriAI/litellm#13381 and bestruirui/octopus#31.
"""

from dataclasses import replace
from typing import Final

from hybridproxy.model.dialect import Dialect
from hybridproxy.providers.auth import Auth
from hybridproxy.providers.lists import Lists
from hybridproxy.providers.parameters import MESSAGES
from hybridproxy.providers.provider import RESPONSES_WIRE, Provider
from hybridproxy.providers.quotas import OPENAI_QUOTAS
from hybridproxy.providers.thinks import EFFORTS, Thinks, same

_ANY: Final = Provider(
    name="openai",
    quotas=OPENAI_QUOTAS,
    reasons_too="reasoning",
    wires={Dialect.RESPONSES: RESPONSES_WIRE},
    lists=Lists(),
    auth=Auth(takes=frozenset({"openai-organization", "openai-project"})),
)
_SPELLING: Final = Thinks(
    own=frozenset({"reasoning_effort"}),
    on={"reasoning_effort": "medium"},
    effort="reasoning_effort",
    efforts=same(*EFFORTS),
)
_UNTHINKING: Final = replace(
    _ANY,
    drops=frozenset({"top_k", "min_p", "repetition_penalty", "preserve_thinking", "tool_stream"}),
    messages=MESSAGES | {"audio", "function_call", "refusal"},
    thinks=Thinks(own=frozenset({"reasoning_effort"})),
)
_THINKING: Final = replace(_UNTHINKING, thinks=_SPELLING, renames={"max_tokens": "max_completion_tokens"})
_ASKED: Final = replace(_THINKING, thinks=replace(_SPELLING, off={"reasoning_effort": "none"}))

OPENAI: Final = replace(
    _ANY,
    by_model=(
        ("gpt-5.*", _ASKED),
        ("gpt-5*", _THINKING),
        ("gpt-[6-9]*", _ASKED),
        ("o[1-9]*", _THINKING),
        ("gpt-[34]*", _UNTHINKING),
    ),
)
