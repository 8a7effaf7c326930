"""Tests of what policy leaves of the configuration for one kind of caller."""

import dataclasses
from typing import Any

import pytest

from geo.location import Location
from hybridproxy.model.backend import TimeoutOverrides, Timeouts
from hybridproxy.model.plan import Refusal, RefusalKind
from hybridproxy.model.price import price
from hybridproxy.model.residency import Promise, Residency
from hybridproxy.model.snapshot import Prefer, Served, Snapshot, Tenant
from hybridproxy.routing.ways import MAX_LISTED, MAX_MEMO, Ways, general_ways, sovereign_ways
from tests.support.make import BANK, CHINA, NOWHERE, SHOP, backend, caller, model, snapshot, sovereign

A, B, C, VPC = backend("a"), backend("b", weight=3), backend("c"), backend("vpc", provider="vllm")
QWEN = model("qwen", {"a": "A/qwen", "b": "b-qwen", "vpc": "qwen"})


def config(**regions: list[list[str]]) -> Snapshot:
    """Three backends of third parties and one inside, one model."""
    return snapshot(backends=[A, B, C, VPC], inside=[sovereign("vpc")], models=[QWEN], regions=regions)


def reasons(ways: Ways | Refusal) -> dict[str, str]:  # type: ignore[type-arg]
    """What was dropped, and why."""
    listed = ways.candidates if isinstance(ways, Refusal) else ways.dropped
    return {candidate.backend: candidate.reason for candidate in listed}


def test_a_route_gives_its_groups_in_order() -> None:
    """Backends of the region, grouped as written, each under its own name of the model."""
    ways = general_ways(config(asia=[["b", "a"], ["vpc"]]), caller(), "qwen")
    assert isinstance(ways, Ways)
    assert [[way.kept.backend for way in group] for group in ways.groups] == [["b", "a"], ["vpc"]]
    assert [way.weight for way in ways.groups[0]] == [3, 1]
    assert ways.groups[0][1].targets[0][0][2].model == "A/qwen"
    assert ways.dropped == ()


def test_policy_says_why_it_drops_a_backend() -> None:
    """Not serving the model, not the tenant's, not in the route: each backend once, with the first reason."""
    tenant = Tenant("t", "default", backends=frozenset({"a", "c"}))
    ways = general_ways(config(asia=[["b", "c"], ["a"], ["a", "c"]]), caller(tenant), "qwen")
    assert reasons(ways) == {
        "b": "not among the tenant's backends",
        "c": "does not serve the model",
        "vpc": "not in the route for region asia",
    }
    assert isinstance(ways, Ways)
    assert [[way.kept.backend for way in group] for group in ways.groups] == [["a"]]


def test_a_backends_own_timeouts_stand_in_its_targets() -> None:
    """The route's times hold for the call, the backend's for its attempts."""
    slow = backend("a", timeouts=TimeoutOverrides(first_token=60))
    made = snapshot(backends=[slow], models=[QWEN], regions={"asia": [["a"]]}, timeouts=Timeouts(connect=1, total=9))
    ways = general_ways(made, caller(), "qwen")
    assert isinstance(ways, Ways)
    assert ways.handling.timeouts == Timeouts(connect=1, total=9)
    assert ways.groups[0][0].targets[0][0][2].timeouts == Timeouts(connect=1, first_token=60, total=9)


def test_a_target_knows_what_its_course_depends_on() -> None:
    """Its window, its price and whether it can go on with an answer, and the keys its health is kept under."""
    served = Served("a", "q", context=1000, price=price(0.2, 0.6))
    made = snapshot(
        backends=[backend("a", provider="vllm", region="asia")],
        models=[model("qwen", [served])],
        regions={"asia": [["a"]]},
    )
    ways = general_ways(made, caller(), "qwen")
    assert isinstance(ways, Ways)
    way = ways.groups[0][0]
    ((key, credential, target),) = way.targets[0]
    assert (target.context, target.price, target.continues) == (1000, price(0.2, 0.6), True)
    assert (key, credential) == (target.health_key, ("credential", "a", "key1"))
    assert (way.names, way.keys) == (("a", "asia"), (("backend", "a"), ("region", "asia")))


