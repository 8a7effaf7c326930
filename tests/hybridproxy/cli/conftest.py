"""A configuration file, the command line called as a user calls it, and an admin port for it to talk to."""

import hashlib
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from aiohttp import web
from typer.testing import CliRunner, Result

from geo.database import CountryDatabase
from geo.locate import Locator
from hybridproxy.admin.server import admin_app
from hybridproxy.cli.main import app
from hybridproxy.config.load import load
from hybridproxy.gateway.operator import Operator
from hybridproxy.gateway.running import Running
from hybridproxy.stores.memory import MemoryHealth

Run = Callable[..., Result]
Admin = Callable[..., AbstractAsyncContextManager[MemoryHealth]]

PRESSURE = {
    "reasons": [],
    "refused": {"calls": 0, "memory": 0, "lag": 0},
    "calls": 2,
    "most_calls": 5000,
    "lag_ms": 0.4,
    "memory": 64_000_000,
    "memory_limit": 512_000_000,
    "rate": None,
}

SHOP = "hp_" + "s" * 43
CONFIG = f"""\
listen: {{host: 127.0.0.1, port: 0, trusted_proxies: [10.0.0.0/8]}}
admin: {{host: 127.0.0.1, port: 8081, token: "${{ADMIN_TOKEN}}"}}
regions:
  china: {{countries: [CN]}}
  asia: {{continents: [AS]}}
  default: {{}}
backends:
  sg: {{provider: openai, base_url: "https://sg.example/v1", api_key: "${{UPSTREAM}}", region: asia}}
  us: {{provider: openai, base_url: "https://us.example/v1", api_key: "${{UPSTREAM}}"}}
  vpc: {{provider: vllm, trust: vpc, endpoints: ["https://10.0.3.1"], tls: {{ca: ca.pem}}, allow_cidrs: [10.0.3.0/24]}}
models:
  qwen: {{family: qwen3, served_by: {{sg: qwen-sg, us: qwen-us, vpc: qwen-vpc}}}}
  only-us: {{family: qwen3, served_by: {{us: small}}}}
routes:
  default: {{regions: {{asia: [sg, us], china: [], default: [us]}}}}
audit: {{path: audit}}
tenants:
  shop: {{keys: ["sha256:{hashlib.sha256(SHOP.encode()).hexdigest()}"], route: default, models: ["*"]}}
  bank: {{keys: ["sha256:{"51" * 32}"], residency: vpc}}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound configuration file, with its secrets in the environment, that no command finds by itself."""
    path = tmp_path / "proxy.yaml"
    path.write_text(CONFIG)
    (tmp_path / "ca.pem").touch()
    monkeypatch.setenv("ADMIN_TOKEN", "admin-token-of-tests")
    monkeypatch.setenv("UPSTREAM", "sk-upstream-of-tests")
    monkeypatch.delenv("HYBRIDPROXY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture(autouse=True)
def silenced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The process of the tests may go on leaving core files; how often it was told not to."""
    told: list[str] = []
    monkeypatch.setattr("hybridproxy.cli.silence.silence", lambda: told.append("silenced"))
    return told


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line; an exception that is no exit fails the test."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "dumb")

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)

    return call


@pytest.fixture
def admin(file: Path) -> Admin:
    """An admin port that runs with the file, which is told the port; gives the health its orders are for."""

    @asynccontextmanager
    async def serve(
        mistakes: tuple[str, ...] = (),
        *,
        token: str = "admin-token-of-tests",
        shared: dict[str, Any] | None = None,
        limits: Sequence[dict[str, Any]] = (),
        pressure: Mapping[str, Any] = MappingProxyType({}),
        upstream: Sequence[dict[str, Any]] = (),
    ) -> AsyncIterator[MemoryHealth]:
        async def reload() -> list[str]:
            return list(mistakes)

        configuration = load(file, os.environ)
        running = Running(configuration.snapshot, configuration.settings, Locator(CountryDatabase.open(None)))
        health = MemoryHealth(lambda: 1000.0, lambda: 1_790_000_000.0, lambda: 0.5)
        operator = Operator(
            health,
            running=lambda: running,
            shared=lambda: shared,
            under_way=lambda: {"calls": 2},
            limits=lambda: {
                "limits": list(limits),
                "limits_left_off": 3 if limits else 0,
                "upstream_limits": list(upstream),
            },
            pressure=lambda: {**PRESSURE, **pressure},
            log=lambda event, **fields: None,
            now=lambda: 1000.0,
            wall=lambda: 1_790_000_000.0,
        )
        server = admin_app(
            token=token, metrics=lambda: b"", explain=lambda described: described, reload=reload, operator=operator
        )
        runner = web.AppRunner(server)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        use_port(file, runner.addresses[0][1])
        try:
            yield health
        finally:
            await runner.cleanup()

    return serve


def use_port(file: Path, port: int) -> None:
    """Put the admin port into the file."""
    file.write_text(file.read_text().replace("host: 127.0.0.1, port: 8081", f"host: 127.0.0.1, port: {port}"))
