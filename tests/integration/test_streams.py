"""Streams: what passes, what is held, how one ends, and what happens when it breaks or the caller leaves."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import openai
import orjson
import pytest

from tests.support.inside import change
from tests.support.stack import Stack, chat, running


def connections(stack: Stack) -> list[Any]:
    """Return the proxy's connections of callers."""
    assert stack.worker.connections is not None
    return list(stack.worker.connections.connections)


async def events(response: aiohttp.ClientResponse) -> list[bytes]:
    """Return the events of a stream until it ends, however it ends."""
    data = b""
    try:
        async for part in response.content.iter_any():
            data += part
    except aiohttp.ClientPayloadError:
        data += b"(cut)\n\n"
    return [event for event in data.split(b"\n\n") if event]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "cut", "after_pieces": 2, "how": "close"}, "upstream_cut"),
        ({"kind": "cut", "after_pieces": 2, "how": "reset"}, "upstream_cut"),
        ({"kind": "no_finish", "after_pieces": 2}, "upstream_cut"),
        ({"kind": "no_finish", "after_pieces": 2, "done": True}, "upstream_cut"),
        ({"kind": "garbage", "after_pieces": 2}, "upstream_garbled"),
        ({"kind": "in_band_error", "after_pieces": 2}, None),
        ({"kind": "in_band_error", "after_pieces": 2, "done": True}, None),
    ],
    ids=lambda v: "-".join(str(x) for x in v.values()) if isinstance(v, dict) else str(v),
)
async def test_a_cut_stream_never_looks_complete(stack: Stack, fault: dict[str, object], code: str | None) -> None:
    """After the first output a fault is told by an error event, without [DONE] and without the last chunk."""
    stack.sim("together").behave({"fault": fault, "pace_ms": 5})
    async with stack.post(json=chat(stream=True)) as response:
        assert response.status == 200
        got = await events(response)
    assert got[-1] == b"(cut)"
    error = orjson.loads(got[-2].removeprefix(b"data: "))["error"]
    assert code is None or error["code"] == code
    assert not any(b"[DONE]" in event for event in got)
    assert not stack.received("openrouter")


async def test_the_official_client_raises_on_a_cut_stream(stack: Stack) -> None:
    """An application sees an exception instead of half an answer."""
    stack.sim("together").behave({"fault": {"kind": "cut", "after_pieces": 2}, "pace_ms": 5})
    text = ""
    with pytest.raises(openai.APIError, match="together-us"):
        async for chunk in await stack.openai().chat.completions.create(**chat(), stream=True):
            text += chunk.choices[0].delta.content or ""
    assert text


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("chunking", ["event", "bytes", "merged", "split"])
@pytest.mark.parametrize("done", [True, False])
async def test_a_stream_is_the_same_however_it_was_split(stack: Stack, ending: str, chunking: str, done: bool) -> None:
    """Line ends, chunk borders and a missing [DONE] change nothing: the text is whole and the end is marked once."""
    settings = {"line_ending": ending, "chunking": chunking, "done": done, "bom": ending == "\r"}
    stack.sim("together").behave(settings)
    async with stack.post(json=chat(stream=True)) as response:
        got = await events(response)
    assert got[-1] == b"data: [DONE]"
    assert sum(b"[DONE]" in event for event in got) == 1
    assert all(event.startswith((b"data: ", b":")) and b"\r" not in event for event in got)
    pieces = [orjson.loads(event[6:]) for event in got[:-1] if event.startswith(b"data: ")]
    text = "".join(c["delta"].get("content") or "" for p in pieces for c in p["choices"])
    assert text.endswith("hello there") or "hello there" in text


@pytest.mark.parametrize("wanted", [True, False])
async def test_usage_is_counted_and_shown_only_if_wanted(stack: Stack, wanted: bool) -> None:
    """We ask DashScope for usage; the extra event reaches the caller only if it asked for it, the log has it anyway."""
    more: dict[str, Any] = {"stream_options": {"include_usage": True}} if wanted else {}
    async with stack.post(address="165.21.83.88", json=chat(stream=True, **more)) as response:
        got = [orjson.loads(e[6:]) for e in await events(response) if e.startswith(b"data: {")]
    assert stack.received("dashscope")[0]["body"]["stream_options"] == {"include_usage": True}
    assert any(not event["choices"] and event.get("usage") for event in got) is wanted
    line = next(line for line in await stack.lines() if line["event"] == "call.finished")
    assert line["completion_tokens"] > 0
    assert line["prompt_tokens"] > 0


