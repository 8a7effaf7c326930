from hybridproxy.model.bill import NO_BILL, Basis, Bill, cost_of, tokens_of
from hybridproxy.model.usage import Usage


def test_what_was_not_sent_costs_nothing() -> None:
    """Nor what was refused."""
    assert (NO_BILL.cost, NO_BILL.table, NO_BILL.basis) == (0, 0, Basis.NOTHING)


def test_a_call_costs_and_uses_what_its_attempts_did() -> None:
    """One was refused, one is estimated, one was told its cost; a call without attempts costs nothing."""
    lost = Bill(Usage(9, 0, estimated=True), 90, Basis.ESTIMATE, 90)
    bills = [("a", NO_BILL), ("b", lost), ("c", Bill(Usage(10, 5), 700, Basis.UPSTREAM, 200))]
    assert (cost_of(bills), tokens_of(bills)) == (790, 24)
    assert (cost_of([]), tokens_of([])) == (0, 0)
