"""Tests of reading, naming and cleaning upstreams' errors."""

import base64
import html
import ipaddress
import json
import re
import string
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers import PROVIDERS, faults
from hybridproxy.providers.faults import (
    HIDDEN,
    MAX_DETAIL,
    OPENAI_FAULTS,
    FaultRule,
    UpstreamError,
    classify,
    clean,
    parse_retry_after,
    read_error,
)

# ---- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"error": {"message": "m", "type": "T", "code": "C"}}, UpstreamError(400, ("c", "t"), "m")),
        (401, {"error": "Unauthorized"}, UpstreamError(401, (), "Unauthorized")),
        (400, {"object": "error", "message": "m", "type": "T", "code": 400}, UpstreamError(400, ("t",), "m")),
        (400, {"code": "InvalidParameter", "message": "m"}, UpstreamError(400, ("invalidparameter",), "m")),
        (404, {"detail": "Not Found"}, UpstreamError(404, (), "Not Found")),
        (500, {"error": None, "message": "m"}, UpstreamError(500, (), "m")),
        (200, {"error": {"code": 502, "message": "m"}}, UpstreamError(502, (), "m")),
        (200, {"error": {"http_status": 429, "error_type": "e"}}, UpstreamError(429, ("e",), "")),
        (200, {"error": {"status": 403, "metadata": {"error_type": "e"}}}, UpstreamError(403, ("e",), "")),
        (200, {"error": {"code": 200, "message": 5}}, UpstreamError(0, (), "")),
        (200, {"error": {"code": True, "metadata": "x"}}, UpstreamError(0, (), "")),
        (503, None, UpstreamError(503, (), "")),
        (503, ["x"], UpstreamError(503, (), "")),
        (302, {}, UpstreamError(302, (), "")),
        (429, [{"error": {"code": 429, "message": "m", "status": "S"}}], UpstreamError(429, ("s",), "m")),
        (403, {"code": 403, "reason": "R", "message": "m"}, UpstreamError(403, ("r",), "m")),
        (200, {"error": {"code": "429", "type": "T", "message": "m"}}, UpstreamError(429, ("t",), "m")),
        (200, {"error": {"code": "c", "message": "m"}, "status_code": 503}, UpstreamError(503, ("c",), "m")),
        (429, {"detail": {"error": "busy"}}, UpstreamError(429, (), "busy")),
        (422, {"detail": [{"loc": ["body"], "msg": "m"}]}, UpstreamError(422, (), "m")),
        (422, {"detail": []}, UpstreamError(422, (), "")),
        (503, [], UpstreamError(503, (), "")),
    ],
)
def test_every_known_shape_is_read(status: int, body: Any, error: UpstreamError) -> None:
    """Status, names and words come out of each; inside a 200 the body's own status counts."""
    assert read_error(status, body) == error


# ---- naming ----------------------------------------------------------------------------------------------------------

COMMON = [
    (400, "context_length_exceeded", "", FaultKind.CONTEXT_TOO_LONG),
    (400, "", "This model's maximum context length is 4096 tokens", FaultKind.CONTEXT_TOO_LONG),
    (400, "content_policy_violation", "", FaultKind.CONTENT_REFUSED),
    (400, "previous_response_not_found", "", FaultKind.INVALID_REQUEST),
    (404, "", "Item with id 'rs_1' not found.", FaultKind.INVALID_REQUEST),
    (307, "", "", FaultKind.REDIRECT),
    (401, "", "", FaultKind.CREDENTIAL),
    (402, "", "", FaultKind.QUOTA),
    (403, "", "", FaultKind.FORBIDDEN),
    (404, "", "", FaultKind.NOT_FOUND),
    (410, "", "", FaultKind.NOT_FOUND),
    (409, "", "", FaultKind.OVERLOADED),
    (412, "", "", FaultKind.QUOTA),
    (429, "insufficient_quota", "", FaultKind.QUOTA),
    (429, "", "", FaultKind.THROTTLED),
    (498, "", "", FaultKind.OVERLOADED),
    (422, "", "", FaultKind.INVALID_REQUEST),
    (501, "", "", FaultKind.NOT_FOUND),
    (503, "", "", FaultKind.OVERLOADED),
    (529, "", "", FaultKind.OVERLOADED),
    (200, "invalid_api_key", "", FaultKind.CREDENTIAL),
    (200, "insufficient_quota", "", FaultKind.QUOTA),
    (200, "rate_limit_exceeded", "", FaultKind.THROTTLED),
    (200, "invalid_request_error", "", FaultKind.INVALID_REQUEST),
    (200, "overloaded_error", "", FaultKind.OVERLOADED),
]


