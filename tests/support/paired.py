"""One provider, imitated, behind one proxy: what a caller gets direct can be held against what comes through."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hybridproxy.providers import PROVIDERS
from hybridproxy.simulator.rows import PROVIDERS as IMITATED
from hybridproxy.simulator.server import RunningSimulator, SimulatorSpec, serve
from tests.support.stack import SHOP, Stack, digest, started

MODEL: Final = "up-stream"
"""What the backend calls the model, and the caller too."""
KEY: Final = "key-of-tests"
PLAIN: Final = "openai"
"""What a provider is imitated as that the simulator has no row of its own for."""
LATE: Final = {"retry-after": "3600"}
"""Headers of an error: to come back so late that nobody waits for a second attempt."""
CONFIG: Final = """
listen: {{host: 127.0.0.1, port: 0, trusted_proxies: [127.0.0.0/8], shed_lag: 60s}}
regions: {{default: {{}}}}
backends: {{it: {{provider: {provider}, api_key: "${{KEY}}", base_url: "{url}", limits: {{rpm: 100000}}{site}}}}}
models: {{{model}: {{family: other, served_by: {{it: {model}}}}}}}
routes: {{default: {{regions: {{default: [it]}}, timeouts: {{connect: 10s}}, patience: 0s}}}}
tenants: {{shop: {{keys: ["sha256:{shop}"], route: default}}}}
"""

ERROR_TYPES: Final[dict[str, dict[int, str]]] = {
    "openrouter": {
        0: "context_length_exceeded",
        400: "invalid_request",
        401: "authentication",
        402: "payment_required",
        404: "not_found",
        429: "rate_limit_exceeded",
        500: "server",
        503: "provider_overloaded",
    }
}
"""Providers that say what is wrong in a word of their own beside the status; 0: a prompt that is too long."""

TOO_LONG: Final = {"dashscope-native": "Range of input length should be [1, 4096]"}
"""Providers that say it in words of their own."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An imitated provider, and a proxy that has nothing else."""

    provider: str
    simulator: RunningSimulator
    stack: Stack

    def fails(self, status: int, *, too_long: bool = False) -> None:
        """Let every call be answered with this status, or with a 400 for a prompt that is too long for the model."""
        fault: dict[str, object] = {"kind": "status", "status": status, "headers": LATE}
        if too_long:
            fault["message"] = TOO_LONG.get(self.provider, "This model's maximum context length is 4096 tokens.")
        if word := ERROR_TYPES.get(self.provider, {}).get(0 if too_long else status):
            fault["type"] = word
        self.simulator.behave({"fault": fault})


def imitated(provider: str) -> str:
    """Return the row of the simulator that plays a provider."""
    return provider if provider in IMITATED else PLAIN


@contextlib.asynccontextmanager
async def paired(folder: Path, provider: str) -> AsyncIterator[Pair]:
    """Start both; faults in a row do not add up to an open breaker, and a 429 teaches no rate that calls wait for."""
    simulators = await serve([SimulatorSpec(imitated(provider))])
    simulator = simulators.all[0]
    sites = PROVIDERS[provider].sites
    site = "" if not sites or "" in sites else f", site: {next(iter(sites))}"
    file = folder / "hybridproxy.yaml"
    values = {"provider": provider, "url": simulator.base_url, "site": site, "model": MODEL, "shop": digest(SHOP)}
    file.write_text(CONFIG.format(**values))
    async with started(file, simulators, {"KEY": KEY}) as stack:
        stack.forgive()
        yield Pair(provider, simulator, stack)
