"""The decision for a call that is only described."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from hybridproxy.building import make_running
from hybridproxy.config.load import load
from hybridproxy.gateway.explain import ExplainError, explain
from hybridproxy.gateway.running import Running
from hybridproxy.model.health import HEALTHY, Ban, Health
from hybridproxy.model.plane import Plane

CONFIG = """
listen: {trusted_proxies: [10.0.0.0/8]}
regions: {asia: {continents: [AS]}, default: {}}
backends:
  sg: {provider: openai, base_url: "https://sg.example/v1", api_key: "${K}"}
  us: {provider: openai, base_url: "https://us.example/v1", api_key: "${K}"}
  vpc: {provider: vllm, trust: vpc, api_key: "${K}", endpoints: ["https://10.0.3.11:8000"], allow_cidrs: [10.0.3.0/24]}
models: {qwen: {family: qwen3, served_by: {sg: {name: q, context: 100}, us: q, vpc: q}}}
routes: {default: {regions: {asia: [sg, us], default: [us]}}}
tenants:
  shop: {keys: ["sha256:KEY1"], route: default, models: ["*"]}
  bank: {keys: ["sha256:KEY2"], residency: vpc}
"""


@pytest.fixture
def running(tmp_path: Path) -> Running:
    """A configuration in force."""
    file = tmp_path / "hybridproxy.yaml"
    file.write_text(CONFIG.replace("KEY1", "11" * 32).replace("KEY2", "22" * 32))
    return make_running(load(file, {"K": "secret-of-tests"}))


def described(**more: Any) -> dict[str, Any]:
    """Describe a call from Singapore."""
    return {"tenant": "shop", "model": "qwen", "address": "165.21.83.88", **more}


def backends(answer: dict[str, Any]) -> list[str]:
    """Return the attempts' backends."""
    return [attempt["backend"] for attempt in answer["attempts"]]


def test_the_attempts_are_those_of_a_real_call(running: Running) -> None:
    """Order, endpoint and the backend's own name of the model; no secret anywhere."""
    answer = explain(running, described(), health=HEALTHY, now=0.0)
    assert backends(answer) == ["sg", "us"]
    assert answer["attempts"][0]["model"] == "q"
    assert "secret-of-tests" not in str(answer)


def test_a_size_decides_about_the_window(running: Running) -> None:
    """A described size is judged like a body of that size."""
    assert backends(explain(running, described(size=5000), health=HEALTHY, now=0.0)) == ["us"]


def test_a_banned_backend_is_dropped_with_its_reason(running: Running) -> None:
    """The health of the moment counts, as it would for a call."""
    backend = running.snapshot.backends["sg"]
    health: Health = {("sg", backend.endpoints[0].authority, "q", backend.credentials[0].id): Ban(100.0, "it was down")}
    answer = explain(running, described(), health=health, now=50.0)
    assert backends(answer) == ["us"]
    (sg,) = [candidate for candidate in answer["candidates"] if candidate["backend"] == "sg"]
    assert not sg["kept"]
    assert "it was down" in sg["reason"]
    assert backends(explain(running, described(), health=health, now=150.0)) == ["sg", "us"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"tenant": "nobody"},
        {"tenant": None},
        {"tenant": ["shop"]},
        {"model": 5},
        {"address": 5},
        {"operation": "magic"},
        {"operation": 5},
        {"needs": ["magic"]},
        {"needs": 5},
        {"needs": [[]]},
        {"needs": [{}]},
        {"size": "big"},
        {"size": [1]},
        {"size": float("nan")},
    ],
    ids=str,
)
def test_whatever_describes_no_call_is_one_error(wrong: dict[str, Any], running: Running) -> None:
    """The admin port hands any JSON over: each mistake is an ExplainError with words, never another exception."""
    with pytest.raises(ExplainError) as raised:
        explain(running, described(**wrong), health=HEALTHY, now=0.0)
    assert str(raised.value)


def test_a_missing_tenant_or_model_is_told(running: Running) -> None:
    """What has no default has to be given."""
    for name in ("tenant", "model"):
        question = described()
        del question[name]
        with pytest.raises(ExplainError, match=f"'{name}' must be a text"):
            explain(running, question, health=HEALTHY, now=0.0)


def test_a_sovereign_tenant_is_planned_apart(running: Running) -> None:
    """The bank's candidates are its VPC only."""
    answer = explain(running, described(tenant="bank"), health=HEALTHY, now=0.0)
    assert backends(answer) == ["vpc"]
    assert [c["backend"] for c in answer["candidates"] if c["kept"]] == ["vpc"]


def test_a_refusal_has_its_kind_and_words(running: Running) -> None:
    """An unknown model is refused like the call would be."""
    answer = explain(running, described(model="nope"), health=HEALTHY, now=0.0)
    assert answer["refused"] == "unknown_model"
    assert "nope" in answer["message"]
    assert "attempts" not in answer


def test_the_other_planes_call_is_explained_by_the_other_plane(running: Running) -> None:
    """A process that has nothing of a call's backends does not guess."""
    for plane, tenant in ((Plane.GENERAL, "bank"), (Plane.SOVEREIGN, "shop")):
        split = dataclasses.replace(running, snapshot=dataclasses.replace(running.snapshot, plane=plane))
        with pytest.raises(ExplainError, match=plane.value):
            explain(split, described(tenant=tenant), health=HEALTHY, now=0.0)
