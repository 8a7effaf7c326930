"""Integration tests run on uvloop, as the server does, over real sockets."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from tests.hybridproxy.transport.certificates import Authority
from tests.support.stack import Stack, running


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], object]]:
    """Use the loop of the server."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """Simulated upstreams and the proxy."""
    async with running(tmp_path) as started:
        yield started


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whoever signs the VPC's certificates."""
    return Authority(tmp_path_factory.mktemp("authority"), "Test CA")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority."""
    return Authority(tmp_path_factory.mktemp("stranger"), "Another CA")
