"""Requests in DashScope's own protocol: what a caller asks for, in the form between all dialects.

Everything is in two objects: `input` has the messages, `parameters` the rest. Whether the answer shall stream is said
in a header. Sources: docs.qwencloud.com chat/dashscope and error-messages (mid-2026), the `dashscope` package 2.0.2.
"""

from collections.abc import Mapping
from typing import Any, Final

from hybridproxy.dialects.dashscope.content import Body, Losses, chat_messages
from hybridproxy.dialects.openai import MAX_CHOICES, begins, needs_of
from hybridproxy.dialects.request import RequestError, flag, model_of, parsed, spelled
from hybridproxy.dialects.translator import Asking, Outgoing
from hybridproxy.families.dashscope import gives_messages, is_multimodal, say_bound
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.providers.provider import CONTROL_FIELDS

TEXT, MULTIMODAL = "text-generation", "multimodal-generation"

ASYNC, ENCRYPTION, WORKSPACE = "x-dashscope-async", "x-dashscope-encryptionkey", "x-dashscope-workspace"
INSPECTION, OSS, PLUGIN = "x-dashscope-datainspection", "x-dashscope-ossresourceresolve", "x-dashscope-plugin"
HEADERS: Final = (ASYNC, ENCRYPTION, WORKSPACE, INSPECTION, OSS, PLUGIN)
"""Those that mean something; the others tell about the SDK and go nowhere."""

_EXACT: Final = CONTROL_FIELDS | {"model", "input", "parameters"}
_INPUT: Final = CONTROL_FIELDS | {"messages", "prompt", "history", "texts"}
_TAKEN: Final = frozenset({"model", "messages", "prompt", "input", "stream", "stream_options", "functions"})
"""Words that mean something else in OpenAI's form, and nothing among the parameters."""
_PARAMETERS: Final = CONTROL_FIELDS | {
    "result_format", "incremental_output", "n", "stop", "tools", "tool_choice", "parallel_tool_calls",
    "response_format", "enable_thinking", "enable_search", "search_options", "enable_code_interpreter",
    "text_type", "dimension", "output_type", "instruct", "store", *_TAKEN,
}  # fmt: skip
"""Parameters become fields of a body of OpenAI's, so what is judged there is known here, whatever its letters."""

MAX_NAMED: Final = 64
"""Names of one kind that are kept of what is lost."""

MAX_NAME: Final = 128

_SERVED: Final = ("enable_search", "enable_code_interpreter")
"""What the service does by itself for an answer: it looks things up, and runs code."""
_TASKS: Final = ("ocr_options", "asr_options", "translation_options", "output_format")
"""What makes a model of one task do it."""
_OWN: Final = frozenset({"result_format", "incremental_output", "search_options", *_SERVED, *_TASKS})


def decode(asking: Asking, data: bytes) -> Call:
    """Return the call that a request asks for.

    Raises:
        RequestError: with words for the caller.

    """
    told = dict(asking.headers)
    if told.get(ASYNC, "").lower() == "enable":
        raise RequestError(
            "current user api does not support asynchronous calls", param=ASYNC, code="access_denied", status=403
        )
    if ENCRYPTION in told:
        raise RequestError("an encrypted body cannot be read here: send it as it is", param=ENCRYPTION)
    body = parsed(data, _EXACT)
    model = model_of(body)
    given, parameters = _object(body, "input"), _object(body, "parameters")
    if not given:
        raise RequestError("'input' must be an object that is not empty", param="input")
    spelled(given, _INPUT, "input.")
    spelled(parameters, _PARAMETERS, "parameters.")
    losses = Losses()
    if asking.operation is Operation.EMBEDDING:
        form = _embedding(given, parameters, losses)
    else:
        form = _chat(asking, given, parameters, losses)
    if PLUGIN in told:
        losses.bound.append(PLUGIN)
    losses.dropped += [name for name in (WORKSPACE, INSPECTION) if name in told]
    losses.dropped += [name for name in body if name not in _EXACT]
    return Call(
        operation=asking.operation,
        model=model,
        stream=asking.events and asking.operation.streams,
        wants_usage=True,
        choices=form.get("n", 1),
        needs=needs_of(asking.operation, form),
        size=len(data),
        body={"model": model, **form},
        dialect=Dialect.DASHSCOPE,
        native=body,
        bound=_first(losses.bound),
        dropped=_first(losses.dropped),
        variant=asking.variant,
        begun=begins(form),
        headers=tuple((name, text) for name, text in asking.headers if name in {INSPECTION, OSS, PLUGIN}),
    )


