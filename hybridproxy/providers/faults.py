"""Upstream errors -> one `Fault`, by rules that are data.

An error answer is read once (`read_error`), then the provider's rules are tried in order; the first that matches names
the kind. A rule matches by the HTTP status, by the beginning of the upstream's own code, by words of its message, or by
several of these together. Sources of the rules stand beside them.
"""

import base64
import html
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from hybridproxy.model.fault import FACTS, Fault, FaultKind
from hybridproxy.model.value import value

MAX_DETAIL = 300
"""Characters of an upstream's message that are kept."""

HIDDEN = "[…]"
"""Stands for what was taken out of a message."""

RETRY_AFTER_MIN, RETRY_AFTER_MAX, RETRY_AFTER_UNREADABLE = 1.0, 300.0, 5.0
"""Seconds; an upstream's Retry-After is clamped to this range, and taken as 5 s when it cannot be read."""

MAX_READ = 2048
"""Characters of an upstream's message that are looked at."""

MIN_SECRET = 6
"""Characters; what is shorter keeps no secret and may be a part of any word."""

TELLING = 8
"""Characters of a secret; whatever begins with them is one, whole or not."""

_CODE = re.compile(r"[A-Za-z0-9._ -]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
"""C0, C1, line separators, marks that turn the direction of text, and halves of surrogate pairs."""

# Each begins where the character before it could not belong to the same match, so that a long run is read once.
_HIDDEN = tuple(
    re.compile("".join(parts), re.IGNORECASE)
    for parts in (
        # a URL, with or without a scheme
        (r"(?<![\w+.-])(?:[\w+.-]++:)?//\S+|\bwww\.\S+",),
        # what follows a word that announces a secret; the word stays
        (r"(?:(?<=\bbearer)|(?<=\bbasic))\s+\S+",),
        (
            r"(?:(?<=key)|(?<=secret)|(?<=password)|(?<=authorization)|(?<=access token))(?: (?:provided|given|is))?",
            r"(?:[\"']?\s*[:=]\s*|\s+)(?=\S*\d)\S+",
        ),
        # keys by their usual beginnings, and anything long enough to be one
        (
            r"(?<![a-z0-9])(?:(?:sk|hp|pk|rk|gsk|fw|hf|tgp)[-_][\w.*-]{6,}|(?:key|tok|token)[-_](?=[\w.*-]*\d)[\w.*-]{6,}",
            r"|akia[a-z0-9]{12,}|aiza[\w-]{20,}|eyj[\w.-]{8,})",
        ),
        (r"(?<![a-z0-9_+-])[a-z0-9_+-]{40,}+=*|(?<![a-z0-9+/])[a-z0-9+/]{40,}+=*|(?<![a-z0-9])[a-z0-9]{32,}+",),
        # IPv4, IPv6, then a host with its port, but not `status:404` or a time of day
        (r"(?<!\d)\d++(?:\.\d++){3,}+(?::\d++)?",),
        (
            r"(?<!\w)(?:(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6})?::",
            r"(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6})?)(?:%\w+)?(?!\w)",
        ),
        (r"(?<![a-z0-9_.-])(?!(?:status|code|error|line|column):)(?=[0-9_.-]*[a-z])[a-z0-9_.-]++:\d{1,5}(?!\w)",),
    )
)


@value
class FaultRule:
    """One line of a fault table: all the conditions that are given must hold.

    Attributes:
        kind: what such an error is.
        status: lowest and highest HTTP status, or one status.
        code: beginnings of the upstream's code or type, compared without case.
        says: parts of the message, compared without case; one is enough.
        cool_off: seconds a target that throttles is left alone when it does not say for how long; None: the kind's.

    """

    kind: FaultKind
    status: int | tuple[int, int] | None = None
    code: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    cool_off: float | None = None

    def matches(self, error: "UpstreamError") -> bool:
        """Return whether the rule is about this error."""
        if self.status is not None:
            low, high = self.status if isinstance(self.status, tuple) else (self.status, self.status)
            if not low <= error.status <= high:
                return False
        if self.code and not any(name.startswith(self.code) for name in error.names):
            return False
        return not self.says or any(words in error.lower_message for words in self.says)


@value
class UpstreamError:
    """An error as an upstream put it: status (0: it named none), its names (lower case, code first), its words."""

    status: int
    names: tuple[str, ...]
    message: str

    @property
    def lower_message(self) -> str:
        """The message in lower case."""
        return self.message.lower()


OPENAI_FAULTS: tuple[FaultRule, ...] = (
    FaultRule(
        FaultKind.CONTEXT_TOO_LONG,
        code=("context_length_exceeded", "context_window_exceeded", "string_above_max_length"),
    ),
    FaultRule(
        FaultKind.CONTEXT_TOO_LONG,
        status=(400, 422),
        says=(
            "context length",
            "context window",
            "maximum context",
            "input length",
            "too many tokens",
            "max_model_len",
        ),
    ),
    FaultRule(FaultKind.CONTENT_REFUSED, code=("content_policy", "content_filter", "refusal")),
    # of the Responses API: what the caller refers to was never kept there, or no longer is
    FaultRule(
        FaultKind.INVALID_REQUEST,
        status=(400, 404),
        code=("previous_response_not_found", "conversation_not_found"),
    ),
    FaultRule(
        FaultKind.INVALID_REQUEST,
        status=(400, 404),
        says=("previous response", "previous_response_id", "item with id", "items are not persisted"),
    ),
    FaultRule(FaultKind.REDIRECT, status=(300, 399)),
    FaultRule(FaultKind.CREDENTIAL, status=401),
    FaultRule(FaultKind.QUOTA, status=402),
    FaultRule(FaultKind.FORBIDDEN, status=403),
    FaultRule(FaultKind.NOT_FOUND, status=(404, 405)),
    FaultRule(FaultKind.NOT_FOUND, status=410),
    FaultRule(FaultKind.OVERLOADED, status=(408, 409)),
    # Fireworks: the account is suspended; Portkey: its budget is spent
    FaultRule(FaultKind.QUOTA, status=412),
    # OpenAI's own meaning of this code: the account has no money left, waiting does not help.
    FaultRule(FaultKind.QUOTA, status=429, code=("insufficient_quota", "billing")),
    FaultRule(FaultKind.THROTTLED, status=429),
    # Groq: no flexible capacity; OpenRouter: the provider behind it closed the call
    FaultRule(FaultKind.OVERLOADED, status=(498, 499)),
    FaultRule(FaultKind.INVALID_REQUEST, status=(400, 499)),
    # the model cannot do what the path asks for (vLLM): true for every caller, and no sign of illness
    FaultRule(FaultKind.NOT_FOUND, status=501),
    FaultRule(FaultKind.OVERLOADED, status=(502, 504)),
    FaultRule(FaultKind.OVERLOADED, status=(520, 529)),
    # inside an answer or a stream there may be no status, only a code
    FaultRule(FaultKind.CREDENTIAL, code=("invalid_api_key", "authentication")),
    FaultRule(FaultKind.QUOTA, code=("insufficient_quota", "billing")),
    FaultRule(FaultKind.THROTTLED, code=("rate_limit", "too_many_requests")),
    FaultRule(FaultKind.INVALID_REQUEST, code=("invalid_request",)),
    FaultRule(FaultKind.OVERLOADED, code=("overloaded", "service_unavailable", "timeout")),
)
"""What most OpenAI-compatible servers mean."""

UNNAMED = FaultRule(FaultKind.UPSTREAM_ERROR)
"""Stands for the rule of an error that no rule names."""


def read_error(status: int, body: Any) -> UpstreamError:
    """Return the error in an answer, in whichever of the known shapes it came.

    Shapes: `{"error": {message, type, code, …}}` (OpenAI and most), `{"error": "text"}` (vLLM's 401, TensorRT-LLM),
    flat `{"object": "error", message, type, code}` (SGLang, TensorRT-LLM, Cerebras), `{code, message, request_id}`
    (DashScope native), `{code, reason, message}` (Novita), `{"detail": …}` (servers made with FastAPI), and a list of
    one of these (Gemini, whose name of an error is `status`). A code that is a number between 400 and 599, or a text of
    one (LiteLLM), is the status where HTTP said 200.
    """
    if isinstance(body, list) and body and isinstance(body[0], Mapping):
        body = body[0]
    error = (body.get("error") or body) if isinstance(body, Mapping) else body
    if isinstance(error, str):
        return UpstreamError(_embedded(status, None), (), error[:MAX_READ])
    if not isinstance(error, Mapping):
        return UpstreamError(_embedded(status, None), (), "")
    metadata = error.get("metadata")
    inner = metadata.get("error_type") if isinstance(metadata, Mapping) else None
    named = ("code", "reason", "error_type", None, "type", "status")
    given = [inner if field is None else error.get(field) for field in named]
    names = tuple(name[:64].lower() for name in given if isinstance(name, str) and name and not name.isdigit())
    numbers = map(
        _status_in, (error.get("http_status"), error.get("code"), error.get("status"), body.get("status_code"))
    )
    number = next((number for number in numbers if number), None)
    message = next((text for text in (error.get("message"), _detail(error.get("detail"))) if isinstance(text, str)), "")
    return UpstreamError(_embedded(status, number), names, message[:MAX_READ])


def classify(
    rules: Sequence[FaultRule],
    status: int,
    body: Any,
    *,
    backend: str,
    secret: str = "",
    retry_after: str | None = None,
    wall: float = 0.0,
    billed: bool = False,
) -> Fault:
    """Return the one fault that an error answer is.

    Args:
        rules: the provider's table.
        status: the HTTP status; 200 for an error inside an answer or a stream.
        body: the parsed body or error event, None when it was not JSON.
        backend: the operator's name of the backend.
        secret: the key that was sent; an upstream that repeats it tells it nobody.
        retry_after: the Retry-After header.
        wall: seconds since the epoch, to read a Retry-After that is a date.
        billed: a part of an answer came before it; a refusal costs nothing.

    """
    error = read_error(status, body)
    rule = next((rule for rule in rules if rule.matches(error)), UNNAMED)
    facts = FACTS[rule.kind]
    code = next((name for name in error.names if _CODE.fullmatch(name) and clean(name, secret) == name), None)
    return Fault(
        kind=rule.kind,
        backend=backend,
        status=error.status or None,
        code=code,
        retry_after=None if retry_after is None else parse_retry_after(retry_after, wall),
        cool_off=facts.cool_off if rule.cool_off is None else rule.cool_off,
        billed=billed,
        words=clean(error.message, secret),
    )


def clean(message: str, secret: str = "") -> str:
    """Return an upstream's message without this secret, URLs, keys, addresses and control characters, shortened."""
    text = _CONTROL.sub(" ", message[:MAX_READ])
    if len(message) >= MAX_READ:
        text = text.rpartition(" ")[0]  # half a key would not be known as one
    if len(secret) >= MIN_SECRET:
        text = re.sub("|".join(_forms(secret)), HIDDEN, text, flags=re.IGNORECASE)
    for pattern in _HIDDEN:
        text = pattern.sub(HIDDEN, text)
    text = text.strip()
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1] + "…"


