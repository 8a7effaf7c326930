"""DNS messages (RFC 1035), no more of them than a client needs that asks one server for the addresses of one name.

What comes back is untrusted: it is bounded, no pointer is followed forward or in a circle, and nothing counts that is
no answer to the question that was asked.
"""

import ipaddress
import struct
from enum import IntEnum
from typing import Final

from hybridproxy.model.value import value
from hybridproxy.residency.address import Address

CLASS_IN: Final = 1
CNAME: Final = 5
MAX_CHAIN: Final = 8
"""Names that may stand for one another before an address is there."""

MAX_RECORDS: Final = 256
MAX_JUMPS: Final = 64
_HEADER: Final = struct.Struct("!6H")
_RECORD: Final = struct.Struct("!HHIH")
_QUESTION: Final = struct.Struct("!HH")
_RESPONSE, _OPCODE, _TRUNCATED, _RECURSE, _RCODE = 0x8000, 0x7800, 0x0200, 0x0100, 0x000F
_NO_ERROR, _NO_SUCH_NAME = 0, 3


class Kind(IntEnum):
    """What is asked for."""

    A = 1
    AAAA = 28


class DnsError(Exception):
    """A message that is none, or a server that could not answer. The text holds nothing of it."""


@value
class Answer:
    """What a server said: the addresses, none where the name has none, and for how many seconds they hold.

    `truncated`: there is more than fits into a datagram, ask again over TCP.
    """

    addresses: tuple[Address, ...]
    ttl: int
    truncated: bool = False


def question(number: int, name: str, kind: Kind) -> bytes:
    """Return the message that asks for a name's addresses; `number` is its id.

    Raises:
        DnsError: it is no name that can be asked for.

    """
    return _HEADER.pack(number, _RECURSE, 1, 0, 0, 0) + _encoded(name) + _QUESTION.pack(kind, CLASS_IN)


def answer(message: bytes, number: int, name: str, kind: Kind) -> Answer | None:
    """Return what a message says to a question, None when it is an answer to some other one.

    Raises:
        DnsError: it is broken, or says that the server cannot answer.

    """
    if len(message) < _HEADER.size:
        return None
    got, flags, questions, records, _, _ = _HEADER.unpack_from(message)
    if got != number or not flags & _RESPONSE or flags & _OPCODE or questions != 1:
        return None
    try:
        asked, at = _name(message, _HEADER.size)
        of, kind_of = _QUESTION.unpack_from(message, at)
        if (asked, of, kind_of) != (_encoded(name), kind, CLASS_IN):
            return None
        if flags & _RCODE == _NO_SUCH_NAME:
            return Answer((), 0)
        if flags & _RCODE != _NO_ERROR:
            raise DnsError(f"the name server answered with the error {flags & _RCODE}")
        if flags & _TRUNCATED:
            return Answer((), 0, truncated=True)
        return _read(message, at + _QUESTION.size, records, asked, kind)
    except (struct.error, IndexError, ValueError):
        raise DnsError("the name server's answer is broken") from None


def _read(message: bytes, at: int, count: int, asked: bytes, kind: Kind) -> Answer:
    """Return the addresses at the end of the chain of names that begins with the one asked for."""
    if count > MAX_RECORDS:
        raise DnsError("the name server's answer has too many records")
    aliases: dict[bytes, tuple[bytes, int]] = {}
    found: dict[bytes, list[tuple[Address, int]]] = {}
    for _ in range(count):
        owner, at = _name(message, at)
        of, class_of, ttl, length = _RECORD.unpack_from(message, at)
        at += _RECORD.size
        data = message[at : at + length]
        if len(data) < length:
            raise DnsError("the name server's answer is broken")
        if class_of == CLASS_IN and of == CNAME:
            aliases[owner] = (_name(message, at)[0], ttl)
        elif class_of == CLASS_IN and of == kind:
            found.setdefault(owner, []).append((_address(data, kind), ttl))
        at += length
    ttls: list[int] = []
    for _ in range(MAX_CHAIN):
        if asked in found:
            ttls += [ttl for _, ttl in found[asked]]
            return Answer(tuple(dict.fromkeys(address for address, _ in found[asked])), min(ttls))
        if asked not in aliases:
            return Answer((), 0)
        asked, ttl = aliases[asked]
        ttls.append(ttl)
    raise DnsError("the name server's answer is a chain of names without an end")


def _address(data: bytes, kind: Kind) -> Address:
    if kind is Kind.A:
        return ipaddress.IPv4Address(data)
    address = ipaddress.IPv6Address(data)
    return address.ipv4_mapped or address


def _encoded(name: str) -> bytes:
    try:
        labels = name.removesuffix(".").lower().encode("ascii").split(b".")
    except UnicodeError:
        raise DnsError("its name is not a valid host name") from None
    if not all(1 <= len(label) <= 63 for label in labels) or sum(map(len, labels)) + len(labels) > 254:
        raise DnsError("its name is not a valid host name")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _name(message: bytes, at: int) -> tuple[bytes, int]:
    """Return the name at a place, as it is compared, and the place behind it. Raises IndexError or ValueError."""
    labels: list[bytes] = []
    behind: int | None = None
    size = 1
    for _ in range(MAX_JUMPS):
        length = message[at]
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | message[at + 1]
            behind = at + 2 if behind is None else behind
            if target >= at:
                raise ValueError("a pointer that does not lead back")
            at = target
            continue
        if length > 63:
            raise ValueError("a label of a kind that is not used")
        label = message[at + 1 : at + 1 + length]
        size += length + 1
        if len(label) < length or size > 255:
            raise ValueError("a name that is too long")
        labels.append(bytes([length]) + label.lower())
        at += 1 + length
        if not length:
            return b"".join(labels), at if behind is None else behind
    raise ValueError("a name without an end")
