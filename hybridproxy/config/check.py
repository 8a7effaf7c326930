"""What has to fit together: names that must exist, and rules over several options.

Each check yields (path, message) pairs. The file it gets holds only what passed the schema; names of broken entries
still count as known, so that one mistake does not look like two.
"""

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from geo.networks import SPECIAL_NETWORKS, Network, NetworkSet, pack
from hybridproxy.config.environment import literal_part
from hybridproxy.config.mistakes import KeyPath, dotted
from hybridproxy.config.schema import NOT_DONE_YET, BackendSection, ConfigurationFile, RedisSection, TenantSection
from hybridproxy.config.values import suggestion
from hybridproxy.model.backend import Endpoint
from hybridproxy.model.snapshot import OnCut
from hybridproxy.providers import PROVIDERS

Finding = tuple[KeyPath, str]

DEFAULT = "default"
"""The region of callers no other region takes; the route of tenants that name none."""

_WIDEST_VPC = {32: 8, 128: 7}
"""Shortest prefix of a VPC's network: 10.0.0.0/8 and fc00::/7 are the largest private ones."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the checks know beside the valid part of the file.

    Attributes:
        names: section -> the names written there, broken entries included.
        templates: path -> text with its `${NAME}` references, where there were any.
        base: the folder relative paths start at.
        intact: whether nothing at or under a path was refused already.

    """

    names: Mapping[str, Collection[str]]
    templates: Mapping[KeyPath, str]
    base: Path
    intact: Callable[[KeyPath], bool]


def check(file: ConfigurationFile, context: Context) -> Iterator[Finding]:
    """Yield what does not fit together."""
    yield from _settings(file, context)
    yield from _regions(file, context)
    yield from _empty(("backends",), file.backends, "backend")
    for name, backend in file.backends.items():
        yield from _backend(name, backend, context)
    yield from _models(file, context)
    yield from _routes(file, context)
    yield from _tenants(file, context)


def _empty(path: KeyPath, items: Collection[Any], noun: str) -> Iterator[Finding]:
    if not items:
        yield path, f"expected at least one {noun}"


def _settings(file: ConfigurationFile, context: Context) -> Iterator[Finding]:
    if file.geo.database != "builtin" and not _is_file(context.base / file.geo.database):
        yield ("geo", "database"), "expected `builtin` or a database file; there is no such file"
    if file.admin is not None:
        yield from _from_environment(("admin", "token"), context)
        listen = file.listen
        hosts = {file.admin.host, listen.host}
        shared = len(hosts) == 1 or {"0.0.0.0", "::"} & hosts
        if shared and file.admin.port == listen.port != 0 and context.intact(("listen", "port")):
            yield ("admin", "port"), "the admin port may not be the data port"
    if file.redis is not None:
        yield from _redis(file.redis, context)
    if file.breaker.open_max < file.breaker.open_for:
        yield ("breaker", "open_max"), "expected at least open_for, which it bounds"


def _redis(redis: RedisSection, context: Context) -> Iterator[Finding]:
    template = context.templates.get(("redis", "url"))
    if redis.url.password is not None and (template is None or _LOGIN.search(literal_part(template))):
        yield ("redis", "url"), "a password stands in the file: write ${NAME} and set it in the environment"
    if redis.sentinel_password is not None:
        yield from _from_environment(("redis", "sentinel_password"), context)
        if redis.url.mode != "sentinel":
            yield ("redis", "sentinel_password"), "there are no sentinels in the URL: leave it out"
    for option, given in (("ca", redis.tls.ca), ("name", redis.tls.name)):
        if given is not None and not redis.url.tls:
            yield ("redis", "tls", option), "the URL has no TLS: write rediss://, or leave this out"
    if redis.tls.ca is not None and not _is_file(context.base / redis.tls.ca):
        yield ("redis", "tls", "ca"), "expected a PEM file with the certificates to trust; there is no such file"


_LOGIN = re.compile(r"://[^@/]*:[^@/]+@")
"""A user, a colon and a password that is not empty, before the host."""


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for names that are too long


