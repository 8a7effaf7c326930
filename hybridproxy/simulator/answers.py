"""What the simulated model says: from a request's JSON to an `Answer`, without a model and always the same."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final, cast

import orjson

from hybridproxy.simulator.prices import USUAL, Price, Tokens
from hybridproxy.simulator.row import ErrorRow, Json, Native, Provider

MAX_CHOICES: Final = 16
MAX_SCHEMA_DEPTH: Final = 8
MAX_LOGPROBS: Final = 20
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
    tool_calls: int = 1


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
    tools: tuple[tuple[str, int], ...]
    """The tools that are called, each with the number of its first piece; the pieces are then their arguments."""
    finish_reason: str
    prompt_tokens: int
    cached_tokens: int = 0
    """Of the prompt's: what the server knew already."""
    written_tokens: int = 0
    """Of the prompt's: what the server keeps because the caller asked for it."""
    price: Price = USUAL
    echo: tuple[str, ...] = ()
    """The caller's own text, repeated before the pieces; it was not made, so it is no token."""
    logprobs: int | None = None
    """How many other pieces each piece of text could have been, with their probabilities; None: nobody asked."""
    native: Native | None = None
    """How it is written in DashScope's own protocol; None: in OpenAI's dialect."""
    echoed: Mapping[str, object] | None = None
    """What a response (of the Responses API) repeats of its request; None: it is none."""
    stopped_by: str | None = None
    """The caller's own stop sequence that ended the text; it is not part of it."""

    @property
    def tool(self) -> str | None:
        """The first tool that is called."""
        return self.tools[0][0] if self.tools else None

    @property
    def cost(self) -> int:
        """Return what it costs, nano-dollars."""
        thoughts = self.choices * len(self.reasoning)
        tokens = Tokens(self.prompt_tokens, self.completion_tokens, self.cached_tokens, self.written_tokens, thoughts)
        return self.price.charge(tokens)

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
    needed = {"chat/completions": "messages", "completions": "prompt"}.get(call, "input")
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
    called = _tools_called(asked, said.tool_calls) if call == "chat/completions" else []
    text = said.text if said.text is not None else _text(asked, call, said.name, model)
    text, stopped_by = _stopped(text, body.get("stop"), len(prefix or ""))
    pieces: list[str] = [] if called else _WORDISH.findall(text)
    tools: list[tuple[str, int]] = []
    for tool in called:
        tools.append((str(tool["name"]), len(pieces)))
        pieces += _cut(orjson.dumps(_arguments(tool)).decode(), _ARGUMENT_PIECE)
    if said.pieces is not None:
        pieces = list(islice(cycle(pieces or ["x "]), said.pieces))
    echo: list[str] = []
    if prefix is not None and not tools:
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
    finish = "tool_calls" if tools and not row.whole_tools else "stop"
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
        tools=tuple((name, first) for name, first in tools if first < len(pieces)),
        finish_reason=said.finish_reason or finish,
        prompt_tokens=count_words(body.get("messages") if call == "chat/completions" else body.get("prompt")),
        echo=tuple(echo),
        logprobs=None if tools else _logprobs(body),
        stopped_by=stopped_by if finish == "stop" else None,
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


def count_images(messages: object) -> int:
    """Count the images in a call's messages."""
    parts = [message.get("content") for message in cast("list[Json]", messages)]
    flat_parts = [part for content in parts if isinstance(content, list) for part in content if isinstance(part, dict)]
    return sum(part.get("type") in {"image_url", "image"} for part in flat_parts)


def _text(body: Json, call: str, name: str, model: str) -> str:
    said = last_words(body, call)
    text = f"Hello from {name} ({model}). You said: {said}"
    if call == "chat/completions" and (images := count_images(body["messages"])):
        text += f" (images: {images})"
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


def _tools_called(body: Json, count: int) -> list[Mapping[str, object]]:
    """Choose what to call: the tool asked for, else so many beginning with the first; none once a tool has answered."""
    tools, choice = body.get("tools"), body.get("tool_choice")
    if not isinstance(tools, list) or choice == "none":
        return []
    messages = cast("list[Json]", body["messages"])
    if messages and messages[-1].get("role") == "tool":
        return []
    functions = [
        tool["function"] for tool in tools if isinstance(tool, dict) and isinstance(tool.get("function"), dict)
    ]
    functions = [function for function in functions if isinstance(function.get("name"), str)]
    if isinstance(choice, dict) and isinstance(choice.get("function"), dict):
        functions = [function for function in functions if function["name"] == choice["function"].get("name")]
        count = 1
    if body.get("parallel_tool_calls") is False:
        count = 1
    return list(islice(cycle(functions), count))


def _stopped(text: str, stop: object, start: int) -> tuple[str, str | None]:
    """End a text before the first of the caller's stop sequences that comes after `start`; return that too."""
    given = stop if isinstance(stop, list) else [stop]
    found = [(text.find(word, start), word) for word in given if isinstance(word, str) and word]
    found = [(place, word) for place, word in found if place >= 0]
    if not found:
        return text, None
    place, word = min(found)
    return text[:place], word


def _logprobs(body: Json) -> int | None:
    """Read OpenAI's pair of fields, or the one number of Together and of text completions."""
    asked, top = body.get("logprobs"), body.get("top_logprobs")
    if isinstance(asked, bool) or asked is None:
        asked = (top if isinstance(top, int) and not isinstance(top, bool) else 0) if asked else None
    return max(0, min(MAX_LOGPROBS, asked)) if isinstance(asked, int) else None


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
