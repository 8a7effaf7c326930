"""When to leave a backend alone, and when to try it again.

A target (backend, endpoint, model, credential) is `closed` (calls flow) until `FAULTS_TO_OPEN` attempts in a row were
faults of its own; then it is `open` for `OPEN_SECONDS`. After that the next call is its probe: success closes it, a
fault opens it again at once. A 429 that says how long to wait is a cool-off of that length, at most `MAX_COOL_OFF`, and
no evidence of a fault.
What the caller did wrong counts for nothing, or one tenant could close a backend for everybody.
Numbers: five in a row as in Envoy's outlier detection.
"""

from hybridproxy.model.fault import Verdict
from hybridproxy.model.value import value

FAULTS_TO_OPEN = 5
OPEN_SECONDS = 5.0
MAX_COOL_OFF = 300.0
"""Seconds; whatever an upstream asks for, it is not left alone for longer."""


@value
class BreakerState:
    """Faults in a row, and until when (seconds on the loop's clock) no call goes there; 0: it is closed."""

    faults: int = 0
    until: float = 0.0
    reason: str = ""


CLOSED = BreakerState()


def step(
    state: BreakerState, verdict: Verdict, now: float, *, wait: float | None = None, what: str = ""
) -> BreakerState:
    """Return the state after one attempt's outcome.

    Args:
        state: before.
        verdict: what the outcome means for health.
        now: seconds on the loop's clock.
        wait: seconds the upstream asked to be left alone.
        what: the fault in words, for the reason people see.

    """
    if verdict is Verdict.OK:
        return CLOSED
    if verdict is Verdict.THROTTLE:
        if wait is None:
            return state
        until = now + min(max(0.0, wait), MAX_COOL_OFF)
        return BreakerState(state.faults, until, f"cooling off: {what}") if until > state.until else state
    if verdict is Verdict.IGNORED:
        return state
    faults = state.faults + 1
    if faults < FAULTS_TO_OPEN:
        return BreakerState(faults, state.until, state.reason)
    return BreakerState(faults, max(state.until, now + OPEN_SECONDS), f"open after {faults} faults in a row: {what}")
