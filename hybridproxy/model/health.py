"""What is known of backends' health, as routing sees it.

Whatever may be kept from calls has a key: a target (backend, endpoint, model, credential), a credential of a backend, a
backend, a region of backends. `Health` holds only those of which something is known, so it is empty on a good day.
"""

from collections.abc import Iterable, Mapping
from enum import Enum, auto

from hybridproxy.model.value import value

HealthKey = tuple[str, str, str, str]
"""Backend, endpoint, model, credential: see `model.plan.Target.health_key`."""

Key = tuple[str, ...]
"""A `HealthKey`, or what `credential_key`, `backend_key` or `region_key` gives; told apart by their form."""


def credential_key(backend: str, credential: str) -> Key:
    """Return what a credential's quarantine is kept under."""
    return ("credential", backend, credential)


def backend_key(backend: str) -> Key:
    """Return what a backend's drain is kept under."""
    return ("backend", backend)


def region_key(region: str) -> Key:
    """Return what the evacuation of a region's backends is kept under."""
    return ("region", region)


def named_by(keys: Iterable[Key]) -> set[str]:
    """Return the backends and regions that keys are about."""
    return {key[0] if len(key) == 4 else key[1] for key in keys}


class Admits(Enum):
    """Which calls a ban lets through nevertheless."""

    NONE = auto()
    PROBE = auto()
    """The one call that will claim the probe."""
    RAMP = auto()
    """A share that grows from `RAMP_START` to all within `RAMP_SECONDS`; the others come here last."""


RAMP_START, RAMP_SECONDS = 0.1, 30.0
"""A target that was out comes back with a tenth of its calls, and has all of them after 30 s."""


@value
class Ban:
    """What keeps calls away until `until` (seconds on the loop's clock), and why.

    `since` is when a ramp began.
    """

    until: float
    reason: str
    admits: Admits = Admits.NONE
    since: float = 0.0

    def share(self, now: float) -> float:
        """Return which part of the calls a ramp gives to its target."""
        return min(1.0, RAMP_START + (1.0 - RAMP_START) * max(0.0, now - self.since) / RAMP_SECONDS)


Health = Mapping[Key, Ban]
"""Only what is not fit, or not wholly; empty on a good day. A ban that is over may still be in it."""

HEALTHY: Health = {}
