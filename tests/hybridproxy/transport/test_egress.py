import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.transport.egress import EgressRefusedError, Guard, literal
from tests.support.ssrf_forms import DISGUISED, NETWORK, NEVER_MEANT, OUTSIDE, WIDE


@pytest.mark.parametrize(
    "host", ["vllm.internal", "localhost", "010.0.0.1", "0x7f.1", "10.1", "10.0.0.1 ", "", "10.0.0.1/8", "2130706433"]
)
def test_what_only_a_resolver_understands_is_a_name(host: str) -> None:
    """Spellings that some system would turn into an address are no addresses here."""
    assert literal(host) is None


def test_a_mapped_address_is_the_one_behind_it() -> None:
    """::ffff:8.8.8.8 leads to 8.8.8.8, whatever networks of IPv6 are allowed."""
    address = literal("::ffff:8.8.8.8")
    assert address == ipaddress.ip_address("8.8.8.8")
    assert address is not None
    assert not Guard(["::/0"]).allows(address)


@given(st.ip_addresses(v=4))
def test_only_addresses_inside_the_networks_are_allowed(address: ipaddress.IPv4Address) -> None:
    """An address is allowed exactly when the arithmetic of its network says so."""
    inside = int(address) >> 8 == int(ipaddress.ip_address("10.0.3.0")) >> 8
    assert Guard(["10.0.3.0/24", "fd00::/8"]).allows(address) == inside


def test_what_is_left_keeps_its_order_and_nothing_left_is_refused() -> None:
    """Filtering removes and never adds; a refusal holds no address."""
    inside, outside, other = (ipaddress.ip_address(a) for a in ("10.0.3.9", "10.0.4.1", "10.0.3.1"))
    guard = Guard(["10.0.3.0/24"])
    assert guard.only_allowed([inside, outside, other]) == [inside, other]
    with pytest.raises(EgressRefusedError) as refused:
        guard.only_allowed([outside])
    assert "10.0" not in str(refused.value)
    assert Guard([]).only_allowed([outside]) == [outside]


def test_a_network_that_is_none_is_refused_without_being_repeated() -> None:
    """The error says where to look and not what stands there."""
    with pytest.raises(ValueError, match="allow_cidrs") as refused:
        Guard(["10.0.3.0/99"])
    assert "10.0" not in str(refused.value)


def test_every_form_is_judged_by_where_it_leads() -> None:
    """The table of S4: no form is inside the network it is not in, and no wide network means what is nobody's."""
    for text in OUTSIDE:
        address = ipaddress.ip_address(text)
        assert not Guard([NETWORK]).allows(address), text
    for text in NEVER_MEANT:
        assert not Guard(WIDE).allows(ipaddress.ip_address(text)), text
    assert not any(map(literal, DISGUISED))
