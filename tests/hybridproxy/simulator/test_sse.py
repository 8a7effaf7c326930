"""From events to chunks."""

from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.simulator.behaviour import Chunking
from hybridproxy.simulator.sse import Cutter, comment_event, data_event

EVENTS = st.lists(st.binary(min_size=1, max_size=80), max_size=12)


def cut(chunking: Chunking, events: list[bytes]) -> list[bytes]:
    """Cut a whole stream."""
    cutter = Cutter(chunking)
    return [part for event in events for part in cutter.feed(event)] + list(cutter.flush())


@given(EVENTS, st.sampled_from(["event", "bytes", "merged", "split"]))
def test_cutting_changes_no_byte(events: list[bytes], chunking: Chunking) -> None:
    """However a stream is cut, its bytes stay, and no chunk is empty, which would end the body."""
    parts = cut(chunking, events)
    assert b"".join(parts) == b"".join(events)
    assert all(parts)


@given(EVENTS)
def test_the_sizes_of_chunks(events: list[bytes]) -> None:
    """One chunk an event, one a byte, or one for four events."""
    assert cut("event", events) == events
    assert {len(part) for part in cut("bytes", events)} <= {1}
    assert len(cut("merged", events)) == -(-len(events) // 4)


def test_split_cuts_within_and_across_events() -> None:
    """Split chunks neither begin nor end with the events."""
    parts = cut("split", [b"data: {}\n\n"] * 5)
    assert not any(part.startswith(b"data: ") and part.endswith(b"\n\n") for part in parts)
    assert any(b"\n\ndata" in part for part in parts)


def test_line_endings() -> None:
    """Events and comments end with the line ending that is set."""
    assert data_event(b"x", "\r\n") == b"data: x\r\n\r\n"
    assert comment_event(b": x", "\r") == b": x\r\r"
