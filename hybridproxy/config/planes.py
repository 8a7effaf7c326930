"""What a process of one plane does without: keys it does not read, and backends it does not have.

A sovereign process reads no `${NAME}` of a third party's keys and addresses. A general one reads no key of a VPC
backend that no route lists: only sovereign calls reach those. What is not read has a stand-in, so that the whole file
is checked and proved all the same, and is left out of the snapshot in the end.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

from hybridproxy.config.context import Finding
from hybridproxy.config.mistakes import KeyPath
from hybridproxy.config.schema import ConfigurationFile
from hybridproxy.model.backend import Trust
from hybridproxy.model.plane import Plane
from hybridproxy.model.snapshot import Route, Snapshot
from hybridproxy.residency.policy import policy_hash

_KEYS = ("api_key", "api_keys")
_ADDRESSES = ("base_url", "endpoints")


def withheld(data: Any, plane: Plane) -> frozenset[str]:
    """Return the backends that a plane does without, by the file as it is written; it may be wrong in any way."""
    backends = data.get("backends") if isinstance(data, dict) else None
    if plane is Plane.ALL or not isinstance(backends, dict):
        return frozenset()
    inside = {name for name, one in backends.items() if isinstance(one, dict) and one.get("trust") == Trust.VPC.value}
    if plane is Plane.SOVEREIGN:
        return frozenset(backends) - inside
    return frozenset(inside - set(_listed(data.get("routes"))))


def stand_in(path: KeyPath, template: str, names: frozenset[str], plane: Plane) -> str | None:
    """Return what takes the place of a text with `${NAME}` that is not read, None where it is read.

    A key's is the text as it is written.
    """
    if len(path) < 3 or path[0] != "backends" or path[1] not in names:
        return None
    if path[2] in _KEYS:
        return template
    if plane is Plane.SOVEREIGN and path[2] in _ADDRESSES:
        return f"https://withheld-{path[-1] if len(path) > 3 else 0}.invalid"
    return None


def contradicted(file: ConfigurationFile, names: frozenset[str], plane: Plane) -> Iterator[Finding]:
    """Yield the backends that were taken for ones this plane does without, and are not: `${NAME}` hid that."""
    listed = _named(file.routes)
    for name in sorted(names & file.backends.keys()):
        inside = file.backends[name].sovereign
        if inside if plane is Plane.SOVEREIGN else name in listed or not inside:
            yield ("backends", name, "trust"), "with --plane, write trust and the backends in routes out, without ${…}"


def narrowed(snapshot: Snapshot, plane: Plane) -> Snapshot:
    """Return a snapshot with nothing in it of what a plane does without."""
    if plane is Plane.ALL:
        return snapshot
    sovereign = plane is Plane.SOVEREIGN
    listed = _named(snapshot.routes)
    kept = {
        name: backend
        for name, backend in snapshot.backends.items()
        if (backend.trust is Trust.VPC if sovereign else backend.trust is not Trust.VPC or name in listed)
    }
    return replace(
        snapshot,
        backends=kept,
        sovereign=snapshot.sovereign if sovereign else {},
        routes={name: _only(route, kept) for name, route in snapshot.routes.items()},
        plane=plane,
        policy=policy_hash(snapshot),
    )


class _HasRegions(Protocol):
    """A route, of the file or of the snapshot."""

    @property
    def regions(self) -> Mapping[str, Iterable[Iterable[str]]]:
        """Groups of backends, by region."""
        ...


def _named(routes: Mapping[str, _HasRegions]) -> set[str]:
    """Return the backends that routes list."""
    return {
        name for route in routes.values() for groups in route.regions.values() for group in groups for name in group
    }


def _only(route: Route, backends: dict[str, Any]) -> Route:
    """Return a route without the backends that are not there."""
    regions = {
        region: tuple(left for group in groups if (left := tuple(name for name in group if name in backends)))
        for region, groups in route.regions.items()
    }
    return replace(route, regions=regions)


def _listed(data: Any) -> Iterator[str]:
    """Give every word in the routes' regions, whatever it is: lists of names, and names."""
    if isinstance(data, dict):
        for name, value in data.items():
            if name != "timeouts":
                yield from _listed(value)
    elif isinstance(data, list):
        for value in data:
            yield from _listed(value)
    elif isinstance(data, str):
        yield data
