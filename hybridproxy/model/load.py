"""How loaded the endpoints of a backend are, as routing sees it. Nothing is known of a backend with one endpoint."""

from collections.abc import Mapping

from hybridproxy.model.value import value

EndpointKey = tuple[str, str]
"""Backend and endpoint: the first two parts of a `HealthKey`."""


@value
class Reading:
    """What an engine said of itself.

    Attributes:
        running: calls it works on, whoever sent them.
        waiting: calls it has queued.
        usage: which part of its KV cache its calls hold, 0 to 1.
        at: when it said so, on the loop's clock.
        ours: calls of this process that were under way there at that moment, or a moment before.

    """

    running: float
    waiting: float
    usage: float
    at: float
    ours: int


@value
class Loads:
    """Calls of this process that are under way, and what engines said last. Only what is not nothing is in it."""

    ours: Mapping[EndpointKey, int]
    readings: Mapping[EndpointKey, Reading]


NO_LOADS = Loads({}, {})
"""Nothing is under way, and no engine was asked."""
