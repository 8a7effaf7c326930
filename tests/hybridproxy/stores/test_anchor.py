"""Heads on their way elsewhere: in order, again until they are taken, and never in anybody's way."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from hybridproxy.stores import anchor as module
from hybridproxy.stores.anchor import Anchor, AnchorError, FileSink, HttpSink


class Events(list[tuple[str, dict[str, Any]]]):
    """A log."""

    def __call__(self, name: str, **fields: Any) -> None:
        self.append((name, fields))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self]


class Sink:
    """Takes lines, or fails so many times before."""

    def __init__(self, failures: int = 0, error: Exception | None = None) -> None:
        self.lines: list[bytes] = []
        self.failures = failures
        self.error = error or AnchorError("it answered with status 500")
        self.closed = False

    async def take(self, lines: bytes) -> None:
        if self.failures:
            self.failures -= 1
            raise self.error
        self.lines += lines.splitlines(keepends=True)

    async def close(self) -> None:
        self.closed = True


async def until(condition: Callable[[], object]) -> None:
    """Wait for what another task brings about."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def server(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """An HTTP sink on this machine."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/heads"
    finally:
        await runner.cleanup()


async def test_heads_are_delivered_in_order() -> None:
    """At most so many at once."""
    sink, log = Sink(), Events()
    anchor = Anchor(sink, log)
    running = asyncio.create_task(anchor.run())
    heads = [b"%d\n" % n for n in range(250)]
    for head in heads:
        anchor.send(head)
    await until(lambda: len(sink.lines) == 250)
    await anchor.close()
    await running
    assert sink.lines == heads
    assert sink.closed
    assert not log
    assert anchor.gauges() == {
        "hybridproxy_audit_anchored_heads": 250, "hybridproxy_audit_anchor_failures": 0,
        "hybridproxy_audit_anchor_waiting": 0, "hybridproxy_audit_anchor_lost": 0,
    }  # fmt: skip


async def test_what_fails_is_sent_again_and_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """After pauses that double; in order."""
    pauses: list[float] = []

    async def pause(_event: asyncio.Event, seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) == 3:
            anchor.send(b"2\n")
        return False

    monkeypatch.setattr(module, "wait", pause)
    sink, log = Sink(failures=7), Events()
    anchor = Anchor(sink, log)
    running = asyncio.create_task(anchor.run())
    anchor.send(b"1\n")
    await until(lambda: len(sink.lines) == 2)
    await anchor.close()
    await running
    assert sink.lines == [b"1\n", b"2\n"]
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert log == [
        ("audit.anchor_failing", {"reason": "it answered with status 500"}), ("audit.anchored", {"lost": 0}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (TimeoutError(), "TimeoutError"),
        (aiohttp.ClientPayloadError("https://user:secret@sink"), "ClientPayloadError"),
    ],
)
async def test_a_reason_holds_no_address(error: Exception, reason: str) -> None:
    """The kind of error is enough."""
    log = Events()
    anchor = Anchor(Sink(1, error), log)
    anchor.send(b"1\n")
    assert not await anchor.deliver()
    assert log == [("audit.anchor_failing", {"reason": reason})]


async def test_of_too_many_heads_the_oldest_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest vouch for what the others would have; those that came back are older than those that came since."""
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    sink = Sink(failures=1)
    anchor = Anchor(sink, Events())
    for n in range(5):
        anchor.send(b"%d\n" % n)
    assert anchor.lost == 2

    async def take(_lines: bytes) -> None:
        anchor.send(b"5\n")
        raise AnchorError("no")

    with monkeypatch.context() as patch:
        patch.setattr(sink, "take", take)
        assert not await anchor.deliver()
    assert anchor.lost == 3
    sink.failures = 0
    assert await anchor.deliver()
    assert sink.lines == [b"3\n", b"4\n", b"5\n"]


async def test_an_end_delivers_once_more_and_no_more_than_that() -> None:
    """A sink that is gone does not hold the process up."""
    sink = Sink(failures=99)
    anchor = Anchor(sink, Events())
    anchor.send(b"1\n")
    await anchor.close()
    assert (anchor.failures, sink.closed) == (1, True)


async def test_a_file_is_appended_to(tmp_path: Path) -> None:
    """By a thread; what fails there fails here."""
    sink = FileSink(tmp_path / "heads")
    await sink.take(b"1\n")
    await sink.take(b"2\n")
    assert (tmp_path / "heads").read_bytes() == b"1\n2\n"
    with pytest.raises(IsADirectoryError):
        await FileSink(tmp_path).take(b"1\n")
    await sink.close()


async def test_a_delivery_that_was_given_up_may_end_when_it_likes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount that hangs keeps its thread, and nobody else."""
    go = threading.Event()
    monkeypatch.setattr(module, "append_to", lambda *_: go.wait(30))
    monkeypatch.setattr(module, "DELIVERY", 0.01)
    log = Events()
    anchor = Anchor(FileSink(tmp_path / "heads"), log)
    anchor.send(b"1\n")
    assert not await anchor.deliver()
    assert log.names == ["audit.anchor_failing"]
    go.set()
    await until(lambda: not any(thread.name == "anchor" for thread in threading.enumerate()))
    await asyncio.sleep(0)


async def test_an_http_sink_gets_the_lines() -> None:
    """By POST, over a connection that is kept."""
    got: list[tuple[str, str, bytes]] = []

    async def answer(request: web.Request) -> web.Response:
        got.append((request.method, request.path, await request.read()))
        return web.Response(status=204)

    async with server(answer) as url:
        sink = HttpSink(url)
        await sink.take(b"1\n2\n")
        await sink.take(b"3\n")
        await sink.close()
    assert got == [("POST", "/heads", b"1\n2\n"), ("POST", "/heads", b"3\n")]


@pytest.mark.parametrize("status", [199 + 108, 400, 503])
async def test_a_sink_that_does_not_say_yes_has_not_taken_it(status: int) -> None:
    """Redirects are not followed."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"location": "/else"})

    async with server(answer) as url:
        sink = HttpSink(url)
        with pytest.raises(AnchorError, match=str(status)):
            await sink.take(b"1\n")
        await sink.close()


async def test_a_sink_that_was_never_used_has_nothing_to_close() -> None:
    """No head came."""
    await HttpSink("http://127.0.0.1:1/heads").close()


async def test_an_end_waits_for_the_delivery_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment; a sink that hangs is left behind."""
    monkeypatch.setattr(module, "LAST", 0.01)
    began, go = asyncio.Event(), asyncio.Event()
    sink = Sink()

    async def take(_lines: bytes) -> None:
        began.set()
        await go.wait()

    monkeypatch.setattr(sink, "take", take)
    anchor = Anchor(sink, Events())
    running = asyncio.create_task(anchor.run())
    anchor.send(b"1\n")
    await began.wait()
    await anchor.close()
    assert sink.closed
    go.set()
    await running
    assert anchor.sent == 1
