"""Demands of tenants and of single calls, over real sockets: what they drop, and what the caller is told."""

import json

import orjson
import pytest
from multidict import CIMultiDict

from tests.support.stack import BANK, SHOP, Stack, chat

HEADER = "x-hybridproxy-residency"


async def ask(stack: Stack, *demands: str, key: str = SHOP) -> tuple[int, dict[str, str], bytes]:
    """Make a call with these demands; return its status, its headers and its body."""
    headers = {HEADER: demands[0]} if demands else {}
    headers["x-hybridproxy-explain"] = "1"
    async with stack.post(json=chat(), headers=headers, key=key) as response:
        return response.status, dict(response.headers), await response.read()


async def test_a_call_that_demands_the_vpc_goes_nowhere_else(stack: Stack) -> None:
    """An ordinary tenant's call, from anywhere; and where the VPC is out it is a 503, not somebody else's."""
    status, headers, _ = await ask(stack, "vpc")
    assert (status, headers["x-hybridproxy-backend"]) == (200, "vpc")
    stack.sim("vllm").behave({"fault": {"kind": "status", "status": 500}})
    status, headers, body = await ask(stack, "vpc")
    assert status == 503
    assert "Retry-After" in headers
    assert b"vpc" in body
    assert not any(stack.received(name) for name in ("together", "openrouter", "dashscope"))


async def test_a_demand_that_nobody_meets_is_refused_with_the_facts(stack: Stack) -> None:
    """400: waiting does not help. Nobody was asked."""
    status, headers, body = await ask(stack, "{compute: [SG]}")
    error = orjson.loads(body)["error"]
    assert (status, error["code"], headers["x-hybridproxy-attempts"]) == (400, "no_backend_allowed", "0")
    assert "the call may be computed in SG only" in error["message"]
    reasons = {c["backend"]: c["reason"] for c in json.loads(headers["x-hybridproxy-decision"])["candidates"]}
    assert reasons["together-us"].startswith("does not say where it computes")
    assert not any(stack.received(name) for name in ("together", "openrouter", "dashscope", "vllm"))


@pytest.mark.parametrize("demand", ["", "none", "{compute: [US}", "{compute: [Atlantis]}", "\u00e9"])
async def test_a_demand_that_cannot_be_read_is_no_permission(stack: Stack, demand: str) -> None:
    """The caller meant something: its call is refused, with what was expected."""
    status, _, body = await ask(stack, demand)
    error = orjson.loads(body)["error"]
    assert (status, error["code"], error["param"]) == (400, "invalid_residency", HEADER)
    assert "expected" in error["message"]
    assert not any(stack.received(name) for name in ("together", "openrouter", "dashscope", "vllm"))


async def test_nobody_is_let_out_of_the_vpc_by_a_header(stack: Stack) -> None:
    """What a sovereign tenant's call demands is added to its tenant's demand."""
    status, headers, _ = await ask(stack, key=BANK)
    assert (status, headers["x-hybridproxy-backend"]) == (200, "vpc")
    status, _, _ = await ask(stack, "{compute: [US]}", key=BANK)
    assert status == 400  # the VPC does not say where it stands
    assert not any(stack.received(name) for name in ("together", "openrouter", "dashscope"))


async def test_of_two_headers_both_hold(stack: Stack) -> None:
    """However often it is sent, none of them takes anything back."""
    headers = CIMultiDict([(HEADER, "vpc"), (HEADER, "{compute: [US]}"), ("authorization", f"Bearer {SHOP}")])
    async with stack.http.post(f"{stack.url}/v1/chat/completions", json=chat(), headers=headers) as response:
        assert response.status == 400
        assert not any(stack.received(name) for name in ("together", "openrouter", "dashscope", "vllm"))


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_of_another_provider_than_the_pinned_one_does_not_reach_the_caller(
    stack: Stack, stream: bool
) -> None:
    """Its pins are a promise to the tenant: a broken one is a fault, told by name, and the next backend answers."""
    stack.sim("together").behave({"fault": {"kind": "status", "status": 503}})
    stack.sim("openrouter").behave({"host": "Fireworks", "text": "who said this?"})
    async with stack.post(json=chat(stream=stream)) as response:
        assert (response.status, response.headers["x-hybridproxy-backend"]) == (200, "dashscope-sg")
        assert b"who said this" not in await response.read()
    (line,) = [line for line in await stack.lines() if line["event"] == "call.finished"]
    assert line["faults"][1] == "openrouter-us: another provider than the pinned ones answered"
    stack.sim("openrouter").behave({"text": "the pinned one"})
    async with stack.post(json=chat(stream=stream)) as response:
        assert response.headers["x-hybridproxy-backend"] == "openrouter-us"
