"""What the simulated model says: from a request's JSON to an `Answer`, without a model and always the same."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final, cast

import orjson

from hybridproxy.simulator.rows import ErrorRow, Json, Provider

MAX_CHOICES: Final = 16
MAX_SCHEMA_DEPTH: Final = 8
_WORDISH: Final = re.compile(r"\s*\S{1,12}|\s+")
_WORDISH_AGAIN: Final = re.compile(r"\s*\S{1,13}\s*|\s+")
"""For continuations: borders that the first answer does not have, and never more pieces."""
_ARGUMENT_PIECE: Final = 7
"""Characters of a tool call's arguments in one delta."""


class RequestError(Exception):
    """The request is not one that the real server would accept; the text says why."""

    def __init__(self, message: str, error: ErrorRow | None = None) -> None:
        """Keep the error to answer with; None is the provider's for bad requests."""
        super().__init__(message)
        self.error = error


@dataclass(frozen=True, slots=True)
class Said:
    """What the settings say of every answer, whatever the request."""

    name: str
    text: str | None = None
    pieces: int | None = None
    reasoning: int = 0
    finish_reason: str | None = None
    echo_prefix: bool = False
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer in pieces; how it is written is the provider's matter."""

    row: Provider
    call: str
    id: str
    created: int
    model: str
    served_by: str
    stream: bool
    usage_asked: bool
    usage_each: bool
    """Whether every chunk has the usage so far."""
    choices: int
    reasoning: tuple[str, ...]
    pieces: tuple[str, ...]
    tool: str | None
    """The name of the tool that is called; the pieces are then its arguments."""
    finish_reason: str
    prompt_tokens: int
    cached_tokens: int = 0
    """Of the prompt's: what the server knew already."""
    echo: tuple[str, ...] = ()
    """The caller's own text, repeated before the pieces; it was not made, so it is no token."""

    @property
    def completion_tokens(self) -> int:
        """Count the pieces of all choices."""
        return self.choices * (len(self.reasoning) + len(self.pieces))


def read_request(row: Provider, call: str, raw: bytes) -> Json:
    """Parse a call's body and check what every server checks.

    Raises:
        RequestError: it is no JSON object, has no model, or not the field that the call needs.
    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        message = f"The body is not JSON: {error}"
        raise RequestError(message) from None
    if not isinstance(body, dict):
        raise RequestError("The body is not a JSON object.")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise RequestError("The field 'model' is missing or not a text.")
    needed = {"chat/completions": "messages", "completions": "prompt", "embeddings": "input"}[call]
    if body.get(needed) in (None, "", []):
        message = f"The field '{needed}' is missing or empty ({row.name}, {call})."
        raise RequestError(message)
    if call == "chat/completions":
        messages = body["messages"]
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            raise RequestError("The field 'messages' is not a list of objects.")
    return body


def answer_for(
    row: Provider, call: str, body: Json, said: Said, number: str, created: int, prefix: str | None = None
) -> Answer:
    """Make up the answer to a chat or text completion.

    Args:
        row: the provider.
        call: "chat/completions" or "completions".
        body: the request, as `read_request` returned it.
        said: the settings.
        number: what makes the answer's id its own.
        created: the answer's time, seconds since 1970.
        prefix: the text in the last message that the answer goes on from; None begins anew.

    Raises:
        RequestError: a number in the request is none, or out of range.
    """
    model = str(body["model"])
    asked = body if prefix is None else body | {"messages": cast("list[Json]", body["messages"])[:-1]}
    tool = _tool_called(asked) if call == "chat/completions" else None
    text = said.text if said.text is not None else _text(asked, call, said.name, model)
    pieces = _cut(orjson.dumps(_arguments(tool)).decode(), _ARGUMENT_PIECE) if tool else _WORDISH.findall(text)
    if said.pieces is not None:
        pieces = list(islice(cycle(pieces or ["x "]), said.pieces))
    echo: list[str] = []
    if prefix is not None and tool is None:
        pieces = _WORDISH_AGAIN.findall("".join(pieces).removeprefix(prefix))
        echo = _WORDISH_AGAIN.findall(prefix) if said.echo_prefix else []
    reasoning = [f"thought{index + 1} " for index in range(said.reasoning)]

    long, short = _count(body, "max_completion_tokens"), _count(body, "max_tokens")
    full = len(reasoning) + len(pieces)
    if long is not None or (short is not None and not row.max_tokens_spares_reasoning):
        limit = min(value for value in (long, short) if value is not None)
        reasoning = reasoning[:limit]
        pieces = pieces[: max(0, limit - len(reasoning))]
    elif short is not None:
        pieces = pieces[:short]
    finish = "tool_calls" if tool else "stop"
    if len(reasoning) + len(pieces) < full:
        finish = "length"

    given = body.get("stream_options")
    options: Json = given if isinstance(given, dict) else {}
    # asked for on every chunk, usage comes at the end too, unless include_usage is false
    usage_each = row.continuous_usage and options.get("continuous_usage_stats") is True
    usage_each = usage_each and options.get("include_usage") is not False
    return Answer(
        row=row,
        call=call,
        id=f"{row.id_prefix if call == 'chat/completions' else 'cmpl-'}{number}",
        created=created,
        model=model,
        served_by=said.host or _served_by(body),
        stream=body.get("stream") is True,
        usage_asked=usage_each or options.get("include_usage") is True,
        usage_each=usage_each,
        choices=max(1, min(MAX_CHOICES, _count(body, "n") or 1)),
        reasoning=tuple(reasoning),
        pieces=tuple(pieces),
        tool=str(tool["name"]) if tool else None,
        finish_reason=said.finish_reason or finish,
        prompt_tokens=count_words(body.get("messages") if call == "chat/completions" else body.get("prompt")),
        echo=tuple(echo),
    )


def count_words(value: object) -> int:
    """Count the words of everything a model would read in a field: the simulator's prompt tokens."""
    total, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            total += len(item.split())
        elif isinstance(item, int | float):
            total += 1  # a token id
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            waiting.extend(value for key, value in item.items() if key in {"content", "text"})
    return total


