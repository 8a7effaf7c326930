import time
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Literal, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.client_ip import MAX_CHARACTERS, MAX_ELEMENTS, ClientAddress, client_address
from geo.networks import NetworkSet, pack, text, unmap

TRUSTED = NetworkSet.parse(["10.0.0.0/8", "fd00::/8"])
IPAddress: TypeAlias = IPv4Address | IPv6Address
Header: TypeAlias = Literal["x-forwarded-for", "forwarded"]
XFF: Final = "x-forwarded-for"
FORWARDED: Final = "forwarded"


def find(peer: str | None, *lines: str, header: Header = XFF) -> ClientAddress:
    """Ask for the client of a call with these header lines."""
    return client_address(peer, lines, header, TRUSTED)


# ---- who is believed -----------------------------------------------------------------------------------------------


def test_a_direct_caller_is_the_peer() -> None:
    """Without a proxy the socket tells the client."""
    assert find("203.0.113.9") == ClientAddress("203.0.113.9", (), "peer", None)


def test_a_stranger_cannot_name_another_client() -> None:
    """What an untrusted peer writes into the header is not even read."""
    assert find("203.0.113.9", "8.8.8.8") == ClientAddress("203.0.113.9", (), "peer", None)


def test_one_trusted_proxy_names_the_client() -> None:
    """The last element is the word of the proxy that connected to us."""
    assert find("10.0.0.1", "203.0.113.9") == ClientAddress("203.0.113.9", ("10.0.0.1",), "header", None)


def test_the_invented_left_of_the_header_is_not_read() -> None:
    """The first untrusted address from the right is the client, whatever stands left of it."""
    found = find("10.0.0.1", "8.8.8.8, 10.9.9.9, 203.0.113.9, 10.0.0.2")
    assert found == ClientAddress("203.0.113.9", ("10.0.0.1", "10.0.0.2"), "header", None)


def test_several_lines_are_one_list() -> None:
    """A proxy that adds a line of its own is read like one that extends the line it got."""
    assert find("10.0.0.1", "8.8.8.8", "203.0.113.9", "10.0.0.2") == find("10.0.0.1", "8.8.8.8,203.0.113.9,10.0.0.2")


def test_a_caller_inside_the_trusted_networks() -> None:
    """When every address is trusted, the leftmost is the client: a service of the operator's own."""
    found = find("10.0.0.1", "10.0.0.3, 10.0.0.2")
    assert found == ClientAddress("10.0.0.3", ("10.0.0.1", "10.0.0.2"), "header", None)


def test_a_trusted_peer_without_the_header_is_the_client() -> None:
    """A health check of the load balancer itself comes from the load balancer."""
    assert find("10.0.0.1") == ClientAddress("10.0.0.1", (), "peer", None)


@pytest.mark.parametrize("peer", [None, ""])
def test_a_unix_socket_has_no_address(peer: str | None) -> None:
    """Behind a unix socket nobody is known, so nobody's header is believed."""
    assert find(peer, "8.8.8.8") == ClientAddress("", (), "none", None)


@pytest.mark.parametrize("peer", ["/run/proxy.sock", "localhost", "%eth0", "\udcff"])
def test_a_peer_that_is_no_address(peer: str) -> None:
    """A peer that cannot be read has no address, and the result says so."""
    assert find(peer, "8.8.8.8") == ClientAddress("", (), "none", "the peer has no IP address")


@pytest.mark.parametrize(
    ("peer", "address"),
    [("::ffff:203.0.113.9", "203.0.113.9"), ("fe80::1%eth0", "fe80::1"), ("2600:0:0:0:0:0:0:1", "2600::1"),
     ("2002:808:808::1", "8.8.8.8"), ("2002:a00:1::1", "2002:a00:1::1")],
)  # fmt: skip
def test_the_address_is_canonical(peer: str, address: str) -> None:
    """One client has one spelling: mapped and tunnelled IPv4 is IPv4, zones are gone, zeros are short."""
    assert find(peer).address == address


def test_a_dual_stack_socket_recognises_its_proxies() -> None:
    """A proxy at ::ffff:10.0.0.1 is the proxy at 10.0.0.1."""
    assert find("::ffff:10.0.0.1", "203.0.113.9") == ClientAddress("203.0.113.9", ("10.0.0.1",), "header", None)


def test_a_tunnel_address_is_not_a_trusted_proxy() -> None:
    """A 6to4 address with 10.0.0.1 inside is a stranger's, and what it says is not read."""
    assert find("2002:a00:1::1", "8.8.8.8").address == "2002:a00:1::1"


