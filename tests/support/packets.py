"""What stands in a packet, as far as it tells who talked to whom and which names were asked for.

Written for a witness: what it cannot read becomes a packet without a peer, which nobody can mistake for a harmless one.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
VLANS: Final = frozenset({0x8100, 0x88A8})
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
NAMES: Final = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMPV6: "icmpv6", 2: "igmp"}
EXTENSIONS: Final = frozenset({0, 43, 60})  # hop-by-hop, routing, destination options of IPv6
FRAGMENT: Final = 44
DNS_PORTS: Final = frozenset({53, 5353, 5355})
MEMBERSHIP: Final = frozenset({131, 132, 143})
"""Kinds of ICMPv6 in which a kernel says which multicast groups it listens to: as an interface comes up, by itself."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet.

    Attributes:
        kind: tcp, udp, icmp, icmpv6, arp, igmp, or what it is by its number.
        source: whose address it came from, "" where it has none.
        target: where it goes.
        source_port: of TCP and UDP, else 0.
        target_port: the same.
        begins: it asks for a TCP connection.
        asks: the names that it asks a resolver for.
        data: what it carries.
        membership: it only tells which multicast groups the kernel listens to.
        interface: where it was seen.
        outgoing: it left by that interface.

    """

    kind: str
    source: str = ""
    target: str = ""
    source_port: int = 0
    target_port: int = 0
    begins: bool = False
    asks: tuple[str, ...] = ()
    data: bytes = b""
    membership: bool = False
    interface: str = ""
    outgoing: bool = True

    @property
    def peer(self) -> str:
        """The other side."""
        return self.target if self.outgoing else self.source

    def __str__(self) -> str:
        """Say it in one line, for a test that failed."""
        ports = (f":{self.source_port}", f":{self.target_port}") if self.target_port else ("", "")
        way = (
            f"{self.source}{ports[0]} > {self.target}{ports[1]}"
            if self.target_port
            else f"{self.source} > {self.target}"
        )
        asks = f" asks for {', '.join(self.asks)}" if self.asks else ""
        return f"{self.interface} {self.kind} {way}{asks}, {len(self.data)} bytes"


def read_frame(frame: bytes) -> Packet:
    """Return what an Ethernet frame holds."""
    kind, start = int.from_bytes(frame[12:14]), 14
    while kind in VLANS:
        kind, start = int.from_bytes(frame[start + 2 : start + 4]), start + 4
    return read_packet(kind, frame[start:])


def read_packet(kind: int, data: bytes) -> Packet:
    """Return what stands behind the link's own head, given the EtherType."""
    if kind == IPV4 and len(data) >= 20 and data[0] >> 4 == 4:
        end = max(int.from_bytes(data[2:4]), 20)
        more = int.from_bytes(data[6:8]) & 0x1FFF
        return _carried(data[9], _v4(data[12:16]), _v4(data[16:20]), data[(data[0] & 15) * 4 : end], whole=not more)
    if kind == IPV6 and len(data) >= 40 and data[0] >> 4 == 6:
        return _ipv6(data)
    if kind == ARP and len(data) >= 28:
        return Packet("arp", _v4(data[14:18]), _v4(data[24:28]))
    return Packet(f"ether-{kind:04x}", data=data)


def _ipv6(data: bytes) -> Packet:
    following, rest, whole = data[6], data[40 : 40 + int.from_bytes(data[4:6])], True
    while (following in EXTENSIONS or following == FRAGMENT) and len(rest) >= 8:
        length = 8
        if following == FRAGMENT:
            whole = not int.from_bytes(rest[2:4]) >> 3
        else:
            length += rest[1] * 8
        following, rest = rest[0], rest[length:]
    return _carried(following, _v6(data[8:24]), _v6(data[24:40]), rest, whole=whole)


def _carried(kind: int, source: str, target: str, data: bytes, *, whole: bool) -> Packet:
    """Return a packet of IP; only in its first part the ports can be read."""
    name = NAMES.get(kind, f"ip-{kind}")
    if not whole or kind not in (TCP, UDP) or len(data) < 8:
        membership = whole and kind == ICMPV6 and data[:1] != b"" and data[0] in MEMBERSHIP
        return Packet(name, source, target, data=data, membership=membership)
    ports = int.from_bytes(data[:2]), int.from_bytes(data[2:4])
    if kind == UDP:
        asks = questions(data[8:]) if ports[1] in DNS_PORTS else ()
        return Packet(name, source, target, *ports, asks=asks, data=data[8:])
    flags, body = (data[13], data[(data[12] >> 4) * 4 :]) if len(data) >= 20 else (0, b"")
    asks = questions(body[2:]) if ports[1] in DNS_PORTS and len(body) > 2 else ()
    return Packet(name, source, target, *ports, begins=flags & 0x12 == 0x02, asks=asks, data=body)


def questions(message: bytes) -> tuple[str, ...]:
    """Return the names that a DNS message asks for; what it cannot read of them, as `?`."""
    found = []
    at = 12
    for _ in range(int.from_bytes(message[4:6])):
        labels = []
        while at < len(message) and 0 < message[at] < 64:
            labels.append(message[at + 1 : at + 1 + message[at]].decode("latin-1"))
            at += 1 + message[at]
        found.append(".".join(labels) if at < len(message) and message[at] == 0 else "?")
        if found[-1] == "?":
            break
        at += 5
    return tuple(found)


def strangers(packets: Sequence[Packet], networks: Sequence[str]) -> list[Packet]:
    """Return the packets whose peer is in none of the networks; those of which nobody can tell it are among them."""
    known = [ipaddress.ip_network(network) for network in networks]

    def inside(packet: Packet) -> bool:
        return bool(packet.peer) and any(ipaddress.ip_address(packet.peer) in network for network in known)

    return [packet for packet in packets if not packet.membership and not inside(packet)]


def _v4(packed: bytes) -> str:
    return str(ipaddress.IPv4Address(packed))


def _v6(packed: bytes) -> str:
    return str(ipaddress.IPv6Address(packed))
