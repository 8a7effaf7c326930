"""OpenAI's Responses API: create and stream.

Nothing is kept here, so what is about kept responses is said natively to an upstream that keeps them, or refused. Types
of the wire: `openai` 3.54, `types/responses`.
"""

from typing import Final

from hybridproxy.dialects.openai import OPENAI, ROOTS
from hybridproxy.dialects.responses.reading import ResponsesDecoder, answer
from hybridproxy.dialects.responses.request import decode, repeat
from hybridproxy.dialects.responses.voice import ResponsesVoice
from hybridproxy.dialects.translator import Translator
from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect

RESPONSES: Final = Translator(
    Dialect.RESPONSES,
    paths={f"{root}/responses": (Operation.CHAT, "") for root in ROOTS},
    decode=decode,
    problem=OPENAI.problem,
    voice=ResponsesVoice,
    repeat=repeat,
    decoder=ResponsesDecoder,
    answer=answer,
    whole_events=True,
    max_event=16 << 20,  # the last one has the whole answer once more, and some have a picture
    headers=("x-dashscope-session-cache",),
    longest=("max_output_tokens",),
)

NOT_KEPT: Final = "only POST is offered here: no response is kept, so none can be read, listed, deleted or cancelled"


def is_about_a_kept_response(path: str) -> bool:
    """Return whether a path is of a response that was made before."""
    return any(path.startswith(f"{made}/") for made in RESPONSES.paths)
