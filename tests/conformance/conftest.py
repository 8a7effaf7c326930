"""Conformance tests that start a proxy do so on the loop of the server."""

from collections.abc import Callable

import uvloop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], object]]:
    """Use the loop of the server."""
    return {"uvloop": uvloop.new_event_loop}
