import ipaddress
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.networks import SPECIAL_NETWORKS, Network, NetworkMap, NetworkSet, pack, text, unmap

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

ADDRESSES = st.ip_addresses()
NETWORKS = st.builds(
    lambda address, prefix: ipaddress.ip_network((address, min(prefix, address.max_prefixlen)), strict=False),
    ADDRESSES,
    st.integers(0, 128),
)


def packed(address: str) -> bytes:
    """Pack an address that is known to be one."""
    found = pack(address)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "malformed",
    ["", " ", "1.2.3", "1.2.3.4 ", " 1.2.3.4", "01.2.3.4", "1.2.3.256", "127.1", "0x7f.0.0.1", "2130706433",
     "1.2.3.4:80", "[::1]", "fe80::1%eth0", "::1%", ":::", "1::2::3", "::ffff:01.2.3.4", "12345::", "::1/128",
     "1.2.3.4\0", "::1\0", "\udcff", "::\udcff", "١.٢.٣.٤", "localhost", "a" * 10_000, ":" * 10_000],
)  # fmt: skip
def test_only_exact_addresses_are_packed(malformed: str) -> None:
    """Anything but one exactly written address is refused, without an exception."""
    assert pack(malformed) is None


@given(ADDRESSES)
def test_pack_and_text_agree_with_the_standard_library(address: IPAddress) -> None:
    """An address packs to its bytes, and its text packs to the same bytes again."""
    assert pack(str(address)) == address.packed
    assert pack(text(address.packed)) == address.packed


@given(st.text())
def test_pack_never_raises(anything: str) -> None:
    """Whatever text arrives, the answer is bytes of an address or None."""
    found = pack(anything)
    assert found is None or len(found) in {4, 16}


@pytest.mark.parametrize(
    ("outside", "inside"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("::ffff:8.8.8.8", "8.8.8.8"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2002:808:808::1", "8.8.8.8"),
        ("2001:0:4136:e378:8000:63bf:f7f7:f7f7", "8.8.8.8"),
        ("64:ff9b::8.8.8.8", "8.8.8.8"),
        ("2001:4860:4860::8888", "2001:4860:4860::8888"),
        ("2001:1::8.8.8.8", "2001:1::808:808"),
    ],
)
def test_unmap(outside: str, inside: str) -> None:
    """IPv4 addresses that travel inside IPv6 ones are found, whichever of the four ways they travel."""
    assert text(unmap(packed(outside))) == inside


@pytest.mark.parametrize("tunnel", ["2002:a00:1::1", "2001:0:1::f5ff:fffe", "64:ff9b::10.0.0.1", "2002:7f00:1::"])
def test_a_tunnel_address_cannot_claim_to_be_a_private_one(tunnel: str) -> None:
    """Writing 10.0.0.1 or 127.0.0.1 into a tunnel address does not make anybody an inside host."""
    assert unmap(packed(tunnel)) == packed(tunnel)
    assert packed(tunnel) in SPECIAL_NETWORKS


@pytest.mark.parametrize(
    ("cidr", "message"),
    [
        ("10.0.0.0/33", "after the slash goes a number from 0 to 32"),
        ("2001:db8::/129", "after the slash goes a number from 0 to 128"),
        ("10.0.0.0/", "after the slash goes a number"),
        ("10.0.0.0/08", "after the slash goes a number"),
        ("10.0.0.0/-1", "after the slash goes a number"),
        ("10.0.0.0/٨", "after the slash goes a number"),
        ("10.0.0.0/" + "9" * 5000, "after the slash goes a number"),
        ("10.0.0.0/255.0.0.0", "after the slash goes a number"),
        ("10.0.3.11/24", "'10.0.3.11/24' has bits set beyond its prefix: write 10.0.3.0/24"),
        ("2001:db8::1/32", "write 2001:db8::/32"),
        ("vpc.internal", "'vpc.internal' is not a network: write one like 10.0.0.0/8"),
        ("", "'' is not a network"),
    ],
)
def test_a_wrong_cidr_is_refused_with_advice(cidr: str, message: str) -> None:
    """An operator who mistypes a network reads what is wrong and what to write, in a text of bounded length."""
    with pytest.raises(ValueError, match=r".*") as caught:
        NetworkSet.parse(["10.0.0.0/8", cidr])
    assert message in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("cidr", "shown"),
    [("10.0.0.0/8", "10.0.0.0/8"), ("192.0.2.7", "192.0.2.7/32"), ("::1", "::1/128"), ("0.0.0.0/0", "0.0.0.0/0"),
     ("::/0", "::/0"), ("::ffff:10.0.0.0/104", "10.0.0.0/8"), ("::ffff:10.0.0.1", "10.0.0.1/32")],
)  # fmt: skip
def test_a_network_shows_as_it_was_written(cidr: str, shown: str) -> None:
    """A network prints in canonical form; a v4-mapped one is the IPv4 one."""
    assert str(Network.parse(cidr)) == shown


