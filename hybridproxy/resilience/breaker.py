"""When to leave a target alone, and how it comes back: the only breaker logic there is.

Theory of operation. A target (backend, endpoint, model, credential) is `closed`: calls flow. Two signals are judged,
since a call lasts from one second to minutes: its *start* (from connecting to the first output) and its *integrity*
(from there to the end). It opens by

    five start faults in a row; or half of at least 20 starts within 30 s; or half of at least 10 ends within 120 s

and is then left alone for `open_for` seconds, doubled each time it opens again, up to `open_max`, 20 % more or less at
random so that replicas do not come back in step. Ten healthy minutes forget the doubling. Then

    open       Leased   -> half-open         the one right to probe in the whole fleet, with its epoch, for some seconds
    half-open  Checked  -> half-open | open  by a connection or health check of ours: no caller finds a host unreachable
               Claimed  -> half-open         one call, or one of ours, goes out as the probe
               Started  -> half-open         it was good; the next may go out. Three in a row: closed
                        -> open              it was a fault: twice as long
               Expired  -> open              the right to probe ran out; no evidence either way
    open       Heard    -> closed            another replica's probes were good, by an epoch newer than this opening

A target that was closed gets its calls back by a ramp. While it is not closed, no outcome but the probe's own counts:
what began before it opened says nothing of now.

A 429 is no fault but a cool-off for as long as Retry-After says, at most `MAX_COOL_OFF`. What the caller did wrong, and
a caller that leaves, count for nothing, or one tenant could close a backend for everybody.

Numbers: five in a row as in Envoy's outlier detection; half of a sample of 20 as in Hystrix, of 10 for ends, which are
fewer; one probe as in Polly; three good probes, 15 s and the ramp are our own.
"""

from dataclasses import replace
from enum import Enum
from typing import Final

from hybridproxy.model.fault import Fault, Verdict
from hybridproxy.model.health import RAMP_SECONDS, Admits, Ban
from hybridproxy.model.value import value
from hybridproxy.resilience.window import EMPTY, Window, add

STREAK: Final = 5
START_SPAN, START_SAMPLES = 30, 20
INTEGRITY_SPAN, INTEGRITY_SAMPLES = 120, 10
SHARE: Final = 0.5
JITTER: Final = 0.2
PROBES_TO_CLOSE: Final = 3
HEALTHY_FOR: Final = 600.0
"""Seconds after which a target that opens again opens as if for the first time."""

MAX_COOL_OFF: Final = 300.0
"""Seconds; whatever an upstream asks for, it is not left alone for longer."""

MAX_OPEN: Final = 3600.0 * 24 * 7
"""Seconds; the longest an operator may trip a target."""

FOREVER: Final = float("inf")
NOBODY: Final[frozenset[str]] = frozenset()


