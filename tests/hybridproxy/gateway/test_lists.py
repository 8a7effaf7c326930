"""Asking backends for their lists: over real sockets, of the simulators and of servers that misbehave."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import orjson
import pytest
from aiohttp import web

from hybridproxy.gateway import lists
from hybridproxy.gateway.lists import ask_lists
from hybridproxy.model.backend import Backend, Credential, Endpoint, SovereignBackend, Trust
from hybridproxy.model.snapshot import Snapshot
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.lists import Listed, Lists
from hybridproxy.simulator.rows import PROVIDERS as SIMULATED
from hybridproxy.simulator.server import SimulatorSpec, serve
from tests.support.make import snapshot

KEYS = {"dashscope": "sk-ds", "vllm": "vllm-key"}
Serve = Callable[..., Awaitable[int]]


def configured(name: str, provider: str, port: int, path: str = "/v1", host: str = "127.0.0.1") -> Backend:
    """A backend at a server of the test."""
    place = Endpoint("http", host, port, path)
    return Backend(name, provider, "", Trust.THIRD_PARTY, (place,), (Credential(name, "key-of-tests"),))


def inside(backend: Backend, *cidrs: str) -> Snapshot:
    """A configuration in which it is the VPC's."""
    made = SovereignBackend(backend.id, backend.provider, "", backend.endpoints, backend.credentials, cidrs)
    return replace(snapshot(backends=[backend]), sovereign={backend.id: made})


async def ask(made: Snapshot, *names: str) -> dict[str, Any]:
    """Ask, and forget the progress."""
    return await ask_lists(made, names or tuple(made.backends), lambda _more: None)


@pytest.fixture
async def server() -> AsyncIterator[Serve]:
    """A server that answers every GET with one thing; gives its port."""
    async with AsyncExitStack() as stack:

        async def serving(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> int:
            app = web.Application()
            app.router.add_get("/{path:.*}", answer)
            runner = web.AppRunner(app)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return int(runner.addresses[0][1])

        yield serving


def says(body: bytes | Any, status: int = 200, **more: Any) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Answer with a body, or with a value as JSON."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return web.Response(body=raw, status=status, content_type="application/json", **more)

    return answer


LISTING = sorted(
    name
    for name, row in PROVIDERS.items()
    if row.lists is not None and row.lists.path.startswith("/") and name in SIMULATED
)


@pytest.mark.parametrize("provider", LISTING)
async def test_every_provider_that_lists_its_models_is_understood(provider: str) -> None:
    """The simulator's list, which is made from the fact sheets, comes out as names a call can use."""
    running = await serve([SimulatorSpec(provider)])
    try:
        one = running[provider]
        backend = configured("b", provider, one.port, one.upstream.row.prefix)
        found = (await ask(snapshot(backends=[backend])))["b"]
    finally:
        await running.close()
    row = PROVIDERS[provider].lists
    assert row is not None
    assert isinstance(found, tuple), found
    assert {entry.id for entry in found} == {name.removeprefix(row.before) for name in SIMULATED[provider].models}
    assert all((entry.context is not None) is bool(row.context) for entry in found)
    assert all((entry.input is not None) is bool(row.input) for entry in found)


async def test_a_backend_is_asked_at_its_own_address_with_its_key(server: Serve) -> None:
    """With the path its provider's servers have, where the URL has none."""
    seen: list[tuple[str, str | None]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers.get("authorization")))
        return web.json_response({"data": [{"id": "qwen", "max_model_len": 32768}]})

    port = await server(answer)
    made = snapshot(
        backends=[configured("bare", "vllm", port, ""), configured("router", "openrouter", port, "/api/v1")]
    )
    steps: list[int] = []
    found = await ask_lists(made, ["bare", "router"], steps.append)
    assert found["bare"] == (Listed("qwen", context=32768),)
    assert sorted(seen) == [("/api/v1/models", "Bearer key-of-tests"), ("/v1/models", "Bearer key-of-tests")]
    assert steps == [1, 1]


async def test_dashscopes_pages_are_asked_for_one_after_the_other(server: Serve) -> None:
    """In its own protocol, beside the compatible mode, with what the operator says in headers."""
    seen: list[tuple[str, str | None]] = []
    names = [f"qwen-{n}" for n in range(230)]

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers.get("x-dashscope-workspace")))
        number, size = int(request.query["page_no"]), int(request.query["page_size"])
        page = [{"model": name, "model_info": {"context_window": 7}} for name in names[size * (number - 1) :][:size]]
        return web.json_response({"success": True, "output": {"total": len(names), "models": page}})

    port = await server(answer)
    mine = replace(
        configured("ds", "dashscope", port, "/compatible-mode/v1"), headers=(("x-dashscope-workspace", "w"),)
    )
    found = await ask(snapshot(backends=[mine, configured("own", "dashscope-native", port, "/api/v1")]))
    assert found["ds"] == found["own"] == tuple(Listed(name, context=7) for name in names)
    assert sorted(seen, key=str) == [("/api/v1/models", "w")] * 3 + [("/api/v1/models", None)] * 3


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        ([["a"], []], "its list ended after 1 entries, before its end"),
        ([["a"]] * 60, "its list ended after 50 entries, before its end"),
        ([["a"], None], "its answer is no list of models"),
    ],
)
async def test_a_part_of_a_list_is_none(server: Serve, pages: list[Any], why: str) -> None:
    """What is on the pages that did not come would be held to be gone."""

    async def answer(request: web.Request) -> web.Response:
        page = pages[int(request.query["page_no"]) - 1]
        entries = None if page is None else [{"model": name} for name in page]
        return web.json_response({"output": {"total": 99, "models": entries}})

    made = snapshot(backends=[configured("ds", "dashscope", await server(answer), "/compatible-mode/v1")])
    assert await ask(made) == {"ds": why}


