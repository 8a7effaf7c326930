"""A call: one request of a client, as far as we reason about it. All its other fields stay in `body`."""

from collections.abc import Mapping
from dataclasses import field
from enum import Enum
from typing import Any, Final

from hybridproxy.model.dialect import Dialect
from hybridproxy.model.value import value


class Operation(Enum):
    """What the caller wants done; the value is used in logs, metrics and provider rows."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"
    COUNT = "count_tokens"

    @property
    def streams(self) -> bool:
        """Whether an answer may come as a stream."""
        return self is Operation.CHAT or self is Operation.COMPLETION

    __hash__ = object.__hash__  # members are one of a kind; Enum's own hash is a call in Python


ANSWER_BOUNDS: Final = ("max_completion_tokens", "max_tokens")
"""Fields of a chat that bound an answer, in tokens; upstreams differ in which one holds where there are both."""

BOUNDS_OF: Final = {Operation.CHAT: ANSWER_BOUNDS, Operation.COMPLETION: ("max_tokens",)}
"""The same for each operation that has an answer; the first is with the thoughts in it, where the upstream can."""


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
        body: what is asked for, in the form that all dialects are turned into: OpenAI's; never changed in place.
        dialect: how the caller speaks.
        native: the parsed JSON object as the caller wrote it, for backends that speak as it does; None: it is `body`.
        bound: fields of it whose meaning only a backend that speaks as the caller does can carry.
        dropped: fields of it that were left out of `body` and change nothing of importance.
        variant: which of the dialect's paths for the same operation was called.
        headers: what the caller told in headers, for backends that speak as it does.
        begun: the last message is the beginning of the answer, which goes on from there.
        kept: a field that refers to something an upstream keeps for its account, "" if none does.

    """

    operation: Operation
    model: str
    stream: bool
    wants_usage: bool
    choices: int
    needs: frozenset[Capability]
    size: int
    body: Mapping[str, Any] = field(repr=False)
    dialect: Dialect = Dialect.OPENAI
    native: Mapping[str, Any] | None = field(default=None, repr=False)
    bound: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    variant: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    begun: bool = False
    kept: str = ""
