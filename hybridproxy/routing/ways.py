"""What policy leaves of the configuration for one kind of caller: the ways a call may take, before it is looked at.

They follow from the snapshot, the tenant's rights, the region and the model's name alone, so they are worked out once
and kept with the snapshot (`Snapshot.memo`, at most `MAX_MEMO` of them). What depends on the call itself is the gate's.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Generic

from hybridproxy.families.natures import continues
from hybridproxy.model.backend import B, Backend, Endpoint, SovereignBackend
from hybridproxy.model.caller import Caller
from hybridproxy.model.health import HealthKey, Key, backend_key, credential_key, region_key
from hybridproxy.model.load import PaceKey
from hybridproxy.model.plan import Candidate, Refusal, RefusalKind, Target
from hybridproxy.model.price import Price
from hybridproxy.model.residency import NO_DEMAND, Residency
from hybridproxy.model.snapshot import (
    DEFAULT_HANDLING,
    DEFAULT_PREFER,
    Handling,
    Model,
    Prefer,
    Served,
    Snapshot,
    Tenant,
)
from hybridproxy.model.value import value
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.provider import Provider
from hybridproxy.routing import gate
from hybridproxy.routing.cluster import Place, places_of
from hybridproxy.routing.preference import arranged

DEFAULT_REGION: Final = "default"
REFUSED_COUNTRY: Final = "CN"
"""Served only through a region that names it and has an entry in the route: its data would be exported otherwise."""

MAX_LISTED: Final = 20
"""Model names that a refusal lists."""

MAX_MEMO: Final = 1024
"""Results kept with a snapshot; more can only come from names that wildcards cover, and then all are forgotten."""


@value
class Way(Generic[B]):
    """One backend a call may take.

    Attributes:
        served: how it serves the model.
        provider: how it speaks.
        weight: its share within a weighted group.
        kept: the candidate that a plan lists for it.
        names: its own and its region's: where health says nothing of these, it says nothing of any target here.
        keys: what its health as a whole is kept under: its own and its region's.
        targets: for each endpoint the targets with each credential, each with the keys of its and the credential's
            health.
        places: for each endpoint where its load is kept; empty where there is one.
        manner: how it may be spoken to.
        fresh: the day its checkpoint came out, YYYYMMDD; where a logical name leads here twice that, and one more for
            the API of those who made it. 0: not known.
        pace_key: what its times to the first output are kept under.
        price: what its tokens cost.

    """

    served: Served
    provider: Provider
    weight: float
    kept: Candidate
    names: tuple[str, ...]
    keys: tuple[Key, ...]
    targets: tuple[tuple[tuple[HealthKey, Key, Target[B]], ...], ...]
    places: tuple[Place, ...]
    fresh: int
    pace_key: PaceKey
    price: Price
    manner: gate.Manner = gate.USUAL


@value
class Ways(Generic[B]):
    """All a call may take.

    Attributes:
        model: what is asked for.
        groups: in the order to try them, as far as that can be told before the call is looked at.
        dropped: the backends that policy dropped, with the reason.
        handling: how the route treats its calls.
        prefer: what else decides for each call, and has to be asked before the groups' order; empty: nothing.

    """

    model: Model
    groups: tuple[tuple[Way[B], ...], ...]
    dropped: tuple[Candidate, ...]
    handling: Handling
    prefer: tuple[Prefer, ...] = ()


def general_ways(snapshot: Snapshot, caller: Caller, name: str) -> Ways[Backend] | Refusal:
    """Return the ways of an ordinary tenant's call for a model by this name, or why there is none."""
    tenant, region = caller.tenant, caller.region
    mainland = caller.location.country == REFUSED_COUNTRY
    demand = caller.residency
    key = ("general", tenant.route, tenant.backends, tenant.models, region, mainland, demand, name)
    known: Ways[Backend] | None = snapshot.memo.get(key)
    if known is not None:
        return known
    model = gate.find_model(snapshot, tenant, name)
    if model is None:
        return _unknown_model(snapshot, tenant, name)
    route = snapshot.routes[tenant.route or ""]
    groups = _groups(caller, route.regions)
    if not groups:
        return _region_refused(caller, route.regions, model)
    where = f"region {region}"
    if route.prefer != DEFAULT_PREFER:
        where += f" by {', '.join(criterion.value for criterion in route.prefer)}"
    served_by = {served.backend: served for served in model.served_by}
    listed: set[str] = set()
    dropped: list[Candidate] = []
    kept: list[tuple[Way[Backend], ...]] = []
    for group in groups:
        ways: list[Way[Backend]] = []
        for backend in group:
            if backend in listed:
                continue
            listed.add(backend)
            served = served_by.get(backend)
            if tenant.backends is not None and backend not in tenant.backends:
                dropped.append(Candidate(backend, kept=False, reason="not among the tenant's backends"))
            elif served is None:
                dropped.append(Candidate(backend, kept=False, reason="does not serve the model"))
            elif against := gate.resides(demand, snapshot.backends[backend].promise) or _closed(demand, served):
                dropped.append(Candidate(backend, kept=False, reason=against))
            else:
                ways.append(_way(snapshot.backends[backend], model, served, name, route.handling, where))
        if ways:
            kept.append(tuple(ways))
    dropped += _drop([backend for backend in served_by if backend not in listed], f"not in the route for {where}")
    return _remember(snapshot, key, _ordered(model, tuple(kept), dropped, route.handling, route.prefer))


