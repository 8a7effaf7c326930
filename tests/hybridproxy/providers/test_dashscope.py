"""Tests of DashScope's row."""

from typing import Any

import pytest

from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.dashscope import DASHSCOPE, DASHSCOPE_NATIVE
from hybridproxy.providers.faults import classify
from hybridproxy.providers.provider import Continues, Provider
from hybridproxy.providers.sites import promise_of


def kind(status: int, code: str, message: str = "") -> FaultKind:
    """The kind of an error with this code, in the compatible mode's shape."""
    return classify(DASHSCOPE.faults, status, {"error": {"code": code, "message": message}}, backend="sg").kind


@pytest.mark.parametrize("code", ["Throttling", "Throttling.RateQuota", "LimitRequests", "limit_burst_rate"])
def test_a_throttle_passes_by_waiting(code: str) -> None:
    """All spellings of the limits on requests are cool-offs."""
    assert kind(429, code) is FaultKind.THROTTLED


@pytest.mark.parametrize("code", ["CommodityNotPurchased", "PrepaidBillOverdue", "PostpaidBillOverdue"])
def test_three_429_do_not_pass_by_waiting(code: str) -> None:
    """They are about bills."""
    assert kind(429, code) is FaultKind.QUOTA


def test_a_tenants_words_cannot_make_our_account_look_empty() -> None:
    """A 400 that quotes the caller is the caller's, whatever it quotes."""
    assert kind(400, "InvalidParameter", "unknown value 'Free allocated quota exceeded'") is FaultKind.INVALID_REQUEST


@pytest.mark.parametrize(
    ("code", "expected"),
    [("data_inspection_failed", FaultKind.CONTENT_REFUSED), ("insufficient_quota", FaultKind.THROTTLED)],
)
def test_inside_a_stream_the_code_alone_decides(code: str, expected: FaultKind) -> None:
    """There HTTP said 200 and the event names no status."""
    assert kind(200, code) is expected


def test_the_compatible_mode_offers_chat_and_embeddings() -> None:
    """Other operations are dropped by the gate instead of failing there."""
    assert set(DASHSCOPE.paths) == {Operation.CHAT, Operation.EMBEDDING}


def test_the_american_host_is_never_guessed() -> None:
    """Sources disagree on where it leads; the operator has to say."""
    assert DASHSCOPE.sites["virginia"] == ""
    assert DASHSCOPE.sites["singapore"].startswith("https://dashscope-intl.")


def test_it_writes_on_from_a_partial_message_without_thinking() -> None:
    """The flag belongs to the message; a thinking model refuses it."""
    assert DASHSCOPE.continuation == Continues(message={"partial": True}, body={"enable_thinking": False})
    assert not DASHSCOPE.running_usage


@pytest.mark.parametrize("said", [{}, {"parallel_tool_calls": None}])
def test_several_tools_may_be_called_at_once_unless_the_caller_says_no(said: dict[str, None]) -> None:
    """As at OpenAI; by itself it calls one at a time, in both of its protocols."""
    for row in (DASHSCOPE, DASHSCOPE_NATIVE):
        assert row.prepare is not None
        asked: dict[str, Any] = {"model": "qwen-plus", "tools": [{}], **said}
        row.prepare(asked, ())
        assert asked["parallel_tool_calls"] is True
        others: tuple[dict[str, Any], ...] = ({"parallel_tool_calls": False, "tools": [{}]}, {"tools": []})
        for body in others:
            made = {"model": "qwen-plus", **body}
            row.prepare(made, ())
            assert made == {"model": "qwen-plus", **body}


def test_its_own_protocol_stands_beside_the_compatible_mode() -> None:
    """At the same host, for callers who speak it."""
    wire = DASHSCOPE.wires[Dialect.DASHSCOPE]
    assert wire.root_at("/compatible-mode/v1") + wire.paths[Operation.CHAT] == (
        "/api/v1/services/aigc/{variant}/generation"
    )


def test_its_own_protocol_is_a_provider_too() -> None:
    """At the same sites, with the same errors; it says all in that protocol alone."""
    assert DASHSCOPE_NATIVE.sites.keys() == DASHSCOPE.sites.keys() == DASHSCOPE_NATIVE.workspaces.keys()
    assert DASHSCOPE_NATIVE.sites["beijing"] == "https://dashscope.aliyuncs.com/api/v1"
    assert DASHSCOPE_NATIVE.workspaces["tokyo"].endswith(".maas.aliyuncs.com/api/v1")
    assert (DASHSCOPE_NATIVE.faults, DASHSCOPE_NATIVE.continuation) == (DASHSCOPE.faults, DASHSCOPE.continuation)
    assert (DASHSCOPE_NATIVE.paths, set(DASHSCOPE_NATIVE.wires)) == ({}, {Dialect.DASHSCOPE})
    assert DASHSCOPE_NATIVE.wires[Dialect.DASHSCOPE].root_at("/api/v1") == "/api/v1"
    for site in DASHSCOPE.sites:
        ours, theirs = (promise_of(name, site, pinned=False, own_address=False) for name in NAMES)
        assert ours == theirs


NAMES = ("dashscope", "dashscope-native")


@pytest.mark.parametrize(
    ("code", "cool_off"),
    [("limit_burst_rate", 2.0), ("limit_requests", 5.0), ("insufficient_quota", 10.0), ("Throttling", 5.0)],
)
def test_each_throttle_says_how_long_to_leave_it_alone(code: str, cool_off: float) -> None:
    """It sends no Retry-After, and its 429s differ: too steep a ramp passes sooner than a minute's tokens."""
    fault = classify(DASHSCOPE.faults, 429, {"error": {"code": code, "message": "m"}}, backend="sg")
    assert (fault.kind, fault.cool_off) == (FaultKind.THROTTLED, cool_off)


def test_a_models_free_quota_says_nothing_of_the_key() -> None:
    """The other models go on with it."""
    body = {"error": {"code": "insufficient_quota", "message": "Free allocated quota exceeded."}}
    assert classify(DASHSCOPE.faults, 429, body, backend="sg").kind is FaultKind.FORBIDDEN


@pytest.mark.parametrize("row", [DASHSCOPE, DASHSCOPE_NATIVE])
@pytest.mark.parametrize(("model", "name"), [("qwen-plus", "max_tokens"), ("qwen3.7-max", "max_completion_tokens")])
def test_an_answer_is_bounded_by_the_name_that_its_model_knows(row: Provider, model: str, name: str) -> None:
    """In both of its protocols; the older models would overlook the newer name."""
    body = {"model": model, "max_completion_tokens": 5}
    assert row.prepare is not None
    row.prepare(body, ())
    assert body == {"model": model, name: 5}
