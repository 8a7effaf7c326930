"""Tests of Portkey's row."""

from hybridproxy.model.fault import FaultKind, Verdict
from hybridproxy.providers.faults import classify
from hybridproxy.providers.portkey import PORTKEY


def test_each_of_its_gateways_takes_the_key_in_its_own_way() -> None:
    """The same key, and the same headers of the operator's."""
    airs = PORTKEY.auth_at["airs"]
    assert (PORTKEY.auth.header, PORTKEY.auth.prefix) == ("x-portkey-api-key", "")
    assert (airs.header, airs.prefix) == ("authorization", "Bearer ")
    assert "x-portkey-config" in PORTKEY.auth.takes & airs.takes


def test_a_guardrail_that_only_warns_gave_an_answer() -> None:
    """246 has one; 446 has none, and says nothing of our key."""
    assert PORTKEY.succeeds == {200, 246}
    fault = classify(PORTKEY.faults, 446, {"error": {"message": "hooks failed"}}, backend="p")
    assert (fault.kind, fault.facts.verdict) == (FaultKind.CONTENT_REFUSED, Verdict.IGNORED)
