"""Upstreams whose text looks like framing: it arrives as text, and ends, heads and answers are only real ones."""

import orjson
import pytest

from tests.support.raw_calls import GOOD, call, raw, statuses
from tests.support.raw_server import CHUNKED, Peer, RawServer, answer, chunk
from tests.support.raw_upstream import delta, scripted
from tests.support.stack import Stack, chat

TEXTS = (
    "a\nb\r\nc\rd", "x\n\nevent: evil\ndata: [DONE]\n\n", "a\u2028b\u2029c\x85d\x0b\x0c", "data: [DONE]", "\ufeffstart",
    'quote " and \\ and \x00 and \x1b[31m', "😀é中 " * 5, "HTTP/1.1 200 OK\r\n\r\n0\r\n\r\n",
)  # fmt: skip


async def test_text_arrives_as_it_was_wherever_the_upstream_splits_it(stack: Stack) -> None:
    """H7: all split positions, three line ends, text full of framing: the official client sees the text and no more."""
    bodies: list[tuple[str, bytes, int]] = []
    for text in TEXTS:
        for escape in (True, False):
            plain = delta(text, escape=escape) + delta(None, "stop") + b"data: [DONE]\n\n"
            bodies.append((text, plain, len(plain)))
    text = TEXTS[1] + TEXTS[2]
    plain = b"event: message\nid: 1\n: c\nretry: 1\n" + delta(text) + b":\n\n" + delta(None, "stop")
    for end in (b"\r\n", b"\r", b"\n"):
        body = plain.replace(b"\n", end)
        bodies += [(text, body, at) for at in range(1, len(body), 3 if end == b"\n" else 1)]
    todo = iter(bodies)

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            _, body, at = next(todo)
            pieces = [chunk(piece) for piece in (body[:at], body[at:]) if piece]
            await peer.send(CHUNKED, *pieces, chunk(b""))

    async with RawServer(script) as server:
        await scripted(stack, server)
        raw_http = stack.http
        for number, (text, body, at) in enumerate(bodies):
            async with stack.post(json=chat(stream=True)) as response:
                data = await response.read()
            events = data.split(b"\n\n")
            assert b"\r" not in data
            assert events[-2:] == [b"data: [DONE]", b""], (body, at)
            assert all(e.startswith((b"data: {", b":")) and b"\n" not in e for e in events[:-2]), (body, at)
            got = "".join(
                orjson.loads(e[6:])["choices"][0]["delta"].get("content") or ""
                for e in events
                if e.startswith(b"data: {")
            )
            assert got == text, (body, at)
            assert number < len(bodies)
        todo = iter(bodies[: 2 * len(TEXTS)])
        client = stack.openai()
        for text, _, _ in bodies[: 2 * len(TEXTS)]:
            parts = [
                part.choices[0].delta.content or ""
                async for part in await client.chat.completions.create(**chat(), stream=True)
            ]
            assert "".join(parts) == text
        assert raw_http is stack.http
        for peer in server.peers:
            peer.cut_off()
        server.errors.clear()


@pytest.mark.parametrize(
    "body",
    [
        delta("a") + b"data: [DONE]\n\n",
        delta("a") + delta(None, "stop")[:-1],
        delta("a") + delta(None, "stop") + b"data: {",
        delta("a") + delta(None, "stop") + b"data: [DONE",
        delta("a") + b"data: [DONE]\n\n" + delta("b"),
        delta("a") + b"data: nonsense\n\n" + delta(None, "stop"),
        delta("a") + delta(None, "stop").replace(b'"index":0', b'"index":1'),
        delta("a") + b"data: " + b"x" * (1 << 20) + b"\n\n",
        delta("a") + b'data: {"error":{"message":"key tg-key-0123456789abcdef at http://127.0.0.1:9/v1"}}\n\n',
        delta("a") + delta(None, "error"),
        delta("a") + delta(None, "stop") + b'data: {"error":"late"}\n\n',
    ],
    ids=range(11),
)
async def test_a_stream_that_only_looks_complete_is_an_error(stack: Stack, body: bytes) -> None:
    """Promise 5: no finish reason on every choice and a clean end, no terminal marker."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED, chunk(delta("first")), chunk(body), chunk(b""))
        await peer.gone()

    async with RawServer(script) as server:
        await scripted(stack, server)
        came = await raw(stack, call(None, stream=True))
    assert b"HTTP/1.1 200" in came
    assert b"first" in came
    assert b"data: [DONE]" not in came.replace(body, b"")
    assert b'data: {"error"' in came
    assert not came.endswith((b"0\r\n\r\n", b"<open>"))
    assert b"0123456789abcdef" not in came
    assert b"http://" not in came


async def test_nothing_an_upstream_says_becomes_a_header_or_a_second_answer(stack: Stack) -> None:
    """Response splitting: none of an upstream's head goes on, and none of its bytes after the end."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(
            answer(
                orjson.dumps({"choices": [{"index": 0, "message": {"content": "ok"}, "finish_reason": "stop"}]}),
                b"set-cookie: a=b", b"x-hybridproxy-backend: evil", b"server: vllm/10.0.3.1", b"x-request-id: theirs",
                b"content-type: text/html", b"location: http://evil", b"connection: x-evil",
            )
            + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"
        )  # fmt: skip
        await peer.gone()

    async with RawServer(script) as server:
        await scripted(stack, server)
        came = await raw(stack, call() + call(GOOD, "connection: close"))
    assert statuses(came) == [200, 200]
    for word in (b"evil", b"set-cookie", b"theirs", b"vllm", b"text/html"):
        assert word not in came