async def test_anthropic_is_asked_in_its_own_dialect(server: Serve) -> None:
    """All at once, with the version that it wants; what is retired has its day."""
    seen: list[tuple[str, str | None]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.path_qs, request.headers.get("anthropic-version")))
        old = {"id": "claude-old", "max_input_tokens": 200_000, "retires_at": "2026-09-01T00:00:00Z"}
        return web.json_response({"data": [{"id": "claude-new", "max_input_tokens": 1_000_000}, old]})

    port = await server(answer)
    made = snapshot(backends=[configured("bare", "anthropic", port, ""), configured("sdk", "anthropic", port, "/v1")])
    wanted = (Listed("claude-new", 1_000_000), Listed("claude-old", 200_000, removal="2026-09-01"))
    assert await ask(made) == {"bare": wanted, "sdk": wanted}
    assert seen == [("/v1/models?limit=1000", "2023-06-01")] * 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (says(b"<html>"), "its list is not JSON"),
        (says(b'{"data": [' + b"[" * 100_000), "its list is not JSON"),
        (says({"error": "no"}), "its answer is no list of models"),
        (says({"data": []}), "its list is empty"),
        (says({"data": [{"id": 5}, None]}), "its list is empty"),
        (says({"data": [{"id": "x"}]}, 401), "it answered with status 401"),
        (says(b"", 302, headers={"location": "http://169.254.169.254/"}), "it answered with status 302"),
    ],
)
async def test_what_is_no_list_is_told_as_such(server: Serve, answer: Any, why: str) -> None:
    """Nothing a server says raises, and a redirect is not followed."""
    made = snapshot(backends=[configured("b", "vllm", await server(answer))])
    assert await ask(made) == {"b": why}


async def test_a_list_that_does_not_end_is_given_up(server: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too long, or too slow; what is too long is given up long before it is too slow."""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 10_000)
            await asyncio.sleep(0)

    async def drips(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    monkeypatch.setattr(lists, "MAX_LIST", 50_000)
    made = snapshot(
        backends=[configured("long", "vllm", await server(endless)), configured("slow", "vllm", await server(drips))]
    )
    assert await ask(made, "long") == {"long": "its list is longer than 50000 bytes"}
    monkeypatch.setattr(lists, "AT_MOST", 0.3)
    assert await ask(made, "slow") == {"slow": "its list did not come within 0.3 s"}


async def test_a_backend_that_is_down_does_not_keep_the_others(server: Serve) -> None:
    """Each for itself."""
    port = await server(says({"data": [{"id": "x"}]}))
    found = await ask(snapshot(backends=[configured("up", "vllm", port), configured("down", "vllm", 1)]))
    assert found["up"] == (Listed("x"),)
    assert isinstance(found["down"], str)
    assert "down" in found["down"] or "refused" in found["down"]


async def test_a_sovereign_backend_is_asked_inside_its_networks_or_not_at_all(server: Serve) -> None:
    """By the same guard that calls go through; a name without a resolver of its own is nobody's."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({"data": [{"id": "x"}]})

    port = await server(answer)
    own = configured("vpc", "vllm", port)
    assert await ask(inside(own, "127.0.0.0/8")) == {"vpc": (Listed("x"),)}
    assert asked == ["/v1/models"]
    for made in (
        inside(own, "10.0.3.0/24"),
        inside(configured("vpc", "vllm", port, host="localhost"), "127.0.0.0/8"),
    ):
        found = await ask(made)
        assert isinstance(found["vpc"], str)
    assert asked == ["/v1/models"]


async def test_a_list_elsewhere_is_asked_only_where_the_backend_is_the_providers(
    server: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend at an address of one's own does not give its key to the provider's list."""
    port = await server(says({"data": [{"id": "x"}]}))
    elsewhere = Lists(path="https://lists.example/v1/models?all=1")
    row = replace(PROVIDERS["openrouter"], lists=elsewhere)
    monkeypatch.setattr(lists, "PROVIDERS", {**PROVIDERS, "openrouter": row, "silent": replace(row, lists=None)})
    made = snapshot(backends=[configured("b", "openrouter", port), configured("silent", "silent", port)])
    assert await ask(made) == {
        "b": "the list of openrouter is elsewhere, and so is this backend",
        "silent": "openrouter is not known to list its models",
    }
    theirs = lists._place(row, elsewhere, Endpoint("https", "openrouter.ai", 443, "/api/v1"))
    assert theirs == (Endpoint("https", "lists.example", 443, ""), None, "/v1/models?all=1")
    key = Credential("b", "key-of-tests")
    assert lists._key(key, elsewhere, own=False) == key
    assert lists._key(key, replace(elsewhere, keyless=True), own=False) == Credential("b", "")
    assert lists._key(key, Lists(keyless=True), own=True) == key
