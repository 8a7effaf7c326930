"""What is known of backends' health, as routing sees it."""

from collections.abc import Mapping

from hybridproxy.model.value import value

HealthKey = tuple[str, str, str, str]
"""Backend, endpoint, model, credential: see `model.plan.Target.health_key`."""


@value
class Ban:
    """A target that gets no calls until `until` (seconds on the loop's clock), and why."""

    until: float
    reason: str


Health = Mapping[HealthKey, Ban]
"""Only the targets that are not fit; empty on a good day."""

HEALTHY: Health = {}
