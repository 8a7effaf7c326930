"""The `input` of a Responses request -> the messages of a chat completion.

A chat has one message where the Responses API has several items: what the model thought, said and called in one turn.
Items of the model that follow each other are put together, so that the outputs of tools follow the message that calls
them. Source of the items: `openai` 3.54, `types/responses/response_input_item_param.py`.
"""

from collections.abc import Callable
from typing import Any, Final

from hybridproxy.dialects.responses.notes import Notes, name_at, object_at, one_of, refuse, text_at
from hybridproxy.dialects.responses.seal import unsealed

Message = dict[str, Any]

_ROLES: Final = ("user", "assistant", "system", "developer")


def messages_of(given: Any, notes: Notes) -> list[Message]:
    """Return the messages that an `input` says.

    Raises:
        RequestError: it is malformed; `param` is the field, such as `input[2].content[0].type`.

    """
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list):
        refuse("input", "a text or a list of items")
    turns = _Turns()
    for number, found in enumerate(given):
        where = f"input[{number}]"
        item = object_at(found, where)
        kind = item.get("type")
        if kind is None and "role" in item:
            kind = "message"
        if not isinstance(kind, str):
            refuse(f"{where}.type", "the name of a type of item")
        read = _ITEMS.get(kind)
        if read is None:
            notes.bind(where, kind)
        else:
            notes.rest(item, _KNOWN[kind], where)
            read(item, where, turns, notes)
    return turns.messages(notes)