@pytest.mark.parametrize("region", ["europe", "default"])
def test_a_region_without_an_entry_takes_the_routes_default(region: str) -> None:
    """Most regions need no list of their own."""
    ways = general_ways(config(asia=[["b"]], default=[["a"]]), caller(location=NOWHERE, region=region), "qwen")
    assert isinstance(ways, Ways)
    assert ways.groups[0][0].kept.backend == "a"
    assert ways.groups[0][0].kept.reason == f"region {region}"


@pytest.mark.parametrize(
    ("regions", "region", "location", "why"),
    [
        ({"asia": [["a"]]}, None, NOWHERE, "calls from an unknown country are refused: no configured region takes it"),
        ({"china": []}, "china", CHINA, "calls from region 'china' (CN) are refused: its route lists no backend"),
        ({"asia": []}, "asia", NOWHERE, "calls from region 'asia' (an unknown country) are refused: its route lists"),
        ({"asia": [["a"]]}, "mars", NOWHERE, "the route has no entry for it"),
        ({"default": []}, "mars", NOWHERE, "its route lists no backend"),
        ({"default": [["a"]]}, "china", CHINA, "calls from region 'china' (CN) are refused: the route has no entry"),
        ({"default": [["a"]]}, "default", CHINA, "calls from CN are refused: no configured region takes it"),
        ({"default": [["a"]]}, None, CHINA, "calls from CN are refused: no configured region takes it"),
    ],
)
def test_a_refused_region_says_which_and_why(
    regions: dict[str, list[list[str]]], region: str | None, location: Location, why: str
) -> None:
    """Mainland China never falls through to the default entry, and every backend of the model has its reason."""
    who = dataclasses.replace(caller(region=region), location=location)
    refusal = general_ways(config(**regions), who, "qwen")
    assert isinstance(refusal, Refusal)
    assert refusal.kind is RefusalKind.REGION_REFUSED
    assert why in refusal.message
    assert reasons(refusal) == dict.fromkeys(["a", "b", "vpc"], f"refused for region {region or 'none'}")
    assert refusal.retry_after is None


def test_mainland_china_is_served_where_its_region_has_an_entry() -> None:
    """An operator who has settled the law writes a route for it."""
    ways = general_ways(config(china=[["a"]], default=[["b"]]), caller(location=CHINA, region="china"), "qwen")
    assert isinstance(ways, Ways)
    assert ways.groups[0][0].kept.backend == "a"


@pytest.mark.parametrize("location", [CHINA, NOWHERE])
@pytest.mark.parametrize("region", [None, "asia", "china"])
def test_a_sovereign_tenant_gets_the_vpc_wherever_it_is(location: Location, region: str | None) -> None:
    """Its location refuses nothing and grants nothing."""
    who = dataclasses.replace(caller(BANK, region=region), location=location)
    ways = sovereign_ways(config(asia=[["a"]], china=[]), who, "qwen")
    assert isinstance(ways, Ways)
    assert [[way.kept.backend for way in group] for group in ways.groups] == [["vpc"]]
    assert set(reasons(ways).values()) == {"outside the VPC; the call is sovereign"}
    assert set(reasons(ways)) == {"a", "b"}


def test_a_sovereign_tenants_own_list_narrows_the_vpc() -> None:
    """It may be given some of the clusters only."""
    made = snapshot(inside=[sovereign("v1"), sovereign("v2")], models=[model("qwen", {"v1": "q", "v2": "q"})])
    ways = sovereign_ways(made, caller(dataclasses.replace(BANK, backends=frozenset({"v2"}))), "qwen")
    assert isinstance(ways, Ways)
    assert [way.kept.backend for way in ways.groups[0]] == ["v2"]
    assert reasons(ways) == {"v1": "not among the tenant's backends"}


