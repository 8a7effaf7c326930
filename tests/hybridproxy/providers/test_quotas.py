"""What upstreams' headers say of quotas, in their own ways of writing, and in those of a hostile one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.quotas import MAX_LEFT, MAX_WAIT, read_quotas

WALL = 1_790_000_000.0


def told(provider: str, each: float = 1.0, /, **headers: str) -> list[tuple[int, float, bool]]:
    """Return what is read from these headers; `_` stands for `-`."""
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    read = read_quotas(PROVIDERS[provider].quotas, pairs, WALL, each)
    return [(left.amount, round(left.seconds, 4), left.tokens) for left in read]


def test_openai_tells_requests_and_tokens_of_buckets_that_fill() -> None:
    """One more request is there after its part of the time until the bucket is full."""
    left = told(
        "openai",
        1000.0,
        x_ratelimit_limit_requests="500",
        x_ratelimit_remaining_requests="0",
        x_ratelimit_reset_requests="1m0s",
        x_ratelimit_limit_tokens="30000",
        x_ratelimit_remaining_tokens="29000",
        x_ratelimit_reset_tokens="2s",
    )
    assert left == [(0, 0.12, False), (29_000, 0.0, True)]


def test_anthropic_writes_dates() -> None:
    """Of RFC 3339; its tokens are in quotas of their own for input and output."""
    left = told(
        "anthropic",
        500.0,
        anthropic_ratelimit_requests_remaining="12",
        anthropic_ratelimit_requests_reset="2026-09-21T14:13:50Z",
        anthropic_ratelimit_output_tokens_limit="16000",
        anthropic_ratelimit_output_tokens_remaining="0",
        anthropic_ratelimit_output_tokens_reset="2026-09-21T14:14:20",
    )
    assert left == [(12, 30.0, False), (0, 1.875, True)]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2m59.56s", 179.56), ("7.66s", 7.66), ("120ms", 0.12), ("6m0s", 360.0), ("1h2m3s", 3723.0), ("1d", MAX_WAIT),
        ("33.5", 33.5), ("0", 0.0), ("1790000040", 40.0), ("1790000040000", 40.0), ("1690000000", 0.0), (" 5 ", 5.0),
    ],
)  # fmt: skip
def test_every_way_to_write_a_time_is_read(written: str, seconds: float) -> None:
    """As a duration, as seconds, as a moment in seconds or in milliseconds; what is over is nothing."""
    left = told("groq", x_ratelimit_remaining_requests="7", x_ratelimit_reset_requests=written)
    assert left == [(7, seconds, False)]


def test_others_have_names_of_their_own() -> None:
    """Cerebras counts requests by the day and tokens by the minute, OpenRouter has one quota, Together two."""
    day = {"x_ratelimit_remaining_requests_day": "9", "x_ratelimit_reset_requests_day": "33011.38"}
    assert told("cerebras", 1.0, **day) == [(9, 33_011.38, False)]
    platform = {"x_ratelimit_limit": "20", "x_ratelimit_remaining": "0", "x_ratelimit_reset": "1790000030000"}
    assert told("openrouter", 1.0, **platform) == [(0, 30.0, False)]
    assert told("together", x_tokenlimit_remaining="100", x_tokenlimit_reset="1") == [(100, 1.0, True)]


@pytest.mark.parametrize(
    "written", ["", "soon", "-1", "nan", "inf", "1e9", "9" * 400, "2026-99-99", "1s2m", "ü", "0x1"]
)
def test_what_cannot_be_read_was_not_said(written: str) -> None:
    """Neither as an amount nor as a time."""
    assert told("groq", x_ratelimit_remaining_requests=written, x_ratelimit_reset_requests="1s") == []
    assert told("groq", x_ratelimit_remaining_requests="1", x_ratelimit_reset_requests=written) == []


def test_no_headers_say_nothing() -> None:
    """Nor does one of a pair alone, nor any to a provider that has none."""
    assert told("groq") == told("groq", content_type="application/json") == []
    assert told("groq", x_ratelimit_remaining_requests="1") == told("groq", x_ratelimit_reset_requests="1") == []
    assert told("vllm", x_ratelimit_remaining="0", x_ratelimit_reset="1") == []


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80))
def test_whatever_an_upstream_writes_is_within_bounds(limit: bytes, remaining: bytes, reset: bytes) -> None:
    """No exception, and no number outside what can be meant."""
    names = (b"x-ratelimit-limit-requests", b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests")
    headers = list(zip(names, (limit, remaining, reset), strict=True))
    for left in read_quotas(PROVIDERS["openai"].quotas, headers, WALL, 1.0):
        assert 0 <= left.amount <= MAX_LEFT
        assert 0 <= left.seconds <= MAX_WAIT
