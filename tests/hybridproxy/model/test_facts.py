"""The facts of a call."""

from hybridproxy.model.bill import NO_BILL, Basis, Bill
from hybridproxy.model.call import Operation
from hybridproxy.model.facts import CallFacts
from hybridproxy.model.usage import Usage


def test_a_call_refused_at_the_door_has_facts_too() -> None:
    """Only the id and the path's operation are known of every call; all the rest may be left out."""
    facts = CallFacts(request_id="r1", operation=Operation.CHAT)
    assert (facts.tenant, facts.backend, facts.attempts, facts.usage, facts.first_output) == ("", "", 0, None, None)
    assert (facts.lost, facts.hedged, facts.seams) == (0, False, ())
    assert (facts.cost, facts.estimated, facts.used) == (0, 0, Usage(0, 0))


def test_a_call_cost_what_its_attempts_did() -> None:
    """One was refused, one was lost and is estimated, one answered."""
    bills = (
        ("a", NO_BILL),
        ("b", Bill(Usage(9, 0, estimated=True), 90, Basis.ESTIMATE, 90)),
        ("c", Bill(Usage(10, 5), 700, Basis.UPSTREAM, 200)),
    )
    facts = CallFacts(request_id="r1", operation=Operation.CHAT, bills=bills)
    assert (facts.cost, facts.estimated) == (790, 90)
    assert facts.used == Usage(19, 5, estimated=True)
    assert CallFacts(request_id="r1", operation=Operation.CHAT, bills=bills[2:]).used == Usage(10, 5)
