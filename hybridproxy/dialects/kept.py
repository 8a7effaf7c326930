"""What a request refers to that an upstream keeps: answers, conversations, files, stores, containers.

They belong to the account of the backend's key, which knows nothing of our tenants: whoever knows an id may use it. So
such a call goes only to a backend whose operator said that its tenants may share what it keeps.
"""

from collections.abc import Mapping
from typing import Any, Final

_IDS: Final = frozenset({"previous_response_id", "file_id", "file_ids", "vector_store_ids", "container_id"})
_NAMED: Final = frozenset({"conversation", "container", "prompt"})
"""Fields that are an id, or an object with one; a prompt that is a text is none."""

_SCHEMAS: Final = frozenset({"input_schema", "output_schema", "schema"})
_OF_FUNCTIONS: Final = {"function": "parameters", "tool_use": "input"}
"""What a function of the caller's takes, and what one was called with: words of the caller's own, whatever they are."""


def kept_in(value: Any) -> str:
    """Return the first field of a request, or of a part of one, that refers to something kept; "" if none does."""
    waiting: list[Any] = [value]
    while waiting:
        one = waiting.pop()
        if type(one) is list:
            waiting.extend(item for item in one if type(item) is dict or type(item) is list)
        elif type(one) is dict:
            if one.get("type") == "item_reference":
                return "item_reference"
            kind = one.get("type")
            own = _OF_FUNCTIONS.get(kind) if type(kind) is str else None
            for name, given in one.items():
                if name == own or name in _SCHEMAS:
                    continue
                if given and (name in _IDS or (name in _NAMED and _is_reference(name, given))):
                    return str(name)
                if type(given) is dict or type(given) is list:
                    waiting.append(given)
    return ""


def _is_reference(name: str, given: Any) -> bool:
    return bool(given.get("id")) if type(given) is dict else type(given) is str and name != "prompt"


def kept_in_parts(body: Mapping[str, Any]) -> str:
    """Return the same of a chat completion, which refers to files alone, in parts of its messages."""
    for message in body["messages"]:
        content = message.get("content")
        if type(content) is list and (found := kept_in([p for p in content if type(p) is dict and "file" in p])):
            return found
    return ""
