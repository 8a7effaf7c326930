"""Playing one streamed answer: waits, chunks, writes, and whatever the fault puts in."""

import asyncio
import zlib
from collections.abc import Iterator
from time import monotonic
from typing import Final

from hybridproxy.simulator import messages, native, responses, sse, wire
from hybridproxy.simulator.answers import Answer
from hybridproxy.simulator.behaviour import Behaviour
from hybridproxy.simulator.reply import Reply
from hybridproxy.simulator.script import Break, Step, error_of, with_fault
from hybridproxy.simulator.wire import Act

FOREVER: Final = float("inf")
STALL_COMMENT_MS: Final = 1000.0
"""Between the comments of a stall that has comments, unless the settings say otherwise."""


class Stream:
    """One streamed answer on its way out."""

    def __init__(self, reply: Reply, behaviour: Behaviour, answer: Answer) -> None:
        """Prepare; nothing is written yet."""
        self._reply, self._settings, self._answer = reply, behaviour, answer
        self._cutter = sse.Cutter(behaviour.chunking)
        self._gzip = zlib.compressobj(wbits=31) if reply.kind == "gzip" else None
        self._due = 0.0
        self._begun = False
        self._paced = False

    async def play(self) -> None:
        """Send the head and every step."""
        settings = self._settings
        self._reply.head(200, "text/event-stream", None, (("cache-control", "no-cache"),))
        if settings.bom:
            await self._send(sse.BOM)
        wait = settings.first_token_ms + (settings.latency_ms if settings.head_first else 0)
        self._due = monotonic() + wait / 1000
        for act, data in self._steps():
            if act is Break.STALL:
                await self._stall()
            elif act is Break.CUT:
                await self._flush()
                await self._reply.break_off("cut")
                return
            elif act is Break.RAW:
                await self._flush()
                self._reply.exchange.write(data)
                await self._reply.break_off("cut")
                return
            await self._wait_for(act)
            await self._event(act, data)
        await self._flush()
        if self._gzip is not None:
            self._reply.exchange.send(self._gzip.flush())
        self._reply.exchange.end()
        await self._reply.exchange.drain()
        await self._reply.extra_bytes()

    def _steps(self) -> Iterator[Step]:
        answer, settings, fault = self._answer, self._settings, self._reply.fault
        responds = answer.echoed is not None
        asked = answer.usage_asked or answer.row.usage_always or responds
        with_usage = asked if settings.usage is None else settings.usage
        if answer.row.anthropic:
            healthy = messages.events(answer, with_done=settings.done)
        elif responds:
            healthy = responses.events(answer, with_usage=with_usage, with_done=settings.done)
        elif answer.native is None:
            healthy = wire.events(answer, with_usage=with_usage, with_done=settings.done)
        else:
            healthy = native.events(answer, with_usage=with_usage)
        if fault is None:
            return healthy
        row, error = error_of(answer.row, fault)
        if row.native:
            data = native.error_event(row, error, answer.id)
        elif row.anthropic:
            data = messages.frame("error", wire.error_body(row, error, answer.id))
        else:
            tell = responses.error_event if responds else wire.error_event
            data = tell(answer, row, error)
        steps = with_fault(healthy, fault, data, role_first=settings.head_first, done=row.done_after_error)
        if answer.row.anthropic:
            return (step for step in steps if step[1] != b"[DONE]")
        if answer.native is None and (not responds or answer.row.names_provider):
            return steps
        return (step for step in steps if step[0] is not Act.DONE)

    async def _wait_for(self, act: Act | Break) -> None:
        """Wait until a step is due; dues are absolute, so that delays do not add up."""
        if act is Act.COMMENT or (act is Act.ROLE and self._settings.head_first):
            return
        if not self._begun:
            self._begun = True
            await self._wait_until(self._due)
        if act is Act.PIECE:
            if self._paced and self._settings.pace_ms:
                self._due = max(self._due, monotonic() - 1) + self._settings.pace_ms / 1000
                await self._wait_until(self._due)
            self._paced = True

    async def _event(self, act: Act | Break, data: bytes) -> None:
        ending = self._settings.line_ending
        if act is Act.COMMENT:
            await self._send(sse.comment_event(data, ending))
        elif act is Break.PARTIAL:
            await self._send(sse.data_event(data, ending)[: len(data) // 2])
        elif self._answer.echoed is not None and (name := responses.name_of(data)):
            await self._send(sse.named_event(name, data, ending))
        else:
            await self._send(sse.data_event(data, ending))
        if act is Act.PIECE:
            self._reply.entry.pieces_sent += 1
            self._reply.entry.completion_tokens += 1
        if self._tells(act):
            self._reply.entry.tell(self._answer.cost if self._answer.row.names_provider else None)

    def _tells(self, act: Act | Break) -> bool:
        """Return whether an event has usage: all tokens made so far."""
        answer = self._answer
        if answer.row.anthropic:
            return act is Act.FINISH
        if answer.echoed is not None:
            return act is Act.FINISH and self._settings.usage is not False
        if answer.native is not None:
            return self._settings.usage is not False and act in {Act.PIECE, Act.FINISH}
        return act is Act.USAGE or (answer.usage_each and self._settings.usage is not False and act is Act.PIECE)

    async def _send(self, data: bytes) -> None:
        for part in self._cutter.feed(data):
            await self._write(part)

    async def _flush(self) -> None:
        for part in self._cutter.flush():
            await self._write(part)

    async def _write(self, part: bytes) -> None:
        if self._gzip is not None:
            part = self._gzip.compress(part) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
        self._reply.exchange.send(part)
        await self._reply.exchange.drain()
        if self._settings.chunking in {"bytes", "split"}:
            await asyncio.sleep(0)  # uvloop joins the writes of one turn of the loop

    async def _stall(self) -> None:
        await self._flush()
        if self._reply.fault is not None and self._reply.fault.comments:
            await self._wait_until(FOREVER)
        await self._reply.say_nothing()

    async def _wait_until(self, due: float) -> None:
        """Wait, and send comments meanwhile where the settings want them."""
        every = self._settings.comments_every_ms
        if every is None and due == FOREVER:
            every = STALL_COMMENT_MS
        while (left := due - monotonic()) > 0:
            if every is None or left <= every / 1000:
                await asyncio.sleep(left)
                return
            await asyncio.sleep(every / 1000)
            await self._send(sse.comment_event(self._answer.row.comment.encode(), self._settings.line_ending))
            await self._flush()
