from dataclasses import replace

from hybridproxy.metering.records import Called, Ended, NoLedger, Outcome, called
from hybridproxy.model.bill import Basis, Bill
from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.facts import CallFacts
from hybridproxy.model.plan import Candidate
from hybridproxy.model.usage import Usage


def test_without_a_ledger_records_are_forgotten() -> None:
    """Nobody who writes to it has to ask whether there is one."""
    NoLedger().put(Ended("req_1", 0, 0, Outcome.ANSWERED))


FACTS = CallFacts(
    request_id="req_1", operation=Operation.CHAT, tenant="shop", region="asia", model="qwen", stream=True,
    status=200, backend="a", attempts=1, candidates=(Candidate("a", kept=True, reason=""),), seconds=1.5,
    bills=(("a", Bill(Usage(10, 5, estimated=True), 700, Basis.ESTIMATE, 700)),),
)  # fmt: skip


def test_a_calls_record_tells_what_all_its_attempts_used_and_cost() -> None:
    """And nothing of what it said."""
    assert called(FACTS, 12) == Called(
        call="req_1", at=12, tenant="shop", model="qwen", region="asia", operation="chat",
        dialect=Dialect.OPENAI.value, stream=True, status=200, code="", backend="a", attempts=1,
        usage=Usage(10, 5, estimated=True), cost=700, estimated=700, seconds=1.5,
    )  # fmt: skip


def test_a_name_that_nobody_configured_is_not_kept() -> None:
    """Else a caller could fill reports with names of its own."""
    assert called(replace(FACTS, attempts=0, candidates=(), bills=()), 12).model == ""
    assert called(replace(FACTS, attempts=0, bills=()), 12).model == "qwen"


def test_an_attempt_that_was_still_waiting_for_its_turn_is_none() -> None:
    """Its caller left before it was sent: it has no record of its own either."""
    waiting = replace(FACTS, status=499, backend="", attempts=1, bills=())
    assert (called(waiting, 12).attempts, called(waiting, 12).cost) == (0, 0)
