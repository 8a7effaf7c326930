"""V9: all that asks twice, goes on elsewhere or tells of calls is on for every route; sovereign calls know none of it.

Each of these is shown at work on an ordinary tenant's call first: what never happens proves nothing. The VPC has two
clusters, so that there would be somewhere to go even without leaving it.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.inside import change, finished, usually
from tests.support.stack import BANK, SHOP, SINGAPORE, Stack, chat, running

THIRD = ("dashscope", "together", "openrouter")
INSIDE = ("vllm", "openai")
"""The simulators that play the two clusters in the VPC."""

SECOND = 'vpc-2: {provider: openai, trust: vpc, api_key: "${VLLM}", base_url: "%s", allow_cidrs: [127.0.0.0/8]}'
PROMPT, ANSWER = "CANARY-of-the-prompt", "CANARY-of-the-answer " * 6
WARM = 60
"""Calls after which two percent of them are one."""
USUAL = 3.0
"""Seconds that ordinary calls usually take: longer than a busy machine lets one wait."""

Caller = dict[str, Any]
SOVEREIGN: list[Caller] = [
    {"key": BANK, "headers": {}},
    {"key": SHOP, "headers": {"x-hybridproxy-residency": "vpc"}},
]
"""A tenant whose calls all are, and one that demands it for this call."""


@pytest.fixture
async def everything(tmp_path: Path) -> AsyncIterator[Stack]:
    """Hedging, patience, resuming and replaying on all routes, two clusters in the VPC that are on all routes too."""
    on = {"hedge": '"2%"', "patience": "1s", "on_cut": "[resume, replay, error]"}
    async with running(tmp_path, providers=(*THIRD, *INSIDE), **on) as stack:
        second = stack.sim("openai").base_url
        options = "".join(f", {name}: {value}" for name, value in on.items())
        await change(
            stack,
            ("\nmodels:", f"\n  {SECOND % second}\nmodels:"),
            ("vpc: qwen-vpc}", "vpc: qwen-vpc, vpc-2: qwen-2}"),
            ("asia: [dashscope-sg, openrouter-us]", "asia: [dashscope-sg, openrouter-us, vpc, vpc-2]"),
            ("\ntenants:", f"\n  other: {{regions: {{default: [vpc, vpc-2, openrouter-us]}}{options}}}\ntenants:"),
        )
        for name in (*THIRD, *INSIDE):
            stack.sim(name).behave({"text": ANSWER})
        yield stack


async def stream(stack: Stack, caller: Caller, text: str = PROMPT) -> bytes:
    """Make a streamed call from Singapore; return what came of it, also where it broke off."""
    came = b""
    async with stack.post(json=chat(text, stream=True), address=SINGAPORE, **caller) as response:
        try:
            async for part in response.content.iter_any():
                came += part
        except aiohttp.ClientPayloadError:
            came += b"(broken off)"
    return came


async def figures(stack: Stack) -> str:
    """Return all metrics."""
    headers = {"authorization": "Bearer admin-token-of-tests"}
    async with stack.http.get(f"{stack.admin_url}/metrics", headers=headers) as response:
        return await response.text()


def counted(text: str, name: str) -> float:
    """Return the sum of a metric over all its labels."""
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def asked(stack: Stack, *names: str) -> int:
    """Return how many calls these simulators got."""
    return sum(entry["method"] == "POST" for name in names for entry in stack.received(name))


ORDINARY: Caller = {"key": SHOP, "headers": {}}


@pytest.mark.parametrize("caller", SOVEREIGN, ids=["bank", "demand"])
async def test_a_slow_vpc_is_waited_for_and_nobody_else_is_asked(everything: Stack, caller: Caller) -> None:
    """An ordinary call that is as slow is hedged; a sovereign one is one request, and teaches hedging nothing."""
    for _ in range(WARM):
        await stream(everything, ORDINARY)
        usually(everything, USUAL)
    everything.sim("dashscope").behave({"text": ANSWER, "latency_ms": 60_000})
    await stream(everything, ORDINARY)
    assert (await finished(everything))[-1]["hedged"]
    assert counted(await figures(everything), "hybridproxy_hedged_calls_total") == 1
    known = set(everything.worker.gateway._parts.first_tokens)
    before, outside = asked(everything, *INSIDE), asked(everything, *THIRD)
    for name in INSIDE:
        everything.sim(name).behave({"text": ANSWER, "latency_ms": 1200 * USUAL})
    for came in await asyncio.gather(*(stream(everything, caller) for _ in range(3))):
        assert came.endswith(b"data: [DONE]\n\n")
    assert asked(everything, *INSIDE) - before == 3
    assert asked(everything, *THIRD) == outside
    assert counted(await figures(everything), "hybridproxy_hedged_calls_total") == 1
    assert not any(line.get("hedged") for line in (await finished(everything))[-3:])
    assert set(everything.worker.gateway._parts.first_tokens) == known


@pytest.mark.parametrize("caller", SOVEREIGN, ids=["bank", "demand"])
@pytest.mark.parametrize("fault", [{"kind": "cut", "after_pieces": 4}, {"kind": "in_band_error", "after_pieces": 4}])
async def test_a_broken_stream_goes_on_nowhere(everything: Stack, caller: Caller, fault: dict[str, Any]) -> None:
    """An ordinary one is resumed; a sovereign one ends with an error, although the other cluster could go on."""
    everything.sim("dashscope").behave({"text": ANSWER, "fault": fault})
    assert (await stream(everything, ORDINARY)).endswith(b"data: [DONE]\n\n")
    assert (await finished(everything))[-1]["seams"]
    assert counted(await figures(everything), "hybridproxy_recovered_streams_total") == 1
    outside = asked(everything, *THIRD)
    for name in INSIDE:
        everything.sim(name).behave({"text": ANSWER, "fault": fault})
    before = asked(everything, *INSIDE)
    came = await stream(everything, caller)
    assert b"error" in came
    assert b"[DONE]" not in came
    assert asked(everything, *INSIDE) - before == 1
    assert asked(everything, *THIRD) == outside
    assert counted(await figures(everything), "hybridproxy_recovered_streams_total") == 1
    assert not (await finished(everything))[-1].get("seams")


@pytest.mark.parametrize("caller", SOVEREIGN, ids=["bank", "demand"])
async def test_a_vpc_that_fails_is_tried_again_inside_only(everything: Stack, caller: Caller) -> None:
    """Retries exist for sovereign calls too, from one cluster to the other; after both comes a 503."""
    everything.sim("dashscope").behave({"text": ANSWER, "fault": {"kind": "status", "status": 500}})
    assert (await stream(everything, ORDINARY)).endswith(b"data: [DONE]\n\n")
    assert (await finished(everything))[-1]["attempts"] > 1
    outside = asked(everything, *THIRD)
    for name in INSIDE:
        everything.sim(name).behave({"fault": {"kind": "status", "status": 500}})
    async with everything.post(json=chat(PROMPT, stream=True), address=SINGAPORE, **caller) as response:
        assert response.status == 503
        assert response.headers["x-hybridproxy-backend"] in {"vpc", "vpc-2"}
    assert asked(everything, *INSIDE) > 1
    assert asked(everything, *THIRD) == outside


async def test_nothing_that_tells_of_calls_holds_a_sovereign_one(everything: Stack) -> None:
    """Logs and metrics of a call that is answered, one that breaks and one that fails: no prompt, no answer, no key."""
    for fault in (None, {"kind": "cut", "after_pieces": 4}, {"kind": "status", "status": 500}):
        for name in INSIDE:
            everything.sim(name).behave({"text": ANSWER, "fault": fault})
        for caller in SOVEREIGN:
            await stream(everything, caller)
            async with everything.post(json=chat(PROMPT), **caller) as response:
                await response.read()
    told = everything.log.read_text() + str(await everything.lines()) + await figures(everything)
    assert "call.finished" in told
    for secret in ("CANARY", BANK, "vllm-key"):
        assert secret not in told
    assert 'tenant="bank"' not in told
    assert asked(everything, *INSIDE) > 0 == asked(everything, *THIRD)
