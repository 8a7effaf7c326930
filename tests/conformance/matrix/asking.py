"""What a feature asks for and what a caller hears of it, in no dialect's words."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

Json = dict[str, Any]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A PNG of one pixel, base64."""
CITY = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}
TOOLS = {"weather": CITY, "time": {"type": "object", "properties": {"place": {"type": "string"}}}}
"""Names of tools and the schemas of their arguments."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: of the system, the user, the assistant (who may have called tools) or of a tool that answers."""

    role: str
    text: str
    images: int = 0
    calls: tuple[tuple[str, str, str], ...] = ()
    """Tools that the assistant called: id, name, arguments."""
    answers: str = ""
    """The id of the call that a tool answers."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    turns: tuple[Turn, ...] = (Turn("user", "two words"),)
    tools: bool = False
    thinks: bool = False
    schema: Json | None = None
    logprobs: bool = False
    stop: str | None = None
    limit: int | None = None


@dataclass(slots=True)
class Heard:
    """What a caller understands of an answer."""

    status: int
    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Names and arguments of the tools called."""
    finish: str = ""
    """`stop`, `length`, `tools`, or the dialect's own word where it is another."""
    tokens: tuple[int, int] = (0, 0)
    """Of the prompt and of the answer."""
    logprobs: str | None = None
    """The tokens that came with a probability, joined."""
    error: str | None = None
    """The kind of an error, in the dialect's words: its code or type."""
    pieces: int = 0
    """Events that brought text, thought or arguments."""
    whole: bool = False
    """It ended as the dialect says that answers end."""
    dropped: str = ""
    """What `x-hybridproxy-dropped` names."""
    message: str = ""
    """An error's words."""


class Caller(Protocol):
    """How callers of one dialect ask and hear."""

    @property
    def dialect(self) -> str:
        """Return the value of `hybridproxy.model.dialect.Dialect`."""
        ...

    @property
    def absent(self) -> dict[str, str]:
        """Return the features that the dialect has no words for, and why."""
        ...

    @property
    def errors(self) -> dict[str, tuple[int, str]]:
        """Return for what goes wrong upstream, `NAME` or `NAME, streamed`, the status and the caller's word for it."""
        ...

    def request(self, ask: Ask, model: str, *, stream: bool) -> tuple[str, dict[str, str], Json]:
        """Return path, headers and body."""
        ...

    def hear(self, status: int, raw: bytes, *, stream: bool) -> Heard:
        """Read an answer."""
        ...


def events(raw: bytes) -> Iterator[tuple[str, str]]:
    """Yield name and data of each server-sent event; comments are left out."""
    for block in raw.decode().replace("\r\n", "\n").split("\n\n"):
        fields = [line.split(":", 1) for line in block.split("\n") if ":" in line and not line.startswith(":")]
        data = "\n".join(value.removeprefix(" ") for name, value in fields if name == "data")
        if data:
            yield next((value.strip() for name, value in fields if name == "event"), ""), data