@pytest.mark.parametrize(("status", "code", "message", "kind"), COMMON)
def test_the_common_table_names_the_kind(status: int, code: str, message: str, kind: FaultKind) -> None:
    """What most servers mean, before a stream by the status and inside it by the code."""
    assert classify(OPENAI_FAULTS, status, {"error": {"code": code, "message": message}}, backend="b").kind is kind


def test_the_cases_above_need_every_rule_of_the_common_table() -> None:
    """No rule is there that no case decides."""
    errors = [read_error(status, {"error": {"code": code, "message": words}}) for status, code, words, _ in COMMON]
    deciding = [next(rule for rule in OPENAI_FAULTS if rule.matches(error)) for error in errors]
    assert [rule for rule in OPENAI_FAULTS if rule not in deciding] == []


@pytest.mark.parametrize("status", [418, 451, 500, 505, 599])
def test_what_no_rule_names_is_the_callers_or_the_upstreams_by_its_class(status: int) -> None:
    """4xx is the caller's doing, everything else the upstream's."""
    expected = FaultKind.INVALID_REQUEST if status < 500 else FaultKind.UPSTREAM_ERROR
    assert classify(OPENAI_FAULTS, status, None, backend="b").kind is expected


def test_a_rule_asks_for_all_of_its_conditions() -> None:
    """Status, code and words together; of several words one is enough."""
    rule = FaultRule(FaultKind.QUOTA, status=(400, 429), code=("bill",), says=("overdue", "unpaid"))
    assert rule.matches(UpstreamError(429, ("billing",), "It is UNPAID"))
    assert not rule.matches(UpstreamError(430, ("billing",), "unpaid"))
    assert not rule.matches(UpstreamError(429, ("x",), "unpaid"))
    assert not rule.matches(UpstreamError(429, ("billing",), "paid"))


def test_a_fault_keeps_what_people_need() -> None:
    """Backend, status, code, cleaned words, and how long to wait; a refusal is not billed."""
    body = {"error": {"message": "Rate limit at https://x.example/keys", "type": "requests", "code": "rate_limit"}}
    fault = classify(OPENAI_FAULTS, 429, body, backend="together-us", retry_after="7")
    assert (fault.backend, fault.status, fault.code, fault.retry_after) == ("together-us", 429, "rate_limit", 7.0)
    assert (fault.words, fault.detail) == (f"Rate limit at {HIDDEN}", "")
    assert not fault.billed
    assert classify(OPENAI_FAULTS, 200, body, backend="b", billed=True).billed


SECRET = "QuietOtter:Below/The+Bridge&'"


@pytest.mark.parametrize(
    "said",
    [
        SECRET,
        SECRET.lower(),
        quote(SECRET),
        quote(SECRET, safe=""),
        html.escape(SECRET),
        json.dumps(SECRET).replace("/", "\\/").strip('"'),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        SECRET[:14] + "...",
        SECRET[:8] + "****" + SECRET[-8:],
        "." * (faults.MAX_READ - 16) + " " + SECRET,
    ],
)
def test_an_upstream_that_repeats_our_key_tells_it_nobody(said: str) -> None:
    """However it is spelled, cut or masked, what begins like the key that was sent is taken out, words or not."""
    body = {"error": {"message": f"no: {said} is unknown"}}
    words = classify(OPENAI_FAULTS, 400, body, backend="b", secret=SECRET).words
    assert words.startswith("no: ")
    assert not re.search("otter|below|bridge|dG9|XRPdH", words, re.IGNORECASE)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=faults.MIN_SECRET, max_size=200))
def test_any_key_is_taken_out(secret: str) -> None:
    """Whatever characters it is made of."""
    assert secret.lower() not in clean(f"no: {secret} is unknown", secret).lower()


def test_a_code_that_is_our_key_is_left_out() -> None:
    """Nor is the field for the code a way around that."""
    body = {"error": {"code": "quietotterbridge", "type": "server_error"}}
    assert classify(OPENAI_FAULTS, 500, body, backend="b", secret="QuietOtterBridge").code == "server_error"


def test_a_key_too_short_to_be_one_leaves_words_alone() -> None:
    """An engine without authentication may have any key: `x` in a message says nothing of it."""
    body = {"error": {"message": "max_tokens is too large"}}
    assert classify(OPENAI_FAULTS, 400, body, backend="b", secret="max").words == "max_tokens is too large"


