"""Messages of DashScope's own protocol and OpenAI's, each made of the other.

They differ in what a message's content is made of: `{"text": …}`, `{"image": …}` with hints beside it there, parts with
a `type` here. Sources: docs.qwencloud.com chat/dashscope (mid-2026), and the `dashscope` package 2.0.2,
`v2/protocols/native.py`.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from hybridproxy.dialects.request import RequestError, flag, spelled

Body = dict[str, Any]

ROLES: Final = ("system", "user", "assistant", "tool")
_JUDGED: Final = frozenset({"role", "content", "tool_calls", "tool_call_id", "partial", "reasoning_content"})
_HINTS: Final = ("min_pixels", "max_pixels", "total_pixels", "fps")
"""How closely a model looks at a picture; they stand beside it."""
_OPENAI: Final = {"image_url": "url", "video_url": "url", "input_audio": "data"}
"""Parts in OpenAI's form, which the service takes as well: type -> where their address or data is."""
_READ: Final = frozenset({"type", "cache_control"})
"""What may stand beside what a part is; whatever else does is how it is looked at."""
_AUDIO: Final = re.compile(r"data:audio/([a-z0-9.+-]{1,20});base64,")


class Losses:
    """What of a request OpenAI's form cannot say.

    Attributes:
        bound: what only an upstream that speaks DashScope's own protocol understands.
        dropped: what is left out without changing anything of importance.

    """

    __slots__ = ("bound", "dropped")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.bound: list[str] = []
        self.dropped: list[str] = []


# ---- DashScope's -> OpenAI's -----------------------------------------------------------------------------------------


def chat_messages(messages: Any, losses: Losses) -> list[Body]:
    """Return the messages of `input` as OpenAI has them.

    Raises:
        RequestError: they are none; it names the field.

    """
    if type(messages) is not list or not messages:
        raise RequestError("'input.messages' must be a list that is not empty", param="input.messages")
    made = [_chat_message(f"input.messages[{n}]", message, losses) for n, message in enumerate(messages)]
    for n, message in enumerate(made):
        if message.get("partial") and (n < len(made) - 1 or message["role"] != "assistant"):
            raise RequestError(
                "only a last message of the assistant's can be partial", param=f"input.messages[{n}].partial"
            )
    return made


def _chat_message(at: str, message: Any, losses: Losses) -> Body:
    if type(message) is not dict:
        raise RequestError("each of 'input.messages' must be an object", param=at)
    spelled(message, _JUDGED, at + ".")
    if message.get("role") not in ROLES:
        raise RequestError(f"a role must be one of {', '.join(ROLES)}", param=at + ".role")
    out = {name: given for name, given in message.items() if name not in {"partial", "tool_calls"}}
    if flag(message, "partial", at + "."):
        out["partial"] = True
    calls, content = message.get("tool_calls"), message.get("content")
    if type(content) is list:
        out["content"] = [_chat_part(f"{at}.content[{n}]", part, losses) for n, part in enumerate(content)]
        if [part.keys() for part in out["content"]] == [{"type", "text"}]:
            out["content"] = out["content"][0]["text"]  # more servers take a text than a list of one
    elif type(content) is not str and (content is not None or not calls):
        raise RequestError("a message's content must be a text or a list of parts", param=at + ".content")
    if calls:
        _check_calls(at + ".tool_calls", calls)
        out["tool_calls"] = calls
    return out


def _check_calls(at: str, calls: Any) -> None:
    """Refuse what the service refuses: calls of tools whose arguments are no JSON."""
    if type(calls) is not list:
        raise RequestError("'tool_calls' must be a list", param=at)
    for n, call in enumerate(calls):
        function = call.get("function") if type(call) is dict else None
        if type(function) is not dict or type(function.get("name")) is not str:
            raise RequestError("a tool call must have a 'function' with a name", param=f"{at}[{n}].function")
        arguments = function.get("arguments")
        try:
            orjson.loads(arguments or "{}")
        except orjson.JSONDecodeError:  # also where it is no text
            raise RequestError(
                "the arguments of a tool call must be a JSON text", param=f"{at}[{n}].function.arguments"
            ) from None


def _chat_part(at: str, part: Any, losses: Losses) -> Body:
    if type(part) is not dict:
        raise RequestError("a part of a message's content must be an object", param=at)
    kind = part.get("type")
    if type(kind) is str and kind in _OPENAI and type(part.get(kind)) is dict:
        _look_for_oss(f"{at}.{kind}", part[kind].get(_OPENAI[kind]), losses)
        return dict(part)
    names = [name for name in _MADE if name in part]
    if len(names) != 1:  # of several together nobody says what comes first
        losses.bound.append(".".join([at, *(names or list(part))[:1]]))
        return {"type": "text", "text": ""}
    name = names[0]
    given = part[name]
    if type(given) is not str and not (name == "video" and type(given) is list):
        raise RequestError(f"{name!r} must be a text", param=f"{at}.{name}")
    made: Body = _MADE[name](f"{at}.{name}", given, losses)
    if part.get("cache_control") is not None:
        made["cache_control"] = part["cache_control"]
    losses.dropped += [
        f"{at}.{more}" for more, told in part.items() if more != name and more not in _READ and told is not None
    ]
    return made


