"""A caller of DashScope's own protocol, which writes as the package `dashscope` does."""

from typing import Final

import orjson

from tests.conformance.matrix.asking import PIXEL, TOOLS, Ask, Heard, Json, Turn, events

FINISHES: Final = {"stop": "stop", "length": "length", "tool_calls": "tools"}
SERVICES: Final = "/api/v1/services/aigc"


def message(turn: Turn, *, parts: bool) -> Json:
    """Write one message; `parts`: in the form of models that see."""
    content: str | list[Json] = turn.text
    if parts:
        content = [*[{"image": f"data:image/png;base64,{PIXEL}"}] * turn.images, {"text": turn.text}]
    made: Json = {"role": turn.role, "content": content}
    if turn.answers:
        made["tool_call_id"] = turn.answers
    if turn.calls:
        made["tool_calls"] = [
            {"id": id_, "type": "function", "index": place, "function": {"name": name, "arguments": arguments}}
            for place, (id_, name, arguments) in enumerate(turn.calls)
        ]
    return made


class DashScopeCaller:
    """Asks for the generation of text, and of text to pictures where there are some."""

    dialect = "dashscope"
    absent: Final[dict[str, str]] = {}
    errors: Final = {
        "bad request": (400, "InvalidParameter"),
        "too long": (400, "InvalidParameter"),
        "no money": (500, "InternalError"),
        "key refused": (500, "InternalError"),
        "model unknown": (500, "InternalError"),
        "throttled": (429, "Throttling.RateQuota"),
        "broken": (500, "InternalError"),
        "overloaded": (503, "ModelUnavailable"),
        "cut": (500, "InternalError"),
    }

    def request(self, ask: Ask, model: str, *, stream: bool) -> tuple[str, dict[str, str], Json]:
        """Return path, headers and body."""
        sees = any(turn.images for turn in ask.turns)
        parameters: Json = {"result_format": "message"}
        if stream:
            parameters["incremental_output"] = True
        if ask.tools:
            functions = [{"name": name, "parameters": schema} for name, schema in TOOLS.items()]
            parameters |= {"tools": [{"type": "function", "function": function} for function in functions]}
            parameters["parallel_tool_calls"] = True
        if ask.thinks:
            parameters |= {"enable_thinking": True, "thinking_budget": 1024}
        if ask.schema is not None:
            named = {"name": "answer", "schema": ask.schema, "strict": True}
            parameters["response_format"] = {"type": "json_schema", "json_schema": named}
        if ask.logprobs:
            parameters |= {"logprobs": True, "top_logprobs": 2}
        if ask.stop is not None:
            parameters["stop"] = [ask.stop]
        if ask.limit is not None:
            parameters["max_tokens"] = ask.limit
        told = [message(turn, parts=sees) for turn in ask.turns]
        path = f"{SERVICES}/{'multimodal' if sees else 'text'}-generation/generation"
        headers = {"x-dashscope-sse": "enable"} if stream else {}
        return path, headers, {"model": model, "input": {"messages": told}, "parameters": parameters}

    def hear(self, status: int, raw: bytes, *, stream: bool) -> Heard:
        """Read an answer."""
        heard = Heard(status)
        if status != 200 or not stream:
            self._take(heard, orjson.loads(raw))
        else:
            for name, data in events(raw):
                assert name in {"result", "error"}
                self._take(heard, orjson.loads(data))
        heard.whole = heard.error is None and bool(heard.finish)
        return heard

    def _take(self, heard: Heard, body: Json) -> None:
        if body.get("code"):
            heard.error, heard.message = body["code"], body["message"]
            return
        usage = body["usage"]
        heard.tokens = usage["input_tokens"], usage["output_tokens"]
        for choice in body["output"]["choices"]:
            said: Json = choice["message"]
            content = said.get("content") or ""
            text = content if isinstance(content, str) else "".join(part["text"] for part in content)
            heard.text += text
            heard.reasoning += said.get("reasoning_content") or ""
            for place, call in enumerate(said.get("tool_calls") or ()):
                self._call(heard, call, call.get("index", place))
            heard.pieces += bool(text or said.get("reasoning_content") or said.get("tool_calls"))
            if probable := choice.get("logprobs"):
                tokens = "".join(entry["token"] for entry in probable["content"])
                heard.logprobs = (heard.logprobs or "") + tokens
            if (reason := choice.get("finish_reason")) not in {None, "", "null"}:
                heard.finish = FINISHES.get(reason, reason)

    def _call(self, heard: Heard, call: Json, place: int) -> None:
        while len(heard.calls) <= place:
            heard.calls.append(("", ""))
        name, arguments = heard.calls[place]
        function = call["function"]
        heard.calls[place] = (name or function.get("name") or "", arguments + (function.get("arguments") or ""))