class Phase(Enum):
    """`closed`: calls flow; `open`: refused; `half-open`: one probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Signal(Enum):
    """What an outcome says something of."""

    START = "start"
    INTEGRITY = "integrity"

    __hash__ = object.__hash__


@value
class Rules:
    """How long a target that opened is left alone, in seconds: at first, and at most."""

    open_for: float = 5.0
    open_max: float = 15.0


DEFAULT_RULES = Rules()


@value
class BreakerState:
    """What is known of one target. All times are seconds on the loop's clock.

    Attributes:
        phase: see the theory of operation.
        starts: start outcomes of the last 30 s.
        ends: integrity outcomes of the last 120 s.
        streak: start faults in a row.
        tenants: whose calls failed in this streak or window, at most two of them.
        unreachable: the faults of this streak never reached the target, whoever called.
        opens: how often it opened without ten healthy minutes in between.
        until: open: until then nobody may even probe.
        epoch: the number of the last right to probe that is known of; newer ones are larger.
        lease_until: half-open: when the right to probe ends.
        ticket: half-open: the next call may go out as the probe.
        out: half-open: the probe is under way.
        passed: half-open: probes that were good so far.
        ours: half-open: no caller's call may be the probe.
        closed_at: when it last closed; the ramp counts from there.
        cool_until: throttled until then.
        reason: why it is not fit, for people.

    """

    phase: Phase = Phase.CLOSED
    starts: Window = EMPTY
    ends: Window = EMPTY
    streak: int = 0
    tenants: frozenset[str] = NOBODY
    unreachable: bool = False
    opens: int = 0
    until: float = 0.0
    epoch: int = 0
    lease_until: float = 0.0
    ticket: bool = False
    out: bool = False
    passed: int = 0
    ours: bool = False
    closed_at: float = -FOREVER
    cool_until: float = 0.0
    reason: str = ""


CLOSED = BreakerState()


@value
class Outcome:
    """One attempt's start or end.

    Attributes:
        signal: which of the two.
        verdict: what it means for health.
        what: the fault in words.
        wait: seconds a throttling upstream wants to be left alone.
        unreachable: the target was never reached.
        tenant: whose call it was.
        epoch: the right to probe it was made under, None for every other call.
        count: how many like it are meant; more than one only where they were good.

    """

    signal: Signal
    verdict: Verdict
    what: str = ""
    wait: float = 0.0
    unreachable: bool = False
    tenant: str = ""
    epoch: int | None = None
    count: int = 1


def outcome_of(
    signal: Signal, verdict: Verdict, fault: Fault | None, *, tenant: str = "", epoch: int | None = None
) -> Outcome:
    """Return the outcome of an attempt that came to this verdict, by the fault that it was, if it was one."""
    if fault is None:
        return Outcome(signal, verdict, tenant=tenant, epoch=epoch)
    return Outcome(
        signal,
        verdict,
        what=fault.facts.text,
        wait=fault.cool_off if fault.retry_after is None else fault.retry_after,
        unreachable=fault.facts.sent_nothing,
        tenant=tenant,
        epoch=epoch,
    )


@value
class Leased:
    """The right to probe was given to this replica until `until`."""

    epoch: int
    until: float


@value
class Checked:
    """The check that goes before a probe was made under a right to probe.

    `what` says why it failed; `ours`: only calls of our own may be its probes.
    """

    epoch: int
    passed: bool
    what: str = ""
    ours: bool = False


@value
class Claimed:
    """The probe goes out."""


@value
class Expired:
    """Time passed; `force`: whoever had the right to probe gave it back before its end."""

    force: bool = False


@value
class HeardOpen:
    """The fleet judged it open for so many more seconds."""

    seconds: float
    epoch: int
    reason: str


@value
class HeardClosed:
    """Another replica's probes were good, under this epoch."""

    epoch: int


@value
class Tripped:
    """An operator opens it until then."""

    until: float
    reason: str


@value
class Reset:
    """An operator wants everything forgotten."""


Event = Outcome | Leased | Checked | Claimed | Expired | HeardOpen | HeardClosed | Tripped | Reset


