"""How loaded the endpoints of a backend are, and how soon backends answer, as routing sees it.

Of the load nothing is known where a backend has one endpoint.
"""

from collections.abc import Mapping
from dataclasses import field

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


PaceKey = tuple[str, str]
"""A backend, and its own name of a model."""


@value
class Pace:
    """How soon a backend's streams of a model begin.

    Attributes:
        seconds: to the first output, smoothed over the last calls.
        calls: how many were measured.
        at: when the last one was, on the loop's clock.

    """

    seconds: float
    calls: int
    at: float


@value
class Loads:
    """Calls of this process that are under way, and what engines said last. Only what is not nothing is in it.

    `paces`: where a route goes by how soon backends answer.
    """

    ours: Mapping[EndpointKey, int]
    readings: Mapping[EndpointKey, Reading]
    paces: Mapping[PaceKey, Pace] = field(default_factory=dict)


NO_LOADS = Loads({}, {})
"""Nothing is under way, and no engine was asked."""
