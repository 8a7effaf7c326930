"""Tests of backends as values."""

import pytest

from hybridproxy.model.backend import Credential, Endpoint, TimeoutOverrides, Timeouts


@pytest.mark.parametrize(
    ("endpoint", "authority"),
    [
        (Endpoint("https", "api.together.ai", 443, "/v1"), "api.together.ai"),
        (Endpoint("https", "10.0.3.11", 8000, ""), "10.0.3.11:8000"),
        (Endpoint("http", "10.0.3.11", 80, ""), "10.0.3.11"),
        (Endpoint("http", "10.0.3.11", 443, ""), "10.0.3.11:443"),
        (Endpoint("https", "fd00::7", 443, ""), "[fd00::7]"),
        (Endpoint("https", "fd00::7", 8000, ""), "[fd00::7]:8000"),
    ],
)
def test_the_host_header_names_the_port_only_where_it_is_not_the_schemes_own(
    endpoint: Endpoint, authority: str
) -> None:
    """What stands in the Host header is what RFC 9110 asks for, IPv6 in brackets."""
    assert endpoint.authority == authority


def test_a_secret_is_not_shown_by_printing_a_credential() -> None:
    """A credential in a traceback or a log names itself and keeps its secret."""
    shown = repr(Credential("key1", "sk-very-secret"))
    assert "key1" in shown
    assert "secret" not in shown


def test_a_backend_without_own_timeouts_has_the_routes() -> None:
    """Nothing overridden means the very same value."""
    base = Timeouts(connect=1, first_token=2)
    assert TimeoutOverrides().over(base) is base


def test_a_backends_own_timeouts_replace_the_routes_and_leave_the_calls_alone() -> None:
    """A slow backend gets more time for its answer, but the call as a whole does not."""
    base = Timeouts(total=100, commit_within=10)
    own = TimeoutOverrides(connect=1, first_token=2, between_bytes=3, answer=4)
    expected = Timeouts(connect=1, first_token=2, between_bytes=3, answer=4, total=100, commit_within=10)
    assert own.over(base) == expected
    assert TimeoutOverrides(answer=4).over(base) == Timeouts(answer=4, total=100, commit_within=10)
