"""From the checked file to the values the rest of the program works with."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from geo.countries import CONTINENT_OF
from geo.location import Location
from geo.networks import NetworkSet
from geo.regions import Region, region_of
from hybridproxy.config.context import DEFAULT
from hybridproxy.config.offers import models_of
from hybridproxy.config.schema import (
    AuditSection,
    BackendSection,
    BudgetSection,
    CapsSection,
    ConfigurationFile,
    LimitsSection,
    RatesSection,
    RedisSection,
    RouteSection,
    TenantSection,
)
from hybridproxy.config.settings import Admin, Audit, Geo, Ledger, Listen, Redis, Settings
from hybridproxy.config.values import endpoint
from hybridproxy.model.backend import (
    Backend,
    Credential,
    Endpoint,
    SovereignBackend,
    TimeoutOverrides,
    Timeouts,
    Tls,
    Trust,
)
from hybridproxy.model.limits import NO_CAPS, NO_LIMITS, NO_RATES, Caps, Limits, ModelLimits, Rates
from hybridproxy.model.price import nano
from hybridproxy.model.residency import NO_DEMAND, Promise, Residency, listed
from hybridproxy.model.snapshot import Handling, Model, Prefer, Route, Snapshot, Tenant
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.sigv4 import pair_of
from hybridproxy.providers.sites import promise_of
from hybridproxy.resilience.breaker import Rules


def snapshot_of(file: ConfigurationFile, base: Path, models: Mapping[str, Model] | None = None) -> Snapshot:
    """Return what routing decides by.

    Args:
        file: the configuration.
        base: the folder relative paths start at.
        models: its models, as `models_of` makes them; None: without an overlay.

    """
    regions = regions_of(file)
    backends = {name: _backend(name, section, base, regions) for name, section in file.backends.items()}
    models = models_of(file)[0] if models is None else models
    tenants = {name: _tenant(name, section) for name, section in file.tenants.items()}
    wildcards = [model for model in models.values() if "*" in model.name]
    return Snapshot(
        regions=tuple(file.regions),
        backends=backends,
        sovereign={name: _sovereign(backend) for name, backend in backends.items() if backend.trust is Trust.VPC},
        models=models,
        routes={name: _route(name, section) for name, section in file.routes.items()},
        tenants=tenants,
        keys={digest: tenants[name] for name, section in file.tenants.items() for digest in section.keys},
        wildcards=tuple(sorted(wildcards, key=lambda model: -len(model.name))),
    )


def settings_of(file: ConfigurationFile, base: Path) -> Settings:
    """Return all that is not routing."""
    listen, geo = file.listen, file.geo
    return Settings(
        listen=Listen(
            host=listen.host,
            port=listen.port,
            workers=listen.workers,
            forwarded_header=listen.forwarded_header,
            max_body=listen.max_body,
            body_timeout=listen.body_timeout,
            keepalive=listen.keepalive,
            drain_delay=listen.drain_delay,
            drain_timeout=listen.drain_timeout,
            max_calls=listen.max_calls,
            shed_lag=listen.shed_lag,
        ),
        admin=None if file.admin is None else Admin(file.admin.host, file.admin.port, file.admin.token),
        geo=Geo(None if geo.database == "builtin" else base / geo.database, tuple(geo.overrides.items())),
        regions=regions_of(file),
        trusted=NetworkSet.parse(listen.trusted_proxies),
        breaker=Rules(file.breaker.open_for, file.breaker.open_max),
        redis=None if file.redis is None else _redis(file.redis, base),
        audit=None if file.audit is None else audit_of(file.audit, base),
        ledger=None if file.ledger is None else Ledger(base / file.ledger.path, file.ledger.keep),
    )


def regions_of(file: ConfigurationFile) -> tuple[Region, ...]:
    """Return the regions, in the order in which they are tried."""
    return tuple(
        Region(name, frozenset(region.countries), frozenset(region.continents)) for name, region in file.regions.items()
    )


def audit_of(section: AuditSection, base: Path) -> Audit:
    """Return where the audit log is and what goes with it; the key stands beside it unless it is named."""
    folder, anchor = base / section.path, section.anchor
    return Audit(
        folder=folder,
        key=folder / "key.pem" if section.key is None else base / section.key,
        anchor=None if anchor == "none" else anchor if "://" in anchor else base / anchor,
    )


def _redis(section: RedisSection, base: Path) -> Redis:
    url, tls = section.url, section.tls
    return Redis(
        mode=url.mode,
        nodes=url.nodes,
        tls=url.tls,
        db=url.db,
        service=url.service,
        username=url.username,
        password=url.password,
        sentinel_password=section.sentinel_password,
        ca=None if tls.ca is None else base / tls.ca,
        tls_name=tls.name,
        name=section.name,
    )


def _backend(name: str, section: BackendSection, base: Path, regions: Sequence[Region]) -> Backend:
    secrets = section.api_keys or ([section.api_key] if section.api_key is not None else [""])
    own = section.timeouts
    return Backend(
        id=name,
        provider=section.provider,
        site=section.site or "",
        trust=Trust(section.trust),
        endpoints=_endpoints(section),
        credentials=tuple(_credential(name, n, secret, section) for n, secret in enumerate(secrets, 1)),
        weight=section.weight,
        allow_cidrs=tuple(section.allow_cidrs),
        tls=Tls(
            ca=_file(base, section.tls.ca),
            name=section.tls.name,
            cert=_file(base, section.tls.cert),
            key=_file(base, section.tls.key),
        ),
        pin=tuple(section.pin),
        timeouts=TimeoutOverrides(own.connect, own.first_token, own.between_bytes, own.answer),
        region=section.region or _region(section, regions),
        promise=promise_for(section),
        priority=section.priority,
        resolver=tuple(section.resolver),
        headers=tuple((header.lower(), text) for header, text in section.headers.items()),
        openai_only=section.openai_only,
        shares_kept=section.shares_kept,
        limits=_rates(section.limits),
    )


def _credential(backend: str, number: int, secret: str, section: BackendSection) -> Credential:
    """Return a key, and how it is shown at the backend's site."""
    auth = PROVIDERS[section.provider].auth_for(section.site or "")
    signs = (auth.signs, section.site or "") if auth.signs and pair_of(secret) is not None else None
    return Credential(_credential_id(backend, number, secret), secret, auth.header, auth.prefix, signs)


