"""The address of the Redis that replicas share, in one URL whichever way it is run.

redis://[user:password@]host[:port][/db]                    one server; rediss:// with TLS
redis+sentinel://[user:password@]host[:port],…/service[/db] the master that these sentinels name
redis+cluster://[user:password@]host[:port],…               a cluster, known by some of its nodes
"""

import re
from typing import Literal
from urllib.parse import unquote

from hybridproxy.config.values import host, port
from hybridproxy.model.value import value

Mode = Literal["standalone", "sentinel", "cluster"]

_URL = re.compile(r"(rediss?)(?:\+(sentinel|cluster))?://(?:([^@/]*)@)?([^@/]+)(/.*)?")
_PORTS: dict[Mode, int] = {"standalone": 6379, "sentinel": 26379, "cluster": 6379}
MAX_NODES = 32
MAX_DB = 1023


@value
class RedisUrl:
    """What a URL says. `nodes` are the sentinels where there are some; `service` is their name of the master."""

    mode: Mode
    tls: bool
    nodes: tuple[tuple[str, int], ...]
    username: str | None
    password: str | None
    service: str = ""
    db: int = 0


def redis_url(text: object) -> RedisUrl:
    """Return what a URL says.

    Raises:
        ValueError: with what was expected; never with what was there.

    """
    match = _URL.fullmatch(text) if isinstance(text, str) and text.isprintable() and len(text) <= 4096 else None
    if match is None:
        raise ValueError(
            "expected redis://host:port, rediss://… for TLS, redis+sentinel://host:port,…/service or "
            "redis+cluster://host:port,…"
        )
    scheme, kind, login, hosts, path = match.groups()
    mode: Mode = "sentinel" if kind == "sentinel" else "cluster" if kind == "cluster" else "standalone"
    nodes = tuple(_node(node, _PORTS[mode]) for node in hosts.split(","))
    if mode == "standalone" and len(nodes) > 1:
        raise ValueError("several hosts: write redis+sentinel:// or redis+cluster://")
    if len(nodes) > MAX_NODES:
        raise ValueError(f"at most {MAX_NODES} hosts")
    username, _, password = (login or "").partition(":")
    parts = [part for part in (path or "").split("/") if part]
    service = ""
    if mode == "sentinel":
        if not parts or not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", parts[0]):
            raise ValueError("expected the name of the master behind the sentinels: redis+sentinel://host:port/service")
        service = parts.pop(0)
    if mode == "cluster" and parts:
        raise ValueError("a cluster has one database: leave out what follows the hosts")
    if len(parts) > 1 or (parts and not (parts[0].isascii() and parts[0].isdigit() and int(parts[0]) <= MAX_DB)):
        raise ValueError(f"expected the number of a database, 0 to {MAX_DB}, behind the host")
    return RedisUrl(
        mode=mode,
        tls=scheme == "rediss",
        nodes=nodes,
        username=unquote(username) or None,
        password=unquote(password) or None,
        service=service,
        db=int(parts[0]) if parts else 0,
    )


def _node(text: str, default: int) -> tuple[str, int]:
    name, bracket, rest = text.rpartition("]") if text.startswith("[") else ("", "", text)
    if bracket:
        name = name.removeprefix("[")
        number = rest.removeprefix(":") if rest.startswith(":") else rest
    else:
        name, _, number = rest.partition(":")
    if not name:
        raise ValueError("expected a host in each place between the commas")
    return host(name), port(number) if number else default