def test_an_unknown_model_is_refused_with_those_that_may_be_used() -> None:
    """The caller sees at once that a name was misspelt; a tenant's list is never longer than it can read."""
    many = [model(f"m{i:02}", {"a": "x"}) for i in range(MAX_LISTED + 3)]
    made = snapshot(backends=[A], models=many, regions={"asia": [["a"]]})
    refusal = general_ways(made, caller(), "qwem")
    assert isinstance(refusal, Refusal)
    assert refusal.kind is RefusalKind.UNKNOWN_MODEL
    assert refusal.message.startswith("there is no model 'qwem' here; you may use: m00, m01")
    assert refusal.message.endswith("m19 and 3 more")


def test_a_tenant_that_may_use_nothing_is_told_so() -> None:
    """Sovereign or not; a model that exists for others is unknown to it."""
    for ways in (
        general_ways(config(asia=[["a"]]), caller(dataclasses.replace(SHOP, models=())), "qwen"),
        sovereign_ways(config(), caller(dataclasses.replace(BANK, models=())), "qwen"),
    ):
        assert isinstance(ways, Refusal)
        assert ways.message == "there is no model 'qwen' here; you may use none"


def test_what_was_worked_out_is_used_again_for_the_same_kind_of_caller_only() -> None:
    """A different right, region or country is a different question."""
    made = config(asia=[["a"]], europe=[["b"]], default=[["a"]])
    first = general_ways(made, caller(), "qwen")
    assert general_ways(made, caller(), "qwen") is first
    others = [
        general_ways(made, caller(region="europe"), "qwen"),
        general_ways(made, caller(dataclasses.replace(SHOP, backends=frozenset({"b"}))), "qwen"),
        general_ways(made, caller(dataclasses.replace(SHOP, models=("llama",))), "qwen"),
        sovereign_ways(made, caller(BANK), "qwen"),
    ]
    assert all(other is not first for other in others)
    assert isinstance(general_ways(made, caller(region="mars"), "qwen"), Ways)
    assert isinstance(general_ways(made, caller(location=CHINA, region="mars"), "qwen"), Refusal)
    assert sovereign_ways(made, caller(BANK), "qwen") is others[-1]


def test_names_that_a_wildcard_covers_cannot_fill_the_memory() -> None:
    """A tenant that makes up names costs time, not memory."""
    made = snapshot(backends=[A], models=[model("*", {"a": "*"})], regions={"asia": [["a"]]})
    for i in range(MAX_MEMO + 10):
        general_ways(made, caller(), f"name-{i}")
        assert len(made.memo) <= MAX_MEMO


# ---- residency -------------------------------------------------------------------------------------------------------

US = frozenset({"US"})
AMERICAN = Promise(US, US, 0, computes="computes in US")


def test_a_demand_drops_what_does_not_promise_enough_and_says_why() -> None:
    """Before health is looked at; who says nothing does not meet it."""
    backends = [dataclasses.replace(A, promise=AMERICAN), B]
    made = snapshot(backends=backends, models=[QWEN], regions={"asia": [["a"], ["b"]]})
    tenant = Tenant("t", "default", Residency(compute=US))
    ways = general_ways(made, caller(tenant), "qwen")
    assert isinstance(ways, Ways)
    assert [[way.kept.backend for way in group] for group in ways.groups] == [["a"]]
    assert reasons(ways)["b"] == "does not say where it computes; the call may be computed in US only"


def test_a_call_may_demand_more_than_its_tenant_and_no_less() -> None:
    """Each demand has ways of its own, whatever was asked for before."""
    backends = [dataclasses.replace(A, promise=AMERICAN), B]
    made = snapshot(backends=backends, models=[QWEN], regions={"asia": [["a"], ["b"]]})
    kept = {}
    for demands in (None, Residency(), Residency(compute=US), Residency(compute=frozenset({"SG"}))):
        for tenant in (SHOP, Tenant("t", "default", Residency(retention=0))):
            ways = general_ways(made, dataclasses.replace(caller(tenant), demands=demands), "qwen")
            assert isinstance(ways, Ways)
            kept[tenant.id, demands] = [way.kept.backend for group in ways.groups for way in group]
    assert kept["shop", None] == kept["shop", Residency()] == ["a", "b"]
    assert kept["shop", Residency(compute=US)] == kept["t", None] == kept["t", Residency()] == ["a"]
    assert kept["t", Residency(compute=frozenset({"SG"}))] == []