def _file(base: Path, name: str | None) -> str | None:
    return None if name is None else str(base / name)


def promise_for(section: BackendSection) -> Promise:
    """Return what a backend promises: its site's words, and the operator's where these say more."""
    found, own = site_promise_for(section), section.promises
    if own is None:
        return found
    compute, storage, retention = own.compute, own.storage, own.retention
    return replace(
        found,
        compute=found.compute if compute is None else compute,
        storage=found.storage if storage is None else storage,
        retention=found.retention if retention is None else retention,
        computes=found.computes if compute is None else f"computes in {listed(compute)}",
        stores=found.stores if storage is None else f"keeps prompts in {listed(storage)}",
        retains=found.retains
        if retention is None
        else f"keeps prompts for {retention} days"
        if retention
        else "keeps nothing",
        evidence=own.evidence,
        dated="",
    )


def site_promise_for(section: BackendSection) -> Promise:
    """Return what a backend's site promises; nothing where the operator's address is none of the site's."""
    site = section.site or ""
    return promise_of(section.provider, site, pinned=bool(section.pin), own_address=_elsewhere(section, site))


def _elsewhere(section: BackendSection, site: str) -> bool:
    """Return whether a backend has an address that its site is not known to have."""
    given = section.endpoints or ([section.base_url] if section.base_url is not None else [])
    known = PROVIDERS[section.provider].sites.get(site)
    if not given or known == "":  # each account has an address of its own there
        return False
    own = PROVIDERS[section.provider].workspaces.get(site)
    hosts = [one.host for one in given if own is None or one.host.partition(".")[2] != beyond(own)]
    return known is None or any(host != endpoint(known).host for host in hosts)


def beyond(workspaces: str) -> str:
    """Return what is behind a workspace's name in the host of its address."""
    return endpoint(workspaces.format(workspace="w")).host.partition(".")[2]


def residency_of(section: TenantSection) -> Residency:
    """Return what a tenant's calls demand."""
    wanted = section.residency
    if wanted is None:
        return NO_DEMAND
    return Residency(wanted.vpc, wanted.compute, wanted.storage, wanted.retention)


