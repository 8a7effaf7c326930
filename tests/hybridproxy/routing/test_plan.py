"""Tests of the one decision everything else follows."""

import math
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.location import Location
from hybridproxy.model.backend import Backend
from hybridproxy.model.call import Capability, Operation
from hybridproxy.model.caller import Caller
from hybridproxy.model.health import (
    HEALTHY,
    Admits,
    Ban,
    Health,
    Key,
    backend_key,
    credential_key,
    region_key,
)
from hybridproxy.model.load import Loads, Pace, Reading
from hybridproxy.model.plan import Plan, Refusal, RefusalKind
from hybridproxy.model.price import price
from hybridproxy.model.residency import Residency
from hybridproxy.model.snapshot import Prefer, Served, Snapshot, Tenant
from hybridproxy.providers import PROVIDERS
from hybridproxy.routing import gate
from hybridproxy.routing.plan import plan, plan_sovereign
from tests.support.make import BANK, CHINA, NOWHERE, SHOP, SINGAPORE, backend, call, caller, model, snapshot, sovereign

ASIA = {"asia": [["a"], ["b"], ["c"]]}
QWEN = model("qwen", {"a": "qwen", "b": "qwen", "c": "qwen"})
TRIO = [backend("a"), backend("b"), backend("c")]


def tried(chosen: Any) -> list[str]:
    """The backends of a plan's attempts, in order."""
    assert isinstance(chosen, Plan)
    return [target.backend.id for target in chosen.targets]


def why(chosen: Any) -> dict[str, str]:
    """What became of every backend."""
    return {candidate.backend: candidate.reason for candidate in chosen.candidates}


def ask(config: Snapshot, health: Health = HEALTHY, now: float = 0.0, seed: int = 1, **made: Any) -> Any:
    """Plan an ordinary call from Singapore."""
    return plan(call(**made), caller(), config, health, now, random.Random(seed))


def ban(name: str, host: int = 1, key: int = 1, until: float = 10.0) -> Health:
    """One target that is not fit."""
    return {(name, f"10.0.3.{host}:8000", "qwen", f"key{key}"): Ban(until, "open after 5 faults in a row")}


# ---- order and reasons -----------------------------------------------------------------------------------------------


def test_the_routes_order_is_the_order_of_attempts() -> None:
    """With nothing against any of them, all are kept as written."""
    chosen = ask(snapshot(backends=TRIO, models=[QWEN], regions=ASIA))
    assert tried(chosen) == ["a", "b", "c"]
    assert why(chosen) == dict.fromkeys("abc", "region asia")


def test_the_kept_come_first_in_the_order_they_will_be_tried_and_then_the_dropped() -> None:
    """`explain` is read from the top: what happens, then what does not, and why."""
    served = [Served("a", "qwen", lacks=frozenset({Capability.TOOLS})), *QWEN.served_by[1:], Served("d", "qwen")]
    config = snapshot(backends=[*TRIO, backend("d")], models=[model("qwen", served)], regions=ASIA)
    chosen = ask(config, ban("b"), needs=frozenset({Capability.TOOLS}))
    assert [(c.backend, c.kept, c.reason) for c in chosen.candidates] == [
        ("c", True, "region asia"),
        ("a", False, "does not do tools"),
        ("b", False, "health: open after 5 faults in a row"),
        ("d", False, "not in the route for region asia"),
    ]


def test_a_weighted_group_shares_the_first_place_and_stays_before_the_next() -> None:
    """Three to one within the group; the backend behind it is always last."""
    backends = [backend("a", weight=3), backend("b", weight=1), backend("c")]
    config = snapshot(backends=backends, models=[QWEN], regions={"asia": [["a", "b"], ["c"]]})
    orders = Counter(tuple(tried(ask(config, seed=seed))) for seed in range(1000))
    assert set(orders) == {("a", "b", "c"), ("b", "a", "c")}
    assert orders["a", "b", "c"] / 1000 == pytest.approx(0.75, abs=0.05)


