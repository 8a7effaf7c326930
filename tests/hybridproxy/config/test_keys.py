import re
import secrets

from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.config.keys import MAX_PRESENTED, digest_of, find_tenant, new_key
from hybridproxy.model.snapshot import Tenant

SHOP = Tenant("shop", "default")


def test_a_new_key_has_the_shape_clients_know() -> None:
    """A key is `hp_` and 43 URL-safe characters, and no two are alike."""
    one, _ = new_key(secrets.token_bytes)
    other, _ = new_key(secrets.token_bytes)
    assert re.fullmatch(r"hp_[A-Za-z0-9_-]{43}", one)
    assert one != other


def test_the_digest_that_goes_into_the_file_finds_the_tenant() -> None:
    """What `key new` prints for the file is the digest the look-up computes."""
    key, digest = new_key(lambda size: bytes(range(size)))
    assert digest == "sha256:" + digest_of(key).hex()
    assert find_tenant({bytes.fromhex(digest.removeprefix("sha256:")): SHOP}, key) is SHOP


@given(st.text(st.characters(exclude_categories=())))
def test_whatever_is_presented_finds_nobody_and_raises_nothing(presented: str) -> None:
    """A stranger's text, lone surrogates included, is nobody's key."""
    assert find_tenant({digest_of("hp_" + "a" * 43): SHOP}, presented) is None


def test_a_text_longer_than_any_key_is_nobodys() -> None:
    """What is too long is not looked at whole, so it may not match by its beginning either."""
    longest = "k" * MAX_PRESENTED
    keys = {digest_of(longest): SHOP}
    assert find_tenant(keys, longest) is SHOP
    assert find_tenant(keys, longest + "k") is None
