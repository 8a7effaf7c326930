"""The head of an upstream request: everything that does not change from call to call is built once."""

import re
from collections.abc import Iterable
from functools import lru_cache
from importlib import metadata
from typing import Final

from hybridproxy.model.backend import Credential, Endpoint
from hybridproxy.providers.sigv4 import pair_of, sign


def _version() -> str:
    try:
        return metadata.version("hybridproxy")
    except metadata.PackageNotFoundError:  # run from a checkout that was never installed
        return "0"


USER_AGENT: Final = f"hybridproxy/{_version()}"

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OURS: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)


def request_prefix(
    endpoint: Endpoint,
    credential: Credential,
    path: str,
    *,
    stream: bool,
    method: str = "POST",
    root: str | None = None,
) -> bytes:
    """Return the head of a request as far as it is the same for every body; it ends after `content-length: `.

    The path stands under the endpoint's own, or under `root` where that is given.

    Raises:
        ValueError: the host, the path or the key holds what may not stand in a head. The text does not repeat it.

    """
    target = (endpoint.base_path if root is None else root) + path
    if not target.startswith("/") or not target.isascii() or " " in target or _CONTROL.search(target) or "\t" in target:
        raise ValueError("the path of the upstream request is not valid")
    lines = [
        f"{method} {target} HTTP/1.1",
        f"host: {_value('host', endpoint.authority)}",
        "content-type: application/json",
        f"accept: {'text/event-stream' if stream else 'application/json'}",
        "accept-encoding: identity",
        f"user-agent: {USER_AGENT}",
    ]
    if credential.secret and credential.signs is None:
        lines.append(f"{credential.header}: {_value(credential.header, credential.prefix + credential.secret)}")
    lines.append("content-length: ")
    return "\r\n".join(lines).encode("latin-1")


def signature(
    endpoint: Endpoint, credential: Credential, path: str, body: bytes, wall: float, *, method: str = "POST"
) -> tuple[tuple[str, str], ...]:
    """Return the headers that sign a request with a credential that is not shown; `path` is the whole one.

    Raises:
        ValueError: the credential is no pair of a name and a secret. The text does not repeat it.

    """
    pair = pair_of(credential.secret)
    if pair is None or credential.signs is None:
        raise ValueError("the key cannot sign a request: it is not ID:SECRET")
    service, region = credential.signs
    headers = {"host": endpoint.authority, "content-type": "application/json"}
    return sign(pair, region, service, method=method, path=path, headers=headers, body=body, wall=wall)


def request_head(
    prefix: bytes, length: int, extra: Iterable[tuple[str, str]], signed: Iterable[tuple[str, str]] = ()
) -> bytes:
    """Return the whole head for a body of so many bytes, with extra headers, and with those that sign it.

    Raises:
        ValueError: an extra header cannot be sent as it is. The text names it without its value.

    """
    rest = "".join([f"\r\n{_name(name)}: {_value(name, value)}" for name, value in extra])
    rest += "".join([f"\r\n{name}: {_value(name, value)}" for name, value in signed])
    return b"%b%d%b\r\n\r\n" % (prefix, length, rest.encode("latin-1"))


@lru_cache(64)
def _name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError("the name of an extra header is not valid")
    if name.lower() in _OURS:
        raise ValueError(f"the header {name} cannot be set from outside")
    return name


def _value(name: str, value: str) -> str:
    """Return a value that ends where it seems to: a line break in it would start a header of its own."""
    if value.isascii() and value.isprintable():
        return value
    if _CONTROL.search(value):
        raise ValueError(f"the value of the header {name} holds a control character")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"the value of the header {name} holds a character that HTTP has no place for") from None
    return value
