from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.config import values
from hybridproxy.model.backend import Endpoint
from hybridproxy.model.snapshot import OnCut


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


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0.0), (0, 0.0), ("3s", 3.0), ("1m", 60.0), (60, 60.0)])
def test_patience_is_at_most_a_minute(text: Any, seconds: float) -> None:
    """None at all, or as long as somebody who called might wait."""
    assert values.patience(text) == seconds
    with pytest.raises(ValueError, match=r"^expected at most 60s: a caller waits for it$"):
        values.patience(60.001)
    with pytest.raises(ValueError, match=r"^expected a duration such as"):
        values.patience("long")


@pytest.mark.parametrize(("text", "seconds"), [("1ms", 0.001), ("5s", 5.0), ("5m", 300.0), (300, 300.0)])
def test_a_target_is_left_alone_for_at_most_five_minutes(text: Any, seconds: float) -> None:
    """Never for no time at all."""
    assert values.open_time(text) == seconds
    for wrong, message in (
        ("0s", "longer than 0$"),
        ("301s", "^expected at most 5m: "),
        ("ever", "^expected a duration"),
    ):
        with pytest.raises(ValueError, match=message):
            values.open_time(wrong)


RESUME, REPLAY, ERROR = OnCut.RESUME, OnCut.REPLAY, OnCut.ERROR


@pytest.mark.parametrize(
    ("words", "ways"),
    [
        (["error"], (ERROR,)),
        (["resume"], (RESUME, ERROR)),
        (["resume", "error"], (RESUME, ERROR)),
        (["replay", "resume"], (REPLAY, RESUME, ERROR)),
        (["resume", "replay", "error"], (RESUME, REPLAY, ERROR)),
    ],
)
def test_a_cut_stream_ends_with_an_error_if_nothing_else_helps(words: list[str], ways: tuple[OnCut, ...]) -> None:
    """The order is the operator's; the error at its end may be left out."""
    assert values.on_cut(words) == ways


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("error", "^expected a list of resume, replay, error, in the order to try them$"),
        ([], "^expected a list of"),
        (None, "^expected a list of"),
        (["retry"], "^expected a list of"),
        ([["resume"]], "^expected a list of"),
        (["resume", 7], "^expected a list of"),
        (["error", "resume"], "^nothing is tried after error: let it stand last$"),
        (["resume", "resume"], "^a word stands in the list twice$"),
        (["error", "error"], "^a word stands in the list twice$"),
    ],
)
def test_ways_that_make_no_order_are_refused(words: Any, message: str) -> None:
    """A word alone, none, an unknown one, one twice, or something after the end."""
    with pytest.raises(ValueError, match=message):
        values.on_cut(words)


@pytest.mark.parametrize(
    ("text", "share"), [("off", 0.0), ("2%", 0.02), ("1%", 0.01), ("0.5%", 0.005), ("1.25 %", 0.0125), ("2.0%", 0.02)]
)
def test_a_hedge_is_a_share_of_the_calls(text: str, share: float) -> None:
    """Written in per cent, or off."""
    assert values.hedge(text) == pytest.approx(share)
    assert values.hedge(text) <= values.MAX_HEDGE


@pytest.mark.parametrize(
    "text",
    ["0%", "0.0%", "2.1%", "50%", "100%", "-1%", "%", "1", "1 percent", "on", "OFF", 0.02, 2, 0, True, False, None],
)
def test_a_share_beyond_the_bound_is_no_hedge(text: Any) -> None:
    """Nothing, more than two per cent, a bare number, and what YAML 1.1 would have made of `off`."""
    with pytest.raises(
        ValueError, match=r"^expected off, or a share of the calls such as 1%: above 0% and at most 2%$"
    ):
        values.hedge(text)


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
        "api.example.com", "ftp://h", "https://", "https://h?x=1", "https://h#f", "https://h?", "https://user@h",
        "https://h:0", "https://h:", "https://h:99999", "https://h:x", "https://[::1", "https://[::1].evil", "https://evil[::1]",
        "https://[::1][::2]", "https://[fe80::1%25eth0]", "https://10.1",
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
        values.patience,
        values.open_time,
        values.on_cut,
        values.hedge,
    ]
    for parser in [*parsers, values.port, values.workers, values.country, values.continent]:
        message = refusal(parser, text)
        assert len(text) < 12 or text not in message or text in refusal(parser, "?")


def refusal(parser: Any, text: str) -> str:
    """What a parser says against a text, "" where it takes it."""
    try:
        parser(text)
    except ValueError as error:
        return str(error)
    return ""


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


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("10.0.0.2", ("10.0.0.2", 53)),
        ("10.0.0.2:5353", ("10.0.0.2", 5353)),
        ("fd00::2", ("fd00::2", 53)),
        ("[fd00::2]", ("fd00::2", 53)),
        ("[FD00:0::2]:5353", ("fd00::2", 5353)),
    ],
)
def test_a_name_server_is_an_address_and_a_port(text: str, server: tuple[str, int]) -> None:
    """53 unless another one is written."""
    assert values.name_server(text) == server


@pytest.mark.parametrize(
    "text",
    [
        "dns.internal", "dns.internal:53", "10.0.0.2:", "10.0.0.2:0", "10.0.0.2:65536", "10.0.0.2:53:53", "10.0.0.2:x",
        "10.2", "0x0a000002",
        "[10.0.0.2", "fe80::1%eth0", "[fd00::2]:", "", None, 53, "udp://10.0.0.2", "10.0.0.2:\u0665",
    ],
)  # fmt: skip
def test_a_name_server_is_no_name(text: Any) -> None:
    """Somebody would have to be asked for it."""
    with pytest.raises(ValueError, match=r"^expected the IP address of a name server"):
        values.name_server(text)
