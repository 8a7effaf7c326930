"""What happens to a call, and what is to be done about it: the words between `execution` and whoever performs it."""

from enum import Enum, auto

from hybridproxy.model.fault import Fault, Verdict
from hybridproxy.model.value import value
from hybridproxy.resilience.breaker import Signal


class Timer(Enum):
    """The timers of a call, over all its attempts."""

    COMMIT = "commit_within"
    TOTAL = "total"
    PAUSE = "pause"
    HEDGE = "hedge"

    __hash__ = object.__hash__  # members are one of a kind; Enum's own hash is a call in Python


class Mode(Enum):
    """What an attempt asks for."""

    FRESH = auto()
    """The call."""
    HEDGE = auto()
    """The call, beside another attempt that is slow."""
    RESUME = auto()
    """The rest of an answer, of which the caller has the beginning."""
    REPLAY = auto()
    """The call, whose answer is held back until it has reproduced what the caller has."""

    __hash__ = object.__hash__


# ---- events ----------------------------------------------------------------------------------------------------------


@value
class FirstOutput:
    """Attempt `n` showed its first real output; in a recovery: the first that the caller has not."""

    n: int


@value
class Finished:
    """Attempt `n` came to a clean and complete end."""

    n: int


@value
class Failed:
    """Attempt `n` failed.

    `follows`: another attempt could go on from what the caller has of its answer. `caught`: its target had opened while
    it waited there, or this was its probe.
    """

    n: int
    fault: Fault
    follows: bool = False
    caught: bool = False


@value
class Refused:
    """Attempt `n` was not made: health took its target away, another call is its probe, or there is no room for it.

    `fault` says that what we may send there is used up, and for how long; None: it is out.
    """

    n: int
    fault: Fault | None = None


@value
class TimerFired:
    """A timer ran out."""

    timer: Timer


@value
class ClientGone:
    """The caller left, or stopped reading."""

    fault: Fault


Event = FirstOutput | Finished | Failed | Refused | TimerFired | ClientGone


# ---- commands --------------------------------------------------------------------------------------------------------


@value
class StartAttempt:
    """Send the call, as attempt `n`, to a target of the plan."""

    n: int
    target: int
    mode: Mode = Mode.FRESH


@value
class CancelAttempt:
    """Close attempt `n`'s connection at once."""

    n: int


@value
class SetTimer:
    """Give `TimerFired(timer)` after so many seconds."""

    timer: Timer
    after: float


@value
class Commit:
    """Send the head and what attempt `n` has held back, and let the rest flow."""

    n: int


@value
class Join:
    """Let the caller's stream go on with attempt `n`."""

    n: int


@value
class Observe:
    """Tell health what became of attempt `n`."""

    n: int
    signal: Signal
    verdict: Verdict
    fault: Fault | None = None


@value
class Complete:
    """The call was answered by attempt `n`."""

    n: int


@value
class GiveUp:
    """The call failed; `fault` is what the caller is told."""

    fault: Fault


Command = StartAttempt | CancelAttempt | SetTimer | Commit | Join | Observe | Complete | GiveUp