def _look_for_oss(at: str, url: Any, losses: Losses) -> None:
    """Note an `oss://` address: it leads to the service's own store, which it alone reads."""
    if type(url) is str and url.startswith("oss://"):
        losses.bound.append(at)


def _chat_text(_at: str, text: str, _losses: Losses) -> Body:
    return {"type": "text", "text": text}


def _chat_image(at: str, url: str, losses: Losses) -> Body:
    _look_for_oss(at, url, losses)
    return {"type": "image_url", "image_url": {"url": url}}


def _chat_audio(at: str, url: str, losses: Losses) -> Body:
    """OpenAI's form has the data itself; an address only the service fetches."""
    head = _AUDIO.match(url)
    if head is None:
        losses.bound.append(at)
        return {"type": "text", "text": ""}
    return {"type": "input_audio", "input_audio": {"data": url[head.end() :], "format": head[1]}}


def _chat_video(at: str, video: str | list[Any], losses: Losses) -> Body:
    """Pictures in the place of a film are a form that only the service has."""
    if type(video) is not str:
        losses.bound.append(at)
        return {"type": "text", "text": ""}
    _look_for_oss(at, video, losses)
    return {"type": "video_url", "video_url": {"url": video}}


_MADE: Final[Mapping[str, Any]] = {
    "text": _chat_text,
    "image": _chat_image,
    "audio": _chat_audio,
    "video": _chat_video,
}


# ---- OpenAI's -> DashScope's -----------------------------------------------------------------------------------------

_KEPT: Final = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content", "partial"})
_SAYS_NOTHING: Final = frozenset({"refusal", "annotations", "audio", "function_call"})
"""Fields that answers of OpenAI's have with nothing in them."""


def has_media(messages: Any) -> bool:
    """Return whether a message has anything but text in it."""
    contents = [message.get("content") for message in messages if type(message) is dict]
    parts = [part for content in contents if type(content) is list for part in content]
    return any(type(part) is dict and part.get("type") not in ("text", "refusal") for part in parts)


def native_messages(messages: list[Any], dropped: list[str], *, multimodal: bool) -> list[Any]:
    """Return OpenAI's messages as the service has them; what is no message is the service's to refuse."""
    return [
        _native_message(f"messages[{n}]", message, dropped, multimodal=multimodal) if type(message) is dict else message
        for n, message in enumerate(messages)
    ]


def _native_message(at: str, message: Body, dropped: list[str], *, multimodal: bool) -> Body:
    out = {name: given for name, given in message.items() if name in _KEPT and given is not None}
    dropped += [
        f"{at}.{name}"
        for name, given in message.items()
        if name not in _KEPT and (given is not None or name not in _SAYS_NOTHING)
    ]
    if message.get("role") == "developer":
        out["role"] = "system"
    content = message.get("content")
    if type(content) is list:
        parts = [_native_part(f"{at}.content[{n}]", part, dropped) for n, part in enumerate(content)]
        plain = [part["text"] for part in parts if type(part) is dict and part.keys() == {"text"}]
        whole = not multimodal and len(plain) == len(parts) and all(type(text) is str for text in plain)
        out["content"] = "".join(plain) if whole else parts
    elif multimodal and type(content) is str:
        out["content"] = [{"text": content}]
    elif content is None:
        out["content"] = [] if multimodal else ""
    return out


def _native_part(at: str, part: Any, dropped: list[str]) -> Any:
    """Return a part as the service has it; one that it has no form for goes as it is, for the service to refuse."""
    if type(part) is not dict:
        return part
    kind = part.get("type")
    given = part.get(kind) if type(kind) is str else None
    made: Body
    if kind == "text":
        made = {"text": given}
    elif kind in ("image_url", "video_url") and type(given) is dict:
        made = {"image" if kind == "image_url" else "video": given.get("url")}
        if given.get("detail") is not None:
            dropped.append(f"{at}.{kind}.detail")
    elif kind == "input_audio" and type(given) is dict:
        made = {"audio": _audio_url(given)}
    elif kind == "video":
        made = {"video": given}
    else:
        return part
    return made | {name: part[name] for name in ("cache_control", *_HINTS) if part.get(name) is not None}


def _audio_url(audio: Mapping[str, Any]) -> Any:
    data = audio.get("data")
    if type(data) is not str or data.startswith(("data:", "http:", "https:")):
        return data  # the compatible mode takes an address there, too
    return f"data:audio/{audio.get('format', 'wav')};base64,{data}"