def test_an_ordinary_tenants_call_may_be_sovereign() -> None:
    """It demands the VPC: then it has the sovereign ways, within the tenant's rights, and no others."""
    who = dataclasses.replace(caller(), demands=Residency(vpc=True))
    assert who.sovereign
    ways = sovereign_ways(config(asia=[["a"]]), who, "qwen")
    assert isinstance(ways, Ways)
    assert [[way.kept.backend for way in group] for group in ways.groups] == [["vpc"]]
    assert set(reasons(ways).values()) == {"outside the VPC; the call is sovereign"}


def test_a_vpc_that_does_not_say_where_it_stands_meets_no_country() -> None:
    """Sovereign and in the US: the operator has to say that of its machines."""
    tenant = Tenant("bank", None, Residency(vpc=True, compute=US))
    for promise, kept in ((Promise(), 0), (AMERICAN, 1)):
        inside = dataclasses.replace(sovereign("vpc"), promise=promise)
        made = snapshot(backends=[VPC], inside=[inside], models=[QWEN])
        ways = sovereign_ways(made, caller(tenant), "qwen")
        assert isinstance(ways, Ways)
        assert len(ways.groups[0]) == kept


def test_endpoints_have_places_where_there_is_a_choice() -> None:
    """One endpoint has no load to be kept; of several each target says where its load is."""
    made = snapshot(backends=[backend("a"), backend("b", hosts=2)], models=[QWEN], regions={"asia": [["a"], ["b"]]})
    ways = general_ways(made, caller(), "qwen")
    assert isinstance(ways, Ways)
    (one,), (two,) = ways.groups
    assert (one.places, one.targets[0][0][2].place) == ((), None)
    assert [place.key for place in two.places] == [row[0][2].place for row in two.targets]
    assert two.targets[1][0][2].place == ("b", "10.0.3.2:8000")


LATEST = model(
    "max-latest",
    [
        Served("a", "A/qwen3.7-max", released="2026-05-21", closed=True),
        Served("b", "qwen3.8-max", released="2026-08-03"),
        Served("c", "qwen3.8-max", released="2026-08-03", official=True),
        Served("vpc", "mine"),
    ],
    latest="qwen-max",
)


def latest(regions: dict[str, list[list[str]]], tenant: Tenant = SHOP, *prefer: Prefer) -> Ways:  # type: ignore[type-arg]
    """The ways of a call by a logical name."""
    promises = {"a": Promise(compute=frozenset({"US"})), "b": Promise(compute=frozenset({"US"}))}
    made = snapshot(
        backends=[dataclasses.replace(one, promise=promises.get(one.id, one.promise)) for one in (A, B, C, VPC)],
        inside=[sovereign("vpc")],
        models=[LATEST],
        regions=regions,
        prefer=prefer or (Prefer.ORDER,),
    )
    resolve: Any = sovereign_ways if tenant is BANK else general_ways
    ways = resolve(made, caller(tenant), "max-latest")
    assert isinstance(ways, Ways)
    return ways


def firsts(ways: Ways) -> list[list[str]]:  # type: ignore[type-arg]
    """The groups in their order."""
    return [[way.kept.backend for way in group] for group in ways.groups]


def test_a_logical_name_leads_to_the_freshest_that_the_caller_may_use() -> None:
    """Whatever the route's order: first the maker's own API, then who has the same, then what is older or unknown."""
    ways = latest({"asia": [["vpc", "a"], ["b"], ["c"]]})
    assert firsts(ways) == [["c"], ["b"], ["a"], ["vpc"]]
    assert ways.prefer == ()
    assert ways.groups[0][0].kept.reason == "region asia; qwen3.8-max of 2026-08-03 is its freshest qwen-max"
    assert ways.groups[-1][0].kept.reason == "region asia; mine of a day that is not known is its freshest qwen-max"


