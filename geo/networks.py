"""Addresses as bytes and sets of networks, looked up by integers.

An address in this package is its packed form: 4 bytes for IPv4, 16 for IPv6. `ipaddress` builds objects for each
look-up and is ten times slower, so it is not used on the way of a call.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from socket import AF_INET, AF_INET6, inet_ntoa, inet_ntop, inet_pton
from typing import Generic, Self, TypeVar

T = TypeVar("T")

_LONGEST_ADDRESS = 45  # ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255
_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96, RFC 4291
_SIX_TO_FOUR = b"\x20\x02"  # 2002::/16, RFC 3056
_TEREDO = b"\x20\x01\x00\x00"  # 2001::/32, RFC 4380
_NAT64 = b"\x00\x64\xff\x9b" + bytes(8)  # 64:ff9b::/96, RFC 6052


def pack(address: str) -> bytes | None:
    """Return the 4 or 16 bytes of an address; None unless it is written exactly as one.

    No zone id, no leading zeros in IPv4, no short forms such as `127.1`, no space around it.
    """
    try:
        if ":" not in address:
            return inet_pton(AF_INET, address)
        # Some systems take `fe80::1%eth0`; a zone means something on one host only.
        if len(address) > _LONGEST_ADDRESS or "%" in address:
            return None
        return inet_pton(AF_INET6, address)
    except (OSError, ValueError):  # ValueError: NUL or lone surrogates
        return None


def text(packed: bytes) -> str:
    """Return the canonical text of a packed address."""
    return inet_ntoa(packed) if len(packed) == 4 else inet_ntop(AF_INET6, packed)


def unmap(packed: bytes) -> bytes:
    """Return the IPv4 address inside an IPv6 one (v4-mapped, 6to4, Teredo, NAT64); anything else as it is.

    A tunnel address is left alone when it carries an IPv4 address that is not public: nobody becomes `10.0.0.1`
    by writing it into 2002:a00:1::.
    """
    if len(packed) == 4:
        return packed
    if packed.startswith(_MAPPED):
        return packed[12:]
    if packed.startswith(_SIX_TO_FOUR):
        inner = packed[2:6]
    elif packed.startswith(_TEREDO):
        inner = bytes(byte ^ 0xFF for byte in packed[12:])
    elif packed.startswith(_NAT64):
        inner = packed[12:]
    else:
        return packed
    return packed if inner in SPECIAL_NETWORKS else inner


@dataclass(frozen=True, slots=True)
class Network:
    """One block of addresses, both ends included."""

    bits: int
    first: int
    last: int

    @classmethod
    def parse(cls, cidr: str) -> Self:
        """Read `10.0.0.0/8`, `2001:db8::/32` or one address.

        A v4-mapped block (`::ffff:10.0.0.0/104`) is the IPv4 block.

        Raises:
            ValueError: It is not a network; the message says what is wrong and what to write.
        """
        shown = repr(cidr[:64])
        address, slash, length = cidr.partition("/")
        packed = pack(address)
        if packed is None:
            raise ValueError(f"{shown} is not a network: write one like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7")
        bits = len(packed) * 8
        prefix = bits
        if slash:
            prefix = int(length) if length.isascii() and length.isdigit() and len(length) <= 3 else -1
            if not 0 <= prefix <= bits or str(prefix) != length:
                raise ValueError(f"{shown} is not a network: after the slash goes a number from 0 to {bits}")
        if bits == 128 and prefix >= 96 and packed.startswith(_MAPPED):
            packed, bits, prefix = packed[12:], 32, prefix - 96
        first = int.from_bytes(packed)
        hosts = (1 << (bits - prefix)) - 1
        if first & hosts:
            right = text((first & ~hosts).to_bytes(bits // 8))
            raise ValueError(f"{shown} has bits set beyond its prefix: write {right}/{prefix}")
        return cls(bits, first, first | hosts)

    def __str__(self) -> str:
        prefix = self.bits - (self.last - self.first).bit_length()
        return f"{text(self.first.to_bytes(self.bits // 8))}/{prefix}"


@dataclass(frozen=True, slots=True)
class _Table(Generic[T]):
    """The address space of one family cut into spans: `values[i]` holds from `starts[i]` up to the next start."""

    starts: tuple[int, ...]
    values: tuple[T | None, ...]

    @classmethod
    def of(cls, entries: Iterable[tuple[Network, T]]) -> Self:
        """Flatten networks, which are disjoint or nested, so that the innermost wins."""
        starts: list[int] = [0]
        values: list[T | None] = [None]

        def cut(at: int, value: T | None) -> None:
            if starts[-1] == at:
                values[-1] = value
            else:
                starts.append(at)
                values.append(value)

        around: list[tuple[int, T]] = []  # the networks that enclose the point reached, with their ends

        def leave(before: int | None) -> None:
            while around and (before is None or around[-1][0] < before):
                end, _ = around.pop()
                cut(end + 1, around[-1][1] if around else None)

        for network, value in sorted(entries, key=lambda entry: (entry[0].first, -entry[0].last)):
            leave(network.first)
            cut(network.first, value)
            around.append((network.last, value))
        leave(None)
        return cls(tuple(starts), tuple(values))


@dataclass(frozen=True, slots=True)
class NetworkMap(Generic[T]):
    """A value for each network; the longest prefix wins."""

    ipv4: _Table[T]
    ipv6: _Table[T]

    @classmethod
    def of(cls, entries: Iterable[tuple[Network, T]]) -> Self:
        """Build the map.

        Raises:
            ValueError: One network has two different values.
        """
        unique: dict[Network, T] = {}
        for network, value in entries:
            if unique.setdefault(network, value) != value:
                raise ValueError(f"{network} is given twice, as {unique[network]!r} and as {value!r}: keep one")
        return cls(
            _Table.of((network, value) for network, value in unique.items() if network.bits == 32),
            _Table.of((network, value) for network, value in unique.items() if network.bits == 128),
        )

    def get(self, packed: bytes) -> T | None:
        """Return the value of the smallest network around a packed address; a v4-mapped one counts as IPv4."""
        table = self.ipv4
        if len(packed) == 16:
            if packed.startswith(_MAPPED):
                packed = packed[12:]
            else:
                table = self.ipv6
        # Spans begin at 0, so there is always one at or before any address.
        return table.values[bisect_right(table.starts, int.from_bytes(packed)) - 1]


@dataclass(frozen=True, slots=True)
class NetworkSet:
    """Networks an address is in or not: `pack("10.1.2.3") in networks`."""

    networks: NetworkMap[bool]

    @classmethod
    def parse(cls, cidrs: Iterable[str]) -> Self:
        """Read CIDR texts as `Network.parse` does.

        Raises:
            ValueError: One of them is not a network.
        """
        return cls(NetworkMap.of((Network.parse(cidr), True) for cidr in cidrs))

    def __contains__(self, packed: bytes) -> bool:
        return self.networks.get(packed) is not None


SPECIAL_NETWORKS = NetworkSet.parse(
    (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, gone
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "::/96",  # unspecified, loopback, v4-compatible
        "64:ff9b::/96",  # NAT64 of an address that is special itself, or `unmap` had taken it out
        "64:ff9b:1::/48",  # NAT64 inside one network
        "100::/63",  # discard-only, dummy
        "2001::/23",  # protocol assignments: Teredo (as NAT64 above), ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, as NAT64 above
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fc00::/7",  # private
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local, gone
        "ff00::/8",  # multicast
    )
)
"""Addresses in no country: those of special purpose (RFC 6890 and its successors), multicast and reserved ones."""
