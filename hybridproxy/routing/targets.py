"""Every key under which health may be kept: what replicas have to recognise when they hear of it.

Worked out once for a configuration, and kept with it (`Snapshot.memo`).
"""

from collections.abc import Iterator

from hybridproxy.model.backend import Backend
from hybridproxy.model.health import HealthKey, Key, backend_key, credential_key, region_key
from hybridproxy.model.snapshot import Served, Snapshot
from hybridproxy.routing.gate import starred


def keys_of(snapshot: Snapshot, backend: Backend) -> Iterator[HealthKey]:
    """Give the keys of a backend's targets; those of a model whose name holds a `*` are not known before a call."""
    names = [s.name for model in snapshot.models.values() for s in model.served_by if s.backend == backend.id]
    for name in dict.fromkeys(names):
        for endpoint in backend.endpoints:
            for credential in backend.credentials:
                yield (backend.id, endpoint.authority, name, credential.id)


def target_keys(snapshot: Snapshot) -> tuple[HealthKey, ...]:
    """Return the keys of all targets."""
    known: tuple[HealthKey, ...] | None = snapshot.memo.get(target_keys)
    if known is None:
        known = tuple(key for backend in snapshot.backends.values() for key in keys_of(snapshot, backend))
        snapshot.memo[target_keys] = known
    return known


def is_known(snapshot: Snapshot, key: Key) -> bool:
    """Return whether a target or a credential is still configured."""
    name, credential = (key[1], key[2]) if len(key) == 3 else (key[0], key[-1])
    backend = snapshot.backends.get(name)
    if backend is None or all(credential != one.id for one in backend.credentials):
        return False
    if len(key) == 3:
        return True
    places = {endpoint.authority for endpoint in backend.endpoints}
    return key[1] in places and served_as(snapshot, name, key[2]) is not None


def served_as(snapshot: Snapshot, backend: str, name: str) -> Served | None:
    """Return how a backend serves what it calls by this name, by that very name before a pattern, if it does."""
    own = [served for model in snapshot.models.values() for served in model.served_by if served.backend == backend]
    named = [served for served in own if served.name == name]
    return next(iter(named or [served for served in own if starred(served.name, name) is not None]), None)


def other_keys(snapshot: Snapshot) -> tuple[Key, ...]:
    """Return what can be out of service beside targets: regions, backends, credentials."""
    backends = snapshot.backends.values()
    return (
        *map(region_key, dict.fromkeys(backend.region for backend in backends if backend.region)),
        *(backend_key(backend.id) for backend in backends),
        *(credential_key(backend.id, credential.id) for backend in backends for credential in backend.credentials),
    )