# ---- how X-Forwarded-For is written --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("element", "address"),
    [("203.0.113.9:4711", "203.0.113.9"), ("[2600::1]", "2600::1"), ("[2600::1]:443", "2600::1"),
     ("2600::1", "2600::1"), (" \t203.0.113.9\t ", "203.0.113.9"), ("::ffff:203.0.113.9", "203.0.113.9"),
     ("[::ffff:203.0.113.9]:1", "203.0.113.9")],
)  # fmt: skip
def test_spellings_of_an_element(element: str, address: str) -> None:
    """Ports, brackets and spaces, as different proxies write them, do not hide the client."""
    assert find("10.0.0.1", "8.8.8.8," + element).address == address


@pytest.mark.parametrize(
    "element",
    ["", " ", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:123456", ":80", "[1.2.3.4]",
     "[2600::1", "[2600::1]443", "[2600::1]:", "[]", "2600::1]", "fe80::1%eth0", "1.2.3.4 5.6.7.8", '"1.2.3.4"',
     "for=1.2.3.4", "1.2.3.4;5.6.7.8", "1.2.3.4\xa0", "\udcff\udcfe", "1.2.3.4\0", "012.2.3.4", "\x0b1.2.3.4"],
)  # fmt: skip
def test_a_malformed_element_ends_the_walk(element: str) -> None:
    """What a trusted hop wrote and we cannot read hides the client; what stands left of it is not believed instead."""
    found = find("10.0.0.1", f"8.8.8.8, {element}, 10.0.0.2")
    assert found == ClientAddress(
        "10.0.0.2", ("10.0.0.1",), "header", "element 2 from the right of x-forwarded-for names no address"
    )


def test_a_malformed_first_element_leaves_the_peer() -> None:
    """When not even the nearest proxy can be read, the client is that proxy."""
    found = find("10.0.0.1", "8.8.8.8, nonsense")
    assert found == ClientAddress("10.0.0.1", (), "peer", f"element 1 from the right of {XFF} names no address")


def test_a_proxy_loop_is_cut() -> None:
    """A header of more than 64 trusted addresses ends with a problem instead of more work."""
    proxies = ", ".join(["10.0.0.2"] * MAX_ELEMENTS)
    assert find("10.0.0.1", proxies).problem is None
    found = find("10.0.0.1", "8.8.8.8, " + proxies)
    assert (found.address, len(found.hops)) == ("10.0.0.2", MAX_ELEMENTS)
    assert found.problem == "x-forwarded-for has more than 64 elements"


def test_an_oversized_header_is_read_at_its_right_end_only() -> None:
    """Megabytes in front of a good element neither hide it nor are they looked at."""
    assert find("10.0.0.1", "x" * 1_000_000, "203.0.113.9").address == "203.0.113.9"
    found = find("10.0.0.1", "8.8.8.8" + " " * MAX_CHARACTERS + ", 10.0.0.2")
    assert (found.address, found.problem) == ("10.0.0.2", "x-forwarded-for is longer than 8192 characters")


# ---- RFC 7239 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("element", "address"),
    [
        ("for=203.0.113.9", "203.0.113.9"),
        ("For=203.0.113.9;Proto=https;by=10.0.0.1", "203.0.113.9"),
        ('proto=https ; for="203.0.113.9:4711"', "203.0.113.9"),
        ('for="[2600::1]:4711"', "2600::1"),
        ('for="[2600::1]"', "2600::1"),
        ('for="203.0.113.9:_gazonk"', "203.0.113.9"),
        ('for="\\2\\03.0.113.9"', "203.0.113.9"),
        ('for=203.0.113.9;host="a, for=8.8.8.8"', "203.0.113.9"),
        ('for=203.0.113.9;host="a\\", for=8.8.8.8, \\\\"', "203.0.113.9"),
        ('for=203.0.113.9;host="\\""', "203.0.113.9"),
        ('for=203.0.113.9;host=""', "203.0.113.9"),
        (";;for=203.0.113.9;;", "203.0.113.9"),
    ],
)
def test_forwarded_elements(element: str, address: str) -> None:
    """Quotes, escapes, brackets, ports and other parameters are read as RFC 7239 has them."""
    assert find("10.0.0.1", "for=8.8.8.8, " + element, header=FORWARDED).address == address
    assert find("10.0.0.1", "for=8.8.8.8, " + element + ", for=10.0.0.2", header=FORWARDED).address == address


