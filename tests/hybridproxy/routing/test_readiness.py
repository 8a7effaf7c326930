"""Whether a region can serve anything, as a load balancer asks."""

import dataclasses

import pytest

from hybridproxy.model.backend import Trust
from hybridproxy.model.health import HEALTHY, Admits, Ban, Health, backend_key, credential_key
from hybridproxy.model.plane import Plane
from hybridproxy.routing.readiness import region_is_usable
from tests.support.make import backend, model, snapshot, sovereign

CONFIG = snapshot(
    backends=[backend("near"), backend("far")],
    models=[model("small", {"near": "small-near", "far": "small-far"}), model("large", {"near": "large-near"})],
    regions={"asia": [["near"]], "europe": [["near"], ["far"]], "china": []},
)


def keys(name: str) -> list[tuple[str, str, str, str]]:
    """Return every target of a backend."""
    one = CONFIG.backends[name]
    served = [s.name for m in CONFIG.models.values() for s in m.served_by if s.backend == name]
    return [(name, e.authority, own, c.id) for own in served for e in one.endpoints for c in one.credentials]


def test_on_a_good_day_every_region_with_a_backend_is_usable() -> None:
    """An empty entry and an unknown region are not."""
    usable = [name for name in (*CONFIG.regions, "nowhere") if region_is_usable(CONFIG, name, HEALTHY, 0.0)]
    assert usable == ["asia", "europe"]


@pytest.mark.parametrize("spared", [0, 1])
def test_one_bad_model_does_not_take_a_region_out(spared: int) -> None:
    """Only when everything a backend could serve is banned has the region nothing left there."""
    health: Health = {key: Ban(10.0, "down") for key in keys("near")[spared:]}
    assert region_is_usable(CONFIG, "asia", health, 5.0) is bool(spared)
    assert region_is_usable(CONFIG, "europe", health, 5.0)
    assert region_is_usable(CONFIG, "asia", health, 10.0)


def test_a_drained_backend_and_one_whose_keys_are_refused_serve_no_region() -> None:
    """What is out as a whole is out for readiness as well."""
    assert not region_is_usable(CONFIG, "asia", {backend_key("near"): Ban(10.0, "drained")}, 5.0)
    refused: Health = {credential_key("near", key[3]): Ban(10.0, "quarantined") for key in keys("near")}
    assert not region_is_usable(CONFIG, "asia", refused, 5.0)


@pytest.mark.parametrize("admits", [Admits.PROBE, Admits.RAMP])
def test_a_backend_on_its_way_back_wants_calls(admits: Admits) -> None:
    """A balancer that sent none would keep its probe from happening."""
    coming: Health = {key: Ban(10.0, "half-open", admits) for key in keys("near")}
    assert region_is_usable(CONFIG, "asia", coming, 5.0)


def test_a_sovereign_process_is_usable_from_everywhere_or_from_nowhere() -> None:
    """Its calls have no region: one VPC backend that is fit is enough, whatever the routes say."""
    inside = sovereign("vpc")
    twin = dataclasses.replace(backend("vpc", provider="vllm"), trust=Trust.VPC, endpoints=inside.endpoints)
    made = snapshot(backends=[twin], inside=[inside], models=[model("qwen", {"vpc": "x"})], regions={"asia": []})
    made = dataclasses.replace(made, plane=Plane.SOVEREIGN)
    assert region_is_usable(made, "asia", HEALTHY, 0.0)
    assert not region_is_usable(made, "asia", {backend_key("vpc"): Ban(10.0, "drained")}, 5.0)
    assert not region_is_usable(dataclasses.replace(made, plane=Plane.ALL), "asia", HEALTHY, 0.0)
