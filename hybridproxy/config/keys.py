"""Keys of tenants: made once, shown once, kept only as a digest."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping

from hybridproxy.model.snapshot import Tenant

PREFIX = "hp_"

KEY_BYTES = 32
"""Random bytes of a key; 43 URL-safe characters."""

MAX_PRESENTED = 512
"""Characters of a presented key that are looked at; the ones we make have 46."""

_NO_DIGEST = bytes(32)


def new_key(random_bytes: Callable[[int], bytes]) -> tuple[str, str]:
    """Make a key.

    Args:
        random_bytes: gives so many random bytes, as `secrets.token_bytes` does.

    Returns:
        The key for the tenant, and the digest for the configuration.

    """
    key = PREFIX + base64.urlsafe_b64encode(random_bytes(KEY_BYTES)).rstrip(b"=").decode()
    return key, f"sha256:{digest_of(key).hex()}"


def digest_of(key: str) -> bytes:
    """Return the SHA-256 digest of a key. A key has 256 random bits, so it needs no salt and no slow hash."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def find_tenant(keys: Mapping[bytes, Tenant], presented: str) -> Tenant | None:
    """Return the tenant whose key was presented, None when it is nobody's.

    Never raises. The work is the same for known and unknown keys, and what little differs depends on the digest, which
    tells nothing about how near the key was.
    """
    digest = digest_of(presented[:MAX_PRESENTED])
    tenant = keys.get(digest)
    same = hmac.compare_digest(digest, _NO_DIGEST if tenant is None else digest)
    return tenant if same and len(presented) <= MAX_PRESENTED else None
