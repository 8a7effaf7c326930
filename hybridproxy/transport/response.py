"""An upstream's answer, bytes in, parts out: httptools (llhttp) with the bounds and refusals it does not have."""

from typing import Final

import httptools

Headers = list[tuple[bytes, bytes]]
"""Header fields in their order; names are lower-case."""

MAX_FIELDS: Final = 128
MAX_FIELD: Final = 16 * 1024
MAX_HEAD: Final = 32 * 1024
"""Bytes of all heads of one answer together, and of what stands between two parts of a body."""

_FRAMING: Final = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


class RefusedError(Exception):
    """The answer is not one that we accept. Raised inside the parser's callbacks only."""


class ResponseReader:
    """Reads the answers of one connection, one after the other; `reset` stands before each but the first.

    Attributes:
        began: a byte of the answer has come.
        head_due: the final head came with the last block; whoever takes it clears this.
        status: the final head's.
        headers: the final head's.
        pieces: what the last block held of the body; whoever takes it clears it.
        complete: the answer is there to its end.
        keep_alive: after `complete`: the connection may carry another request.

    """

    __slots__ = (
        "_chunked",
        "_fields",
        "_framed",
        "_in_body",
        "_parser",
        "_size",
        "_unparsed",
        "began",
        "complete",
        "head_due",
        "headers",
        "keep_alive",
        "on_body",
        "pieces",
        "status",
    )

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.on_body = self.pieces.append  # straight from the parser into the list, without a Python frame
        self.reset()
        self._parser = httptools.HttpResponseParser(self)

    def reset(self) -> None:
        """Expect a new answer. The parser itself is at its start again after a complete one."""
        self.began = self.head_due = self.complete = self.keep_alive = False
        self.status = 0
        self.headers: Headers = []
        self._in_body = self._framed = self._chunked = False
        self._fields = self._size = self._unparsed = 0

    @property
    def until_close(self) -> bool:
        """Whether the body has neither length nor chunks, so that only the end of the connection ends it."""
        return self._in_body and not self._framed and not self.complete

    @property
    def place(self) -> str:
        """How far the answer is, in words."""
        if not self.began:
            return "before the answer began"
        return "inside the body" if self._in_body else "inside the head"

    def feed(self, data: bytes) -> str | None:
        """Read a block; return what is wrong with the answer, None when nothing is.

        What stood before the mistake counts: it is in `head_due`, `pieces` and `complete` as ever. Bytes after the end
        are a mistake too. Feed nothing more after one.
        """
        self.began = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            if isinstance(cause, RefusedError):
                return str(cause)
            raise cause or error from None  # a bug of ours, not the upstream's doing
        except httptools.HttpParserError as error:
            return f"not HTTP as it should be: {error}"
        # A field that is not complete yet is not seen by on_header but grows inside the parser, as trailers and the
        # extensions of a chunk's size line do. Blocks in which nothing came out are counted for that.
        if self.pieces or self.complete or self.head_due:
            self._unparsed = 0
        else:
            self._unparsed += len(data)
            if self._unparsed > MAX_HEAD:
                return "its head or what stands between the parts of its body is too large"
        return None

    # ---- called by the parser ----

    def on_message_begin(self) -> None:
        """Refuse a second answer: whose it is cannot be known."""
        if self.complete:
            raise RefusedError("bytes came after the end of the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of a head or of the trailers; the latter only count."""
        size = len(name) + len(value)
        self._fields += 1
        self._size += size
        if self._fields > MAX_FIELDS:
            raise RefusedError(f"it has more than {MAX_FIELDS} header fields")
        if size > MAX_FIELD or self._size > MAX_HEAD:
            raise RefusedError("its header fields are too large")
        if self._in_body:
            return
        name = name.lower()
        if name in _FRAMING:
            self._frame(name, value)
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Take the end of a head; a provisional one is dropped."""
        status = self._parser.get_status_code()
        if status < 200:
            if status < 100 or status == 101:
                raise RefusedError(f"it answered with the status {status}, which was not asked for")
            self.headers = []
            self._framed = self._chunked = False
            return
        if status > 599 or self._parser.get_http_version() not in ("1.1", "1.0"):
            raise RefusedError("its status line is not one of HTTP/1.1")
        self.status = status
        self._in_body = self.head_due = True

    def on_message_complete(self) -> None:
        """Take the end of an answer; only here does the parser know whether the connection stays."""
        if self._in_body:
            self.complete = True
            self.keep_alive = self._parser.should_keep_alive()

    def _frame(self, name: bytes, value: bytes) -> None:
        value = value.strip().lower()
        if name == b"content-encoding":
            if value not in (b"", b"identity"):
                raise RefusedError("the body is compressed though that was not asked for")
            return
        if name == b"transfer-encoding":  # llhttp lets other codings pass and leaves the body as it is
            if self._chunked or value != b"chunked":
                raise RefusedError("the transfer coding is not chunked alone")
            self._chunked = True
        self._framed = True
