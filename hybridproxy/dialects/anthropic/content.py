"""Messages of Anthropic's dialect -> messages of a chat completion.

What goes where: a user's turn may hold results of tools, which become messages of their own, before the rest of it; a
picture in a result follows in the user's message, since only there every provider sees it. Thinking becomes
`reasoning_content`; with a signature, which its own model wants back, it stands in `thinking_blocks` too. Files by id,
search results, citations and whatever runs on Anthropic's servers exist nowhere else: such blocks are noted as bound.
Block types and their fields: the types of the Python SDK 2.12.
"""

from collections.abc import Container, Mapping
from typing import Any, Final

import orjson

from hybridproxy.dialects.request import RequestError

Body = dict[str, Any]
MAX_NOTES: Final = 20


class Notes:
    """What a chat completion cannot have: `bound` changes the meaning, `dropped` does not."""

    __slots__ = ("bound", "dropped")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.bound: dict[str, None] = {}
        self.dropped: dict[str, None] = {}

    def bind(self, path: str) -> None:
        """Note a field that only Anthropic's dialect can carry; of many the first ones."""
        if len(self.bound) < MAX_NOTES:
            self.bound[path] = None

    def drop(self, path: str) -> None:
        """Note a field that is left out."""
        if len(self.dropped) <= MAX_NOTES:
            self.dropped[path] = None

    def rest(self, holder: Body, known: Container[str], path: str) -> None:
        """Note as left out whatever an object says beside the fields that are read."""
        for name, given in holder.items():
            if name not in known and given is not None:
                self.drop(f"{path}.{name}")


def wrong(path: str, message: str) -> RequestError:
    """Return the error of a field."""
    return RequestError(message, param=path)


def text_at(holder: Body, name: str, path: str) -> str:
    """Return a field that has to be a text."""
    found = holder.get(name)
    if type(found) is not str:
        raise wrong(f"{path}.{name}", "it has to be a text")
    return found


def object_at(given: Any, path: str) -> Body:
    """Return what has to be an object."""
    if type(given) is not dict:
        raise wrong(path, "it has to be an object")
    return given


def list_at(given: Any, path: str) -> list[Any]:
    """Return what has to be a list."""
    if type(given) is not list:
        raise wrong(path, "it has to be a list")
    return given


def system_message(given: Any, notes: Notes) -> list[Body]:
    """Return the message that a system prompt is, a text or blocks of it; none where there is nothing in it."""
    return [] if given is None or given in ("", []) else [_system({"content": given}, "system", notes)]


def chat_messages(given: Any, notes: Notes) -> list[Body]:
    """Return the messages of a conversation."""
    if type(given) is not list or not given:
        raise wrong("messages", "it has to be a list that is not empty")
    made: list[Body] = []
    for place, message in enumerate(given):
        path = f"messages.{place}"
        role = object_at(message, path).get("role")
        notes.rest(message, _MESSAGE, "messages")
        if role == "user":
            made += _user(message, path, notes)
        elif role == "assistant":
            made.append(_assistant(message, path, notes))
        elif role == "system":
            made.append(_system(message, f"{path}.content", notes))
        else:
            raise wrong(f"{path}.role", "it has to be 'user', 'assistant' or 'system'")
    return made


_MESSAGE: Final = frozenset({"role", "content"})
_MARKED: Final = frozenset({"type", "cache_control"})
_KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "text": _MARKED | {"text", "citations"},
    "image": _MARKED | {"source", "transformations"},
    "document": _MARKED | {"source", "title", "context", "citations"},
    "tool_use": _MARKED | {"id", "name", "input", "caller"},
    "tool_result": _MARKED | {"tool_use_id", "content", "is_error"},
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
}
"""The fields that are read of a block. Of blocks that are not here nothing is: they are bound."""


def _blocks(content: Any, path: str, notes: Notes) -> list[tuple[str, Body, str]]:
    """Return the blocks of a message's content, each with its type and where it stands; a text is one block."""
    if type(content) is str:
        return [("text", {"type": "text", "text": content}, path)]
    if type(content) is not list:
        raise wrong(path, "it has to be a text or a list of blocks")
    found = []
    for place, block in enumerate(content):
        here = f"{path}.{place}"
        kind = text_at(object_at(block, here), "type", here)
        notes.rest(block, _KNOWN.get(kind, block), kind)
        found.append((kind, block, here))
    return found


def _system(message: Body, path: str, notes: Notes) -> Body:
    parts: list[Body] = []
    for kind, block, here in _blocks(message.get("content"), path, notes):
        if kind != "text":
            raise wrong(f"{here}.type", "it has to be 'text'")
        parts.append(_text(block, here, notes))
    return {"role": "system", "content": _plain(parts)}


def _user(message: Body, path: str, notes: Notes) -> list[Body]:
    path += ".content"
    if message.get("content") in ("", []):
        raise wrong(path, "it must not be empty")
    results: list[Body] = []
    parts: list[Body] = []
    for kind, block, here in _blocks(message.get("content"), path, notes):
        if kind == "tool_result":
            results.append(_result(block, here, parts, notes))
        else:
            _part(kind, block, here, parts, notes)
    return [*results, {"role": "user", "content": _plain(parts)}] if parts or not results else results


