"""A call's way past its tenant's limits and budgets: in, reserved, settled, out; and what the caller is told of it.

Whatever becomes of the call, what it took is given back or settled once: by `settle` where it is known what was used,
else by `close`, which lets the estimate stand.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Protocol

from hybridproxy.dialects.translator import Problem
from hybridproxy.gateway.reply import MAX_RETRY_AFTER, Reply, problem_reply
from hybridproxy.metering.estimate import estimate, money
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.limits import Measure
from hybridproxy.model.plan import Plan
from hybridproxy.model.price import dollars
from hybridproxy.model.snapshot import Tenant
from hybridproxy.resilience.quota import Excess
from hybridproxy.stores.quotas import UNSURE, Covering, Quotas, Reservation


class Spender(Protocol):
    """What a call used, once it is over."""

    @property
    def reached(self) -> bool:
        """Whether somebody got a byte of it."""
        ...

    @property
    def tokens(self) -> int:
        """Input and output of all attempts."""
        ...

    @property
    def cost(self) -> int:
        """Nano-dollars of all attempts."""
        ...

    @property
    def at_least(self) -> int:
        """Nano-dollars that they cost at least, as far as is known while it is under way."""
        ...


class Admission:
    """One call's.

    Attributes:
        limited: what the limit that refused the call bounds, "" when none did.
        prompt: tokens of its input as estimated, 0 where no limit of tokens or money asked for that.

    """

    __slots__ = ("_counts", "_covering", "_dialect", "_inside", "_mine", "_quotas", "_reserved", "limited", "prompt")

    def __init__(self, quotas: Quotas, tenant: Tenant, dialect: Dialect) -> None:
        """Begin outside."""
        self.limited = ""
        self.prompt = 0
        self._quotas = quotas
        self._mine = quotas.of(tenant)
        self._dialect = dialect
        self._inside = self._counts = False
        self._covering: Covering | None = None
        self._reserved: Reservation | None = None

    def full(self) -> Reply | None:
        """Return what the caller gets where its tenant's places or requests are used up; nothing is taken."""
        if self._mine is None:
            return None
        excess = self._quotas.full(self._mine)
        if excess is None:
            return None
        reply = self._refused(excess)
        reply.headers |= self.headers()
        return reply

    def enter(self) -> Reply | None:
        """Take a place among the tenant's calls, before the body is read; or return what the caller gets instead."""
        if self._mine is None:
            return None
        excess = self._quotas.enter(self._mine)
        self._inside = excess is None
        return None if excess is None else self._refused(excess)

    def reserve(self, call: Call, plan: Plan[Any] | None) -> Reply | None:
        """Reserve what a call will use, or return what the caller gets instead.

        Args:
            call: the call. One that only counts tokens takes a request, and uses none of the rest.
            plan: where it may go: its cost is estimated by the dearest target. None: nowhere.

        """
        mine = self._mine
        if mine is None:
            return None
        covering = self._covering = mine.covering(call.model)
        self._counts = call.operation is Operation.COUNT
        tokens = cost = 0
        if covering.weighs and not self._counts and plan is not None:
            expected = estimate(call, plan.family)
            self.prompt = expected.prompt
            tokens, cost = expected.tokens, money(expected, plan.targets)
        reserved = self._quotas.reserve(mine, covering, tokens, cost)
        if isinstance(reserved, Excess):
            return self._refused(reserved)
        self._reserved = reserved
        return None

    @property
    def capped(self) -> bool:
        """Whether a budget covers the call, and it may cost something."""
        return self._reserved is not None and self._reserved.capped and not self._counts

    def follow(self, spender: Spender) -> None:
        """Reserve what a call under way costs by now, where that is more than was expected."""
        if self._reserved is not None:
            self._reserved.grow(spender.at_least)

    def settle(self, spender: Spender) -> None:
        """Put what the call used in the place of what was reserved; a call that reached nobody gets all back."""
        reserved = self._reserved
        if reserved is None:
            return
        if not self._counts and not spender.reached:
            reserved.give_back()
        elif self._counts:
            reserved.settle(0, 0)
        else:
            reserved.settle(spender.tokens, spender.cost)

    def close(self) -> None:
        """Give the place back; a reservation that nobody settled stands. A second time nothing happens."""
        if self._reserved is not None:
            self._reserved.stands()
        if self._inside and self._mine is not None:
            self._inside = False
            self._quotas.leave(self._mine)

    def headers(self) -> dict[str, str]:
        """Return what an answer tells of the tenant's limits of requests and tokens, the call's own share included."""
        made: dict[str, str] = {}
        if self._mine is None:
            return made
        forms, quotas, covering = _FORMS.get(self._dialect, _USUAL), self._quotas, self._covering
        for measure, (limit, left, whole) in quotas.rates(covering or self._mine.covering(None)).items():
            for of_limit, of_left, of_reset, reset in forms[measure]:
                made[of_limit] = str(limit)
                made[of_left] = str(left) if left > 0 else "0"
                made[of_reset] = reset(math.ceil(whole), quotas.wall)
        return made

    def _refused(self, excess: Excess) -> Reply:
        self.limited = excess.measure.value
        return excess_reply(excess, self._quotas.wall())


