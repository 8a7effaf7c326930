"""How much a request's body may hold, so that no body can keep a worker busy.

What JSON holds is counted before it is parsed: by counting characters, and only where that looks suspicious outside
its strings too, since a text may well be full of brackets. Depth and numbers are looked at after parsing. Figures:
15 MB of `[]` would block a worker for more than a second and take 490 MB.
"""

import re
from typing import Any, Final

from hybridproxy.model.value import value

MAX_DEPTH: Final = 64
MAX_BRACKETS: Final = 200_000
MAX_VALUES: Final = 500_000
MAX_FIELDS: Final = 1_000
"""Fields of the body itself; OpenAI's API has about forty."""

MAX_INTEGER: Final = 2**53

_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


@value
class Excess:
    """What a body has too much of: a word for programs and a sentence for people."""

    code: str
    message: str


def excess_before_parsing(data: bytes) -> Excess | None:
    """Return what JSON has too much of, None when it may be parsed."""
    if len(data) <= MAX_BRACKETS:
        return None  # it cannot hold more than it has bytes
    if _brackets(data) > MAX_BRACKETS or data.count(b",") > MAX_VALUES:
        # bounded: of a body with more strings than that the rest is counted as it is, and refused
        data = _STRING.sub(b"", data, count=MAX_VALUES)
        if _brackets(data) > MAX_BRACKETS:
            return Excess("too_complex", f"the body has more than {MAX_BRACKETS} objects and arrays")
        if data.count(b",") > MAX_VALUES:
            return Excess("too_complex", f"the body has more than {MAX_VALUES} values")
    return None


def _brackets(data: bytes) -> int:
    return data.count(b"[") + data.count(b"{")


def excess(body: dict[str, Any]) -> Excess | None:
    """Return what a parsed body has too much of: fields, depth, or digits of a number."""
    if len(body) > MAX_FIELDS:
        return Excess("too_complex", f"the body has more than {MAX_FIELDS} fields")
    level: list[Any] = [body]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for container in level:
            for item in container.values() if type(container) is dict else container:
                kind = type(item)
                if kind is str:
                    continue
                if kind is dict or kind is list:
                    below.append(item)
                elif (kind is int or kind is float) and not -MAX_INTEGER <= item <= MAX_INTEGER:
                    return Excess("number_too_large", "a number in the body is beyond 2^53 and would change on its way")
        if not below:
            return None
        level = below
    return Excess("too_complex", f"the body is nested deeper than {MAX_DEPTH} levels")
