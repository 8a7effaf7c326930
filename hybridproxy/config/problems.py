"""What pydantic finds wrong, in our words."""

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from hybridproxy.config.mistakes import KeyPath
from hybridproxy.config.values import suggestion

_MESSAGES = {
    "missing": "is required",
    "model_type": "expected a mapping, {} for an empty one",
    "dict_type": "expected a mapping, {} for an empty one",
    "list_type": "expected a list",
    "string_type": "expected text: put it in quotes if it looks like something else",
    "string_too_short": "expected text that is not empty",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "bool_type": "expected true or false",
}
"""Pydantic's word for a mistake -> ours."""


def message_of(problem: ErrorDetails, path: KeyPath, file: type[BaseModel]) -> str:
    """Return what was expected, in our words."""
    kind = problem["type"]
    if kind == "extra_forbidden":
        return f"unknown option: {suggestion(str(path[-1]), _options_at(path[:-1], file))}"
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    if kind in ("too_short", "too_long"):
        bound = "min_length" if kind == "too_short" else "max_length"
        return f"expected at {'least' if kind == 'too_short' else 'most'} {problem['ctx'][bound]}"
    return _MESSAGES.get(kind) or problem["msg"].replace("Input should be", "expected")


def _options_at(path: KeyPath, file: type[BaseModel]) -> list[str]:
    """Return the names of the options of the section at a path."""
    section = file
    named = False
    for step in path:
        if named or isinstance(step, int):  # the step is a name the operator chose, or a place in a list
            named = False
            continue
        annotation = section.model_fields[str(step)].annotation
        section = next(_sections_in(annotation))
        named = get_origin(annotation) is dict
    return list(section.model_fields)


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections_in(inner)
