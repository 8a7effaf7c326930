"""Who is calling: the address of the client behind the operator's own proxies.

A forwarding header is a list to which each proxy appends the address that connected to it. So only its right end is
ours: the peer is known from the socket; if it is a trusted proxy, the last element is its word; if that names another
trusted proxy, the element before is that one's word; and so on. The first address that is not trusted is the client,
and whatever stands left of it is the client's own invention.

Only the header that the operator named is read: a proxy that maintains `X-Forwarded-For` hands a stranger's
`Forwarded` through untouched.

Failure mode: an element that cannot be read ends the walk. The client is then the last address somebody trusted
vouched for, and `problem` says so; a stranger's word never takes its place.
"""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from geo.networks import NetworkSet, pack, text, unmap

MAX_ELEMENTS = 64
"""How many list elements are looked at; more proxies in a row than that are a loop."""

MAX_CHARACTERS = 8192
"""How much of the header's right end is looked at, over all its lines."""

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"  # noqa: S105
# RFC 7239 §4: [ pair ] *( ";" [ pair ] ). Possessive where that saves backtracking, but not around groups: before
# Python 3.11.5 (Debian 12 has 3.11.2) these do not match what they should (CPython issue 106052).
_PAIR = re.compile(
    rf"""[ \t]*+ (?: (?P<name>{_TOKEN}) = (?: (?P<token>{_TOKEN}) | "(?P<quoted>(?:[^"\\]|\\.)*)" ) )?
    [ \t]*+ (?: ; | \Z )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_PORT = re.compile(r":(?:[0-9]{1,5}|_[A-Za-z0-9._-]+)")  # RFC 7239 §6: a number or an obfuscated name


class ClientAddress(NamedTuple):
    """The client's address and how it was found.

    Attributes:
        address: Canonical text; an IPv4 address carried in IPv6 is written as IPv4. "" when there is none.
        hops: The trusted proxies the call came through, nearest first; without the client itself.
        source: "peer" (the socket), "header" (a trusted proxy named it) or "none" (no address at all).
        problem: Why the walk ended early, in words without anything a stranger wrote; None when it did not.
    """

    address: str
    hops: tuple[str, ...]
    source: str
    problem: str | None


_NOBODY = ClientAddress("", (), "none", None)


def client_address(
    peer: str | None,
    forwarded: Sequence[str],
    header: Literal["x-forwarded-for", "forwarded"],
    trusted: NetworkSet,
) -> ClientAddress:
    """Find the client behind the trusted proxies. Never raises.

    Args:
        peer: The other end of the socket; None or "" for a unix socket.
        forwarded: The values of `header`, one for each of its lines, in order of arrival.
        header: The one header the operator's proxies maintain.
        trusted: The operator's proxies.
    """
    if not peer:
        return _NOBODY
    here = pack(peer) or pack(peer.partition("%")[0])  # the socket tells a link-local peer with its zone
    if here is None:
        return ClientAddress("", (), "none", "the peer has no IP address")
    if not forwarded or here not in trusted:
        return ClientAddress(text(unmap(here)), (), "peer", None)

    # RFC 9110 §5.3: several lines are one list.
    rest = forwarded[0] if len(forwarded) == 1 else ",".join(forwarded)
    cut = len(rest) > MAX_CHARACTERS
    if cut:
        rest = rest[-MAX_CHARACTERS:]
    strict = header == "forwarded"
    hops: list[str] = []
    problem = None
    for number in range(1, MAX_ELEMENTS + 1):
        comma = _last_comma(rest) if strict and '"' in rest else rest.rfind(",")
        if comma < 0 and cut:
            problem = f"{header} is longer than {MAX_CHARACTERS} characters"
            break
        # An empty element counts like a hidden one: it stands for a hop that named nobody.
        element = rest[comma + 1 :]
        named = _forwarded_for(element) if strict else _node(element.strip(" \t"), bare_ipv6=True)
        if named is None:
            problem = f"element {number} from the right of {header} names no address"
            break
        hops.append(text(unmap(here)))
        here = named
        if comma < 0 or here not in trusted:
            break
        rest = rest[:comma]
    else:
        problem = f"{header} has more than {MAX_ELEMENTS} elements"
    return ClientAddress(text(unmap(here)), tuple(hops), "header" if hops else "peer", problem)


def _last_comma(value: str) -> int:
    """Return where the last comma outside quotes is, -1 if there is none.

    Read from the right end, which a trusted proxy wrote: read from the left, a quote that a stranger leaves open
    would swallow the proxy's element.
    """
    comma, quote = value.rfind(","), value.rfind('"')
    while comma < quote:
        begin = _opening_quote(value, quote)
        if begin < 0:
            return -1
        quote = value.rfind('"', 0, begin)
        if comma > begin:
            comma = value.rfind(",", 0, begin)
    return comma


def _opening_quote(value: str, closing: int) -> int:
    """Return where the quoted string that ends there begins, -1 where it does not."""
    quote = value.rfind('"', 0, closing)
    while quote > 0:
        before = quote
        while before > 0 and value[before - 1] == "\\":
            before -= 1
        if (quote - before) % 2 == 0:  # else it is escaped
            break
        quote = value.rfind('"', 0, quote)
    return quote


def _forwarded_for(element: str) -> bytes | None:
    """Return the address in the one `for=` of an RFC 7239 element; None for a hidden, missing or doubled one."""
    node: str | None = None
    at = 0
    while at < len(element):
        pair = _PAIR.match(element, at)
        if pair is None:
            return None
        at = pair.end()
        if pair["name"] is not None and pair["name"].lower() == "for":
            if node is not None:
                return None
            node = pair["token"] if pair["quoted"] is None else _ESCAPE.sub(r"\1", pair["quoted"])
    return None if node is None else _node(node, bare_ipv6=False)


def _node(node: str, *, bare_ipv6: bool) -> bytes | None:
    """Read `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]`, `[2001:db8::1]:80` and, if allowed, `2001:db8::1`."""
    colons = node.count(":")
    if not colons:
        return pack(node)
    if node.startswith("["):
        host, bracket, port = node[1:].partition("]")
        right = bracket and ":" in host and (not port or _PORT.fullmatch(port))
        return pack(host) if right else None
    if colons == 1:
        host, _, _ = node.partition(":")
        return pack(host) if _PORT.fullmatch(node, len(host)) else None
    return pack(node) if bare_ipv6 else None
