"""A caller of OpenAI's Responses API."""

from typing import Any, Final

import orjson

from tests.conformance.matrix.asking import PIXEL, TOOLS, Ask, Heard, Json, Turn, events


def items(turn: Turn) -> list[Json]:
    """Write a message, and the calls of tools or their results, as items."""
    if turn.answers:
        return [{"type": "function_call_output", "call_id": turn.answers, "output": turn.text}]
    made: list[Json] = []
    if turn.text:
        kind = "output_text" if turn.role == "assistant" else "input_text"
        parts: list[Json] = [{"type": kind, "text": turn.text}]
        url = f"data:image/png;base64,{PIXEL}"
        parts += [{"type": "input_image", "image_url": url, "detail": "auto"}] * turn.images
        made.append({"type": "message", "role": turn.role, "content": parts})
    for id_, name, arguments in turn.calls:
        made.append({"type": "function_call", "call_id": id_, "name": name, "arguments": arguments})
    return made


class ResponsesCaller:
    """Asks for responses, stored nowhere."""

    dialect = "responses"
    absent: Final = {"stop": "the dialect has no stop sequences"}
    errors: Final = {
        "bad request": (400, "invalid_request"),
        "too long": (400, "context_length_exceeded"),
        "no money": (502, "upstream_quota"),
        "key refused": (502, "upstream_credential"),
        "model unknown": (502, "upstream_not_found"),
        "throttled": (429, "upstream_throttled"),
        "broken": (502, "upstream_error"),
        "overloaded": (503, "upstream_overloaded"),
        "cut": (502, "upstream_cut"),
    }

    def request(self, ask: Ask, model: str, *, stream: bool) -> tuple[str, dict[str, str], Json]:
        """Return path, headers and body."""
        body: Json = {"model": model, "store": False, "input": [item for turn in ask.turns for item in items(turn)]}
        if stream:
            body["stream"] = True
        if ask.tools:
            body["tools"] = [
                {"type": "function", "name": name, "parameters": schema, "strict": False}
                for name, schema in TOOLS.items()
            ]
        if ask.thinks:
            body["reasoning"] = {"effort": "low"}
        if ask.schema is not None:
            body["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": ask.schema, "strict": True}}
        if ask.logprobs:
            body |= {"top_logprobs": 2, "include": ["message.output_text.logprobs"]}
        if ask.limit is not None:
            body["max_output_tokens"] = ask.limit
        return "/v1/responses", {}, body

    def hear(self, status: int, raw: bytes, *, stream: bool) -> Heard:
        """Read an answer; of a stream its last event has all, and the deltas before have to add up to the same."""
        heard = Heard(status)
        if status != 200 or not stream:
            body = orjson.loads(raw)
            if body.get("error"):
                return self._error(heard, body["error"])
            self._whole(heard, body)
            return heard
        said = ""
        for name, data in events(raw):
            event = orjson.loads(data)
            assert event["type"] == name
            if name == "error":
                return self._error(heard, event.get("error") or event)
            if name == "response.failed":
                return self._error(heard, event["response"]["error"])
            heard.pieces += name.endswith(".delta")
            if name == "response.output_text.delta":
                said += event["delta"]
            if name in {"response.completed", "response.incomplete"}:
                self._whole(heard, event["response"])
        assert said == heard.text or not heard.whole
        return heard

    def _error(self, heard: Heard, error: Json) -> Heard:
        heard.error, heard.message = error["code"], error["message"]
        return heard

    def _whole(self, heard: Heard, body: Json) -> None:
        heard.whole = body["status"] in {"completed", "incomplete"}
        heard.finish = "stop" if body["status"] == "completed" else "length"
        heard.tokens = body["usage"]["input_tokens"], body["usage"]["output_tokens"]
        for item in body["output"]:
            match item["type"]:
                case "message":
                    for part in item["content"]:
                        heard.text += part["text"]
                        self._probable(heard, part)
                case "reasoning":
                    parts: list[Any] = item.get("summary") or item.get("content") or []
                    heard.reasoning += "".join(part["text"] for part in parts)
                case "function_call":
                    heard.calls.append((item["name"], item["arguments"]))
                    heard.finish = "tools"
                case other:
                    raise AssertionError(other)

    def _probable(self, heard: Heard, part: Json) -> None:
        if entries := part.get("logprobs"):
            heard.logprobs = (heard.logprobs or "") + "".join(entry["token"] for entry in entries)
