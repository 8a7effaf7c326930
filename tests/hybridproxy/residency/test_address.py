"""What an address leads to, and which networks mean it."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.residency.address import NOBODYS, PRIVATE, RISKY, carried, disguised, inside, read, within


def held(address: str, *cidrs: str) -> bool:
    """Whether networks hold an address."""
    found = read(address)
    assert found is not None, address
    return inside(found, map(ipaddress.ip_network, cidrs))


@pytest.mark.parametrize(
    "text",
    [
        "vllm.internal", "localhost", "010.0.0.1", "0x7f.1", "0x0a000301", "10.1", "10.0.0.1 ", "", "10.0.0.1/8",
        "2130706433", "017700000001", "10.0.3.1.", "::ffff:010.0.0.1", "fe80::1%eth0", "[::1]", "1\u0660.0.0.1",
    ],
)  # fmt: skip
def test_an_address_has_one_plain_form(text: str) -> None:
    """Whatever some system would take for an address, and a zone, which means something on one machine only: a name."""
    assert read(text) is None


def test_a_mapped_address_is_the_one_behind_it() -> None:
    """The system connects to the IPv4 address."""
    assert read("::ffff:8.8.8.8") == ipaddress.ip_address("8.8.8.8")
    assert read("10.0.3.1") == ipaddress.ip_address("10.0.3.1")
    assert read("fd00::1") == ipaddress.ip_address("fd00::1")


@pytest.mark.parametrize("name", ["2130706433", "0x7f000001", "0x", "10.1", "10.0.3.1.", "a.0x7F", "fe80::1%eth0"])
def test_a_name_in_disguise_is_told(name: str) -> None:
    """Some resolver would make an address of it."""
    assert disguised(name)


@pytest.mark.parametrize("name", ["vllm.internal", "localhost", "10.0.3.1.internal", "0xyz", "x.0xg"])
def test_other_names_are_names(name: str) -> None:
    """Only the last label makes a number of a name."""
    assert not disguised(name)


VPC = "10.0.0.0/8"


@pytest.mark.parametrize(
    ("address", "carries", "networks"),
    [
        ("::10.0.3.1", "10.0.3.1", "::/96"),
        ("::ffff:0:10.0.3.1", "10.0.3.1", "::ffff:0:0:0/96"),
        ("64:ff9b::10.0.3.1", "10.0.3.1", "64:ff9b::/96"),
        ("64:ff9b:1::10.0.3.1", "10.0.3.1", "64:ff9b:1::/48"),
        ("2002:a00:301::1", "10.0.3.1", "2002::/16"),
        ("2001:0:a00:302::f5ff:fcfe", "10.0.3.2 10.0.3.1", "2001::/32"),
    ],
)
def test_a_form_that_carries_an_address_is_held_when_both_are(address: str, carries: str, networks: str) -> None:
    """The form's own network alone is not enough, and neither is the network of what it carries."""
    found = read(address)
    assert found is not None
    assert " ".join(map(str, carried(found))) == carries
    assert held(address, networks, VPC)
    assert not held(address, networks)
    assert not held(address, VPC)
    assert not held(address, "::/0", "10.0.4.0/24")


def test_a_mapped_address_that_was_not_read_is_judged_by_what_it_carries() -> None:
    """Wherever it comes from."""
    mapped = ipaddress.ip_address("::ffff:8.8.8.8")
    assert not inside(mapped, [ipaddress.ip_network("::/0")])


def test_a_local_nat64_prefix_may_have_any_length() -> None:
    """Every place where the address could stand has to be inside; one that holds nothing says nothing."""
    assert held("64:ff9b:1:a00:3:100::", "64:ff9b:1::/48", VPC, "3.1.0.0/16")
    assert not held("64:ff9b:1:a00:3:100::", "64:ff9b:1::/48", VPC)
    assert not held("64:ff9b:1::", "64:ff9b:1::/48", VPC)


def test_most_addresses_carry_nothing() -> None:
    """Loopback is no form of 0.0.0.1."""
    for text in ("10.0.3.1", "fd00::1", "2001:db8::1", "::1"):
        found = read(text)
        assert found is not None
        assert carried(found) == ()
    assert held("::1", "::1/128")
    assert held("fd00::1", "fc00::/7")
    assert not held("fd00::1", VPC)


@pytest.mark.parametrize("address", ["0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "::", "ff02::1"])
def test_nobodys_address_is_meant_by_no_wide_network(address: str) -> None:
    """The whole address space holds it, and does not mean it."""
    assert not held(address, "0.0.0.0/0", "::/0")


@pytest.mark.parametrize(
    ("address", "wide", "own"),
    [
        ("169.254.169.254", "169.0.0.0/8", "169.254.169.254/32"),
        ("100.100.100.200", "100.64.0.0/10", "100.100.100.200/32"),
        ("168.63.129.16", "168.0.0.0/8", "168.63.129.16/32"),
        ("192.0.0.192", "192.0.0.0/24", "192.0.0.192/32"),
        ("fd00:ec2::254", "fc00::/7", "fd00:ec2::/64"),
        ("fe80::1", "fe00::/8", "fe80::/64"),
    ],
)
def test_a_metadata_service_is_meant_only_by_a_network_of_its_own(address: str, wide: str, own: str) -> None:
    """A private network that is wide enough to hold it does not open it."""
    assert not held(address, wide)
    assert held(address, wide, own)


@given(st.ip_addresses(v=4), st.integers(8, 32))
def test_what_is_ordinary_is_held_by_arithmetic(address: ipaddress.IPv4Address, length: int) -> None:
    """An ordinary IPv4 address is inside its own networks and not inside another."""
    special = any(address in network for network in (*NOBODYS, *RISKY) if network.version == 4)
    own = ipaddress.ip_network((address, length), strict=False)
    assert inside(address, [own]) or special
    assert not inside(address, [ipaddress.ip_network("fc00::/7")])
    assert PRIVATE


@pytest.mark.parametrize(
    ("network", "other", "is_within"),
    [
        ("10.0.3.0/24", "10.0.0.0/8", True), ("10.0.0.0/8", "10.0.0.0/8", True), ("10.0.0.0/7", "10.0.0.0/8", False),
        ("11.0.0.0/24", "10.0.0.0/8", False), ("::/128", "0.0.0.0/8", False), ("fd00::/8", "fc00::/7", True),
    ],
)  # fmt: skip
def test_a_network_is_within_another_one_as_a_whole(network: str, other: str, is_within: bool) -> None:
    """Of one family, no shorter prefix, and there."""
    assert within(ipaddress.ip_network(network), ipaddress.ip_network(other)) is is_within
