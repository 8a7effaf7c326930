"""Callers of every kind before a proxy with a ledger and upstreams that break in every way, and what they were told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
from ruamel.yaml import YAML

from hybridproxy.simulator.server import SimulatorSpec, serve
from tests.acceptance.mixture import TENANTS, Asked, Json
from tests.support.stack import Stack, digest, started

KEYS: Final = {name: "hp_" + letter * 43 for name, letter in zip(TENANTS, "PQRST", strict=True)}
CALLER: Final = {
    "dashscope-sg": "dashscope", "together-us": "together", "openrouter-us": "openrouter",
    "vpc": "vllm", "vpc-sglang": "sglang",
}  # fmt: skip
"""Backend -> the simulated upstream behind it."""

PRICES: Final[dict[str, Json]] = {
    "dashscope-sg": {
        "input": 0.4, "output": 1.2, "cached": 0.08, "written": 0.5, "thinking": 4.0,
        "tiers": [{"above": 800, "input": 1.2, "output": 3.6, "cached": 0.24, "written": 1.5, "thinking": 12.0}],
    },
    "together-us": {"input": 0.2, "output": 0.6},
    "openrouter-us": {"input": 0.1234567, "output": 0.7654321, "cached": 0.0123457},
    "vpc": {"input": 0.05, "output": 0.15},
    "vpc-sglang": {"input": 0.04, "output": 0.12},
}  # fmt: skip
"""Dollars for a million tokens, in the configuration and at the simulators; some with parts of a nano-dollar."""

ROOMY: Final[Json] = {"limits": {"rpm": 100_000}}
"""So that a 429 does not teach a rate: callers that never wait would meet it with most of their calls."""

OWN: Final = {"connect": "5s", "first_token": "2s", "between_bytes": "2s", "answer": "3s"}
"""Time-outs of backends."""

TEXT: Final = " ".join(f"the {n} ships at sea are far away from us" for n in range(5))

FAULTS: Final[tuple[Json, ...]] = (
    {"kind": "status", "status": 500, "probability": 0.008},
    {"kind": "status", "status": 503, "probability": 0.008},
    {"kind": "status", "status": 429, "probability": 0.025, "headers": {"retry-after": "1"}},
    {"kind": "cut", "before_head": True, "probability": 0.008},
    {"kind": "cut", "after_pieces": 0, "only_stream": True, "probability": 0.008},
    {"kind": "cut", "after_pieces": 9, "probability": 0.07},
    {"kind": "truncate_json", "after_pieces": 4, "probability": 0.006},
    {"kind": "stall", "before_head": True, "probability": 0.02},
    {"kind": "stall", "after_pieces": 5, "only_stream": True, "probability": 0.004},
    {"kind": "in_band_error", "after_pieces": 0, "probability": 0.006},
    {"kind": "in_band_error", "after_pieces": 6, "only_stream": True, "probability": 0.015},
    {"kind": "garbage", "after_pieces": 3, "probability": 0.004},
    {"kind": "no_finish", "probability": 0.004},
    {"kind": "refuse", "probability": 0.004},
)


@dataclass(slots=True)
class Told:
    """What a caller got.

    Attributes:
        asked: the call.
        id: our name of it.
        status: of the answer, 0 for none.
        whole: it came to its proper end.
        usage: tokens of input and output that it told, None: none.
        again: seconds after which it may come again, where nothing of it was sent to an upstream; None: it was.

    """

    asked: Asked
    id: str = ""
    status: int = 0
    whole: bool = False
    left: bool = False
    usage: tuple[int, int] | None = None
    again: float | None = None


WORDS: Final = {"cached": "cache_read", "written": "cache_write"}
"""The simulators' words for prices, and the configuration's."""


def _price(price: Json) -> Json:
    """Return a price of the simulators' as the configuration has it."""
    return {
        WORDS.get(name, name): [_price(tier) for tier in value] if name == "tiers" else value
        for name, value in price.items()
    }


def configuration(urls: dict[str, str], ledger: Path | None, more: Json) -> Json:
    """Return a configuration in front of these upstreams."""
    general = [name for name in CALLER if not name.startswith("vpc")]
    served = {name: {"name": f"qwen-at-{name}", "price": _price(PRICES[name])} for name in CALLER}
    embedding = {name: {"name": f"vectors-at-{name}", "price": _price(PRICES[name])} for name in CALLER}
    ways: dict[str, Json] = {
        "plain": {},
        "resumer": {"on_cut": ["resume", "error"], "hedge": "2%"},
        "replayer": {"on_cut": ["replay", "error"], "hedge": "2%"},
        "hedger": {"hedge": "2%"},
    }  # fmt: skip
    times = OWN | {"total": "20s"}
    orders = {"plain": (0, 1, 2), "resumer": (1, 2, 0), "replayer": (2, 0, 1), "hedger": (0, 2, 1)}
    return {
        # callers and upstreams keep the same loop busy: that it is late says nothing of the proxy
        "listen": {"host": "127.0.0.1", "port": 0, "trusted_proxies": ["127.0.0.0/8"], "shed_lag": "60s"},
        "admin": {"host": "127.0.0.1", "port": 0, "token": "${ADMIN_TOKEN}"},
        "regions": {"default": {}},
        "backends": {
            **{
                name: {"provider": CALLER[name], "api_key": "${KEY}", "base_url": urls[name], **ROOMY}
                | ({"site": "singapore"} if name == "dashscope-sg" else {})
                for name in general
            },
            **{
                name: {"provider": CALLER[name], "trust": "vpc", "api_key": "${KEY}", "endpoints": [urls[name]],
                       "allow_cidrs": ["127.0.0.0/8"], "timeouts": OWN, **ROOMY}
                for name in CALLER if name not in general
            },
        },
        "models": {
            "qwen": {"family": "qwen3", "served_by": served},
            "vectors": {"family": "qwen3", "served_by": embedding},
        },
        "routes": {
            name: {"regions": {"default": [general[place] for place in orders[name]]}, "timeouts": times} | way
            for name, way in ways.items()
        },
        "tenants": {
            name: {"keys": ["sha256:" + digest(key)], "budget": {"usd_per_day": 1000}}
            | ({"route": name} if name in ways else {"residency": "vpc"})
            for name, key in KEYS.items()
        },
        "breaker": {"open_for": "300ms", "open_max": "600ms"},
    } | ({} if ledger is None else {"ledger": {"path": str(ledger)}}) | more  # fmt: skip


