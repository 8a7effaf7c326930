"""A configuration file, and the command line called as a user calls it."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hybridproxy.cli.main import app

Run = Callable[..., Result]

SHOP = "hp_" + "s" * 43
CONFIG = f"""\
listen: {{host: 127.0.0.1, port: 0, trusted_proxies: [10.0.0.0/8]}}
admin: {{host: 127.0.0.1, port: 8081, token: "${{ADMIN_TOKEN}}"}}
regions:
  china: {{countries: [CN]}}
  asia: {{continents: [AS]}}
  default: {{}}
backends:
  sg: {{provider: openai, base_url: "https://sg.example/v1", api_key: "${{UPSTREAM}}"}}
  us: {{provider: openai, base_url: "https://us.example/v1", api_key: "${{UPSTREAM}}"}}
  vpc: {{provider: vllm, trust: vpc, endpoints: ["https://10.0.3.1"], allow_cidrs: [10.0.3.0/24]}}
models:
  qwen: {{family: qwen3, served_by: {{sg: qwen-sg, us: qwen-us, vpc: qwen-vpc}}}}
  only-us: {{family: qwen3, served_by: {{us: small}}}}
routes:
  default: {{regions: {{asia: [sg, us], china: [], default: [us]}}}}
tenants:
  shop: {{keys: ["sha256:{hashlib.sha256(SHOP.encode()).hexdigest()}"], route: default, models: ["*"]}}
  bank: {{keys: ["sha256:{"51" * 32}"], residency: vpc}}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound configuration file, with its secrets in the environment, that no command finds by itself."""
    path = tmp_path / "proxy.yaml"
    path.write_text(CONFIG)
    monkeypatch.setenv("ADMIN_TOKEN", "admin-token-of-tests")
    monkeypatch.setenv("UPSTREAM", "sk-upstream-of-tests")
    monkeypatch.delenv("HYBRIDPROXY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line; an exception that is no exit fails the test."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "dumb")

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)

    return call
