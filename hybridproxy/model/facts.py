"""What is known of a call when it is over: the one value that logs, metrics and later the ledger are made of."""

from functools import reduce
from typing import Protocol

from hybridproxy.model.bill import Basis, Bill, cost_of
from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.plan import Candidate
from hybridproxy.model.usage import Usage
from hybridproxy.model.value import value


@value
class Seam:
    """Where a stream that broke went on: after so many characters, by which way, from one backend to another."""

    at: int
    way: str
    before: str
    after: str


@value
class CallFacts:
    """One call's outcome.

    Attributes:
        request_id: ours, also in the caller's `x-request-id`.
        operation: what was asked for.
        tenant: the tenant's id, "" when the key was not known.
        country: ISO code of the caller's country, None when unknown.
        region: the caller's region, None when no region took it.
        model: the model by the caller's name, "" when the body could not be read.
        stream: whether it was a stream.
        status: the HTTP status the caller got; 499 when it left first.
        code: the error's code, None when the call was answered.
        backend: the backend that answered or failed last, "" when none was tried.
        attempts: how many attempts were made.
        faults: what went wrong on the way, one sentence an attempt.
        candidates: every backend looked at, and why it was kept or dropped.
        usage: tokens as the upstream reported them.
        text: characters of output that went through.
        seconds: from the request's arrival to the end.
        first_output: seconds to the first real output, None when there was none.
        lost: nano-dollars that attempts may have cost for nothing: estimates, but for the tokens of the prompt where
            the answer told them.
        hedged: a second backend was asked because the first was slow.
        seams: where the stream broke and went on.
        dialect: how the caller spoke.
        bills: what each attempt used and cost, with its backend.
        limited: what the tenant's limit that refused the call bounds, "" when none did.

    """

    request_id: str
    operation: Operation
    tenant: str = ""
    country: str | None = None
    region: str | None = None
    model: str = ""
    stream: bool = False
    status: int = 0
    code: str | None = None
    backend: str = ""
    attempts: int = 0
    faults: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    usage: Usage | None = None
    text: int = 0
    seconds: float = 0.0
    first_output: float | None = None
    lost: int = 0
    hedged: bool = False
    seams: tuple[Seam, ...] = ()
    dialect: Dialect = Dialect.OPENAI
    bills: tuple[tuple[str, Bill], ...] = ()
    limited: str = ""

    @property
    def cost(self) -> int:
        """Nano-dollars of all attempts."""
        return cost_of(self.bills)

    @property
    def estimated(self) -> int:
        """Nano-dollars of that which are an estimate."""
        total = 0
        for _, bill in self.bills:
            if bill.basis is Basis.ESTIMATE:
                total += bill.cost
        return total

    @property
    def used(self) -> Usage:
        """Tokens of all attempts that anybody charges for."""
        if len(self.bills) == 1:  # nearly always; what nobody charges for has none
            return self.bills[0][1].usage
        charged = [bill.usage for _, bill in self.bills if bill.basis is not Basis.NOTHING]
        return charged[0] if len(charged) == 1 else reduce(Usage.plus, charged, Usage(0, 0))


class Observer(Protocol):
    """Whoever wants to know of finished calls. Must not raise and must not wait."""

    def call_finished(self, facts: CallFacts) -> None:
        """Take the facts of one call."""
        ...