def _first(names: list[str]) -> tuple[str, ...]:
    """Return names as far as anybody reads them: a caller may write a hundred thousand, of any length."""
    return tuple(name[:MAX_NAME] for name in dict.fromkeys(names[:MAX_NAMED]))


def repeat(call: Call, model: str) -> Outgoing:
    """Return a call in the caller's own words, without what would steer the upstream.

    The workspace is that of the upstream's key, so a caller does not choose it.
    """
    native: Mapping[str, Any] = call.native or {}
    body = _free(native)
    for name in ("input", "parameters"):
        if type(native.get(name)) is dict:
            body[name] = _free(native[name])
    if type(body.get("parameters")) is dict:
        say_bound(body["parameters"], model)
    body["model"] = model
    dropped = tuple(name for name in call.dropped if name == WORKSPACE)
    return Outgoing(body, (*call.headers, *streaming(stream=call.stream)), dropped, call.variant)


def fits(call: Call, model: str) -> bool:
    """Return whether a call in the caller's own words is good for a model: the path it came by may be another model's.

    So it is where a name of ours leads to models of both kinds. What only these words can say goes in them anyway.
    """
    stands = is_multimodal(model) if call.operation is Operation.CHAT else None
    return stands is None or stands is (call.variant == MULTIMODAL) or bool(call.bound)


def streaming(*, stream: bool) -> tuple[tuple[str, str], ...]:
    """Return the header that asks for a stream."""
    return (("x-dashscope-sse", "enable"),) if stream else ()


def form_of(call: Call) -> tuple[bool, bool]:
    """Return how a call's answer is to be put: as messages (or as one text), and each event with the whole of it."""
    native = call.native or {}
    parameters: Mapping[str, Any] = native.get("parameters") or {}
    asked = parameters.get("result_format")
    messages = _in_messages(call.variant, call.model, parameters) if asked is None else asked == "message"
    return messages or call.variant == MULTIMODAL, not parameters.get("incremental_output")


def _in_messages(variant: str, model: str, parameters: Mapping[str, Any]) -> bool:
    """Return whether an answer comes in messages where the caller does not choose."""
    return variant == MULTIMODAL or gives_messages(model) or _needs_messages(parameters) is not None


def _needs_messages(parameters: Mapping[str, Any]) -> str | None:
    """Return the field whose results have no place in one text."""
    found = next((name for name in ("tools", "enable_thinking", "logprobs") if parameters.get(name)), None)
    return "n" if found is None and parameters.get("n") not in (None, 1) else found


def _free(body: Mapping[str, Any]) -> Body:
    return {name: given for name, given in body.items() if name not in CONTROL_FIELDS}


def _object(body: Mapping[str, Any], name: str) -> Body:
    found = body.get(name)
    if found is not None and type(found) is not dict:
        raise RequestError(f"{name!r} must be an object", param=name)
    return found or {}


# ---- embeddings ------------------------------------------------------------------------------------------------------


def _embedding(given: Body, parameters: Body, losses: Losses) -> Body:
    texts = given.get("texts")
    if type(texts) is not list or not texts or not all(type(text) is str for text in texts):
        raise RequestError("'input.texts' must be a list of texts that is not empty", param="input.texts")
    losses.bound += [f"input.{name}" for name in given if name not in _INPUT]
    form: Body = {"input": texts}
    for name, value in parameters.items():
        if name == "dimension":
            form["dimensions"] = value
        elif value not in (None, _USUAL.get(name)):
            losses.bound.append(f"parameters.{name}")
    return form


