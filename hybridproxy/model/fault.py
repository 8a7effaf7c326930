"""What can go wrong with a call, as one value.

Every failure becomes exactly one `Fault`, classified once by the provider's table. `FACTS` says what follows from its
kind: whose doing it is, where the call may be tried again, what it counts for in the breaker, and what the caller is
told. Nothing else in the flow looks at statuses or exceptions.
"""

from dataclasses import field
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
    DIFFERS = auto()
    UNPINNED = auto()
    PROTOCOL = auto()
    REDIRECT = auto()
    # ours
    CLIENT_GONE = auto()
    CLIENT_STALLED = auto()
    AUDIT = auto()
    LIMITED = auto()
    INTERNAL = auto()


class Verdict(Enum):
    """What an attempt's outcome means for the health of its backend."""

    OK = auto()
    FAULT = auto()
    THROTTLE = auto()
    CREDENTIAL = auto()
    IGNORED = auto()


class Source(Enum):
    """Whose doing a fault is."""

    CALLER = "caller"
    CREDENTIAL = "credential"
    UPSTREAM = "upstream"
    WAY = "way"
    US = "us"


class Retry(Enum):
    """Where a call that met a fault before its first output may be tried again."""

    HERE = auto()
    """At the same backend after a pause, or elsewhere."""
    ELSEWHERE = auto()
    """Not where it happened: at another endpoint, with another key, at another backend."""
    NEVER = auto()


class Scope(Enum):
    """What a refused credential is not used for any more."""

    CREDENTIAL = auto()
    """Anything: it is unknown, or its account has no money."""
    TARGET = auto()
    """This model at this endpoint: the key is good, but not for that."""


@value
class KindFacts:
    """What follows from a kind.

    Attributes:
        source: whose doing it is.
        retry: where the call may be tried again.
        verdict: what the breaker hears.
        status: what the caller gets, with `type`, `code` and `text`.
        cool_off: seconds a throttled target is left alone when the upstream does not say for how long.
        scope: for a refused credential, what it is not used for any more.
        sent_nothing: no byte of the request left, so nobody can have worked on it or charge for it.

    """

    source: Source
    retry: Retry
    verdict: Verdict
    status: int
    type: str
    code: str
    text: str
    cool_off: float = 0.0
    scope: Scope = Scope.TARGET
    sent_nothing: bool = False


def _caller(status: int, code: str, text: str, *, retry: Retry = Retry.NEVER) -> KindFacts:
    return KindFacts(Source.CALLER, retry, Verdict.IGNORED, status, "invalid_request_error", code, text)


def _credential(code: str, text: str, *, scope: Scope) -> KindFacts:
    return KindFacts(
        Source.CREDENTIAL, Retry.ELSEWHERE, Verdict.CREDENTIAL, 502, "upstream_error", code, text, scope=scope
    )


def _upstream(
    status: int, code: str, text: str, *, verdict: Verdict = Verdict.FAULT, retry: Retry = Retry.HERE, cool: float = 0
) -> KindFacts:
    return KindFacts(Source.UPSTREAM, retry, verdict, status, "upstream_error", code, text, cool)


def _way(status: int, code: str, text: str, *, retry: Retry = Retry.ELSEWHERE, sent_nothing: bool = True) -> KindFacts:
    return KindFacts(Source.WAY, retry, Verdict.FAULT, status, "upstream_error", code, text, sent_nothing=sent_nothing)


def _ours(status: int, type_: str, code: str, text: str, *, sent_nothing: bool = False) -> KindFacts:
    return KindFacts(Source.US, Retry.NEVER, Verdict.IGNORED, status, type_, code, text, sent_nothing=sent_nothing)


