"""The proof: it goes through everything, finds what is wrong, and finds nothing where nothing is."""

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.backend import Backend, Endpoint, SovereignBackend, Trust
from hybridproxy.model.call import Capability
from hybridproxy.model.plan import Plan, Refusal
from hybridproxy.model.residency import Promise, Residency
from hybridproxy.model.snapshot import Prefer, Served, Snapshot, Tenant
from hybridproxy.residency import proof
from hybridproxy.residency.proof import MAX_VECTORS, Proof, _calls, against, described, prove
from hybridproxy.routing import gate, ways
from tests.support.make import BANK, SHOP, backend, endpoints, model, snapshot, sovereign

US, SG = frozenset({"US"}), frozenset({"SG"})
AMERICAN = Promise(US, US, 0, computes="computes in US")


def twin(one: SovereignBackend) -> Backend:
    """The general view of a VPC backend."""
    return dataclasses.replace(
        backend(one.id, provider=one.provider), trust=Trust.VPC, endpoints=one.endpoints, allow_cidrs=one.allow_cidrs
    )


VPC = sovereign("vpc")
A, B = backend("a"), dataclasses.replace(backend("b"), promise=AMERICAN)
AMERICA = Tenant("america", "default", Residency(compute=US))


def config(
    *tenants: Tenant, inside: SovereignBackend = VPC, regions: Any = None, more: Sequence[Backend] = ()
) -> Snapshot:
    """Two third parties, a VPC, and these tenants."""
    backends = [A, B, *more, twin(inside)]
    made = snapshot(
        backends=backends,
        inside=[inside],
        models=[model("qwen", {one.id: "x" for one in backends}), model("m-*", {"a": "*", "vpc": "*"})],
        regions=regions or {"asia": [["a", "b"], ["vpc"]], "default": [["b"]]},
    )
    return dataclasses.replace(made, tenants={tenant.id: tenant for tenant in tenants})


def proved(snapshot: Snapshot, **more: Any) -> Proof:
    """Prove with a chance that is the same again."""
    return prove(snapshot, random.Random(1), **more)


def test_a_sound_configuration_has_no_violation_and_each_way_out_is_listed() -> None:
    """Whom it is open to, where it leads, and who says so."""
    found = proved(config(SHOP, dataclasses.replace(SHOP, id="shop2"), BANK, AMERICA))
    assert found.violations == ()
    assert (found.tenants, found.kinds, found.sampled) == (4, 3, False)
    ways = {(way.backend, way.demand): (way.tenants, way.addresses) for way in found.ways}
    assert ways == {
        ("a", "none"): (2, ("https://10.0.3.1:8000",)),
        ("b", "none"): (2, ("https://10.0.3.1:8000",)),
        ("vpc", "none"): (2, ("https://10.0.3.1:8000",)),
        ("vpc", "vpc"): (1, ("https://10.0.3.1:8000",)),
        ("b", "compute US"): (1, ("https://10.0.3.1:8000",)),
    }


def test_tenants_of_one_kind_are_taken_once() -> None:
    """Five thousand that differ in name cost no more than one; what models they may use is looked at by model."""
    many = [dataclasses.replace(SHOP, id=f"t{n}", models=(f"qwen{'*' * (n % 2)}",)) for n in range(50)]
    assert proved(config(*many)).cases == proved(config(many[0])).cases


def test_every_combination_of_failures_is_gone_through() -> None:
    """Three backends: seven ways in which some of them are out, beside the one in which none is."""
    alone = {"asia": [["a"], ["b"], ["c"]], "default": []}
    tenant = dataclasses.replace(SHOP, models=("qwen",), region="asia")
    made = config(tenant, regions=alone, more=[backend("c")])
    places = 2  # with a country that rules say nothing of, and from mainland China
    calls, raised = len(list(_calls("qwen"))), 1  # the VPC alone is left of a call that demands it: in or out
    assert proved(made).cases == places * (calls + 7) + calls + raised


