"""Whether a region has a backend that could serve anything, for load balancers that choose between regions."""

from hybridproxy.model.backend import Backend
from hybridproxy.model.health import Admits, Health, backend_key, credential_key, region_key
from hybridproxy.model.snapshot import Snapshot


def region_is_usable(snapshot: Snapshot, region: str, health: Health, now: float) -> bool:
    """Return whether some route lists a backend for the region that is fit for at least one of its models.

    Args:
        snapshot: the configuration.
        region: one of its regions.
        health: the targets that are not fit.
        now: seconds on the clock of `health`.

    """
    groups = [group for route in snapshot.routes.values() for group in route.regions.get(region, ())]
    backends = dict.fromkeys(name for group in groups for name in group)
    return any(_is_fit(snapshot, snapshot.backends[name], health, now) for name in backends)


def _is_fit(snapshot: Snapshot, backend: Backend, health: Health, now: float) -> bool:
    out = {key for key, ban in health.items() if ban.until > now and ban.admits is Admits.NONE}
    if not out.isdisjoint((backend_key(backend.id), region_key(backend.region))):
        return False
    names = [s.name for model in snapshot.models.values() for s in model.served_by if s.backend == backend.id]
    return any(
        out.isdisjoint(
            ((backend.id, endpoint.authority, name, credential.id), credential_key(backend.id, credential.id))
        )
        for name in names
        for endpoint in backend.endpoints
        for credential in backend.credentials
    )
