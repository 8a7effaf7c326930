"""One request at a simulated upstream, from its head to the last byte or to whatever goes wrong."""

import asyncio
import zlib
from dataclasses import dataclass, field, replace
from time import monotonic, time
from typing import Final

import orjson

from hybridproxy.simulator import sse, wire
from hybridproxy.simulator.answers import Answer, RequestError, Said, answer_for, count_words, read_request
from hybridproxy.simulator.behaviour import Behaviour, Fault
from hybridproxy.simulator.cache import PrefixCache
from hybridproxy.simulator.continuation import prefix_of
from hybridproxy.simulator.errors import ERRORS
from hybridproxy.simulator.http import BodyError, Connection, Exchange
from hybridproxy.simulator.journal import Journal
from hybridproxy.simulator.reply import Reply
from hybridproxy.simulator.rows import Json, Place, Provider
from hybridproxy.simulator.script import error_of
from hybridproxy.simulator.streams import Stream
from hybridproxy.simulator.switch import BEFORE_HEAD, Switch

NOT_HTTP: Final = b"\x16\x03\x01\x02\x00 this is not HTTP\r\n\r\n"
_INFORMATIONAL: Final = {
    100: b"HTTP/1.1 100 Continue\r\n\r\n",
    102: b"HTTP/1.1 102 Processing\r\n\r\n",
    103: b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n",
}


@dataclass(slots=True, eq=False)
class Upstream:
    """One simulated server: what it imitates, how it behaves, what it has seen."""

    name: str
    row: Provider
    switch: Switch = field(default_factory=Switch)
    journal: Journal = field(default_factory=Journal)
    cache: PrefixCache = field(default_factory=PrefixCache)
    connections: set[Connection] = field(default_factory=set)
    accepted: int = 0
    refused: int = 0


async def answer_call(upstream: Upstream, exchange: Exchange) -> None:
    """Answer a request, and settle its entry in the journal once, whatever happens."""
    entry = upstream.journal.begin(exchange.request)
    try:
        await Call(
            upstream,
            exchange,
            Reply(upstream.row, exchange, upstream.journal, entry, f"{upstream.name}-{entry.number:06d}"),
        ).run()
    except asyncio.CancelledError:
        upstream.journal.end(entry, "client_gone")
        raise
    except Exception:
        upstream.journal.end(entry, "simulator_error")
        raise
    upstream.journal.end(entry, "complete")