def excess_reply(excess: Excess, wall: float) -> Reply:
    """Return the answer to a call that a limit of its tenant refuses.

    Args:
        excess: which limit.
        wall: seconds since the epoch.

    """
    type_, code = _SAID[excess.measure]
    if code == _BUDGET and _is_soon(excess):
        type_, code = _SAID[Measure.TOKENS]
    headers = {}
    if excess.wait is None or code == _BUDGET:
        headers["x-should-retry"] = "false"
    else:
        headers["retry-after"] = str(min(MAX_RETRY_AFTER, max(1, math.ceil(excess.wait))))
    return problem_reply(Problem(429, _words(excess, wall), type_, code), headers)


_BUDGET: Final = "insufficient_quota"
_RATE: Final = "rate_limit_exceeded"
_SAID: Final = {
    Measure.REQUESTS: ("requests", _RATE),
    Measure.TOKENS: ("tokens", _RATE),
    Measure.STREAMS: ("requests", _RATE),
    Measure.DAY: (_BUDGET, _BUDGET),
    Measure.MONTH: (_BUDGET, _BUDGET),
}
"""The type and the code that OpenAI has for it."""

_NAMED: Final = {
    Measure.REQUESTS: "{:,} requests a minute",
    Measure.TOKENS: "{:,} tokens a minute",
    Measure.STREAMS: "{:,} calls at a time",
    Measure.DAY: "{} US dollars a day (UTC)",
    Measure.MONTH: "{} US dollars a month (UTC)",
}


def _words(excess: Excess, wall: float) -> str:
    """Return which limit it is, what is in use of it, and when to come back."""
    measure = excess.measure
    is_money = _SAID[measure][1] == _BUDGET
    shown: Callable[[int], str] = _dollars if is_money else "{:,}".format
    named = _NAMED[measure].format(_dollars(excess.limit) if is_money else excess.limit)
    whose = f" for models named {excess.scope!r}" if excess.scope else ""
    said = f"{'budget' if is_money else 'rate limit'} reached: {named}{whose}, of which {shown(excess.used)}"
    said += " are spent or reserved" if is_money else " are in use"
    if excess.reserved:
        said += f" ({shown(excess.reserved)} for calls under way)"
    may = f"this call may {'cost' if is_money else 'use'} {shown(excess.amount)}"
    if excess.wait is None:
        return f"{said}; {may}, more than the limit allows at all: shorten it, or set a lower max_tokens"
    if is_money and not _is_soon(excess):
        return f"{said}; {may}; a new period begins at {_moment(wall + excess.wait)}"
    more = f"; {may}" if is_money or measure is Measure.TOKENS else ""
    return f"{said}{more}; try again in {max(1, math.ceil(excess.wait))} s"


def _is_soon(excess: Excess) -> bool:
    """Return whether there may be room any moment, whatever the period."""
    return excess.wait is not None and excess.wait <= UNSURE


def _dollars(nano: int) -> str:
    return dollars(nano).rstrip("0").rstrip(".")


def _moment(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=100)
def _span(seconds: int, _wall: Callable[[], float]) -> str:
    """Return a duration as OpenAI writes it: `1s`, `6m0s`."""
    return f"{seconds // 60}m{seconds % 60}s" if seconds >= 60 else f"{seconds}s"


def _when(seconds: int, wall: Callable[[], float]) -> str:
    return _moment(wall() + seconds)


_Reset = Callable[[int, Callable[[], float]], str]
"""Writes when all of a limit is there: in so many seconds, by this wall clock."""

_Form = tuple[str, str, str, _Reset]
"""Names of headers: of the limit, of what is left of it, of when all of it is there."""


def _forms(*styles: tuple[str, _Reset]) -> dict[Measure, tuple[_Form, ...]]:
    """Return headers by what they are about; a style is how their names are made, and how the last one is written."""

    def form(measure: Measure, template: str, reset: _Reset) -> _Form:
        limit, left, whole = (template.format(what=word, of=measure.value) for word in ("limit", "remaining", "reset"))
        return limit, left, whole, reset

    return {measure: tuple(form(measure, *style) for style in styles) for measure in (Measure.REQUESTS, Measure.TOKENS)}


_OPENAI: Final = ("x-ratelimit-{what}-{of}", _span)
_USUAL: Final = _forms(_OPENAI)
_FORMS: Final = {Dialect.ANTHROPIC: _forms(_OPENAI, ("anthropic-ratelimit-{of}-{what}", _when))}
"""How each dialect calls the headers, where not as OpenAI's alone."""