def _from_environment(path: KeyPath, context: Context) -> Iterator[Finding]:
    template = context.templates.get(path)
    if template is None or literal_part(template):
        yield path, "a secret may not stand in the file: write ${NAME} and set it in the environment"


def _regions(file: ConfigurationFile, context: Context) -> Iterator[Finding]:
    rest: str | None = None
    for name, region in file.regions.items():
        if not context.intact(("regions", name)):
            continue
        if region.countries or region.continents:
            if name == DEFAULT:
                yield ("regions", name), "the default region takes what no other does: leave it empty, {}"
        elif rest is not None:
            yield ("regions", name), f"expected countries or continents: {rest} already takes what no other region does"
        else:
            rest = name


def _backend(name: str, backend: BackendSection, context: Context) -> Iterator[Finding]:
    here: KeyPath = ("backends", name)
    provider = PROVIDERS[backend.provider]
    known = context.intact((*here, "provider"))
    if known and backend.site is not None and backend.site not in provider.sites:
        yield (*here, "site"), f"{provider.name} has no such site: {suggestion(backend.site, sites_of(backend))}"
    yield from _credentials(here, backend, context)
    if backend.region is not None:
        yield from _known((*here, "region"), "region", backend.region, context.names["regions"])
    if backend.base_url is not None and backend.endpoints is not None:
        yield (*here, "endpoints"), "either base_url or endpoints, not both"
    elif known and backend.base_url is None and backend.endpoints is None and context.intact((*here, "endpoints")):
        if provider.self_hosted:
            yield (*here, "base_url"), f"is required, or endpoints: {provider.name} is wherever you run it"
        elif backend.site is None and "" not in provider.sites:
            yield (*here, "site"), f"is required: {suggestion('', sites_of(backend))}"
        elif not provider.sites.get(backend.site or "", "-"):
            yield (*here, "base_url"), f"is required for the site {backend.site}, whose address is yours alone"
    yield from _endpoints(here, backend, context)
    if backend.tls.ca is not None and not _is_file(context.base / backend.tls.ca):
        yield (*here, "tls", "ca"), "expected a PEM file with the certificates to trust; there is no such file"


def sites_of(backend: BackendSection) -> list[str]:
    """Return the names of the sites of a backend's provider."""
    return [site for site in PROVIDERS[backend.provider].sites if site]


def _credentials(here: KeyPath, backend: BackendSection, context: Context) -> Iterator[Finding]:
    if backend.api_key is not None and backend.api_keys is not None:
        yield (*here, "api_keys"), "either api_key or api_keys, not both"
    if backend.api_key is not None:
        yield from _from_environment((*here, "api_key"), context)
    for index in range(len(backend.api_keys or ())):
        yield from _from_environment((*here, "api_keys", index), context)
    missing = backend.api_key is None and backend.api_keys is None and context.intact((*here, "api_keys"))
    if missing and not PROVIDERS[backend.provider].self_hosted:
        yield (*here, "api_key"), f"is required for {backend.provider}: write ${{NAME}} and set it in the environment"


def located_endpoints(here: KeyPath, backend: BackendSection) -> list[tuple[KeyPath, Endpoint]]:
    """Return the endpoints the operator wrote, with their paths."""
    if backend.base_url is not None:
        return [((*here, "base_url"), backend.base_url)]
    return [((*here, "endpoints", index), endpoint) for index, endpoint in enumerate(backend.endpoints or ())]


def _endpoints(here: KeyPath, backend: BackendSection, context: Context) -> Iterator[Finding]:
    endpoints = located_endpoints(here, backend)
    allowed = NetworkSet.parse(backend.allow_cidrs)
    guarded = bool(backend.allow_cidrs) and context.intact((*here, "allow_cidrs"))
    seen: set[Endpoint] = set()
    for path, endpoint in endpoints:
        packed = pack(endpoint.host)
        loopback = packed is not None and (packed[:1] == b"\x7f" if len(packed) == 4 else packed == bytes(15) + b"\1")
        if endpoint.scheme == "http" and not loopback and not backend.insecure and context.intact((*here, "insecure")):
            yield path, "plain http beyond this machine: write https, or insecure: true if the network is trusted"
        if packed is None and backend.sovereign:
            yield path, "a vpc backend is reached by its IP address: a name could be made to point elsewhere"
        if packed is not None and guarded and packed not in allowed:
            yield path, "the address is not within the backend's allow_cidrs"
        if endpoint in seen:
            yield path, "the endpoint is listed twice"
        seen.add(endpoint)
    if backend.sovereign:
        yield from _vpc(here, backend)


