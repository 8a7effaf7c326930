"""A call: one request of a client, as far as we reason about it. All its other fields stay in `body`."""

from collections.abc import Mapping
from dataclasses import field
from enum import Enum
from typing import Any

from hybridproxy.model.value import value


class Operation(Enum):
    """What the caller wants done; the value is used in logs, metrics and provider rows."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"

    __hash__ = object.__hash__  # members are one of a kind; Enum's own hash is a call in Python


class Capability(Enum):
    """What a call may need and a served model may lack; the value is the word used in the configuration."""

    TOOLS = "tools"
    VISION = "vision"
    JSON_SCHEMA = "json_schema"


@value
class Call:
    """One client request after its body was judged.

    Attributes:
        operation: what is wanted.
        model: the model's name as the caller wrote it.
        stream: the caller wants server-sent events.
        wants_usage: the caller asked for the usage event of a stream.
        choices: how many answers are asked for: `n`, for each prompt where there are several.
        needs: capabilities without which a backend cannot serve it.
        size: bytes of the body as received, an upper bound of its tokens.
        body: the parsed JSON object; never changed in place.

    """

    operation: Operation
    model: str
    stream: bool
    wants_usage: bool
    choices: int
    needs: frozenset[Capability]
    size: int
    body: Mapping[str, Any] = field(repr=False)