FACTS: dict[FaultKind, KindFacts] = {
    FaultKind.INVALID_REQUEST: _caller(400, "invalid_request", "the request was refused as invalid"),
    FaultKind.CONTEXT_TOO_LONG: _caller(
        400, "context_length_exceeded", "the input is longer than the model's context window", retry=Retry.ELSEWHERE
    ),
    FaultKind.CONTENT_REFUSED: _caller(400, "content_policy_violation", "the content was refused"),
    FaultKind.CREDENTIAL: _credential("upstream_credential", "our key was refused", scope=Scope.CREDENTIAL),
    FaultKind.QUOTA: _credential("upstream_quota", "our account is out of quota", scope=Scope.CREDENTIAL),
    FaultKind.FORBIDDEN: _credential("upstream_forbidden", "access was denied", scope=Scope.TARGET),
    FaultKind.NOT_FOUND: _upstream(
        502, "upstream_not_found", "it does not know the model", verdict=Verdict.IGNORED, retry=Retry.ELSEWHERE
    ),
    # without a Retry-After: one second, so that an upstream that says nothing is not asked in a tight loop either
    FaultKind.THROTTLED: _upstream(
        429, "upstream_throttled", "it is throttling us", verdict=Verdict.THROTTLE, cool=1.0
    ),
    FaultKind.OVERLOADED: _upstream(503, "upstream_overloaded", "it is overloaded"),
    FaultKind.UPSTREAM_ERROR: _upstream(502, "upstream_error", "it answered with an error"),
    FaultKind.CONNECT: _way(502, "upstream_unreachable", "it could not be reached", retry=Retry.HERE),
    FaultKind.TLS: _way(502, "upstream_tls", "the TLS handshake failed"),
    FaultKind.EGRESS_REFUSED: _way(502, "egress_refused", "its address is outside allow_cidrs"),
    FaultKind.TIMEOUT_CONNECT: _way(504, "upstream_connect_timeout", "connecting took too long"),
    # who is silent is not asked again: see `Retry.ELSEWHERE`
    FaultKind.TIMEOUT_FIRST_TOKEN: _way(504, "first_token_timeout", "no output in time", sent_nothing=False),
    FaultKind.TIMEOUT_BETWEEN_BYTES: _way(504, "stream_stalled", "the stream fell silent", sent_nothing=False),
    FaultKind.TIMEOUT_ANSWER: _way(504, "answer_timeout", "no answer in time", sent_nothing=False),
    FaultKind.DEADLINE: _ours(504, "upstream_error", "deadline_exceeded", "the time for the whole call is over"),
    FaultKind.CUT: _upstream(502, "upstream_cut", "the answer broke off"),
    FaultKind.INTEGRITY: _upstream(502, "upstream_garbled", "a part of the answer could not be decoded"),
    # another answer than the one that broke off, or one that cannot be joined to it: models may, so it is no fault
    FaultKind.DIFFERS: _upstream(
        502,
        "upstream_differs",
        "its answer is not the one the caller has the beginning of",
        verdict=Verdict.IGNORED,
        retry=Retry.ELSEWHERE,
    ),
    # it has the prompt by then: who pins providers has to hear of it
    FaultKind.UNPINNED: _upstream(
        502, "upstream_unpinned", "another provider than the pinned ones answered", retry=Retry.ELSEWHERE
    ),
    FaultKind.PROTOCOL: _upstream(502, "upstream_protocol", "it broke the HTTP protocol", retry=Retry.ELSEWHERE),
    FaultKind.REDIRECT: _upstream(
        502, "upstream_redirect", "it answered with a redirect, which is never followed", retry=Retry.ELSEWHERE
    ),
    FaultKind.CLIENT_GONE: _ours(499, "client_closed", "client_gone", "the caller left"),
    FaultKind.CLIENT_STALLED: _ours(499, "client_closed", "client_stalled", "the caller stopped reading"),
    # a sovereign call that leaves no record does not leave at all; no other backend would change that
    FaultKind.AUDIT: _ours(
        503,
        "server_error",
        "audit_unavailable",
        "the audit log cannot be written, so nothing was sent",
        sent_nothing=True,
    ),
    # nothing was sent: we know ourselves that it would be too much. It comes to no attempt, so nothing retries it
    FaultKind.LIMITED: _ours(
        503, "upstream_error", "upstream_limit_reached", "what we may send it is used up for now", sent_nothing=True
    ),
    FaultKind.INTERNAL: _ours(500, "server_error", "internal_error", "hybridproxy failed; the log has the request id"),
}


@value
class Fault:
    """One failure of one attempt, or of the call as a whole.

    Attributes:
        kind: what it is; `FACTS[kind]` says what follows.
        detail: what happened, in words of our own that may be shown to anybody: no key, no URL, no address. May be "".
        backend: the operator's name of the backend, "" when no backend was involved.
        status: the upstream's HTTP status (or the status it put into its body), None when there was none.
        code: the upstream's own error code, shortened and cleaned, None when there was none.
        retry_after: seconds after which the upstream asks to be called again, clamped; None when it said nothing.
        cool_off: seconds a throttled target is left alone when there is no `retry_after`.
        billed: the request was sent whole and not refused, so the upstream may charge for it.
        words: the upstream's words about it, for the caller alone: they may repeat the prompt, but no key of ours.

    """

    kind: FaultKind
    detail: str = ""
    backend: str = ""
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    cool_off: float = 0.0
    billed: bool = False
    words: str = field(default="", repr=False)

    @property
    def facts(self) -> KindFacts:
        """What follows from the kind."""
        return FACTS[self.kind]

    def sentence(self) -> str:
        """Return the fault in one sentence for the caller: backend, what happened, the upstream's status and words."""
        return self._said(self.detail, self.words)

    def logged(self) -> str:
        """Return the sentence without the upstream's words: a log is read by people who may not see a prompt."""
        return self._said(self.detail)

    def _said(self, *more: str) -> str:
        who = f"{self.backend}: " if self.backend else ""
        status = f" (HTTP {self.status})" if self.status else ""
        rest = "; ".join(filter(None, more))
        return f"{who}{FACTS[self.kind].text}{status}{': ' if rest else ''}{rest}"
