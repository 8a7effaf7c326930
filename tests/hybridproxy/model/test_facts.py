"""The facts of a call."""

from hybridproxy.model.call import Operation
from hybridproxy.model.facts import CallFacts


def test_a_call_refused_at_the_door_has_facts_too() -> None:
    """Only the id and the path's operation are known of every call; all the rest may be left out."""
    facts = CallFacts(request_id="r1", operation=Operation.CHAT)
    assert (facts.tenant, facts.backend, facts.attempts, facts.usage, facts.first_output) == ("", "", 0, None, None)
    assert (facts.lost, facts.hedged, facts.seams) == (0, False, ())
