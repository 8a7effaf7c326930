"""What a translated chunk of a stream costs, in µs of this machine's CPU, above a chunk that passes as it came.

    python -m tests.bench.translation

One line a way, for pieces of text, of thought and of a tool's arguments; the budget is 15 µs. Each chunk is a block of
its own, as a model that writes slowly sends it, and goes through the whole relay: cut into events, decoded, read, said.
Minimum of seven rounds: other work on the machine only ever makes a round longer. The kernel's share of a chunk is not in it, being the same for all. What repeats the text so
far with each event (DashScope without increments) costs more the longer the text, by its nature.
"""

import sys
import time
from itertools import accumulate

import orjson

from hybridproxy.dialects import TRANSLATORS
from hybridproxy.dialects.translator import Asking
from hybridproxy.gateway.outgoing import PLAIN, Spoken
from hybridproxy.gateway.relay import StreamAttempt
from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from tests.support import make

CHUNKS, ROUNDS, BUDGET = 2000, 7, 15.0
WORDS = [" word", " of", " an", " answer,", " gibt", " 你好", " and", "\n"]
TEXTS = [WORDS[n % len(WORDS)] for n in range(CHUNKS)]
MESSAGES = [{"role": "user", "content": "hello"}]


class Listener:
    """The caller's side: takes what is written, and is never congested."""

    def open(self, headers):
        pass

    def write(self, data):
        return False


# ---- streams of upstreams, one block a chunk: what comes before the pieces, and each of these -----------------------

KINDS = ("text", "thought", "arguments")
BEGUN = '{"a":"'


