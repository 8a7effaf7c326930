"""A whole installation of processes: three upstreams a, b, c, so many replicas, and what their configuration says."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.acceptance.processes import GUARD, Replica, Upstream

PROVIDERS = {"a": "together", "b": "openrouter", "c": "dashscope"}
PROMPT = "hello there"
TEXT = "The quick brown fox jumps over the lazy dog, and then, quite tired, it lies down in the grass to sleep."
SPOKEN = (TEXT, f"Hello from a (qwen-a). You said: {PROMPT}")
"""What a whole answer may say: a simulator that was started anew says the second until it is told the first."""

KEYS = tuple("hp_" + letter * 43 for letter in "ABCDEFGH")
"""Of the tenants t0, t1 and so on."""

PRICE = {"input": 1, "output": 2}
"""Dollars for a million tokens: what the simulators charge."""

Json = dict[str, Any]


def digest(key: str) -> str:
    """Return what a configuration holds of a key."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def configuration(
    upstreams: Sequence[Upstream],
    *,
    keys: Json | None = None,
    tenants: int = 4,
    calm: bool = True,
    timeouts: Json | None = None,
    breaker: Json | None = None,
    redis: Json | None = None,
    routes: dict[str, Json] | None = None,
    tenant_routes: Sequence[str] = ("default",),
    change: Callable[[Json], None] | None = None,
) -> Json:
    """Return a configuration without its ports.

    Args:
        upstreams: whose names begin with `upstream-`; the backends are named by the rest.
        keys: the credentials of backends that do not have just one.
        tenants: how many.
        calm: the machine does nothing else; else calls may take longer before they are given up.
        timeouts: of the routes.
        breaker: its section.
        redis: its section.
        routes: options of routes by name; each goes through all backends in order.
        tenant_routes: the routes of the tenants, in turn.
        change: changes the rest.

    """
    names = [upstream.name.removeprefix("upstream-") for upstream in upstreams]
    keys = {name: ["${KEY}"] for name in names} | (keys or {})
    own = {"connect": "1s", "first_token": "5s", "between_bytes": "5s", "answer": "5s", "total": "20s"}
    if not calm:
        own = {"connect": "10s", "first_token": "20s", "between_bytes": "20s", "answer": "20s", "total": "25s"}
    config: Json = {
        "regions": {"default": {}},
        "backends": {
            name: {"provider": upstream.provider, "api_keys": keys[name], "base_url": upstream.base_url}
            | ({"site": "singapore"} if upstream.provider == "dashscope" else {})
            for name, upstream in zip(names, upstreams, strict=True)
        },
        "models": {
            "qwen": {
                "family": "qwen3",
                "served_by": {name: {"name": f"qwen-{name}", "price": PRICE} for name in names},
            }
        },
        "routes": {
            name: {"regions": {"default": names}, "timeouts": own | (timeouts or {})} | options
            for name, options in (routes or {"default": {}}).items()
        },
        "tenants": {
            f"t{n}": {"keys": [digest(KEYS[n])], "route": tenant_routes[n % len(tenant_routes)]} for n in range(tenants)
        },
        "breaker": {"open_for": "1s", "open_max": "2s"} | (breaker or {}),
    }
    if redis is not None:
        config["redis"] = redis
    if change is not None:
        change(config)
    return config


class Installation:
    """The running parts."""

    def __init__(self, folder: Path, http: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.http = http
        self.upstreams: dict[str, Upstream] = {}
        self.replicas: list[Replica] = []
        self.sharing: list[Replica] = []  # those of them that use Redis

    def __getitem__(self, name: str) -> Upstream:
        return self.upstreams[name]

    @property
    def urls(self) -> list[str]:
        """Where the replicas are."""
        return [replica.url for replica in self.replicas]

    async def begin(self, providers: dict[str, str]) -> None:
        """Start upstreams that all say the same."""
        self.upstreams = {name: Upstream(self.folder, self.http, name, kind) for name, kind in providers.items()}
        await asyncio.gather(*(upstream.start() for upstream in self.upstreams.values()))
        await asyncio.gather(*(upstream.ready() for upstream in self.upstreams.values()))
        for upstream in self.upstreams.values():
            await upstream.behave(text=TEXT)

    async def serve(self, configs: Sequence[Json], secrets: dict[str, str]) -> None:
        """Start a replica for each configuration."""
        made = [
            Replica(self.folder, self.http, f"replica-{n}", config, secrets)
            for n, config in enumerate(configs, len(self.replicas))
        ]
        self.replicas += made
        self.sharing += [replica for replica, config in zip(made, configs, strict=True) if "redis" in config]
        await asyncio.gather(*(replica.start() for replica in made))
        await asyncio.gather(*(replica.ready() for replica in made))

    async def fleet(self, count: int, seconds: float = GUARD) -> None:
        """Wait until every replica that shares sees so many in Redis."""
        async with asyncio.timeout(seconds):
            for replica in self.sharing:
                while (await replica.metrics()).get("hybridproxy_redis_live_workers") != count:
                    await asyncio.sleep(0.05)

    async def close(self) -> None:
        """End everything."""
        parts = [*self.replicas, *self.upstreams.values()]
        await asyncio.gather(*(part.stop() for part in parts))


@asynccontextmanager
async def installed(
    folder: Path,
    *,
    replicas: int = 1,
    providers: dict[str, str] | None = None,
    secrets: dict[str, str] | None = None,
    redis: Sequence[Json | None] | Json | None = None,
    **settings: Any,
) -> AsyncIterator[Installation]:
    """Run an installation; `redis` is the section of all replicas, or one for each; `settings`: see `configuration`."""
    folder.mkdir(exist_ok=True)
    sections: list[Json | None] = [redis] * replicas if redis is None or isinstance(redis, dict) else list(redis)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
        made = Installation(folder, http)
        try:
            await made.begin(providers or PROVIDERS)
            configs = [configuration(list(made.upstreams.values()), redis=own, **settings) for own in sections]
            await made.serve(configs, {"KEY": "upstream-key", **(secrets or {})})
            yield made
        finally:
            await made.close()
