"""What the ledger writes down: one record when an attempt begins, one when it ends, one for each call.

An attempt's start is written so that one whose process was killed can be closed as `unknown`, with an estimate. Money
is whole nano-dollars. A record tells what a budget owner asks for (tenant, model, backend, region, day), and holds no
prompt, no key and no address.
"""

from enum import Enum
from typing import Final, Protocol

from hybridproxy.model.bill import Basis
from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.facts import CallFacts
from hybridproxy.model.usage import Usage
from hybridproxy.model.value import value

__all__ = ["Basis", "Called", "Ended", "Entry", "Ledger", "NoLedger", "Outcome", "Started", "called"]

NO_USAGE: Final = Usage(0, 0)


class Outcome(Enum):
    """What became of an attempt; the value is the word in the ledger."""

    ANSWERED = "answered"
    CUT = "cut"
    """The caller has a part of its answer."""
    FAILED = "failed"
    CANCELLED = "cancelled"
    """Ended by us: the caller left, time was over, or another attempt was quicker."""
    UNKNOWN = "unknown"
    """The process ended before the attempt did."""

    __hash__ = object.__hash__


@value
class Started:
    """An attempt is about to be sent.

    Attributes:
        call: the request's id.
        n: which attempt of the call.
        at: milliseconds since the epoch.
        tenant: whose call it is.
        model: the model by the caller's name.
        region: the caller's region, "" when there is none.
        backend: the operator's name of the backend.
        upstream: the backend's own name of the model.
        credential: the id of our key.
        mode: what the attempt asks for: `fresh`, `hedge`, `resume` or `replay`.
        prompt: tokens of the input, as estimated.
        answer: tokens of the answer, as reserved.
        cost: nano-dollars of the input and all of the answer, as estimated.

    """

    call: str
    n: int
    at: int
    tenant: str
    model: str
    region: str
    backend: str
    upstream: str
    credential: str
    mode: str
    prompt: int
    answer: int
    cost: int


@value
class Ended:
    """An attempt came to its end; what it was is in its `Started`.

    Attributes:
        call: the request's id.
        n: which attempt of the call.
        at: milliseconds since the epoch.
        outcome: what became of it.
        fault: the kind of its fault, in lower case, "" for none.
        usage: tokens as reported, or as estimated where `usage.estimated` says so.
        cost: nano-dollars that count: `table`, or what the upstream told.
        basis: where that is from.
        table: nano-dollars by the table, whatever the upstream told.
        priced: the table has a price; else a stand-in was used.
        seconds: from its start.
        prices: whose table it is, and of which day.

    """

    call: str
    n: int
    at: int
    outcome: Outcome
    fault: str = ""
    usage: Usage = NO_USAGE
    cost: int = 0
    basis: Basis = Basis.NOTHING
    table: int = 0
    priced: bool = True
    seconds: float = 0.0
    prices: str = ""


@value
class Called:
    """A call is over: what all its attempts used and cost together.

    Attributes:
        call: the request's id.
        at: milliseconds since the epoch, of its end.
        tenant: whose call it was.
        model: the model by the caller's name.
        region: the caller's region, "" when there is none.
        operation: what was asked for.
        dialect: how the caller spoke.
        stream: whether it was a stream.
        status: the status the caller got; 499 when it left first.
        code: the error's code, "" for none.
        backend: the backend that answered or failed last, "" when none was tried.
        attempts: how many were made.
        usage: tokens of all attempts that count; `estimated`: some were never reported.
        cost: nano-dollars of all attempts.
        estimated: nano-dollars of that which are an estimate.
        seconds: from the request's arrival.

    """

    call: str
    at: int
    tenant: str
    model: str
    region: str
    operation: str
    dialect: str
    stream: bool
    status: int
    code: str
    backend: str
    attempts: int
    usage: Usage = NO_USAGE
    cost: int = 0
    estimated: int = 0
    seconds: float = 0.0


def called(facts: CallFacts, at: int) -> Called:
    """Return the record of a call that is over; the name of a model that nobody configured is not kept.

    Args:
        facts: what is known of the call.
        at: milliseconds since the epoch.

    """
    known = facts.attempts > 0 or len(facts.candidates) > 0
    return Called(
        facts.request_id,
        at,
        facts.tenant,
        facts.model if known else "",
        facts.region or "",
        _OPERATION[facts.operation],
        _DIALECT[facts.dialect],
        facts.stream,
        facts.status,
        facts.code or "",
        facts.backend,
        len(facts.bills),  # and not those that were still waiting for their turn
        facts.used,
        facts.cost,
        facts.estimated,
        facts.seconds,
    )


_OPERATION: Final = {operation: operation.value for operation in Operation}
_DIALECT: Final = {dialect: dialect.value for dialect in Dialect}


Entry = Started | Ended | Called


class Ledger(Protocol):
    """Takes records, in their order. Neither raises nor waits."""

    def put(self, entry: Entry) -> None:
        """Take one."""
        ...


class NoLedger:
    """Where the configuration has no ledger."""

    def put(self, entry: Entry) -> None:
        """Take one, and forget it."""
