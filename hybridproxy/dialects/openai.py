"""OpenAI's dialect: what a request asks for, and how an error looks. What an answer says is read in `tap`.

Requests are judged here once; from then on only our own serialisation of the parsed body goes on.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from hybridproxy.dialects.kept import kept_in_parts
from hybridproxy.dialects.request import RequestError, flag, model_of, parsed
from hybridproxy.dialects.translator import Asking, Problem, Translator
from hybridproxy.model.call import Call, Capability, Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.providers.provider import CONTROL_FIELDS, OPENAI_PATHS

MAX_CHOICES: Final = 128

_INPUT: Final = {
    Operation.CHAT: "messages",
    Operation.COMPLETION: "prompt",
    Operation.EMBEDDING: "input",
    Operation.COUNT: "messages",
}
_EXACT: Final = CONTROL_FIELDS | {
    "model", "stream", "stream_options", "n", "messages", "prompt", "input", "tools", "functions", "response_format",
}  # fmt: skip
"""Fields that are judged or taken out; the same name in other letters would slip through to a lenient upstream."""


def decode_request(operation: Operation, data: bytes) -> Call:
    """Return the call that a body asks for.

    Raises:
        RequestError: with words for the caller; the status is 400.

    """
    body = parsed(data, _EXACT)
    _check_input(operation, body)
    return Call(
        operation=operation,
        model=model_of(body),
        stream=flag(body, "stream") and operation.streams,
        wants_usage=_wants_usage(body),
        choices=_choices(operation, body),
        needs=needs_of(operation, body),
        size=len(data),
        body=body,
        begun=begins(body),
        kept=kept_in_parts(body) if operation is Operation.CHAT else "",
    )


def begins(body: Mapping[str, Any]) -> bool:
    """Return whether the last message is the beginning of the answer, in any provider's spelling.

    DashScope says `partial`, DeepSeek `prefix`, both in the message; the engines have a field of the body. Without any
    of these an assistant's message that stands last is a turn like others.
    """
    messages = body.get("messages")
    last = messages[-1] if type(messages) is list and messages else None
    if type(last) is not dict or last.get("role") != "assistant":
        return False
    return any(flag is True for flag in (*map(last.get, BEGINS), body.get("continue_final_message")))


BEGINS: Final = frozenset({"partial", "prefix"})
"""Fields of a message that is the beginning of the answer."""


def _wants_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise RequestError("'stream_options' must be an object", param="stream_options")
    return flag(options, "include_usage")


def _check_input(operation: Operation, body: Mapping[str, Any]) -> None:
    name = _INPUT[operation]
    given = body.get(name)
    if name == "messages":
        if not isinstance(given, list) or not given:
            raise RequestError("'messages' must be a list that is not empty", param=name)
        for message in given:
            if type(message) is not dict:
                raise RequestError("each of 'messages' must be an object", param=name)
    elif not isinstance(given, str | list) or given == []:
        raise RequestError(f"{name!r} must be a text or a list that is not empty", param=name)


def _choices(operation: Operation, body: Mapping[str, Any]) -> int:
    given = body.get("n")
    n: int = 1 if given is None else given
    if type(n) is not int or not 1 <= n <= MAX_CHOICES:
        raise RequestError(f"'n' must be a whole number from 1 to {MAX_CHOICES}", param="n")
    prompt = body.get("prompt")
    if operation is Operation.COMPLETION and isinstance(prompt, list) and isinstance(prompt[0], str | list):
        return n * len(prompt)
    return n


def needs_of(operation: Operation, body: Mapping[str, Any]) -> frozenset[Capability]:
    """Return what a backend must be able to do."""
    if operation is not Operation.CHAT:
        return _NOTHING
    needs: set[Capability] = set()
    for message in body["messages"]:
        content = message.get("content")
        if isinstance(content, list) and any(isinstance(p, dict) and p.get("type") == "image_url" for p in content):
            needs.add(Capability.VISION)
    if body.get("tools") or body.get("functions"):
        needs.add(Capability.TOOLS)
    wanted = body.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        needs.add(Capability.JSON_SCHEMA)
    return frozenset(needs) if needs else _NOTHING


_NOTHING: Final[frozenset[Capability]] = frozenset()


# ---- what the caller gets --------------------------------------------------------------------------------------------

DONE: Final = b"data: [DONE]\n\n"


def encode_error(*, message: str, type_: str, code: str | None, param: str | None = None) -> bytes:
    """Return an error body in OpenAI's shape."""
    return orjson.dumps({"error": {"message": message, "type": type_, "param": param, "code": code}})


def stream_error(problem: Problem) -> bytes:
    """Return an error as the last event of a stream; no `[DONE]` follows it."""
    return b"data: " + _problem(problem, "")[1] + b"\n\n"


def encode_models(names: list[str]) -> bytes:
    """Return the list of models; `created` is 0 because the proxy cannot know it."""
    return orjson.dumps({"object": "list", "data": [_model_object(name) for name in names]})


def encode_model(name: str) -> bytes:
    """Return one model."""
    return orjson.dumps(_model_object(name))


def _model_object(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "hybridproxy"}


def _decode(asking: Asking, data: bytes) -> Call:
    return decode_request(asking.operation, data)


def _problem(problem: Problem, _request_id: str) -> tuple[int, bytes]:
    body = encode_error(message=problem.message, type_=problem.type, code=problem.code, param=problem.param)
    return problem.status, body


ROOTS: Final = ("/v1", "/compatible-mode/v1")
"""The second is where applications that were made for DashScope call."""

OPENAI: Final = Translator(
    Dialect.OPENAI,
    paths={root + path: (operation, "") for root in ROOTS for operation, path in OPENAI_PATHS.items()},
    decode=_decode,
    problem=_problem,
)