# ---- endpoints, credentials, health ----------------------------------------------------------------------------------


def test_one_of_the_attempts_reaches_the_next_backend() -> None:
    """Of a backend with many endpoints two are tried where there are others."""
    config = snapshot(
        backends=[backend("a", hosts=5), backend("b", hosts=5)], models=[QWEN], regions={"asia": [["a"], ["b"]]}
    )
    assert tried(ask(config)) == ["a", "a", "b", "b"]


def test_a_backend_gives_a_second_endpoint_or_else_a_second_key() -> None:
    """No backend is asked a third time; what is asked second differs from what failed first."""
    for health in ({}, ban("b")):
        config = snapshot(
            backends=[backend("a", hosts=4), backend("b")], models=[QWEN], regions={"asia": [["a"], ["b"]]}
        )
        chosen = ask(config, health)
        assert tried(chosen)[:2] == ["a", "a"]
        assert len({target.endpoint for target in chosen.targets if target.backend.id == "a"}) == 2
        config = snapshot(backends=[backend("a", keys=3)], models=[QWEN], regions={"asia": [["a"]]})
        chosen = ask(config, health)
        assert tried(chosen) == ["a", "a"]
        assert len({target.credential for target in chosen.targets}) == 2


# ---- what health says of more than one target ------------------------------------------------------------------------

NEVER = float("inf")


@pytest.mark.parametrize("key", [backend_key("a"), region_key("asia"), credential_key("a", "key1")])
def test_what_is_out_as_a_whole_gets_no_call(key: Key) -> None:
    """A drained backend, an evacuated region, a quarantined key: the others serve, and the reason is told."""
    config = snapshot(
        backends=[backend("a", region="asia"), backend("b", region="us")],
        models=[QWEN],
        regions={"asia": [["a"], ["b"]]},
    )
    chosen = ask(config, {key: Ban(NEVER, "drained by an operator")})
    assert tried(chosen) == ["b"]
    assert why(chosen)["a"] == "health: drained by an operator"
    assert tried(ask(config, {key: Ban(5.0, "over")}, now=6.0)) == ["a", "b"]


def test_a_quarantined_key_leaves_the_other_one() -> None:
    """The backend goes on with the key that is good."""
    config = snapshot(backends=[backend("a", keys=2)], models=[QWEN], regions={"asia": [["a"]]})
    for turn in range(9):
        chosen = ask(config, {credential_key("a", "key1"): Ban(NEVER, "its key is quarantined")}, seed=turn)
        assert [target.credential.id for target in chosen.targets] == ["key2"]


def test_a_backend_of_which_a_part_is_ill_still_gives_two_endpoints() -> None:
    """One target of each, with a key that is good there: two keys of one endpoint would fail together."""
    config = snapshot(backends=[backend("a", hosts=3, keys=3)], models=[QWEN], regions={"asia": [["a"]]})
    for seed in range(20):
        chosen = ask(config, ban("a", host=1, key=1), seed=seed)
        assert len({target.endpoint for target in chosen.targets}) == len(chosen.targets) == 2
        assert ("10.0.3.1", "key1") not in {(one.endpoint.host, one.credential.id) for one in chosen.targets}


def test_a_probe_stands_in_its_place() -> None:
    """The call that will claim it is planned as if the target were fit; whoever comes second is sent on."""
    health: Health = {("a", "10.0.3.1:8000", "qwen", "key1"): Ban(NEVER, "half-open", Admits.PROBE)}
    chosen = ask(snapshot(backends=TRIO, models=[QWEN], regions=ASIA), health)
    assert tried(chosen) == ["a", "b", "c"]


