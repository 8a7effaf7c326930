"""The address of the Redis that replicas share, in one URL whichever way it is run.

redis://[user:password@]host[:port][/db]                      one server
redis+sentinel://[user:password@]host[:port],…/service[/db]   the master that these sentinels name
redis+cluster://[user:password@]host[:port],…                 a cluster, known by some of its nodes

`rediss` in the place of `redis` is the same by TLS, to the sentinels too. The user and the password are those of the
server; what of them would end that part of the URL is written as %2F or %40.
"""

import re
from dataclasses import field
from typing import Final, Literal
from urllib.parse import unquote

from hybridproxy.config.values import host
from hybridproxy.model.value import value

Mode = Literal["standalone", "sentinel", "cluster"]

MAX_NODES: Final = 32
MAX_DB: Final = 1023
_MAX_URL: Final = 4096

_URL = re.compile(r"(rediss?)(?:\+(sentinel|cluster))?://(?:([^@/]*)@)?([^@/]*)(?:/([^@]*))?")
_NODE = re.compile(r"(?:\[([0-9A-Fa-f.]*:[0-9A-Fa-f.:]*)\]|([^\[\]:]+))(?::([0-9]{1,5}))?")
_SERVICE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PORTS: Final[dict[Mode, int]] = {"standalone": 6379, "sentinel": 26379, "cluster": 6379}


@value
class RedisUrl:
    """What a URL says. `nodes` are the sentinels where there are some; `service` is their name of the master."""

    mode: Mode
    tls: bool
    nodes: tuple[tuple[str, int], ...]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    service: str = ""
    db: int = 0


def redis_url(text: object) -> RedisUrl:
    """Return what a URL says.

    Raises:
        ValueError: with what was expected; never with what was there.

    """
    match = _URL.fullmatch(text) if isinstance(text, str) and text.isprintable() and len(text) <= _MAX_URL else None
    if match is None:
        raise ValueError(
            "expected redis://host:port, rediss://… for TLS, redis+sentinel://host:port,…/service or "
            "redis+cluster://host:port,…; in a password / is written %2F and @ is written %40"
        )
    scheme, kind, login, hosts, path = match.groups()
    if any(mark in hosts + (path or "") for mark in "?#"):
        raise ValueError("a Redis URL takes neither query nor fragment here")
    mode: Mode = "sentinel" if kind == "sentinel" else "cluster" if kind == "cluster" else "standalone"
    username, _, password = (login or "").partition(":")
    service, db = _behind_the_hosts(mode, path or "")
    return RedisUrl(
        mode=mode,
        tls=scheme == "rediss",
        nodes=_nodes(mode, hosts),
        username=_plain(username),
        password=_plain(password),
        service=service,
        db=db,
    )


def _nodes(mode: Mode, text: str) -> tuple[tuple[str, int], ...]:
    words = text.split(",")
    if mode == "standalone" and len(words) > 1:
        raise ValueError("several hosts: write redis+sentinel:// or redis+cluster://")
    if len(words) > MAX_NODES:
        raise ValueError(f"expected at most {MAX_NODES} hosts: some of them are enough to find the others")
    nodes = tuple(_node(word, _PORTS[mode]) for word in words)
    if len(set(nodes)) < len(nodes):
        raise ValueError("a host is listed twice")
    return nodes


def _node(text: str, default: int) -> tuple[str, int]:
    match = _NODE.fullmatch(text)
    if match is None:
        raise ValueError("expected host, host:port or [IPv6 address]:port, with commas between several")
    address, name, digits = match.groups()
    number = default if digits is None else int(digits)
    if not 1 <= number <= 65535:
        raise ValueError("expected a port from 1 to 65535 in the URL")
    return host(name or address), number


def _behind_the_hosts(mode: Mode, path: str) -> tuple[str, int]:
    """Return the service and the number of the database."""
    words = path.removesuffix("/").split("/") if path.strip("/") else []
    service = ""
    if mode == "sentinel":
        if not words or not _SERVICE.fullmatch(words[0]):
            raise ValueError("expected the name of the master behind the sentinels: redis+sentinel://host:port/service")
        service = words.pop(0)
    if mode == "cluster" and words:
        raise ValueError("a cluster has one database: leave out what follows the hosts")
    if len(words) > 1 or (words and not (re.fullmatch("[0-9]{1,4}", words[0]) and int(words[0]) <= MAX_DB)):
        raise ValueError(f"expected the number of a database, 0 to {MAX_DB}, at the end of the URL")
    return service, int(words[0]) if words else 0


def _plain(text: str) -> str | None:
    """Return a name or a password without its escapes, None for an empty one."""
    try:
        return unquote(text, errors="strict") or None
    except UnicodeDecodeError:
        raise ValueError("the user or the password has an escape (%…) that is no UTF-8") from None
