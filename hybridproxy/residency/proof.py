"""The proof that no way leads where a tenant's residency does not allow: every case is planned, and each plan judged.

A case is a kind of tenant, a place the caller is in, a model, what the call needs, and which backends are out; and for
ordinary tenants the same with a call that demands the VPC. It goes
through the very `plan` that serves calls. What comes out is judged here once more, from the configuration's own words
and not by the gate: whether the machines, the networks and the sites are those that were demanded. Besides, whoever is
in a plan with some backends out has to be in the plan with all of them: failures only remove.

What is left out, and why nothing is lost by it. Tenants that differ in nothing routing looks at are one kind, for each
model. Needs that leave the same backends are one case. How long the input is can only drop backends, and which of them
are left is what the health vectors go through: all 2^n of them up to `MAX_VECTORS` backends; beyond that none, one, all
but one, and as many more by chance as `MAX_VECTORS` backends have.
"""

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations, product
from typing import Any, Final

from geo.location import Location
from hybridproxy.model.backend import Backend, SovereignBackend, Trust
from hybridproxy.model.call import Call, Capability, Operation
from hybridproxy.model.caller import Caller
from hybridproxy.model.health import HEALTHY, Ban, Health, backend_key
from hybridproxy.model.plan import Plan, Refusal
from hybridproxy.model.residency import NO_DEMAND, Promise, Residency, listed
from hybridproxy.model.snapshot import Snapshot, Tenant
from hybridproxy.model.value import value
from hybridproxy.providers import PROVIDERS
from hybridproxy.residency.address import disguised, inside, read
from hybridproxy.routing import gate
from hybridproxy.routing.plan import plan, plan_sovereign
from hybridproxy.routing.scores import Rng

MAX_VECTORS: Final = 12
"""Backends of which every combination of failures is gone through."""

MAX_VIOLATIONS: Final = 20

MAINLAND: Final = "CN"
NO_END: Final = float("inf")

Either = Backend | SovereignBackend
Step = Callable[[int, int], None]
"""Takes how many of all kinds of cases are done."""


@value
class Case:
    """One case: who, from where, which model, what the call needs, and what is out."""

    tenant: str
    region: str | None
    country: str | None
    model: str
    needs: str
    out: tuple[str, ...]

    def __str__(self) -> str:
        """Say it in words."""
        where = f"region {self.region or 'none'}" + (f" ({self.country})" if self.country else "")
        out = f", with {', '.join(self.out)} out" if self.out else ""
        return f"tenant {self.tenant}, {where}, model {self.model}, {self.needs}{out}"


@value
class Violation:
    """A way that must not be: the case with the fewest failures that leads there, the backend, and why not."""

    case: Case
    backend: str
    why: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.case}: leads to {self.backend}, which {self.why}"


@value
class Way:
    """A way out that is open: whom it is open to, and where it leads."""

    tenants: int
    demand: str
    backend: str
    addresses: tuple[str, ...]
    promise: Promise


@value
class Proof:
    """What was gone through, and what was found.

    Attributes:
        cases: plans that were made and judged.
        tenants: tenants that they stand for.
        kinds: kinds of tenants that routing tells apart.
        ways: the ways that are open, each once.
        violations: those that must not be, at most `MAX_VIOLATIONS`.
        sampled: there were too many backends to go through all of their failures.

    """

    cases: int
    tenants: int
    kinds: int
    ways: tuple[Way, ...]
    violations: tuple[Violation, ...]
    sampled: bool


def prove(snapshot: Snapshot, rng: Rng, *, failures: bool = True, step: Step = lambda _done, _of: None) -> Proof:
    """Go through the cases of a configuration.

    Args:
        snapshot: the configuration.
        rng: chance, for what is sampled and for the order within weighted groups.
        failures: go through what happens when backends are out, and through what calls may need; without, only through
            what is open when all is well to calls that need nothing: every way there is, some hundred times as fast.
        step: hears of the progress.

    """
    return _Prover(snapshot, rng, failures=failures).run(step)


Kind = tuple[str | None, Residency, frozenset[str] | None, str | None]
"""All that routing looks at of a tenant but the models it may use: route, demand, backends, region."""