def openai(kind, texts=TEXTS):
    head = {"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 1, "model": "qwen"}

    def chunk(**delta):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        return b"data: " + orjson.dumps({**head, "choices": [choice]}) + b"\n\n"

    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": BEGUN}}
    before, piece = {
        "text": (chunk(content="A"), lambda text: chunk(content=text)),
        "thought": (chunk(reasoning_content="A"), lambda text: chunk(reasoning_content=text)),
        "arguments": (
            chunk(tool_calls=[first]),
            lambda text: chunk(tool_calls=[{"index": 0, "function": {"arguments": text}}]),
        ),
    }[kind]
    return [chunk(role="assistant", content=""), before], list(map(piece, texts))


def named(kind, **fields):
    return f"event: {kind}\ndata: ".encode() + orjson.dumps({"type": kind, **fields}) + b"\n\n"


def anthropic(kind, texts=TEXTS):
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude", "usage": {"input_tokens": 9, "output_tokens": 1}}
    block, delta, field, begun = {
        "text": ({"type": "text", "text": ""}, "text_delta", "text", "A"),
        "thought": ({"type": "thinking", "thinking": "", "signature": ""}, "thinking_delta", "thinking", "A"),
        "arguments": ({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}, "input_json_delta", "partial_json", BEGUN),
    }[kind]

    def chunk(text):
        return named("content_block_delta", index=0, delta={"type": delta, field: text})

    before = [named("message_start", message=message), named("content_block_start", index=0, content_block=block), chunk(begun)]
    return before, list(map(chunk, texts))


def responses(kind, texts=TEXTS):
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    item, delta, begun = {
        "text": ({"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}, "output_text", "A"),
        "thought": ({"id": "rs_1", "type": "reasoning", "status": "in_progress", "summary": []}, "reasoning_text", "A"),
        "arguments": (
            {"id": "fc_1", "type": "function_call", "status": "in_progress", "call_id": "call_1", "name": "f", "arguments": ""},
            "function_call_arguments",
            BEGUN,
        ),
    }[kind]
    response = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt", "status": "in_progress", "output": []}

    def chunk(text):
        return named(f"response.{delta}.delta", **at, delta=text, logprobs=[], sequence_number=7)

    before = [
        named("response.created", response=response, sequence_number=0),
        named("response.output_item.added", output_index=0, item=item, sequence_number=1),
        chunk(begun),
    ]
    return before, list(map(chunk, texts))


def dashscope(kind, texts=TEXTS):
    def chunk(**message):
        choice = {"message": {"role": "assistant", "content": "", **message}, "finish_reason": "null"}
        body = {"output": {"choices": [choice]}, "usage": {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}, "request_id": "r"}
        return b"id:1\nevent:result\n:HTTP_STATUS/200\ndata:" + orjson.dumps(body) + b"\n\n"

    def call(arguments, **more):
        return {"index": 0, "id": "", "type": "function", "function": {"arguments": arguments}, **more}

    first = call("", id="call_1", function={"name": "f", "arguments": BEGUN})
    before, piece = {
        "text": (chunk(content="A"), lambda text: chunk(content=text)),
        "thought": (chunk(reasoning_content="A"), lambda text: chunk(reasoning_content=text)),
        "arguments": (chunk(tool_calls=[first]), lambda text: chunk(tool_calls=[call(text)])),
    }[kind]
    return [before], list(map(piece, texts))


# ---- callers ---------------------------------------------------------------------------------------------------------


def asked(dialect):
    native = {
        "openai": {"model": "q", "messages": MESSAGES, "stream": True},
        "anthropic": {"model": "q", "max_tokens": 9, "messages": MESSAGES, "stream": True},
        "responses": {"model": "q", "input": "hello", "stream": True},
        "dashscope": {"model": "q", "input": {"messages": MESSAGES}, "parameters": {"result_format": "message", "incremental_output": True}},
        "dashscope, cumulative": {"model": "q", "input": {"messages": MESSAGES}, "parameters": {"result_format": "message"}},
    }[dialect]
    row = TRANSLATORS[Dialect(dialect.partition(",")[0])]
    variant = next(variant for operation, variant in row.paths.values() if operation is Operation.CHAT)
    return row.decode(Asking(Operation.CHAT, variant, events=True), orjson.dumps(native))


def cost(stream, upstream, dialect):
    """Return µs a chunk."""
    before, chunks = stream
    best = float("inf")
    for _ in range(ROUNDS):
        call = asked(dialect)
        voice = TRANSLATORS[call.dialect].voice
        same = call.dialect is upstream
        made = None if voice is None or same else voice(call, "req_1")
        way = PLAIN if same and upstream is Dialect.OPENAI else Spoken(upstream, native=same, voice=made)
        one = StreamAttempt(0, call, make.target("us"), lambda event: None, lambda: 0.0, way)
        one.head(200, ((b"content-type", b"text/event-stream"),))
        for block in before:
            one.body(block)
        one.attach(Listener())
        began = time.process_time()
        for block in chunks:
            one.body(block)
        best = min(best, time.process_time() - began)
        assert not one._over, (upstream, dialect)
        assert one._tap.events >= len(chunks), (upstream, dialect, one._tap.events)
    return best / len(chunks) * 1e6


UPSTREAMS = {"openai": openai, "anthropic": anthropic, "responses": responses, "dashscope": dashscope}
CALLERS = ("openai", "anthropic", "responses", "dashscope", "dashscope, cumulative")


def main():
    passes = cost(openai("text"), Dialect.OPENAI, "openai")
    print(f"{'upstream':12} {'caller':24}" + "".join(f"{kind:>12}" for kind in KINDS) + f"   passes as it came: {passes:.2f}")
    worst = 0.0
    for upstream, stream in UPSTREAMS.items():
        for caller in CALLERS:
            if upstream == "responses" and caller != "responses":
                continue  # it is only repeated
            repeats = caller == "dashscope, cumulative" and upstream == "dashscope"
            texts = list(accumulate(TEXTS, initial="A")) if repeats else TEXTS
            kinds = KINDS[:1] if repeats else KINDS
            above = [cost(stream(kind, texts), Dialect(upstream), caller) - passes for kind in kinds]
            if not repeats:  # the texts of what repeats them are not long here, but arguments come to that by themselves
                worst = max(worst, *(above[:1] if caller == "dashscope, cumulative" else above))
            note = f"   each event repeats the text, {CHUNKS} times" if repeats else ""
            print(f"{upstream:12} {caller:24}" + "".join(f"{taken:12.2f}" for taken in above) + note)
    print(f"worst {worst:.2f} of {BUDGET:g}")
    return 0 if worst <= BUDGET else 1


if __name__ == "__main__":
    sys.exit(main())
