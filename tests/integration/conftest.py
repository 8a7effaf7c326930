"""Integration tests run on uvloop, as the server does, over real sockets."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
import uvloop

from hybridproxy.simulator.server import RunningSimulators, SimulatorSpec, serve
from tests.hybridproxy.transport.certificates import Authority
from tests.support.stack import BANK, CONFIG, DEFAULTS, SHOP, SMALL, Stack, digest, running


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], object]]:
    """Use the loop of the server."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """Simulated upstreams and the proxy."""
    async with running(tmp_path) as started:
        yield started


PROVIDERS = ("dashscope", "together", "openrouter", "vllm")
LIMITS = DEFAULTS | {"total": "60s"}


@pytest.fixture
async def simulators() -> AsyncIterator[RunningSimulators]:
    """Simulated upstreams in this process."""
    started = await serve([SimulatorSpec(provider) for provider in PROVIDERS])
    yield started
    await started.close()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def file(tmp_path: Path, simulators: RunningSimulators, unused_tcp_port_factory: Callable[[], int]) -> Path:
    """A configuration that names the simulators and two free ports."""
    urls = {s.name: s.base_url for s in simulators.all} | {"vllm": simulators["vllm"].url}
    digests = {"shop": digest(SHOP), "bank": digest(BANK), "small": digest(SMALL)}
    text = CONFIG.format(**LIMITS | {"admin": unused_tcp_port_factory()}, **urls, **digests)
    path = tmp_path / "hybridproxy.yaml"
    path.write_text(text.replace("port: 0\n", f"port: {unused_tcp_port_factory()}\n"))
    return path


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whoever signs the VPC's certificates."""
    return Authority(tmp_path_factory.mktemp("authority"), "Test CA")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority."""
    return Authority(tmp_path_factory.mktemp("stranger"), "Another CA")
