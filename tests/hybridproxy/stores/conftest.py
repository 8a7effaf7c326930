"""A real server for the tests of what is shared, and the check that no test leaves a connection or a task."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from hybridproxy.stores import redis as connection
from tests.hybridproxy.transport.certificates import Authority
from tests.support.patience import LONG, until
from tests.support.redis_servers import RedisServer


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Use the loop that serves."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(one_server: RedisServer) -> RedisServer:
    """The server, empty. It is everybody's: only look and write."""
    one_server.ask("FLUSHALL")
    return one_server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that may be stopped."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers late, since the machine is busy, is not gone; see `fleet.impatient`."""
    monkeypatch.setattr(connection, "TIMEOUT", LONG / 2)
    monkeypatch.setattr(connection, "DEADLINE", LONG)


@pytest.fixture(autouse=True)
async def no_task_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    await until(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()})


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "Test CA")
