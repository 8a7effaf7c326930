"""The admin port: metrics, decisions for described calls, reload, state, orders. A token on every request.

Never the data port. Whatever an answer says, it is JSON, but for the metrics and for usage as CSV.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from hybridproxy.gateway.operator import HOUR, ORDERS, EmptyRegionError, Operator, OperatorError, UnknownNameError

MAX_BODY: Final = 64 * 1024

Explain = Callable[[dict[str, Any]], dict[str, Any]]
Reload = Callable[[], Awaitable[list[str]]]
Usage = Callable[[Mapping[str, str]], Awaitable[tuple[bytes, str]]]

_STATUS: Final = {UnknownNameError: 404, EmptyRegionError: 409}


class AdminError(Exception):
    """A request to the admin port that cannot be served; the text says why."""

    status = 400


class UnavailableError(AdminError):
    """What is asked for cannot be had at the moment."""

    status = 503


async def no_usage(_asked: Mapping[str, str]) -> tuple[bytes, str]:
    """Answer where nothing is written down.

    Raises:
        AdminError: always.

    """
    raise AdminError("nothing is written down here")


def admin_app(
    *,
    token: str,
    metrics: Callable[[], bytes],
    explain: Explain,
    reload: Reload,
    operator: Operator,
    usage: Usage = no_usage,
) -> web.Application:
    """Return the application of the admin port.

    Args:
        token: what `Authorization: Bearer` has to hold.
        metrics: renders the metrics.
        explain: a described call -> its decision; raises `AdminError`.
        reload: loads the configuration anew; returns the mistakes, none when it is in force.
        operator: carries out orders, and knows what is out of service.
        usage: the parameters of a question -> the answer and its type; raises `AdminError`.

    """

    async def get_metrics(_request: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def post_explain(request: web.Request) -> web.Response:
        return _json(200, explain(_object(await request.read())))

    async def post_reload(_request: web.Request) -> web.Response:
        mistakes = await reload()
        if mistakes:
            return _json(422, {"reloaded": False, "mistakes": mistakes})
        return _json(200, {"reloaded": True})

    async def get_state(_request: web.Request) -> web.Response:
        return _json(200, operator.state())

    async def get_usage(request: web.Request) -> web.Response:
        asked = dict(request.query)
        if len(asked) < len(request.query):
            raise AdminError("a parameter is there twice: give each once")
        body, kind = await usage(asked)
        return web.Response(body=body, headers={"Content-Type": kind})

    app = web.Application(middlewares=[_guard(token)], client_max_size=MAX_BODY)
    app.router.add_get("/metrics", get_metrics)
    app.router.add_post("/admin/v1/explain", post_explain)
    app.router.add_post("/admin/v1/reload", post_reload)
    app.router.add_get("/admin/v1/state", get_state)
    app.router.add_get("/admin/v1/usage", get_usage)
    for order, row in ORDERS.items():
        app.router.add_post(f"/admin/v1/{row.noun}s/{{id}}/{order}", _give(operator, order))
    return app


def _guard(token: str) -> Middleware:
    """Return what every request passes: the token, and errors as JSON."""
    expected = token.encode()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        known = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), expected)
        if not known or scheme.lower() != "bearer":
            return _json(401, {"error": "send the admin token: 'Authorization: Bearer …'"})
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _json(error.status, {"error": error.reason})
        except AdminError as error:
            return _json(error.status, {"error": str(error)})
        except OperatorError as error:
            return _json(_STATUS.get(type(error), 400), {"error": str(error)})

    return guard


def _give(operator: Operator, order: str) -> Handler:
    """Return what serves one of the operator's orders."""
    takes = {"reason", "for"} if ORDERS[order].lasts else {"reason"}

    async def post(request: web.Request) -> web.Response:
        asked = _object(await request.read() or b"{}")
        unknown = sorted(asked.keys() - takes)
        if unknown:
            raise AdminError(f"unknown field {unknown[0][:64]!r}: {order} takes {' and '.join(sorted(takes))}")
        name = request.match_info["id"]
        return _json(200, operator.give(order, name, asked.get("reason", ""), asked.get("for", HOUR)))

    return post


def _object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise AdminError(f"the body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise AdminError("the body must be a JSON object")
    return value


def _json(status: int, value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, headers={"Content-Type": "application/json"})
