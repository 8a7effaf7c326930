"""Small requests to the demo's own programs on this machine; never through a proxy of the environment."""

import http.client
import json
from collections.abc import Mapping
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


def takes(port: int, settings: dict[str, Any]) -> bool:
    """Return whether a simulated upstream is there by now and took its settings."""
    try:
        return _request(port, "PUT", "/_sim/behaviour", json.dumps(settings).encode())[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def text(port: int, path: str, headers: Mapping[str, str]) -> str | None:
    """Return the page at a path, None when there is none."""
    try:
        status, body = _request(port, "GET", path, headers=headers)
    except (OSError, http.client.HTTPException):
        return None
    return body.decode(errors="replace") if status == 200 else None


def json_of(port: int, path: str, headers: Mapping[str, str]) -> Any:
    """Return the JSON value at a path, None when there is none."""
    try:
        return json.loads(text(port, path, headers) or "null")
    except ValueError:
        return None


def requests_seen(port: int) -> int | None:
    """Return how many requests a simulated upstream has had, None when there is none at the port."""
    try:
        status, body = _request(port, "GET", "/_sim/state")
        return int(json.loads(body)["totals"]["requests"]) if status == 200 else None
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None


def _request(
    port: int, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
    try:
        connection.request(method, path, body, {"connection": "close", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
