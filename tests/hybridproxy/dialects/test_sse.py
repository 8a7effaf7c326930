"""Tests of cutting a stream into events."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.sse import MAX_EVENT, EventTooLongError, Fields, Splitter, data_of, fields_of, split_events

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


# ---- events whose other lines tell more than their data --------------------------------------------------------------

NATIVE = b'id:1\nevent:result\n:HTTP_STATUS/200\ndata:{"output":{}}\n\n'


def test_a_whole_event_keeps_its_name_number_and_status() -> None:
    """As DashScope writes them; whatever else stands there does not pass."""
    splitter = Splitter(whole=True)
    assert splitter.feed(NATIVE[:20]) == []
    assert splitter.feed(NATIVE[20:] + b"retry: 5\n: hidden\ndata: a\nevent: x\n\n: words\n\nretry: 5\n\n") == [
        NATIVE,
        b"data: a\nevent: x\n\n",
        b":\n\n",
    ]


def test_a_whole_event_is_read_field_by_field() -> None:
    """Name, data and DashScope's status; a comment has none of them."""
    assert fields_of(NATIVE) == Fields(b"result", b'{"output":{}}', 200)
    assert fields_of(b"data: a\ndata:b\n\n") == Fields(b"", b"a\nb", 0)
    assert fields_of(b":\n\n") is None


NAMED = [
    *(b"event: e\n", b"event:e", b"id:1\n", b":HTTP_STATUS/200\n", b":HTTP_STATUS/2000\n", b"data: x\n\n", b"data:x\n"),
    *(b"data:\n\n", b"event: e\ndata: x\n\n", b"\r\n", b"\n", b": c\n", b"x"),
]


@given(st.lists(st.sampled_from(NAMED), max_size=12))
def test_events_with_names_are_the_same_by_both_ways(pieces: list[bytes]) -> None:
    """The short way for events as they usually come, a block each, and the long way."""
    data = b"data: a\n\n" + b"".join(pieces)
    blocks, bits = Splitter(whole=True), Splitter(whole=True)
    quick = [event for piece in (b"data: a\n\n", *pieces) for event in blocks.feed(piece)]
    slow = [event for start in range(len(data)) for event in bits.feed(data[start : start + 1])]
    assert (quick, blocks.rest) == (slow, bits.rest)
    for event in quick:
        lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
        fields = fields_of(event)
        assert fields is None if event == b":\n\n" else fields is not None and fields.data == b"\n".join(lines)


def test_a_block_of_events_falls_apart_into_them() -> None:
    """Events that were joined for one write."""
    assert split_events(b"data: a\n\n:\n\n" + NATIVE) == [b"data: a\n\n", b":\n\n", NATIVE]
    assert split_events(b"") == []


@given(st.lists(st.integers(1, 40)))
def test_a_whole_event_is_the_same_wherever_it_was_cut(lengths: list[int]) -> None:
    """Any split of the bytes gives the same events."""
    data, splitter = NATIVE * 3, Splitter(whole=True)
    events: list[bytes] = []
    for length in lengths:
        events += splitter.feed(data[:length])
        data = data[length:]
    assert [*events, *splitter.feed(data)] == [NATIVE] * 3