def _vpc(here: KeyPath, backend: BackendSection) -> Iterator[Finding]:
    if not PROVIDERS[backend.provider].self_hosted:
        yield (*here, "trust"), f"{backend.provider} is a third party: trust: vpc is for servers of your own"
    if not backend.allow_cidrs:
        yield (*here, "allow_cidrs"), "is required for a vpc backend: the networks its addresses have to be in"
    for index, cidr in enumerate(backend.allow_cidrs):
        network = Network.parse(cidr)
        prefix = network.bits - (network.last - network.first).bit_length()
        if prefix < _WIDEST_VPC[network.bits]:
            path = (*here, "allow_cidrs", index)
            yield path, f"too wide for a private network: expected a prefix of /{_WIDEST_VPC[network.bits]} or longer"


def _models(file: ConfigurationFile, context: Context) -> Iterator[Finding]:
    yield from _empty(("models",), file.models, "model")
    for name, model in file.models.items():
        yield from _empty(("models", name, "served_by"), model.served_by, "backend")
        for backend, served in model.served_by.items():
            path = ("models", name, "served_by", backend)
            yield from _known(path, "backend", backend, context.names["backends"])
            if "*" in served.name and "*" not in name:
                yield path, "the backend's name holds a * and the model's has none to put there"


def _known(path: KeyPath, noun: str, name: str, known: Collection[str]) -> Iterator[Finding]:
    # Where there are none at all, that is the mistake, and it is reported as such.
    if name not in known and (known or noun != "backend"):
        yield path, f"there is no {noun} {name}: {suggestion(name, known)}"


def _routes(file: ConfigurationFile, context: Context) -> Iterator[Finding]:
    for name, route in file.routes.items():
        here = ("routes", name, "regions")
        if DEFAULT not in route.regions:
            yield (*here, DEFAULT), "is required: the backends for regions not listed, [] for none"
        for region, groups in route.regions.items():
            if region != DEFAULT:
                yield from _known((*here, region), "region", region, context.names["regions"])
            seen: set[str] = set()
            for place, group in enumerate(groups):
                for index, backend in enumerate(group):
                    path = (*here, region, place, index)
                    yield from _known(path, "backend", backend, context.names["backends"])
                    if backend in seen:
                        yield path, f"{backend} stands in this list twice"
                    seen.add(backend)


def _tenants(file: ConfigurationFile, context: Context) -> Iterator[Finding]:
    owners: dict[bytes, KeyPath] = {}
    judge = _Tenants(file, context)
    for name, tenant in file.tenants.items():
        here = ("tenants", name)
        yield from _empty((*here, "keys"), tenant.keys, "key: `hybridproxy key new TENANT` makes one")
        for index, digest in enumerate(tenant.keys):
            path = (*here, "keys", index)
            owner = owners.setdefault(digest, path)
            if owner is not path:
                yield path, f"the same key as {dotted(owner)}: a key belongs to one tenant"
        yield from judge.models(here, tenant)
        if tenant.region is not None:
            yield from _known((*here, "region"), "region", tenant.region, context.names["regions"])
        yield from judge.sovereign(here, tenant) if tenant.sovereign else judge.ordinary(here, tenant)