def test_too_many_backends_are_sampled_and_it_says_so() -> None:
    """One and all but one out, and four thousand by chance."""
    more = [backend(f"c{n}") for n in range(MAX_VECTORS)]
    tenant = dataclasses.replace(SHOP, models=("qwen",), region="asia")
    regions = {"asia": [["a"], *[[one.id] for one in more]], "default": []}
    found = proved(config(tenant, regions=regions, more=more))
    assert found.sampled
    assert found.cases > 2 * 2**MAX_VECTORS


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"allow_cidrs": ()}, "has no allow_cidrs"),
        (
            {"endpoints": (*endpoints(1), Endpoint("https", "8.8.8.8", 443, ""))},
            "has an endpoint outside its allow_cidrs",
        ),
        (
            {"endpoints": (Endpoint("https", "vllm.internal", 443, ""),)},
            "has an endpoint that is a name, and no resolver in the VPC",
        ),
        ({"provider": "together"}, "is together, a third party"),
        (
            {"endpoints": (Endpoint("https", "2130706433", 443, ""),), "resolver": (("10.0.0.2", 53),)},
            "has an endpoint that is a name, and no resolver in the VPC",
        ),
        (
            {"endpoints": (Endpoint("https", "vllm.internal", 443, ""),), "resolver": (("dns.example", 53),)},
            "has a resolver that is a name",
        ),
        (
            {"endpoints": (Endpoint("https", "64:ff9b::808:808", 443, ""),), "allow_cidrs": ("64:ff9b::/96",)},
            "has an endpoint outside its allow_cidrs",
        ),
    ],
)
def test_a_vpc_that_is_none_is_found(changed: dict[str, Any], why: str) -> None:
    """Whatever let such a backend in: the machines and networks are looked at, not the word."""
    inside = dataclasses.replace(VPC, **changed)
    (violation,) = proved(config(BANK, inside=inside)).violations
    assert (violation.backend, violation.why) == ("vpc", why)
    assert violation.case.out == ()
    assert str(violation).startswith("tenant bank, region asia, model qwen, chat: leads to vpc, which ")


def test_a_name_that_only_a_resolver_in_the_vpc_is_asked_for_is_sound() -> None:
    """Every answer is judged by the networks before anything is connected to."""
    named = (Endpoint("https", "vllm.internal", 443, ""), *endpoints(1))
    inside = dataclasses.replace(VPC, endpoints=named, resolver=(("10.0.0.2", 53),))
    assert proved(config(BANK, inside=inside)).violations == ()


def test_a_vpc_whose_general_view_is_a_third_partys_is_found() -> None:
    """Both views are of one backend."""
    made = config(BANK)
    made = dataclasses.replace(made, backends={**made.backends, "vpc": backend("vpc")})
    assert [violation.why for violation in proved(made).violations] == ["is no vpc backend"]


def test_a_gate_that_lets_everything_through_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof does not believe the gate: it judges by the sites' own words."""
    monkeypatch.setattr(gate, "resides", lambda _demand, _promise: None)
    found = proved(config(AMERICA, Tenant("keeps", "default", Residency(storage=SG, retention=3))))
    assert {(v.case.tenant, v.backend, v.why) for v in found.violations} == {
        ("america", "a", "does not promise where it computes; demanded is US"),
        ("america", "vpc", "does not promise where it computes; demanded is US"),
        ("keeps", "a", "does not promise where it keeps prompts; demanded is SG"),
        ("keeps", "vpc", "does not promise where it keeps prompts; demanded is SG"),
    }


def test_a_plan_that_adds_where_others_fail_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its shortest way: the one failure that is enough."""
    real: Any = vars(proof)["plan"]

    def falls_back(call: Any, caller: Any, snapshot: Any, health: Any, now: float, rng: Any) -> Any:
        made = real(call, caller, snapshot, health, now, rng)
        if not any(key == ("backend", "b") for key in health):
            return made
        extra = real(call, dataclasses.replace(caller, tenant=SHOP), snapshot, {}, now, rng)
        return Plan(extra.targets, extra.candidates, extra.handling) if isinstance(extra, Plan) else made

    monkeypatch.setattr(proof, "plan", falls_back)
    found = proved(config(AMERICA))
    assert {violation.case.out for violation in found.violations} == {("b",)}
    added = {v.backend for v in found.violations if v.why == "is in the plan only because others are out"}
    assert added == {"a", "b", "vpc"}


def test_a_model_with_a_star_is_proved_by_the_names_that_are_called() -> None:
    """A right that names one of them, or has a star elsewhere: no tenant goes without a case."""
    for rights in (("m-7b",), ("*7b",), ("m*",), ("m-7*",)):
        tenant = dataclasses.replace(SHOP, models=rights)
        found = proved(config(tenant))
        assert found.cases > 0, rights
        assert {way.backend for way in found.ways} == {"a", "vpc"}, rights


def test_a_call_that_demands_the_vpc_is_proved_for_everybody() -> None:
    """An ordinary tenant's may: it must not find a VPC that is none."""
    inside = dataclasses.replace(VPC, allow_cidrs=())
    (violation,) = proved(config(SHOP, inside=inside)).violations
    assert (violation.backend, violation.why) == ("vpc", "has no allow_cidrs")