@pytest.mark.parametrize("streaming", [True, False])
async def test_the_caller_leaves_and_the_upstream_call_stops(stack: Stack, streaming: bool) -> None:
    """Whether it streams or not, nobody generates for a caller that is gone."""
    settings = {"pace_ms": 50, "pieces": 1000} if streaming else {"latency_ms": 60_000}
    stack.sim("together").behave(settings)

    async def call() -> None:
        async with stack.post(json=chat(stream=streaming)) as response:
            await events(response)

    task = asyncio.ensure_future(call())
    await stack.until(lambda: stack.received("together"))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await stack.until(lambda: stack.received("together")[0]["outcome"] == "client_gone")
    await stack.until(lambda: stack.worker.gateway.in_flight == 0)
    line = next(line for line in await stack.lines() if line["event"] == "call.finished")
    assert line["status"] == 499
    assert not stack.received("openrouter")


async def test_a_silent_upstream_is_given_up_in_time(tmp_path: Path) -> None:
    """No first token within `first_token`: the next backend takes over."""
    async with running(tmp_path) as stack:
        await change(stack, ("provider: together,", "provider: together, timeouts: {first_token: 300ms},"))
        stack.sim("together").behave({"fault": {"kind": "stall", "after_pieces": 0}})
        async with stack.post(json=chat(stream=True)) as response:
            assert response.headers["x-hybridproxy-backend"] == "openrouter-us"
            assert (await events(response))[-1] == b"data: [DONE]"


async def test_a_stream_that_falls_silent_ends_with_an_honest_error(tmp_path: Path) -> None:
    """Silence after the first output is told after `between_bytes`."""
    async with running(tmp_path, between_bytes="300ms") as stack:
        stack.sim("together").behave({"fault": {"kind": "stall", "after_pieces": 2}})
        async with stack.post(json=chat(stream=True)) as response:
            got = await events(response)
        assert got[-1] == b"(cut)"
        assert orjson.loads(got[-2][6:])["error"]["code"] == "stream_stalled"


async def test_nothing_is_committed_after_commit_within(tmp_path: Path) -> None:
    """Comments and a role keep nobody waiting: without output within `commit_within` the answer is an error."""
    async with running(tmp_path, commit_within="300ms") as stack:
        for name in ("together", "openrouter"):
            stack.sim(name).behave({"head_first": True, "first_token_ms": 10_000, "comments_every_ms": 50})
        async with stack.post(json=chat(stream=True)) as response:
            assert response.status == 504
            assert (await response.json())["error"]["code"] == "deadline_exceeded"


async def test_a_long_answer_that_does_not_stream_makes_one_attempt(tmp_path: Path) -> None:
    """`first_token` and `commit_within` are for streams: an answer may take as long as `answer` allows."""
    async with running(tmp_path, first_token="200ms", commit_within="300ms") as stack:
        stack.sim("together").behave({"latency_ms": 1000})
        async with stack.post(json=chat()) as response:
            assert response.status == 200
            assert response.headers["x-hybridproxy-attempts"] == "1"
        assert not stack.received("openrouter")


async def test_a_caller_that_reads_slowly_slows_the_upstream_down(tmp_path: Path) -> None:
    """Back-pressure: what the caller does not read is not fetched without bound, and arrives whole once it reads."""
    count = 100_000  # 22 MB, several times what the sockets' own buffers take
    async with running(tmp_path, total="280s", between_bytes="200s") as stack:
        stack.sim("together").behave({"pieces": count})

        def sent() -> int:
            return int(stack.received("together")[0]["pieces_sent"]) if stack.received("together") else 0

        async with stack.post(json=chat(stream=True)) as response:
            before = -1
            while not before or before != sent():
                before = sent()
                await asyncio.sleep(0.3)
            assert before < count
            assert sum(c.transport.get_write_buffer_size() for c in connections(stack)) < 1_000_000
            data = await response.read()
        assert sent() == count
    assert data.endswith(b"data: [DONE]\n\n")
    assert data.count(b"\n\n") >= count


async def test_connections_are_kept_on_both_sides(stack: Stack) -> None:
    """Call after call over one connection of the caller, streams and answers in turn, and few to the upstream."""
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=connector) as one:
        for i in range(20):
            async with one.post(
                stack.url + "/v1/chat/completions",
                json=chat(stream=i % 2 == 0),
                headers={"authorization": "Bearer " + "hp_" + "s" * 43, "x-forwarded-for": "128.100.1.1"},
            ) as response:
                assert response.status == 200
                await response.read()
    assert stack.worker.general.opened <= 2
