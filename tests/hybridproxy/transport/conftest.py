"""Every test of this folder that needs a loop runs on uvloop and on asyncio's own; none may leave anything behind."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from tests.hybridproxy.transport.certificates import Authority
from tests.hybridproxy.transport.wire import Wire, open_sockets, until


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Use the server's loop, and the one that debuggers and other libraries' tests use."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """Sessions, and the check that no connection, task or socket outlives them."""
    before = open_sockets()
    tasks = asyncio.all_tasks()
    wire = Wire()
    yield wire
    await wire.close()
    await until(lambda: open_sockets() <= before)
    await until(lambda: not asyncio.all_tasks() - tasks - {asyncio.current_task()})


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "Test CA")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "Another CA")


@pytest.fixture
def empty_file(tmp_path: Path) -> Path:
    path = tmp_path / "empty.pem"
    path.touch()
    return path
