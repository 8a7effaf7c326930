"""The witness of what leaves a machine: it has to see who is not careful, or its silence would say nothing."""

import asyncio
import contextlib
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.namespace import ENGINES, OURS, PUBLIC, RESOLVER, VPC, World, forbidden, inside, speaks_ipv6
from tests.support.packets import ARP, IPV4, IPV6, Packet, questions, read_frame, read_packet, strangers
from tests.support.sniffer import Sniffer
from tests.support.upstreams import PORT

needs_namespaces = pytest.mark.skipif(bool(forbidden()), reason=forbidden())

NOBODY = "8.8.4.4"
QUERY = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\3api\5third\7example\0\0\1\0\1"


async def careless(world: World, folder: Path) -> dict[str, Any]:
    """Do all that a program could do to get out, and return what the witness saw of each."""
    saw: dict[str, Any] = {"speaks ipv6": speaks_ipv6()}
    with Sniffer() as seen:
        began = seen.mark()
        saw["at rest"] = shown(strangers(seen.packets(since=began), OURS))
        for name, step in STEPS.items():
            began = seen.mark()
            with contextlib.suppress(OSError):  # most of them find nobody
                step()
            saw[name] = shown(strangers(seen.packets(since=began), OURS))
        began = seen.mark()
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD)
        assert await child.wait() == 0
        saw["a program started"] = shown(strangers(seen.packets(since=began), OURS))
        began = seen.mark()
        with contextlib.suppress(OSError), socket.create_connection((ENGINES[0], PORT), 1):
            pass
        whole = seen.packets(since=began)
        saw["inside"] = shown(strangers(whole, OURS))
        saw["inside, all"] = sorted({packet.peer for packet in whole if packet.interface == "vpc0"})
        saw["missed"] = seen.missed
    return saw


def connect() -> None:
    """TCP to somebody who is there."""
    socket.create_connection((PUBLIC[0], PORT), 1).close()


def connect_to_nobody() -> None:
    """TCP to an address where nobody answers: its first packet is enough."""
    with socket.socket() as out:
        out.setblocking(False)
        out.connect((NOBODY, 443))


def ask_by_hand() -> None:
    """A DNS question, sent as it is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(QUERY, (RESOLVER, 53))


def look_up() -> None:
    """A name, asked of the system's resolver as every library does."""
    socket.getaddrinfo("metadata.third.example", 80)


def connect_by_ipv6() -> None:
    """TCP by IPv6; where the machine has none, there is no way."""
    with socket.socket(socket.AF_INET6) as out:
        out.setblocking(False)
        out.connect(("2001:db8:ffff::11", 443))


def broadcast() -> None:
    """To everybody on the cable."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wan0")
        out.sendto(b"is anybody there", ("255.255.255.255", 5000))


STEPS = {
    "tcp": connect, "tcp to nobody": connect_to_nobody, "dns": ask_by_hand, "a name": look_up, "ipv6": connect_by_ipv6,
    "broadcast": broadcast,
}  # fmt: skip
CHILD = f"import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('{NOBODY}', 123))"


def shown(packets: list[Packet]) -> list[list[Any]]:
    """Return packets as JSON can hold them."""
    return [[p.kind, p.peer, p.target_port, list(p.asks), p.begins, p.outgoing] for p in packets]


@needs_namespaces
async def test_it_sees_everything_that_leaves(tmp_path: Path) -> None:
    """A connection, one that nobody answers, a DNS question, a look-up, IPv6, a broadcast, another program's packet."""
    saw = await inside("tests.integration.test_witness:careless", tmp_path)
    assert saw["at rest"] == []
    assert ["tcp", PUBLIC[0], PORT, [], True, True] in saw["tcp"]
    assert ["tcp", NOBODY, 443, [], True, True] in saw["tcp to nobody"]
    assert ["udp", RESOLVER, 53, ["api.third.example"], False, True] in saw["dns"]
    assert ["udp", RESOLVER, 53, ["metadata.third.example"], False, True] in saw["a name"]
    assert any(row[0] in {"tcp", "icmpv6"} for row in saw["ipv6"]) == saw["speaks ipv6"]
    assert ["udp", "255.255.255.255", 5000, [], False, True] in saw["broadcast"]
    assert ["udp", NOBODY, 123, [], False, True] in saw["a program started"]
    assert saw["missed"] == 0