def test_a_ramp_decides_who_comes_first_and_drops_nobody() -> None:
    """About its share of the calls begins with the target, the others have it last; alone it serves all of them."""
    key = ("a", "10.0.3.1:8000", "qwen", "key1")
    health: Health = {key: Ban(130.0, "coming back by a ramp", Admits.RAMP, since=100.0)}
    config = snapshot(backends=TRIO, models=[QWEN], regions=ASIA)
    for now, low, high in ((100.0, 0.05, 0.16), (115.0, 0.47, 0.63), (130.0, 1.0, 1.0)):
        plans = [tried(ask(config, health, now=now, seed=seed)) for seed in range(400)]
        assert {tuple(sorted(one)) for one in plans} == {("a", "b", "c")}
        assert {tuple(one) for one in plans} <= {("a", "b", "c"), ("b", "c", "a")}
        assert low <= sum(one[0] == "a" for one in plans) / 400 <= high
    late = next(c for seed in range(20) if tried(c := ask(config, health, now=100.0, seed=seed))[0] == "b")
    assert why(late)["a"] == "last: coming back by a ramp"
    alone = snapshot(backends=TRIO, models=[QWEN], regions={"asia": [["a"]]})
    assert all(tried(ask(alone, health, now=100.0, seed=seed)) == ["a"] for seed in range(20))


def test_a_call_that_finds_nobody_is_told_to_come_again_soon() -> None:
    """What is open has no end that is known; some seconds later one of them may be back."""
    config = snapshot(backends=[backend("a")], models=[QWEN], regions={"asia": [["a"]]})
    refused = ask(config, {backend_key("a"): Ban(NEVER, "open")})
    assert isinstance(refused, Refusal)
    assert (refused.kind, refused.retry_after) == (RefusalKind.NO_BACKEND_LEFT, 5.0)
    throttled = ask(config, {backend_key("a"): Ban(40.0, "cooling off")}, now=10.0)
    assert throttled.retry_after == 30.0  # this end is known
    config = snapshot(backends=TRIO, models=[QWEN], regions=ASIA)
    health = {
        backend_key("a"): Ban(NEVER, "open"),
        backend_key("b"): Ban(40.0, "cooling off"),
        backend_key("c"): Ban(NEVER, "open"),
    }
    assert ask(config, health, now=10.0).retry_after == 5.0


def test_calls_spread_over_endpoints_and_credentials() -> None:
    """Each endpoint is first as often as another, and so is each key."""
    config = snapshot(backends=[backend("a", hosts=2, keys=2)], models=[QWEN], regions={"asia": [["a"]]})
    firsts: Counter[tuple[str, str]] = Counter()
    for seed in range(400):
        target = ask(config, seed=seed, text=f"question {seed}").targets[0]
        firsts[target.endpoint.host, target.credential.id] += 1
    assert len(firsts) == 4
    assert min(firsts.values()) > 60


def test_an_ill_endpoint_is_left_out_and_the_backend_stays() -> None:
    """One machine of the cluster is down, the cluster is not."""
    config = snapshot(backends=[backend("a", hosts=2)], models=[QWEN], regions={"asia": [["a"]]})
    for seed in range(10):
        chosen = ask(config, ban("a", host=1), seed=seed)
        assert [target.endpoint.host for target in chosen.targets] == ["10.0.3.2"]


# ---- several endpoints -----------------------------------------------------------------------------------------------

CLUSTER = snapshot(backends=[backend("a", hosts=4)], models=[QWEN], regions={"asia": [["a"]]})


def hosts(chosen: Any) -> list[str]:
    """The endpoints of a plan's attempts, in order."""
    return [target.endpoint.host for target in chosen.targets]


def test_a_conversation_stays_at_its_endpoint_and_has_one_second() -> None:
    """Whatever chance says; where its endpoint is out it is at the second, and others do not move."""
    for n in range(20):
        text = f"question {n}"
        home, second = hosts(ask(CLUSTER, text=text))
        assert {tuple(hosts(ask(CLUSTER, seed=seed, text=text))) for seed in range(9)} == {(home, second)}
        ill = ban("a", host=int(home[-1]))
        assert hosts(ask(CLUSTER, ill, text=text))[0] == second
        assert hosts(ask(CLUSTER, ban("a", host=int(second[-1])), text=text))[0] == home