def _forms(secret: str) -> Iterator[str]:
    """Return patterns of what repeats a secret: whatever begins as it does, or as it does in base64, up to a space.

    So a part of it is found, too, and one whose end was masked; in each character's spellings in URLs, JSON and HTML.
    """
    for form in (secret, base64.b64encode(secret.encode()).decode()):
        yield "".join(map(_spelled, form[:TELLING])) + r"\S*"


def _spelled(character: str) -> str:
    """Return a pattern of one character of a secret, however it is escaped."""
    if character.isalnum():
        return character
    plain, code = re.escape(character), ord(character)
    other = {"+": "|-", "/": "|_"}.get(character, "")  # the alphabet of base64 in URLs
    return rf"(?:\\*{plain}|%{code:02x}|&#0*{code};|&#x0*{code:x};|{re.escape(html.escape(character))}{other})"


def parse_retry_after(value: str, wall: float) -> float:
    """Return the seconds of a Retry-After header (a number or an HTTP date), clamped; 5 s when it cannot be read."""
    text = value.strip()[:64]
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - wall
        except (ValueError, TypeError, OverflowError, OSError):
            return RETRY_AFTER_UNREADABLE
    if seconds != seconds or seconds < 0:  # noqa: PLR0124 - NaN is the only number that differs from itself
        return RETRY_AFTER_UNREADABLE
    return min(max(seconds, RETRY_AFTER_MIN), RETRY_AFTER_MAX)


def _detail(detail: Any) -> Any:
    """Return the words in FastAPI's `detail`: a text, an object with an `error`, or a list of what is not valid."""
    if isinstance(detail, list) and detail:
        detail = detail[0]
    if isinstance(detail, Mapping):
        return detail.get("error") or detail.get("msg")
    return detail


def _status_in(value: Any) -> int | None:
    """Return the status that a value is, as a number or a text; None for any other value."""
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
        value = int(value)
    return value if type(value) is int and 400 <= value <= 599 else None


def _embedded(status: int, number: int | None) -> int:
    """Return the status an error stands for: what HTTP said, or inside a 200 what the body says, or 0."""
    return status if status >= 300 else number or 0
