"""What a call's attempts use and cost: told when each begins, when it ends, and when all are over.

An attempt is in the ledger before its request goes out, and once more when its call is over, with what it is charged
for: whatever happened, and exactly once. What attempts may have cost for nothing is told to the tenant's allowance.
"""

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol

from hybridproxy.dialects.marks import asks_to_keep
from hybridproxy.families import FAMILIES
from hybridproxy.gateway.parts import Parts
from hybridproxy.gateway.relay import AnswerAttempt, StreamAttempt
from hybridproxy.metering.bill import UNSEEN_RATE, Attempted, bill, bills, used
from hybridproxy.metering.estimate import BYTES_A_TOKEN, MAX_ANSWER, answer_tokens, answer_tokens_at_most
from hybridproxy.metering.records import Ended, Outcome, Started
from hybridproxy.model.backend import B
from hybridproxy.model.bill import Bill, cost_of
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.model.load import EndpointKey
from hybridproxy.model.plan import Plan, Target
from hybridproxy.model.price import Price
from hybridproxy.model.usage import Usage
from hybridproxy.model.value import value
from hybridproxy.resilience.budget import Allowance
from hybridproxy.resilience.events import Mode
from hybridproxy.resilience.execution import Execution
from hybridproxy.resilience.terms import Terms
from hybridproxy.stores.gates import Turn

MODES: Final = {mode: mode.name.lower() for mode in Mode}
BY_US: Final = frozenset({FaultKind.INTEGRITY, FaultKind.DIFFERS, FaultKind.UNPINNED})
"""Faults for which we end an attempt whose upstream would have gone on."""


class Whose(Protocol):
    """Whose call it is, as far as the ledger has to know."""

    @property
    def request_id(self) -> str:
        """Our name of the call."""
        ...

    @property
    def tenant(self) -> str:
        """Whose call it is."""
        ...

    @property
    def model(self) -> str:
        """The model by the caller's name."""
        ...

    @property
    def region(self) -> str:
        """The caller's region, "" when there is none."""
        ...


@dataclass(slots=True)
class Made(Generic[B]):
    """An attempt that was made.

    Attributes:
        target: where it went.
        mode: what it asked for.
        began: when, on the loop's clock.
        epoch: the right to probe under which it was made, None: it is no probe.
        attempt: the attempt itself.
        turn: its right to be sent.
        ahead: tokens of the answer that it was sent to be gone on with.
        caught: it failed, and its target has opened since it began.
        place: where it counts as load, while it does.
        again: it was sent twice, the first time over a connection that turned out to be dead.
        outcome: what became of it, None: it is under way.
        fault: why it failed.
        billed: it may be charged for.
        seconds: how long it took.
        at: milliseconds since the epoch, of its end.
        price: what its tokens cost.

    """

    target: Target[B]
    mode: Mode
    began: float
    epoch: int | None
    attempt: AnswerAttempt | StreamAttempt
    turn: Turn
    ahead: int = 0
    caught: bool = False
    place: EndpointKey | None = None
    again: bool = False
    outcome: Outcome | None = None
    fault: Fault | None = None
    billed: bool = False
    seconds: float = 0.0
    at: int = 0
    price: Price = field(init=False)

    def __post_init__(self) -> None:
        """Cost what the target does."""
        self.price = self.target.price

    def end(self, outcome: Outcome, fault: Fault | None, now: float, wall: float) -> None:
        """Take its end, while the exchange is still there.

        Args:
            outcome: what became of it.
            fault: why it failed, None: it did not, or was ended by us.
            now: on the loop's clock.
            wall: seconds since the epoch.

        """
        exchange = self.attempt.exchange
        sent = exchange is not None and exchange.billed and not self.attempt.refused
        self.outcome, self.fault = outcome, fault
        self.billed = sent if fault is None else fault.billed
        self.seconds, self.at = now - self.began, int(wall * 1000)


