"""What has to fit together: names that must exist, and rules over several options.

Each check yields (path, message) pairs. The file it gets holds only what passed the schema; names of broken entries
still count as known, so that one mistake does not look like two.
"""

import re
from collections.abc import Iterator
from functools import cache

from hybridproxy.config.build import promise_for, residency_of
from hybridproxy.config.check_audit import check_audit, warn_of_audit
from hybridproxy.config.check_backends import check_backend, warn_backend
from hybridproxy.config.check_ledger import check_ledger
from hybridproxy.config.check_limits import warn_of_limits
from hybridproxy.config.check_models import check_models, warn_of_models
from hybridproxy.config.context import DEFAULT, Context, Finding, check_filled, check_known, check_secret, is_file
from hybridproxy.config.environment import literal_part
from hybridproxy.config.mistakes import KeyPath, dotted
from hybridproxy.config.schema import BackendSection, ConfigurationFile, RedisSection, TenantSection
from hybridproxy.config.values import suggestion
from hybridproxy.model.residency import NO_DEMAND, Residency
from hybridproxy.model.snapshot import OnCut
from hybridproxy.providers import PROVIDERS
from hybridproxy.residency.demand import EXPECTED
from hybridproxy.routing.gate import covers, resides

MAX_FACTS = 5
"""Backends of which a mistake names the fact that stands against a demand."""


def check(file: ConfigurationFile, context: Context) -> Iterator[Finding]:
    """Yield what does not fit together."""
    yield from _settings(file, context)
    yield from check_audit(file, context)
    yield from check_ledger(file, context)
    yield from _regions(file, context)
    yield from check_filled(("backends",), file.backends, "backend")
    for name, backend in file.backends.items():
        yield from check_backend(name, backend, context)
        yield from _place(name, backend, file, context)
    yield from check_models(file, context)
    yield from _routes(file, context)
    yield from _tenants(file, context)


def _settings(file: ConfigurationFile, context: Context) -> Iterator[Finding]:
    if file.geo.database != "builtin" and not is_file(context.base / file.geo.database):
        yield ("geo", "database"), "expected `builtin` or a database file; there is no such file"
    if file.admin is not None:
        yield from check_secret(("admin", "token"), context)
        listen = file.listen
        hosts = {file.admin.host, listen.host}
        shared = len(hosts) == 1 or {"0.0.0.0", "::"} & hosts
        if shared and file.admin.port == listen.port != 0 and context.intact(("listen", "port")):
            yield ("admin", "port"), "the admin port may not be the data port"
    if file.redis is not None:
        yield from _redis(file.redis, context)
    first, longest = file.breaker.open_for, file.breaker.open_max
    if longest < first and context.intact(("breaker", "open_for")):
        yield ("breaker", "open_max"), f"is {longest:g}s, which is less than open_for, {first:g}s: it is what bounds it"


def _redis(redis: RedisSection, context: Context) -> Iterator[Finding]:
    template = context.templates.get(("redis", "url"))
    if redis.url.password is not None and (template is None or _PASSWORD.search(literal_part(template))):
        yield ("redis", "url"), "a password stands in the file: write ${NAME} and set it in the environment"
    if redis.sentinel_password is not None:
        yield from check_secret(("redis", "sentinel_password"), context)
        if redis.url.mode != "sentinel":
            yield ("redis", "sentinel_password"), "there are no sentinels in the URL: leave this out"
    for option, given in (("ca", redis.tls.ca), ("name", redis.tls.name)):
        if given is not None and not redis.url.tls:
            yield ("redis", "tls", option), "there is no TLS in the URL: write rediss, or leave this out"
    if redis.tls.ca is not None and not is_file(context.base / redis.tls.ca):
        yield ("redis", "tls", "ca"), "expected a PEM file with the certificates to trust; there is no such file"


_PASSWORD = re.compile(r"(?:^|://)[^@/]*:[^@/]+@")
"""What is left of a URL without its references, where a part of the password is left: behind a colon, before the @."""


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


def _place(name: str, backend: BackendSection, file: ConfigurationFile, context: Context) -> Iterator[Finding]:
    if backend.region is None:
        return
    path = ("backends", name, "region")
    yield from check_known(path, "region", backend.region, context.names["regions"])
    region = file.regions.get(backend.region) if context.intact(("regions", backend.region)) else None
    if region is not None and not (region.countries or region.continents):
        yield path, f"{backend.region} is no place but what no other region has: name one, or leave this out"


def _routes(file: ConfigurationFile, context: Context) -> Iterator[Finding]:
    for name, route in file.routes.items():
        here = ("routes", name, "regions")
        if DEFAULT not in route.regions:
            yield (*here, DEFAULT), "is required: the backends for regions not listed, [] for none"
        for region, groups in route.regions.items():
            if region != DEFAULT:
                yield from check_known((*here, region), "region", region, context.names["regions"])
            seen: set[str] = set()
            for place, group in enumerate(groups):
                for index, backend in enumerate(group):
                    path = (*here, region, place, index)
                    yield from check_known(path, "backend", backend, context.names["backends"])
                    if backend in seen:
                        yield path, f"{backend} stands in this list twice"
                    seen.add(backend)


