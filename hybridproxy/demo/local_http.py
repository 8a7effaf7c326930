"""Small requests to the demo's own programs on this machine; never through a proxy of the environment."""

import http.client
import json
from typing import Any, Final

from hybridproxy.demo.ports import HOST
from hybridproxy.demo.problem import DemoError

TIMEOUT: Final = 5.0
"""Seconds; everything asked here answers at once."""


def answers(port: int, path: str) -> bool:
    """Return whether a GET is answered with 200."""
    try:
        return _request(port, "GET", path)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def behave(port: int, settings: dict[str, Any]) -> None:
    """Replace the settings of the simulated upstream at a port; those that are not given are a healthy one's.

    Raises:
        DemoError: it did not take them.

    """
    try:
        status, body = _request(port, "PUT", "/_sim/behaviour", json.dumps(settings).encode())
    except (OSError, http.client.HTTPException) as error:
        raise DemoError(f"the simulated upstream at port {port} does not answer: {error}") from None
    if status != 200:
        raise DemoError(f"the simulated upstream at port {port} refused its settings: {body.decode(errors='replace')}")


def requests_seen(port: int) -> int | None:
    """Return how many requests a simulated upstream has had, None when there is none at the port."""
    try:
        status, body = _request(port, "GET", "/_sim/state")
        return int(json.loads(body)["totals"]["requests"]) if status == 200 else None
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None


def _request(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
    try:
        connection.request(method, path, body, {"connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
