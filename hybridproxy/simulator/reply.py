"""Writing one answer's heads, bodies and endings, with what a fault changes in them."""

import asyncio
from collections.abc import Mapping
from typing import Final

import orjson

from hybridproxy.simulator import wire
from hybridproxy.simulator.behaviour import Fault
from hybridproxy.simulator.http import Ending, Exchange, Headers
from hybridproxy.simulator.journal import Entry, Journal
from hybridproxy.simulator.rows import ErrorRow, Provider

FORGED_ANSWER: Final = (
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 46\r\n\r\n"
    '{"choices":[{"message":{"content":"FORGED"}}]}'
)
"""What `extra_bytes` appends: bytes that a careless client takes for the answer to its next request."""
DEFAULT_HUGE_HEADER: Final = 100_000


class Reply:
    """The answer to one request, and its entry in the journal."""

    def __init__(self, row: Provider, exchange: Exchange, journal: Journal, entry: Entry, number: str) -> None:
        """Begin with nothing written; `number` names the answer until it has an id of its own."""
        self.row, self.exchange, self.entry = row, exchange, entry
        self.id = number
        self.fault: Fault | None = None
        self._journal = journal

    @property
    def kind(self) -> str | None:
        """The kind of the fault, if there is one."""
        return self.fault.kind if self.fault is not None else None

    def befall(self, fault: Fault | None) -> None:
        """Take a fault for this request."""
        if fault is not None:
            self.fault, self.entry.fault = fault, fault.kind

    def head(self, status: int, content_type: str, length: int | None, headers: Headers = ()) -> None:
        """Write the head, with the provider's own headers and the fault's."""
        fault = self.fault
        if fault is not None and fault.kind == "wrong_content_type":
            content_type = fault.content_type or "text/html; charset=utf-8"
        lines = [("content-type", content_type), *headers]
        lines += [(name, value.replace("{id}", self.id)) for name, value in self.row.headers]
        if fault is not None and fault.kind == "gzip":
            lines.append(("content-encoding", "gzip"))
        if fault is not None and fault.kind == "huge_header":
            lines.append(("x-huge", "a" * (fault.size or DEFAULT_HUGE_HEADER)))
        self.entry.status, self.entry.head_ms = status, self.entry.elapsed_ms()
        self.exchange.start(status, lines, length)

    async def whole(
        self, status: int, body: bytes, content_type: str = "application/json", headers: Headers = ()
    ) -> None:
        """Write a head and a body of known length."""
        self.head(status, content_type, len(body), headers)
        self.exchange.send(body)
        await self.exchange.drain()

    async def error(
        self, row: Provider, error: ErrorRow, *, status: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Write an error in the shape of `row`."""
        told = wire.error_body(row, error, self.id)
        body = orjson.dumps([told] if row.listed_errors else told)
        more = (*error.headers, *(headers or {}).items())
        await self.whole(status or error.status, body, "application/json", more)

    async def refuse(self, error: ErrorRow, message: str, status: int) -> None:
        """Write one of the provider's errors with a status and a message of our own."""
        await self.error(self.row, ErrorRow(status, message, error.type, error.code, more=error.more))

    async def extra_bytes(self) -> None:
        """Append what belongs to no answer, where the fault wants it."""
        if self.fault is None or self.fault.kind != "extra_bytes":
            return
        if self.fault.delay_ms:
            await asyncio.sleep(self.fault.delay_ms / 1000)
        self.exchange.write((self.fault.body if isinstance(self.fault.body, str) else FORGED_ANSWER).encode())

    async def break_off(self, outcome: str) -> None:
        """End the connection in the middle, the way the fault wants it."""
        self._journal.end(self.entry, outcome)
        ending: Ending = "reset" if self.fault is not None and self.fault.how == "reset" else "close"
        await self.exchange.break_off(ending)

    async def say_nothing(self) -> None:
        """Keep the connection open and silent until the client leaves."""
        await asyncio.get_running_loop().create_future()