def step(  # noqa: C901, PLR0911 - one row of the table a line
    state: BreakerState, event: Event, now: float, *, chance: float = 0.5, rules: Rules = DEFAULT_RULES
) -> BreakerState:
    """Return the state after an event.

    Args:
        state: before.
        event: what happened.
        now: seconds on the loop's clock.
        chance: a number in [0, 1) that decides the jitter of an opening.
        rules: how long it stays open.

    """
    if type(event) is Outcome:
        if event.verdict is Verdict.THROTTLE:
            state = _cool(state, event, now)
        return (
            _closed(state, event, now, chance, rules)
            if state.phase is Phase.CLOSED
            else (_probed(state, event, now, chance, rules))
        )
    match event:
        case Reset():
            return BreakerState(epoch=state.epoch)
        case Tripped(until, reason):
            until = min(until, now + MAX_OPEN)
            return replace(_opened(state, until, reason), opens=state.opens)
        case HeardOpen():
            return _heard_open(state, event, now, rules)
        case HeardClosed(epoch):
            return _heard_closed(state, epoch, now)
        case Leased(epoch, until) if state.phase is Phase.OPEN and now >= state.until and epoch > state.epoch:
            return replace(
                state, phase=Phase.HALF_OPEN, epoch=epoch, lease_until=until, ticket=False, out=False, passed=0
            )
        case _ if state.phase is not Phase.HALF_OPEN:
            return state
        case Leased(epoch, until) if epoch == state.epoch:  # the same right, for longer
            return replace(state, lease_until=max(until, state.lease_until))
        case Checked(epoch, passed, what, ours) if epoch == state.epoch and not state.out:
            return replace(state, ticket=True, ours=ours) if passed else _again(state, what, now, chance, rules)
        case Claimed() if state.ticket and now < state.lease_until:
            return replace(state, ticket=False, out=True)
        case Expired(force) if force or now >= state.lease_until:
            return _opened(state, now, state.reason)
        case _:
            return state


def ban(state: BreakerState, now: float) -> Ban | None:
    """Return what keeps calls from a target in this state, None when nothing does."""
    if state.phase is Phase.OPEN:
        return Ban(FOREVER, f"open: {state.reason}")
    if state.phase is Phase.HALF_OPEN:
        open_to_callers = state.ticket and not state.ours and state.cool_until <= now
        admits = Admits.PROBE if open_to_callers else Admits.NONE
        return Ban(FOREVER, f"half-open: {state.reason}", admits)
    if state.cool_until > now:
        return Ban(state.cool_until, f"cooling off: {state.reason}")
    if now < state.closed_at + RAMP_SECONDS:
        return Ban(state.closed_at + RAMP_SECONDS, "coming back by a ramp", Admits.RAMP, state.closed_at)
    return None


def recent_opens(state: BreakerState, now: float) -> int:
    """Return how often it opened, and 0 once it was closed for longer than `HEALTHY_FOR`."""
    is_healthy = state.phase is Phase.CLOSED and now - state.closed_at > HEALTHY_FOR
    return 0 if is_healthy else state.opens


def _closed(state: BreakerState, event: Outcome, now: float, chance: float, rules: Rules) -> BreakerState:
    """Count an outcome while calls flow, and open when there were too many faults."""
    if event.verdict is not Verdict.OK and event.verdict is not Verdict.FAULT:
        return state
    fault = event.verdict is Verdict.FAULT
    if event.signal is Signal.INTEGRITY:
        ends = add(state.ends, now, INTEGRITY_SPAN, fault=fault, count=event.count)
        judged = replace(state, ends=ends)
        if not fault:
            return judged
        judged = _blamed(judged, event)
        if ends.samples < INTEGRITY_SAMPLES or ends.share_of_faults() < SHARE:
            return judged
        why = f"{ends.faults} of {ends.samples} streams broke off within {INTEGRITY_SPAN} s: {event.what}"
        return _open_anew(replace(judged, unreachable=False), why, now, chance, rules)
    starts = add(state.starts, now, START_SPAN, fault=fault, count=event.count)
    if not fault:
        tenants = state.tenants if starts.faults or state.ends.faults else NOBODY
        return replace(state, starts=starts, streak=0, unreachable=False, tenants=tenants)
    judged = _blamed(replace(state, starts=starts, streak=state.streak + 1), event)
    if judged.streak >= STREAK:
        return _open_anew(judged, f"{judged.streak} faults in a row: {event.what}", now, chance, rules)
    if starts.samples >= START_SAMPLES and starts.share_of_faults() >= SHARE:
        why = f"{starts.faults} of {starts.samples} calls failed within {START_SPAN} s: {event.what}"
        return _open_anew(replace(judged, unreachable=False), why, now, chance, rules)
    return judged


