"""What aiohttp's parser lets through and we do not. Each of these was measured against aiohttp 3.14.5."""

from collections.abc import Sequence
from typing import Final

from aiohttp import HttpVersion11
from aiohttp.hdrs import AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, TRANSFER_ENCODING, UPGRADE
from multidict import istr

from hybridproxy.ingress.connection import Request

API_KEY: Final = istr("X-Api-Key")

MAX_SENT: Final = 1024
"""Characters of a header that goes on; a longer one is left out."""

_ONCE: Final = (AUTHORIZATION, API_KEY, CONTENT_TYPE, CONTENT_ENCODING, EXPECT)


def problem(request: Request) -> str | None:
    """Return what is wrong with a request's head, None when nothing is. The connection has to be closed then."""
    if request.version != HttpVersion11:
        return "use HTTP/1.1 (nginx: proxy_http_version 1.1)"
    if not request.target.startswith("/"):
        return "the request target must be a path"
    headers = request.headers
    if UPGRADE in headers:
        return "upgrades are not supported"
    transfer = headers.get(TRANSFER_ENCODING)
    if transfer is not None and transfer.strip().lower() != "chunked":
        return "the only Transfer-Encoding is chunked"
    for name in _ONCE:
        if name in headers and len(headers.getall(name)) > 1:
            return f"{name} must be there once"
    return None


def presented_key(request: Request) -> str | None:
    """Return the key of a request: `Authorization: Bearer` or `x-api-key`; None when there is none, or they differ."""
    authorization = request.headers.get(AUTHORIZATION)
    other = request.headers.get(API_KEY)
    if authorization is None:
        return other
    scheme, _, key = authorization.partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key or (other is not None and other != key):
        return None
    return key


def values(request: Request, name: str) -> Sequence[str]:
    """Return all the values of a header, in order."""
    return request.headers.getall(name, ())


def sendable(request: Request, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the first value of each of these headers that is there and may be sent on as it is."""
    given = ((name, request.headers.get(name, "")) for name in names)
    return tuple(
        (name, text) for name, text in given if 0 < len(text) <= MAX_SENT and text.isascii() and text.isprintable()
    )
