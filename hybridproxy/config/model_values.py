"""The values that options about models take: days, and what a route prefers. As in `values`."""

import re
from datetime import date
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from hybridproxy.model.snapshot import Prefer

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LAST = {Prefer.ORDER, Prefer.WEIGHT}


def day(value: Any) -> str:
    """Return a day as YYYY-MM-DD."""
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            pass
    raise ValueError("expected a day such as 2026-11-04")


def preferences(value: Any) -> tuple[Prefer, ...]:
    """Return what decides about the order of backends, the first first."""
    words = {word.value: word for word in Prefer}
    if not isinstance(value, list) or not value or any(not isinstance(one, str) or one not in words for one in value):
        raise ValueError(f"expected a list of {', '.join(words)}")
    given = tuple(words[word] for word in value)
    if len(set(given)) < len(given):
        raise ValueError("names something twice")
    if not _LAST.isdisjoint(given[:-1]):
        raise ValueError("order and weight decide what nothing else does: put one of them last")
    return given


Day = Annotated[
    str,
    PlainValidator(
        day,
        json_schema_input_type=Annotated[str, Field(pattern=rf"^{_DAY.pattern}$", examples=["2026-11-04"])],
    ),
]
Preferences = Annotated[
    tuple[Prefer, ...],
    PlainValidator(
        preferences,
        json_schema_input_type=Annotated[
            list[Annotated[str, Field(json_schema_extra={"enum": [word.value for word in Prefer]})]],
            Field(min_length=1, json_schema_extra={"uniqueItems": True}),
        ],
    ),
]
