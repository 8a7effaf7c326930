"""A worker that has too much to do: what its callers, its operator and its streams notice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import openai
import pytest
from anthropic import APIStatusError as AnthropicError
from anthropic import AsyncAnthropic
from openai.types.chat import ChatCompletionChunk

from hybridproxy.resilience.shedding import Shed, Shedding
from tests.support.inside import change
from tests.support.raw_server import CHUNKED, Peer, RawServer, chunk
from tests.support.raw_upstream import delta, scripted
from tests.support.stack import BANK, SHOP, TORONTO, Stack, chat, running

TEXT = "one two three four five six"
Chunks = openai.AsyncStream[ChatCompletionChunk]


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """A worker that serves two calls at a time."""
    async with running(tmp_path, max_calls=2) as stack:
        stack.sim("together").behave({"text": TEXT})
        yield stack


@contextlib.asynccontextmanager
async def unfinished(stack: Stack, calls: int) -> AsyncIterator[tuple[list[Chunks], Callable[[], None]]]:
    """Streams whose beginnings have come and whose rest comes when the test says so."""
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED, chunk(delta(TEXT[:3])))
        await go_on.wait()
        await peer.send(chunk(delta(TEXT[3:])), chunk(delta(None, "stop")), chunk(b"data: [DONE]\n\n"), chunk(b""))
        await peer.gone()

    async with RawServer(script) as server:
        simulated = stack.sim("together").base_url
        await scripted(stack, server)
        client = stack.openai()
        streams = [await client.chat.completions.create(**chat(), stream=True) for _ in range(calls)]
        # the streams go on where they are; later calls find the simulator
        await change(stack, (f"http://127.0.0.1:{server.port}/v1", simulated))
        yield streams, go_on.set


async def test_the_third_of_two_is_refused_and_streams_go_on(stack: Stack) -> None:
    """The SDK raises what it does for an overloaded service; streams under way end well; then there is room."""
    client = stack.openai()
    async with unfinished(stack, 2) as (streams, go_on):
        with pytest.raises(openai.InternalServerError) as refused:
            await client.chat.completions.create(**chat())
        assert refused.value.status_code == 503
        assert refused.value.code == "overloaded"
        assert 1 <= int(refused.value.response.headers["retry-after"]) <= 4
        assert refused.value.response.headers["x-hybridproxy-attempts"] == "0"
        go_on()
        for stream in streams:
            assert "".join([part.choices[0].delta.content or "" async for part in stream if part.choices]) == TEXT
        await stack.until(lambda: stack.worker.gateway.in_flight == 0)
        assert (await client.chat.completions.create(**chat())).choices
    assert len(stack.received("together")) == 1


async def test_an_sdk_comes_again_by_itself(stack: Stack) -> None:
    """It waits as it was told, and is served once there is room."""
    client = stack.openai(max_retries=4)
    async with unfinished(stack, 1) as ((stream,), go_on):
        stack.worker.pressure.most = 1
        again = asyncio.create_task(client.chat.completions.create(**chat()))
        await stack.until(lambda: stack.worker.pressure.refused[Shed.CALLS])
        go_on()
        assert [part async for part in stream]
        assert (await again).choices


async def test_the_dialect_of_anthropic_has_a_status_of_its_own(stack: Stack) -> None:
    """529, `overloaded_error`, which Claude Code knows."""
    stack.worker.pressure.most = 0
    async with AsyncAnthropic(api_key=SHOP, base_url=stack.url, max_retries=0) as client:
        with pytest.raises(AnthropicError) as refused:
            await client.messages.create(model="qwen", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
    assert refused.value.status_code == 529
    assert refused.value.body == {
        "type": "error",
        "error": {
            "type": "overloaded_error",
            "message": refused.value.body["error"]["message"],  # type: ignore[index]
            "details": {"error_code": "overloaded"},
        },
        "request_id": refused.value.response.headers["request-id"],
    }


async def test_whose_own_limit_is_used_up_is_told_so_by_a_full_worker(tmp_path: Path) -> None:
    """Its fault is its own, in the headers too; the bank's call, which is in no limit's way, finds the worker full."""
    async with running(tmp_path, limits=", limits: {rpm: 100, streams: 1}") as stack:
        stack.sim("together").behave({"text": TEXT})
        pressure = stack.worker.pressure
        async with unfinished(stack, 1) as ((stream,), go_on):
            pressure._timer.cancel()  # type: ignore[union-attr]  # the test says how late the loop is
            pressure.engaged, pressure.state, pressure._room = True, Shedding(rate=20.0), 1.0
            for body in ({"json": chat()}, {"data": b'{"model": ' + b" " * 300_000}):  # the other's is half on its way
                async with stack.post(**body) as answer:
                    assert (answer.status, (await answer.json())["error"]["code"]) == (429, "rate_limit_exceeded")
                    assert "1 calls at a time" in (await answer.json())["error"]["message"]
                    assert int(answer.headers["retry-after"]) >= 1
                    assert answer.headers["x-ratelimit-limit-requests"] == "100"
                    assert answer.headers["x-hybridproxy-attempts"] == "0"
            assert pressure._room == 1.0  # others are let in as if it had not called
            async with stack.post(key=BANK, json=chat()) as answer:
                assert answer.status == 200
            async with stack.post(key=BANK, json=chat()) as answer:
                assert (answer.status, (await answer.json())["error"]["code"]) == (503, "overloaded")
            go_on()
            assert [part async for part in stream]
        assert pressure.refused[Shed.LAG] == 1


async def test_a_late_worker_refuses_before_it_reads_and_answers_for_its_health(stack: Stack) -> None:
    """Calls are refused unparsed, whoever calls; health, models and the admin port are not; the log has two lines."""
    pressure = stack.worker.pressure
    pressure._timer.cancel()  # type: ignore[union-attr]  # the test says how late the loop is
    pressure.engaged, pressure.state = True, Shedding(rate=20.0)
    for key in (SHOP, "nobody's", SHOP):
        async with stack.post(key=key, json=chat()) as answer:
            assert answer.status == 503
    async with stack.post(data=b'{"model": ' + b" " * 300_000) as answer:  # half of it is still on its way
        assert answer.status == 503
    pressure._room = 1.0
    async with stack.post(json=chat()) as answer:
        assert answer.status == 200
    for path in ("/livez", "/readyz", "/readyz?region=north-america"):
        async with stack.http.get(stack.url + path) as answer:
            assert answer.status == 200
    async with stack.http.get(stack.url + "/v1/models", headers={"authorization": f"Bearer {SHOP}"}) as answer:
        assert answer.status == 200
    admin = {"authorization": "Bearer admin-token-of-tests"}
    async with stack.http.get(stack.admin_url + "/admin/v1/state", headers=admin) as answer:
        shown = (await answer.json())["pressure"]
    assert shown["reasons"] == ["lag"]
    assert shown["refused"] == {"calls": 0, "memory": 0, "lag": 4}
    async with stack.http.get(stack.admin_url + "/metrics", headers=admin) as answer:
        assert "hybridproxy_shed_lag 4.0" in await answer.text()
    pressure.state = Shedding(idle=10.0)
    pressure._tick()
    await stack.until(lambda: not pressure.engaged)
    async with stack.post(json=chat(), address=TORONTO) as answer:
        assert answer.status == 200
    lines = await stack.lines()
    assert [line["event"] for line in lines if line["event"].startswith("shedding")][:1] == ["shedding.began"]
    assert sum(line["event"] == "call.finished" for line in lines) == 2
