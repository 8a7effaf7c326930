"""A raw server in the place of an upstream, and the events that it streams."""

from typing import Any

import orjson

from tests.support.inside import change
from tests.support.raw_server import RawServer
from tests.support.stack import Stack


def delta(text: str | None, finish: str | None = None, *, escape: bool = False) -> bytes:
    """Return an upstream's event; with `escape` as ASCII."""
    content = {} if text is None else {"content": text}
    body: dict[str, Any] = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    body["choices"] = [{"index": 0, "delta": content, "finish_reason": finish}]
    data = orjson.dumps(body)
    if escape:
        data = "".join(c if ord(c) < 128 else "".join(f"\\u{u:04x}" for u in _units(c)) for c in data.decode()).encode()
    return b"data: " + data + b"\n\n"


def _units(character: str) -> list[int]:
    data = character.encode("utf-16-be")
    return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]


async def scripted(stack: Stack, server: RawServer) -> None:
    """Put a raw server where together-us is."""
    url = stack.sim("together").base_url
    await change(stack, (f'base_url: "{url}"', f'base_url: "http://127.0.0.1:{server.port}/v1"'))