@contextlib.asynccontextmanager
async def installed(folder: Path, ledger: Path | None = None, more: Json | None = None) -> AsyncIterator[Stack]:
    """Start the upstreams and the proxy."""
    simulators = await serve([SimulatorSpec(provider) for provider in CALLER.values()])
    urls = {
        backend: simulators[name].url if backend.startswith("vpc") else simulators[name].base_url
        for backend, name in CALLER.items()
    }
    for n, (backend, name) in enumerate(CALLER.items()):
        faults = [fault | {"seed": 100 * n + place} for place, fault in enumerate(FAULTS)]
        simulators[name].behave({
            "text": TEXT, "reasoning": 6, "thinks": "asked", "caches": True, "prices": {"*": PRICES[backend]},
            "latency_ms": 2, "pace_ms": 1, "faults": faults,
        })  # fmt: skip
    file = folder / "hybridproxy.yaml"
    with file.open("w") as out:
        YAML(typ="safe").dump(configuration(urls, ledger, more or {}), out)
    async with started(file, simulators, {"KEY": "key-of-tests", "ADMIN_TOKEN": "admin-token-of-tests"}) as stack:
        yield stack


TRIES: Final = 10
"""How often a call is made that was not sent because every upstream was resting or full."""


async def made(stack: Stack, calls: Iterable[Asked], at_a_time: int) -> list[Told]:
    """Make calls, so many at a time, each as soon as there is room; who is told to come again later does, as SDKs do.

    Each time it comes is a call of its own, with a name of its own.
    """
    waiting, told = iter(calls), []
    limit = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=limit, connector=aiohttp.TCPConnector(limit=0)) as http:

        async def caller() -> None:
            for asked in waiting:
                for _ in range(TRIES):
                    told.append(await one(http, stack.url, asked))
                    if told[-1].again is None:
                        break
                    await asyncio.sleep(told[-1].again)

        async with asyncio.TaskGroup() as group:
            for _ in range(at_a_time):
                group.create_task(caller())
    return told


async def one(http: aiohttp.ClientSession, url: str, asked: Asked) -> Told:
    """Make one call."""
    told = Told(asked)
    headers = {"authorization": f"Bearer {KEYS[asked.tenant]}", **asked.headers}
    wait = 0.006 if asked.leaves == -1 else None
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(wait):
            response = await http.post(url + asked.path, json=asked.body, headers=headers)
        async with response:
            told.id, told.status = response.headers.get("x-request-id", ""), response.status
            if response.headers.get("x-hybridproxy-attempts") == "0" and "retry-after" in response.headers:
                told.again = float(response.headers["retry-after"])
            body, reads = b"", 0
            while data := await response.content.readany():
                body += data
                reads += 1
                if asked.leaves is not None and reads >= asked.leaves:
                    told.left = True
                    response.close()
                    return told
            told.whole = told.status == 200
            read(told, body)
        return told
    told.left = told.status == 0
    return told


def read(told: Told, body: bytes) -> None:
    """Read the usage of an answer that came to its end."""
    asked = told.asked
    if told.status != 200:
        return
    if not asked.stream:
        told.usage = _usage(asked.kind, orjson.loads(body))
        return
    for line in body.splitlines():
        if not line.startswith(b"data:") or line.endswith(b"[DONE]"):
            continue
        event = orjson.loads(line.removeprefix(b"data:"))
        if event.get("error") or event.get("type") == "error" or event.get("code"):
            told.whole = False
        response = event.get("response")
        found = _usage(asked.kind, response if isinstance(response, dict) else event.get("message") or event)
        if found is not None and (asked.kind != "messages" or found[1] or told.usage is None):
            first = told.usage or (0, 0)
            told.usage = (found[0] or first[0], found[1]) if asked.kind == "messages" else found


def _usage(kind: str, holder: Any) -> tuple[int, int] | None:
    usage = holder.get("usage") if isinstance(holder, dict) else None
    if not isinstance(usage, dict):
        return None
    match kind:
        case "messages":
            parts = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
            return sum(usage.get(part) or 0 for part in parts), usage.get("output_tokens") or 0
        case "native" | "responses":
            return usage["input_tokens"], usage["output_tokens"]
        case _:
            return usage["prompt_tokens"], usage.get("completion_tokens", 0)
