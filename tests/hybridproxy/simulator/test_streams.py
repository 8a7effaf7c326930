"""Streams: their timing, their chunks, and what goes wrong within them."""

import asyncio
import zlib

import pytest

from hybridproxy.simulator import streams
from tests.hybridproxy.simulator.client import HELLO, STREAM, TEXT, ask, request, settled
from tests.hybridproxy.simulator.conftest import Start

SAID = TEXT.format("openai")


@pytest.mark.parametrize("chunking", ["bytes", "merged", "split"])
async def test_chunks_of_every_kind(start: Start, chunking: str) -> None:
    """However the stream is cut into chunks, the same events arrive."""
    got = await ask(await start(chunking=chunking), STREAM)
    assert (got.text, got.done, got.whole) == (SAID, True, True)
    sizes = [len(chunk) for chunk in got.chunks[:-1]]
    expected = {"bytes": max(sizes) == 1, "merged": len(sizes) == 3, "split": not got.chunks[0].endswith(b"\n\n")}
    assert expected[chunking]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
async def test_line_endings_and_a_byte_order_mark(start: Start, ending: str) -> None:
    """Lines end as they were set to, behind a byte order mark."""
    body = (await ask(await start(line_ending=ending, bom=True), STREAM)).body
    assert body.startswith(b"\xef\xbb\xbfdata: ")
    assert body.endswith(f"data: [DONE]{ending}{ending}".encode())
    assert set(body) & set(b"\r\n") == set(ending.encode())


async def test_text_that_looks_like_framing(start: Start) -> None:
    """Text of the model with line ends and separators stays text."""
    text = "a\r\n\r\nevent: x\ndata: [DONE]\n\n\u2028\u2029 \U0001f600"
    assert (await ask(await start(text=text, chunking="bytes"), STREAM)).text == text


async def test_usage_and_done_can_be_switched(start: Start) -> None:
    """Usage can be left out or sent unasked, and `[DONE]` left out."""
    simulator = await start(usage=True, done=False)
    got = await ask(simulator, STREAM)
    assert (bool(got.events[-1]["usage"]), got.done, got.whole) == (True, False, True)
    simulator.behave({"usage": False})
    assert not any(
        event.get("usage")
        for event in (await ask(simulator, STREAM | {"stream_options": {"include_usage": True}})).events
    )
    assert "usage" not in (await ask(simulator)).json


async def test_another_finish_reason(start: Start) -> None:
    """Any finish reason can be set."""
    got = await ask(await start("together", finish_reason="eos"), STREAM)
    assert got.events[-1]["choices"][0]["finish_reason"] == "eos"


async def test_pace(start: Start) -> None:
    """The head comes after latency_ms, the pieces at their pace after first_token_ms."""
    simulator = await start(latency_ms=20, first_token_ms=30, pace_ms=10, pieces=4)
    await ask(simulator, STREAM)
    entry = await settled(simulator)
    assert (entry.head_ms or 0) >= 20
    assert (entry.duration_ms or 0) >= 80


async def test_the_head_and_the_role_at_once(start: Start) -> None:
    """With head_first the head and a delta without text come before all waiting; without it only after latency_ms."""
    simulator = await start(latency_ms=60_000, first_token_ms=60_000, head_first=True)
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(request(simulator, STREAM))
    assert b'"role":"assistant","content":""' in await asyncio.wait_for(reader.readuntil(b"}\n\n"), 30)
    writer.close()
    assert (await settled(simulator)).outcome == "client_gone"


async def test_comments_while_waiting(start: Start) -> None:
    """Comments come as a heartbeat while the first piece is awaited."""
    simulator = await start("vllm", first_token_ms=60_000, comments_every_ms=5)
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(request(simulator, STREAM))
    for _ in range(3):
        await asyncio.wait_for(reader.readuntil(b": keep-alive\n\n"), 60)
    writer.close()
    assert (await settled(simulator)).pieces_sent == 0
    simulator.behave({"first_token_ms": 60, "comments_every_ms": 10})
    assert (await ask(simulator, STREAM)).text == TEXT.format("vllm")


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_cut_after_some_pieces(start: Start, how: str) -> None:
    """A stream that is cut has its pieces and no end, neither of the stream nor of the body."""
    simulator = await start(fault={"kind": "cut", "after_pieces": 3, "how": how})
    got = await ask(simulator, STREAM)
    assert (got.text, got.done, got.whole) == ("Hello from openai", False, False)
    assert got.ended == ("reset" if how == "reset" else "fin")
    entry = await settled(simulator)
    assert (entry.outcome, entry.pieces_sent, entry.completion_tokens) == ("cut", 3, 3)


async def test_cut_within_an_event(start: Start) -> None:
    """truncate_json stops in the middle of an event."""
    got = await ask(await start(fault={"kind": "truncate_json", "after_pieces": 2}), STREAM)
    assert got.chunks[-1].startswith(b'data: {"id"')
    assert not got.chunks[-1].endswith(b"\n")
    assert not got.whole


async def test_broken_chunk_framing(start: Start) -> None:
    """Where a chunk's size should stand there is something else."""
    got = await ask(await start(fault={"kind": "garbage", "how": "chunk", "after_pieces": 1}), STREAM)
    assert got.raw.endswith(b"\r\nzz\r\nthis is not a chunk\r\n")


async def test_an_event_that_cannot_be_decoded(start: Start) -> None:
    """Garbage is one event that is no UTF-8, among good ones."""
    got = await ask(await start(fault={"kind": "garbage", "after_pieces": 1}), STREAM)
    assert b'"content":"\xff\xfe\n\n' in got.body
    assert (got.done, got.whole) == (True, True)