_USUAL: Final = {"text_type": "document", "output_type": "dense"}


# ---- chat ------------------------------------------------------------------------------------------------------------


def _chat(asking: Asking, given: Body, parameters: Body, losses: Losses) -> Body:
    _check_result(asking, parameters)
    form: Body = {"messages": chat_messages(_messages(given), losses)}
    losses.bound += [f"input.{name}" for name, value in given.items() if name not in _INPUT and value is not None]
    for name, value in parameters.items():
        if name in _TAKEN:
            losses.dropped.append(f"parameters.{name}")
        elif name not in _OWN and value is not None:
            form[name] = value
    for name in (*_SERVED, *_TASKS):
        if parameters.get(name):
            losses.bound.append(f"parameters.{name}")
    if parameters.get("search_options") and not flag(parameters, "enable_search"):
        losses.dropped.append("parameters.search_options")
    if asking.events:
        form["stream"] = True
    _judge(form, losses)
    return form


def _check_result(asking: Asking, parameters: Body) -> None:
    """Judge how the answer is to be put, as the service does."""
    for name in ("incremental_output", "enable_search", "enable_thinking", "parallel_tool_calls"):
        flag(parameters, name, "parameters.")
    wanted = parameters.get("result_format")
    if wanted not in (None, "message", "text"):
        raise RequestError("'result_format' must be message or text", param="parameters.result_format")
    needs = _needs_messages(parameters) if wanted == "text" and asking.variant == TEXT else None
    if needs is not None:
        raise RequestError(
            f"'result_format' must be message with {needs!r}: a text has no place for what comes of it",
            param="parameters.result_format",
        )


def _messages(given: Body) -> Any:
    """Return the messages, also of a prompt with what was said before it, as the first models were asked."""
    messages, prompt, history = given.get("messages"), given.get("prompt"), given.get("history")
    if messages is not None:
        for name, other in (("prompt", prompt), ("history", history)):
            if other:
                raise RequestError(f"'input' has both messages and {name}", param=f"input.{name}")
        return messages
    if type(prompt) is not str or not prompt:
        raise RequestError("'input' must have 'messages', or a 'prompt' that is a text", param="input.messages")
    if history is not None and type(history) is not list:
        raise RequestError("'input.history' must be a list", param="input.history")
    said: list[Body] = []
    for n, turn in enumerate(history or ()):
        texts = (turn.get("user"), turn.get("bot")) if type(turn) is dict else (None, None)
        if not all(type(text) is str for text in texts):
            raise RequestError("each of 'history' must have a 'user' and a 'bot'", param=f"input.history[{n}]")
        said += [{"role": role, "content": text} for role, text in zip(("user", "assistant"), texts, strict=True)]
    return [*said, {"role": "user", "content": prompt}]


def _judge(form: Body, losses: Losses) -> None:
    """Judge the parameters that decide where a call can go, and say what is different where it is left out."""
    n = form.get("n", 1)
    if type(n) is not int or not 1 <= n <= MAX_CHOICES:
        raise RequestError(f"'n' must be a whole number from 1 to {MAX_CHOICES}", param="parameters.n")
    tools = form.get("tools")
    if tools is not None and not (type(tools) is list and all(type(tool) is dict for tool in tools)):
        raise RequestError("'tools' must be a list of objects", param="parameters.tools")
    if tools:
        form.setdefault("parallel_tool_calls", False)  # the service's default; OpenAI's is the opposite
    else:
        if form.get("tool_choice") not in (None, "auto", "none"):
            losses.dropped.append("parameters.tool_choice")
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            form.pop(name, None)
    stop = form.get("stop")
    if type(stop) is list and any(type(word) is not str for word in stop):
        losses.bound.append("parameters.stop")