def sovereign_ways(snapshot: Snapshot, caller: Caller, name: str) -> Ways[SovereignBackend] | Refusal:
    """Return the ways of a sovereign call: every VPC backend with the model, wherever the caller is."""
    demand = caller.residency
    key = ("sovereign", caller.tenant.backends, caller.tenant.models, demand, name)
    known: Ways[SovereignBackend] | None = snapshot.memo.get(key)
    if known is not None:
        return known
    model = gate.find_model(snapshot, caller.tenant, name)
    if model is None:
        return _unknown_model(snapshot, caller.tenant, name)
    handling, allowed = DEFAULT_HANDLING, caller.tenant.backends
    ways: list[Way[SovereignBackend]] = []
    dropped: list[Candidate] = []
    for served in {served.backend: served for served in model.served_by}.values():
        backend = snapshot.sovereign.get(served.backend)
        if backend is None:
            dropped += _drop([served.backend], "outside the VPC; the call is sovereign")
        elif allowed is not None and backend.id not in allowed:
            dropped += _drop([backend.id], "not among the tenant's backends")
        elif against := gate.resides(demand, backend.promise) or _closed(demand, served):
            dropped += _drop([backend.id], against)
        else:
            ways.append(_way(backend, model, served, name, handling, "inside the VPC"))
    return _remember(snapshot, key, _ordered(model, (tuple(ways),), dropped, handling))


def _ordered(
    model: Model,
    groups: tuple[tuple[Way[B], ...], ...],
    dropped: list[Candidate],
    handling: Handling,
    prefer: tuple[Prefer, ...] = (),
) -> Ways[B]:
    """Return the ways with what is known of their order already: freshness is the same for every call."""
    criteria = tuple(c for c in ((Prefer.FRESH, *prefer) if model.latest else prefer) if c is not Prefer.ORDER)
    if set(criteria) <= {Prefer.FRESH}:
        return Ways(model, arranged(groups) if criteria else groups, tuple(dropped), handling)
    return Ways(model, groups, tuple(dropped), handling, criteria)


def _closed(demand: Residency, served: Served) -> str | None:
    """Return why a host of weights that are another's is not sure to meet a demand, None where it is."""
    if not served.closed or demand == NO_DEMAND:
        return None
    return f"may have {served.name} computed by its maker; write it into served_by to vouch for that"


