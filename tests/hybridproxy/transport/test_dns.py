import ipaddress
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.transport import dns
from hybridproxy.transport.dns import Answer, DnsError, Kind
from tests.support.name_server import AAAA, CNAME, A, NameServer, Record, record, wire_name

NAME = "vllm.internal"


def message(*records: Record, flags: int = 0x8180, name: str = NAME, kind: Kind = Kind.A) -> bytes:
    """The answer of a server with these records."""
    server = NameServer(*records)
    return server.answer(dns.question(7, name, kind), flags, [])


def told(raw: bytes, kind: Kind = Kind.A, name: str = NAME) -> Answer | None:
    """What the client makes of it."""
    return dns.answer(raw, 7, name, kind)


def addresses(*texts: str) -> tuple[Any, ...]:
    """The addresses that are written so."""
    return tuple(map(ipaddress.ip_address, texts))


def test_a_question_is_one_name_of_one_kind() -> None:
    """Its id, recursion desired, one question; the name in small letters."""
    sent = dns.question(0x1234, "VLLM.Internal.", Kind.AAAA)
    assert sent == struct.pack("!6H", 0x1234, 0x0100, 1, 0, 0, 0) + wire_name(NAME) + struct.pack("!2H", AAAA, 1)


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 64, ".".join(["x" * 60] * 5), "ü.internal"])
def test_what_is_no_name_is_not_asked_for(name: str) -> None:
    """Labels of 1 to 63 characters, 255 bytes in all, ASCII."""
    with pytest.raises(DnsError):
        dns.question(1, name, Kind.A)


def test_addresses_come_with_the_shortest_time_they_hold_for() -> None:
    """Of several each once; records of other kinds and of other names do not count."""
    raw = message((NAME, A, 60, "10.0.3.1"), (NAME, A, 20, "10.0.3.2"), (NAME, A, 90, "10.0.3.1"))
    assert told(raw) == Answer(addresses("10.0.3.1", "10.0.3.2"), 20)
    assert told(message((NAME, AAAA, 5, "fd00::1"), kind=Kind.AAAA), Kind.AAAA) == Answer(addresses("fd00::1"), 5)
    mapped = message((NAME, AAAA, 5, "::ffff:8.8.8.8"), kind=Kind.AAAA)
    assert told(mapped, Kind.AAAA) == Answer(addresses("8.8.8.8"), 5)
    assert told(message()) == Answer((), 0)


def test_a_chain_of_names_is_followed_inside_the_answer_only() -> None:
    """To its end; what is said of names that are not on it is nobody's question."""
    chain: list[Record] = [(NAME, CNAME, 30, "a.internal"), ("a.internal", CNAME, 10, "b.internal")]
    raw = message(*chain, ("b.internal", A, 60, "10.0.3.1"), ("evil.internal", A, 60, "10.0.3.9"))
    assert told(raw) == Answer(addresses("10.0.3.1"), 10)
    assert told(message(*chain, ("evil.internal", A, 60, "10.0.3.9"))) == Answer((), 0)
    with pytest.raises(DnsError, match="without an end"):
        told(message((NAME, CNAME, 30, "a.internal"), ("a.internal", CNAME, 30, NAME)))


def test_only_an_answer_to_our_question_counts() -> None:
    """Another id, a question, another name, kind or class, an odd operation: as if nothing had come."""
    raw = message((NAME, A, 60, "10.0.3.1"))
    assert told(raw) is not None
    assert dns.answer(raw, 8, NAME, Kind.A) is None
    assert told(raw, Kind.AAAA) is None
    assert told(raw, name="other.internal") is None
    assert told(raw[:11]) is None
    for flags in (0x0180, 0x8980):
        assert told(message((NAME, A, 60, "10.0.3.1"), flags=flags)) is None
    assert told(raw[:4] + b"\0\2" + raw[6:]) is None
    assert told(raw.replace(wire_name(NAME) + b"\0\1\0\1", wire_name(NAME) + b"\0\1\0\3", 1)) is None
    assert told(raw.replace(wire_name(NAME), wire_name(NAME.upper()))) is not None


def test_what_a_server_cannot_answer_is_told_apart() -> None:
    """No such name: no address. A failure: an error. Too much for a datagram: it says so."""
    assert told(message(flags=0x8183)) == Answer((), 0)
    assert told(message(flags=0x8380)) == Answer((), 0, truncated=True)
    for code in (1, 2, 4, 5):
        with pytest.raises(DnsError, match=f"error {code}"):
            told(message(flags=0x8180 | code))


def test_pointers_lead_back_and_names_end() -> None:
    """Compression is read; a pointer forward, to itself or in a circle, and a name too long, are broken answers."""
    head = message()
    body = b"\xc0\x0c" + struct.pack("!HHIH", A, 1, 9, 4) + bytes([10, 0, 3, 1])

    def counted(count: int, records: bytes) -> bytes:
        return head[:6] + struct.pack("!3H", count, 0, 0) + head[12:] + records

    assert told(counted(1, body)) == Answer(addresses("10.0.3.1"), 9)
    there = len(head)
    deep = b"\1a" * 130 + b"\0"
    for broken in (
        struct.pack("!H", 0xC000 | there) + body[2:],  # to itself
        struct.pack("!H", 0xC000 | there + 4) + body[2:],  # forward
        b"\x80" + body,  # a kind of label that is not used
        b"\x3f" + b"x" * 5,  # cut off
        deep + body[2:],  # 261 bytes
        body[:-1],  # fewer bytes than it says
        body[:6],
        b"\xc0\x0c" + struct.pack("!HHIH", A, 1, 9, 3) + bytes([10, 0, 3]),  # no IPv4 address
    ):
        with pytest.raises(DnsError, match="broken"):
            told(counted(1, broken))
    with pytest.raises(DnsError, match="too many"):
        told(counted(257, body))
    other_class = b"\xc0\x0c" + struct.pack("!HHIH", A, 3, 9, 4) + bytes([10, 0, 3, 1])
    assert told(counted(2, other_class + body)) == Answer(addresses("10.0.3.1"), 9)
    circle = b"".join(struct.pack("!H", 0xC000 | there + 2 * n - 2) if n else b"\xc0\x0c" for n in range(70))
    with pytest.raises(DnsError):
        told(counted(1, circle + body))


@given(st.binary(max_size=80), st.integers(0, 40))
def test_any_bytes_are_an_answer_nothing_or_an_error(noise: bytes, at: int) -> None:
    """Whatever a server sends, nothing else is raised."""
    raw = message((NAME, A, 60, "10.0.3.1"))
    for tampered in (noise, raw[:at] + noise, raw[: len(raw) - at] + noise):
        try:
            found = told(tampered)
        except DnsError:
            continue
        assert found is None or isinstance(found, Answer)
    assert len(record(NAME, A, 1, "10.0.3.1")) > 14
