"""Load that a worker cannot bear, from processes that cost little beside it: `python -m tests.acceptance.storm WHAT …`.

    upstream PORT        answers every call with the same JSON at once, or with a stream of 20 events in 100 ms
    load PORT            reads orders from stdin, a JSON object a line, and writes for each what came of it

An order of the load: `pid` of the server; `phases`, one right after the other, each with `seconds` and either `rate`
(calls a second, whether or not others were answered) or `connections` (each sends its next call after its answer);
and `calls`, the kinds of calls, each with `share`, `keys` in turn, `bytes` of its prompt, and where they are others
`model` and `stream`. What came of it, by phase and kind, and at last `late`: counts of calls `answered` (200),
`refused` (429, 503; `without`: with no Retry-After), `failed` and `unsent` (due while too many were under way), and
times in ms from a call's sending to its whole answer. A phase has `cpu` as well: the seconds of CPU time of the
server's loop.
"""

import asyncio
import itertools
import math
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import orjson
import uvloop

ANSWER = orjson.dumps({
    "id": "chatcmpl-storm", "object": "chat.completion", "created": 1, "model": "storm",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 100}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 100, "total_tokens": 120},
})  # fmt: skip
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)
EVENTS, PACE = 20, 0.005
"""Of a stream: how many, and seconds between two."""

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
MOST = 4000
"""Connections at a time."""

PATIENCE = 10.0
"""Seconds after which a call without an answer failed."""


LAST_CHUNK = b"\r\n0\r\n\r\n"


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    """Return one event of a stream as an HTTP chunk."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    said: dict[str, Any] = {"id": "chatcmpl-storm", "object": "chat.completion.chunk", "created": 1, "model": "storm"}
    data = b"data: " + orjson.dumps(said | {"choices": [choice]}) + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


WORD = event({"content": "word "})
USAGE: dict[str, int] = {"prompt_tokens": 20, "completion_tokens": EVENTS, "total_tokens": 20 + EVENTS}
LAST = (
    b'data: {"id":"chatcmpl-storm","object":"chat.completion.chunk","created":1,"model":"storm","choices":[],"usage":'
)
LAST += orjson.dumps(USAGE) + b"}\n\ndata: [DONE]\n\n"
LAST = event({}, "stop") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(LAST), LAST)


def wanted(data: bytes) -> int:
    """Return how many bytes a message has, by its head; a lot where the head is not whole yet."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return sys.maxsize
    at = data[:end].lower().find(b"content-length:")
    return end + 4 + (int(data[at + 15 : data.find(b"\r", at)]) if at >= 0 else 0)


