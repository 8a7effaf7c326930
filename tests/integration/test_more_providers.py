"""Providers that want a key, a field or a status of their own, through a running proxy to an imitated upstream."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from hybridproxy.simulator.server import SimulatorSpec, serve
from tests.support.stack import SHOP, Stack, chat, digest, started

CONFIG = """
listen: {{host: 127.0.0.1, port: 0, drain_delay: 0s, shed_lag: 60s}}
backends: {{{backends}}}
models:
  qwen: {{family: other, served_by: {{{served}}}}}
routes: {{default: {{regions: {{default: [{order}]}}, on_cut: [{on_cut}]}}}}
tenants: {{shop: {{keys: ["sha256:{shop}"]}}}}
"""


@contextlib.asynccontextmanager
async def proxied(
    folder: Path, providers: dict[str, str], on_cut: str = "error", name: str = "own-name"
) -> AsyncIterator[Stack]:
    """Start a proxy before these providers, in this order: provider -> what its backend has beside a key."""
    simulators = await serve([SimulatorSpec(provider) for provider in providers])
    backends = ", ".join(
        f"{one.name}: {{provider: {one.name}, base_url: '{one.base_url}'{more if 'api_key' in more else KEY + more}}}"
        for one, more in zip(simulators.all, providers.values(), strict=True)
    )
    file = folder / "hybridproxy.yaml"
    served = ", ".join(f"{provider}: {name}" for provider in providers)
    file.write_text(
        CONFIG.format(backends=backends, served=served, order=", ".join(providers), on_cut=on_cut, shop=digest(SHOP))
    )
    async with started(file, simulators, {"KEY": "key-1", "ID": "AKIA1", "SECRET": "sEcReT"}) as stack:
        yield stack


KEY = ", api_key: '${KEY}'"


async def ask(stack: Stack, **fields: Any) -> tuple[int, dict[str, str], Any]:
    """Make a call; return its status, its headers and its body."""
    async with stack.post(json=chat(**fields), headers={"x-hybridproxy-explain": "1"}) as response:
        return response.status, dict(response.headers), orjson.loads(await response.read())


def head_of(stack: Stack, name: str) -> dict[str, str]:
    """The headers of the last request that an upstream got."""
    return {key.lower(): value for key, value in stack.received(name)[-1]["headers"]}


async def test_portkey_gets_its_key_and_the_operators_config(tmp_path: Path) -> None:
    """In headers of its own, and a caller's headers of those names do not pass."""
    async with proxied(tmp_path, {"portkey": ", headers: {x-portkey-config: pc-us-1}"}) as stack:
        forged = {"x-portkey-config": "pc-evil", "x-portkey-api-key": "evil"}
        async with stack.post(json=chat(), headers=forged) as response:
            assert response.status == 200
        head = head_of(stack, "portkey")
        assert (head["x-portkey-api-key"], head["x-portkey-config"]) == ("key-1", "pc-us-1")
        assert "authorization" not in head


async def test_bedrock_is_sent_signed_requests(tmp_path: Path) -> None:
    """The secret stays here."""
    pair = ", site: us-east-1, api_key: '${ID}:${SECRET}'"
    async with proxied(tmp_path, {"bedrock": pair}) as stack:
        status, _, _ = await ask(stack)
        assert status == 200
        head = head_of(stack, "bedrock")
        assert head["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIA1/")
        assert head["x-amz-date"].startswith("20")
        assert "sEcReT" not in orjson.dumps(stack.received("bedrock")).decode()


@pytest.mark.parametrize("stream", [False, True])
async def test_thinking_is_found_where_callers_look_for_it(tmp_path: Path, *, stream: bool) -> None:
    """Groq calls it `reasoning`, and is asked for it in its own word."""
    async with proxied(tmp_path, {"groq": ""}) as stack:
        stack.sim("groq").behave({"reasoning": 2})
        client = stack.openai()
        asked: Any = {"extra_body": {"enable_thinking": True, "thinking_budget": 64}, "stream": stream}
        raw = await client.chat.completions.with_raw_response.create(**chat(), **asked)
        made = raw.parse()
        if stream:
            thought = "".join([chunk.choices[0].delta.to_dict().get("reasoning_content", "") async for chunk in made])
        else:
            thought = made.choices[0].message.reasoning_content
        assert thought == "thought1 thought2 "
        assert raw.headers["x-hybridproxy-dropped"] == "thinking_budget"
        body = stack.received("groq")[-1]["body"]
        assert body["reasoning_effort"] == "default"
        assert not {"enable_thinking", "thinking_budget"} & set(body)


