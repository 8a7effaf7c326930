"""What a request of the Responses API has that a chat completion cannot say, and how a wrong field is refused."""

import re
from collections.abc import Collection, Container, Mapping
from typing import Any, Final, NoReturn

from hybridproxy.dialects.request import RequestError

MAX_NOTED: Final = 64
"""Names of one kind that are kept; a request may repeat them a hundred thousand times."""

_WORD: Final = re.compile(r"[a-z0-9_.-]{1,64}")


class Notes:
    """The names that are found while a request is read; each counts once."""

    __slots__ = ("_bound", "_dropped")

    def __init__(self) -> None:
        """Begin with none."""
        self._bound: dict[str, None] = {}
        self._dropped: dict[str, None] = {}

    @property
    def bound(self) -> tuple[str, ...]:
        """What only a backend that speaks the Responses API can carry."""
        return tuple(self._bound)

    @property
    def dropped(self) -> tuple[str, ...]:
        """What changes nothing of importance and is left out where the call is translated."""
        return tuple(self._dropped)

    def bind(self, where: str, kind: object = "") -> None:
        """Note a field without which the call would be another one; `kind` is what the caller wrote as its type."""
        known = isinstance(kind, str) and _WORD.fullmatch(kind)
        _note(self._bound, f"{where} ({kind})" if known else where)

    def drop(self, where: str) -> None:
        """Note a field that may be left out."""
        _note(self._dropped, where)

    def rest(self, holder: Mapping[str, Any], known: Container[str], where: str) -> None:
        """Note as left out whatever an object says beside the fields that are read."""
        for name, given in holder.items():
            if name not in known and given is not None:
                self.drop(f"{where}.{name}")


def _note(names: dict[str, None], name: str) -> None:
    if len(names) < MAX_NOTED:
        names[name] = None


def refuse(where: str, must: str) -> NoReturn:
    """Refuse a request because of one field.

    Raises:
        RequestError: always.

    """
    raise RequestError(f"'{where}' must be {must}", param=where)


def text_at(holder: Mapping[str, Any], name: str, where: str) -> str:
    """Return a text that has to be there."""
    given = holder.get(name)
    return given if isinstance(given, str) else refuse(_at(where, name), "a text")


def name_at(holder: Mapping[str, Any], name: str, where: str) -> str:
    """Return a text that has to be there and say something."""
    return text_at(holder, name, where) or refuse(_at(where, name), "a text that is not empty")


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def object_at(given: Any, where: str) -> dict[str, Any]:
    """Return an object."""
    return given if isinstance(given, dict) else refuse(where, "an object")


def one_of(given: Any, allowed: Collection[str], where: str) -> str:
    """Return one of some words."""
    if isinstance(given, str) and given in allowed:
        return given
    return refuse(where, f"one of {', '.join(allowed)}")
