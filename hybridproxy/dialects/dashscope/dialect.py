"""DashScope's own protocol, as a row: the other files of the dialect are requests, content, voice and upstream."""

from typing import Final

from hybridproxy.dialects.dashscope.request import HEADERS, MULTIMODAL, TEXT, decode, fits, repeat
from hybridproxy.dialects.dashscope.upstream import DashScopeDecoder, answer, request
from hybridproxy.dialects.dashscope.voice import DashScopeVoice, told
from hybridproxy.dialects.translator import Translator
from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect

_SERVICES: Final = "/api/v1/services"

DASHSCOPE: Final = Translator(
    Dialect.DASHSCOPE,
    paths={
        f"{_SERVICES}/aigc/{TEXT}/generation": (Operation.CHAT, TEXT),
        f"{_SERVICES}/aigc/{MULTIMODAL}/generation": (Operation.CHAT, MULTIMODAL),
        f"{_SERVICES}/embeddings/text-embedding/text-embedding": (Operation.EMBEDDING, ""),
    },
    decode=decode,
    problem=told,
    voice=DashScopeVoice,
    request=request,
    repeat=repeat,
    fits=fits,
    decoder=DashScopeDecoder,
    answer=answer,
    whole_events=True,
    headers=HEADERS,
    longest=("parameters", "max_completion_tokens"),
)