def test_a_conversation_comes_back_by_a_ramp_once_and_stays() -> None:
    """At each moment of the ramp a larger part of the conversations is back, and none goes to and fro."""
    back: list[set[int]] = []
    for now in (0.0, 10.0, 20.0, 29.9):
        ramps: dict[Key, Ban] = {(*key, "qwen", "key1"): Ban(30.0, "comes back", Admits.RAMP, 0.0) for key in A_PLACES}
        homes = {n: hosts(ask(CLUSTER, text=f"question {n}"))[0] for n in range(200)}
        there = set()
        for n, home in homes.items():
            health = {key: ban for key, ban in ramps.items() if key[1].startswith(home)}
            firsts = {hosts(ask(CLUSTER, health, now, seed, text=f"question {n}"))[0] for seed in range(4)}
            assert len(firsts) == 1
            if firsts == {home}:
                there.add(n)
        back.append(there)
    assert [len(there) / 200 for there in back] == pytest.approx([0.1, 0.4, 0.7, 1.0], abs=0.12)
    assert back[0] <= back[1] <= back[2] <= back[3]


def test_what_nothing_binds_comes_back_by_chance() -> None:
    """An embeddings call has no endpoint of its own."""
    health: Health = {(*key, "qwen", "key1"): Ban(30.0, "comes back", Admits.RAMP, 0.0) for key in A_PLACES[:1]}
    firsts = Counter(hosts(ask(CLUSTER, health, 15.0, seed, operation=Operation.EMBEDDING))[0] for seed in range(400))
    assert 0 < firsts["10.0.3.1"] < min(firsts[f"10.0.3.{n}"] for n in (2, 3, 4))


def test_an_overloaded_endpoint_is_left_for_the_second() -> None:
    """What loads say reaches the order."""
    home, second = hosts(ask(CLUSTER))
    loads = Loads({("a", f"{home}:8000"): 100}, {})
    chosen = plan(call(), caller(), CLUSTER, HEALTHY, 0.0, random.Random(1), loads)
    assert hosts(chosen)[0] == second


def test_what_is_out_counts_for_nothing_in_the_average() -> None:
    """An idle endpoint that is out does not make those that work look overloaded."""
    home, _ = hosts(ask(CLUSTER))
    gone = next(place for place in A_PLACES if not place[1].startswith(home))
    loads = Loads({place: 130 if place[1].startswith(home) else 100 for place in A_PLACES if place != gone}, {})

    def first(health: Health) -> str:
        return hosts(plan(call(), caller(), CLUSTER, health, 0.0, random.Random(1), loads))[0]

    assert first(HEALTHY) != home
    assert first({(*gone, "qwen", "key1"): Ban(10.0, "open")}) == home


def test_with_one_endpoint_left_it_serves_whatever_its_load() -> None:
    """And with none the caller hears why."""
    out: Health = {(*place, "qwen", "key1"): Ban(10.0, "open") for place in A_PLACES}
    left = {key: ban for key, ban in out.items() if key[1] != "10.0.3.3:8000"}
    loads = Loads({("a", "10.0.3.3:8000"): 999}, {})
    assert hosts(plan(call(), caller(), CLUSTER, left, 0.0, random.Random(1), loads)) == ["10.0.3.3"]
    assert isinstance(ask(CLUSTER, out), Refusal)


A_PLACES = [("a", f"10.0.3.{n}:8000") for n in range(1, 5)]


def test_a_refused_credential_is_left_out_and_the_other_takes_its_calls() -> None:
    """401 on one of two keys: never that key, always the other one."""
    config = snapshot(backends=[backend("a", keys=2)], models=[QWEN], regions={"asia": [["a"]]})
    assert {ask(config, ban("a", key=1), seed=seed).targets[0].credential.id for seed in range(20)} == {"key2"}


