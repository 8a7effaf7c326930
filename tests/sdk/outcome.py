"""What a client makes of a call: the same whichever client it was, so that two ways can be compared."""

from dataclasses import dataclass, field
from typing import Any, Final, Protocol

TOOLS: Final[dict[str, dict[str, Any]]] = {
    "weather": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
    "time": {"type": "object", "properties": {"place": {"type": "string"}}},
}
QUESTION: Final = "what is new by the sea"


@dataclass(frozen=True, slots=True)
class Way:
    """Where a client is pointed at, with which key, for which model."""

    url: str
    """As the client takes it: its `base_url`."""
    key: str
    model: str


@dataclass(slots=True)
class Outcome:
    """What was said, or what was raised."""

    text: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    """Names and arguments of tools."""
    finish: str | None = None
    tokens: tuple[int, int] | None = None
    """Of the prompt and of the answer, where the client tells."""
    raised: str | None = None
    """The name of the class of the error."""


class Client(Protocol):
    """One client of one dialect."""

    async def call(self, way: Way, *, tools: bool, stream: bool) -> Outcome:
        """Ask the question; what the client raises is part of the outcome."""
        ...
