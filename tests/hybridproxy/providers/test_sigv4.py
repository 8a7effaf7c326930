"""Tests of AWS's signatures, against vectors that AWS published."""

import pytest

from hybridproxy.providers.sigv4 import Pair, pair_of, sign

PAIR = Pair("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
WALL = 1440938160.0
"""2015-08-30 12:36:00 UTC."""

FORM = {"host": "example.amazonaws.com", "content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "signed", "signature"),
    [
        ("GET", "/", {"host": "example.amazonaws.com"}, b"", "host;x-amz-date",
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", {"host": "example.amazonaws.com"}, b"", "host;x-amz-date",
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("POST", "/", FORM, b"Param1=value1", "content-type;host;x-amz-date",
         "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
        ("GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
         {"host": "example.amazonaws.com"}, b"", "host;x-amz-date",
         "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
    ],
    ids=["get-vanilla", "post-vanilla", "post-x-www-form-urlencoded", "get-unreserved"],
)  # fmt: skip
def test_the_vectors_of_the_test_suite(
    method: str, path: str, headers: dict[str, str], body: bytes, signed: str, signature: str
) -> None:
    """AWS's "Signature Version 4 Test Suite", of which these are the cases that look like what we send."""
    made = dict(sign(PAIR, "us-east-1", "service", method=method, path=path, headers=headers, body=body, wall=WALL))
    assert made == {
        "x-amz-date": "20150830T123600Z",
        "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={signed}, Signature={signature}",
    }


def test_a_temporary_key_shows_its_token_and_signs_it() -> None:
    """The case post-sts-header-before of the suite has a token that is signed with the rest."""
    token = (
        "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
    )  # fmt: skip
    made = dict(
        sign(
            Pair(PAIR.id, PAIR.secret, token), "us-east-1", "service",
            method="POST", path="/", headers={"host": "example.amazonaws.com"}, body=b"", wall=WALL,
        )
    )  # fmt: skip
    assert made["x-amz-security-token"] == token
    assert made["authorization"].endswith("85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead")


@pytest.mark.parametrize(
    ("given", "pair"),
    [
        ("a:b", Pair("a", "b")),
        ("a:b:c", Pair("a", "b", "c")),
        ("ABSKkey", None),
        ("a:", None),
        ("a::c", None),
        ("a:b:c:d", None),
    ],
)
def test_a_pair_is_told_from_a_key(given: str, pair: Pair | None) -> None:
    """A Bedrock API key has no colon."""
    assert pair_of(given) == pair


def test_a_secret_shows_nowhere() -> None:
    """Not in a repr, nor in what is sent."""
    assert "wJalr" not in repr(PAIR)
    assert "tok" not in repr(Pair("a", "b", "tok"))
