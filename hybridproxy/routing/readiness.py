"""Whether a region has a backend that could serve anything, for load balancers that choose between regions."""

from hybridproxy.model.backend import Backend
from hybridproxy.model.health import Admits, Health, backend_key, credential_key, region_key
from hybridproxy.model.plane import Plane
from hybridproxy.model.snapshot import Snapshot
from hybridproxy.routing.targets import keys_of


def region_is_usable(snapshot: Snapshot, region: str, health: Health, now: float) -> bool:
    """Return whether some route lists a backend for the region that is fit for at least one of its models.

    Args:
        snapshot: the configuration.
        region: one of its regions.
        health: the targets that are not fit.
        now: seconds on the clock of `health`.

    """
    if snapshot.plane is Plane.SOVEREIGN:  # whose calls have no region
        return any(_is_fit(snapshot, snapshot.backends[name], health, now) for name in snapshot.sovereign)
    groups = [group for route in snapshot.routes.values() for group in route.regions.get(region, ())]
    backends = dict.fromkeys(name for group in groups for name in group)
    return any(_is_fit(snapshot, snapshot.backends[name], health, now) for name in backends)


def _is_fit(snapshot: Snapshot, backend: Backend, health: Health, now: float) -> bool:
    out = {key for key, ban in health.items() if ban.until > now and ban.admits is Admits.NONE}
    if not out.isdisjoint((backend_key(backend.id), region_key(backend.region))):
        return False
    return any(out.isdisjoint((key, credential_key(backend.id, key[3]))) for key in keys_of(snapshot, backend))