def _result(block: Body, path: str, parts: list[Body], notes: Notes) -> Body:
    """Return the message that a tool's result is; what is no text in it goes to the parts of the user's message."""
    made: Body = {"role": "tool", "tool_call_id": text_at(block, "tool_use_id", path)}
    texts: list[Body] = []
    content = block.get("content")
    for kind, inner, here in [] if content is None else _blocks(content, f"{path}.content", notes):
        _part(kind, inner, here, texts if kind == "text" else parts, notes)
    made["content"] = _plain(texts) if texts else ""
    if block.get("is_error") is True:
        made["is_error"] = True
    return made | _cached(block)


def _part(kind: str, block: Body, path: str, parts: list[Body], notes: Notes) -> None:
    """Add the part that a block of a user's is."""
    if kind == "text":
        parts.append(_text(block, path, notes))
    elif kind == "image":
        _image(block, path, parts, notes)
    elif kind == "document":
        _document(block, path, parts, notes)
    elif kind in _ASSISTANTS:
        raise wrong(f"{path}.type", f"a {kind} block belongs into a message of the assistant")
    else:
        notes.bind(path)


_ASSISTANTS: Final = frozenset({"thinking", "redacted_thinking", "tool_use", "server_tool_use"})
_USERS: Final = frozenset({"image", "document", "tool_result", "search_result", "container_upload"})


def _cached(block: Body) -> Body:
    mark = block.get("cache_control")
    return {"cache_control": mark} if type(mark) is dict else {}


def _text(block: Body, path: str, notes: Notes) -> Body:
    if block.get("citations"):
        notes.drop("citations")
    return {"type": "text", "text": text_at(block, "text", path), **_cached(block)}


def _plain(parts: list[Body]) -> str | list[Body]:
    """Return parts as simply as it goes: one text alone is just that."""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        text: str = parts[0]["text"]
        return text
    return parts


def _image(block: Body, path: str, parts: list[Body], notes: Notes) -> None:
    source = object_at(block.get("source"), f"{path}.source")
    kind = source.get("type")
    if kind == "file" or block.get("transformations"):
        notes.bind(path)
        return
    image = {"url": _url(source, f"{path}.source", "image/")}
    parts.append({"type": "image_url", "image_url": image, **_cached(block)})


def _url(source: Body, path: str, media: str) -> str:
    """Return where the bytes of a source are: an address, or the bytes themselves in a URL."""
    if source.get("type") == "url":
        return text_at(source, "url", path)
    if source.get("type") != "base64":
        raise wrong(f"{path}.type", "it has to be 'base64', 'url' or 'file'")
    found = text_at(source, "media_type", path)
    if not found.startswith(media):
        raise wrong(f"{path}.media_type", f"it has to begin with {media!r}")
    return f"data:{found};base64,{text_at(source, 'data', path)}"


def _document(block: Body, path: str, parts: list[Body], notes: Notes) -> None:
    source = object_at(block.get("source"), f"{path}.source")
    kind, citations = source.get("type"), block.get("citations")
    if kind in ("file", "url") or (type(citations) is dict and citations.get("enabled")):
        notes.bind(path)
        return
    title = block.get("title")
    if block.get("context"):
        notes.drop("document.context")
    if title and kind != "base64":
        notes.drop("document.title")
    if kind == "text":
        parts.append({"type": "text", "text": text_at(source, "data", f"{path}.source"), **_cached(block)})
    elif kind == "content":
        before = len(parts)
        for inner, each, here in _blocks(source.get("content"), f"{path}.source.content", notes):
            if inner not in ("text", "image"):
                raise wrong(f"{here}.type", "it has to be 'text' or 'image'")
            _part(inner, each, here, parts, notes)
        if len(parts) > before:
            parts[-1] |= _cached(block)
    else:
        data = _url(source, f"{path}.source", "application/pdf")
        name = title if type(title) is str and title else "document.pdf"
        parts.append({"type": "file", "file": {"filename": name, "file_data": data}, **_cached(block)})


def _assistant(message: Body, path: str, notes: Notes) -> Body:
    made: Body = {"role": "assistant"}
    texts: list[Body] = []
    calls: list[Body] = []
    thoughts: list[str] = []
    signed: list[Body] = []
    for kind, block, here in _blocks(message.get("content"), f"{path}.content", notes):
        if kind == "text":
            texts.append(_text(block, here, notes))
        elif kind == "tool_use":
            calls.append(_call(block, here))
            made |= _cached(block)
        elif kind == "thinking":
            thoughts.append(text_at(block, "thinking", here))
            if block.get("signature"):
                signature = text_at(block, "signature", here)
                signed.append({"type": "thinking", "thinking": thoughts[-1], "signature": signature})
        elif kind == "redacted_thinking":
            signed.append({"type": "redacted_thinking", "data": text_at(block, "data", here)})
        elif kind in _USERS:
            raise wrong(f"{here}.type", f"a {kind} block belongs into a message of the user")
        else:
            notes.bind(here)
    if any(map(_cached, texts)):
        made["content"] = texts
    else:
        made["content"] = "".join(part["text"] for part in texts) if texts or not calls else None
    if thought := "".join(thoughts):
        made["reasoning_content"] = thought
    if signed:
        made["thinking_blocks"] = signed
    if calls:
        made["tool_calls"] = calls
    return made


def _call(block: Body, path: str) -> Body:
    arguments = orjson.dumps(object_at(block.get("input"), f"{path}.input")).decode()
    function = {"name": text_at(block, "name", path), "arguments": arguments}
    return {"id": text_at(block, "id", path), "type": "function", "function": function}
