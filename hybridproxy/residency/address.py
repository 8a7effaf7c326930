"""Where an address leads, and whether networks that an operator named hold it.

IPv6 has forms that carry an IPv4 address, and a gateway or the kernel delivers what is sent to them there. Such a form
is inside the networks when both are: the address itself, and what it carries. Some addresses are no machine of
anybody's, or answer with a machine's own credentials: a network that is wide enough to hold them does not mean them.
"""

import ipaddress
from collections.abc import Callable, Iterable
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NOBODYS: Final[tuple[Network, ...]] = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",  # this network; Linux takes 0.0.0.0 for the machine itself
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
            "::/128",  # unspecified
            "ff00::/8",  # multicast
        ),
    )
)
"""Networks in which no server can be reached: `check` refuses them."""

RISKY: Final[tuple[Network, ...]] = tuple(
    map(
        ipaddress.ip_network,
        (
            "169.254.0.0/16",  # link-local; metadata services of AWS, Azure, Google Cloud and others
            "100.100.100.200/32",  # Alibaba Cloud's
            "168.63.129.16/32",  # Azure's wire server
            "192.0.0.192/32",  # Oracle Cloud's
            "fd00:ec2::/32",  # AWS's, by IPv6
            "fd20:ce::/32",  # Google Cloud's
            "fe80::/10",  # link-local
        ),
    )
)
"""Networks of metadata services: only a network that lies within one means it, and `check` warns of that."""

PRIVATE: Final[tuple[Network, ...]] = tuple(
    map(
        ipaddress.ip_network,
        ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"),
    )
)
"""Networks that nobody routes from one organisation to another."""


def read(text: str) -> Address | None:
    """Return the address that a text is, in its one plain form; None for a name and for any other spelling.

    What only some systems take for an address is a name here: `0x7f.1`, `010.0.0.1`, `2130706433`. So is one with a
    zone (`fe80::1%eth0`), which means something on one machine only.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return None if address.scope_id is not None else address.ipv4_mapped or address
    return address


def disguised(name: str) -> bool:
    """Return whether a resolver might take a name for an address: its last label is a number, or it has a colon."""
    last = name.removesuffix(".").rpartition(".")[2].lower()
    return ":" in name or last.isdecimal() or (last.startswith("0x") and set(last[2:]) <= set("0123456789abcdef"))


def inside(address: Address, networks: Iterable[Network]) -> bool:
    """Return whether the networks hold an address, and all that it leads to."""
    named = tuple(networks)
    return _held(address, named) and all(_held(inner, named) for inner in carried(address))


def carried(address: Address) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the IPv4 addresses that what is sent to an address may be delivered to; none for most."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    for network, inner in _FORMS:
        if address in network:
            return tuple(dict.fromkeys(map(ipaddress.IPv4Address, inner(address.packed))))
    return ()


def _held(address: Address, networks: tuple[Network, ...]) -> bool:
    """Return whether a network holds an address and means it."""
    holders = [network for network in networks if address in network]
    for special in (*NOBODYS, *RISKY):
        if address in special:
            return any(within(network, special) for network in holders)
    return bool(holders)


def within(network: Network, other: Network) -> bool:
    """Return whether all of a network lies within another one."""
    same = network.version == other.version
    return same and network.prefixlen >= other.prefixlen and network.network_address in other


def _local_nat64(packed: bytes) -> list[bytes]:
    """Return the IPv4 addresses a local NAT64 prefix may carry: its length is the operator's choice (RFC 6052 §2.2).

    A place that holds zeros, as those before the real one do, carries nothing.
    """
    places = (packed[6:8] + packed[9:11], packed[7:8] + packed[9:12], packed[9:13], packed[12:16])
    return [place for place in places if place[0]] or [bytes(4)]


_FORMS: Final[tuple[tuple[Network, Callable[[bytes], list[bytes]]], ...]] = (
    (ipaddress.ip_network("::1/128"), lambda _: []),  # loopback, not 0.0.0.1
    (ipaddress.ip_network("::/96"), lambda packed: [packed[12:]]),  # IPv4-compatible, RFC 4291 §2.5.5.1
    (ipaddress.ip_network("::ffff:0:0/96"), lambda packed: [packed[12:]]),  # IPv4-mapped
    (ipaddress.ip_network("::ffff:0:0:0/96"), lambda packed: [packed[12:]]),  # IPv4-translated, RFC 2765
    (ipaddress.ip_network("64:ff9b::/96"), lambda packed: [packed[12:]]),  # NAT64, RFC 6052
    (ipaddress.ip_network("64:ff9b:1::/48"), _local_nat64),  # NAT64 inside one network, RFC 8215
    (ipaddress.ip_network("2002::/16"), lambda packed: [packed[2:6]]),  # 6to4
    (
        ipaddress.ip_network("2001::/32"),  # Teredo: its server, and the client behind it
        lambda packed: [packed[4:8], bytes(byte ^ 0xFF for byte in packed[12:])],
    ),
)

CARRYING: Final[tuple[Network, ...]] = tuple(network for network, _ in _FORMS if network.prefixlen < 128)
"""Networks whose addresses carry an IPv4 address: what is sent there comes out at that one, wherever it is."""