async def test_a_call_that_would_lose_its_meaning_goes_elsewhere_or_is_refused(tmp_path: Path) -> None:
    """The reason names the field, in the decision and in the refusal."""
    async with proxied(tmp_path, {"groq": "", "deepinfra": ""}) as stack:
        status, headers, _ = await ask(stack, logprobs=True)
        assert (status, headers["x-hybridproxy-backend"]) == (200, "deepinfra")
        reasons = {
            one["backend"]: one["reason"] for one in orjson.loads(headers["x-hybridproxy-decision"])["candidates"]
        }
        assert reasons["groq"] == "does not take logprobs: the answer would come without log probabilities"
        assert (await ask(stack, logprobs=False))[1]["x-hybridproxy-backend"] == "groq"
    async with proxied(tmp_path, {"groq": ""}) as stack:
        status, _, body = await ask(stack, messages=[{"role": "user", "name": "ann", "content": "hi"}])
        assert status == 400
        assert "messages[].name" in body["error"]["message"]
        assert not stack.received("groq")


async def test_an_answer_that_a_guardrail_warned_of_is_an_answer(tmp_path: Path) -> None:
    """Portkey says 246; 446 is a refusal that benches nobody."""
    async with proxied(tmp_path, {"portkey": ""}) as stack:
        answer = {"id": "a", "object": "chat.completion", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}  # fmt: skip
        stack.sim("portkey").behave({"fault": {"kind": "status", "status": 246, "body": answer}})
        status, _, body = await ask(stack)
        assert (status, body["choices"][0]["message"]["content"]) == (200, "hi")
        for _ in range(6):
            stack.sim("portkey").behave({"fault": {"kind": "named", "name": "portkey.guardrail"}})
            assert (await ask(stack))[0] == 400
        stack.sim("portkey").behave({})
        assert (await ask(stack))[0] == 200


async def test_empty_lines_before_an_answer_are_none_of_it(tmp_path: Path) -> None:
    """DeepSeek sends them while a call waits."""
    async with proxied(tmp_path, {"deepseek": ""}) as stack:
        status, _, body = await ask(stack)
        assert (status, body["object"]) == (200, "chat.completion")


async def test_a_text_in_a_chunk_may_be_an_error(tmp_path: Path) -> None:
    """Groq's; the stream does not look complete, and its caller's client raises."""
    async with proxied(tmp_path, {"groq": ""}) as stack:
        stack.sim("groq").behave({"fault": {"kind": "in_band_error", "after_pieces": 2}})
        told = b""
        async with stack.post(json=chat(stream=True)) as response:
            with contextlib.suppress(aiohttp.ClientPayloadError):  # it has no clean end
                async for part in response.content.iter_any():
                    told += part
        assert b'"error"' in told
        assert b"[DONE]" not in told


@pytest.mark.parametrize(
    ("providers", "name"),
    [({"llama-cpp": "", "vllm": ""}, "m"), ({"deepseek": ", site: beta", "llama-cpp": ""}, "deepseek-v4-flash")],
)
async def test_a_stream_goes_on_at_the_next(tmp_path: Path, providers: dict[str, str], name: str) -> None:
    """Each asked in its own way for what is missing."""
    async with proxied(tmp_path, providers, on_cut="resume", name=name) as stack:
        text = "one two three four five six"
        first, second = providers
        for provider in providers:
            stack.sim(provider).behave({"text": text})
        stack.sim(first).behave({"text": text, "fault": {"kind": "cut", "after_pieces": 3}})
        stream = await stack.openai().chat.completions.create(**chat(), stream=True)
        said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
        assert said == text
        last = stack.received(second)[-1]["body"]["messages"][-1]
        assert (last["role"], text.startswith(last["content"])) == ("assistant", True)