def test_a_ban_that_is_over_holds_nobody_back() -> None:
    """The next call is the probe."""
    config = snapshot(backends=TRIO, models=[QWEN], regions=ASIA)
    assert tried(ask(config, ban("a", until=10), now=9.9)) == ["b", "c"]
    assert tried(ask(config, ban("a", until=10), now=10.0)) == ["a", "b", "c"]


def test_when_all_are_ill_the_caller_hears_when_the_first_will_be_tried_again() -> None:
    """503 with the shortest wait and every reason; never less than a second."""
    config = snapshot(backends=TRIO, models=[QWEN], regions=ASIA)
    refusal = ask(config, {**ban("a", until=30), **ban("b", until=12.5), **ban("c", until=40)}, now=10.0)
    assert isinstance(refusal, Refusal)
    assert (refusal.kind, refusal.retry_after) == (RefusalKind.NO_BACKEND_LEFT, 2.5)
    assert refusal.message.startswith("every backend that may serve this call is unavailable. a: health: open after 5")
    assert ask(config, {**ban("a", until=30), **ban("b"), **ban("c")}, now=9.9).retry_after == 1.0


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_an_input_that_fits_nowhere_is_told_as_such() -> None:
    """400, not 503: a backend that does not even serve the model has no say in it."""
    served = [Served("a", "qwen", context=1000), Served("b", "qwen", context=2000)]
    config = snapshot(backends=TRIO, models=[model("qwen", served)], regions=ASIA)
    refusal = ask(config, text="x" * 20_000)
    assert isinstance(refusal, Refusal)
    assert (refusal.kind, refusal.retry_after) == (RefusalKind.CONTEXT_TOO_LONG, None)
    assert "its window is 2000" in refusal.message


def test_when_the_reasons_differ_no_backend_is_allowed() -> None:
    """One window too small and one that has no eyes: neither alone explains it, so all reasons are told."""
    served = [Served("a", "qwen", context=1000), Served("b", "qwen", lacks=frozenset({Capability.VISION}))]
    config = snapshot(backends=TRIO, models=[model("qwen", served)], regions=ASIA)
    refusal = ask(config, text="x" * 20_000, needs=frozenset({Capability.VISION}))
    assert isinstance(refusal, Refusal)
    assert refusal.kind is RefusalKind.NO_BACKEND_ALLOWED
    assert "a: input too long" in refusal.message
    assert "b: does not do vision" in refusal.message


def test_a_model_that_nobody_serves_is_refused_without_a_reason_to_give() -> None:
    """An empty VPC leaves a sovereign tenant nothing, and nothing stands in for it."""
    config = snapshot(models=[model("qwen", [])])
    refusal = plan_sovereign(call(), caller(BANK), config, HEALTHY, 0.0, random.Random(1))
    assert isinstance(refusal, Refusal)
    assert (refusal.kind, refusal.message) == (RefusalKind.NO_BACKEND_ALLOWED, "no backend may serve this call")


@pytest.mark.parametrize("planner", [plan, plan_sovereign])
def test_an_unknown_model_is_refused_for_everybody(planner: Any) -> None:
    """Before anything else is looked at."""
    tenant = BANK if planner is plan_sovereign else SHOP
    refusal = planner(
        call("nope"), caller(tenant), snapshot(models=[QWEN], regions=ASIA), HEALTHY, 0.0, random.Random(1)
    )
    assert refusal.kind is RefusalKind.UNKNOWN_MODEL


def test_a_sovereign_tenants_call_cannot_be_planned_as_an_ordinary_one() -> None:
    """Nor the other way round: the mistake stops at once instead of leading somewhere."""
    config = snapshot(backends=TRIO, models=[QWEN], regions=ASIA)
    lost = Tenant("bank", "default", Residency(vpc=True))
    with pytest.raises(ValueError, match="plan_sovereign"):
        plan(call(), caller(lost), config, HEALTHY, 0.0, random.Random(1))
    with pytest.raises(ValueError, match="only a sovereign"):
        plan_sovereign(call(), caller(SHOP), config, HEALTHY, 0.0, random.Random(1))


