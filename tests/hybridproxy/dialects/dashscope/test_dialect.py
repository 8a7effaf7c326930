"""Tests of the row that DashScope's own protocol is."""

import orjson

from hybridproxy.dialects.dashscope.dialect import DASHSCOPE
from hybridproxy.dialects.translator import Asking, Reading
from hybridproxy.model.call import Operation


def test_it_is_asked_where_the_service_is() -> None:
    """Under the path that its SDK appends to a base URL."""
    assert DASHSCOPE.paths == {
        "/api/v1/services/aigc/text-generation/generation": (Operation.CHAT, "text-generation"),
        "/api/v1/services/aigc/multimodal-generation/generation": (Operation.CHAT, "multimodal-generation"),
        "/api/v1/services/embeddings/text-embedding/text-embedding": (Operation.EMBEDDING, ""),
    }


def test_what_one_side_writes_the_other_reads() -> None:
    """A chunk that goes out as an event and comes in again is the same text."""
    body = {"model": "qwen", "input": {"prompt": "hi"}, "parameters": {"incremental_output": True}}
    call = DASHSCOPE.decode(Asking(Operation.CHAT, "text-generation", events=True), orjson.dumps(body))
    assert DASHSCOPE.voice is not None
    assert DASHSCOPE.decoder is not None
    voice, decoder = DASHSCOPE.voice(call, "r"), DASHSCOPE.decoder(Reading("qwen", 0))
    event = voice.feed(b'data: {"choices":[{"index":0,"delta":{"content":"He\\u00e9"}}]}\n\n')
    (chunk, *_) = decoder.feed(event)
    assert orjson.loads(chunk[6:])["choices"][0]["delta"]["content"] == "Heé"


def test_only_headers_that_mean_something_are_read() -> None:
    """What tells about the SDK goes nowhere."""
    assert "x-dashscope-sdk-client" not in DASHSCOPE.headers
    assert "x-dashscope-async" in DASHSCOPE.headers
    assert DASHSCOPE.whole_events
