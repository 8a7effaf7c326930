"""AWS Signature Version 4: what proves that a request was made by who has the secret, without showing it.

The recipe: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. Only what we send is
covered: a path without a query, headers that occur once, a body that is there.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from hybridproxy.model.value import value

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


@value
class Pair:
    """A key of AWS: its name, its secret, and the token of a temporary one ("": there is none)."""

    id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


def pair_of(given: str) -> Pair | None:
    """Return the pair that `ID:SECRET` or `ID:SECRET:TOKEN` is; None for what is none."""
    parts = given.split(":")
    return Pair(*parts) if len(parts) in {2, 3} and all(parts) else None


def sign(
    pair: Pair,
    region: str,
    service: str,
    *,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    wall: float,
) -> tuple[tuple[str, str], ...]:
    """Return the headers that sign a request.

    Args:
        pair: whose request it is.
        region: AWS's name of the region that is asked.
        service: AWS's name of the service there.
        method: of the request.
        path: as it stands in the request.
        headers: those that are signed, in lower case, `host` among them.
        body: the whole body.
        wall: seconds since the epoch; AWS takes no signature that is more than some minutes off.

    """
    now = datetime.fromtimestamp(wall, UTC)
    date, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    added = {"x-amz-date": date} | ({"x-amz-security-token": pair.token} if pair.token else {})
    signed = dict(sorted({**headers, **added}.items()))
    names = ";".join(signed)
    canonical = "\n".join(
        (
            method,
            quote(path, safe="/-_.~"),
            "",
            *(f"{name}:{' '.join(text.split())}" for name, text in signed.items()),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{day}/{region}/{service}/aws4_request"
    to_sign = "\n".join((_ALGORITHM, date, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{pair.secret}".encode()
    for step in (day, region, service, "aws4_request"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    shown = f"{_ALGORITHM} Credential={pair.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return (*added.items(), ("authorization", shown))