class Account(Generic[B]):
    """One call's.

    Attributes:
        made: the attempts, by their number.
        bills: what each was charged for, with its backend; there once the call is over.
        prompt: tokens of the input, as well as they are known before anybody reports them.

    """

    __slots__ = (
        "_allowance", "_answer", "_asks", "_counts", "_execution", "_family", "_ledger", "_now", "_terms", "_unseen",
        "_wall", "_whose", "bills", "made", "prompt",
    )  # fmt: skip

    def __init__(
        self,
        call: Call,
        whose: Whose,
        terms: Terms,
        allowance: Allowance,
        execution: Execution,
        parts: Parts,
        plan: Plan[B],
    ) -> None:
        """Open the account of a call.

        Args:
            call: the call.
            whose: who made it.
            terms: have the size of its input.
            allowance: the tenant's, hears of what was paid for nothing.
            execution: knows which attempts may have been paid for nothing.
            parts: the shell's; the ledger among them takes the records.
            plan: has what its targets cost, and the model's family.

        """
        self.made: dict[int, Made[B]] = {}
        self.bills: list[tuple[str, Bill]] = []
        self.prompt = terms.prompt
        self._asks = any(target.price.tells_asking for target in plan.targets) and asks_to_keep(call.body)
        self._counts = call.operation is Operation.COUNT  # which nobody charges for
        self._answer = answer_tokens(call)
        self._unseen = 0 if call.stream else answer_tokens_at_most(call) or MAX_ANSWER
        self._whose = whose
        self._ledger = parts.ledger
        self._terms = terms
        self._allowance = allowance
        self._execution = execution
        self._family = FAMILIES[plan.family]
        self._now = asyncio.get_running_loop().time
        self._wall = parts.wall

    @property
    def cost(self) -> int:
        """Nano-dollars of all attempts; 0 before the call is over."""
        return cost_of(self.bills)

    def begin(self, n: int, made: Made[B]) -> None:
        """Take the news that an attempt is about to be sent; with the first the call counts for the allowance."""
        if not self.made:
            self._allowance.called(made.began, self._terms.handling.hedge)
        self.made[n] = made
        if self._asks:
            made.price = made.price.asking()
        wall = self._wall()
        self._ledger.put(_started(self._whose, n, made, self.prompt, self._answer, wall, free=self._counts))

    def end(self, n: int, outcome: Outcome, fault: Fault | None = None) -> None:
        """Take the end of an attempt; only the first one counts."""
        made = self.made.get(n)
        if made is not None and made.outcome is None:
            made.end(outcome, fault, self._now(), self._wall())

    def so_far(self, made: Made[B]) -> Usage:
        """Return what an attempt has used by now, estimated where it did not come to report it."""
        return used(self._attempted(made), self.prompt, self._family)

    def at_least(self) -> int:
        """Return what the call costs at least, in nano-dollars, as far as is known while it is under way.

        Attempts that are over cost what they are charged for; those under way what was expected of them, or more where
        more has come.
        """
        total = 0
        for made in self.made.values():
            attempted = self._attempted(made)
            if made.outcome is None:
                expected = made.price.expected(self.prompt + made.ahead, self._answer)
                total += max(expected, made.price.of(used(attempted, self.prompt, self._family)))
            else:
                total += bill(attempted, self.prompt, self._family).cost
        return total

    def count_repeated(self, n: int) -> None:
        """Count what an attempt may cost twice: it was sent whole over a connection that turned out to be dead."""
        made = self.made.get(n)
        exchange = None if made is None else made.attempt.exchange
        if made is not None and exchange is not None and exchange.repeated:
            exchange.repeated = False
            made.again = True
            cost = self._execution.cost(n)
            self._execution.lost[n] = self._execution.lost.get(n, 0) + cost
            self._allowance.correct(self._now(), cost)

    def lose(self, n: int) -> None:
        """Count what the loser of a hedge may cost."""
        cost = self.made[n].target.price.of(self.so_far(self.made[n]))
        self._execution.lost[n] = cost
        self._allowance.correct(self._now(), cost)

    def settle(self, answered: Any, usage: Usage | None, *, joined: bool) -> None:
        """Close the account: write down what each attempt is charged for, and tell the allowance.

        Args:
            answered: the attempt that answered or failed last.
            usage: what all parts of the answer used, None: nobody told.
            joined: the answer has several parts.

        """
        attempted = []
        for n, made in self.made.items():
            self.count_repeated(n)
            self.end(n, Outcome.CANCELLED)
            attempted.append(self._attempted(made))
        charges = bills(attempted, self.prompt, self._family)
        for (n, made), charge in zip(self.made.items(), charges, strict=True):
            self.bills.append((made.target.backend.id, charge))
            self._ledger.put(_ended(self._whose.request_id, n, made, charge))
            if made.attempt is answered and usage is not None:
                self._allowance.spent(self._now(), made.price.of(usage))
        if self._execution.lost and usage is not None and not usage.estimated and not joined:
            self._correct(usage)

    def _attempted(self, made: Made[B]) -> Attempted:
        attempt, fault, counts = made.attempt, made.fault, self._counts
        whole = made.outcome is Outcome.ANSWERED
        if whole and fault is None and not made.again:  # nearly always
            usage = None if counts else attempt.usage
            return Attempted(made.price, usage, attempt.seen, not counts, whole, made.again, made.ahead)
        unseen, running = 0, made.outcome is None
        if not whole and self._unseen and (made.billed or running):
            seconds = self._now() - made.began if running else made.seconds
            unseen = min(self._unseen, int(seconds * UNSEEN_RATE))
        return Attempted(
            made.price,
            None if counts else attempt.usage,
            attempt.seen,
            billed=not counts and (whole or made.billed),
            whole=whole,
            again=made.again and not counts and not (fault is not None and fault.facts.sent_nothing),
            ahead=made.ahead,
            unseen=unseen,
            left=made.outcome is Outcome.CANCELLED or (fault is not None and fault.kind in BY_US),
        )

    def _correct(self, usage: Usage) -> None:
        """Put counted tokens in the place of estimated ones in what was paid for nothing: the answer told the input."""
        lost = self._execution.lost
        for n, estimate in lost.items():
            made = self.made.get(n)
            reported = made is not None and made.attempt.usage is not None
            if made is None or (reported and not made.again):
                continue
            times = 2 if made.again and not reported else 1
            lost[n] = known = times * made.price.of(Usage(usage.prompt, 0))
            self._allowance.correct(self._now(), known - estimate)


