"""A whole installation in one process: simulated upstreams and the proxy, over real sockets."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from openai import AsyncOpenAI

from hybridproxy.app import Worker
from hybridproxy.config.load import load
from hybridproxy.model.plane import Plane
from hybridproxy.simulator.server import RunningSimulator, RunningSimulators, SimulatorSpec, serve
from hybridproxy.transport import upstream

SINGAPORE, TORONTO, BEIJING, BERLIN = "165.21.83.88", "128.100.1.1", "114.114.114.114", "141.20.1.1"
SHOP, BANK, SMALL = ("hp_" + letter * 43 for letter in "sbt")

CONFIG = """
listen:
  host: 127.0.0.1
  port: 0
  trusted_proxies: [127.0.0.0/8]
  body_timeout: {body_timeout}
  max_body: {max_body}
  max_calls: {max_calls}
  shed_lag: {shed_lag}
admin: {{host: 127.0.0.1, port: {admin}, token: "${{ADMIN_TOKEN}}"}}
breaker: {{open_for: {open_for}, open_max: {open_max}}}
{redis}
{audit}
regions:
  china: {{countries: [CN]}}
  asia: {{continents: [AS], countries: [AU, NZ]}}
  north-america: {{countries: [US, CA, MX]}}
  europe: {{continents: [EU]}}
  default: {{}}
backends:
  dashscope-sg:
    provider: dashscope
    site: singapore
    api_key: "${{DASHSCOPE}}"
    base_url: "{dashscope}"
    shares_kept: true
    limits: {dashscope_limits}
  together-us: {{provider: together, api_keys: {together_keys}, base_url: "{together}"}}
  openrouter-us: {{provider: openrouter, api_key: "${{OPENROUTER}}", base_url: "{openrouter}", pin: [deepinfra]}}
  vpc:
    {{provider: vllm, trust: vpc, api_key: "${{VLLM}}", endpoints: ["{vllm}"], allow_cidrs: [127.0.0.0/8],
      limits: {vpc_limits}}}
models:
  qwen:
    family: qwen3
    served_by: {{dashscope-sg: qwen-sg, together-us: Qwen/Qwen-tput, openrouter-us: qwen/qwen-or, vpc: qwen-vpc}}
  only-us: {{family: qwen3, served_by: {{together-us: only}}}}
  small-window:
    family: qwen3
    served_by: {{together-us: {{name: small, context: 100}}, dashscope-sg: {{name: large, context: 100000}}}}
  "free/*": {{family: other, served_by: {{openrouter-us: "qwen/*:x"}}}}
routes:
  default:
    regions:
      asia: {backends_asia}
      north-america: [together-us, openrouter-us, dashscope-sg]
      europe: [openrouter-us, dashscope-sg]
      china: []
      default: [openrouter-us, dashscope-sg]
    timeouts:
      connect: {connect}
      first_token: {first_token}
      between_bytes: {between_bytes}
      answer: {answer}
      total: {total}
      commit_within: {commit_within}
    patience: {patience}
    on_cut: {on_cut}
    hedge: {hedge}
tenants:
  shop: {{keys: ["sha256:{shop}"], route: default, models: ["*"]{limits}}}
  small: {{keys: ["sha256:{small}"], route: default, models: {small_models}}}
  bank: {{keys: ["sha256:{bank}"], residency: vpc}}
