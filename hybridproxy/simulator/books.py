"""The provider's own books: one line for each model call that it was asked for, and what it charges for that.

The journal beside them shows requests in full, and few of them; these are compact, and many. They are written when a
request has its outcome, whatever that is, so that they can be compared with what somebody else wrote down.
"""

from collections import deque
from typing import Final, NamedTuple

KEPT: Final = 200_000
"""Lines kept, the newest."""


class Line(NamedTuple):
    """One request: who asked for what, what was made of it, what it costs, and what the caller was told."""

    number: int
    """Its place among all requests of this upstream, in the order of their heads."""
    request_id: str
    """The caller's `x-request-id`, "" when it sent none."""
    call: str
    model: str
    stream: bool
    began_at: float
    """Seconds since 1970."""
    status: int | None
    fault: str | None
    outcome: str
    prompt: int
    cached: int
    """Of the prompt: what the cache had."""
    written: int
    """Of the prompt: what was put into the cache, since the caller asked for that."""
    completion: int
    """Tokens made until the end, or until it was noticed that the caller had left."""
    reasoning: int
    """Of those: what was thought."""
    charged: int
    """Nano-dollars."""
    told: bool
    """The usage that went out had all tokens that were made."""
    told_cost: int | None
    """The nano-dollars that usage named, None where it named none."""


class Books:
    """One upstream's."""

    def __init__(self) -> None:
        """Begin with no line."""
        self.lines: deque[Line] = deque(maxlen=KEPT)
        self.written = 0

    def write(self, line: Line) -> None:
        """Add a line."""
        self.lines.append(line)
        self.written += 1

    def clear(self) -> None:
        """Forget all lines."""
        self.lines.clear()
        self.written = 0

    def shown(self) -> dict[str, object]:
        """Return them as JSON, the names of the columns once; `written` are all, also those that are gone."""
        return {"columns": list(Line._fields), "rows": [list(line) for line in self.lines], "written": self.written}