@pytest.mark.parametrize(
    "element",
    ["", "for=unknown", "for=_hidden", 'for="_x"', "for=", "for", "proto=https", "for=1.2.3.4;for=1.2.3.4",
     'for=1.2.3.4;host="a";FOR="5.6.7.8"', "for=2600::1", 'for="2600::1"', "for=[2600::1]", "for=1.2.3.4:80",
     'for="1.2.3.4', 'for=1.2.3.4"', "for =1.2.3.4", "for= 1.2.3.4", "1.2.3.4", "for=1.2.3.4 x", 'for="1.2.3.4"x',
     'for="[2600::1]:_"', 'for="\udcff"', 'for="";'],
)  # fmt: skip
def test_hidden_and_malformed_forwarded_elements_end_the_walk(element: str) -> None:
    """A hop that hides or garbles its client leaves that hop as the last address believed."""
    found = find("10.0.0.1", f"for=8.8.8.8, {element}, for=10.0.0.2", header=FORWARDED)
    assert (found.address, found.hops) == ("10.0.0.2", ("10.0.0.1",))
    assert found.problem == "element 2 from the right of forwarded names no address"


def test_a_quote_left_open_by_a_stranger_does_not_swallow_the_proxys_element() -> None:
    """The list is read from the end a proxy wrote, so a stranger's open quote stays the stranger's."""
    assert find("10.0.0.1", 'for="8.8.8.8, for=203.0.113.9', header=FORWARDED).address == "203.0.113.9"


@pytest.mark.parametrize("filler", [" ", "\t", ";", '"', "\\", '\\"', '"\\', "a=b;", "a", ",", '",', "=", '"\\\\"'])
def test_no_input_is_slow(filler: str) -> None:
    """The worst headers of the greatest length cost milliseconds, not seconds."""
    before = time.thread_time()
    for head, tail in (("", ""), ('for="', ""), ("", '"'), ("for=1.2.3.4;", ", for=10.0.0.2"), ("", "\0")):
        find("10.0.0.1", head + filler * (MAX_CHARACTERS // len(filler)) + tail, header=FORWARDED)
    assert time.thread_time() - before < 0.5  # 0.02 on a quiet machine


# ---- properties ----------------------------------------------------------------------------------------------------

PIECES = ["for=", "For=", "8.8.8.8", "10.0.0.2", "[2600::1]", '"', "\\", ",", ";", ":80", "unknown", "_x", "by="]
GRAMMAR = st.lists(st.sampled_from([*PIECES, " ", ", "])).map("".join)
HEADER_BYTES = st.binary(max_size=300).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
ATTACK = st.one_of(GRAMMAR, HEADER_BYTES, st.text(max_size=100))
HEADERS: st.SearchStrategy[Header] = st.sampled_from([XFF, FORWARDED])


@given(st.one_of(st.none(), ATTACK, st.just("10.0.0.1")), st.lists(ATTACK, max_size=4), HEADERS)
def test_never_raises_and_never_invents(peer: str | None, lines: list[str], header: Header) -> None:
    """Any bytes give an address or "", and the hops passed are all trusted."""
    found = find(peer, *lines, header=header)
    packed = pack(found.address)
    assert found.address == "" if packed is None else text(unmap(packed)) == found.address
    assert all((pack(hop) or b"") in TRUSTED for hop in found.hops)
    assert (found.source == "header") == bool(found.hops)
    assert (found.source == "none") == (found.address == "")


def _public(address: IPAddress) -> bool:
    return unmap(address.packed) == address.packed and address.packed not in TRUSTED


def _write(address: IPAddress, header: Header, style: int) -> str:
    if header == XFF:
        return [f"{address}", f"[{address}]:443" if address.version == 6 else f"{address}:443"][style % 2]
    node = f"[{address}]" if address.version == 6 else f"{address}"
    plain = f'for="{node}"' if address.version == 6 else f"for={node}"
    return [plain, f'proto=https;for="{node}:443";host="a, \\"b\\\\"', f'FOR="{node}"; by=_x'][style % 3]


@given(
    HEADERS,
    st.lists(ATTACK, min_size=1, max_size=3),
    st.ip_addresses().filter(_public),
    st.lists(st.ip_addresses(network="10.0.0.0/8") | st.ip_addresses(network="fd00::/8"), max_size=4),
    st.integers(0, 5),
    st.booleans(),
)
def test_text_left_of_a_true_chain_never_changes_the_client(
    header: Header, attack: list[str], client: IPAddress, proxies: list[IPAddress], style: int, own_line: bool
) -> None:
    """Whatever a client writes into the header, the address found is the one the outermost proxy saw."""
    chain = ", ".join(_write(address, header, style) for address in [client, *proxies])
    lines = [*attack, chain] if own_line else [*attack[:-1], f"{attack[-1]}, {chain}"]
    found = find("10.0.0.1", *lines, header=header)
    assert found == ClientAddress(
        str(client), ("10.0.0.1", *(str(proxy) for proxy in reversed(proxies))), "header", None
    )
