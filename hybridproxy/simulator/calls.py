"""One request at a simulated upstream, from its head to the last byte or to whatever goes wrong."""

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic, time
from typing import Final, cast

import orjson

from hybridproxy.simulator import messages, native, responses, sse, wire
from hybridproxy.simulator.answers import Answer, RequestError, Said, answer_for, count_words, read_request
from hybridproxy.simulator.behaviour import Behaviour, Fault
from hybridproxy.simulator.cache import PrefixCache
from hybridproxy.simulator.continuation import prefix_of
from hybridproxy.simulator.http import BodyError, Connection, Exchange
from hybridproxy.simulator.journal import Journal
from hybridproxy.simulator.prices import USUAL
from hybridproxy.simulator.quota import Quota, error_for
from hybridproxy.simulator.reply import Reply
from hybridproxy.simulator.row import COUNT, Json, Native, Place, Provider
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
    kept: responses.Kept = field(default_factory=responses.Kept)
    quota: Quota = field(default_factory=Quota)
    connections: set[Connection] = field(default_factory=set)
    accepted: int = 0
    refused: int = 0


async def answer_call(upstream: Upstream, exchange: Exchange) -> None:
    """Answer a request, and settle its entry in the journal once, whatever happens."""
    entry = upstream.journal.begin(exchange.request)
    row = row_at(upstream.row, exchange.request.path)
    if exchange.request.method == "POST":
        entry.call = call_at(row, exchange.request.path)
    entry.bills_failures = upstream.row.bills_failures
    try:
        await Call(
            upstream,
            exchange,
            Reply(row, exchange, upstream.journal, entry, f"{upstream.name}-{entry.number:06d}"),
        ).run()
    except asyncio.CancelledError:
        upstream.journal.end(entry, "client_gone")
        raise
    except Exception:
        upstream.journal.end(entry, "simulator_error")
        raise
    upstream.journal.end(entry, "complete")


def row_at(row: Provider, path: str) -> Provider:
    """Return how a server speaks at a path."""
    second, other = row.second, row.messages
    if other is not None and path.removeprefix(other.prefix + "/") in other.calls:
        return other
    return second if second is not None and path.startswith(second.prefix + "/") else row


def call_at(row: Provider, path: str) -> str:
    """Return which call a path is, "" for none."""
    name = path.removeprefix(row.prefix + "/") if path.startswith(row.prefix + "/") else ""
    return name if name in row.calls else ""


def key_of(row: Provider, header: Callable[[str], str | None]) -> str | None:
    """Return the key that a request shows, or the name of the pair that signs it."""
    if row.key_header and (own := header(row.key_header)):
        return own
    scheme, _, shown = (header("authorization") or "").partition(" ")
    if row.signed and scheme == "AWS4-HMAC-SHA256":
        return shown.partition("Credential=")[2].partition("/")[0] or None
    return shown.strip() or None if scheme.lower() == "bearer" else None


