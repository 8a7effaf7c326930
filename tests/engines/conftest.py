"""A real engine, a real proxy in front of it, and the same client for both."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI

from tests.engines.processes import KEY, Engine, free_port, running
from tests.support.serving import Server, server
from tests.support.stack import BANK, SHOP, digest

CONFIG = """
listen: {{host: 127.0.0.1, port: {port}, trusted_proxies: [127.0.0.0/8]}}
admin: {{host: 127.0.0.1, port: {admin}, token: "${{ADMIN_TOKEN}}"}}
regions: {{default: {{}}}}
backends:
  engine: {{provider: {provider}, api_key: "${{ENGINE_KEY}}", endpoints: {endpoints}}}
models:
  {model}: {{family: other, served_by: {{engine: {model}}}}}
routes:
  default:
    regions: {{default: [engine]}}
    timeouts: {{first_token: 120s, between_bytes: 60s, answer: 120s, total: 240s, commit_within: 120s}}
    on_cut: {on_cut}
tenants:
  shop: {{keys: ["sha256:{shop}"], route: default, models: ["*"]}}
  other: {{keys: ["sha256:{bank}"], route: default, models: ["*"]}}
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """One client that calls the engine, and the same that calls the proxy."""

    engine: Engine
    proxy: Server
    direct: AsyncOpenAI
    through: AsyncOpenAI

    @property
    def both(self) -> tuple[AsyncOpenAI, AsyncOpenAI]:
        """Both clients, the direct one first."""
        return self.direct, self.through


@pytest.fixture(scope="session")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A vLLM with a tiny Qwen3."""
    with running("vllm", tmp_path_factory.mktemp("vllm")) as engine:
        yield engine


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A llama.cpp with SmolLM2."""
    with running("llama.cpp", tmp_path_factory.mktemp("llama")) as engine:
        yield engine


@pytest.fixture(params=["vllm", "llama"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine."""
    found: Engine = request.getfixturevalue(request.param)
    return found


def configured(folder: Path, engine: Engine, *, endpoints: list[str] | None = None, on_cut: str = "[error]") -> Path:
    """Write a configuration with an engine as the only backend."""
    file = folder / "hybridproxy.yaml"
    values: dict[str, Any] = {"provider": engine.provider, "model": engine.model, "on_cut": on_cut}
    places = endpoints or [engine.url]
    text = CONFIG.format(
        **values, endpoints=places, port=free_port(), admin=free_port(), shop=digest(SHOP), bank=digest(BANK)
    )
    file.write_text(text)
    return file


@pytest.fixture
async def pair(engine: Engine, tmp_path: Path) -> AsyncIterator[Pair]:
    """Both ways to an engine."""
    async with (
        server(configured(tmp_path, engine), ENGINE_KEY=KEY) as proxy,
        aiohttp.ClientSession() as http,
        AsyncOpenAI(api_key=KEY, base_url=engine.url + "/v1", max_retries=0) as direct,
        AsyncOpenAI(api_key=SHOP, base_url=proxy.url + "/v1", max_retries=0) as through,
    ):
        await proxy.ready(http)
        yield Pair(engine, proxy, direct, through)