# ---- any configuration at all ----------------------------------------------------------------------------------------

NAMES = ["a", "b", "c", "d", "vpc"]
PROVIDER_OF = dict(zip(NAMES, ["openai", "dashscope", "openrouter", "together", "vllm"], strict=True))
GROUPS = st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3), max_size=4)
SERVED = st.builds(
    Served,
    st.sampled_from([*NAMES, "vpc2"]),
    st.just("qwen"),
    context=st.sampled_from([None, 10, 100_000]),
    lacks=st.frozensets(st.sampled_from(Capability)),
    streams_only=st.booleans(),
)
CALLS = st.builds(
    call,
    operation=st.sampled_from(Operation),
    stream=st.booleans(),
    choices=st.sampled_from([1, 2, 5]),
    needs=st.frozensets(st.sampled_from(Capability)),
    text=st.sampled_from(["hi", "x" * 500]),
)
PLACES: st.SearchStrategy[tuple[Location, str | None]] = st.one_of(
    st.sampled_from([(SINGAPORE, "asia"), (NOWHERE, "default"), (NOWHERE, None), (SINGAPORE, "mars")]),
    st.sampled_from([(CHINA, "china"), (CHINA, None), (CHINA, "default"), (CHINA, "mars")]),
)
RIGHTS = st.none() | st.frozensets(st.sampled_from([*NAMES, "vpc2"]))
TARGETS = st.tuples(
    st.sampled_from([*NAMES, "vpc2"]),
    st.sampled_from(["10.0.3.1:8000", "10.0.3.2:8000"]),
    st.just("qwen"),
    st.sampled_from(["key1", "key2"]),
)
WHOLE: st.SearchStrategy[Key] = st.one_of(
    st.sampled_from(NAMES).map(backend_key),
    st.sampled_from(["asia", "us"]).map(region_key),
    st.builds(credential_key, st.sampled_from(NAMES), st.sampled_from(["key1", "key2"])),
)
UNTIL = st.floats(0, 20) | st.just(NEVER)
BANNED: st.SearchStrategy[Health] = st.builds(
    lambda targets, whole: {**targets, **whole},
    st.dictionaries(TARGETS, st.builds(Ban, UNTIL, st.just("ill"), st.sampled_from(Admits), st.floats(-30, 10))),
    st.dictionaries(WHOLE, st.builds(Ban, UNTIL, st.just("out")), max_size=2),
)


def stands(health: Health, key: Key) -> bool:
    """Whether nothing keeps all calls away from this."""
    ban = health.get(key)
    return ban is None or ban.until <= 10.0 or ban.admits is not Admits.NONE


@st.composite
def configurations(draw: st.DrawFn) -> Snapshot:
    """Five backends, a VPC, one model served by some, a route for some regions."""
    numbers = st.integers(1, 3)
    served = draw(st.lists(SERVED, unique_by=lambda one: one.backend, max_size=6))
    return snapshot(
        backends=[
            backend(
                n,
                provider=PROVIDER_OF[n],
                hosts=draw(numbers),
                keys=draw(numbers),
                region=draw(st.sampled_from(["", "asia", "us"])),
            )
            for n in NAMES
        ],
        inside=[sovereign("vpc", hosts=2), sovereign("vpc2", weight=2)],
        models=[model("qwen", served)],
        regions=draw(st.dictionaries(st.sampled_from(["asia", "china", "default"]), GROUPS)),
    )


