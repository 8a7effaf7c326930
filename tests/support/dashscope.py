"""Upstreams for callers of DashScope's own protocol: DashScope in both of its ways, and one that speaks OpenAI's."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from hybridproxy.simulator.server import SimulatorSpec, serve
from tests.support.stack import SHOP, Stack, digest, started

SERVICES: Final = "/api/v1/services"
TEXT: Final = f"{SERVICES}/aigc/text-generation/generation"
MULTIMODAL: Final = f"{SERVICES}/aigc/multimodal-generation/generation"
EMBEDDING: Final = f"{SERVICES}/embeddings/text-embedding/text-embedding"
SSE: Final = {"x-dashscope-sse": "enable"}
HI: Final = [{"role": "user", "content": "good morning"}]

CONFIG: Final = """
listen: {{host: 127.0.0.1, port: 0, trusted_proxies: [127.0.0.0/8], shed_lag: 60s}}
regions: {{default: {{}}}}
backends:
  ds: {{provider: dashscope, site: singapore, api_key: "${{KEY}}", base_url: "{ds}", limits: {{rpm: 100000}}}}
  native: {{provider: dashscope-native, site: singapore, api_key: "${{KEY}}", base_url: "{native}",
    limits: {{rpm: 100000}}}}
  plain: {{provider: openai, api_key: "${{KEY}}", base_url: "{plain}", limits: {{rpm: 100000}}}}
models:
  m: {{family: qwen3, served_by: {{ds: m}}}}
  n: {{family: qwen3, served_by: {{native: m}}}}
  p: {{family: qwen3, served_by: {{plain: m}}}}
  native-first: {{family: qwen3, served_by: {{native: m, ds: m}}}}
  plain-first: {{family: qwen3, served_by: {{plain: m, native: m}}}}
  qwq: {{family: qwen3, served_by: {{plain: {{name: m, streams_only: true}}}}}}
  qwq-native: {{family: qwen3, served_by: {{ds: {{name: m, streams_only: true}}}}}}
  sees: {{family: qwen3, served_by: {{ds: qwen3.7-plus}}}}
  sees-natively: {{family: qwen3, served_by: {{native: qwen3.7-plus}}}}
  qwen3-vl: {{family: qwen3, served_by: {{ds: qwen3-vl-plus}}}}
routes:
  default:
    regions: {{default: [plain, native, ds]}}
    timeouts: {{connect: 10s}}
    patience: 0s
    on_cut: [{on_cut}]
tenants: {{shop: {{keys: ["sha256:{shop}"], route: default}}}}
"""


@contextlib.asynccontextmanager
async def running(folder: Path, on_cut: str = "error") -> AsyncIterator[Stack]:
    """Start the upstreams `ds`, `native` and `plain`, whose 429 teach no rate that calls wait for, and the proxy."""
    specs = (("dashscope", "ds"), ("dashscope-native", "native"), ("openai", "plain"))
    simulators = await serve([SimulatorSpec(provider, name=name) for provider, name in specs])
    file = folder / "hybridproxy.yaml"
    urls = {simulator.name: simulator.base_url for simulator in simulators.all}
    file.write_text(CONFIG.format(**urls, on_cut=on_cut, shop=digest(SHOP)))
    async with started(file, simulators, {"KEY": "key-of-tests"}) as stack:
        stack.forgive()
        yield stack


def asked(model: str, *, messages: Sequence[Any] = HI, **parameters: Any) -> dict[str, Any]:
    """Return a request."""
    return {"model": model, "input": {"messages": list(messages)}, "parameters": parameters}


async def events(response: aiohttp.ClientResponse) -> tuple[bytes, list[tuple[str, dict[str, Any]]]]:
    """Return the bytes of a stream, and name and data of its events."""
    raw = b""
    with contextlib.suppress(aiohttp.ClientPayloadError):  # a stream that broke ends without HTTP's own end
        async for part in response.content.iter_any():
            raw += part
    found = []
    for block in raw.decode().split("\n\n"):
        lines = block.split("\n")
        if not block.startswith(":") and block:
            name = next(line.removeprefix("event:") for line in lines if line.startswith("event:"))
            found.append((name, orjson.loads(lines[-1].removeprefix("data:"))))
    return raw, found
