"""What the parser lets through and the proxy does not, and whose key a request presents."""

from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import HttpVersion10, HttpVersion11
from multidict import CIMultiDict, CIMultiDictProxy

from hybridproxy.ingress.connection import Request
from hybridproxy.ingress.guard import MAX_SENT, presented_key, problem, sendable, values


def request(*headers: tuple[str, str], target: str = "/v1/models", old: bool = False) -> Request:
    """Make a request's head."""
    version = HttpVersion10 if old else HttpVersion11
    made = SimpleNamespace(version=version, target=target, headers=CIMultiDictProxy(CIMultiDict(headers)))
    return cast("Request", made)


def test_a_plain_request_is_fine() -> None:
    """What clients send every day has no problem."""
    fine = request(("Host", "x"), ("Authorization", "Bearer k"), ("Content-Type", "application/json"), ("X-Any", "1"))
    assert problem(fine) is None
    assert problem(request(("Transfer-Encoding", " Chunked "))) is None


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (request(old=True), "HTTP/1.1"),
        (request(target="http://evil/v1/models"), "must be a path"),
        (request(target="*"), "must be a path"),
        (request(target="evil:443"), "must be a path"),
        (request(("Upgrade", "h2c")), "upgrades"),
        (request(("transfer-encoding", "gzip, chunked")), "only Transfer-Encoding is chunked"),
        (request(("transfer-encoding", "identity")), "only Transfer-Encoding is chunked"),
    ],
)
def test_what_two_parsers_might_read_differently_is_named(bad: Request, says: str) -> None:
    """Each form that a load balancer might understand otherwise is refused with its reason."""
    assert says in (problem(bad) or "")


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "Content-Type", "Content-Encoding", "Expect"])
def test_a_header_that_decides_something_is_there_once(name: str) -> None:
    """Two of them, in any spelling and even if equal, are a problem that names the header."""
    doubled = request((name, "a"), (name.lower(), "a"))
    assert (problem(doubled) or "").lower() == f"{name.lower()} must be there once"


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([], None),
        ([("Authorization", "Bearer hp_1")], "hp_1"),
        ([("authorization", "bearer  hp_1 ")], "hp_1"),
        ([("x-api-key", "hp_1")], "hp_1"),
        ([("authorization", "Bearer hp_1"), ("x-api-key", "hp_1")], "hp_1"),
        ([("authorization", "Bearer hp_1"), ("x-api-key", "hp_2")], None),
        ([("authorization", "Basic hp_1")], None),
        ([("authorization", "Basic aGk6aGk="), ("x-api-key", "hp_1")], None),
        ([("authorization", "Bearer")], None),
        ([("authorization", "Bearer ")], None),
        ([("authorization", "hp_1")], None),
    ],
)
def test_the_key_is_the_one_that_was_meant(headers: list[tuple[str, str]], key: str | None) -> None:
    """Either header, or both with one key; two keys or another scheme are nobody's."""
    assert presented_key(request(*headers)) == key


def test_values_come_in_order() -> None:
    """A header in several lines keeps the order in which proxies added to it."""
    assert list(values(request(("X-Forwarded-For", "1"), ("A", "b"), ("x-forwarded-for", "2")), "x-forwarded-for")) == [
        "1",
        "2",
    ]
    assert list(values(request(), "x-forwarded-for")) == []


@pytest.mark.parametrize("text", ["", "é", "a\tb", "x" * (MAX_SENT + 1)])
def test_a_header_goes_on_only_as_it_came(text: str) -> None:
    """What could not be sent as it is is left out, and of several the first is meant."""
    given = request(("Anthropic-Beta", "a,b"), ("anthropic-beta", "c"), ("Other", text), ("More", "1"))
    assert sendable(given, ("anthropic-beta", "other", "absent")) == (("anthropic-beta", "a,b"),)