def _text(body: Json, call: str, name: str, model: str) -> str:
    said = last_words(body, call)
    text = f"Hello from {name} ({model}). You said: {said}"
    wanted = body.get("response_format")
    if isinstance(wanted, dict) and str(wanted.get("type", "")).startswith("json_"):
        named = wanted.get("json_schema")
        schema = named.get("schema") if isinstance(named, dict) else None
        return orjson.dumps(example_of(schema, text) if isinstance(schema, dict) else {"answer": text}).decode()
    return text


def last_words(body: Json, call: str) -> str:
    """Return the text of the last user message, or of the prompt."""
    if call == "completions":
        return flat(body.get("prompt"))
    messages = cast("list[Json]", body["messages"])
    return next((flat(message.get("content")) for message in reversed(messages) if message.get("role") == "user"), "")


def flat(content: object) -> str:
    """Return the text of a message's content, which may be in parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text", "") if isinstance(part, dict) else part for part in content)
        return " ".join(part for part in parts if part and isinstance(part, str))
    return ""


def _tool_called(body: Json) -> Mapping[str, object] | None:
    """Choose the tool to call: the one asked for, else the first; none once a tool has answered."""
    tools, choice = body.get("tools"), body.get("tool_choice")
    if not isinstance(tools, list) or choice == "none":
        return None
    messages = cast("list[Json]", body["messages"])
    if messages and messages[-1].get("role") == "tool":
        return None
    functions = [
        tool["function"] for tool in tools if isinstance(tool, dict) and isinstance(tool.get("function"), dict)
    ]
    functions = [function for function in functions if isinstance(function.get("name"), str)]
    if isinstance(choice, dict) and isinstance(choice.get("function"), dict):
        functions = [function for function in functions if function["name"] == choice["function"].get("name")]
    return functions[0] if functions else None


def _arguments(tool: Mapping[str, object]) -> object:
    schema = tool.get("parameters")
    return example_of(schema, f"example for {tool['name']}") if isinstance(schema, dict) else {}


def example_of(schema: Mapping[str, object], text: str, depth: int = 0) -> object:
    """Make a value that a simple JSON Schema accepts; texts become `text`, numbers 1."""
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return choices[0]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind == "array":
        items = schema.get("items")
        return [example_of(items, text, depth + 1)] if isinstance(items, dict) and depth < MAX_SCHEMA_DEPTH else []
    if kind == "object" or (kind is None and "properties" in schema):
        properties = schema.get("properties")
        if not isinstance(properties, dict) or depth >= MAX_SCHEMA_DEPTH:
            return {}
        return {
            str(key): example_of(value, text, depth + 1) for key, value in properties.items() if isinstance(value, dict)
        }
    plain: dict[object, object] = {"integer": 1, "number": 1.5, "boolean": True, "null": None}
    return plain.get(kind, text)


def _served_by(body: Json) -> str:
    """Name the host: the first that the caller pinned."""
    pinned = body.get("provider")
    if isinstance(pinned, dict):
        for key in ("only", "order"):
            names = pinned.get(key)
            if isinstance(names, list) and names and isinstance(names[0], str):
                return names[0]
    return "Simulated"


def _count(body: Json, field: str) -> int | None:
    value = body.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        message = f"The field '{field}' is not a whole number above 0."
        raise RequestError(message)
    return value


def _cut(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]