@pytest.mark.parametrize(
    ("provider", "done"),
    [("dashscope", False), ("together", False), ("openrouter", False), ("vllm", True), ("openai", False)],
)
async def test_errors_within_a_stream(start: Start, provider: str, done: bool) -> None:
    """An error comes after the pieces in the provider's own form; only vLLM follows it with `[DONE]`."""
    got = await ask(await start(provider, fault={"kind": "in_band_error", "after_pieces": 2}), STREAM)
    last = got.events[-1]
    assert (got.done, got.whole) == (done, True)
    assert last["error"]["message"]
    if provider == "openrouter":
        assert (last["object"], last["provider"]) == ("chat.completion.chunk", "Simulated")
        assert last["choices"][0]["finish_reason"] == "error"
        assert isinstance(last["error"]["code"], int)
        assert last["error"]["metadata"]["error_type"] == "provider_unavailable"
    else:
        assert "choices" not in last
    assert provider != "vllm" or last["error"]["code"] == 500


async def test_a_named_error_within_a_stream(start: Start) -> None:
    """DashScope's output inspection strikes in the middle of an answer."""
    fault = {"kind": "in_band_error", "name": "dashscope.output_inspection", "after_pieces": 4}
    got = await ask(await start("dashscope", fault=fault), STREAM)
    assert len(got.events) == 6
    assert got.events[-1]["error"]["code"] == "data_inspection_failed"


@pytest.mark.parametrize("done", [True, False])
async def test_a_clean_end_without_a_finish(start: Start, done: bool) -> None:
    """The body ends as it should, with or without `[DONE]`, but no choice was finished."""
    got = await ask(await start(fault={"kind": "no_finish", "done": done}), STREAM)
    assert (got.text, got.done, got.whole) == (SAID, done, True)
    assert not any(choice["finish_reason"] for event in got.events for choice in event["choices"])


async def test_a_stall_until_the_client_leaves(start: Start) -> None:
    """A stalled stream is open and silent; the record says how many pieces went out and when the client left."""
    simulator = await start(fault={"kind": "stall", "after_pieces": 2})
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(request(simulator, STREAM))
    await asyncio.wait_for(reader.readuntil(b'" from"'), 30)
    await reader.readuntil(b"\n\n\r\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.05)
    writer.close()
    entry = await settled(simulator)
    shown = entry.shown()
    assert (entry.outcome, entry.pieces_sent) == ("client_gone", 2)
    assert shown["client_gone_ms"] == shown["duration_ms"]
    assert (entry.duration_ms or 0) >= 50


@pytest.mark.parametrize("every", [5, None])
async def test_a_stall_with_a_heartbeat(start: Start, monkeypatch: pytest.MonkeyPatch, every: float | None) -> None:
    """A stall can go on sending comments, which are not an answer, as often as is set or once a second."""
    monkeypatch.setattr(streams, "STALL_COMMENT_MS", 4.0)
    simulator = await start(comments_every_ms=every, fault={"kind": "stall", "comments": True})
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(request(simulator, STREAM))
    for _ in range(3):
        await asyncio.wait_for(reader.readuntil(b": keep-alive\n\n"), 30)
    writer.close()
    assert (await settled(simulator)).pieces_sent == 0


async def test_a_client_that_leaves_a_stream(start: Start) -> None:
    """A client that leaves in the middle stops the answer."""
    simulator = await start(pieces=100_000, pace_ms=1)
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(request(simulator, STREAM))
    await asyncio.wait_for(reader.readuntil(b" from"), 30)
    writer.close()
    entry = await settled(simulator)
    assert entry.outcome == "client_gone"
    assert 2 <= entry.pieces_sent < 100_000


async def test_a_compressed_stream(start: Start) -> None:
    """A gzip stream can be read as it comes."""
    got = await ask(await start(fault={"kind": "gzip"}), STREAM)
    unpacker = zlib.decompressobj(wbits=31)
    assert unpacker.decompress(got.chunks[0]).startswith(b"data: ")
    rest = b"".join(unpacker.decompress(chunk) for chunk in got.chunks[1:])
    assert rest.endswith(b"data: [DONE]\n\n")
    assert unpacker.eof


async def test_bytes_after_a_stream(start: Start) -> None:
    """A second answer that nobody asked for can follow the last chunk."""
    got = await ask(
        await start(fault={"kind": "extra_bytes", "delay_ms": 1, "body": "HTTP/1.1 200 OK\r\n\r\n"}), STREAM
    )
    assert got.raw.endswith(b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")


async def test_faults_for_streams_only(start: Start) -> None:
    """A fault can leave calls that do not stream alone."""
    simulator = await start(fault={"kind": "cut", "only_stream": True})
    assert (await ask(simulator, HELLO)).status == 200
    assert not (await ask(simulator, STREAM)).whole
    assert [entry.fault for entry in simulator.upstream.journal.entries] == [None, "cut"]


async def test_many_streams_at_once(start: Start) -> None:
    """A hundred streams side by side all arrive whole, each with its own text."""
    simulator = await start(pace_ms=2)

    async def one(number: int) -> bool:
        got = await ask(simulator, STREAM | {"messages": [{"role": "user", "content": f"number {number}"}]})
        return got.done and got.text.endswith(f"You said: number {number}")

    assert all(await asyncio.gather(*(one(number) for number in range(100))))
    assert simulator.upstream.journal.totals()["outcomes"] == {"complete": 100}
