"""The admin port: metrics, the decision for a described call, reload. A token on every request, never the data port."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from aiohttp import web

MAX_BODY: Final = 64 * 1024

Explain = Callable[[dict[str, Any]], dict[str, Any]]
Reload = Callable[[], Awaitable[list[str]]]


class AdminError(Exception):
    """A request to the admin port that cannot be served; the text says why."""


def admin_app(*, token: str, metrics: Callable[[], bytes], explain: Explain, reload: Reload) -> web.Application:
    """Return the application of the admin port.

    Args:
        token: what `Authorization: Bearer` has to hold.
        metrics: renders the metrics.
        explain: a described call -> its decision; raises `AdminError`.
        reload: loads the configuration anew; returns the mistakes, none when it is in force.

    """
    expected = token.encode()

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        known = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), expected)
        if not known or scheme.lower() != "bearer":
            return _json(401, {"error": "send the admin token: 'Authorization: Bearer …'"})
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _json(error.status, {"error": error.reason})
        except AdminError as error:
            return _json(400, {"error": str(error)})

    async def get_metrics(_request: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def post_explain(request: web.Request) -> web.Response:
        try:
            described = orjson.loads(await request.read())
        except orjson.JSONDecodeError as error:
            msg = f"the body is not valid JSON: {error}"
            raise AdminError(msg) from None
        if not isinstance(described, dict):
            msg = "the body must be a JSON object"
            raise AdminError(msg)
        return _json(200, explain(described))

    async def post_reload(_request: web.Request) -> web.Response:
        mistakes = await reload()
        if mistakes:
            return _json(422, {"reloaded": False, "mistakes": mistakes})
        return _json(200, {"reloaded": True})

    app = web.Application(middlewares=[guard], client_max_size=MAX_BODY)
    app.router.add_get("/metrics", get_metrics)
    app.router.add_post("/admin/v1/explain", post_explain)
    app.router.add_post("/admin/v1/reload", post_reload)
    return app


def _json(status: int, value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, headers={"Content-Type": "application/json"})
