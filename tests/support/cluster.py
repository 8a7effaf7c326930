"""A cluster in one process: several simulated engines behind one backend, and the proxy in front of them."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from hybridproxy.simulator.server import SimulatorSpec, serve
from tests.support.stack import BANK, SHOP, SMALL, Stack, digest, started

CONFIG = """
listen: {{host: 127.0.0.1, port: 0, trusted_proxies: [127.0.0.0/8], shed_lag: 60s}}
breaker: {{open_for: {open_for}, open_max: {open_for}}}
backends:
  vpc:
    provider: {provider}
    trust: vpc
    api_key: "${{ENGINE_KEY}}"
    allow_cidrs: [127.0.0.0/8]
    endpoints: {endpoints}
    timeouts: {{connect: 30s}}
    {more}
models:
  qwen: {{family: qwen3, served_by: {{vpc: qwen3-235b}}}}
routes:
  default: {{regions: {{default: [vpc]}}, timeouts: {{connect: 10s}}}}
tenants:
  bank: {{keys: ["sha256:{bank}"], residency: vpc}}
  shop: {{keys: ["sha256:{shop}"]}}
  small: {{keys: ["sha256:{small}"], residency: vpc, priority: 5}}
"""


def configuration(urls: list[str], *, provider: str = "vllm", more: str = "", open_for: str = "200ms") -> str:
    """Return a configuration of one backend with these endpoints."""
    endpoints = "[" + ", ".join(f'"{url}"' for url in urls) + "]"
    keys = {"bank": digest(BANK), "shop": digest(SHOP), "small": digest(SMALL)}
    return CONFIG.format(provider=provider, endpoints=endpoints, more=more, open_for=open_for, **keys)


@contextlib.asynccontextmanager
async def cluster(
    folder: Path, count: int = 4, *, provider: str = "vllm", more: str = "", open_for: str = "200ms"
) -> AsyncIterator[Stack]:
    """Start so many engines, e0 and on, and a worker whose own turns of asking them are left to the test.

    `more`: a further option of the backend.
    """
    simulators = await serve([SimulatorSpec(provider, 0, f"e{n}") for n in range(count)])
    file = folder / "hybridproxy.yaml"
    urls = [simulator.url for simulator in simulators.all]
    file.write_text(configuration(urls, provider=provider, more=more, open_for=open_for))
    async with started(file, simulators, {"ENGINE_KEY": "engine-key"}) as stack:
        yield stack


async def answered(stack: Stack, messages: list[dict[str, Any]], key: str = BANK, **more: Any) -> tuple[str, str]:
    """Make one turn; return the engine that answered, by its answer, and the answer."""
    async with stack.post(key=key, json={"model": "qwen", "messages": messages, **more}) as response:
        body = await response.json()
        assert response.status == 200, body
        said: str = body["choices"][0]["message"]["content"]
        return said.split()[2], said


class Conversation:
    """One conversation; `places` are the engines of its turns."""

    def __init__(self, name: str, key: str = BANK) -> None:
        self.places: list[str] = []
        self._key = key
        self._messages: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}]
        self._name = name

    async def turn(self, stack: Stack) -> None:
        """Ask the next question."""
        question = {"role": "user", "content": f"question {len(self.places)} of {self._name}"}
        place, said = await answered(stack, [*self._messages, question], self._key)
        self._messages += [question, {"role": "assistant", "content": said}]
        self.places.append(place)

    @property
    def returned(self) -> list[bool]:
        """Of each turn but the first whether it was where the one before was."""
        return [here == before for before, here in zip(self.places, self.places[1:], strict=False)]
