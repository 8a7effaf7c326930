"""What a caller of the tour got, what it should have got, and the difference."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Candidate:
    """A backend the proxy looked at for the call, and why it was kept or dropped."""

    backend: str
    kept: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One call as its caller saw it.

    Attributes:
        status: the HTTP status.
        text: the answer's text, as far as it came.
        complete: the answer ended with a finish reason and without an error.
        code: the error's code, "" when there was none.
        message: the error in words, "" when there was none.
        headers: the response's headers, names in lower case.
        seconds: from the request to the end.

    """

    status: int
    text: str = ""
    complete: bool = False
    code: str = ""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def backend(self) -> str:
        """The backend that answered or failed last, "none" when none was asked."""
        return self.headers.get("x-hybridproxy-backend", "?")

    @property
    def region(self) -> str:
        """The caller's region."""
        return self.headers.get("x-hybridproxy-region", "?")

    @property
    def attempts(self) -> str:
        """How many attempts were made."""
        return self.headers.get("x-hybridproxy-attempts", "?")

    @property
    def decision(self) -> tuple[Candidate, ...]:
        """The decision the proxy put into its header; empty when there is none that can be read."""
        try:
            value: Any = json.loads(self.headers.get("x-hybridproxy-decision", ""))
            return tuple(
                Candidate(str(row["backend"]), bool(row["kept"]), str(row["reason"])) for row in value["candidates"]
            )
        except (ValueError, KeyError, TypeError):
            return ()


@dataclass(frozen=True, slots=True)
class Expected:
    """What a call must lead to; the tour checks itself.

    Attributes:
        status: the HTTP status.
        region: the caller's region.
        backend: the backend that answers or fails last.
        attempts: how many are made.
        complete: the answer comes whole.
        code: the error's code, None where any will do.
        asked: how often each simulated upstream is asked; one that is not named must not be asked at all.

    """

    region: str
    backend: str
    status: int = 200
    attempts: int = 1
    complete: bool = True
    code: str | None = ""
    asked: Mapping[str, int] = field(default_factory=dict)


def mismatches(expected: Expected, outcome: Outcome, asked: Mapping[str, int | None]) -> list[str]:
    """Return in words what was not as expected; `asked` says None of an upstream that cannot tell."""
    pairs: list[tuple[str, object, object]] = [
        ("status", expected.status, outcome.status),
        ("region", expected.region, outcome.region),
        ("backend", expected.backend, outcome.backend),
        ("attempts", str(expected.attempts), outcome.attempts),
        ("a whole answer", expected.complete, outcome.complete),
    ]
    if expected.code is not None:
        pairs.append(("error code", expected.code or "none", outcome.code or "none"))
    pairs += [
        (f"requests that {name} got", expected.asked.get(name, 0), count)
        for name, count in asked.items()
        if count is not None
    ]
    found = [f"{what}: expected {wanted}, got {got}" for what, wanted, got in pairs if wanted != got]
    if not outcome.decision:
        found.append("the decision is missing from the response")
    if expected.complete and not outcome.text:
        found.append("the answer has no text")
    return found
