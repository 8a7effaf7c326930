"""What can go wrong with a call, as one value.

Every failure becomes exactly one `Fault`. `FACTS` says what follows from its kind: whether another backend may be
tried, what it counts for in the breaker, and what the caller is told. Nothing else in the flow looks at statuses or
exceptions.
"""

from enum import Enum, auto

from hybridproxy.model.value import value


class FaultKind(Enum):
    """The kinds of fault that lead to different behaviour, and no more of them than that."""

    # the caller's doing
    INVALID_REQUEST = auto()
    CONTEXT_TOO_LONG = auto()
    CONTENT_REFUSED = auto()
    # the credential's
    CREDENTIAL = auto()
    QUOTA = auto()
    FORBIDDEN = auto()
    # the upstream's
    NOT_FOUND = auto()
    THROTTLED = auto()
    OVERLOADED = auto()
    UPSTREAM_ERROR = auto()
    # the way there
    CONNECT = auto()
    TLS = auto()
    EGRESS_REFUSED = auto()
    TIMEOUT_CONNECT = auto()
    TIMEOUT_FIRST_TOKEN = auto()
    TIMEOUT_BETWEEN_BYTES = auto()
    TIMEOUT_ANSWER = auto()
    DEADLINE = auto()
    # what came back
    CUT = auto()
    INTEGRITY = auto()
    PROTOCOL = auto()
    REDIRECT = auto()
    # ours
    CLIENT_GONE = auto()
    CLIENT_STALLED = auto()
    INTERNAL = auto()


class Verdict(Enum):
    """What an attempt's outcome means for the health of its backend."""

    OK = auto()
    FAULT = auto()
    THROTTLE = auto()
    CREDENTIAL = auto()
    IGNORED = auto()


@value
class KindFacts:
    """What follows from a kind: may another backend be tried, what the breaker hears, what the caller sees."""

    moves_on: bool
    verdict: Verdict
    status: int
    type: str
    code: str
    text: str


def _caller(status: int, code: str, text: str, *, moves_on: bool = False) -> KindFacts:
    return KindFacts(moves_on, Verdict.IGNORED, status, "invalid_request_error", code, text)


def _upstream(
    status: int, code: str, text: str, *, verdict: Verdict = Verdict.FAULT, moves_on: bool = True
) -> KindFacts:
    return KindFacts(moves_on, verdict, status, "upstream_error", code, text)


FACTS: dict[FaultKind, KindFacts] = {
    FaultKind.INVALID_REQUEST: _caller(400, "invalid_request", "the request was refused as invalid"),
    FaultKind.CONTEXT_TOO_LONG: _caller(
        400, "context_length_exceeded", "the input is longer than the model's context window", moves_on=True
    ),
    FaultKind.CONTENT_REFUSED: _caller(400, "content_policy_violation", "the content was refused"),
    FaultKind.CREDENTIAL: _upstream(502, "upstream_credential", "our key was refused", verdict=Verdict.CREDENTIAL),
    FaultKind.QUOTA: _upstream(502, "upstream_quota", "our account is out of quota", verdict=Verdict.CREDENTIAL),
    FaultKind.FORBIDDEN: _upstream(502, "upstream_forbidden", "access was denied", verdict=Verdict.CREDENTIAL),
    FaultKind.NOT_FOUND: _upstream(502, "upstream_not_found", "it does not know the model", verdict=Verdict.IGNORED),
    FaultKind.THROTTLED: _upstream(429, "upstream_throttled", "it is throttling us", verdict=Verdict.THROTTLE),
    FaultKind.OVERLOADED: _upstream(503, "upstream_overloaded", "it is overloaded"),
    FaultKind.UPSTREAM_ERROR: _upstream(502, "upstream_error", "it answered with an error"),
    FaultKind.CONNECT: _upstream(502, "upstream_unreachable", "it could not be reached"),
    FaultKind.TLS: _upstream(502, "upstream_tls", "the TLS handshake failed"),
    FaultKind.EGRESS_REFUSED: _upstream(502, "egress_refused", "its address is outside allow_cidrs"),
    FaultKind.TIMEOUT_CONNECT: _upstream(504, "upstream_connect_timeout", "connecting took too long"),
    FaultKind.TIMEOUT_FIRST_TOKEN: _upstream(504, "first_token_timeout", "no output in time"),
    FaultKind.TIMEOUT_BETWEEN_BYTES: _upstream(504, "stream_stalled", "the stream fell silent"),
    FaultKind.TIMEOUT_ANSWER: _upstream(504, "answer_timeout", "no answer in time", moves_on=False),
    FaultKind.DEADLINE: _upstream(
        504, "deadline_exceeded", "the time for the whole call is over", verdict=Verdict.IGNORED, moves_on=False
    ),
    FaultKind.CUT: _upstream(502, "upstream_cut", "the answer broke off"),
    FaultKind.INTEGRITY: _upstream(502, "upstream_garbled", "a part of the answer could not be decoded"),
    FaultKind.PROTOCOL: _upstream(502, "upstream_protocol", "it broke the HTTP protocol"),
    FaultKind.REDIRECT: _upstream(502, "upstream_redirect", "it answered with a redirect, which is never followed"),
    FaultKind.CLIENT_GONE: KindFacts(
        moves_on=False, verdict=Verdict.IGNORED, status=499, type="client_closed", code="client_gone",
        text="the caller left",
    ),
    FaultKind.CLIENT_STALLED: KindFacts(
        moves_on=False, verdict=Verdict.IGNORED, status=499, type="client_closed", code="client_stalled",
        text="the caller stopped reading",
    ),
    FaultKind.INTERNAL: KindFacts(
        moves_on=False, verdict=Verdict.IGNORED, status=500, type="server_error", code="internal_error",
        text="hybridproxy failed; the log has the request id",
    ),
}  # fmt: skip


@value
class Fault:
    """One failure of one attempt, or of the call as a whole.

    Attributes:
        kind: what it is; `FACTS[kind]` says what follows.
        detail: what happened in words that may be shown to the caller; holds no key, no URL, no address. May be "".
        backend: the operator's name of the backend, "" when no backend was involved.
        status: the upstream's HTTP status (or the status it put into its body), None when there was none.
        code: the upstream's own error code, shortened and cleaned, None when there was none.
        retry_after: seconds after which the upstream asks to be called again, clamped; None when it said nothing.
        billed: the request was sent whole, so the upstream may charge for it.

    """

    kind: FaultKind
    detail: str = ""
    backend: str = ""
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    billed: bool = False

    @property
    def facts(self) -> KindFacts:
        """What follows from the kind."""
        return FACTS[self.kind]

    def sentence(self) -> str:
        """Return the fault in one sentence for people: backend, what happened, the upstream's status and words."""
        who = f"{self.backend}: " if self.backend else ""
        status = f" (HTTP {self.status})" if self.status else ""
        detail = f": {self.detail}" if self.detail else ""
        return f"{who}{FACTS[self.kind].text}{status}{detail}"
