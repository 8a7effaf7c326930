"""A client that shows every byte: what a library would repair or hide is what these tests look at."""

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson

from hybridproxy.simulator.journal import Entry
from hybridproxy.simulator.server import RunningSimulator

JsonDict = dict[str, Any]
HELLO: JsonDict = {"model": "m", "messages": [{"role": "user", "content": "good morning"}]}
STREAM: JsonDict = HELLO | {"stream": True}
TEXT = "Hello from {} (m). You said: good morning"


@dataclass(frozen=True)
class Got:
    """All bytes of one connection, and how it ended: "fin" or "reset"."""

    raw: bytes
    ended: str

    @property
    def head(self) -> str:
        """The first head, without its blank line."""
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def status(self) -> int:
        """The status of the first answer."""
        return int(self.head.split(" ", 2)[1])

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the first answer."""
        return dict(line.split(": ", 1) for line in self.head.split("\r\n")[1:])

    @property
    def rest(self) -> bytes:
        """Everything behind the first head."""
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def json(self) -> Any:
        """The body of an answer with a length."""
        return orjson.loads(self.rest)

    @property
    def chunks(self) -> list[bytes]:
        """The chunks that arrived whole; the empty last one is among them."""
        found, rest = [], self.rest
        while b"\r\n" in rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            if len(rest) < length + 2:
                break
            assert rest[length : length + 2] == b"\r\n"
            found.append(rest[:length])
            rest = rest[length + 2 :]
        return found

    @property
    def whole(self) -> bool:
        """Whether a chunked body came to its end."""
        return bool(self.chunks) and self.chunks[-1] == b""

    @property
    def body(self) -> bytes:
        """The chunked body."""
        return b"".join(self.chunks)

    @property
    def blocks(self) -> list[str]:
        """The blocks of the stream: events and comments."""
        return [block for block in self.body.decode(errors="replace").split("\n\n") if block]

    @property
    def events(self) -> list[JsonDict]:
        """The JSON of the events, without `[DONE]`."""
        data = [block.removeprefix("data: ") for block in self.blocks if block.startswith("data: ")]
        return [orjson.loads(item) for item in data if item != "[DONE]"]

    @property
    def text(self) -> str:
        """The content of the first choice."""
        return "".join(content_of(event) for event in self.events)

    @property
    def done(self) -> bool:
        """Whether `[DONE]` came last."""
        return bool(self.blocks) and self.blocks[-1] == "data: [DONE]"


def content_of(event: JsonDict) -> str:
    """Return an event's text for the first choice."""
    found = [choice.get("delta", {}).get("content") or "" for choice in event["choices"] if choice["index"] == 0]
    return "".join(found)


def request(
    simulator: RunningSimulator,
    body: object,
    path: str = "/chat/completions",
    *,
    key: str | None = "any-key",
    headers: str = "connection: close\r\n",
    method: str = "POST",
) -> bytes:
    """Write a request; the path stands behind the provider's prefix, or alone if it starts with two slashes."""
    target = path[1:] if path.startswith("//") else simulator.upstream.row.prefix + path
    data = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
    auth = "" if key is None else f"Authorization: Bearer {key}\r\n"
    return (
        f"{method} {target} HTTP/1.1\r\nHost: sim\r\n{auth}{headers}Content-Length: {len(data)}\r\n\r\n".encode() + data
    )


async def read_all(reader: asyncio.StreamReader) -> Got:
    """Read until the connection ends, however it ends."""
    raw = bytearray()
    async with asyncio.timeout(60):
        while True:
            try:
                data = await reader.read(65536)
            except ConnectionResetError:
                # the reader forgets what arrived before the reset, unless it is taken from its buffer
                return Got(bytes(raw) + bytes(getattr(reader, "_buffer")), "reset")  # noqa: B009 - not in its type
            if not data:
                return Got(bytes(raw), "fin")
            raw += data


async def send(simulator: RunningSimulator, data: bytes) -> Got:
    """Send bytes on a connection of their own and return all that comes back."""
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(data)
    try:
        return await read_all(reader)
    finally:
        writer.transport.abort()


async def ask(simulator: RunningSimulator, body: object = None, path: str = "/chat/completions", **options: Any) -> Got:
    """Send one request and return all that comes back."""
    return await send(simulator, request(simulator, HELLO if body is None else body, path, **options))


async def get(simulator: RunningSimulator, path: str, key: str | None = "any-key") -> Got:
    """Send one GET."""
    return await send(simulator, request(simulator, None, path, key=key, method="GET"))


async def settled(simulator: RunningSimulator, place: int = -1) -> Entry:
    """Wait for the outcome of a recorded request."""
    async with asyncio.timeout(60):
        while not simulator.upstream.journal.entries or simulator.upstream.journal.in_flight:
            await asyncio.sleep(0.001)
    return simulator.upstream.journal.entries[place]