class _Own:
    """One message of the assistant. Its parts are joined once: a request may have a hundred thousand of them."""

    __slots__ = ("blocks", "calls", "texts", "thoughts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.blocks: list[dict[str, str]] = []
        self.calls: list[dict[str, Any]] = []

    def message(self) -> Message:
        message: Message = {"role": "assistant", "content": "\n".join(self.texts) if self.texts else None}
        if self.thoughts:
            message["reasoning_content"] = "\n\n".join(self.thoughts)
        if self.blocks:
            message["thinking_blocks"] = self.blocks
        if self.calls:
            message["tool_calls"] = self.calls
        return message


class _Turns:
    """The messages so far. The assistant's is open until somebody else speaks, or until it speaks a second time."""

    __slots__ = ("_open", "_turns")

    def __init__(self) -> None:
        self._turns: list[Message | _Own] = []
        self._open: _Own | None = None

    def other(self, message: Message) -> None:
        self._open = None
        self._turns.append(message)

    def own(self, *, begins: bool) -> _Own:
        """Return the assistant's open message; what `begins` does not go into one that has spoken and called nothing.

        After a call everything stays in one message: a chat wants the outputs right behind it.
        """
        own = self._open
        if own is None or (begins and own.texts and not own.calls):
            own = self._open = _Own()
            self._turns.append(own)
        return own

    def messages(self, notes: Notes) -> list[Message]:
        """Return them all. A thought that led to nothing is no message of a chat."""
        kept = [turn for turn in self._turns if not isinstance(turn, _Own) or turn.texts or turn.calls]
        if len(kept) < len(self._turns):
            notes.drop("input[].reasoning")
        return [turn.message() if isinstance(turn, _Own) else turn for turn in kept]


def _message(item: dict[str, Any], where: str, turns: _Turns, notes: Notes) -> None:
    role = one_of(item.get("role"), _ROLES, f"{where}.role")
    if item.get("phase") is not None:
        notes.drop(f"{where}.phase")
    content = item.get("content")
    if role != "assistant":
        said = _content(content, f"{where}.content", _FROM_OUTSIDE, notes)
        turns.other({"role": "user" if role == "user" else "system", "content": said})
        return
    said = _content(content, f"{where}.content", _FROM_MODEL, notes)
    text = said if isinstance(said, str) else "".join(part["text"] for part in said)
    turns.own(begins=True).texts.append(text)


def _reasoning(item: dict[str, Any], where: str, turns: _Turns, notes: Notes) -> None:
    thought = _texts(item.get("content"), f"{where}.content", "reasoning_text")
    summary = _texts(item.get("summary"), f"{where}.summary", "summary_text")
    own = turns.own(begins=True)
    sealed = item.get("encrypted_content")
    if sealed is not None:
        blocks = unsealed(text_at(item, "encrypted_content", where))
        if blocks:
            own.blocks += blocks
        else:
            notes.drop(f"{where}.encrypted_content")
    own.thoughts += thought or summary


def _texts(given: Any, where: str, kind: str) -> list[str]:
    if given is None:
        return []
    if not isinstance(given, list):
        refuse(where, "a list")
    texts = []
    for number, part in enumerate(given):
        at = f"{where}[{number}]"
        one_of(object_at(part, at).get("type"), (kind,), f"{at}.type")
        texts.append(text_at(part, "text", at))
    return texts


def _function_call(item: dict[str, Any], where: str, turns: _Turns, notes: Notes) -> None:
    if item.get("namespace") is not None:
        notes.bind(f"{where}.namespace")
    function = {"name": name_at(item, "name", where), "arguments": text_at(item, "arguments", where)}
    call = {"id": name_at(item, "call_id", where), "type": "function", "function": function}
    turns.own(begins=False).calls.append(call)


def _function_call_output(item: dict[str, Any], where: str, turns: _Turns, notes: Notes) -> None:
    said = _content(item.get("output"), f"{where}.output", _FROM_OUTSIDE, notes)
    turns.other({"role": "tool", "tool_call_id": name_at(item, "call_id", where), "content": said})


_ITEMS: Final[dict[str, Callable[[dict[str, Any], str, _Turns, Notes], None]]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _function_call,
    "function_call_output": _function_call_output,
}
"""All others are of tools that an upstream runs itself, or of what it has kept."""

_ANY: Final = frozenset({"type", "id", "status"})
_KNOWN: Final = {
    "message": _ANY | {"role", "content", "phase"},
    "reasoning": _ANY | {"summary", "content", "encrypted_content"},
    "function_call": _ANY | {"call_id", "name", "arguments", "namespace"},
    "function_call_output": _ANY | {"call_id", "output"},
}
"""The fields that are read of an item, and those that say nothing to a model."""


# ---- parts of a message ----------------------------------------------------------------------------------------------


def _content(given: Any, where: str, allowed: tuple[str, ...], notes: Notes) -> str | list[dict[str, Any]]:
    """Return what a message says: a text, where it is nothing else."""
    if isinstance(given, str):
        return given
    if not isinstance(given, list):
        refuse(where, "a text or a list of parts")
    parts: list[dict[str, Any]] = []
    for number, part in enumerate(given):
        at = f"{where}[{number}]"
        kind = one_of(object_at(part, at).get("type"), allowed, f"{at}.type")
        notes.rest(part, _OF_PARTS[kind], at)
        made = _PARTS[kind](part, at, notes)
        if made is None:
            continue
        if part.get("prompt_cache_breakpoint") is not None:
            made["cache_control"] = {"type": "ephemeral"}
        parts.append(made)
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        text: str = parts[0]["text"]
        return text
    return parts or ""


def _text(part: dict[str, Any], where: str, _notes: Notes) -> dict[str, Any]:
    return {"type": "text", "text": text_at(part, "text", where)}


def _refusal(part: dict[str, Any], where: str, _notes: Notes) -> dict[str, Any]:
    return {"type": "text", "text": text_at(part, "refusal", where)}


def _image(part: dict[str, Any], where: str, notes: Notes) -> dict[str, Any] | None:
    if part.get("file_id") is not None:
        notes.bind(f"{where}.file_id")
        return None
    image = {"url": name_at(part, "image_url", where)}
    if part.get("detail") is not None:
        detail = one_of(part["detail"], ("low", "high", "auto", "original"), f"{where}.detail")
        image["detail"] = "high" if detail == "original" else detail
    return {"type": "image_url", "image_url": image}


def _file(part: dict[str, Any], where: str, notes: Notes) -> dict[str, Any] | None:
    for name in ("file_id", "file_url"):
        if part.get(name) is not None:
            notes.bind(f"{where}.{name}")
            return None
    file = {"file_data": name_at(part, "file_data", where)}
    if part.get("filename") is not None:
        file["filename"] = text_at(part, "filename", where)
    return {"type": "file", "file": file}


def _audio(part: dict[str, Any], where: str, _notes: Notes) -> dict[str, Any]:
    at = f"{where}.input_audio"
    audio = object_at(part.get("input_audio"), at)
    return {
        "type": "input_audio",
        "input_audio": {"data": name_at(audio, "data", at), "format": name_at(audio, "format", at)},
    }


_FROM_OUTSIDE: Final = ("input_text", "input_image", "input_file", "input_audio")
_FROM_MODEL: Final = ("output_text", "refusal", "input_text")
_PARTS: Final[dict[str, Callable[[dict[str, Any], str, Notes], dict[str, Any] | None]]] = {
    "input_text": _text,
    "output_text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}

_OF_ANY: Final = frozenset({"type", "prompt_cache_breakpoint"})
_OF_PARTS: Final = {
    "input_text": _OF_ANY | {"text"},
    "output_text": frozenset({"type", "text", "annotations", "logprobs"}),
    "refusal": frozenset({"type", "refusal"}),
    "input_image": _OF_ANY | {"image_url", "file_id", "detail"},
    "input_file": _OF_ANY | {"file_data", "file_id", "file_url", "filename"},
    "input_audio": _OF_ANY | {"input_audio"},
}
"""The fields that are read of a part, and those that an answer has and that say nothing to a model."""