def _credential_id(backend: str, number: int, secret: str) -> str:
    """Return a name that may be shown, and that is another one once the secret is.

    So what was held against the old key is not held against its successor.
    Six hex digits of a digest tell two keys apart and nothing of what they are.
    """
    return f"{backend}#{number}" + (f".{hashlib.sha256(secret.encode()).hexdigest()[:6]}" if secret else "")


def _region(section: BackendSection, regions: Sequence[Region]) -> str:
    """Return the region a backend's site lies in, "" where no region names its country or continent."""
    country = PROVIDERS[section.provider].places.get(section.site or "")
    if country is None:
        return ""
    named = [region for region in regions if region.countries or region.continents]
    return region_of(Location(country, CONTINENT_OF[country], "override", "country"), named) or ""


def _endpoints(section: BackendSection) -> tuple[Endpoint, ...]:
    if section.endpoints is not None:
        return tuple(section.endpoints)
    if section.base_url is not None:
        return (section.base_url,)
    row, site = PROVIDERS[section.provider], section.site or ""
    if section.workspace is not None:
        return (endpoint(row.workspaces[site].format(workspace=section.workspace)),)
    return (endpoint(row.sites[site]),)


def _sovereign(backend: Backend) -> SovereignBackend:
    return SovereignBackend(
        id=backend.id,
        provider=backend.provider,
        site=backend.site,
        endpoints=backend.endpoints,
        credentials=backend.credentials,
        allow_cidrs=backend.allow_cidrs,
        weight=backend.weight,
        tls=backend.tls,
        pin=backend.pin,
        timeouts=backend.timeouts,
        region=backend.region,
        promise=backend.promise,
        priority=backend.priority,
        resolver=backend.resolver,
        headers=backend.headers,
        openai_only=backend.openai_only,
        shares_kept=backend.shares_kept,
        limits=backend.limits,
    )


def _route(name: str, section: RouteSection) -> Route:
    times = section.timeouts
    return Route(
        name=name,
        prefer=section.prefer,
        regions={region: tuple(map(tuple, groups)) for region, groups in section.regions.items()},
        handling=Handling(
            timeouts=Timeouts(
                connect=times.connect,
                first_token=times.first_token,
                between_bytes=times.between_bytes,
                answer=times.answer,
                total=times.total,
                commit_within=times.commit_within,
            ),
            patience=section.patience,
            on_cut=section.on_cut,
            hedge=section.hedge,
            paced=Prefer.LATENCY in section.prefer,
        ),
    )


def _tenant(name: str, section: TenantSection) -> Tenant:
    return Tenant(
        id=name,
        route=None if section.sovereign else section.route or DEFAULT,
        residency=residency_of(section),
        models=tuple(section.models),
        backends=None if section.backends is None else frozenset(section.backends),
        region=section.region,
        salt=_salt(name, section.keys),
        priority=section.priority,
        limits=limits_of(section.limits, section.budget),
    )


def limits_of(limits: LimitsSection, budget: BudgetSection) -> Limits:
    """Return a tenant's limits; what is said of one pattern in both sections holds together.

    No limit at all is the one value `NO_LIMITS`, by which a call knows at once that nothing has to be counted.
    """
    patterns = dict.fromkeys((*limits.models, *budget.models))
    models = [
        ModelLimits(
            pattern,
            _rates(limits.models[pattern]) if pattern in limits.models else NO_RATES,
            _caps(budget.models[pattern]) if pattern in budget.models else NO_CAPS,
        )
        for pattern in patterns
    ]
    made = Limits(_rates(limits), _caps(budget), tuple(models), limits.answer)
    return NO_LIMITS if made == NO_LIMITS else made


def _rates(section: RatesSection) -> Rates:
    return Rates(section.rpm, section.tpm, section.streams)


def _caps(section: CapsSection) -> Caps:
    day, month = section.usd_per_day, section.usd_per_month
    return Caps(None if day is None else nano(day), None if month is None else nano(month))


def _salt(tenant: str, keys: Sequence[bytes]) -> str:
    """Return what keeps a tenant's prompts' caches apart: the same at every replica, see docs/adr/0019."""
    return hmac.new(keys[0], f"hybridproxy cache salt {tenant}".encode(), hashlib.sha256).hexdigest()