def _remember(snapshot: Snapshot, key: tuple[Any, ...], ways: Ways[B]) -> Ways[B]:
    if len(snapshot.memo) >= MAX_MEMO:
        snapshot.memo.clear()
    snapshot.memo[key] = ways
    return ways


def _way(backend: B, model: Model, served: Served, name: str, handling: Handling, where: str) -> Way[B]:
    provider = PROVIDERS[backend.provider]
    upstream, own = gate.upstream_name(model, served, name), backend.timeouts.over(handling.timeouts)
    goes_on = provider.continues_at(backend.site) and continues(provider.name, backend.site, upstream)
    places = places_of(backend.id, backend.endpoints)
    fresh = int(served.released.replace("-", "") or 0)
    if model.latest:
        where += f"; {upstream} of {served.released or 'a day that is not known'} is its freshest {model.latest}"
        fresh = 2 * fresh + served.official

    def row(endpoint: Endpoint, place: Place | None) -> tuple[tuple[HealthKey, Key, Target[B]], ...]:
        made = [
            Target(
                backend, endpoint, credential, upstream, own,
                context=served.context, price=served.price, continues=goes_on,
                place=None if place is None else place.key, streams_only=served.streams_only,
            )
            for credential in backend.credentials
        ]  # fmt: skip
        return tuple((target.health_key, credential_key(backend.id, target.credential.id), target) for target in made)

    return Way(
        served=served,
        provider=provider,
        weight=backend.weight,
        kept=Candidate(backend.id, kept=True, reason=where),
        names=(backend.id, backend.region) if backend.region else (backend.id,),
        keys=(backend_key(backend.id), *((region_key(backend.region),) if backend.region else ())),
        targets=tuple(map(row, backend.endpoints, places or (None,))),
        places=places,
        manner=gate.Manner(backend.plain, goes_on, backend.shares_kept),
        fresh=fresh,
        pace_key=(backend.id, upstream),
        price=served.price,
    )


def _drop(backends: Iterable[str], reason: str) -> list[Candidate]:
    return [Candidate(backend, kept=False, reason=reason) for backend in backends]


Groups = tuple[tuple[str, ...], ...]


def _groups(caller: Caller, regions: Mapping[str, Groups]) -> Groups:
    """Return the route's entry for the caller's region, else its default entry, which never takes callers from CN."""
    mainland = caller.location.country == REFUSED_COUNTRY
    if caller.region is None or (mainland and caller.region == DEFAULT_REGION):
        return ()
    return regions.get(caller.region, () if mainland else regions.get(DEFAULT_REGION, ()))


def _region_refused(caller: Caller, regions: Mapping[str, Groups], model: Model) -> Refusal:
    country = caller.location.country or "an unknown country"
    if caller.region is None or (country == REFUSED_COUNTRY and caller.region == DEFAULT_REGION):
        why = f"calls from {country} are refused: no configured region takes it"
    elif caller.region in regions or (country != REFUSED_COUNTRY and DEFAULT_REGION in regions):
        why = f"calls from region {caller.region!r} ({country}) are refused: its route lists no backend"
    else:
        why = f"calls from region {caller.region!r} ({country}) are refused: the route has no entry for it"
    reason = f"refused for region {caller.region or 'none'}"
    backends = dict.fromkeys(served.backend for served in model.served_by)
    return Refusal(RefusalKind.REGION_REFUSED, why, tuple(_drop(backends, reason)))


def _unknown_model(snapshot: Snapshot, tenant: Tenant, name: str) -> Refusal:
    names = gate.usable_models(snapshot, tenant)
    listed = ", ".join(names[:MAX_LISTED]) + (f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else "")
    may_use = f"you may use: {listed}" if names else "you may use none"
    return Refusal(RefusalKind.UNKNOWN_MODEL, f"there is no model {name!r} here; {may_use}")
