from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.config import values
from hybridproxy.model.backend import Endpoint


@pytest.mark.parametrize(
    ("text", "seconds"), [("3s", 3.0), ("500ms", 0.5), ("2m", 120.0), ("1h", 3600.0), ("0.5s", 0.5), (7, 7.0), (0, 0.0)]
)
def test_durations_are_written_with_a_unit_or_in_seconds(text: Any, seconds: float) -> None:
    """The units of the contract, and plain numbers."""
    assert values.duration(text) == seconds


@pytest.mark.parametrize("text", ["3", "3 s", "-1s", "s", "3d", "25h", -1, True, None, float("nan"), float("inf"), [3]])
def test_what_is_no_duration_is_refused(text: Any) -> None:
    """No unit, a foreign one, none of a number, or longer than a day."""
    with pytest.raises(ValueError, match="expected a duration"):
        values.duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [(1, 1), ("10MB", 10_000_000), ("1 MiB", 1_048_576), ("64kB", 64_000), ("64MB", 64_000_000)]
)
def test_sizes_are_written_with_a_unit_or_in_bytes(text: Any, size: int) -> None:
    """Decimal and binary units mean what they say."""
    assert values.body_size(text) == size


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://api.example.com", Endpoint("https", "api.example.com", 443, "")),
        ("http://127.0.0.1:8000/v1/", Endpoint("http", "127.0.0.1", 8000, "/v1")),
        ("https://[FD00:0::1]:8443", Endpoint("https", "fd00::1", 8443, "")),
        ("https://API.Example.com/a/b", Endpoint("https", "api.example.com", 443, "/a/b")),
    ],
)
def test_a_url_becomes_an_endpoint(url: str, endpoint: Endpoint) -> None:
    """Scheme, host in its canonical form, port with its default, path without a slash at its end."""
    assert values.endpoint(url) == endpoint


@pytest.mark.parametrize(
    "url",
    [
        "api.example.com", "ftp://h", "https://", "https://h?x=1", "https://h#f", "https://h?", "https://user@h", "https://h:0",
        "https://h:", "https://h:99999", "https://h:x", "https://[::1", "https://[fe80::1%25eth0]", "https://10.1",
        "https://0x7f000001", "https://2130706433", "https://127.0.0.01", "https://h/../v1", "https://h//v1",
        "https://h/%2e", "https://h\\@evil", "https://h/\n", "https://hé", " https://h", "https://-h", 7, None,
        "https://h/" + "a" * 3000,
    ],
)  # fmt: skip
def test_a_url_in_disguise_is_refused(url: Any) -> None:
    """Whatever two programs could read as two different places is not taken."""
    with pytest.raises(ValueError, match=r"URL|host"):
        values.endpoint(url)


@given(st.text())
def test_no_text_breaks_a_parser(text: str) -> None:
    """Any text is a value or a ValueError, and the message never repeats it."""
    parsers = [
        values.duration,
        values.body_size,
        values.network,
        values.endpoint,
        values.host,
        values.secret,
        values.key_digest,
    ]
    for parser in [*parsers, values.port, values.workers, values.country, values.continent]:
        message = ""
        try:
            parser(text)
        except ValueError as error:
            message = str(error)
        assert len(text) < 12 or text not in message


def test_a_port_may_come_from_the_environment_as_text() -> None:
    """`port: "${PORT}"` is text of digits by the time it is checked."""
    assert values.port("8080") == 8080
    with pytest.raises(ValueError, match="expected a port"):
        values.port("eighty")


def test_workers_are_a_number_or_auto() -> None:
    """`auto` leaves the number open."""
    assert (values.workers("auto"), values.workers(4)) == (None, 4)


def test_a_weight_is_a_positive_number() -> None:
    """Zero, nothing and text weigh nothing that chance could use."""
    assert values.weight(2) == 2.0
    for wrong in (0, -1, float("nan"), "2", True, 1e9):
        with pytest.raises(ValueError, match="expected a number"):
            values.weight(wrong)