def test_a_status_that_nobody_gave_is_not_invented() -> None:
    """An error inside a stream without a number has no status to show."""
    assert classify(OPENAI_FAULTS, 200, {"error": {"message": "m"}}, backend="b").status is None


@pytest.mark.parametrize("code", ["sk-proj-abcdefghij", "10.0.0.1", "vllm-0.internal:8000", "a\nb", "x" * 65, "日本"])
def test_a_code_that_is_none_is_left_out(code: str) -> None:
    """The field for the code is no way around the cleaning of words."""
    body = {"error": {"code": code, "type": "server_error"}}
    assert classify(OPENAI_FAULTS, 500, body, backend="b").code == "server_error"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["error", "code", "type", "message", "metadata", "error_type", "status", "detail"])
            | st.text(),
            inner,
        )
    ),
)


@given(st.sampled_from(sorted(PROVIDERS)), st.integers(200, 599), JSON, st.none() | st.text())
def test_any_answer_is_exactly_one_fault(provider: str, status: int, body: Any, retry_after: str | None) -> None:
    """Whatever an upstream sends: no exception, bounded words, a wait within the clamp."""
    fault = classify(PROVIDERS[provider].faults, status, body, backend="b", retry_after=retry_after, wall=0.0)
    assert len(fault.detail) <= MAX_DETAIL
    assert fault.retry_after is None or 1 <= fault.retry_after <= 300
    assert (fault.retry_after is None) == (retry_after is None)


# ---- waiting ---------------------------------------------------------------------------------------------------------

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        (" 2.5 ", 2.5),
        ("0", 1),
        ("1000000000", 300),
        ("inf", 300),
        ("-1", 5),
        ("nan", 5),
        ("junk", 5),
        ("", 5),
        ("9" * 5000, 300),
        (format_datetime(NOON.replace(second=42), usegmt=True), 42),
        ("Mon, 23 Nov 2026 12:00:42 -0000", 42),
        (format_datetime(NOON.replace(hour=11), usegmt=True), 5),
        ("Mon, 23 Nov 99999 12:00:42 GMT", 5),
    ],
)
def test_a_wait_is_read_and_clamped(value: str, seconds: float) -> None:
    """A number, a date, or nonsense: a wait of one second to five minutes comes out."""
    assert parse_retry_after(value, NOON.timestamp()) == seconds


def test_a_date_without_a_zone_is_universal_time_wherever_the_proxy_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP's dates are always GMT; the machine's own zone has no say."""
    with monkeypatch.context() as place:
        place.setenv("TZ", "SGT-8")
        time.tzset()
        wait = parse_retry_after("Mon, 23 Nov 2026 12:00:42 -0000", NOON.timestamp())
    time.tzset()
    assert wait == 42


# ---- cleaning --------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["error", "at", "model", "Qwen/Qwen3-235B-A22B", "failed:", "(", "'", '"', "=", "for", "ip:", "."]
)
AROUND = st.lists(WORDS, max_size=4).map(" ".join)
SEPARATORS = st.sampled_from([" ", "=", "(", "'", '"', ": ", "[", ",", "\n", "\u2028"])
LABELS = st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
TAILS = st.text(string.ascii_letters + string.digits, min_size=16, max_size=64)
KEYS = st.one_of(
    st.builds(
        "{}{}".format, st.sampled_from(["sk-", "sk-or-v1-", "sk-ws-", "hp_", "gsk_", "fw_", "hf_", "tgp_v1_"]), TAILS
    ),
    st.text(string.ascii_letters + string.digits + "-_", min_size=43, max_size=80),
    st.text("0123456789abcdef", min_size=32, max_size=64),
)
ENDS = st.sampled_from(["", " ", "'", ")", ", try again", ": connection refused", "\n"])


def told(before: str, separator: str, secret: str, after: str) -> str:
    """An upstream's message around something that must not pass, cleaned."""
    return clean(before + separator + secret + after)


@given(AROUND, SEPARATORS, KEYS, ENDS)
def test_no_key_passes(before: str, separator: str, key: str, after: str) -> None:
    """Neither ours nor a tenant's, however it is quoted."""
    assert key[-12:] not in told(before, separator, key, after)