@given(st.lists(NETWORKS, max_size=12), ADDRESSES, st.integers(0, 200))
def test_membership_agrees_with_the_standard_library(networks: list[IPNetwork], address: IPAddress, pick: int) -> None:
    """An address is in the set exactly when one of the networks holds it, at the edges as well."""
    networks = [network for network in networks if not _mapped(network.network_address)]
    edges = [edge for network in networks for edge in (network.network_address, network.broadcast_address)]
    probe = _plain(edges[pick % len(edges)] if edges and pick % 2 else address)
    expected = any(probe in network for network in networks)
    assert (probe.packed in NetworkSet.parse(map(str, networks))) == expected


def _mapped(address: IPAddress) -> bool:
    return isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None


def _plain(address: IPAddress) -> IPAddress:
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


@given(st.lists(NETWORKS, max_size=12), ADDRESSES)
def test_the_longest_prefix_wins(networks: list[IPNetwork], address: IPAddress) -> None:
    """Of all networks around an address the smallest gives the value, in whatever order they were written."""
    networks = [network for network in networks if not _mapped(network.network_address)]
    address = _plain(address)
    around = [network for network in networks if address in network]
    expected = max(around, key=lambda network: network.prefixlen, default=None)
    built = NetworkMap.of((Network.parse(str(network)), str(network)) for network in networks)
    assert built.get(address.packed) == (None if expected is None else str(expected))


def test_nested_networks_with_one_end() -> None:
    """Behind the common end of nested networks nothing holds any more."""
    nested = NetworkMap.of(
        (Network.parse(cidr), cidr) for cidr in ("10.0.0.0/8", "10.255.0.0/16", "10.255.255.0/24", "11.0.0.0/8")
    )
    assert nested.get(packed("10.255.255.255")) == "10.255.255.0/24"
    assert nested.get(packed("10.255.254.1")) == "10.255.0.0/16"
    assert nested.get(packed("10.1.2.3")) == "10.0.0.0/8"
    assert nested.get(packed("11.0.0.0")) == "11.0.0.0/8"
    assert nested.get(packed("12.0.0.0")) is None


def test_mapped_addresses_are_in_ipv4_networks() -> None:
    """A dual-stack socket tells 10.1.2.3 as ::ffff:10.1.2.3; it is the same host."""
    trusted = NetworkSet.parse(["10.0.0.0/8"])
    assert packed("::ffff:10.1.2.3") in trusted
    assert packed("2002:a01:203::1") not in trusted


def test_one_network_with_two_values_is_refused() -> None:
    """A network written twice with different values is a mistake; with the same value it is not."""
    network = Network.parse("10.0.0.0/8")
    assert NetworkMap.of([(network, "SG"), (network, "SG")]).get(packed("10.0.0.1")) == "SG"
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/8 is given twice, as 'SG' and as 'US': keep one"):
        NetworkMap.of([(network, "SG"), (network, "US")])


@given(ADDRESSES)
def test_what_the_standard_library_calls_special_is_special(address: IPAddress) -> None:
    """Private, loopback, link-local, multicast, reserved and unspecified addresses are in no country."""
    plain = ipaddress.ip_address(unmap(address.packed))
    if plain.is_private or plain.is_loopback or plain.is_link_local or plain.is_multicast or plain.is_unspecified:
        assert plain.packed in SPECIAL_NETWORKS


@pytest.mark.parametrize(
    "special",
    ["10.1.1.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.31.0.1", "192.168.0.1", "192.0.2.1", "198.19.0.1",
     "203.0.113.9", "224.0.0.1", "255.255.255.255", "0.0.0.0", "::", "::1", "fe80::1", "fd00::1", "2001:db8::1",
     "3fff::1", "ff02::1", "2001:2::1", "100::1", "64:ff9b:1::1"],
)  # fmt: skip
def test_special(special: str) -> None:
    """Each kind of special-purpose address is known."""
    assert packed(special) in SPECIAL_NETWORKS


@pytest.mark.parametrize("public", ["8.8.8.8", "100.63.255.255", "100.128.0.0", "172.32.0.1", "1.0.0.0", "2600::1"])
def test_public(public: str) -> None:
    """Neighbours of special ranges are ordinary addresses."""
    assert packed(public) not in SPECIAL_NETWORKS