"""
DEFAULTS: dict[str, Any] = {
    "connect": "10s", "first_token": "30s", "between_bytes": "30s", "answer": "30s", "total": "60s",
    "commit_within": "40s", "body_timeout": "30s", "max_body": "1MB", "admin": 0, "patience": "0s", "on_cut": "[error]",
    "hedge": "off",
    "dashscope_limits": "{}", "vpc_limits": "{}", "backends_asia": "[dashscope-sg, openrouter-us]",
    "small_models": '["only-*"]', "open_for": "5s", "open_max": "15s", "redis": "", "audit": "", "limits": "",
    "together_keys": '["${TOGETHER}"]', "max_calls": 5000, "shed_lag": "60s",
}  # fmt: skip
ENVIRON = {
    "ADMIN_TOKEN": "admin-token-of-tests",
    "DASHSCOPE": "sk-ds",
    "TOGETHER": "tg-key",
    "TOGETHER2": "tg-key-2",
    "OPENROUTER": "or-key",
    "VLLM": "vllm-key",
}


class Stack:
    """The running parts, and the ways in."""

    def __init__(self, simulators: RunningSimulators, worker: Worker, log: Path) -> None:
        self.simulators = simulators
        self.worker = worker
        self.log = log
        self.url = f"http://127.0.0.1:{worker.port}"
        self.http = aiohttp.ClientSession()
        self._clients: list[AsyncOpenAI] = []

    def sim(self, name: str) -> RunningSimulator:
        """The simulated upstream behind a backend's provider."""
        return self.simulators[name]

    def openai(self, key: str = SHOP, address: str = TORONTO, **options: Any) -> AsyncOpenAI:
        """The official client of a caller at an address."""
        headers = {"x-forwarded-for": address, "x-hybridproxy-explain": "1"}
        client = AsyncOpenAI(
            api_key=key, base_url=self.url + "/v1", default_headers=headers, max_retries=options.pop("max_retries", 0)
        )
        self._clients.append(client)
        return client

    @contextlib.asynccontextmanager
    async def post(
        self, path: str = "/v1/chat/completions", *, key: str | None = SHOP, address: str = TORONTO, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A plain HTTP call."""
        headers = {"x-forwarded-for": address, **options.pop("headers", {})}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        async with self.http.post(self.url + path, headers=headers, **options) as response:
            yield response

    def received(self, name: str) -> list[dict[str, Any]]:
        """What a simulated upstream got, oldest first."""
        return [orjson.loads(orjson.dumps(entry.shown())) for entry in self.sim(name).upstream.journal.entries]

    @property
    def admin_url(self) -> str:
        """The admin port."""
        assert self.worker.admin is not None
        return f"http://127.0.0.1:{self.worker.admin.addresses[0][1]}"

    def forgive(self) -> None:
        """Let breakers and quarantines learn nothing, for a test of many faults in a row at one backend."""
        self.worker.health.note = lambda *_args: None  # type: ignore[method-assign]

    async def until(self, condition: Any, seconds: float = 60.0) -> None:
        """Wait for something that another task brings about."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)

    async def lines(self) -> list[dict[str, Any]]:
        """The log so far."""
        writer = self.worker.writer
        writer.flush()
        await self.until(lambda: not writer._lines and writer._idle.is_set())
        return [orjson.loads(line) for line in self.log.read_bytes().splitlines()]

    async def close(self) -> None:
        """Stop everything."""
        await self.http.close()
        for client in self._clients:
            await client.close()
        await self.worker.close()
        await self.simulators.close()


def chat(text: str = "hello there", *, model: str = "qwen", **more: Any) -> dict[str, Any]:
    """A chat request."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def digest(key: str) -> str:
    """Return what the configuration holds of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


@contextlib.asynccontextmanager
async def running(
    folder: Path, *, providers: Sequence[str] = ("dashscope", "together", "openrouter", "vllm"), **settings: Any
) -> AsyncIterator[Stack]:
    """Start everything; settings replace the configuration's timeouts and limits; `plane` is the process's."""
    simulators = await serve([SimulatorSpec(provider) for provider in providers])
    values: dict[str, Any] = DEFAULTS | settings
    urls = {s.name: s.base_url for s in simulators.all} | {"vllm": simulators["vllm"].url}
    file = folder / "hybridproxy.yaml"
    file.write_text(CONFIG.format(**values, **urls, shop=digest(SHOP), bank=digest(BANK), small=digest(SMALL)))
    async with started(file, simulators, ENVIRON, settings.get("plane", Plane.ALL)) as stack:
        yield stack


@contextlib.asynccontextmanager
async def started(
    file: Path, simulators: RunningSimulators, environment: dict[str, str], plane: Plane = Plane.ALL
) -> AsyncIterator[Stack]:
    """Start the proxy with a configuration, in front of simulators; its log is written beside that."""
    log = file.parent / "log.jsonl"
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        with variables(environment), pytest.MonkeyPatch.context() as patch:
            # the disk of a busy machine is not what tests are about
            patch.setattr(upstream, "RECORD_WITHIN", max(30.0, upstream.RECORD_WITHIN))
            worker = Worker(file, load(file, os.environ, plane), fd)
            await worker.start()
            stack = Stack(simulators, worker, log)
            try:
                yield stack
            finally:
                await stack.close()
    finally:
        os.close(fd)


@contextlib.contextmanager
def variables(values: dict[str, str]) -> Any:
    """Set variables of the environment for a time."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