def listed_for(config: Snapshot, who: Caller) -> set[str]:
    """What the route lists for a caller, by the rules of the contract and not by the code's."""
    regions = config.routes["default"].regions
    china = who.location.country == "CN"
    if who.region is None or (china and who.region in {"default", "mars"}):
        return set()
    groups = regions.get(who.region, () if china else regions.get("default", ()))
    return {name for group in groups for name in group}


@given(configurations(), CALLS, PLACES, RIGHTS, BANNED, st.integers(0, 2**32))
def test_a_plan_holds_only_what_policy_allows_and_explains_everything(
    config: Snapshot, asked: Any, place: tuple[Location, str | None], rights: Any, health: Health, seed: int
) -> None:
    """Kept is a subset of allowed; every backend of model and route has one reason; a seed decides all of it."""
    who = Caller(Tenant("t", "default", backends=rights), *place)
    chosen = plan(asked, who, config, health, 10.0, random.Random(seed))
    assert chosen == plan(asked, who, config, health, 10.0, random.Random(seed))
    listed = listed_for(config, who)
    served = {one.backend: one for one in config.models["qwen"].served_by}
    names = [candidate.backend for candidate in chosen.candidates]
    assert sorted(names) == sorted(listed | set(served))
    assert all(candidate.reason for candidate in chosen.candidates)
    kept = [candidate.backend for candidate in chosen.candidates if candidate.kept]
    if isinstance(chosen, Refusal):
        assert kept == []
        assert (chosen.kind is RefusalKind.REGION_REFUSED) == (not listed)
        return
    assert list(dict.fromkeys(tried(chosen))) == kept == names[: len(kept)]
    for target in chosen.targets:
        name = target.backend.id
        assert isinstance(target.backend, Backend)
        assert name in listed
        assert rights is None or name in rights
        assert gate.allows(asked, config.models["qwen"], served[name], PROVIDERS[target.backend.provider]) is None
        assert all(stands(health, key) for key in (target.health_key, *target.around))
    assert max(Counter(tried(chosen)).values()) <= 2
    assert len({target.health_key for target in chosen.targets}) == len(chosen.targets)


@given(configurations(), CALLS, PLACES, BANNED, BANNED, st.integers(0, 2**32))
def test_health_only_removes(
    config: Snapshot, asked: Any, place: tuple[Location, str | None], some: Health, more: Health, seed: int
) -> None:
    """With more targets ill never a backend appears that was not there with fewer."""
    who = Caller(SHOP, *place)
    worse = {**some, **{key: Ban(1000.0, "ill") for key in more}}
    fit = {key: replace(ban, admits=Admits.PROBE) for key, ban in some.items()}
    few = plan(asked, who, config, worse, 10.0, random.Random(seed))
    many = plan(asked, who, config, some, 10.0, random.Random(seed))
    all_of = plan(asked, who, config, HEALTHY, 10.0, random.Random(seed))
    with_probes = plan(asked, who, config, fit, 10.0, random.Random(seed))
    for less, enough in ((few, many), (many, with_probes), (with_probes, all_of)):
        if isinstance(less, Plan):
            assert set(tried(less)) <= set(tried(enough))


@given(configurations(), CALLS, PLACES, RIGHTS, BANNED, st.integers(0, 2**32))
def test_a_sovereign_call_reaches_the_vpc_or_nothing(
    config: Snapshot, asked: Any, place: tuple[Location, str | None], rights: Any, health: Health, seed: int
) -> None:
    """Whatever the place, the route, the health: no third party, no refusal by region, a reason for each backend."""
    who = Caller(Tenant("bank", None, Residency(vpc=True), backends=rights), *place)
    chosen = plan_sovereign(asked, who, config, health, 10.0, random.Random(seed))
    assert chosen == plan_sovereign(asked, who, config, health, 10.0, random.Random(seed))
    assert sorted(c.backend for c in chosen.candidates) == sorted(s.backend for s in config.models["qwen"].served_by)
    if isinstance(chosen, Refusal):
        assert chosen.kind is not RefusalKind.REGION_REFUSED
    else:
        assert {id(target.backend) for target in chosen.targets} <= {id(one) for one in config.sovereign.values()}
        assert rights is None or set(tried(chosen)) <= rights


