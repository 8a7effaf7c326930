"""Reads the transcripts of tests/wire: raw HTTP answers, each under notes that say what it is and who says so.

Notes are lines like `# kind: THROTTLED` before the status line. `source` is always there; `kind` is the fault an error
has to become; `text` and `usage` are the characters and the tokens a good answer has.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

WIRE = Path(__file__).resolve().parents[1] / "wire"


@dataclass(frozen=True, slots=True)
class Transcript:
    """One answer of a provider."""

    name: str
    notes: dict[str, str]
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def streams(self) -> bool:
        """Whether the body is a stream of events that began well."""
        return self.status == 200 and self.headers["content-type"] == "text/event-stream"

    def json(self) -> Any:
        """Return the body as JSON; an error may be framed like an event."""
        lines = [line for line in self.body.splitlines() if line.startswith(b"data:")]
        return orjson.loads(lines[0].removeprefix(b"data:") if lines else self.body)


def read_transcript(path: Path) -> Transcript:
    """Read one file."""
    head, _, body = path.read_bytes().partition(b"\n\n")
    lines = head.decode().split("\n")
    notes = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    status_line, *fields = [line for line in lines if not line.startswith("# ")]
    headers = dict(field.split(": ", 1) for field in fields)
    return Transcript(path.stem, notes, int(status_line.split()[1]), headers, body)


def transcripts(provider: str) -> dict[str, Transcript]:
    """Return a provider's transcripts by name."""
    return {path.stem: read_transcript(path) for path in sorted((WIRE / provider).glob("*.http"))}
