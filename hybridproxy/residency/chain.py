"""The audit log's form: records in lines, each bound to all before it by a hash; some lines are signed.

A line is `HASH SIGNATURE RECORD`: the hash in hex, the signature in hex or `-`, the record as JSON with sorted keys and
no spaces. HASH is SHA-256 over the 32 bytes of the hash before and the bytes of RECORD as they stand in the line, so
nobody needs our JSON to check it. The first record of a chain follows `FIRST`. A signed line is a `head`: its signature
is made over `DOMAIN` and the hash, and vouches for the whole chain up to itself.

A chain is written to segments, files that each start with a `begin`: so each can be checked alone, and what follows
what can be checked over all of them. `after` in a chain's first record names a record of the chain before it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import field
from typing import Any, Final

import orjson

from hybridproxy.model.value import value

VERSION: Final = 1
FIRST: Final = bytes(32)
"""What the hash of a chain's first record follows."""

DOMAIN: Final = b"hybridproxy audit head\n"
"""Stands before the hash in what is signed, so that the signature cannot be taken for one of anything else."""

UNSIGNED: Final = b"-"
MAX_LINE: Final = 64 * 1024
"""Bytes of a line; ours have a few hundred. A longer one was not written by us."""

SUFFIX: Final = ".audit"

BEGIN, POLICY, HEAD, LOST, END = "begin", "policy", "head", "lost", "end"
INTENT, OUTCOME, UNREACHED = "intent", "outcome", "unreached"
KINDS: Final = frozenset({BEGIN, POLICY, HEAD, LOST, END, INTENT, OUTCOME, UNREACHED})

Sign = Callable[[bytes], bytes]
Check = Callable[[bytes, bytes, bytes], bool]
"""Whether, for a public key, a signature is that of a message."""

Record = dict[str, Any]


@value
class State:
    """Where a chain stands: the number of its next record, and the hash of its last one."""

    seq: int = 0
    hash: bytes = FIRST


@value
class Line:
    """One line, taken apart; `record` is None where it is no record."""

    hash: bytes
    signature: bytes
    body: bytes = field(repr=False)
    record: Record | None = field(repr=False)


def append(state: State, record: Record, sign: Sign | None = None) -> tuple[State, bytes]:
    """Return where the chain stands after one more record, and its line; the record gets its number here.

    Args:
        state: where it stands.
        record: what is recorded, with `kind` and `at`.
        sign: signs a head; for other records None.

    """
    record["seq"] = state.seq
    body = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    digest = linked(state.hash, body)
    signature = UNSIGNED if sign is None else sign(DOMAIN + digest).hex().encode()
    return State(state.seq + 1, digest), b"%s %s %s\n" % (digest.hex().encode(), signature, body)


def linked(before: bytes, body: bytes) -> bytes:
    """Return the hash of a record that follows another."""
    return hashlib.sha256(before + body).digest()


def taken_apart(raw: bytes) -> Line | None:
    """Return the parts of a line that has lost its line end, None where it is none of ours."""
    parts = raw.split(b" ", 2)
    if len(raw) > MAX_LINE or len(parts) != 3:
        return None
    digest, signature = hexed(parts[0], 32), b"" if parts[1] == UNSIGNED else hexed(parts[1], 64)
    if digest is None or signature is None:
        return None
    try:
        record = orjson.loads(parts[2])
    except orjson.JSONDecodeError:
        record = None
    known = isinstance(record, dict) and record.get("kind") in KINDS and type(record.get("seq")) is int
    return Line(digest, signature, parts[2], record if known else None)


def hexed(text: bytes, length: int) -> bytes | None:
    """Return so many bytes from hex as we write it, None where it is anything else: no second spelling is the same."""
    try:
        found = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        return None
    return found if len(found) == length and found.hex().encode() == text else None


def signed_by(key: bytes, line: Line, check: Check) -> bool:
    """Return whether a head bears the signature of a key."""
    return check(key, line.signature, DOMAIN + line.hash)


def segment_name(boot: str, began: int, segment: int) -> str:
    """Return the name of a segment's file; names sort as they were begun. `began`: the chain's first, in ms."""
    return f"{began:015d}-{boot}-{segment:06d}{SUFFIX}"


def named(name: str) -> tuple[str, int]:
    """Return the chain and the segment that a file's name tells."""
    parts = name.rpartition("/")[2].removesuffix(SUFFIX).split("-")
    numbered = len(parts) == 3 and parts[2].isdecimal()
    return (parts[1], int(parts[2])) if numbered else (name, 0)


def last_of(tail: bytes) -> tuple[Line | None, bool]:
    """Return the last whole line of a segment's end, None where there is none, and whether a torn line follows it."""
    *whole, rest = tail.split(b"\n")
    line = taken_apart(whole[-1]) if whole else None
    return (line if line is not None and line.record is not None else None), rest != b""