@given(AROUND, SEPARATORS, st.ip_addresses(), st.sampled_from(["", ":8000", "/24"]), ENDS)
def test_no_ip_address_passes(before: str, separator: str, address: Any, more: str, after: str) -> None:
    """The network behind the proxy is nobody's business, in either version's notation."""
    message = told(before, separator, str(address) + more, after)
    assert str(address) not in message or str(address) == "::"  # as punctuation it names nobody
    for word in message.replace(HIDDEN, " ").replace("/", " ").replace("[", " ").split():
        with pytest.raises(ValueError, match="does not appear"):
            ipaddress.ip_address(word.strip("'\"(),=."))


@given(AROUND, SEPARATORS, HOSTS, st.integers(1, 65535), ENDS)
def test_no_host_with_its_port_passes(before: str, separator: str, host: str, port: int, after: str) -> None:
    """Neither `localhost:8000` nor `vllm-0.vllm.svc:443`; only words of the trade may stand before a number."""
    if host not in {"status", "code", "error", "line", "column"}:
        assert f"{host}:{port}" not in told(before, separator, host, f":{port}{after}")


@given(AROUND, SEPARATORS, st.sampled_from(["https", "http", "redis", "s3+x"]), HOSTS, TAILS)
def test_no_url_passes(before: str, separator: str, scheme: str, host: str, path: str) -> None:
    """Neither its host nor its path, which may hold a token."""
    message = told(before, separator, f"{scheme}://user:pass@{host}/{path}?q=1", " more")
    assert "://" not in message
    assert path not in message
    assert message.endswith("more")


@pytest.mark.parametrize(
    "secret",
    [
        "Authorization: Bearer abc",
        "bearer abcdef",
        "api_key=hunter22",
        "'api-key': 'hunter22'",
        "Incorrect API key provided: hunter22.",
        "token-hunter22",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "AKIAIOSFODNN7EXAMPLE",
        "www.example.com/keys/hunter22",
        "//internal.example/hunter22",
        "::ffff:10.0.0.1",
        "fe80::1%eth0",
    ],
)
def test_secrets_in_other_forms_do_not_pass(secret: str) -> None:
    """What follows an announcing word, and forms that no generator above makes."""
    message = clean(f"failed with {secret}")
    assert HIDDEN in message
    for part in ("hunter22", "abc", "eyJ", "AKIA", "10.0.0.1", "fe80", "example"):
        assert part not in message


@pytest.mark.parametrize(
    "message",
    [
        "The model `qwen3-max-2026-01-23` does not exist.",
        "Qwen/Qwen3-235B-A22B-Instruct-2507-tput is not available",
        "accounts/fireworks/models/qwen3-235b-a22b-instruct-2507 was removed",
        "status:429 code:1302 at 12:34:56",
        "maximum context length is 131072 tokens, you requested 140000",
        "Unsupported parameter: 'max_tokens'; use 'max_completion_tokens'",
        "免费额度已用完，请在控制台关闭仅使用免费额度模式后再试一次，或者联系管理员为当前业务空间开通按量付费服务",
        "missing key: messages",
        "gpt-oss:20b failed, ratio 1:2",
        "std::vector is not JSON",
    ],
)
def test_helpful_words_pass(message: str) -> None:
    """Model names, numbers, parameters and whole sentences are what the caller needs."""
    assert clean(message) == message


def test_a_message_is_one_bounded_line() -> None:
    """No control character, no line separator, no mark that turns the text, and at most three hundred characters."""
    assert clean("a\r\nb\x00\u2028c\u202ed\x1b[31m\udcff") == "a b c d [31m"
    assert clean("word " * 100) == ("word " * 60)[: MAX_DETAIL - 1] + "…"


@pytest.mark.parametrize("length", range(2000, 2100, 7))
def test_half_a_key_at_the_edge_of_what_is_read_does_not_pass(length: int) -> None:
    """A key that is cut where reading stops could no longer be known as one; so the last word is left out."""
    filler = "https://" + "x" * (length - 20)
    assert "abab" not in clean(f"{filler} {'ab' * 20} and so on")


@pytest.mark.parametrize(
    "run", ["a", "1", "1.", "a.", "a:", "a-", "/", ":", "[", "key ", "=", "::", "sk-", "1:", "\ud800"]
)
def test_cleaning_takes_bounded_time(run: str) -> None:
    """A megabyte made to be hard for the patterns is cleaned in milliseconds."""
    took: list[float] = []
    for _ in range(3):
        begun = time.thread_time()
        clean(run * (1_000_000 // len(run)))
        took.append(time.thread_time() - begun)
    assert min(took) < 0.1
