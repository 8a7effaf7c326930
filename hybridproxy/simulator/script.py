"""What goes wrong within a stream, as a pure change of its events: events in, steps out."""

from collections.abc import Iterator
from enum import Enum

from hybridproxy.simulator.behaviour import Fault
from hybridproxy.simulator.errors import ERRORS
from hybridproxy.simulator.rows import ErrorRow, Provider
from hybridproxy.simulator.wire import Act, Event


class Break(Enum):
    """Steps that are no events."""

    CUT = "cut"
    """End the connection in the middle of the body."""
    STALL = "stall"
    """Say nothing more, for ever."""
    RAW = "raw"
    """Bytes outside the chunk framing, then end the connection."""
    PARTIAL = "partial"
    """The first half of an event; what comes next cuts the rest off."""


Step = tuple[Act | Break, bytes]

GARBAGE = b'{"id":"x","choices":[{"index":0,"delta":{"content":"\xff\xfe'
"""The data of an event that is neither JSON nor UTF-8."""
NOT_A_CHUNK = b"zz\r\nthis is not a chunk\r\n"

IN_STREAM = frozenset({"cut", "stall", "garbage", "in_band_error", "no_finish", "truncate_json"})


def with_fault(
    events: Iterator[Event], fault: Fault | None, error: bytes, *, role_first: bool, done: bool
) -> Iterator[Step]:
    """Play a stream's events with a fault.

    Args:
        events: the healthy stream.
        fault: what goes wrong; None or another kind changes nothing.
        error: the data of the event that `in_band_error` sends.
        role_first: a delta that only has the role goes out even where the fault strikes after 0 pieces.
        done: whether `[DONE]` follows an error within the stream, unless the fault says.
    """
    if fault is None or fault.kind not in IN_STREAM or fault.how == "bytes":
        yield from events
        return
    default = None if fault.kind == "no_finish" else 0 if fault.kind in {"stall", "cut"} else 1
    after = fault.after_pieces if fault.after_pieces is not None else default
    pieces = 0
    early: tuple[Act, ...] = (Act.COMMENT, Act.ROLE) if role_first else (Act.COMMENT,)
    for act, data in events:
        reached = after is not None and pieces >= after and act not in early
        if reached or act not in {Act.COMMENT, Act.ROLE, Act.ECHO, Act.PIECE}:
            yield from _strike(fault, error, (act, data), done=done)
            if not (fault.kind == "garbage" and fault.how != "chunk"):
                return
            yield act, data
            yield from events
            return
        pieces += act is Act.PIECE
        yield act, data


def _strike(fault: Fault, error: bytes, upcoming: Event, *, done: bool) -> Iterator[Step]:
    """Yield what the fault puts in place of the event that would come now."""
    if fault.kind == "cut":
        yield Break.CUT, b""
    elif fault.kind == "stall":
        yield Break.STALL, b""
    elif fault.kind == "truncate_json":
        yield Break.PARTIAL, upcoming[1]
        yield Break.CUT, b""
    elif fault.kind == "garbage" and fault.how == "chunk":
        yield Break.RAW, NOT_A_CHUNK
    elif fault.kind == "garbage":
        yield Act.ERROR, GARBAGE
    elif fault.kind == "in_band_error":
        yield Act.ERROR, error
        if done if fault.done is None else fault.done:
            yield Act.DONE, b"[DONE]"
    elif fault.done is not False:
        yield Act.DONE, b"[DONE]"


def error_of(row: Provider, fault: Fault) -> tuple[Provider, ErrorRow]:
    """Return the error that a fault tells, and the provider whose shape it has."""
    if fault.name is not None:
        owner, error = ERRORS[fault.name]
        return (row if row in (owner.second, owner.messages) else owner), error
    base = row.broken
    status = fault.status if fault.status is not None else base.status
    changed = fault.status is not None or fault.message is not None or fault.code is not None or fault.type is not None
    if not changed:
        return row, base
    message = fault.message or f"Simulated error {status}."
    return row, ErrorRow(status, message, fault.type or base.type, fault.code, tuple((fault.headers or {}).items()))
