"""Tests of how a key is shown."""

from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.auth import BEARER, Auth


def test_most_show_a_bearer() -> None:
    """Only Portkey's classic gateway has a header of its own, and only Bedrock takes signatures."""
    assert (BEARER.header, BEARER.prefix) == ("authorization", "Bearer ")
    assert [name for name, row in PROVIDERS.items() if row.auth.header != BEARER.header] == ["portkey"]
    assert [name for name, row in PROVIDERS.items() if row.auth.signs] == ["bedrock"]


def test_headers_that_an_operator_may_set_are_in_small_letters_and_none_of_ours() -> None:
    """They go beside ours, so none may be one of them."""
    for row in PROVIDERS.values():
        for auth in (row.auth, *row.auth_at.values()):
            assert all(name == name.lower() for name in (auth.header, *auth.takes))
            assert not auth.takes & {
                "authorization",
                "host",
                "content-length",
                "content-type",
                "connection",
                auth.header,
            }
    assert Auth().takes == frozenset()
