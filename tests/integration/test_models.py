"""Logical names and preferences over real sockets: who answers, why, and that times are measured where they count."""

import asyncio
import hashlib
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from hybridproxy.config.load import load
from hybridproxy.model.caller import Caller
from hybridproxy.model.plan import Plan
from hybridproxy.model.usage import Usage
from hybridproxy.residency.proof import prove
from hybridproxy.routing.plan import plan
from hybridproxy.simulator.server import RunningSimulators
from tests.support.make import NOWHERE, call
from tests.support.patience import LONG
from tests.support.stack import BANK, ENVIRON, SHOP, SMALL, TORONTO, Stack, chat, started

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "models.md"
AGENT = "hp_" + "a" * 43
CONFIG = """
listen: {{host: 127.0.0.1, port: 0, trusted_proxies: [127.0.0.0/8], shed_lag: 60s}}
admin: {{host: 127.0.0.1, port: 0, token: "${{ADMIN_TOKEN}}"}}
backends:
  sg: {{provider: dashscope, site: singapore, api_key: "${{DASHSCOPE}}", base_url: "{dashscope}"}}
  tg: {{provider: together, api_key: "${{TOGETHER}}", base_url: "{together}"}}
  vpc: {{provider: vllm, trust: vpc, api_key: "${{VLLM}}", endpoints: ["{vllm}"], allow_cidrs: [127.0.0.0/8]}}
models:
  max-latest: {{family: qwen3, latest: qwen-max, served_by: {{vpc: {{name: mine, released: 2026-01-01}}}}}}
  assistant: {{family: qwen3, served_by: {{sg: qwen3.8-max, tg: Qwen/Qwen3.7-Plus}}}}
routes:
  cheap: {{regions: {{default: [sg, tg]}}, prefer: [price]}}
  newest: {{regions: {{default: [tg, sg]}}, prefer: [fresh]}}
  quick: {{regions: {{default: [sg, tg]}}, prefer: [latency]}}
tenants:
  chatbot: {{keys: ["sha256:{shop}"], route: cheap}}
  agent: {{keys: ["sha256:{agent}"], route: newest}}
  narrow: {{keys: ["sha256:{small}"], route: quick, backends: [tg]}}
  impatient: {{keys: ["sha256:{quick}"], route: quick}}
  bank: {{keys: ["sha256:{bank}"], residency: vpc}}
"""
IMPATIENT = "hp_" + "i" * 43


@pytest.fixture
async def stack(tmp_path: Path, simulators: RunningSimulators) -> AsyncIterator[Stack]:
    """The proxy with that configuration."""
    urls = {s.name: s.base_url for s in simulators.all} | {"vllm": simulators["vllm"].url}
    keys = {"shop": SHOP, "bank": BANK, "small": SMALL, "agent": AGENT, "quick": IMPATIENT}
    file = tmp_path / "hybridproxy.yaml"
    file.write_text(CONFIG.format(**urls, **{name: hashlib.sha256(k.encode()).hexdigest() for name, k in keys.items()}))
    async with started(file, simulators, ENVIRON) as running:
        yield running


async def asked(stack: Stack, model: str, key: str, *, stream: bool = False) -> tuple[str, str, list[str]]:
    """Who answered, as which model, and the reasons of those that were kept, in their order."""
    headers = {"x-hybridproxy-explain": "1"}
    body = chat(model=model, stream=stream)
    async with stack.post(key=key, address=TORONTO, headers=headers, json=body) as response:
        text = await response.read()
        assert response.status == 200, text
        decision: dict[str, Any] = orjson.loads(response.headers["x-hybridproxy-decision"])
        backend = response.headers["x-hybridproxy-backend"]
    raw = text.partition(b"\n\n")[0].removeprefix(b"data: ") if stream else text
    kept = [f"{c['backend']}: {c['reason']}" for c in decision["candidates"] if c["kept"]]
    return backend, orjson.loads(raw)["model"], kept