class _Prover:
    """Goes through the cases, and remembers what was found of each backend."""

    def __init__(self, snapshot: Snapshot, rng: Rng, *, failures: bool) -> None:
        self.snapshot = snapshot
        self.rng = rng
        self.failures = failures
        self.picks = any(served.closed for model in snapshot.models.values() for served in model.served_by)
        self.cases = 0
        self.sampled = False
        self.judged: dict[tuple[int, Residency], str | None] = {}
        self.violations: dict[tuple[str, str, str], Violation] = {}
        self.open: dict[tuple[Residency, str], tuple[set[Kind], Either]] = {}

    def run(self, step: Step) -> Proof:
        kinds: dict[Kind, list[Tenant]] = {}
        for tenant in self.snapshot.tenants.values():
            kinds.setdefault((tenant.route, tenant.residency, tenant.backends, tenant.region), []).append(tenant)
        for done, (kind, tenants) in enumerate(kinds.items()):
            for name, tenant in _users(self.snapshot, tenants):
                for where in self._places(kind[3]):
                    self._prove(kind, tenant, name, *where)
                if not tenant.sovereign:
                    self._prove(kind, tenant, name, kind[3], None, demands=Residency(vpc=True))
            step(done + 1, len(kinds))
        sizes = {kind: len(tenants) for kind, tenants in kinds.items()}
        ways = [
            Way(
                sum(sizes[kind] for kind in of),
                described(demand),
                backend.id,
                tuple(f"{e.scheme}://{e.authority}" for e in backend.endpoints),
                backend.promise,
            )
            for (demand, _), (of, backend) in self.open.items()
        ]
        found = tuple(self.violations.values())[:MAX_VIOLATIONS]
        return Proof(self.cases, len(self.snapshot.tenants), len(kinds), tuple(ways), found, self.sampled)

    def _places(self, region: str | None) -> Iterator[tuple[str | None, str | None]]:
        """Give every region with a country the rules say nothing of, and with the one they do."""
        for name in self.snapshot.regions if region is None else (region,):
            yield name, None
            yield name, MAINLAND
        if region is None:
            yield None, None
            yield None, MAINLAND

    def _prove(
        self,
        kind: Kind,
        tenant: Tenant,
        name: str,
        region: str | None,
        country: str | None,
        demands: Residency | None = None,
    ) -> None:
        location = Location(country, None, "override" if country else "unknown", "none")
        caller = Caller(tenant, location, region, demands)
        seen: set[frozenset[str]] = set()
        for call in _calls(name) if self.failures else _plain_calls(name):
            whole = self._planned(call, caller, HEALTHY)
            self.cases += 1
            if isinstance(whole, Refusal):
                continue
            backends = {target.backend.id: target.backend for target in whole.targets}
            passed = frozenset(backends)
            if passed in seen:
                continue
            seen.add(passed)
            self._judge(kind, call, caller, whole, ())
            if self.failures:
                for out in self._vectors(sorted(passed)):
                    self._fail(kind, call, caller, passed, out)

    def _fail(self, kind: Kind, call: Call, caller: Caller, passed: frozenset[str], out: tuple[str, ...]) -> None:
        """Plan once more with some of the backends out."""
        self.cases += 1
        left = self._planned(call, caller, {backend_key(name): Ban(NO_END, "out") for name in out})
        if isinstance(left, Refusal):
            return
        self._judge(kind, call, caller, left, out)
        for name in {target.backend.id for target in left.targets} - (passed - set(out)):
            self._violates(call, caller, out, name, "is in the plan only because others are out")

    def _vectors(self, names: list[str]) -> Iterator[tuple[str, ...]]:
        """Give which of the backends are out, the fewest first: so what is found first is the shortest way."""
        if len(names) <= MAX_VECTORS:
            for count in range(1, len(names) + 1):
                yield from combinations(names, count)
            return
        self.sampled = True
        yield from ((name,) for name in names)
        yield from (tuple(name for name in names if name != kept) for kept in names)
        for _ in range(2**MAX_VECTORS):
            yield tuple(name for name in names if self.rng.random() < 0.5)

    def _planned(self, call: Call, caller: Caller, health: Health) -> Plan[Any] | Refusal:
        make: Any = plan_sovereign if caller.sovereign else plan
        made: Plan[Any] | Refusal = make(call, caller, self.snapshot, health, 0.0, self.rng)
        return made

    def _judge(self, kind: Kind, call: Call, caller: Caller, made: Plan[Any], out: tuple[str, ...]) -> None:
        tenant = caller.tenant
        for target in made.targets:
            backend: Either = target.backend
            key = (id(backend), caller.residency)
            if key not in self.judged:
                self.judged[key] = against(self.snapshot, backend, caller.residency)
            why = self.judged[key]
            if why is None and tenant.backends is not None and backend.id not in tenant.backends:
                why = "is not among the tenant's backends"
            if why is None and self.picks and self._picked(call.model, caller, backend.id):
                why = "would serve closed weights that nobody wrote down for it, and may pass the call to their maker"
            if why is None and not caller.sovereign and caller.location.country == MAINLAND and not _named(caller):
                why = "would get calls from mainland China, which no region names"
            if why is None and (
                target.endpoint not in backend.endpoints or target.credential not in backend.credentials
            ):
                why = "is asked at an endpoint, or with a key, of another"
            if why is not None:
                self._violates(call, caller, out, backend.id, why)
            if caller.demands is None:
                self.open.setdefault((caller.residency, backend.id), (set(), backend))[0].add(kind)

    def _picked(self, name: str, caller: Caller, backend: str) -> bool:
        """Return whether a logical name leads there to weights that are another's, although the call has a demand."""
        if caller.residency == NO_DEMAND:
            return False
        model = gate.find_model(self.snapshot, caller.tenant, name)
        return model is not None and any(served.closed and served.backend == backend for served in model.served_by)

    def _violates(self, call: Call, caller: Caller, out: tuple[str, ...], backend: str, why: str) -> None:
        needs = ", ".join(
            [call.operation.value, *(["streamed"] if call.stream else []), *sorted(map(_word, call.needs))]
        )
        case = Case(caller.tenant.id, caller.region, caller.location.country, call.model, needs, out)
        self.violations.setdefault((caller.tenant.id, backend, why), Violation(case, backend, why))