class _Tenants:
    """The checks of tenants, with what is the same for thousands of them worked out once."""

    def __init__(self, file: ConfigurationFile, context: Context) -> None:
        self.file = file
        self.context = context
        self.route_known = cache(lambda name: name in context.names["routes"])
        self.covers = cache(lambda pattern: any(overlap(pattern, model) for model in context.names["models"]))
        self.inside = cache(self._inside)
        self.listed = {
            name: {backend for groups in route.regions.values() for group in groups for backend in group}
            for name, route in file.routes.items()
        }

    def models(self, here: KeyPath, tenant: TenantSection) -> Iterator[Finding]:
        for index, pattern in enumerate(tenant.models):
            if self.context.names["models"] and not self.covers(pattern):
                message = f"no model is called so: {suggestion(pattern, self.context.names['models'])}"
                yield (*here, "models", index), message

    def ordinary(self, here: KeyPath, tenant: TenantSection) -> Iterator[Finding]:
        route = DEFAULT if tenant.route is None else tenant.route
        if not self.route_known(route):
            if tenant.route is None:
                yield (*here, "route"), "is required, as there is no route called default"
            else:
                yield from _known((*here, "route"), "route", route, self.context.names["routes"])
        for index, backend in enumerate(tenant.backends or ()):
            yield from _known((*here, "backends", index), "backend", backend, self.context.names["backends"])
        whole = route in self.listed and self.context.intact(("routes", route))
        if tenant.backends is not None and whole and not self.listed[route].intersection(tenant.backends):
            yield (*here, "backends"), f"the route {route} lists none of these backends"

    def sovereign(self, here: KeyPath, tenant: TenantSection) -> Iterator[Finding]:
        for option, value in (("route", tenant.route), ("backends", tenant.backends)):
            if value is not None:
                yield (*here, option), "the route of a residency: vpc tenant is every vpc backend: leave this out"
        whole = all(self.context.intact(path) for path in ((*here, "models"), ("models",), ("backends",)))
        if whole and not self.inside(tuple(tenant.models)):
            yield (*here, "residency"), "no vpc backend serves any of the tenant's models, so it could call nothing"

    def _inside(self, patterns: tuple[str, ...]) -> bool:
        return any(
            self.file.backends[backend].sovereign
            for name, model in self.file.models.items()
            if any(overlap(pattern, name) for pattern in patterns)
            for backend in model.served_by
            if backend in self.file.backends
        )


def overlap(one: str, other: str) -> bool:
    """Return whether some name fits both patterns, in which only `*` is special."""
    if "*" in one and "*" in other:
        # Whatever stands between the first and the last star, the other's stars can take it.
        heads = one.partition("*")[0], other.partition("*")[0]
        tails = one.rpartition("*")[2], other.rpartition("*")[2]
        short_head, long_head = sorted(heads, key=len)
        short_tail, long_tail = sorted(tails, key=len)
        return long_head.startswith(short_head) and long_tail.endswith(short_tail)
    name, pattern = (other, one) if "*" in one else (one, other)
    return name == pattern or fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]"))


def warn(file: ConfigurationFile, data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is accepted and does nothing, and what is probably not meant. One line for all of a kind."""
    for pattern, message in NOT_DONE_YET.items():
        paths = list(_fitting(data, pattern))
        more = f" (and {len(paths) - 1} more like it)" if len(paths) > 1 else ""
        if paths:
            yield paths[0], f"{message}{more}"
    for name, route in file.routes.items():
        listed = {backend for groups in route.regions.values() for group in groups for backend in group}
        continues = any(PROVIDERS[file.backends[backend].provider].continuation for backend in listed)
        if OnCut.RESUME.value in route.on_cut and not continues:
            yield ("routes", name, "on_cut"), "none of the route's backends can continue an answer: resume does nothing"
    for name, backend in file.backends.items():
        if backend.sovereign:
            for path, endpoint in located_endpoints(("backends", name), backend):
                if (pack(endpoint.host) or b"") not in SPECIAL_NETWORKS:
                    yield path, "a public address for a vpc backend: make sure that it is a machine of yours"
    if not file.tenants:
        yield (), "there are no tenants, so nobody may call"


def _fitting(data: Any, pattern: tuple[str, ...], path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the paths of the values a pattern of keys leads to."""
    if not pattern:
        if data is not None:
            yield path
    elif isinstance(data, dict):
        for key in data if pattern[0] == "*" else pattern[:1]:
            if key in data:
                yield from _fitting(data[key], pattern[1:], (*path, key))
