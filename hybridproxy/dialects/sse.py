r"""Server-sent events, without IO: bytes in, whole events out, as bytes.

The usual stream has one `data:` line an event and `\n` line ends; its events stay the bytes they were. Whatever else
the standard allows (CR, CRLF, a byte order mark, several `data:` lines, other fields, comments inside events) comes out
in the usual form, so that a reader of the output never sees anything else. Only CR and LF end a line, U+2028 does not.
Source: html.spec.whatwg.org, section 9.2.6 "Interpreting an event stream".
"""

import re
from dataclasses import field
from typing import Final

from hybridproxy.model.value import value

MAX_EVENT: Final = 1 << 20
"""Bytes of one event, unless its dialect has longer ones; what is longer is refused."""

_BOM: Final = b"\xef\xbb\xbf"
_COMMENT: Final = b":\n\n"
_WHOLE: Final = re.compile(rb"(?:id:[^\r\n]*\n)?(?:event:[^\r\n]*\n)?(?::HTTP_STATUS/\d{3}\n)?data:[^\r\n]*\n\n")
"""An event as those who give names to them send it, of which nothing has to be changed."""


class EventTooLongError(Exception):
    """An event is longer than `MAX_EVENT`."""


class Splitter:
    r"""Cuts a stream of bytes into events, the same ones wherever the bytes were split on their way.

    `feed` returns whole events; each is `data: …\n\n` or an empty comment, `:\n\n`, without any CR: a comment keeps
    the connection alive, and what an upstream says in one is read by nobody who could clean it. The time it takes
    grows with the bytes alone: what is held is never read twice.
    """

    __slots__ = ("_after_cr", "_begun", "_limit", "_lines", "_part", "_size", "_whole")

    def __init__(self, *, whole: bool = False, limit: int = MAX_EVENT) -> None:
        """Begin a stream.

        Args:
            whole: events keep their names and numbers, and DashScope's comment with the status.
            limit: bytes of one event.

        """
        self._whole = whole
        self._limit = limit
        self._lines: list[bytes] = []
        self._part: list[bytes] = []
        self._size = 0
        self._begun = False
        self._after_cr = False

    @property
    def rest(self) -> bytes:
        """What is left of an unfinished event, comments aside: at the end of a stream it means that text is missing."""
        lines = [*self._lines, b"".join(self._part)]
        return b"\n".join(line for line in lines if not line.startswith(b":")).strip()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the events that are whole with these bytes.

        Raises:
            EventTooLongError: an event exceeds the bound.

        """
        if (
            data.startswith(b"data: ")
            and data.endswith(b"\n\n")
            and data.count(b"\n") == 2
            and self._begun
            and not self._size
            and len(data) <= self._limit
            and b"\r" not in data
        ):
            self._after_cr = False
            return [data]
        if self._whole and self._begun and not self._size and len(data) <= self._limit and _WHOLE.fullmatch(data):
            self._after_cr = False
            return [data]
        if not data:
            return []
        if not self._begun:
            data = b"".join(self._part) + data
            self._part.clear()
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._part.append(data)
                return []
            data = data.removeprefix(_BOM)
            self._begun = True
        if self._after_cr or b"\r" in data:
            data = self._unify(data)
        return self._split(data)

    def _unify(self, data: bytes) -> bytes:
        """Put LF for each line end. A CR at the very end counts at once; an LF that follows it later does not."""
        if self._after_cr:
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _split(self, data: bytes) -> list[bytes]:
        *whole, last = data.split(b"\n")
        if whole and self._part:
            self._size -= sum(map(len, self._part))
            whole[0] = b"".join([*self._part, whole[0]])
            self._part.clear()
        out: list[bytes] = []
        for line in whole:
            if line:
                self._lines.append(line)
                self._grow(len(line) + 1)
            elif self._lines:
                out += _whole_event(self._lines) if self._whole else _event(self._lines)
                self._lines.clear()
                self._size = 0
        if last:
            self._part.append(last)
            self._grow(len(last))
        return out

    def _grow(self, more: int) -> None:
        self._size += more
        if self._size > self._limit:
            raise EventTooLongError


def _event(lines: list[bytes]) -> list[bytes]:
    if len(lines) == 1 and lines[0].startswith(b"data: "):
        return [lines[0] + b"\n\n"]
    return _usual(lines)


def _usual(lines: list[bytes]) -> list[bytes]:
    """Return an event of several lines in the usual form: comments each by themselves, then one event of its data.

    Fields other than `data` have no meaning in OpenAI's dialect and are left out.
    """
    comments = [_COMMENT for line in lines if line.startswith(b":")]
    data = [line[5:].removeprefix(b" ") for line in lines if line == b"data" or line.startswith(b"data:")]
    if not data:
        return comments
    return [*comments, b"data: " + b"\ndata: ".join(data) + b"\n\n"]


def split_events(data: bytes) -> list[bytes]:
    """Return the events of a block that was joined from whole ones."""
    return [event + b"\n\n" for event in data.split(b"\n\n")[:-1]]


_STATUS: Final = re.compile(rb":HTTP_STATUS/(\d{3})")
_KEPT: Final = (b"data:", b"event:", b"id:")


def _whole_event(lines: list[bytes]) -> list[bytes]:
    """Return an event with its data, its name, its number and DashScope's status, each line as it came."""
    kept = [line for line in lines if line.startswith(_KEPT) or _STATUS.fullmatch(line)]
    if any(line.startswith(b"data:") for line in kept):
        return [b"\n".join(kept) + b"\n\n"]
    return [_COMMENT for line in lines if line.startswith(b":")]


_USUAL: Final = re.compile(rb"(?:id:[^\n]*\n)?(?:event:([^\n]*)\n)?(?::HTTP_STATUS/(\d{3})\n)?data: ?([^\n]*)\n\n")


@value
class Fields:
    """The fields of an event that `Splitter.feed` gave whole; `status` is DashScope's, 0 where there is none."""

    name: bytes
    data: bytes = field(repr=False)
    status: int = 0


def fields_of(event: bytes) -> Fields | None:
    """Return the fields of an event, None for a comment."""
    usual = _USUAL.fullmatch(event)
    if usual is not None:
        named, told, said = usual.groups()
        return Fields(named.strip() if named else b"", said, int(told) if told else 0)
    name, status = b"", 0
    data: list[bytes] = []
    for line in event.split(b"\n"):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif line.startswith(b"event:"):
            name = line[6:].strip()
        elif found := _STATUS.fullmatch(line):
            status = int(found[1])
    return Fields(name, b"\n".join(data), status) if data else None


def data_of(event: bytes) -> bytes | None:
    """Return the data of an event that `Splitter.feed` gave, None for one that has none (a comment, another field)."""
    if event.startswith(b"data: "):
        data = event[6:-2]
    elif event.startswith(b"data:"):
        data = event[5:-2]
    else:
        return None
    return data if b"\n" not in data else data.replace(b"\ndata: ", b"\n")
