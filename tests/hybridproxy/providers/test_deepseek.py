"""Tests of DeepSeek's row."""

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.deepseek import DEEPSEEK
from hybridproxy.providers.faults import classify
from hybridproxy.providers.provider import Continues


def test_it_continues_at_its_beta_address_and_does_not_think_there() -> None:
    """The text of an answer would be taken for a beginning of what comes after thinking."""
    assert DEEPSEEK.continuation == Continues(
        message={"prefix": True}, body={"thinking": {"type": "disabled"}}, sites=frozenset({"beta"})
    )
    assert DEEPSEEK.sites["beta"].endswith("/beta")


def test_no_balance_is_told_by_its_status() -> None:
    """Each of its errors has the code `invalid_request_error`."""
    body = {"error": {"message": "Insufficient Balance", "type": "unknown_error", "code": "invalid_request_error"}}
    assert classify(DEEPSEEK.faults, 402, body, backend="d").kind is FaultKind.QUOTA


def test_an_answers_bound_has_the_only_name_that_it_documents() -> None:
    """Under the other one it might be overlooked, and a tenant's answers be longer than they may."""
    assert DEEPSEEK.renames == {"max_completion_tokens": "max_tokens"}