class Upstream(asyncio.Protocol):
    """Answers."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._data = b""

    def data_received(self, data: bytes) -> None:
        """Answer each whole call."""
        data = self._data + data
        while data and (size := wanted(data)) <= len(data):
            call, data = data[:size], data[size:]
            if b'"stream":true' in call:
                self._transport.write(HEAD)
                self._say(EVENTS)
            else:
                self._transport.write(WHOLE)
        self._data = data

    def _say(self, left: int) -> None:
        """Say the rest of a stream."""
        if self._transport.is_closing():
            return
        self._transport.write(WORD if left else LAST)
        if left:
            asyncio.get_running_loop().call_later(PACE, self._say, left - 1)


class Kind:
    """One kind of calls, and what became of them."""

    def __init__(self, port: int, keys: list[str], size: int, *, model: str = "qwen", stream: bool = False) -> None:
        said = {"model": model, "messages": [{"role": "user", "content": "word " * (size // 5)}], "stream": stream}
        body = orjson.dumps(said)
        first = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer "
        head = "\r\ncontent-type: application/json\r\naccept: */*\r\nuser-agent: storm\r\ncontent-length: "
        self.requests = itertools.cycle([f"{first}{key}{head}{len(body)}\r\n\r\n".encode() + body for key in keys])
        self.answered: list[float] = []
        self.refused: list[float] = []
        self.failed = 0
        self.without = 0  # refused without Retry-After
        self.unsent = 0  # due while `MOST` were under way

    def result(self) -> dict[str, Any]:
        """Return it, and begin anew."""
        said: dict[str, Any] = {"answered": times(self.answered), "refused": times(self.refused)}
        said |= {"failed": self.failed, "without": self.without, "unsent": self.unsent}
        self.answered, self.refused = [], []
        self.failed = self.without = self.unsent = 0
        return said


def cpu(pid: int) -> float:
    """Return the seconds of CPU time that a process's first thread has had."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def times(values: list[float]) -> dict[str, Any]:
    """Return how many there are, and their percentiles in ms."""
    ordered = sorted(values)

    def at(share: float) -> float | None:
        return round(ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] * 1000, 2) if ordered else None

    return {"count": len(values), "p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "most": at(1.0)}


class Line(asyncio.Protocol):
    """One connection with at most one call on it."""

    transport: asyncio.Transport

    def __init__(self, load: "Load") -> None:
        self._load = load
        self.kind: Kind | None = None
        self._data = b""
        self._streams = False  # an answer that began
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def send(self, kind: Kind) -> None:
        """Send a call."""
        self.kind = kind
        self._data = b""
        self._sent = time.monotonic()
        self.transport.write(next(kind.requests))

    def data_received(self, data: bytes) -> None:
        """Take the answer."""
        if self._streams:
            if not data.endswith(LAST_CHUNK):
                return
            data, self._streams = WHOLE, False
        else:
            data = self._data + data
            self._streams = b"\r\ntransfer-encoding:" in data and not data.endswith(LAST_CHUNK)
            if self._streams or (b"\r\ntransfer-encoding:" not in data and wanted(data) > len(data)):
                self._data = data
                return
        kind, self.kind = self.kind, None
        if kind is None:
            return
        took = time.monotonic() - self._sent
        status = data[9:12]
        if status == b"200":
            kind.answered.append(took)
        elif status in {b"503", b"429"}:
            kind.refused.append(took)
            kind.without += b"\r\nretry-after: " not in data
        else:
            kind.failed += 1
        if b"\r\nconnection: close" in data:
            self.transport.abort()
        else:
            self._load.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count what was on it."""
        self._load.lost(self)

    def fail(self, now: float) -> bool:
        """Give up a call that waits for too long; return whether it was one."""
        if self.kind is None or now - self._sent < PATIENCE:
            return False
        self.transport.abort()
        return True


class Load:
    """Sends calls."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Line] = []
        self._lines: set[Line] = set()
        self._closed_loop: Iterator[Kind] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def free(self, line: Line) -> None:
        """Take a connection that has its answer."""
        if self._closed_loop is not None:
            line.send(next(self._closed_loop))
        else:
            self._idle.append(line)

    def lost(self, line: Line) -> None:
        """Take the end of a connection."""
        self._lines.discard(line)
        if line in self._idle:
            self._idle.remove(line)
        if line.kind is not None:
            line.kind.failed += 1

    async def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one order."""
        kinds = {
            name: Kind(
                self._port, given["keys"], given["bytes"],
                model=given.get("model", "qwen"), stream=given.get("stream", False),
            )
            for name, given in order["calls"].items()
        }  # fmt: skip
        turns = itertools.cycle(spread({name: given["share"] for name, given in order["calls"].items()}))
        chosen = (kinds[name] for name in turns)
        phases = []
        for phase in order["phases"]:
            began, used = time.monotonic(), cpu(order["pid"])
            if "connections" in phase:
                self._closed_loop = chosen
                for _ in range(phase["connections"]):
                    await self._send(next(chosen))
                await asyncio.sleep(phase["seconds"])
                self._closed_loop = None
            else:
                await self._open_loop(chosen, phase["rate"], began + phase["seconds"])
            said = {name: kind.result() for name, kind in kinds.items()}
            used = cpu(order["pid"]) - used
            phases.append({"seconds": time.monotonic() - began, "cpu": used, "calls": said})
        end = time.monotonic() + PATIENCE
        while any(line.kind for line in self._lines) and time.monotonic() < end:
            await asyncio.sleep(0.005)
        for line in self._lines:
            line.fail(math.inf)
        return {"phases": phases, "late": {name: kind.result() for name, kind in kinds.items()}}

    async def _open_loop(self, chosen: Iterator[Kind], rate: float, end: float) -> None:
        due = swept = time.monotonic()
        while (now := time.monotonic()) < end:
            while due <= now:
                due += 1 / rate
                kind = next(chosen)
                if self._idle:
                    self._idle.pop().send(kind)
                elif len(self._lines) + len(self._tasks) < MOST:
                    task = asyncio.ensure_future(self._send(kind))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                else:
                    kind.unsent += 1
            if now - swept > 1:
                swept = now
                for line in list(self._lines):
                    line.fail(now)
            await asyncio.sleep(0.001)

    async def _send(self, kind: Kind) -> None:
        try:
            _, line = await asyncio.get_running_loop().create_connection(lambda: Line(self), "127.0.0.1", self._port)
        except OSError:
            kind.failed += 1
            return
        self._lines.add(line)
        line.send(kind)


def spread(shares: dict[str, int]) -> list[str]:
    """Return names in turn, each as often as its share, evenly spread."""
    marks: Iterable[tuple[float, str]] = ((n / share, name) for name, share in shares.items() for n in range(share))
    return [name for _, name in sorted(marks)]


async def serve(port: int) -> None:
    """Be the upstream."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


async def obey(port: int) -> None:
    """Be the load."""
    load = Load(port)
    while line := await asyncio.to_thread(sys.stdin.buffer.readline):
        print(orjson.dumps(await load.run(orjson.loads(line))).decode(), flush=True)  # noqa: T201 - what it is for


if __name__ == "__main__":
    uvloop.run({"upstream": serve, "load": obey}[sys.argv[1]](int(sys.argv[2])))
