"""The control address of a simulated upstream: `/_sim/…` on the same port."""

from collections.abc import Callable
from time import monotonic
from typing import Final

import orjson

from hybridproxy.simulator.behaviour import FAULTS, Behaviour, BehaviourError, parse_behaviour, show_behaviour
from hybridproxy.simulator.calls import Upstream
from hybridproxy.simulator.errors import ERRORS
from hybridproxy.simulator.http import BodyError, Exchange

PREFIX: Final = "/_sim/"


async def control(upstream: Upstream, exchange: Exchange) -> None:
    """Answer a request to the control address; it is neither recorded nor befallen by faults."""
    try:
        body = await exchange.body()
    except BodyError as error:
        _reply(exchange, error.status, _problem(str(error)))
        return
    path = exchange.request.path.removeprefix(PREFIX)
    method = exchange.request.method
    handlers = _PATHS.get(path)
    if handlers is None:
        _reply(exchange, 404, _problem(f"There is no /_sim/{path}; there are {', '.join(PREFIX + p for p in _PATHS)}."))
    elif method not in handlers:
        _reply(exchange, 405, _problem(f"{method} is not one of {', '.join(handlers)} here."))
    else:
        try:
            _reply(exchange, 200, handlers[method](upstream, body))
        except BehaviourError as error:
            _reply(exchange, 400, _problem("The settings were not changed.", error.mistakes))
    await exchange.drain()


def set_behaviour(upstream: Upstream, behaviour: Behaviour) -> None:
    """Put settings into force; a refusal at accept also ends every connection of clients at once."""
    upstream.switch.set(behaviour, monotonic())
    if any(fault.kind == "refuse" and fault.when == "accept" for fault in behaviour.all_faults):
        for connection in list(upstream.connections):
            if not connection.for_control:
                connection.transport.abort()


def _problem(message: str, mistakes: list[str] | None = None) -> dict[str, object]:
    return {"error": {"message": message, "mistakes": mistakes or []}}


def _reply(exchange: Exchange, status: int, answer: object) -> None:
    data = orjson.dumps(answer)
    exchange.start(status, [("content-type", "application/json")], len(data))
    exchange.send(data)


def _given(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BehaviourError([f"behaviour: the body is not JSON: {error}"]) from None


def _show(upstream: Upstream, body: bytes) -> object:
    del body
    return show_behaviour(upstream.switch.behaviour)


def _put(upstream: Upstream, body: bytes) -> object:
    set_behaviour(upstream, parse_behaviour(_given(body)))
    return _show(upstream, b"")


def _patch(upstream: Upstream, body: bytes) -> object:
    set_behaviour(upstream, parse_behaviour(_given(body), upstream.switch.behaviour))
    return _show(upstream, b"")


def _reset(upstream: Upstream, body: bytes) -> object:
    del body
    set_behaviour(upstream, Behaviour())
    return _show(upstream, b"")


def _requests(upstream: Upstream, body: bytes) -> object:
    del body
    return {"requests": [entry.shown() for entry in upstream.journal.entries]}


def _clear(upstream: Upstream, body: bytes) -> object:
    del body
    upstream.journal.clear()
    return {"requests": []}


def _books(upstream: Upstream, body: bytes) -> object:
    del body
    return upstream.journal.books.shown()


def _state(upstream: Upstream, body: bytes) -> object:
    del body
    return {
        "name": upstream.name,
        "provider": upstream.row.name,
        "prefix": upstream.row.prefix,
        "open_connections": sum(not connection.for_control for connection in upstream.connections),
        "accepted_connections": upstream.accepted,
        "refused_connections": upstream.refused,
        "in_flight": upstream.journal.in_flight,
        "fault_struck": upstream.switch.struck,
        "totals": upstream.journal.totals(),
    }


def _faults(upstream: Upstream, body: bytes) -> object:
    del upstream, body
    return {"kinds": {kind: list(options) for kind, options in FAULTS.items()}, "named": sorted(ERRORS)}


Handler = Callable[[Upstream, bytes], object]

_PATHS: Final[dict[str, dict[str, Handler]]] = {
    "behaviour": {"GET": _show, "PUT": _put, "PATCH": _patch, "DELETE": _reset},
    "requests": {"GET": _requests, "DELETE": _clear},
    "books": {"GET": _books},
    "state": {"GET": _state},
    "faults": {"GET": _faults},
}
