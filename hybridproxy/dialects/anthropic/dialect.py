"""Anthropic's Messages API: the row of the dialect.

    request     a caller's request -> chat completion       content    its messages
    voice       chunks -> a caller's events                 answer     whole answers
    upstream    chat completion -> an upstream's request    decoder    its answer -> chat completion
    errors      errors, for callers

Any `anthropic-version` is taken: the fields of a request tell more. It goes along, as `anthropic-beta` does, where the
upstream speaks the dialect itself.
"""

from typing import Final

from hybridproxy.dialects.anthropic.decoder import AnthropicDecoder, answer
from hybridproxy.dialects.anthropic.errors import problem
from hybridproxy.dialects.anthropic.request import decode
from hybridproxy.dialects.anthropic.upstream import repeat, request
from hybridproxy.dialects.anthropic.voice import AnthropicVoice
from hybridproxy.dialects.translator import Translator
from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect

ANTHROPIC: Final = Translator(
    Dialect.ANTHROPIC,
    paths={"/v1/messages": (Operation.CHAT, ""), "/v1/messages/count_tokens": (Operation.COUNT, "")},
    decode=decode,
    problem=problem,
    voice=AnthropicVoice,
    request=request,
    repeat=repeat,
    decoder=AnthropicDecoder,
    answer=answer,
    whole_events=True,
    headers=("anthropic-version", "anthropic-beta"),
    longest=("max_tokens",),
)