def _blamed(state: BreakerState, event: Outcome) -> BreakerState:
    """Remember whose call failed, for the fleet: one tenant's calls alone do not close a backend to all the others."""
    tenants = state.tenants if len(state.tenants) >= 2 else state.tenants | {event.tenant}
    if event.signal is Signal.INTEGRITY:
        return replace(state, tenants=tenants)
    first = state.streak <= 1
    return replace(state, tenants=tenants, unreachable=event.unreachable and (first or state.unreachable))


def _probed(state: BreakerState, event: Outcome, now: float, chance: float, rules: Rules) -> BreakerState:
    """Take the probe's own outcome; every other one began before the target opened, or is of a probe given up."""
    if state.phase is not Phase.HALF_OPEN or event.epoch != state.epoch:
        return state
    if event.verdict is Verdict.FAULT or event.verdict is Verdict.CREDENTIAL:
        return _again(state, event.what, now, chance, rules)
    if not state.out or event.signal is Signal.INTEGRITY:
        return state
    if event.verdict is Verdict.THROTTLE:
        return _opened(state, max(now, state.cool_until), state.reason)
    passed = state.passed + (event.verdict is Verdict.OK)
    if passed >= PROBES_TO_CLOSE:
        return _close(state, state.epoch, now)
    return replace(state, out=False, ticket=True, passed=passed)


def _cool(state: BreakerState, event: Outcome, now: float) -> BreakerState:
    """Leave a throttled target alone; of two waits the later end holds."""
    until = now + min(max(0.0, event.wait), MAX_COOL_OFF)
    if until <= state.cool_until:
        return state
    reason = event.what if state.phase is Phase.CLOSED else state.reason
    return replace(state, cool_until=until, reason=reason)


def _heard_open(state: BreakerState, event: HeardOpen, now: float, rules: Rules) -> BreakerState:
    """Believe the fleet that a target is out, for no longer than this replica would have left it alone."""
    if state.phase is Phase.HALF_OPEN or event.epoch < state.epoch:
        return state
    until = now + min(max(0.0, event.seconds), rules.open_max * (1 + JITTER))
    if state.phase is Phase.OPEN:
        return replace(state, until=max(state.until, until))
    return replace(_opened(state, until, event.reason), epoch=event.epoch, opens=state.opens)


def _heard_closed(state: BreakerState, epoch: int, now: float) -> BreakerState:
    """Believe good probes that were made after this target opened; remember the epoch, so that none counts twice."""
    if epoch <= state.epoch or state.phase is Phase.HALF_OPEN:
        return state
    return _close(state, epoch, now) if state.phase is Phase.OPEN else replace(state, epoch=epoch)


def _open_anew(state: BreakerState, why: str, now: float, chance: float, rules: Rules) -> BreakerState:
    opens = recent_opens(state, now)
    return replace(_opened(state, now + _open_time(opens, chance, rules), why), opens=opens + 1)


def _again(state: BreakerState, what: str, now: float, chance: float, rules: Rules) -> BreakerState:
    opened = _opened(state, now + _open_time(state.opens, chance, rules), f"its probe failed: {what}")
    return replace(opened, opens=state.opens + 1)


def _opened(state: BreakerState, until: float, reason: str) -> BreakerState:
    return replace(
        state, phase=Phase.OPEN, until=until, reason=reason, starts=EMPTY, ends=EMPTY, streak=0, ticket=False,
        out=False, passed=0, ours=False, lease_until=0.0,
    )  # fmt: skip


def _open_time(opens: int, chance: float, rules: Rules) -> float:
    """Return the seconds to stay open: doubled each time, bounded, then 20 % more or less."""
    seconds = min(rules.open_max, rules.open_for * 2.0 ** min(opens, 30))
    return seconds * (1.0 + JITTER * (2.0 * chance - 1.0))


def _close(state: BreakerState, epoch: int, now: float) -> BreakerState:
    return BreakerState(epoch=epoch, opens=state.opens, closed_at=now, cool_until=state.cool_until, reason=state.reason)