def test_a_tenants_rights_are_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that is not among the tenant's, whoever let it in."""
    real = ways.general_ways
    everybody = dataclasses.replace(SHOP, backends=None)

    def forgets(snapshot: Any, caller: Any, name: str) -> Any:
        return real(snapshot, dataclasses.replace(caller, tenant=everybody), name)

    monkeypatch.setattr("hybridproxy.routing.plan.general_ways", forgets)
    found = proved(config(dataclasses.replace(SHOP, backends=frozenset({"a"}))))
    assert {violation.why for violation in found.violations} == {"is not among the tenant's backends"}


def test_callers_from_mainland_china_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody may send them anywhere but through a region that names them."""
    monkeypatch.setattr(ways, "REFUSED_COUNTRY", "??")
    found = proved(config(SHOP, regions={"default": [["a"]]}))
    assert [violation.why for violation in found.violations] == [
        "would get calls from mainland China, which no region names"
    ]


def test_a_target_of_another_backend_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The right backend's name and another's address, or key."""
    real: Any = vars(proof)["plan"]

    def mixes_up(*given: Any) -> Any:
        made = real(*given)
        if isinstance(made, Refusal):
            return made
        wrong = [dataclasses.replace(target, endpoint=endpoints(2)[1]) for target in made.targets]
        return dataclasses.replace(made, targets=tuple(wrong))

    monkeypatch.setattr(proof, "plan", mixes_up)
    found = proved(config(dataclasses.replace(SHOP, models=("qwen",), region="asia")), failures=False)
    assert {violation.why for violation in found.violations} == {"is asked at an endpoint, or with a key, of another"}


def test_closed_weights_that_nobody_wrote_down_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A logical name may lead to a host that passes calls on: with a demand it must not, whatever the host promises."""
    served = [Served("a", "x", closed=True), Served("b", "x", closed=True)]
    made = snapshot(backends=[A, B], models=[model("l", served, latest="x")], regions={"asia": [["a"], ["b"]]})
    made = dataclasses.replace(made, tenants={"shop": SHOP, "america": AMERICA})
    assert proved(made).violations == ()
    assert {(way.backend, way.demand) for way in proved(made).ways} == {("a", "none"), ("b", "none")}
    monkeypatch.setattr(ways, "_closed", lambda _demand, _served: None)
    (violation,) = proved(dataclasses.replace(made, tenants={"america": AMERICA})).violations
    assert (violation.backend, violation.case.model) == ("b", "l")
    assert violation.why.startswith("would serve closed weights that nobody wrote down for it")


def test_a_need_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A way that is only open to calls with tools is told as such."""
    served = [Served("a", "x", lacks=frozenset({Capability.TOOLS})), Served("b", "x")]
    made = snapshot(backends=[A, B], models=[model("qwen", served)], regions={"asia": [["a"], ["b"]], "default": []})
    made = dataclasses.replace(made, tenants={"shop": dataclasses.replace(SHOP, region="asia")})
    monkeypatch.setattr(proof, "against", lambda _snapshot, _backend, _demand: "is wrong")
    needs = {violation.backend: violation.case.needs for violation in proved(made, failures=False).violations}
    assert needs == {"a": "chat, streamed", "b": "chat, streamed"}
    monkeypatch.setattr(
        proof, "_calls", lambda name: [one for one in _calls(name) if Capability.TOOLS in one.needs and one.stream]
    )
    (violation, *_) = proved(made).violations
    assert violation.case.needs == "chat, streamed, tools"