@needs_namespaces
async def test_it_accuses_nobody_who_stays_inside(tmp_path: Path) -> None:
    """A connection into the VPC is seen, and is no stranger's."""
    saw = await inside("tests.integration.test_witness:careless", tmp_path)
    assert saw["inside"] == []
    assert ENGINES[0] in saw["inside, all"]


async def failing(world: World, folder: Path) -> None:
    """A story that goes wrong."""
    raise ValueError("the engine is on fire")


@needs_namespaces
async def test_what_goes_wrong_inside_is_told_outside(tmp_path: Path) -> None:
    """With its traceback."""
    with pytest.raises(AssertionError, match="the engine is on fire"):
        await inside("tests.integration.test_witness:failing", tmp_path)


def frame(kind: int, data: bytes) -> bytes:
    """Make an Ethernet frame."""
    return bytes(12) + kind.to_bytes(2) + data


def v4(carried: int, data: bytes, *, offset: int = 0) -> bytes:
    """Make a packet from 10.20.0.1 to 203.0.113.11."""
    head = bytes([0x45, 0]) + (20 + len(data)).to_bytes(2) + bytes(2) + offset.to_bytes(2) + bytes([64, carried, 0, 0])
    return head + bytes([10, 20, 0, 1, 203, 0, 113, 11]) + data


def test_what_stands_in_a_packet() -> None:
    """Names in TCP and UDP, in VLANs and behind IPv6's extension headers; padding is none of it."""
    udp = (4000).to_bytes(2) + (53).to_bytes(2) + bytes(4) + QUERY
    plain = read_frame(frame(IPV4, v4(17, udp) + b"padding"))
    assert (plain.kind, plain.source, plain.target, plain.target_port) == ("udp", "10.20.0.1", "203.0.113.11", 53)
    assert (plain.asks, plain.data) == (("api.third.example",), QUERY)
    assert read_frame(bytes(12) + b"\x81\0\0\x07" + IPV4.to_bytes(2) + v4(17, udp)) == plain
    tcp = (4000).to_bytes(2) + (53).to_bytes(2) + bytes(8) + bytes([0x50, 0x18]) + bytes(6)
    asked = read_frame(frame(IPV4, v4(6, tcp + len(QUERY).to_bytes(2) + QUERY)))
    assert (asked.kind, asked.asks, asked.begins) == ("tcp", ("api.third.example",), False)
    address = bytes.fromhex("20010db8000000000000000000000001")
    rest = bytes([17, 0]) + bytes(6) + udp
    six = bytes([0x60, 0, 0, 0]) + len(rest).to_bytes(2) + bytes([60, 64]) + address + address[:-1] + b"\x02" + rest
    found = read_packet(IPV6, six)
    assert (found.kind, found.target, found.asks) == ("udp", "2001:db8::2", ("api.third.example",))
    arp = read_frame(frame(ARP, bytes(14) + bytes([10, 0, 0, 1]) + bytes(6) + bytes([10, 0, 0, 2])))
    assert (arp.kind, arp.source, arp.target) == ("arp", "10.0.0.1", "10.0.0.2")


def test_what_it_cannot_read_is_a_strangers() -> None:
    """A later fragment has a peer and no ports; a frame of another kind, or a broken one, has no peer at all."""
    later = read_frame(frame(IPV4, v4(17, bytes(16), offset=100)))
    assert (later.target, later.target_port) == ("203.0.113.11", 0)
    assert read_frame(frame(IPV4, v4(47, b"tunnel"))).kind == "ip-47"
    odd = [read_frame(frame(0x88CC, b"hello")), read_frame(frame(IPV4, b"\x45")), read_frame(frame(IPV6, bytes(60)))]
    assert [packet.peer for packet in odd] == ["", "", ""]
    assert strangers([*odd, later], [VPC, "0.0.0.0/1"]) == [*odd, later]
    assert questions(QUERY[:20]) == ("?",)
    assert questions(QUERY[:4] + bytes(8)) == ()


def test_only_a_kernels_word_about_its_groups_is_nobodys() -> None:
    """MLD reports come with every interface; neighbour and router solicitations ask for somebody."""
    report, solicits = Packet("icmpv6", "::", "ff02::16", membership=True), Packet("icmpv6", "::", "ff02::1:ff00:fe")
    assert strangers([report, solicits, Packet("tcp", "10.20.0.1", "10.20.0.11")], [VPC]) == [solicits]
