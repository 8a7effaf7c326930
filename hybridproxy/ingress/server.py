"""The data port: a fixed table of raw paths over aiohttp's parser."""

import itertools
import secrets
from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import parse_qs, unquote

import orjson
from aiohttp.hdrs import ACCEPT
from multidict import istr

from hybridproxy.dialects import TRANSLATORS, openai
from hybridproxy.dialects.anthropic import answer as anthropic_answer
from hybridproxy.dialects.openai import OPENAI, ROOTS
from hybridproxy.dialects.responses.dialect import NOT_KEPT, is_about_a_kept_response
from hybridproxy.dialects.translator import Asking, Translator
from hybridproxy.gateway.demands import RESIDENCY
from hybridproxy.gateway.pipeline import Arrival, Gateway
from hybridproxy.gateway.pressure import Pressure
from hybridproxy.gateway.reply import Reply, error_reply, misdirected, unauthorized
from hybridproxy.ingress.body import read_body
from hybridproxy.ingress.connection import Request, Server
from hybridproxy.ingress.early import Refusals
from hybridproxy.ingress.guard import presented_key, problem, sendable, values
from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.resilience.deadline import seconds
from hybridproxy.routing.gate import may_use, usable_models

CALLS: Final[dict[str, tuple[Translator, Operation, str]]] = {
    path: (row, operation, variant) for row in TRANSLATORS.values() for path, (operation, variant) in row.paths.items()
}
MODELS: Final = tuple(root + "/models" for root in ROOTS)

EXPLAIN: Final = istr("x-hybridproxy-explain")
SILENCE, WHOLE = istr("x-stainless-read-timeout"), istr("x-request-timeout")
_RESIDENCY: Final = istr(RESIDENCY)
_VERSION: Final = istr("anthropic-version")
_SSE: Final = istr("x-dashscope-sse")
_EVENTS: Final = "text/event-stream"
_JSON: Final = {"content-type": "application/json"}


