"""Fields of messages, their parts and tools that OpenAI's API has not; who does not know one may refuse it.

`cache_control` says up to where a prompt is worth keeping, `thinking_blocks` are thoughts with their signatures, which
their own model wants back, `is_error` says that a tool failed, which its words say too. Nothing of it changes what is
asked.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

Body = dict[str, Any]

MARKS: Final = frozenset({"cache_control", "thinking_blocks", "is_error"})


def without_marks(body: Body, taken: Collection[str]) -> tuple[str, ...]:
    """Leave out the marks that a provider does not take, and return their names.

    The body is changed, the objects in it are not.
    """
    others = MARKS.difference(taken)
    found: set[str] = set()
    if others:
        for name in ("messages", "tools"):
            given = body.get(name)
            if type(given) is list:
                body[name] = _clean(given, others, found)
    return tuple(sorted(found))


def asks_to_keep(body: Mapping[str, Any]) -> bool:
    """Return whether a message, a part of one or a tool says that the prompt is worth keeping up to it."""
    return any(_has(body.get(name), "cache_control") for name in ("messages", "tools"))


def _has(given: Any, mark: str) -> bool:
    """Return whether an object of a list, or a part of its content, has a mark."""
    if type(given) is not list:
        return False
    return any(type(one) is dict and (one.get(mark) is not None or _has(one.get("content"), mark)) for one in given)


def only(body: Body, taken: Collection[str]) -> tuple[str, ...]:
    """Leave out of messages all fields but these, and return the names of those that said something.

    The body is changed, the objects in it are not.
    """
    found: set[str] = set()
    messages = body["messages"]
    if any(message.keys() - taken for message in messages):
        found.update(name for message in messages for name in message.keys() - taken if message[name] not in _EMPTY)
        body["messages"] = [{name: given for name, given in m.items() if name in taken} for m in messages]
    return tuple(sorted(found))


_EMPTY: Final[tuple[object, ...]] = (None, [], {}, "", False)
"""What fields say that say nothing, as SDKs write them out of an answer: `refusal: null`, `annotations: []`."""


def _clean(given: list[Any], others: frozenset[str], found: set[str]) -> list[Any]:
    """Return objects without these fields, and without them in the parts of their content."""
    made = []
    for one in given:
        if type(one) is not dict:
            made.append(one)
            continue
        if not others.isdisjoint(one):
            found |= others & one.keys()
            one = {name: value for name, value in one.items() if name not in others}  # noqa: PLW2901 - the same, less
        content = one.get("content")
        parts = _clean(content, others, found) if type(content) is list else content
        made.append(one if parts is content or parts == content else {**one, "content": parts})
    return made