def against(snapshot: Snapshot, backend: Either, demand: Residency) -> str | None:
    """Return what speaks against a backend for a demand, by the configuration's own words; None when nothing does."""
    if demand.vpc and (why := _outside(snapshot, backend)) is not None:
        return why
    promise = backend.promise
    kept = frozenset[str]() if promise.retention == 0 else promise.storage
    for what, wanted, given in (("computes", demand.compute, promise.compute), ("keeps prompts", demand.storage, kept)):
        if wanted is None:
            continue
        if given is None:
            return f"does not promise where it {what}; demanded is {listed(wanted)}"
        if given - wanted:
            return f"{what} in {listed(given)}; demanded is {listed(wanted)}"
    if demand.retention is not None and (promise.retention is None or promise.retention > demand.retention):
        return f"does not promise to keep prompts for {demand.retention} days at most"
    return None


def _outside(snapshot: Snapshot, backend: Either) -> str | None:
    """Return why a backend is not the operator's own machines inside networks it named; None when it is."""
    twin = snapshot.backends.get(backend.id)
    if type(backend) is not SovereignBackend or twin is None or twin.trust is not Trust.VPC:
        return "is no vpc backend"
    if PROVIDERS[backend.provider].sites:
        return f"is {backend.provider}, a third party"
    if not backend.allow_cidrs:
        return "has no allow_cidrs"
    networks = [ipaddress.ip_network(cidr) for cidr in backend.allow_cidrs]
    for endpoint in backend.endpoints:
        address = read(endpoint.host)
        if address is None and (disguised(endpoint.host) or not backend.resolver):
            return "has an endpoint that is a name, and no resolver in the VPC"
        if address is not None and not inside(address, networks):
            return "has an endpoint outside its allow_cidrs"
    if any(read(host) is None for host, _ in backend.resolver):
        return "has a resolver that is a name"
    return None


def described(demand: Residency) -> str:
    """Return a demand in the words of the configuration."""
    terms = [
        *(["vpc"] if demand.vpc else []),
        *([f"compute {listed(demand.compute)}"] if demand.compute is not None else []),
        *([f"storage {listed(demand.storage)}"] if demand.storage is not None else []),
        *([f"retention {demand.retention} days"] if demand.retention is not None else []),
    ]
    return ", ".join(terms) or "none"


def _users(snapshot: Snapshot, tenants: Iterable[Tenant]) -> Iterator[tuple[str, Tenant]]:
    """Give each model by a name callers use, with a tenant of a kind that may use it.

    A model with a `*` has as many names as anybody can think of: those that tenants' rights spell out, and one for each
    way in which a right and the model meet.
    """
    rights: Mapping[tuple[str, ...], Tenant] = {tenant.models: tenant for tenant in tenants}
    words = {right.replace("*", "x") for models in rights for right in models}
    given: set[str] = set()
    for pattern in snapshot.models:
        names = [pattern]
        if "*" in pattern:
            names = [pattern.replace("*", "x")]
            names += [name for word in sorted(words) for name in (word, pattern.replace("*", word))]
            names = [name for name in names if gate.starred(pattern, name) is not None]
        for name in names:
            found = next((tenant for tenant in rights.values() if gate.may_use(tenant, name)), None)
            if found is not None and name not in given:
                given.add(name)
                yield name, found


def _calls(name: str) -> Iterator[Call]:
    """Give the calls that differ in what a backend may lack."""
    for operation, stream in product(Operation, (False, True)):
        if stream and not operation.streams:
            continue
        for count in range(len(Capability) + 1):
            for needs in combinations(Capability, count):
                yield Call(operation, name, stream, False, 1, frozenset(needs), 0, {})
        yield Call(operation, name, stream, False, 2, frozenset(), 0, {})


def _plain_calls(name: str) -> Iterator[Call]:
    """Give streamed calls that need nothing: whoever may serve any call may serve one of these."""
    for operation in Operation:
        yield Call(operation, name, operation.streams, False, 1, frozenset(), 0, {})


def _named(caller: Caller) -> bool:
    return caller.region is not None and caller.region != "default"


def _word(need: Capability) -> str:
    return need.value
