"""From events to the bytes of a stream, and from these to the chunks in which they leave."""

from collections.abc import Iterator
from itertools import cycle
from typing import Final

from hybridproxy.simulator.behaviour import Chunking

BOM: Final = b"\xef\xbb\xbf"
EVENTS_MERGED: Final = 4
_ODD_SIZES: Final = (1, 7, 3, 19, 2, 31, 5)


def data_event(data: bytes, line_ending: str) -> bytes:
    """Frame the data of one event; one that has a name or a number has its lines already."""
    end = line_ending.encode()
    if data.startswith((b"id:", b"event:")):
        return data.replace(b"\n", end) + end + end
    return b"data: " + data + end + end


def named_event(name: bytes, data: bytes, line_ending: str) -> bytes:
    """Frame the data of one event that has a name."""
    return b"event: " + name + line_ending.encode() + data_event(data, line_ending)


def comment_event(comment: bytes, line_ending: str) -> bytes:
    """Frame a comment line as a block of its own."""
    end = line_ending.encode()
    return comment + end + end


class Cutter:
    """Cuts a stream's bytes into chunks, as the setting `chunking` wants it.

    "split" holds the end of each event back, so that events also end in the middle of a chunk.
    """

    def __init__(self, chunking: Chunking) -> None:
        """Begin with nothing held back."""
        self._chunking = chunking
        self._held = b""
        self._events = 0
        self._sizes = cycle(_ODD_SIZES)

    def feed(self, event: bytes) -> Iterator[bytes]:
        """Take one event and yield what leaves now."""
        if self._chunking == "event":
            yield event
        elif self._chunking == "bytes":
            for place in range(len(event)):
                yield event[place : place + 1]
        elif self._chunking == "merged":
            self._held += event
            self._events += 1
            if self._events == EVENTS_MERGED:
                yield from self.flush()
        else:
            data = self._held + event
            size = next(self._sizes)
            while len(data) > size:
                yield data[:size]
                data = data[size:]
                size = next(self._sizes)
            self._held = data

    def flush(self) -> Iterator[bytes]:
        """Yield what was held back."""
        if self._held:
            yield self._held
        self._held, self._events = b"", 0
