"""What the proxy relies on of vLLM in particular: aborts, continuation, its cache and its metrics."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI

from tests.engines.conftest import Pair, configured
from tests.engines.processes import KEY, Engine
from tests.support.relay import Faults, Relay, Way
from tests.support.serving import port_of, server
from tests.support.stack import BANK, ENVIRON, SHOP

MESSAGES: Any = [{"role": "user", "content": "Tell me of the sea."}]
LETTERS: Any = {str(token): 100 for token in range(64, 90)}
"""Tokens of the tiny model that are single letters; no other is ever said with this bias."""
CALLS = 12
PLAIN: dict[str, Any] = {"chat_template_kwargs": {"enable_thinking": False}}


@pytest.fixture
def engine(vllm: Engine) -> Engine:
    """Only this one."""
    return vllm


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A plain client."""
    async with aiohttp.ClientSession() as session:
        yield session


async def gauge(http: aiohttp.ClientSession, engine: Engine, name: str) -> float:
    """Return one of the engine's metrics."""
    async with http.get(engine.url + "/metrics") as response:
        found = re.search(rf"^{name}\{{[^}}]*\}} (\S+)$", await response.text(), re.MULTILINE)
    assert found is not None
    return float(found[1])


async def becomes(http: aiohttp.ClientSession, engine: Engine, wanted: float, seconds: float) -> float:
    """Wait until so many requests run, and return how long that took."""
    start = asyncio.get_running_loop().time()
    async with asyncio.timeout(seconds):
        while await gauge(http, engine, "vllm:num_requests_running") != wanted:
            await asyncio.sleep(0.05)
    return asyncio.get_running_loop().time() - start


@pytest.mark.parametrize("stream", [True, False])
async def test_a_caller_that_leaves_stops_the_engine(pair: Pair, http: aiohttp.ClientSession, stream: bool) -> None:
    """The engine works on nothing two seconds after the caller has left, streaming or not."""
    body = {
        "model": pair.engine.model,
        "messages": MESSAGES,
        "max_tokens": 3900,
        "stream": stream,
        "ignore_eos": True,
        **PLAIN,
    }
    headers = {"authorization": f"Bearer {SHOP}"}
    call = asyncio.create_task(http.post(pair.proxy.url + "/v1/chat/completions", json=body, headers=headers))
    await becomes(http, pair.engine, 1, 20)
    if stream:
        (await call).close()
    else:
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    took = await becomes(http, pair.engine, 0, 2)
    print(f"nothing runs {took:.2f} s after the caller left")  # noqa: T201 - a figure for the documentation


async def test_a_text_that_was_begun_is_continued(pair: Pair) -> None:
    """`continue_final_message` reaches the engine, and only what is new comes back."""
    begun: Any = [*MESSAGES, {"role": "assistant", "content": "ABC"}]
    said = []
    for client in pair.both:
        answer = await client.chat.completions.create(
            model=pair.engine.model,
            messages=begun,
            max_tokens=6,
            temperature=0,
            logit_bias=LETTERS,
            extra_body=PLAIN | {"continue_final_message": True, "add_generation_prompt": False},
        )
        said.append(answer.choices[0].message.content or "")
    assert said[0] == said[1]
    assert re.fullmatch("[@-Z]{6}", said[0])


async def test_a_stream_that_breaks_goes_on_at_the_other_engine(engine: Engine, tmp_path: Path) -> None:
    """Two ways to the engine, one of which breaks off: the caller has every letter once, and a clean end."""
    port = int(engine.url.rpartition(":")[2])
    async with Relay("127.0.0.1", port) as relay, aiohttp.ClientSession() as http:
        relay.faults = Faults(down=Way(cut_after=6000))
        places = [f"http://127.0.0.1:{relay.port}", engine.url]
        file = configured(tmp_path, engine, endpoints=places, on_cut="[resume, error]")
        async with (
            server(file, ENGINE_KEY=KEY) as proxy,
            AsyncOpenAI(api_key=SHOP, base_url=proxy.url + "/v1", max_retries=0) as client,
        ):
            await proxy.ready(http)
            for number in range(CALLS):  # each conversation has an endpoint of its own
                question: Any = [{"role": "user", "content": f"Tell me of the sea, part {number}."}]
                stream = await client.chat.completions.create(
                    model=engine.model,
                    messages=question,
                    max_tokens=80,
                    logit_bias=LETTERS,
                    stream=True,
                    extra_body=PLAIN | {"ignore_eos": True},
                )
                text, finish = "", None
                async for chunk in stream:
                    for choice in chunk.choices:
                        text += choice.delta.content or ""
                        finish = choice.finish_reason or finish
                assert re.fullmatch("[@-Z]{80}", text)
                assert finish == "length"
            calls = await proxy.logged("call.finished", CALLS)
            resumed = sum(call["attempts"] > 1 for call in calls)
    print(f"{resumed} of {CALLS} streams were resumed")  # noqa: T201 - a figure for the documentation
    assert resumed > 0


async def test_tenants_share_no_cache(pair: Pair) -> None:
    """The salt that the proxy puts in is accepted: a tenant finds its own prompt in the cache, another one does not."""
    prompt: Any = [{"role": "user", "content": "a long beginning " * 40}]
    async with AsyncOpenAI(api_key=BANK, base_url=pair.proxy.url + "/v1", max_retries=0) as other:
        cached = []
        for client in (pair.through, pair.through, other, other):
            answer = await client.chat.completions.create(model=pair.engine.model, messages=prompt, max_tokens=2)
            assert answer.usage is not None
            details = answer.usage.prompt_tokens_details
            cached.append(bool(details is not None and details.cached_tokens))
    assert cached == [False, True, False, True]


async def test_the_load_is_asked_for(engine: Engine, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """With two endpoints the proxy asks each for `/metrics`, and understands what it reads."""
    port = int(engine.url.rpartition(":")[2])
    async with Relay("127.0.0.1", port) as relay:
        file = configured(tmp_path, engine, endpoints=[engine.url, f"http://127.0.0.1:{relay.port}"])
        admin = f"http://127.0.0.1:{port_of(file, 'admin')}/metrics"
        headers = {"authorization": f"Bearer {ENVIRON['ADMIN_TOKEN']}"}
        async with server(file, ENGINE_KEY=KEY) as proxy:
            await proxy.ready(http)
            told: dict[str, str] = {}
            async with asyncio.timeout(30):
                while float(told.get("hybridproxy_engine_polls", 0)) < 6:
                    await asyncio.sleep(0.2)
                    async with http.get(admin, headers=headers) as response:
                        told = dict(
                            line.rsplit(" ", 1) for line in (await response.text()).splitlines() if line[0] != "#"
                        )
    assert float(told["hybridproxy_engine_polls_unanswered"]) == 0
