"""An installation for callers of Anthropic's dialect: backends that speak it, and others that do not."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2
from anthropic import AsyncAnthropic

from hybridproxy.simulator.server import SimulatorSpec, serve
from tests.support.stack import BANK, SHOP, Stack, digest, started

CONFIG: Final = """
listen: {{host: 127.0.0.1, port: 0, trusted_proxies: [127.0.0.0/8], shed_lag: 60s}}
regions: {{default: {{}}}}
backends:
  claude: {{provider: anthropic, api_key: "${{KEY}}", base_url: "{anthropic}"}}
  router: {{provider: openrouter, api_key: "${{KEY}}", base_url: "{openrouter}"}}
  first: {{provider: dashscope, site: singapore, api_key: "${{KEY}}", base_url: "{dashscope}"}}
  second: {{provider: vllm, trust: vpc, api_key: "${{KEY}}", endpoints: ["{vllm}"], allow_cidrs: [127.0.0.0/8]}}
  other: {{provider: together, api_key: "${{KEY}}", base_url: "{together}"}}
models:
  claude: {{family: other, served_by: {{claude: claude-up}}}}
  routed: {{family: qwen3, served_by: {{router: qwen/up}}}}
  qwen: {{family: qwen3, served_by: {{other: qwen-up}}}}
  streamer: {{family: qwen3, served_by: {{other: {{name: qwen-up, streams_only: true}}}}}}
  counted: {{family: qwen3, served_by: {{second: qwen-up, other: qwen-up}}}}
  cut: {{family: qwen3, served_by: {{second: qwen-up, router: qwen-up}}}}
  everywhere: {{family: qwen3, served_by: {{other: qwen-up, claude: claude-up}}}}
routes:
  default:
    regions: {{default: [other, second, router, claude, first]}}
    timeouts: {{connect: 10s}}
    patience: 0s
    on_cut: {on_cut}
tenants:
  shop: {{keys: ["sha256:{shop}"], route: default}}
  bank: {{keys: ["sha256:{bank}"], residency: vpc}}
"""
PROVIDERS: Final = ("anthropic", "openrouter", "dashscope", "vllm", "together")


@contextlib.asynccontextmanager
async def speaking(folder: Path, on_cut: str = "[error]") -> AsyncIterator[Stack]:
    """Start simulated upstreams and the proxy."""
    simulators = await serve([SimulatorSpec(provider) for provider in PROVIDERS])
    urls = {s.name: s.base_url for s in simulators.all} | {"vllm": simulators["vllm"].url}
    file = folder / "hybridproxy.yaml"
    file.write_text(CONFIG.format(**urls, shop=digest(SHOP), bank=digest(BANK), on_cut=on_cut))
    async with started(file, simulators, {"KEY": "key-of-tests"}) as stack:
        yield stack


@contextlib.asynccontextmanager
async def client(url: str, key: str = SHOP, **options: Any) -> AsyncIterator[AsyncAnthropic]:
    """The official client."""
    http = httpx2.AsyncClient(verify=False)
    made = AsyncAnthropic(api_key=key, base_url=url, max_retries=options.pop("max_retries", 0), http_client=http)
    async with made:
        yield made


def hi(text: str = "hello there", **more: Any) -> dict[str, Any]:
    """A request."""
    return {"max_tokens": 1000, "messages": [{"role": "user", "content": text}], **more}