class Call:
    """One request on its way through the simulated server."""

    def __init__(self, upstream: Upstream, exchange: Exchange, reply: Reply) -> None:
        """Begin with the head; the settings of this moment hold until the end."""
        self._upstream, self._reply = upstream, reply
        self._exchange, self._request, self._row = exchange, exchange.request, reply.row
        self._settings: Behaviour = upstream.switch.behaviour
        self._key = key_of(self._row, exchange.request.header)

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
        if reply.entry.call:
            await self._model_call(reply.entry.call, body)
        else:
            path, prefix = self._request.path, self._row.prefix + "/"
            await self._other(path.removeprefix(prefix) if path.startswith(prefix) else "")

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
            await reply.whole(200, orjson.dumps(wire.model_list(row, int(time()), self._request.target)))
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
        overrun = self._upstream.quota.overrun(self._settings, monotonic())
        if overrun is not None:
            reply.entry.fault = overrun
            await reply.error(row, error_for(row, overrun))
            return
        self._upstream.quota.under_way += 1
        try:
            await self._serve(name, raw)
        finally:
            self._upstream.quota.under_way -= 1

    async def _serve(self, name: str, raw: bytes) -> None:
        row, reply = self._row, self._reply
        try:
            form, counts = None, name == COUNT
            if row.native:
                name, raw, form = native.read(name, raw, self._request.header)
            elif row.anthropic:
                name, raw = "chat/completions", messages.read(row, name, raw, self._request.header)
            body = read_request(row, name, raw)
            self._price(str(body["model"]))
            answer = None if name == "embeddings" or counts else self._answer(name, body, form)
            vectors = messages.count(row, body) if counts else {}
            if answer is None and not counts:
                vectors = wire.embeddings(row, body, reply.id)
                vectors = native.embeddings(vectors, reply.id) if row.native else vectors
        except RequestError as error:
            told = error.error or row.bad_request
            await reply.refuse(told, str(error), told.status)
            return
        if answer is not None:
            reply.id = answer.id
        read = body["messages" if counts else "input"] if answer is None else None
        reply.entry.prompt_tokens = answer.prompt_tokens if answer else count_words(read)
        stream = reply.entry.stream = answer is not None and answer.stream
        reply.befall(self._upstream.switch.after_body(monotonic(), self._key, body["model"], stream=stream))
        reply.entry.billable = reply.kind not in BEFORE_HEAD and not counts
        if not (stream and self._settings.head_first):
            await asyncio.sleep(self._settings.latency_ms / 1000)
        if await self._instead_of_head(answer):
            return
        if answer is None:
            if await self._send_whole(vectors):
                reply.entry.tell(None)
        elif stream:
            await Stream(reply, self._settings, answer).play()
        else:
            await self._send_answer(answer)

    def _price(self, model: str) -> None:
        prices, entry = self._settings.prices, self._reply.entry
        entry.model, entry.price = model, prices.get(model) or prices.get("*") or USUAL

    def _answer(self, name: str, body: Json, form: Native | None) -> Answer:
        settings, entry = self._settings, self._reply.entry
        asked = body
        if name == responses.CALL:
            name, body = "chat/completions", responses.chat_of(self._row, asked, self._upstream.kept)
        said = Said(
            name=self._upstream.name,
            text=settings.text,
            pieces=settings.pieces,
            reasoning=settings.reasoning if name == "chat/completions" and self._thinks(asked) else 0,
            finish_reason=settings.finish_reason,
            echo_prefix=settings.echo_prefix,
            host=settings.host,
            tool_calls=settings.tool_calls,
        )
        given = self._request.header("x-request-id") if self._row.takes_request_id else None
        number = given or f"{self._upstream.name}-{entry.number:06d}"
        prefix = prefix_of(self._row, body, settings) if name == "chat/completions" else None
        answer = replace(answer_for(self._row, name, body, said, number, int(time()), prefix), native=form)
        if name == "chat/completions":
            caches = self._row.caches if settings.caches is None else settings.caches
            known, kept = self._upstream.cache.take(body, unasked=caches, asked=bool(self._row.writes_as))
            entry.cached_tokens, entry.written_tokens = known, kept
            answer = replace(answer, cached_tokens=known, written_tokens=kept)
        entry.thoughts = answer.choices * len(answer.reasoning)
        answer = replace(answer, price=entry.price)
        if asked is not body:
            answer = replace(answer, id=f"resp_{number}", echoed=responses.echoed(asked))
            if self._row.keeps_responses and asked.get("store") is not False:
                self._upstream.kept.keep(answer.id, [*cast("list[Json]", body["messages"]), responses.said(answer)])
        return answer

    def _thinks(self, asked: Json) -> bool:
        """Return whether a call gets thoughts: each, or each that asks for them in one of the providers' ways."""
        if self._settings.thinks == "always":
            return True
        effort, thinking, template = asked.get("reasoning"), asked.get("thinking"), asked.get("chat_template_kwargs")
        return (
            asked.get("enable_thinking") is True
            or (isinstance(template, dict) and template.get("enable_thinking") is True)
            or (isinstance(thinking, dict) and thinking.get("type") in {"enabled", "adaptive"})
            or (isinstance(effort, dict) and (effort.get("enabled") is True or "effort" in effort))
        )

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
        row, error = error_of(self._row, fault)
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
            data = native.error_event(row, error, reply.id) if row.native else orjson.dumps(body)
            await reply.whole(error.status, sse.data_event(data, "\n"), "text/event-stream", error.headers)
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
        finished = reply.kind != "no_finish"
        if self._row.anthropic:
            body = messages.whole_answer(answer, finished=finished)
        else:
            write = wire.whole_answer if answer.native is None else native.whole_answer
            write = write if answer.echoed is None else responses.whole_answer
            body = write(answer, with_usage=settings.usage is not False, finished=finished)
        sent = await self._send_whole(body)
        reply.entry.pieces_sent = sent * answer.completion_tokens
        if sent and (self._row.anthropic or settings.usage is not False):
            reply.entry.tell(answer.cost if self._row.names_provider else None)

    async def _send_whole(self, answer: Json) -> bool:
        """Send a JSON body, whole or as the fault wants it; tell whether all of it left."""
        reply, fault = self._reply, self._reply.fault
        body = b"\n" * self._row.blank_lines + orjson.dumps(answer)
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
