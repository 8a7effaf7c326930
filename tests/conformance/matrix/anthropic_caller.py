"""A caller of Anthropic's Messages API."""

from typing import Any, Final

import orjson

from tests.conformance.matrix.asking import PIXEL, TOOLS, Ask, Heard, Json, Turn, events

FINISHES: Final = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tools"}


def blocks(turn: Turn) -> list[Json]:
    """Write the blocks of one message."""
    if turn.answers:
        return [{"type": "tool_result", "tool_use_id": turn.answers, "content": turn.text}]
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    text: list[Json] = [{"type": "text", "text": turn.text}] if turn.text else []
    calls = [
        {"type": "tool_use", "id": id_, "name": name, "input": orjson.loads(arguments)}
        for id_, name, arguments in turn.calls
    ]
    return [*text, *[image] * turn.images, *calls]


class AnthropicCaller:
    """Asks for messages."""

    dialect = "anthropic"
    absent: Final = {"logprobs": "the dialect has no words for it"}
    errors: Final = {
        "bad request": (400, "invalid_request_error"),
        "too long": (400, "invalid_request_error"),
        "no money": (502, "api_error"),
        "key refused": (502, "api_error"),
        "model unknown": (502, "api_error"),
        "throttled": (429, "rate_limit_error"),
        "broken": (502, "api_error"),
        "overloaded": (529, "overloaded_error"),
        "cut": (502, "api_error"),
    }

    def request(self, ask: Ask, model: str, *, stream: bool) -> tuple[str, dict[str, str], Json]:
        """Return path, headers and body; results of tools that follow each other are one turn."""
        body: Json = {"model": model, "max_tokens": 1000 if ask.limit is None else ask.limit, "messages": []}
        for turn in ask.turns:
            if turn.role == "system":
                body["system"] = [{"type": "text", "text": turn.text, "cache_control": {"type": "ephemeral"}}]
                continue
            role = "user" if turn.role == "tool" else turn.role
            messages: list[Json] = body["messages"]
            if messages and messages[-1]["role"] == role:
                messages[-1]["content"] += blocks(turn)
            else:
                messages.append({"role": role, "content": blocks(turn)})
        if stream:
            body["stream"] = True
        if ask.tools:
            body["tools"] = [{"name": name, "input_schema": schema} for name, schema in TOOLS.items()]
        if ask.thinks:
            body |= {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}
        if ask.schema is not None:
            body["output_config"] = {"format": {"type": "json_schema", "schema": ask.schema}}
        if ask.stop is not None:
            body["stop_sequences"] = [ask.stop]
        return "/v1/messages?beta=true", {"anthropic-version": "2026-10-21", "anthropic-beta": "some-2026-01-01"}, body

    def hear(self, status: int, raw: bytes, *, stream: bool) -> Heard:
        """Read an answer."""
        heard = Heard(status)
        if status != 200 or not stream:
            self._take(heard, orjson.loads(raw))
            return heard
        for name, data in events(raw):
            body = orjson.loads(data)
            assert body["type"] == name
            self._take_event(heard, body)
        return heard

    def _take(self, heard: Heard, body: Json) -> None:
        """Take a whole answer."""
        if body["type"] == "error":
            heard.error, heard.message = body["error"]["type"], body["error"]["message"]
            return
        for block in body["content"]:
            if block["type"] == "tool_use":
                heard.calls.append((block["name"], orjson.dumps(block["input"]).decode()))
            else:
                self._say(heard, block["type"], block)
        self._end(heard, body["stop_reason"], body["usage"])
        heard.whole = True

    def _take_event(self, heard: Heard, body: Json) -> None:
        kind: str = body["type"]
        if kind == "error":
            self._take(heard, body)
        elif kind == "content_block_start" and body["content_block"]["type"] == "tool_use":
            heard.calls.append((body["content_block"]["name"], ""))
        elif kind == "content_block_delta":
            self._say(heard, body["delta"]["type"].removesuffix("_delta"), body["delta"])
        elif kind == "message_delta":
            self._end(heard, body["delta"]["stop_reason"], body["usage"])
        elif kind == "message_stop":
            heard.whole = True

    def _say(self, heard: Heard, kind: str, said: Json) -> None:
        heard.text += said["text"] if kind == "text" else ""
        heard.reasoning += said["thinking"] if kind == "thinking" else ""
        if kind == "input_json":
            name, arguments = heard.calls[-1]
            heard.calls[-1] = name, arguments + said["partial_json"]
        heard.pieces += 1

    def _end(self, heard: Heard, reason: Any, usage: Json) -> None:
        heard.finish = FINISHES.get(reason, str(reason))
        read = usage.get("cache_read_input_tokens") or 0
        written = usage.get("cache_creation_input_tokens") or 0
        heard.tokens = (usage["input_tokens"] + read + written, usage["output_tokens"])