PLACE = st.tuples(st.sampled_from([*NAMES, "vpc2"]), st.sampled_from([f"10.0.3.{n}:8000" for n in (1, 2, 3)]))
NUMBERS = st.floats(0, 1000)
LOADS = st.builds(
    Loads,
    st.dictionaries(PLACE, st.integers(1, 1000)),
    st.dictionaries(PLACE, st.builds(Reading, NUMBERS, NUMBERS, st.floats(0, 1), st.floats(0, 20), st.integers(0, 99))),
)


@given(configurations(), CALLS, PLACES, BANNED, LOADS, st.booleans(), st.integers(0, 2**32))
def test_loads_only_order_within_a_backend(
    config: Snapshot,
    asked: Any,
    place: tuple[Location, str | None],
    health: Health,
    loads: Loads,
    inside: bool,
    seed: int,
) -> None:
    """With any loads: the same backends in the same order, each with targets of its own that are as fit as ever."""
    make: Any = plan_sovereign if inside else plan
    who = Caller(BANK if inside else SHOP, *place)
    idle = make(asked, who, config, health, 10.0, random.Random(seed))
    busy = make(asked, who, config, health, 10.0, random.Random(seed), loads)
    assert type(busy) is type(idle)
    if isinstance(idle, Refusal):
        assert busy == idle
        return
    assert list(dict.fromkeys(tried(busy))) == list(dict.fromkeys(tried(idle)))
    assert Counter(tried(busy)) == Counter(tried(idle))
    for target in busy.targets:
        backend_of = (config.sovereign if inside else config.backends)[target.backend.id]
        assert target.backend is backend_of
        assert target.endpoint in backend_of.endpoints
        assert target.credential in backend_of.credentials
        assert all(stands(health, key) for key in (target.health_key, *target.around))
    assert len({target.health_key for target in busy.targets}) == len(busy.targets)


def test_a_route_may_prefer_the_cheapest_and_health_still_removes() -> None:
    """Dear, cheap, cheaper: the last is first, and when it is out the next; nobody who was not allowed comes in."""
    made = snapshot(
        backends=[backend(name) for name in ("a", "b", "c", "d")],
        models=[
            model(
                "qwen", [Served(name, "q", price=price(usd, usd)) for name, usd in zip("abc", (3, 2, 1), strict=True)]
            )
        ],
        regions={"asia": [["a", "b"], ["c"], ["d"]]},
        prefer=(Prefer.PRICE,),
    )
    chosen = plan(call(), caller(), made, {}, 0.0, random.Random(1))
    assert isinstance(chosen, Plan)
    assert [target.backend.id for target in chosen.targets] == ["c", "b", "a"]
    assert [(c.backend, c.kept) for c in chosen.candidates] == [("c", True), ("b", True), ("a", True), ("d", False)]
    out = {backend_key("c"): Ban(math.inf, "drained")}
    left = plan(call(), caller(), made, out, 0.0, random.Random(1))
    assert isinstance(left, Plan)
    assert [target.backend.id for target in left.targets] == ["b", "a"]


def test_a_route_may_prefer_who_answers_soonest() -> None:
    """By the times this process has measured."""
    made = snapshot(
        backends=[backend("a"), backend("b")],
        models=[model("qwen", {"a": "q", "b": "q"})],
        regions={"asia": [["a"], ["b"]]},
        prefer=(Prefer.LATENCY,),
    )
    loads = Loads({}, {}, {("a", "q"): Pace(2.0, 5, 0.0), ("b", "q"): Pace(0.5, 5, 0.0)})
    chosen = plan(call(), caller(), made, {}, 0.0, random.Random(1), loads)
    assert isinstance(chosen, Plan)
    assert [target.backend.id for target in chosen.targets] == ["b", "a"]
