"""What an upstream's headers say of how much of a quota is left.

A row names three headers of one quota. When it is full again is said in many ways, all of which are understood: as
"6m0s", "120ms" or "2m59.56s", as seconds, as a date of RFC 3339, as seconds or milliseconds since the epoch.

Sources: OpenAI, guides/rate-limits; Anthropic, api/rate-limits (buckets that fill continuously, tokens rounded to
thousands); Groq, docs/rate-limits (requests are those of a day, tokens those of a minute); Cerebras,
support/rate-limits (the same, as seconds); Together by a secondary source of 2026-09; OpenRouter on its own 429s alone.
Fireworks tells only how large its limits are, and DashScope tells nothing.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from hybridproxy.model.value import value

MAX_WAIT: Final = 86_400.0
MAX_LEFT: Final = 1_000_000_000


@value
class Quota:
    """One quota's headers.

    Attributes:
        remaining: the header that says how much is left.
        reset: the one that says when all of it is there again.
        limit: the one that says how much all of it is; "": there is none.
        tokens: it counts tokens, not requests.
        refills: it fills continuously, so that some is there before all of it is.

    """

    remaining: bytes
    reset: bytes
    limit: bytes = b""
    tokens: bool = False
    refills: bool = False


def _named(form: str, *, tokens: bool = False, refills: bool = False) -> Quota:
    """Return the row of a quota whose three headers differ in one word."""
    limit, remaining, reset = (form.replace("*", word).encode() for word in ("limit", "remaining", "reset"))
    return Quota(remaining, reset, limit, tokens, refills)


OPENAI_QUOTAS: Final = (
    _named("x-ratelimit-*-requests", refills=True),
    _named("x-ratelimit-*-tokens", tokens=True, refills=True),
)
GROQ_QUOTAS: Final = (_named("x-ratelimit-*-requests"), _named("x-ratelimit-*-tokens", tokens=True))
CEREBRAS_QUOTAS: Final = (_named("x-ratelimit-*-requests-day"), _named("x-ratelimit-*-tokens-minute", tokens=True))
TOGETHER_QUOTAS: Final = (_named("x-ratelimit-*"), _named("x-tokenlimit-*", tokens=True))
OPENROUTER_QUOTAS: Final = (_named("x-ratelimit-*"),)
ANTHROPIC_QUOTAS: Final = (
    _named("anthropic-ratelimit-requests-*", refills=True),
    *(
        _named(f"anthropic-ratelimit-{kind}-*", tokens=True, refills=True)
        for kind in ("tokens", "input-tokens", "output-tokens")
    ),
)


@value
class Remaining:
    """So many requests or tokens are left, and more are there in so many seconds."""

    amount: int
    seconds: float
    tokens: bool


def read_quotas(
    quotas: Sequence[Quota], headers: Sequence[tuple[bytes, bytes]], wall: float, each: float = 1.0
) -> list[Remaining]:
    """Return what headers say is left; what cannot be read was not said.

    Args:
        quotas: the provider's rows.
        headers: an answer's, with names in lower case.
        wall: seconds since the epoch.
        each: tokens of the usual call: so many have to be there again for one more, where a quota fills continuously.

    """
    given = {name: said for name, said in headers if b"limit" in name}
    found: list[Remaining] = []
    if not given:
        return found
    for quota in quotas:
        amount = _number(given.get(quota.remaining))
        seconds = _seconds(given.get(quota.reset), wall)
        if amount is None or seconds is None:
            continue
        limit = _number(given.get(quota.limit))
        if quota.refills and limit is not None and limit > amount:
            needed = max(0.0, (each if quota.tokens else 1.0) - amount)
            seconds *= min(1.0, needed / (limit - amount))
        found.append(Remaining(int(amount), seconds, quota.tokens))
    return found


_NUMBER = re.compile(rb"[0-9]{1,15}(?:\.[0-9]{0,9})?")
_LASTS = re.compile(
    rb"(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,5})m(?!s))?"
    rb"(?:(\d{1,6}(?:\.\d{0,9})?)s)?(?:(\d{1,9}(?:\.\d{0,9})?)ms)?"
)
_UNITS: Final = (86_400.0, 3600.0, 60.0, 1.0, 0.001)


def _number(said: bytes | None) -> float | None:
    if said is None or not _NUMBER.fullmatch(said.strip()):
        return None
    return min(float(said), float(MAX_LEFT))


def _seconds(said: bytes | None, wall: float) -> float | None:
    """Return the seconds until a quota is full, from 0 to a day."""
    if said is None or len(said) > 64:
        return None
    said = said.strip()
    if _NUMBER.fullmatch(said):
        seconds = float(said)
        if seconds > 1e9:  # a moment: in milliseconds, where it would be in another age otherwise
            seconds = (seconds / 1000 if seconds > 1e11 else seconds) - wall
    elif said and (lasts := _LASTS.fullmatch(said)):
        seconds = sum(float(part) * unit for part, unit in zip(lasts.groups(), _UNITS, strict=True) if part)
    else:
        try:
            date = datetime.fromisoformat(said.decode())
        except ValueError:
            return None
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - wall
    return min(max(0.0, seconds), MAX_WAIT)
