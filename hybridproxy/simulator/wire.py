"""How each provider writes an answer: whole bodies, stream events, errors within a stream."""

import struct
from base64 import b64encode
from collections.abc import Iterator
from enum import Enum
from typing import Final
from urllib.parse import parse_qsl
from zlib import crc32

import orjson

from hybridproxy.simulator.answers import MAX_CHOICES, Answer, RequestError, count_words
from hybridproxy.simulator.rows import ErrorRow, Json, Provider

DEFAULT_DIMENSIONS: Final = 8
MAX_DIMENSIONS: Final = 4096
MAX_INPUTS: Final = 2048


class Act(Enum):
    """What one step of a stream is."""

    COMMENT = "comment"
    ROLE = "role"
    ECHO = "echo"
    PIECE = "piece"
    FINISH = "finish"
    USAGE = "usage"
    DONE = "done"
    ERROR = "error"


Event = tuple[Act, bytes]
"""A step and the data of its event: what stands behind `data: `, or the whole comment line."""


def usage_of(answer: Answer) -> Json:
    """Count an answer's tokens in the provider's form."""
    completion, thought = answer.completion_tokens, answer.choices * len(answer.reasoning)
    usage: Json = {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": answer.prompt_tokens + completion,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, **written_in(answer)},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }
    if answer.row.names_provider:
        usage |= {"cost": answer.cost / 1e9, "is_byok": False, "cost_details": {"upstream_inference_cost": None}}
    if answer.row.more_usage:
        usage[answer.row.more_usage] = answer.cached_tokens
    return usage


def written_in(answer: Answer) -> Json:
    """Name what was put into the cache, where the provider does and there is something."""
    name = answer.row.writes_as
    return {name: answer.written_tokens} if name and answer.written_tokens else {}


def whole_answer(answer: Answer, *, with_usage: bool = True, finished: bool = True) -> Json:
    """Write the body of a call that does not stream."""
    choices = [_whole_choice(answer, index, finished=finished) for index in range(answer.choices)]
    body = _frame(answer, "chat.completion" if answer.call == "chat/completions" else "text_completion", choices)
    return body | {"usage": usage_of(answer)} if with_usage else body


def answer_with_error(answer: Answer, error: Json) -> Json:
    """Write a whole answer whose first choice holds an error (OpenRouter)."""
    choice = _whole_choice(answer, 0, finished=True)
    choice |= {"error": error["error"], "finish_reason": "error"}
    return _frame(answer, "chat.completion", [choice])


def events(answer: Answer, *, with_usage: bool, with_done: bool) -> Iterator[Event]:
    """Write the events of a stream in their order, without anything going wrong."""
    row, made = answer.row, 0
    if row.comment_first:
        yield Act.COMMENT, row.comment.encode()
    for act, index, delta in deltas(answer):
        made += act is Act.PIECE
        choice = _choice(answer, index, delta, answer.finish_reason if act is Act.FINISH else None)
        if act is Act.PIECE and isinstance(piece := delta.get("content"), str):
            choice |= logprobs_of(answer, (piece,))
        yield act, _chunk(answer, choice, _usage_so_far(answer, made) if answer.usage_each and with_usage else None)
    if with_usage:
        last = [_choice(answer, 0, {"content": ""}, answer.finish_reason)] if row.usage_always else []
        frame = _frame(answer, _chunk_object(answer), last)
        yield Act.USAGE, orjson.dumps(frame | {"usage": usage_of(answer)})
    if with_done:
        yield Act.DONE, b"[DONE]"


def error_event(answer: Answer, row: Provider, error: ErrorRow) -> bytes:
    """Write the data of an error within a stream in the form of `row`."""
    if error.bare is not None:
        bare = dict(error.bare)
        return orjson.dumps(bare if "error" in bare else {"error": bare})
    shaped = row.shape(error, answer.id)
    if row.beside:
        choice: Json = {"index": 0, "delta": {}, "finish_reason": None}
        beside = {row.beside: {"id": answer.id, "error": error.message}}
        return orjson.dumps(_frame(answer, _chunk_object(answer), [choice]) | beside)
    if not row.error_as_chunk:  # those that come flat by HTTP have an object around them here
        return orjson.dumps(shaped if "error" in shaped else {"error": shaped})
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error", "native_finish_reason": "error"}
    return orjson.dumps(_frame(answer, _chunk_object(answer), [choice]) | shaped)


def error_body(row: Provider, error: ErrorRow, request_id: str) -> Json:
    """Write an error's JSON body."""
    return dict(error.bare) if error.bare is not None else row.shape(error, request_id)


def model_list(row: Provider, created: int, target: str) -> object:
    """Write the list of models in the provider's form; DashScope writes a page of it, as the target's query says."""
    if row.native:
        asked = dict(parse_qsl(target.partition("?")[2]))
        number, size = int(asked.get("page_no", 1)), int(asked.get("page_size", 20))
        shown = row.models[size * (number - 1) : size * number]
        entries = [{"model": name, "name": name, "model_info": {"context_window": 131_072}} for name in shown]
        page: Json = {"page_no": number, "page_size": size, "total": len(row.models), "models": entries}
        return {"success": True, "output": page}
    if row.anthropic:
        named: Json = {"type": "model", "created_at": "2026-02-04T00:00:00Z", "lifecycle": "active", "retires_at": None}
        told = [named | {"id": name, "display_name": name, "max_input_tokens": 200_000} for name in row.models]
        return {"data": told, "has_more": False}
    models: list[Json] = []
    for name in row.models:
        model: Json = {"id": name, "object": "model", "created": created, "owned_by": row.name}
        models.append(model | dict(row.model_extras))
    return models if row.bare_model_list else {"object": "list", "data": models}


def embeddings(row: Provider, body: Json, request_id: str) -> Json:
    """Write the answer to an embeddings call: small numbers that depend on the text alone.

    Raises:
        RequestError: too many inputs, or an impossible number of dimensions.
    """
    given = body["input"]
    tokens = isinstance(given, list) and all(isinstance(item, int) for item in given)
    inputs: list[object] = given if isinstance(given, list) and not tokens else [given]
    size = body.get("dimensions", DEFAULT_DIMENSIONS)
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MAX_DIMENSIONS:
        message = f"The field 'dimensions' is not a whole number from 1 to {MAX_DIMENSIONS}."
        raise RequestError(message)
    if len(inputs) > MAX_INPUTS:
        message = f"The field 'input' has more than {MAX_INPUTS} items."
        raise RequestError(message)
    data: list[Json] = []
    for index, item in enumerate(inputs):
        seed = orjson.dumps(item)
        vector = [crc32(seed, place) % 2001 / 1000 - 1 for place in range(size)]
        packed: object = vector
        if body.get("encoding_format") == "base64":
            packed = b64encode(struct.pack(f"<{size}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": packed})
    words = count_words(given)
    usage = {"prompt_tokens": words, "total_tokens": words}
    answer: Json = {"object": "list", "data": data, "model": body["model"], "usage": usage}
    return answer | {"id": request_id} if row.id_in_embeddings else answer


def deltas(answer: Answer) -> Iterator[tuple[Act, int, Json]]:
    """Yield what is said in each choice, in the order of a stream."""
    choices = range(answer.choices)
    if answer.call == "chat/completions" and not answer.row.role_in_every_delta:
        for index in choices:
            yield Act.ROLE, index, {"role": "assistant", "content": ""}
    for piece in answer.echo:
        for index in choices:
            yield Act.ECHO, index, {"content": piece}
    for thought in answer.reasoning:
        for index in choices:
            yield Act.PIECE, index, _reasoning_delta(answer, thought)
    calls = tool_calls_of(answer) if answer.row.whole_tools and answer.tools else []
    for call in calls:
        for index in choices:
            yield Act.PIECE, index, {"tool_calls": [call | {"id": ""}]}
    for number, piece in enumerate(() if calls else answer.pieces):
        for index in choices:
            text: Json = {"content": piece}
            yield Act.PIECE, index, _tool_delta(answer, index, piece, number) if answer.tools else text
    for index in choices:
        yield Act.FINISH, index, {"content": ""}


def _chunk_object(answer: Answer) -> str:
    return "chat.completion.chunk" if answer.call == "chat/completions" else "text_completion"


def _frame(answer: Answer, kind: str, choices: list[Json]) -> Json:
    frame: Json = {
        "id": answer.id,
        "object": kind,
        "created": answer.created,
        "model": answer.model,
        **answer.row.chunk_extras,
        "choices": choices,
    }
    if answer.row.names_provider:
        frame["provider"] = answer.served_by
    return frame


def _usage_so_far(answer: Answer, made: int) -> Json:
    total = answer.prompt_tokens + made
    return {"prompt_tokens": answer.prompt_tokens, "completion_tokens": made, "total_tokens": total}


def _chunk(answer: Answer, choice: Json, usage: Json | None) -> bytes:
    frame = _frame(answer, _chunk_object(answer), [choice])
    if usage is not None:
        frame["usage"] = usage
    elif answer.row.null_usage and answer.usage_asked:
        frame["usage"] = None
    return orjson.dumps(frame)


def _choice(answer: Answer, index: int, delta: Json, finish: str | None = None) -> Json:
    choice: Json = {"index": index, "logprobs": None, "finish_reason": finish}
    if answer.row.names_provider:
        choice["native_finish_reason"] = finish
    if answer.call == "completions":
        return choice | {"text": delta.get("content", "")}
    if answer.row.role_in_every_delta:
        delta = {"role": "assistant", **delta}
    return choice | {"delta": delta}


def _reasoning_delta(answer: Answer, thought: str) -> Json:
    delta: Json = {answer.row.reasoning_field: thought}
    if answer.row.names_provider:
        delta["reasoning_details"] = [{"type": "reasoning.text", "text": thought, "index": 0}]
    return delta if answer.row.reasoning_field == "reasoning" else {"content": None, **delta}


def _tool_delta(answer: Answer, choice: int, piece: str, number: int) -> Json:
    """Write one piece of the arguments; the first of a call has its id and the name of the tool."""
    place = max(place for place, (_, first) in enumerate(answer.tools) if first <= number)
    name, first = answer.tools[place]
    if first < number:
        return {"tool_calls": [{"index": place, "function": {"arguments": piece}}]}
    function = {"name": name, "arguments": piece}
    return {
        "tool_calls": [
            {"index": place, "id": _tool_id(answer, choice, place), "type": "function", "function": function}
        ]
    }


def _tool_id(answer: Answer, choice: int, place: int) -> str:
    return f"call_{crc32(answer.id.encode(), choice + MAX_CHOICES * place):08x}"


def tool_calls_of(answer: Answer, choice: int = 0) -> list[Json]:
    """Write the calls of tools of an answer that does not stream."""
    ends = [*(first for _, first in answer.tools[1:]), len(answer.pieces)]
    calls: list[Json] = []
    for place, ((name, first), end) in enumerate(zip(answer.tools, ends, strict=True)):
        function = {"name": name, "arguments": "".join(answer.pieces[first:end])}
        calls.append({"id": _tool_id(answer, choice, place), "type": "function", "function": function})
    return calls


def logprobs_of(answer: Answer, pieces: tuple[str, ...]) -> Json:
    """Write how probable pieces of a chat's text were (made up, always the same); {} where nobody asked."""
    if answer.logprobs is None or answer.call != "chat/completions":
        return {}
    likely = [-(crc32(piece.encode()) % 1000) / 1000 for piece in pieces]
    if answer.row.flat_logprobs:
        if answer.stream:
            return {"logprobs": likely[0]}
        return {"logprobs": {"tokens": list(pieces), "token_logprobs": likely, "token_ids": list(range(len(pieces)))}}
    content: list[Json] = []
    for piece, logprob in zip(pieces, likely, strict=True):
        entry: Json = {"token": piece, "logprob": logprob, "bytes": list(piece.encode())}
        others = [entry | {"logprob": logprob - place} for place in range(answer.logprobs)]
        content.append(entry | {"top_logprobs": others})
    return {"logprobs": {"content": content, "refusal": None}}


def _whole_choice(answer: Answer, index: int, *, finished: bool) -> Json:
    finish, text = (answer.finish_reason if finished else None), "".join(answer.echo + answer.pieces)
    choice: Json = {"index": index, "logprobs": None, "finish_reason": finish}
    if answer.row.names_provider:
        choice["native_finish_reason"] = finish
    if answer.call == "completions":
        return choice | {"text": text}
    message: Json = {"role": "assistant", "content": None if answer.tools else text}
    if answer.reasoning:
        message[answer.row.reasoning_field] = "".join(answer.reasoning)
    if answer.tools:
        message["tool_calls"] = tool_calls_of(answer, index)
    return choice | logprobs_of(answer, answer.pieces) | {"message": message}
