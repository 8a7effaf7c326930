from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.transport.response import MAX_FIELD, MAX_FIELDS, MAX_HEAD, ResponseReader
from tests.support.raw_server import CHUNKED, answer, chunk

SOUND = {
    "with a length": answer(b"hello", b"X-Empty:"),
    "in chunks": CHUNKED + chunk(b"hel") + b"2;name=value\r\nlo\r\n" + chunk(b""),
    "with trailers": CHUNKED + chunk(b"hello") + b"0\r\nx-checksum: 1\r\ncontent-encoding: gzip\r\n\r\n",
    "after others": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\ncontent-length: 9\r\n\r\n" + answer(b"hello"),
    "for HTTP/1.0": b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\nhello",
    "not to be kept": answer(b"hello", b"connection: close"),
    "said to be identity": answer(b"hello", b"content-encoding: Identity"),
}  # fmt: skip
UNSOUND = {
    "no HTTP": b"SSH-2.0-x\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "a status below 100": b"HTTP/1.1 000 Zero\r\n\r\n",
    "a status above 599": b"HTTP/1.1 700 Odd\r\n\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
    "length and chunks": b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\nx",
    "another transfer coding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
    "an unknown transfer coding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n",
    "chunks twice": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
    "a compressed body": answer(b"x", b"Content-Encoding: br"),
    "bare line ends": b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
    "a folded field": b"HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
    "a bad chunk size": CHUNKED + b"-1\r\n",
    "a chunk longer than it says": CHUNKED + b"2\r\nabc\r\n",
    "a huge length": b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
    "too many fields": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * (MAX_FIELDS + 2),
    "too large a field": b"HTTP/1.1 200 OK\r\na: " + b"b" * MAX_FIELD + b"\r\nc: d\r\n",
    "too large a head": b"HTTP/1.1 200 OK\r\n" + (b"a: " + b"b" * 1000 + b"\r\n") * 40,
    "too many trailers": CHUNKED + b"0\r\n" + b"a: b\r\n" * (MAX_FIELDS + 2),
}


def read(reader: ResponseReader, *blocks: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes, str | None]:
    """Feed blocks until something is wrong; return status, headers, body and what is wrong."""
    body = b""
    for block in blocks:
        problem = reader.feed(block)
        body += b"".join(reader.pieces)
        reader.pieces.clear()
        reader.head_due = False
        if problem is not None:
            return reader.status, reader.headers, body, problem
    return reader.status, reader.headers, body, None


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Return the data in blocks that end at these places."""
    edges = [0, *sorted({place % len(data) for place in places} - {0}), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_answer_is_read(name: str) -> None:
    """Status, body and end come out of every way to write an answer."""
    reader = ResponseReader()
    status, headers, body, problem = read(reader, SOUND[name])
    assert (status, body, problem, reader.complete) == (200, b"hello", None, True)
    assert all(field == field.lower() for field, _ in headers)
    assert b"x-checksum" not in dict(headers)
    assert reader.keep_alive == (name != "not to be kept")
    assert not reader.until_close


@pytest.mark.parametrize("name", SOUND)
def test_where_blocks_end_does_not_matter(name: str) -> None:
    """Split in two at every position, or into single bytes, an answer reads the same."""
    data = SOUND[name]
    whole = read(ResponseReader(), data)
    for place in range(1, len(data)):
        reader = ResponseReader()
        assert read(reader, data[:place], data[place:]) == whole
        assert reader.complete
    assert read(ResponseReader(), *[bytes([byte]) for byte in data]) == whole


@pytest.mark.parametrize("name", UNSOUND)
def test_an_unsound_answer_is_refused(name: str) -> None:
    """Whole or byte by byte, it is refused with words, and never complete."""
    data = UNSOUND[name]
    for blocks in ([data], [bytes([byte]) for byte in data]):
        reader = ResponseReader()
        problem = read(reader, *blocks)[3]
        assert problem
        assert not reader.complete


@given(st.sampled_from(sorted(SOUND)), st.lists(st.integers(min_value=0)), st.booleans())
def test_a_reader_reads_one_answer_after_the_other(name: str, places: list[int], chunked: bool) -> None:
    """After `reset` the next answer on the connection is read as if it were the first, however both are split."""
    reader = ResponseReader()
    if name == "not to be kept":
        return
    read(reader, *cut(SOUND[name], places))
    reader.reset()
    second = CHUNKED + chunk(b"second") + chunk(b"") if chunked else answer(b"second")
    status, _, body, problem = read(reader, *cut(second, places))
    assert (status, body, problem, reader.complete, reader.keep_alive) == (200, b"second", None, True, True)


@given(st.binary(max_size=300), st.lists(st.integers(min_value=0)))
def test_no_bytes_crash_the_reader(data: bytes, places: list[int]) -> None:
    """Whatever comes, in or after a head, the reader refuses it or goes on."""
    for start in (b"", b"HTTP/1.1 200 OK\r\n", CHUNKED):
        problem = read(ResponseReader(), *cut(start + data + b"\n", places))[3]
        assert problem is None or problem


@pytest.mark.parametrize("more", [b"x", b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad", b"\0"])
@pytest.mark.parametrize("name", SOUND)
def test_bytes_after_the_end_do_not_get_into_the_body(name: str, more: bytes) -> None:
    """The answer stays complete as it was, and the surplus is named as what it is."""
    reader = ResponseReader()
    _, _, body, problem = read(reader, SOUND[name] + more)
    assert problem
    assert (body, reader.complete) == (b"hello", True)


@pytest.mark.parametrize(
    ("start", "endless"),
    [
        (b"HTTP/1.1 200 OK\r\na: ", b"b"),
        (b"HTTP/1.1 200 ", b"O"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"\r\n"),
        (CHUNKED + b"0\r\na: ", b"b"),
        (CHUNKED + b"5;ext=", b"x"),
    ],
)
def test_nothing_grows_without_end(start: bytes, endless: bytes) -> None:
    """What never ends is refused soon after the bound, although the parser alone would collect it for ever."""
    reader = ResponseReader()
    fed = 0
    reader.feed(start)
    while reader.feed(endless * 50) is None:
        reader.head_due = False
        fed += len(endless) * 50
        assert fed <= MAX_HEAD + 100
    assert fed > MAX_HEAD / 2


def test_a_long_stream_of_short_chunks_is_no_offence() -> None:
    """The bound is for what stands between parts of a body, not for all chunk lines of a long answer together."""
    reader = ResponseReader()
    reader.feed(CHUNKED)
    reader.head_due = False
    for _ in range(20_000):
        assert reader.feed(b"1\r\n") is None
        assert reader.feed(b"x") is None
        reader.pieces.clear()
        assert reader.feed(b"\r\n") is None


def test_a_body_without_length_goes_on_until_the_connection_ends() -> None:
    """The reader says so, and is never complete by itself."""
    reader = ResponseReader()
    assert read(reader, b"HTTP/1.1 200 OK\r\n\r\n", b"a", b"b") == (200, [], b"ab", None)
    assert reader.until_close
    assert not reader.complete


def test_how_far_an_answer_is() -> None:
    """The place is put into words for the fault of a connection that breaks off there."""
    reader = ResponseReader()
    places = [reader.place]
    for block in (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2", b"00 OK\r\n\r\n"):
        reader.feed(block)
        places.append(reader.place)
    assert places == ["before the answer began", "inside the head", "inside the body"]


def test_a_bug_of_ours_is_not_taken_for_the_upstreams() -> None:
    """An exception in a callback that is no refusal comes out as itself."""

    class Broken(ResponseReader):
        def on_headers_complete(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Broken().feed(answer())
