"""The control address, as a user calls it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from hybridproxy.simulator import http as module
from hybridproxy.simulator.behaviour import FAULTS
from tests.hybridproxy.simulator.client import HELLO, STREAM, ask, settled
from tests.hybridproxy.simulator.conftest import Start


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Return a client."""
    async with aiohttp.ClientSession() as session:
        yield session


async def test_settings_by_http(start: Start, http: aiohttp.ClientSession) -> None:
    """PUT replaces the settings, PATCH changes some, DELETE makes the upstream healthy again, GET shows them."""
    simulator = await start("together")
    url = f"{simulator.url}/_sim/behaviour"

    async def change(method: str, body: Any = None) -> Any:
        async with http.request(method, url, json=body) as answer:
            assert answer.status == 200
            return await answer.json()

    assert (await change("PUT", {"pace_ms": 5, "pieces": 2}))["pace_ms"] == 5
    patched = await change("PATCH", {"pieces": 3, "fault": {"kind": "status", "status": 503}})
    assert (patched["pace_ms"], patched["pieces"], patched["fault"]["status"]) == (5, 3, 503)
    assert (await ask(simulator)).status == 503
    assert await change("PUT", patched) == patched
    assert (await change("DELETE"))["fault"] is None
    assert (await ask(simulator)).status == 200
    assert (await change("GET"))["pieces"] is None


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "words"),
    [
        ("PUT", "behaviour", b"{", 400, "not JSON"),
        ("PATCH", "behaviour", b'{"pace_ms":"x"}', 400, "pace_ms"),
        ("POST", "behaviour", b"{}", 405, "GET, PUT, PATCH, DELETE"),
        ("GET", "nothing", b"", 404, "/_sim/behaviour"),
    ],
)
async def test_mistakes(
    start: Start, http: aiohttp.ClientSession, method: str, path: str, data: bytes, status: int, words: str
) -> None:
    """A wrong call is answered with what would be right, and changes nothing."""
    simulator = await start(pieces=2)
    async with http.request(method, f"{simulator.url}/_sim/{path}", data=data) as answer:
        assert answer.status == status
        assert words in await answer.text()
    assert simulator.upstream.switch.behaviour.pieces == 2


async def test_settings_that_are_too_long(
    start: Start, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control address is bounded like the rest."""
    monkeypatch.setattr(module, "MAX_BODY", 1000)
    simulator = await start()
    async with http.put(f"{simulator.url}/_sim/behaviour", data=b" " * 1001) as answer:
        assert answer.status == 413


async def test_the_record(start: Start, http: aiohttp.ClientSession) -> None:
    """The record shows what came and what became of it; the control address itself is not in it."""
    simulator = await start("vllm", fault={"kind": "cut", "after_pieces": 1, "only_stream": True})
    await ask(simulator, HELLO | {"seed": 7})
    await ask(simulator, STREAM, key="second-key")
    async with http.get(f"{simulator.url}/_sim/requests") as answer:
        first, second = (await answer.json())["requests"]
    assert (first["method"], first["path"], first["body"]["seed"]) == ("POST", "/v1/chat/completions", 7)
    assert ["Authorization", "Bearer second-key"] in second["headers"]
    assert [(item["outcome"], item["status"], item["pieces_sent"]) for item in (first, second)] == [
        ("complete", 200, 8),
        ("cut", 200, 1),
    ]
    async with http.delete(f"{simulator.url}/_sim/requests") as answer:
        assert await answer.json() == {"requests": []}
    async with http.get(f"{simulator.url}/_sim/state") as answer:
        assert (await answer.json())["totals"]["requests"] == 0


async def test_the_state(start: Start, http: aiohttp.ClientSession) -> None:
    """The state counts connections and calls, without those to the control address, and what a provider would bill."""
    simulator = await start("dashscope", latency_ms=60_000)
    body, headers = HELLO, {"authorization": "Bearer k"}

    async def state() -> Any:
        async with http.get(f"{simulator.url}/_sim/state") as answer:
            return await answer.json()

    async with asyncio.timeout(30), aiohttp.ClientSession() as other:
        call = asyncio.ensure_future(other.post(f"{simulator.base_url}/chat/completions", json=body, headers=headers))
        while (shown := await state())["in_flight"] == 0:
            pass
        assert shown["open_connections"] == 1
        call.cancel()
    await settled(simulator)
    simulator.behave({})
    await ask(simulator)
    shown = await state()
    assert (shown["provider"], shown["prefix"]) == ("dashscope", "/compatible-mode/v1")
    assert (shown["open_connections"], shown["in_flight"]) == (0, 0)
    assert shown["totals"]["outcomes"] == {"client_gone": 1, "complete": 1}
    assert (shown["totals"]["prompt_tokens"], shown["totals"]["completion_tokens"]) == (4, 8)


async def test_what_faults_there_are(start: Start, http: aiohttp.ClientSession) -> None:
    """The control address lists every fault with its options, and the named errors."""
    simulator = await start()
    async with http.get(f"{simulator.url}/_sim/faults") as answer:
        listed = await answer.json()
    assert set(listed["kinds"]) == set(FAULTS)
    assert "vllm.queue_full" in listed["named"]
