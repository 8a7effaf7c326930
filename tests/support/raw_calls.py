"""Calls as bytes, for what no client would send, and the bytes that come back."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from tests.support.stack import SHOP, TORONTO, Stack, chat

SECRETS = ("sk-ds", "tg-key", "or-key", "vllm-key", "127.0.0.1", "http://", "Traceback", 'File "')
"""What no answer may show."""
PATIENCE = 60.0
"""Seconds to wait for the first bytes of an answer."""
SECOND_LOOK = 0.3
"""Seconds of silence after a silence, before it counts: the first may have been that of the whole machine."""

HOPS = (f"x-forwarded-for: {TORONTO}",)
GOOD = orjson.dumps(chat("judged"))
"""The body of a call that is served."""


def head(
    *lines: str, path: str = "/v1/chat/completions", method: str = "POST", key: str = SHOP, hops: Sequence[str] = HOPS
) -> bytes:
    """Return a request's head."""
    first = [f"{method} {path} HTTP/1.1", "host: x", f"authorization: Bearer {key}"]
    return "\r\n".join([*first, *hops, *lines]).encode("latin-1") + b"\r\n\r\n"


def call(body: bytes | None = None, *lines: str, **more: Any) -> bytes:
    """Return a whole call."""
    data = orjson.dumps(chat(**more)) if body is None else body
    return head(f"content-length: {len(data)}", *lines) + data


async def raw(stack: Stack, data: bytes, *, seconds: float = 3.0) -> bytes:
    """Send bytes and return all that comes back; `<open>` at the end: the connection was left open.

    `seconds`: after how long a silence it is said to be open, counted from the first bytes that came.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.worker.port)
    out = b""
    try:
        writer.write(data)
        while part := await _more(reader, seconds if out else PATIENCE):
            out += part
    except TimeoutError:
        out += b"<open>"
    except ConnectionError:
        out += b"<reset>"
    writer.transport.abort()
    return out


async def _more(reader: asyncio.StreamReader, seconds: float) -> bytes:
    """Return what comes next, b"" at the end.

    Raises:
        TimeoutError: nothing comes.

    """
    try:
        return await asyncio.wait_for(reader.read(65536), seconds)
    except TimeoutError:
        return await asyncio.wait_for(reader.read(65536), SECOND_LOOK)


def statuses(data: bytes) -> list[int]:
    """Return the status of each response in what came back, going by their lengths."""
    found = []
    while data.startswith(b"HTTP/1."):
        first, _, rest = data.partition(b"\r\n\r\n")
        found.append(int(first.split(b" ", 2)[1]))
        length = next((int(h[15:]) for h in first.lower().split(b"\r\n") if h.startswith(b"content-length:")), 0)
        data = rest[length:]
    assert data in {b"", b"<open>", b"<reset>"}, data[:200]
    return found
