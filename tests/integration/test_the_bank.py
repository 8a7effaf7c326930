"""A tenant bound to its own VPC: whatever is asked, broken or reloaded, no way leads out of it."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.inside import change
from tests.support.raw_calls import head, statuses
from tests.support.stack import BANK, BEIJING, SHOP, SINGAPORE, TORONTO, Stack, chat, running

THIRD = ("dashscope", "together", "openrouter")


def untouched(stack: Stack) -> bool:
    """Whether not even a connection to a third party was made."""
    return all(stack.sim(name).upstream.accepted == 0 for name in THIRD)


async def test_no_request_of_the_bank_leads_out_of_the_vpc(stack: Stack) -> None:
    """V2 short: headers, fields, model names, wildcards and places: the VPC or a refusal, and no packet elsewhere."""
    urls = {name: stack.sim(name).base_url for name in THIRD}
    fields: list[dict[str, Any]] = [
        {}, {"stream": True}, {"provider": {"only": ["together"]}}, {"models": ["only-us"]}, {"route": "fallback"},
        {"api_base": urls["together"]}, {"base_url": urls["together"]}, {"fallbacks": ["together-us"]}, {"n": 4},
        {"extra_body": {"api_base": urls["together"]}}, {"extra_headers": {"host": "x"}}, {"plugins": [{"id": "web"}]},
        {"webhook": urls["together"]}, {"tenant": "shop"}, {"residency": None}, {"backend": "together-us"},
        {"region": "asia"},
        {"tools": [{"type": "function", "function": {"name": "f"}}]}, {"user": "shop"}, {"metadata": {"api_key": SHOP}},
    ]  # fmt: skip
    headers: list[dict[str, str]] = [
        {}, {"x-hybridproxy-backend": "together-us"}, {"x-hybridproxy-region": "asia"},
        {"x-hybridproxy-tenant": "shop"},
        {"host": f"127.0.0.1:{stack.sim('together').port}"}, {"x-forwarded-host": "together"}, {"x-tenant": "shop"},
        {"x-original-url": urls["together"]}, {"api-key": SHOP}, {"cookie": f"key={SHOP}"},
        {"proxy-authorization": f"Bearer {SHOP}"},
    ]  # fmt: skip
    seen: set[str] = set()
    for more in fields:
        async with stack.post(key=BANK, json=chat(**more)) as response:
            seen.add(response.headers["x-hybridproxy-backend"])
            assert response.status in {200, 400}
            await response.read()
    for extra in headers:
        async with stack.post(key=BANK, json=chat(), headers=extra) as response:
            seen.add(response.headers["x-hybridproxy-backend"])
            assert response.status == 200
    for address in (TORONTO, SINGAPORE, BEIJING, "10.0.0.1", "junk", ""):
        async with stack.post(key=BANK, address=address, json=chat()) as response:
            seen.add(response.headers["x-hybridproxy-backend"])
    for model in (
        "only-us",
        "free/x",
        "free/*",
        "*",
        "Qwen/Qwen-tput",
        "qwen/qwen-or",
        "small-window",
        "together-us/qwen",
        "qwen-sg",
        "vpc",
    ):
        async with stack.post(key=BANK, json=chat(model=model), headers={"x-hybridproxy-explain": "1"}) as response:
            assert response.status in {400, 404}, model
    async with stack.post(key=BANK, json=chat(), headers={"x-api-key": SHOP}) as response:
        assert response.status == 401
    async with stack.post("/v1/embeddings", key=BANK, json={"model": "qwen", "input": "x"}) as response:
        seen.add(response.headers["x-hybridproxy-backend"])
    assert seen == {"vpc"}
    assert untouched(stack)
    sent = [entry["body"] for entry in stack.received("vllm")]
    assert not any(
        {"api_base", "base_url", "models", "provider", "fallbacks", "extra_body", "webhook"} & set(body)
        for body in sent
    )


@pytest.mark.parametrize("stream", [True, False])
async def test_a_sick_vpc_is_a_503_and_nothing_else(tmp_path: Path, stream: bool) -> None:
    """V3: dead, slow, throttled, redirecting or refusing our key: the bank hears 503, and nobody else hears a thing."""
    # a rate of its own: a 429 teaches none that the next calls wait for
    async with running(tmp_path, vpc_limits="{rpm: 100000}") as stack:
        short = "timeouts: {first_token: 200ms, answer: 200ms, between_bytes: 200ms}, allow_cidrs:"
        await change(stack, ("allow_cidrs:", short))  # a sovereign tenant has no route that could say so
        away = stack.sim("together").base_url + "/chat/completions"
        stack.forgive()
        for fault in (
            {"kind": "stall", "before_head": True},
            {"kind": "status", "status": 429, "headers": {"retry-after": "1"}},
            *({"kind": "redirect", "location": away, "status": s} for s in (301, 302, 303, 307, 308)),
            {"kind": "status", "status": 401},
            {"kind": "refuse", "when": "request", "how": "reset"},
            {
                "kind": "status",
                "status": 200,
                "headers": {"alt-svc": 'h2=":1"', "refresh": "0;" + away},
                "body": {"error": away},
            },
            {"kind": "cut", "before_head": True},
            {"kind": "gzip"},
        ):
            stack.sim("vllm").behave({"fault": fault})
            async with stack.post(key=BANK, json=chat(stream=stream)) as response:
                text = await response.text()
                assert response.status == 503, (fault, response.status, text)
                assert away not in text
                assert response.headers["x-hybridproxy-backend"] == "vpc"
        sim = stack.sim("vllm")
        sim.server.close()
        for one in list(sim.upstream.connections):
            one.transport.abort()
        async with stack.post(key=BANK, json=chat(stream=stream)) as response:
            assert response.status == 503
        assert untouched(stack)


async def test_a_reload_in_the_middle_opens_no_way_out(stack: Stack) -> None:
    """A call of the bank keeps the policy it arrived under, even if the next configuration has no such policy."""
    stack.sim("vllm").behave({"latency_ms": 100})
    body = orjson.dumps(chat())
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.worker.port)
    writer.write(head(f"content-length: {len(body)}", "connection: close", key=BANK) + body[:5])
    await stack.until(lambda: stack.worker.gateway.in_flight == 1)
    await change(stack, ("residency: vpc}", "route: default}"))
    writer.write(body[5:])
    came = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    assert statuses(came) == [200]
    assert b"x-hybridproxy-backend: vpc" in came
    assert untouched(stack)
