"""What the simulator received and what became of it: the witness that tests ask."""

import hashlib
from collections import Counter, deque
from dataclasses import dataclass
from time import monotonic, time
from typing import Final

import orjson

from hybridproxy.simulator.books import Books, Line
from hybridproxy.simulator.http import Headers, Request
from hybridproxy.simulator.prices import USUAL, Price, Tokens

KEPT: Final = 1000
"""Requests remembered."""
MAX_KEPT_BODY: Final = 1024 * 1024
MAX_KEPT_BODIES: Final = 64 * 1024 * 1024
"""Bytes of bodies remembered: one, and all together; of others the size and nothing else."""
FAILS: Final = frozenset({"cut", "truncate_json", "garbage", "no_finish"})
"""Faults by which the provider itself fails after it has begun."""


@dataclass(slots=True, eq=False)
class Entry:
    """One request; the outcome is "in_flight" until it has one."""

    number: int
    method: str
    target: str
    headers: Headers
    began: float
    began_at: float
    body: bytes | None = None
    body_bytes: int = 0
    status: int | None = None
    head_ms: float | None = None
    pieces_sent: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    completion_tokens: int = 0
    thoughts: int = 0
    """How many of the first tokens of the answer are thoughts."""
    billable: bool = False
    """Whether an answer was begun: its prompt has been read, and was not answered with an error instead."""
    bills_failures: bool = True
    """Whether the prompt is billed where the provider itself failed before the first token."""
    price: Price = USUAL
    call: str = ""
    """Which model call it is; "" for what is none."""
    model: str = ""
    stream: bool = False
    told: int | None = None
    """The completion tokens of the last usage that went out."""
    told_cost: int | None = None
    fault: str | None = None
    outcome: str = "in_flight"
    duration_ms: float | None = None

    @property
    def billed(self) -> int:
        """Return what the provider would charge for what it did so far, nano-dollars."""
        nothing_made = self.told is None and not self.completion_tokens
        if not self.billable or (nothing_made and self._failed):
            return 0
        return self.price.charge(self.tokens)

    @property
    def _failed(self) -> bool:
        """Whether it is a failure that the provider does not charge for: nobody does where it says so itself."""
        lost = self.outcome == "cut" or self.fault in FAILS
        return self.fault == "in_band_error" or (lost and not self.bills_failures)

    @property
    def tokens(self) -> Tokens:
        """Return what was taken and made so far."""
        made, thoughts = self.completion_tokens, min(self.completion_tokens, self.thoughts)
        return Tokens(self.prompt_tokens, made, self.cached_tokens, self.written_tokens, thoughts)

    def tell(self, cost: int | None) -> None:
        """Note that usage went out, with the cost where the provider names it."""
        self.told, self.told_cost = self.completion_tokens, cost

    def line(self) -> Line:
        """Return what the books say of it."""
        tokens, told = self.tokens, self.told is not None and self.told == self.completion_tokens
        request_id = next((value for name, value in self.headers if name.lower() == "x-request-id"), "")
        return Line(
            self.number, request_id, self.call, self.model, self.stream, self.began_at, self.status, self.fault,
            self.outcome, tokens.prompt, tokens.cached, tokens.written, tokens.completion, tokens.reasoning,
            self.billed, told, self.told_cost,
        )  # fmt: skip

    def elapsed_ms(self) -> float:
        """Return the time since the head of the request arrived, milliseconds."""
        return round((monotonic() - self.began) * 1000, 3)

    def shown(self) -> dict[str, object]:
        """Return the entry as JSON; the body as it came where it is JSON, else as text."""
        gone = self.duration_ms if self.outcome == "client_gone" else None
        return {
            "number": self.number,
            "method": self.method,
            "path": self.target,
            "headers": [list(pair) for pair in self.headers],
            "body": _shown_body(self.body),
            "body_bytes": self.body_bytes,
            "body_sha256": hashlib.sha256(self.body).hexdigest() if self.body is not None else None,
            "started_at": self.began_at,
            "status": self.status,
            "head_ms": self.head_ms,
            "pieces_sent": self.pieces_sent,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "written_tokens": self.written_tokens,
            "completion_tokens": self.completion_tokens,
            "billed": self.billed,
            "fault": self.fault,
            "outcome": self.outcome,
            "duration_ms": self.duration_ms,
            "client_gone_ms": gone,
        }


class Journal:
    """The last requests, and totals of all."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        self.books = Books()
        self.in_flight = 0
        self.numbered = 0
        self._forgotten = 0
        self._body_bytes = 0
        self._totals: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()

    def begin(self, request: Request) -> Entry:
        """Remember a request whose head has arrived."""
        self.numbered += 1
        self.in_flight += 1
        if len(self.entries) == KEPT:
            self._forget_body(self.entries[0])
        entry = Entry(self.numbered, request.method, request.target, request.headers, monotonic(), round(time(), 3))
        self.entries.append(entry)
        self._totals["requests"] += 1
        return entry

    def keep_body(self, entry: Entry, body: bytes) -> None:
        """Remember a request's body, and forget the oldest ones where there are too many bytes."""
        entry.body_bytes = len(body)
        self._totals["body_bytes"] += len(body)
        if len(body) > MAX_KEPT_BODY or entry.number <= self._forgotten:
            return
        entry.body = body
        self._body_bytes += len(body)
        for old in self.entries:
            if self._body_bytes <= MAX_KEPT_BODIES:
                break
            self._forget_body(old)

    def end(self, entry: Entry, outcome: str) -> None:
        """Settle a request; only the first outcome counts."""
        if entry.outcome != "in_flight":
            return
        entry.outcome, entry.duration_ms = outcome, entry.elapsed_ms()
        self.in_flight -= 1
        self._outcomes[outcome] += 1
        for name in ("pieces_sent", "prompt_tokens", "cached_tokens", "completion_tokens"):
            self._totals[name] += getattr(entry, name)
        self._totals["billed_nanodollars"] += entry.billed
        if entry.call:
            self.books.write(entry.line())

    def clear(self) -> None:
        """Forget all requests and totals; those in flight still count as in flight."""
        self.entries.clear()
        self.books.clear()
        self._forgotten = self.numbered
        self._body_bytes = 0
        self._totals.clear()
        self._outcomes.clear()

    def totals(self) -> dict[str, object]:
        """Return the totals as JSON."""
        names = (
            "requests", "body_bytes", "pieces_sent", "prompt_tokens", "cached_tokens", "completion_tokens",
            "billed_nanodollars",
        )  # fmt: skip
        return {**{name: self._totals[name] for name in names}, "outcomes": dict(self._outcomes)}

    def _forget_body(self, entry: Entry) -> None:
        self._body_bytes -= len(entry.body or b"")
        entry.body = None


def _shown_body(body: bytes | None) -> object:
    if not body:
        return None
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")
    return orjson.Fragment(body)
