"""What aiohttp's parser lets through and we do not: each row of the table was measured, see docs/hostile-http.md."""

from collections.abc import Sequence
from typing import Final

from aiohttp import HttpVersion11

from hybridproxy.ingress.connection import Request

_ONCE: Final = ("Authorization", "X-Api-Key", "Content-Type", "Content-Encoding", "Expect")


def problem(request: Request) -> str | None:
    """Return what is wrong with a request's head, None when nothing is. The connection has to be closed then."""
    if request.version != HttpVersion11:
        return "use HTTP/1.1 (nginx: proxy_http_version 1.1)"
    if not request.target.startswith("/"):
        return "the request target must be a path"
    headers = request.headers
    if "Upgrade" in headers:
        return "upgrades are not supported"
    transfer = headers.get("Transfer-Encoding")
    if transfer is not None and transfer.strip().lower() != "chunked":
        return "the only Transfer-Encoding is chunked"
    for name in _ONCE:
        if name in headers and len(headers.getall(name)) > 1:
            return f"{name} must be there once"
    return None


def presented_key(request: Request) -> str | None:
    """Return the key of a request: `Authorization: Bearer` or `x-api-key`; None when there is none, or they differ."""
    headers = request.headers
    authorization = headers.get("Authorization")
    other = headers.get("X-Api-Key")
    if authorization is None:
        return other
    scheme, _, key = authorization.partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key or (other is not None and other != key):
        return None
    return key


def values(request: Request, name: str) -> Sequence[str]:
    """Return all the values of a header, in order."""
    headers = request.headers
    return headers.getall(name) if name in headers else ()
