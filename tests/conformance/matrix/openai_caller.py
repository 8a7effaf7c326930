"""A caller of OpenAI's chat completions."""

from typing import Any, Final

import orjson

from tests.conformance.matrix.asking import PIXEL, TOOLS, Ask, Heard, Json, Turn, events

FINISHES: Final = {"stop": "stop", "length": "length", "tool_calls": "tools"}


def message(turn: Turn) -> Json:
    """Write one message."""
    if turn.answers:
        return {"role": "tool", "tool_call_id": turn.answers, "content": turn.text}
    if turn.calls:
        calls = [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
            for id_, name, arguments in turn.calls
        ]
        return {"role": "assistant", "content": turn.text or None, "tool_calls": calls}
    if turn.images:
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
        return {"role": turn.role, "content": [{"type": "text", "text": turn.text}, *[image] * turn.images]}
    return {"role": turn.role, "content": turn.text}


class OpenAICaller:
    """Asks for chat completions."""

    dialect = "openai"
    absent: Final[dict[str, str]] = {}
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
        body: Json = {"model": model, "messages": [message(turn) for turn in ask.turns]}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if ask.tools:
            functions = [{"name": name, "parameters": schema} for name, schema in TOOLS.items()]
            body["tools"] = [{"type": "function", "function": function} for function in functions]
        if ask.thinks:
            body["reasoning_effort"] = "low"
        if ask.schema is not None:
            named = {"name": "answer", "schema": ask.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        if ask.logprobs:
            body |= {"logprobs": True, "top_logprobs": 2}
        if ask.stop is not None:
            body["stop"] = [ask.stop]
        if ask.limit is not None:
            body["max_tokens"] = ask.limit
        return "/v1/chat/completions", {}, body

    def hear(self, status: int, raw: bytes, *, stream: bool) -> Heard:
        """Read an answer."""
        heard = Heard(status)
        if status != 200 or not stream:
            self._take(heard, orjson.loads(raw), "message")
            heard.whole = heard.error is None
            return heard
        for _, data in events(raw):
            if data == "[DONE]":
                heard.whole = heard.error is None
            else:
                self._take(heard, orjson.loads(data), "delta")
        return heard

    def _take(self, heard: Heard, body: Json, part: str) -> None:
        if "error" in body:
            heard.error, heard.message = body["error"]["code"], body["error"]["message"]
            return
        if usage := body.get("usage"):
            heard.tokens = usage["prompt_tokens"], usage["completion_tokens"]
        for choice in body["choices"]:
            said: Json = choice[part]
            heard.text += said.get("content") or ""
            heard.reasoning += said.get("reasoning_content") or ""
            for call in said.get("tool_calls") or ():
                self._call(heard, call)
            heard.pieces += any(said.get(name) for name in ("content", "reasoning_content", "tool_calls"))
            probable: Any = choice.get("logprobs")
            if isinstance(probable, dict) and isinstance(probable.get("content"), list):
                tokens = "".join(entry["token"] for entry in probable["content"])
                heard.logprobs = (heard.logprobs or "") + tokens
            reason = choice.get("finish_reason")
            heard.finish = FINISHES.get(reason, reason) if reason else heard.finish

    def _call(self, heard: Heard, call: Json) -> None:
        """Take a call, or a piece of one."""
        place = call.get("index", len(heard.calls))
        while len(heard.calls) <= place:
            heard.calls.append(("", ""))
        name, arguments = heard.calls[place]
        function = call["function"]
        heard.calls[place] = (name or function.get("name") or "", arguments + (function.get("arguments") or ""))