def test_what_it_says_of_a_promise() -> None:
    """Elsewhere, and for longer."""
    made = config(SHOP)
    assert against(made, B, Residency(compute=SG)) == "computes in US; demanded is SG"
    there = dataclasses.replace(B, promise=Promise(US, US, 30))
    assert against(made, there, Residency(storage=SG)) == "keeps prompts in US; demanded is SG"
    assert against(made, there, Residency(retention=7)) == "does not promise to keep prompts for 7 days at most"
    assert against(made, there, Residency(False, US, US, 30)) is None
    assert described(Residency(True, US, SG, 0)) == "vpc, compute US, storage SG, retention 0 days"


def test_whoever_watches_hears_of_the_progress() -> None:
    """For each kind of tenants."""
    heard: list[tuple[int, int]] = []
    proved(config(SHOP, BANK), step=lambda done, of: heard.append((done, of)))
    assert heard == [(1, 2), (2, 2)]


NAMES = ["a", "b", "c", "vpc"]
PROMISES = st.builds(
    Promise, st.sampled_from([None, US, SG]), st.sampled_from([None, US, SG]), st.sampled_from([None, 0, 30])
)
TENANTS = st.builds(
    Tenant,
    st.just("t"),
    st.just("default"),
    st.builds(
        Residency,
        st.booleans(),
        st.sampled_from([None, US, SG]),
        st.sampled_from([None, US]),
        st.sampled_from([None, 0]),
    ),
    st.sampled_from([("*",), ("qwen",)]),
    st.none() | st.frozensets(st.sampled_from(NAMES)),
    st.sampled_from([None, "asia"]),
)


@given(
    st.lists(st.booleans(), min_size=2, max_size=2),
    st.lists(st.frozensets(st.sampled_from(list(Capability))), min_size=2),
)
def test_without_failures_every_way_is_seen_too(streams: list[bool], lacks: list[frozenset[Capability]]) -> None:
    """A start looks at less, and at every backend that any call may reach."""
    served = [
        Served(name, "x", lacks=lack, streams_only=only) for name, lack, only in zip("ab", lacks, streams, strict=False)
    ]
    made = snapshot(backends=[A, B], models=[model("qwen", served)], regions={"asia": [["a"], ["b"]]})
    made = dataclasses.replace(made, tenants={"shop": SHOP})
    assert {way.backend for way in proved(made, failures=False).ways} == {way.backend for way in proved(made).ways}


@given(
    st.lists(PROMISES, min_size=4, max_size=4),
    TENANTS,
    st.lists(st.sampled_from(NAMES), unique=True),
    st.lists(st.frozensets(st.sampled_from(list(Capability))), min_size=4, max_size=4),
    st.lists(st.tuples(st.booleans(), st.sampled_from(["", "2025-01-01", "2026-01-01"])), min_size=4, max_size=4),
    st.sampled_from(["", "qwen-max"]),
    st.lists(st.sampled_from([Prefer.LATENCY, Prefer.PRICE, Prefer.FRESH]), unique=True).map(tuple),
)
def test_whatever_the_configuration_its_plans_keep_to_it(
    promises: list[Promise],
    tenant: Tenant,
    route: list[str],
    lacks: list[frozenset[Capability]],
    checkpoints: list[tuple[bool, str]],
    latest: str,
    prefer: tuple[Prefer, ...],
) -> None:
    """The gate and the proof were written apart and agree: no plan of any configuration violates a demand."""
    inside = dataclasses.replace(VPC, promise=promises[3])
    backends = [
        *[dataclasses.replace(backend(n), promise=p) for n, p in zip("abc", promises, strict=False)],
        twin(inside),
    ]
    served = [
        Served(one.id, "x", lacks=lack, closed=closed, released=day)
        for one, lack, (closed, day) in zip(backends, lacks, checkpoints, strict=True)
    ]
    made = snapshot(
        backends=backends,
        inside=[inside],
        models=[model("qwen", served, latest=latest)],
        regions={"asia": [[n] for n in route]},
        prefer=prefer,
    )
    made = dataclasses.replace(made, tenants={"t": tenant})
    assert proved(made).violations == ()