def test_who_may_use_less_gets_the_freshest_of_that() -> None:
    """A tenant without the newest gets the next, by the same name; a sovereign one what the VPC has."""
    narrow = Tenant("t", "default", backends=frozenset({"a", "vpc"}))
    assert firsts(latest({"asia": [["vpc"], ["a"], ["b"], ["c"]]}, narrow)) == [["a"], ["vpc"]]
    assert firsts(latest({"asia": [["a"]]}, BANK)) == [["vpc"]]


def test_those_that_are_equally_fresh_stay_a_weighted_group() -> None:
    """Freshness splits a group; it does not order what is the same."""
    same = model(
        "latest", [Served("a", "x", released="2026-01-01"), Served("b", "y", released="2026-01-01")], latest="x"
    )
    made = snapshot(backends=[A, B], models=[same], regions={"asia": [["a", "b"]]})
    ways = general_ways(made, caller(), "latest")
    assert isinstance(ways, Ways)
    assert firsts(ways) == [["a", "b"]]


def test_closed_weights_at_a_host_meet_no_demand_unless_somebody_vouches_for_them() -> None:
    """The host may pass the call on to the maker, and nobody wrote the model into the file for that backend."""
    tenant = Tenant("t", "default", Residency(compute=frozenset({"US"})))
    ways = latest({"asia": [["a"], ["b"]]}, tenant)
    assert firsts(ways) == [["b"]]
    assert (
        reasons(ways)["a"] == "may have A/qwen3.7-max computed by its maker; write it into served_by to vouch for that"
    )


def test_what_a_route_prefers_is_left_to_the_call_where_it_depends_on_it() -> None:
    """Freshness alone is worked out once; price and latency are not, and a logical name asks for freshness first."""
    regions = {"asia": [["a"], ["b"], ["c"]]}
    assert firsts(latest(regions, SHOP, Prefer.FRESH)) == [["c"], ["b"], ["a"]]
    ways = latest(regions, SHOP, Prefer.PRICE, Prefer.ORDER)
    assert (firsts(ways), ways.prefer) == ([["a"], ["b"], ["c"]], (Prefer.FRESH, Prefer.PRICE))
    assert ways.groups[0][0].kept.reason.startswith("region asia by price, order; ")


def test_a_way_knows_what_it_is_ranked_by() -> None:
    """Its price, the day of its checkpoint, and what its times are kept under."""
    served = Served("a", "q", price=price(1, 2), released="2026-08-03", official=True)
    made = snapshot(backends=[A], models=[model("qwen", [served])], regions={"asia": [["a"]]})
    ways = general_ways(made, caller(), "qwen")
    assert isinstance(ways, Ways)
    way = ways.groups[0][0]
    assert (way.price, way.fresh, way.pace_key) == (price(1, 2), 20260803, ("a", "q"))


@pytest.mark.parametrize(
    ("provider", "site", "name", "goes_on"),
    [
        ("dashscope", "singapore", "qwen-turbo", True),
        ("dashscope", "beijing", "qwen-turbo", False),
        ("vllm", "", "Qwen/Qwen3-4B-Thinking-2507", False),
        ("deepseek", "", "deepseek-v4-flash", False),
        ("deepseek", "beta", "deepseek-v4-flash", True),
        ("together", "", "qwen", False),
    ],
)
def test_an_answer_goes_on_where_provider_site_and_model_do_it(
    provider: str, site: str, name: str, goes_on: bool
) -> None:
    """One of them is enough to stand against it."""
    one = dataclasses.replace(backend("a", provider=provider), site=site)
    ways = general_ways(
        snapshot(backends=[one], models=[model("qwen", {"a": name})], regions={"asia": [["a"]]}), caller(), "qwen"
    )
    assert isinstance(ways, Ways)
    assert ways.groups[0][0].targets[0][0][2].continues is goes_on
