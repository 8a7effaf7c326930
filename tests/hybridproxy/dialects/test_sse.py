"""Tests of cutting a stream into events."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.sse import MAX_EVENT, EventTooLongError, Splitter, data_of

# Bytes that mean something to the format come often, so that they meet.
PIECES = [
    *(b"data: x", b"data:", b"data", b"data: ", b": c", b"id: 1", b"event: e", b"[DONE]", b"d", b" "),
    *(b"\n", b"\n\n", b"\r", b"\r\n", b"\xef\xbb\xbf", b"\xef", b"\xbb", "\u2028".encode(), b"\x00"),
]
BYTES = st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=30).map(b"".join)


def fed(*blocks: bytes) -> tuple[list[bytes], bytes]:
    """The events of a stream received in these blocks, and what is left."""
    splitter = Splitter()
    events = [event for block in blocks for event in splitter.feed(block)]
    return events, splitter.rest


@given(BYTES, st.lists(st.integers(0, 60), max_size=8))
def test_any_split_of_the_bytes_gives_the_same_events(data: bytes, cuts: list[int]) -> None:
    """The network may cut a stream anywhere, even inside a character or a line end."""
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert fed(*(data[a:b] for a, b in pairwise(places))) == fed(data)


@given(BYTES)
def test_one_byte_at_a_time_gives_the_same_events(data: bytes) -> None:
    """The worst split of all is no exception."""
    assert fed(*(data[i : i + 1] for i in range(len(data)))) == fed(data)


@given(BYTES)
def test_every_event_is_in_the_usual_form(data: bytes) -> None:
    """A reader of the output meets data lines or one comment, ended by one blank line, and never a CR."""
    for event in fed(data)[0]:
        assert event.endswith(b"\n\n")
        assert b"\r" not in event
        lines = event[:-2].split(b"\n")
        assert all(line.startswith(b"data: ") for line in lines) or (len(lines) == 1 and lines[0].startswith(b":"))


def by_the_standard(data: bytes) -> list[bytes]:
    """The data of each event, by the letter of section 9.2.6, without any care for speed."""
    text = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    found: list[bytes] = []
    buffer: list[bytes] = []
    for line in text.split(b"\n")[:-1]:
        name, _, value = line.partition(b":")
        if not line and buffer:
            found.append(b"\n".join(buffer))
            buffer = []
        elif name == b"data":
            buffer.append(value.removeprefix(b" "))
    return found


@given(BYTES)
def test_the_data_is_what_the_standard_says(data: bytes) -> None:
    """An independent, slow reading of the standard finds the same data in the same order."""
    assert [d for d in map(data_of, fed(data)[0]) if d is not None] == by_the_standard(data)


def test_an_event_of_the_usual_form_is_passed_on_as_it_came() -> None:
    """The usual block, one whole event, is not even copied."""
    splitter = Splitter()
    splitter.feed(b": hello\n\n")
    block = b'data: {"a":1}\n\n'
    assert splitter.feed(block)[0] is block


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_each_kind_of_line_end_ends_an_event_at_once(end: bytes) -> None:
    """A stream that ends its lines with a lone CR does not lag one event behind."""
    splitter = Splitter()
    assert splitter.feed(b"data: a" + end + end) == [b"data: a\n\n"]
    assert splitter.feed(b"data: b" + end + end) == [b"data: b\n\n"]


def test_the_second_half_of_a_cut_crlf_is_no_blank_line() -> None:
    """CR at the end of a block and LF at the start of the next are one line end."""
    whole = ([b"data: a\ndata: b\n\n"], b"")
    assert fed(b"data: a\r", b"\ndata: b\r\n\r\n") == whole
    assert fed(b"data: a\r", b"", b"\ndata: b\r\n\r\n") == whole


def test_a_block_that_looks_like_one_usual_event_may_be_something_else() -> None:
    """It may be the second half of an event, or hold a lone CR."""
    assert fed(b"data: a\n", b"data: b\n\n") == ([b"data: a\ndata: b\n\n"], b"")
    assert fed(b"\n", b"data: a\rdata: b\n\n") == ([b"data: a\ndata: b\n\n"], b"")


def test_a_unicode_line_separator_is_text() -> None:
    """A model may write U+2028 or U+0085; no event begins there."""
    event = "data: a\u2028data: b\u0085\n\n".encode()
    assert fed(event) == ([event], b"")


def test_a_byte_order_mark_is_dropped_at_the_start_only() -> None:
    """It may come in pieces; later the same bytes are text."""
    assert fed(b"\xef", b"\xbb", b"\xbfdata: a\n\n") == ([b"data: a\n\n"], b"")
    assert fed(b"data: \xef\xbb\xbf\n\n") == ([b"data: \xef\xbb\xbf\n\n"], b"")


def test_comments_and_other_fields_do_not_disturb_the_data() -> None:
    """A comment in an event comes out before it, without its words; `id`, `event` and `retry` mean nothing here."""
    event = b"id: 1\nevent: result\n: HTTP_STATUS/200\ndata:{}\n\n"
    assert fed(event) == ([b":\n\n", b"data: {}\n\n"], b"")
    assert fed(b": OPENROUTER PROCESSING\n\n") == ([b":\n\n"], b"")
    assert fed(b"event: ping\n\n") == ([], b"")


def test_what_is_left_at_the_end_tells_a_cut_from_a_clean_end() -> None:
    """A part of an event means that text is missing; a part of a comment does not."""
    assert fed(b'data: {"a"')[1] == b'data: {"a"'
    assert fed(b"data: [DONE]\n")[1] == b"data: [DONE]"
    assert fed(b"data: a\n\n: keep-al")[1] == b""


@pytest.mark.parametrize("blocks", [1, 2, 64])
def test_an_event_without_end_is_refused(blocks: int) -> None:
    """An upstream cannot fill the memory with one event, however it is cut."""
    size = (MAX_EVENT + 64) // blocks + 1
    with pytest.raises(EventTooLongError):
        fed(b"data: ", *[b"x" * size] * blocks)


def test_many_short_lines_without_an_end_are_refused_too() -> None:
    """The bound is on the event, not on its lines."""
    with pytest.raises(EventTooLongError):
        fed(b"data: x\n" * (MAX_EVENT // 8 + 1))


def test_the_longest_event_that_is_allowed_passes() -> None:
    """The bound refuses nothing below it, whether the event comes whole or in two."""
    event = b"data: " + b"x" * (MAX_EVENT - 8) + b"\n\n"
    assert fed(b"\n", event) == ([event], b"")
    assert fed(event[:1000], event[1000:]) == ([event], b"")


def test_a_long_event_in_tiny_pieces_takes_time_in_proportion() -> None:
    """A hostile upstream that sends a megabyte in lines of four bytes costs what any other megabyte does."""

    def seconds(pieces: int) -> float:
        splitter = Splitter()
        begun = time.thread_time()
        for _ in range(pieces):
            splitter.feed(b"id\n")
            splitter.feed(b"d")
            splitter.feed(b"\n")
        return time.thread_time() - begun

    # sixteen times the bytes: 16 times as long, and 256 times if what is held were read again with each piece
    assert min(seconds(32_000) for _ in range(3)) < 16 * 5 * min(seconds(2_000) for _ in range(5))


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: a\n\n", b"a"),
        (b"data:a\n\n", b"a"),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"data: \n\n", b""),
        (b": comment\n\n", None),
    ],
)
def test_the_data_of_an_event_is_read_back(event: bytes, data: bytes | None) -> None:
    """Several data lines are one text with line ends; a comment has none."""
    assert data_of(event) == data
