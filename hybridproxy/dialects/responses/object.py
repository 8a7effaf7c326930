"""The `response` object of the Responses API, as a caller gets it for an answer in the form of a chat completion.

Most of it repeats the request; that part is written to JSON once a call. Source: `openai` 3.54,
`types/responses/response.py`, and the items in the files beside it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from hybridproxy.model.call import Call
from hybridproxy.model.usage import Usage, count_in

Item = dict[str, Any]

_ECHOED: Final[dict[str, Any]] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "service_tier": "auto",
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""What a response repeats of its request, and what it says where the request did not."""

_PREFIX: Final = re.compile(r"^(?:chatcmpl|cmpl|gen|resp|msg)[-_]")
_NOT_ID: Final = re.compile(r"[^A-Za-z0-9_-]+")
MAX_ID: Final = 64

_REASONS: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}

_LATEST: Final = 2**53
"""Seconds since the epoch; whatever is beyond is no time."""


class Names:
    """What an answer is called: the upstream's names where it gave some, else those of the call.

    The ids of a response and of its items follow from the upstream's id, so that they are the same at every look.
    """

    __slots__ = ("created", "key", "model")

    def __init__(self, body: Mapping[str, Any], *, model: str, request_id: str) -> None:
        """Take the names of the first chunk, or of the whole answer."""
        given, created, said = body.get("id"), body.get("created"), body.get("model")
        key = _NOT_ID.sub("", _PREFIX.sub("", given))[:MAX_ID] if type(given) is str else ""
        self.key = key or request_id
        self.created = created if type(created) is int and 0 <= created < _LATEST else 0
        self.model = said if type(said) is str and said else model

    def item(self, prefix: str, number: int) -> str:
        """Return the id of an output item."""
        return f"{prefix}_{self.key}_{number}"


class Frame:
    """Writes the `response` object of one call."""

    __slots__ = ("_echo", "_given", "summarises")

    def __init__(self, call: Call) -> None:
        """Keep what the object repeats of the request, and not the request itself."""
        native = call.body if call.native is None else call.native
        given = {name: default if native.get(name) is None else native[name] for name, default in _ECHOED.items()}
        reasoning, text = native.get("reasoning") or {}, native.get("text") or {}
        summary = reasoning.get("summary") or reasoning.get("generate_summary")
        given["reasoning"] = {"effort": reasoning.get("effort"), "summary": summary}
        given["text"] = {**text, "format": text.get("format") or {"type": "text"}}
        given["store"] = False
        self.summarises = summary is not None
        self._given = given
        self._echo = b""

    def response(
        self,
        names: Names,
        status: str,
        output: list[Item],
        *,
        usage: Mapping[str, Any] | None = None,
        incomplete: str | None = None,
        error: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the object as JSON.

        Args:
            names: what it is called.
            status: `in_progress`, `completed`, `incomplete` or `failed`.
            output: the items.
            usage: in OpenAI's form of a chat completion.
            incomplete: why it is incomplete.
            error: why it failed.

        """
        if not self._echo:
            self._echo = orjson.dumps(self._given)[1:]
        head = {
            "id": f"resp_{names.key}",
            "object": "response",
            "created_at": names.created,
            "status": status,
            "completed_at": None,
            "error": error,
            "incomplete_details": None if incomplete is None else {"reason": incomplete},
            "model": names.model,
            "output": output,
            "usage": usage_of(usage),
        }
        return orjson.dumps(head)[:-1] + b"," + self._echo


def status_of(finish: Any) -> tuple[str, str | None]:
    """Return the status that follows from a finish reason, and why an answer is incomplete."""
    reason = _REASONS.get(finish) if type(finish) is str else None
    return ("completed", None) if reason is None else ("incomplete", reason)


def usage_of(usage: Any) -> dict[str, Any] | None:
    """Return a chat completion's usage in the words of the Responses API."""
    if not isinstance(usage, dict) or not usage:
        return None
    told = Usage.from_openai(usage) or Usage(0, 0)
    made: dict[str, Any] = {
        "input_tokens": told.prompt,
        "input_tokens_details": {"cached_tokens": told.cached, "cache_write_tokens": told.written},
        "output_tokens": told.completion,
        "output_tokens_details": {"reasoning_tokens": told.reasoning},
        "total_tokens": count_in(usage, "total_tokens") or told.prompt + told.completion,
    }
    cost = usage.get("cost")
    if type(cost) is float or type(cost) is int:
        made["cost"] = cost  # OpenRouter's
    return made


# ---- items -----------------------------------------------------------------------------------------------------------


def message_item(id_: str, status: str, content: list[dict[str, Any]]) -> Item:
    """Return what the model said."""
    return {"id": id_, "type": "message", "status": status, "role": "assistant", "content": content}


def text_part(text: str, logprobs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a text of a message."""
    return {"type": "output_text", "annotations": [], "logprobs": logprobs, "text": text}


def reasoning_item(id_: str, status: str, parts: list[dict[str, Any]], sealed: str | None = None) -> Item:
    """Return what the model thought: `parts` are summaries, or the thoughts themselves."""
    item: Item = {"id": id_, "type": "reasoning", "status": status, "summary": []}
    if parts and parts[0]["type"] == "reasoning_text":
        item["content"] = parts
    else:
        item["summary"] = parts
    if sealed is not None:
        item["encrypted_content"] = sealed
    return item


def call_item(id_: str, status: str, call_id: str, name: str, arguments: str) -> Item:
    """Return a call of a function."""
    return {
        "id": id_,
        "type": "function_call",
        "status": status,
        "arguments": arguments,
        "call_id": call_id,
        "name": name,
    }


def logprobs_of(choice: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the log probabilities that a choice has of its text, without what is none."""
    holder = choice.get("logprobs")
    tokens = holder.get("content") if isinstance(holder, dict) else None
    return [{**made, "top_logprobs": list(_tokens(token.get("top_logprobs")))} for made, token in _pairs(tokens)]


def _pairs(tokens: Any) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
    for token in tokens if isinstance(tokens, list) else ():
        if isinstance(token, dict) and isinstance(token.get("token"), str):
            spelt, value = token.get("bytes"), token.get("logprob")
            whole = isinstance(spelt, list) and all(type(byte) is int for byte in spelt)
            yield (
                {
                    "token": token["token"],
                    "bytes": spelt if whole else [],
                    "logprob": value if type(value) is float or type(value) is int else 0.0,
                },
                token,
            )


def _tokens(tokens: Any) -> Iterable[dict[str, Any]]:
    return (made for made, _ in _pairs(tokens))
