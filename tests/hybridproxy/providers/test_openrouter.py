"""Tests of OpenRouter's row."""

from typing import Any

import pytest

from hybridproxy.model.fault import FaultKind, Verdict
from hybridproxy.providers.faults import classify
from hybridproxy.providers.openrouter import OPENROUTER
from hybridproxy.providers.provider import Continues


def test_pins_are_a_wall_and_not_a_wish() -> None:
    """Only those providers, no fall-back to others, nothing stored, nothing ignored in silence."""
    assert OPENROUTER.prepare is not None
    body: dict[str, Any] = {"model": "m"}
    OPENROUTER.prepare(body, ("deepinfra", "together"))
    assert body["provider"] == {
        "only": ["deepinfra", "together"],
        "order": ["deepinfra", "together"],
        "allow_fallbacks": False,
        "data_collection": "deny",
        "zdr": True,
        "require_parameters": True,
    }


@pytest.mark.parametrize(
    ("name", "pinned"),
    [
        ("DeepInfra", True), ("deepinfra", True), ("Together", True), ("NovitaAI", True), ("Novita", True),
        ("Fireworks", False), ("Alibaba", False), ("", None), (None, None), (5, None),
    ],
)  # fmt: skip
def test_an_answer_names_who_gave_it(name: Any, pinned: bool | None) -> None:
    """In the spelling for people; where it does not say, nothing is known."""
    assert OPENROUTER.is_pinned({"provider": name}, ("deepinfra/turbo", "together", "novita")) is pinned
    assert OPENROUTER.is_pinned([], ("deepinfra",)) is None
    assert OPENROUTER.is_pinned({"provider": "Fireworks"}, ()) is None


def test_without_pins_nothing_is_said() -> None:
    """The account's own settings hold."""
    assert OPENROUTER.prepare is not None
    body: dict[str, Any] = {"model": "m"}
    OPENROUTER.prepare(body, ())
    assert body == {"model": "m"}


@pytest.mark.parametrize(
    ("status", "error_type", "kind"),
    [
        (400, "context_length_exceeded", FaultKind.CONTEXT_TOO_LONG),
        (400, "string_too_long", FaultKind.INVALID_REQUEST),
        (400, "image_too_large", FaultKind.INVALID_REQUEST),
        (400, "token_limit_exceeded", FaultKind.QUOTA),
        (400, "refusal", FaultKind.CONTENT_REFUSED),
        (403, "content_policy_violation", FaultKind.CONTENT_REFUSED),
        (403, "permission_denied", FaultKind.FORBIDDEN),
        (404, "privacy_restricted", FaultKind.NOT_FOUND),
        (404, "model_deprecated", FaultKind.NOT_FOUND),
        (408, "timeout", FaultKind.OVERLOADED),
        (429, "rate_limit_exceeded", FaultKind.THROTTLED),
        (502, "provider_unavailable", FaultKind.OVERLOADED),
        (500, "unmapped", FaultKind.UPSTREAM_ERROR),
        (500, "a word of next year", FaultKind.UPSTREAM_ERROR),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_the_stable_word_names_the_kind_as_a_status_and_inside_a_200(
    status: int, error_type: str, kind: FaultKind, inside: bool
) -> None:
    """The same error, before generation began or after."""
    body = {"error": {"code": status, "message": "m", "metadata": {"error_type": error_type}}}
    assert classify(OPENROUTER.faults, 200 if inside else status, body, backend="o").kind is kind


def test_flagged_input_does_not_bench_our_key() -> None:
    """A tenant could otherwise close the backend for all with one bad prompt."""
    body = {"error": {"code": 403, "message": "requires moderation and your input was flagged"}}
    fault = classify(OPENROUTER.faults, 403, body, backend="o")
    assert (fault.kind, fault.facts.verdict) == (FaultKind.CONTENT_REFUSED, Verdict.IGNORED)


def test_a_trailing_message_is_written_on_without_a_flag() -> None:
    """Nothing is added to it."""
    assert OPENROUTER.continuation == Continues()
