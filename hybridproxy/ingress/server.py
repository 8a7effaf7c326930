"""The data port: a fixed table of raw paths over aiohttp's parser."""

import itertools
import secrets
from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import parse_qs, unquote

import orjson
from multidict import istr

from hybridproxy.dialects import openai
from hybridproxy.gateway.pipeline import RESIDENCY, Arrival, Gateway
from hybridproxy.gateway.reply import Reply, error_reply, misdirected, unauthorized
from hybridproxy.ingress.body import read_body
from hybridproxy.ingress.connection import Request, Server
from hybridproxy.ingress.guard import presented_key, problem, values
from hybridproxy.model.call import Operation
from hybridproxy.providers.provider import OPENAI_PATHS
from hybridproxy.resilience.deadline import seconds
from hybridproxy.routing.gate import may_use, usable_models

ROOTS: Final = ("/v1", "/compatible-mode/v1")
CALLS: Final[dict[str, Operation]] = {root + path: op for root in ROOTS for op, path in OPENAI_PATHS.items()}
MODELS: Final = tuple(root + "/models" for root in ROOTS)

EXPLAIN: Final = istr("x-hybridproxy-explain")
SILENCE, WHOLE = istr("x-stainless-read-timeout"), istr("x-request-timeout")
_RESIDENCY: Final = istr(RESIDENCY)
_JSON: Final = {"content-type": "application/json"}


class Ingress:
    """Answers requests on the data port."""

    def __init__(self, gateway: Gateway, ready: Callable[[str | None], tuple[bool, str]]) -> None:
        """Serve calls by a gateway; `ready` tells whether to send traffic here, for a region or at all, and why not."""
        self.draining = False
        self._gateway = gateway
        self._ready = ready
        self._prefix = "req_" + secrets.token_hex(8)
        self._count = itertools.count()

    def server(self) -> Server:
        """Return the server to give connections to."""
        return Server(self.handle, keepalive_timeout=self._gateway.running.settings.listen.keepalive)

    async def handle(self, request: Request) -> None:
        """Answer one request."""
        path, _, query = request.target.partition("?")
        wrong = problem(request)
        operation = CALLS.get(path)
        if wrong is not None and path not in _HEALTH:
            reply = error_reply(400, wrong, type_="invalid_request_error", code="bad_request")
            reply.close = True
        elif operation is not None and request.method == "POST":
            answer = await self._gateway.serve(self._arrival(request, operation), request)
            if answer is None:
                return
            if request.begun:
                request.cut()  # a bug after the head went out: there can be no second answer
                return
            reply = answer
        else:
            reply = self._other(request, path, query)
            reply.close = reply.close or wrong is not None
        request.close = request.close or reply.close or self.draining
        request.reply(reply.status, {**_JSON, **reply.headers}, reply.body)

    def _arrival(self, request: Request, operation: Operation) -> Arrival:
        listen = self._gateway.running.settings.listen
        return Arrival(
            operation=operation,
            request_id=f"{self._prefix}{next(self._count):08x}",
            key=presented_key(request),
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
        if not rest:
            return Reply(200, openai.encode_models(names))
        name = unquote(rest[1:])
        if name in names and may_use(tenant, name):
            return Reply(200, openai.encode_model(name))
        message = f"there is no such model here; you may use: {', '.join(names[:20])}"
        return error_reply(404, message, type_="invalid_request_error", code="model_not_found", param="model")


_HEALTH: Final = frozenset({"/livez", "/healthz", "/readyz"})


def _method_not_allowed(allowed: str) -> Reply:
    reply = error_reply(405, f"use {allowed}", type_="invalid_request_error", code="method_not_allowed")
    reply.headers["allow"] = allowed
    reply.close = True
    return reply