async def test_one_name_leads_each_caller_to_the_freshest_it_may_use(stack: Stack) -> None:
    """The maker's newest, the host's where only that is allowed, the VPC's own for a sovereign tenant."""
    backend, model, kept = await asked(stack, "max-latest", AGENT)
    assert (backend, model) == ("sg", "qwen3.8-max")
    assert kept == [
        "sg: region default by fresh; qwen3.8-max of 2026-08-03 is its freshest qwen-max",
        "tg: region default by fresh; Qwen/Qwen3.7-Max of 2026-05-21 is its freshest qwen-max",
    ]
    assert (await asked(stack, "max-latest", SMALL))[:2] == ("tg", "Qwen/Qwen3.7-Max")
    assert (await asked(stack, "max-latest", BANK))[:2] == ("vpc", "mine")


async def test_a_chatbot_takes_the_cheap_older_model_and_an_agent_the_newest(stack: Stack) -> None:
    """The same model's name and the same backends, by two routes."""
    assert (await asked(stack, "assistant", SHOP))[:2] == ("tg", "Qwen/Qwen3.7-Plus")
    assert (await asked(stack, "assistant", AGENT))[:2] == ("sg", "qwen3.8-max")


async def test_who_answers_soonest_is_measured_where_a_route_goes_by_it(stack: Stack) -> None:
    """Streams of that route alone; after some of them the quicker one comes first."""
    stack.sim("dashscope").behave({"first_token_ms": 200})
    await asked(stack, "assistant", AGENT, stream=True)
    loads = stack.worker.loads
    assert loads.view.paces == {}
    for _ in range(3):
        loads.spoke(("tg", "Qwen/Qwen3.7-Plus"), 0.01, stack.worker.loop.time())
        loads.spoke(("sg", "qwen3.8-max"), 0.01, stack.worker.loop.time())
    assert (await asked(stack, "assistant", IMPATIENT, stream=True))[0] == "sg"
    # a moment in which the machine stood may have made the other one look slow for some calls
    async with asyncio.timeout(LONG):
        while await explained(stack) != ["tg", "sg"]:
            await asked(stack, "assistant", IMPATIENT, stream=True)
    assert loads.view.paces["sg", "qwen3.8-max"].seconds > 0.05


async def explained(stack: Stack) -> list[str]:
    """Return the backends that the impatient would be answered by, in their order."""
    described = {"tenant": "impatient", "model": "assistant"}
    headers = {"authorization": "Bearer admin-token-of-tests"}
    async with stack.http.post(f"{stack.admin_url}/admin/v1/explain", json=described, headers=headers) as response:
        return [attempt["backend"] for attempt in (await response.json())["attempts"]]


async def test_logical_names_are_proved(stack: Stack) -> None:
    """Every way of theirs, as of all models."""
    proof = prove(load(stack.worker.path, ENVIRON).snapshot, random.Random(0))
    assert proof.violations == ()
    assert {way.backend for way in proof.ways if way.demand == "vpc"} == {"vpc"}


def test_the_example_in_the_documentation_does_what_it_says(tmp_path: Path) -> None:
    """The chatbot's calls go to Together, the agent's to Singapore, and the figures are the catalogue's."""
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    file = tmp_path / "hybridproxy.yaml"
    file.write_text(next(block for block in blocks if block.startswith("backends:")))
    snapshot = load(file, {"DASHSCOPE_API_KEY": "k", "TOGETHER_API_KEY": "k"}).snapshot
    assert {one.backend: one.price.of(Usage(1000, 1000)) for one in snapshot.models["assistant"].served_by} == {
        "together-us": 1_600_000,
        "dashscope-sg": 8_000_000,
    }
    for tenant, first in (("chatbot", "together-us"), ("agent", "dashscope-sg")):
        who = Caller(snapshot.tenants[tenant], NOWHERE, "default")
        chosen = plan(call("assistant"), who, snapshot, {}, 0.0, random.Random(1))
        assert isinstance(chosen, Plan)
        assert chosen.targets[0].backend.id == first