def _tenants(file: ConfigurationFile, context: Context) -> Iterator[Finding]:
    owners: dict[bytes, KeyPath] = {}
    judge = _Tenants(file, context)
    for name, tenant in file.tenants.items():
        here = ("tenants", name)
        yield from check_filled((*here, "keys"), tenant.keys, "key: `hybridproxy key new TENANT` makes one")
        for index, digest in enumerate(tenant.keys):
            path = (*here, "keys", index)
            owner = owners.setdefault(digest, path)
            if owner is not path:
                yield path, f"the same key as {dotted(owner)}: a key belongs to one tenant"
        yield from judge.models(here, tenant)
        if tenant.region is not None:
            yield from check_known((*here, "region"), "region", tenant.region, context.names["regions"])
        yield from judge.sovereign(here, tenant) if tenant.sovereign else judge.ordinary(here, tenant)
        yield from judge.residency(here, tenant)


class _Tenants:
    """The checks of tenants, with what is the same for thousands of them worked out once."""

    def __init__(self, file: ConfigurationFile, context: Context) -> None:
        self.file = file
        self.context = context
        self.route_known = cache(lambda name: name in context.names["routes"])
        self.covers = cache(lambda pattern: any(overlap(pattern, model) for model in context.names["models"]))
        self.inside = cache(self._inside)
        self.facts = cache(self._facts)
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
                yield from check_known((*here, "route"), "route", route, self.context.names["routes"])
        for index, backend in enumerate(tenant.backends or ()):
            yield from check_known((*here, "backends", index), "backend", backend, self.context.names["backends"])
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

    def residency(self, here: KeyPath, tenant: TenantSection) -> Iterator[Finding]:
        """Refuse a demand that no backend can meet, with the facts that stand against it."""
        demand, path = residency_of(tenant), (*here, "residency")
        if tenant.residency is not None and demand == NO_DEMAND:
            yield path, f"demands nothing: {EXPECTED}"
        if demand in {NO_DEMAND, Residency(vpc=True)} or not self.context.intact(("backends",)):
            return
        facts = self.facts(demand, self._within_reach(tenant))
        if facts:
            yield path, f"no backend that the tenant may use meets it: {facts}"

    def _within_reach(self, tenant: TenantSection) -> frozenset[str]:
        if tenant.sovereign:
            return frozenset(name for name, backend in self.file.backends.items() if backend.sovereign)
        listed = self.listed.get(tenant.route or DEFAULT, set()) & self.file.backends.keys()
        return frozenset(listed if tenant.backends is None else listed.intersection(tenant.backends))

    def _facts(self, demand: Residency, backends: frozenset[str]) -> str:
        """Return what stands against each backend, "" when one of them meets the demand or there is none."""
        against = {name: resides(demand, promise_for(self.file.backends[name])) for name in sorted(backends)}
        named = [f"{name} {fact}" for name, fact in against.items() if fact is not None]
        return "" if len(named) < len(against) else "; ".join(named[:MAX_FACTS])

    def _inside(self, patterns: tuple[str, ...]) -> bool:
        return any(
            self.file.backends[offer.backend].sovereign
            for offer in self.context.offers
            if any(overlap(pattern, offer.model) for pattern in patterns)
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
    return covers(pattern, name)


def warn(file: ConfigurationFile, context: Context) -> Iterator[Finding]:
    """Yield what is accepted and probably not meant. One line for all of a kind."""
    for name, route in file.routes.items():
        listed = {backend for groups in route.regions.values() for group in groups for backend in group}
        continues = any(
            PROVIDERS[row.provider].continues_at(row.site or "") for row in map(file.backends.get, listed) if row
        )
        if OnCut.RESUME in route.on_cut and not continues:
            yield ("routes", name, "on_cut"), "none of the route's backends can continue an answer: resume does nothing"
    yield from warn_of_models(context)
    yield from _warn_of_engines(file)
    for name, backend in file.backends.items():
        yield from warn_backend(name, backend, context)
    yield from warn_of_audit(file, context.base)
    yield from warn_of_limits(file, cache(lambda p: any(overlap(p, model) for model in context.names["models"])))
    if not file.tenants:
        yield (), "there are no tenants, so nobody may call"


def _warn_of_engines(file: ConfigurationFile) -> Iterator[Finding]:
    behind = [name for name, tenant in file.tenants.items() if tenant.priority]
    if behind and not any(backend.priority for backend in file.backends.values()):
        yield ("tenants", behind[0], "priority"), "no backend has priority: true, so this does nothing"
    for name, backend in file.backends.items():
        row = PROVIDERS[backend.provider]
        if row.caches_prefixes and not row.salt and len(file.tenants) > 1:
            yield ("backends", name, "provider"), f"{row.name} cannot keep tenants' prefix caches apart"
