from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hybridproxy.config.load import load
from hybridproxy.config.mistakes import ConfigError
from hybridproxy.config.settings import Configuration

DATA = Path(__file__).parent / "data"

ENVIRON = {
    "HYBRIDPROXY_ADMIN_TOKEN": "canary-admin-token",
    "REDIS_URL": "redis://:canary-redis@redis:6379/0",
    "REDIS_SCHEME": "redis",
    "REDIS_SCHEME_AND_USER": "redis://user",
    "REDIS_HOST": "redis.internal",
    "DASHSCOPE_API_KEY": "canary-dashscope",
    "TOGETHER_API_KEY": "canary-together",
    "TOGETHER_API_KEY_2": "canary-together-2",
    "OPENROUTER_API_KEY": "canary-openrouter",
}

Write = Callable[..., Path]
Load = Callable[..., Configuration]
Mistakes = Callable[..., list[str]]


@pytest.fixture
def environ() -> dict[str, str]:
    return dict(ENVIRON)


@pytest.fixture
def product() -> Path:
    """The example of the public contract."""
    return DATA / "product.yaml"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file below the test's folder."""

    def write(text: str | bytes, name: str = "hybridproxy.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def load_text(write: Write) -> Load:
    """Load a configuration from its text."""

    def load_text(text: str | bytes, environ: Mapping[str, str] = ENVIRON) -> Configuration:
        return load(write(text), environ)

    return load_text


@pytest.fixture
def mistakes_in(write: Write) -> Mistakes:
    """Return the mistakes in a configuration, without the folder's name."""

    def mistakes_in(text: str | bytes, environ: Mapping[str, str] = ENVIRON) -> list[str]:
        path = write(text)
        with pytest.raises(ConfigError) as error:
            load(path, environ)
        return [str(mistake).replace(f"{path.parent}/", "") for mistake in error.value.mistakes]

    return mistakes_in


DIGEST = "sha256:" + "0123456789abcdef" * 4

SECTIONS = {
    "regions": "{default: {}}",
    "backends": '{a: {provider: vllm, base_url: "http://127.0.0.1:8000"}}',
    "models": "{m: {family: qwen3, served_by: {a: m}}}",
    "routes": "{default: {regions: {default: [a]}}}",
    "tenants": f'{{t: {{keys: ["{DIGEST}"]}}}}',
}


def config(**sections: str) -> str:
    """Return a small configuration, one section a line, the given ones in place of its own or after them."""
    return "".join(f"{name}: {text}\n" for name, text in {**SECTIONS, **sections}.items())


@pytest.fixture(name="config")
def config_fixture() -> Callable[..., str]:
    """Make a small configuration, one section a line."""
    return config
