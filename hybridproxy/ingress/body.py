"""Reading a request's body within bounds of size and time."""

import asyncio

from aiohttp import web
from aiohttp.hdrs import CONTENT_ENCODING, CONTENT_LENGTH, EXPECT

from hybridproxy.config.settings import Listen
from hybridproxy.gateway.reply import BodyError
from hybridproxy.ingress.connection import Request


async def read_body(request: Request, listen: Listen) -> bytes:
    """Return the whole body.

    Raises:
        BodyError: too large (413), too slow (408), compressed (415) or broken (400).

    """
    headers = request.headers
    encoding = headers.get(CONTENT_ENCODING)
    if encoding is not None and encoding.strip().lower() != "identity":
        raise BodyError(415, "send the body as it is: a Content-Encoding is not supported", code="unsupported_encoding")
    limit = listen.max_body
    length = headers.get(CONTENT_LENGTH)  # the parser has let only digits through
    if length is not None and int(length) > limit:
        raise _too_large(limit)
    content = request.content
    if content.is_eof():
        data = await content.readany()  # it is all there: this does not wait
        if len(data) > limit:
            raise _too_large(limit)
        return data
    if headers.get(EXPECT, "").lower() == "100-continue":
        request.go_on()
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(listen.body_timeout):
            while part := await content.readany():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError:
        message = f"the body did not arrive within {listen.body_timeout:g} s"
        raise BodyError(408, message, code="body_timeout") from None
    except web.RequestPayloadError:
        raise BodyError(400, "the body broke off or its framing is wrong", code="invalid_body") from None
    return b"".join(parts)


def _too_large(limit: int) -> BodyError:
    return BodyError(413, f"the body is larger than {limit} bytes", code="body_too_large")