@value
class _Nobody:
    """Whose a call of our own is."""

    request_id: str
    tenant: str = ""
    model: str = ""
    region: str = ""


class Probe:
    """A call of our own in the ledger: it is no tenant's, but somebody bills it."""

    def __init__(
        self, parts: Parts, target: Target[Any], call: Call, attempt: AnswerAttempt | StreamAttempt, turn: Turn
    ) -> None:
        """Take the news that it is about to be sent."""
        self._ledger = parts.ledger
        self._wall = parts.wall
        self._now = asyncio.get_running_loop().time
        self._made = Made(target, Mode.FRESH, self._now(), None, attempt, turn)
        self._whose = _Nobody(f"probe_{secrets.token_hex(12)}")
        self._prompt = max(1, call.size // BYTES_A_TOKEN)
        parts.ledger.put(_started(self._whose, 0, self._made, self._prompt, answer_tokens(call), self._wall()))

    @property
    def name(self) -> str:
        """Its name in the ledger, which the upstream gets as its `x-request-id`."""
        return self._whose.request_id

    def end(self, fault: Fault | None, *, answered: bool) -> None:
        """Take its end, while the exchange is still there."""
        made, attempt = self._made, self._made.attempt
        outcome = Outcome.ANSWERED if answered else Outcome.CANCELLED if fault is None else Outcome.FAILED
        made.end(outcome, fault, self._now(), self._wall())
        known = Attempted(made.price, attempt.usage, attempt.seen, billed=made.billed, whole=False)
        self._ledger.put(_ended(self._whose.request_id, 0, made, bill(known, self._prompt, FAMILIES["other"])))


def _started(
    whose: Whose, n: int, made: Made[Any], prompt: int, answer: int, wall: float, *, free: bool = False
) -> Started:
    target, prompt = made.target, prompt + made.ahead
    return Started(
        whose.request_id,
        n,
        int(wall * 1000),
        whose.tenant,
        whose.model,
        whose.region,
        target.backend.id,
        target.model,
        target.credential.id,
        MODES[made.mode],
        prompt,
        answer,
        0 if free else target.price.expected(prompt, answer),
    )


def _ended(call: str, n: int, made: Made[Any], bill: Bill) -> Ended:
    assert made.outcome is not None  # noqa: S101 - it has ended
    fault = "" if made.fault is None else made.fault.kind.name.lower()
    return Ended(
        call,
        n,
        made.at,
        made.outcome,
        fault,
        bill.usage,
        bill.cost,
        bill.basis,
        bill.table,
        bill.priced,
        made.seconds,
        made.price.source,
    )