class Call:
    """One request on its way through the simulated server."""

    def __init__(self, upstream: Upstream, exchange: Exchange, reply: Reply) -> None:
        """Begin with the head; the settings of this moment hold until the end."""
        self._upstream, self._reply = upstream, reply
        self._exchange, self._request, self._row = exchange, exchange.request, upstream.row
        self._settings: Behaviour = upstream.switch.behaviour
        scheme, _, key = (exchange.request.header("authorization") or "").partition(" ")
        self._key = key.strip() if scheme.lower() == "bearer" and key.strip() else None

    async def run(self) -> None:
        """Do what is done before the body is read, read it, and go on."""
        reply = self._reply
        reply.befall(self._upstream.switch.before_body(monotonic(), self._key))
        if reply.fault is not None and reply.kind == "refuse":
            await reply.break_off("refused")
            return
        if reply.fault is not None and reply.kind == "early_response":
            self._exchange.keep_alive = False
            await reply.error(*error_of(self._row, reply.fault), status=reply.fault.status or 503)
            return
        try:
            body = await self._exchange.body()
        except BodyError as failure:
            await reply.refuse(self._row.bad_request, str(failure), failure.status)
            return
        self._upstream.journal.keep_body(reply.entry, body)
        path, prefix = self._request.path, self._row.prefix + "/"
        name = path.removeprefix(prefix) if path.startswith(prefix) else ""
        if name in self._row.calls and self._request.method == "POST":
            await self._model_call(name, body)
        else:
            await self._other(name)

    async def _other(self, name: str) -> None:
        """Answer what is no model call: the list of models, health, metrics, or nothing known."""
        row, reply, path, method = self._row, self._reply, self._request.path, self._request.method
        reply.befall(self._upstream.switch.for_other_path(monotonic(), self._key))
        if await self._instead_of_head(None):
            return
        if path in row.open_paths and method == "GET":
            content_type, text = row.open_paths[path]
            await reply.whole(200, self._loaded(text).encode(), content_type)
        elif self._unauthorized():
            await reply.error(row, row.unauthorized)
        elif name == "models" and method == "GET":
            await reply.whole(200, orjson.dumps(wire.model_list(row, int(time()))))
        else:
            known = name in row.calls or name == "models" or path in row.open_paths
            await reply.refuse(row.not_found, f"{row.name} does not answer {method} {path}.", 405 if known else 404)

    def _unauthorized(self) -> bool:
        return not self._row.keyless and (self._key is None or self._key in self._settings.bad_keys)

    def _loaded(self, text: str) -> str:
        """Put the load of the moment into a page; whoever asks for it is none."""
        running, settings = self._upstream.journal.in_flight - 1, self._settings
        told = {"running": running, "waiting": settings.waiting, "usage": settings.kv_usage}
        for name, value in told.items():
            text = text.replace(f"{{{name}}}", str(float(value)))
        return text

    async def _model_call(self, name: str, raw: bytes) -> None:
        row, reply = self._row, self._reply
        if self._unauthorized():
            await reply.error(row, row.unauthorized)
            return
        try:
            body = read_request(row, name, raw)
            answer = None if name == "embeddings" else self._answer(name, body)
            vectors = wire.embeddings(row, body, reply.id) if answer is None else {}
        except RequestError as error:
            told = error.error or row.bad_request
            await reply.refuse(told, str(error), told.status)
            return
        if answer is not None:
            reply.id = answer.id
        reply.entry.prompt_tokens = answer.prompt_tokens if answer else count_words(body["input"])
        stream = answer is not None and answer.stream
        reply.befall(self._upstream.switch.after_body(monotonic(), self._key, body["model"], stream=stream))
        reply.entry.billable = reply.kind not in BEFORE_HEAD
        if not (stream and self._settings.head_first):
            await asyncio.sleep(self._settings.latency_ms / 1000)
        if await self._instead_of_head(answer):
            return
        if answer is None:
            await self._send_whole(vectors)
        elif stream:
            await Stream(reply, self._settings, answer).play()
        else:
            await self._send_answer(answer)

    def _answer(self, name: str, body: Json) -> Answer:
        settings, entry = self._settings, self._reply.entry
        said = Said(
            name=self._upstream.name,
            text=settings.text,
            pieces=settings.pieces,
            reasoning=settings.reasoning if name == "chat/completions" else 0,
            finish_reason=settings.finish_reason,
            echo_prefix=settings.echo_prefix,
            host=settings.host,
        )
        given = self._request.header("x-request-id") if self._row.takes_request_id else None
        number = given or f"{self._upstream.name}-{entry.number:06d}"
        prefix = prefix_of(self._row, body, settings) if name == "chat/completions" else None
        answer = answer_for(self._row, name, body, said, number, int(time()), prefix)
        if self._row.caches and name == "chat/completions":
            entry.cached_tokens = self._upstream.cache.take(body)
            answer = replace(answer, cached_tokens=entry.cached_tokens)
        return answer

    async def _instead_of_head(self, answer: Answer | None) -> bool:
        """Do what a fault wants done in place of an answer; False when the answer goes on."""
        fault, reply = self._reply.fault, self._reply
        if fault is None:
            return False
        match fault.kind:
            case "status":
                await self._status(fault)
            case "named":
                await self._named(fault, answer)
            case "redirect":
                reply.head(fault.status or 307, "text/plain", 0, (("location", fault.location or "/"),))
            case "stall" if fault.before_head:
                await reply.say_nothing()
            case "cut" if fault.before_head:
                await reply.break_off("cut")
            case "garbage" if fault.how == "bytes":
                self._exchange.write(NOT_HTTP)
                await reply.break_off("cut")
            case "informational":
                self._exchange.write(_INFORMATIONAL[fault.status or 103])
                return False
            case _:
                return False
        return True

    async def _status(self, fault: Fault) -> None:
        if fault.body is None:
            await self._reply.error(*error_of(self._row, fault), status=fault.status)
            return
        text = isinstance(fault.body, str)
        data = str(fault.body).encode() if text else orjson.dumps(fault.body)
        content_type = "text/plain; charset=utf-8" if text else "application/json"
        await self._reply.whole(fault.status or 500, data, content_type, tuple((fault.headers or {}).items()))

    async def _named(self, fault: Fault, answer: Answer | None) -> None:
        row, error = ERRORS[fault.name or ""]
        reply, stream = self._reply, answer is not None and answer.stream
        body = wire.error_body(row, error, reply.id)
        if error.place is Place.BODY:
            await reply.whole(200, orjson.dumps(body))
        elif error.place is Place.CHOICE and answer is not None:
            await reply.whole(200, orjson.dumps(wire.answer_with_error(answer, body)))
        elif error.place is Place.FIRST_EVENT and answer is not None and stream:
            reply.fault = Fault(kind="in_band_error", name=fault.name, after_pieces=0)
            await Stream(reply, self._settings, answer).play()
        elif error.place is Place.FRAMED and stream:
            await reply.whole(
                error.status, sse.data_event(orjson.dumps(body), "\n"), "text/event-stream", error.headers
            )
        else:
            await reply.error(row, error, headers=fault.headers)

    async def _send_answer(self, answer: Answer) -> None:
        """Answer a completion that does not stream, as late as its last piece would come."""
        reply, settings = self._reply, self._settings
        steps = max(0, len(answer.reasoning) + len(answer.pieces) - 1)
        await asyncio.sleep((settings.first_token_ms + settings.pace_ms * steps) / 1000)
        if reply.fault is not None and reply.kind == "in_band_error":
            row, error = error_of(self._row, reply.fault)
            await reply.whole(200, orjson.dumps(wire.error_body(row, error, answer.id)))
            return
        # the tokens were made, and would be billed, even where the answer gets lost
        reply.entry.completion_tokens = answer.completion_tokens
        body = wire.whole_answer(answer, with_usage=settings.usage is not False, finished=reply.kind != "no_finish")
        reply.entry.pieces_sent = await self._send_whole(body) * answer.completion_tokens

    async def _send_whole(self, answer: Json) -> bool:
        """Send a JSON body, whole or as the fault wants it; tell whether all of it left."""
        reply, fault, body = self._reply, self._reply.fault, orjson.dumps(answer)
        half = body[: len(body) // 2]
        if fault is not None and fault.kind in {"cut", "stall", "truncate_json"}:
            reply.head(200, "application/json", len(body))
            self._exchange.send(half if fault.kind == "truncate_json" or fault.after_pieces else b"")
            if fault.kind == "stall":
                await reply.say_nothing()
            await reply.break_off("cut")
            return False
        if fault is not None and fault.kind == "garbage":
            await reply.whole(200, half + b"\xff\xfe")
            return False
        if reply.kind == "gzip":
            packer = zlib.compressobj(wbits=31)
            body = packer.compress(body) + packer.flush()
        await reply.whole(200, body)
        await reply.extra_bytes()
        return True
