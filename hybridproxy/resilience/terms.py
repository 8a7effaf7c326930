"""What a call's course depends on beside the targets of its plan."""

from typing import Protocol

from hybridproxy.model.snapshot import DEFAULT_HANDLING, Handling, OnCut
from hybridproxy.model.value import value
from hybridproxy.resilience.hedge import HedgeAfter


class Allowance(Protocol):
    """What the tenant's calls may add to load and bill."""

    def retry(self, now: float, *, loads: bool, cost: int = 0, moves: bool = False) -> bool:
        """Take the room for one more attempt, if there is any."""
        ...

    def correct(self, now: float, difference: int) -> None:
        """Add to what was paid for nothing, without asking."""
        ...

    def hedge(self) -> bool:
        """Take the room for one hedge, if there is any."""
        ...


class Rng(Protocol):
    """Chance."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...


@value
class Terms:
    """What a call's course depends on beside the plan's targets.

    Attributes:
        stream: it streams.
        handling: the route's, with the timeouts cut to what the caller will wait.
        recoveries: the ways this call's stream may go on when it is cut, in the order to try them.
        prompt: tokens of the input, as estimated, for what an attempt may cost.
        hedge_after: seconds without output after which a second backend is asked too, None: never.

    """

    stream: bool
    handling: Handling = DEFAULT_HANDLING
    recoveries: tuple[OnCut, ...] = ()
    prompt: int = 1
    hedge_after: HedgeAfter | None = None
