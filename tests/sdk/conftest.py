"""Real clients against a real proxy, on the loop of the server."""

from collections.abc import Callable, Iterator

import pytest
import uvloop

from tests.sdk import npm


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], object]]:
    """Use the loop of the server."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def node() -> Iterator[npm.Node]:
    """The process with the clients of npm; skip where they cannot be had."""
    if why := npm.missing():
        pytest.skip(why)
    process = npm.Node()
    yield process
    process.close()