class Ingress:
    """Answers requests on the data port."""

    def __init__(self, gateway: Gateway, ready: Callable[[str | None], tuple[bool, str]], pressure: Pressure) -> None:
        """Serve calls by a gateway.

        Args:
            gateway: serves them.
            ready: tells whether to send traffic here, for a region or at all, and why not.
            pressure: tells which calls are refused because of this worker's load.

        """
        self.draining = False
        self._gateway = gateway
        self._ready = ready
        self._prefix = "req_" + secrets.token_hex(8)
        self._count = itertools.count()
        self._refusals = Refusals(pressure, self._new_id, gateway.own_limit)

    def server(self) -> Server:
        """Return the server to give connections to."""
        return Server(self.handle, self._refusals, keepalive_timeout=self._gateway.running.settings.listen.keepalive)

    async def handle(self, request: Request) -> None:
        """Answer one request."""
        path, _, query = request.target.partition("?")
        wrong = problem(request)
        called = CALLS.get(path)
        dialect = called[0].dialect if called is not None else _dialect_of(request)
        if wrong is not None and path not in _HEALTH:
            reply = error_reply(400, wrong, type_="invalid_request_error", code="bad_request")
            reply.close = True
        elif called is not None and request.method == "POST":
            key = presented_key(request)
            refused = self._refusals.reply(dialect, key, seen=request.let_in)
            if refused is not None:
                request.reply(refused.status, refused.headers, refused.body)
                return
            answer = await self._gateway.serve(self._arrival(request, key, *called), request)
            if answer is None:
                return
            if request.begun:
                request.cut()  # a bug after the head went out: there can be no second answer
                return
            reply = answer
        else:
            reply = self._other(request, path, query)
            reply.close = reply.close or wrong is not None
        reply.said_in(dialect, reply.headers.get("x-request-id", ""))
        request.close = request.close or reply.close or self.draining
        request.reply(reply.status, {**_JSON, **reply.headers}, reply.body)

    def _new_id(self) -> str:
        return f"{self._prefix}{next(self._count):08x}"

    def _arrival(
        self, request: Request, key: str | None, row: Translator, operation: Operation, variant: str
    ) -> Arrival:
        listen = self._gateway.running.settings.listen
        asking = _PLAIN.get(operation) if row is OPENAI else None
        if asking is None:
            headers = request.headers
            events = headers.get(_SSE, "").lower() == "enable" or _EVENTS in headers.get(ACCEPT, "")
            asking = Asking(operation, variant, events, sendable(request, row.headers))
        return Arrival(
            dialect=row.dialect,
            asking=asking,
            request_id=self._new_id(),
            key=key,
            peer=request.peer,
            forwarded=values(request, listen.forwarded_header),
            explain=request.headers.get(EXPLAIN) == "1",
            body=partial(read_body, request, listen),
            silence=seconds(request.headers.get(SILENCE)),
            whole=seconds(request.headers.get(WHOLE)),
            residency=values(request, _RESIDENCY),
        )

    def _other(self, request: Request, path: str, query: str) -> Reply:
        """Whatever is no model call."""
        reading = request.method in {"GET", "HEAD"}
        if path in _HEALTH:
            return self._health(path, query) if reading else _method_not_allowed("GET")
        if path in CALLS:
            return _method_not_allowed("POST")
        if is_about_a_kept_response(path):
            return error_reply(404, NOT_KEPT, type_="invalid_request_error", code="response_not_found")
        if path == "/" and request.method == "HEAD":
            return Reply(200, b"")  # Claude Code looks so whether anybody is there
        root = next((m for m in MODELS if path == m or path.startswith(m + "/")), None)
        if root is not None:
            return self._models(request, path.removeprefix(root)) if reading else _method_not_allowed("GET")
        message = f"there is nothing at this path; calls go to {', '.join(p for p in CALLS if p.startswith('/v1'))}"
        return error_reply(404, message, type_="invalid_request_error", code="unknown_path")

    def _health(self, path: str, query: str) -> Reply:
        if path != "/readyz":
            return Reply(200, b'{"status":"ok"}')
        region = parse_qs(query).get("region", [None])[-1]
        ready, why = (False, "draining") if self.draining else self._ready(region)
        return Reply(200 if ready else 503, orjson.dumps({"status": "ok" if ready else "unavailable", "reason": why}))

    def _models(self, request: Request, rest: str) -> Reply:
        running = self._gateway.running
        key = presented_key(request)
        tenant = running.tenant(key)
        if tenant is None:
            return unauthorized(given=key is not None)
        if not running.snapshot.plane.serves(sovereign=tenant.sovereign):
            return misdirected()
        names = usable_models(running.snapshot, tenant)
        encode = anthropic_answer if _dialect_of(request) is Dialect.ANTHROPIC else openai
        if not rest:
            return Reply(200, encode.encode_models(names))
        name = unquote(rest[1:])
        if name in names and may_use(tenant, name):
            return Reply(200, encode.encode_model(name))
        message = f"there is no such model here; you may use: {', '.join(names[:20])}"
        return error_reply(404, message, type_="invalid_request_error", code="model_not_found", param="model")


_PLAIN: Final = {operation: Asking(operation) for operation in Operation}
_DASHSCOPE: Final = "/api/v1/"
"""What all paths of DashScope's own protocol begin with, also those that are not offered."""

_HEALTH: Final = frozenset({"/livez", "/healthz", "/readyz"})


def _dialect_of(request: Request) -> Dialect:
    """Return the dialect of a request to a path that is no call's: Anthropic's clients tell their version."""
    if request.target.startswith(_DASHSCOPE):
        return Dialect.DASHSCOPE
    return Dialect.ANTHROPIC if _VERSION in request.headers else Dialect.OPENAI


def _method_not_allowed(allowed: str) -> Reply:
    reply = error_reply(405, f"use {allowed}", type_="invalid_request_error", code="method_not_allowed")
    reply.headers["allow"] = allowed
    reply.close = True
    return reply
