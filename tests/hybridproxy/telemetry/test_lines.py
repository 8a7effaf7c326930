"""Lines to a file descriptor that never make a call wait."""

import asyncio
import contextlib
import os
from collections.abc import Iterator

import pytest

from hybridproxy.telemetry import lines
from hybridproxy.telemetry.lines import LineWriter
from tests.support.patience import LONG


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose reader may be slow."""
    read, write = os.pipe()
    yield read, write
    for fd in (read, write):
        with contextlib.suppress(OSError):
            os.close(fd)


def ended(writer: LineWriter) -> None:
    """Wait for the end of a writer's thread, before another file may have the pipe's number."""
    assert writer._thread is not None
    writer._thread.join(LONG)
    assert not writer._thread.is_alive()


async def test_lines_come_out_in_order(pipe: tuple[int, int]) -> None:
    """What was written before closing is there, in order, one line each."""
    writer = LineWriter(pipe[1])
    for i in range(100):
        writer.write(b"%d" % i)
    await writer.close(LONG)
    os.close(pipe[1])
    assert os.read(pipe[0], 1 << 16) == b"".join(b"%d\n" % i for i in range(100))


async def test_lines_go_out_by_themselves(pipe: tuple[int, int]) -> None:
    """Nobody has to close the writer to see its lines, also those that come while it writes."""
    writer = LineWriter(pipe[1])
    writer.write(b"one")
    assert await asyncio.to_thread(os.read, pipe[0], 100) == b"one\n"
    writer.write(b"two")
    assert await asyncio.to_thread(os.read, pipe[0], 100) == b"two\n"
    await writer.close(LONG)


async def test_a_reader_that_stops_loses_lines_and_is_told(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nobody reading, memory stays bounded, lines are counted as dropped, and closing does not hang."""
    monkeypatch.setattr(lines, "MAX_BUFFERED", 10)
    writer = LineWriter(pipe[1])
    for i in range(15):
        writer.write(b"%d" % i)
    assert writer.dropped == 5
    await writer.close(LONG)
    os.close(pipe[1])
    assert os.read(pipe[0], 1 << 16).startswith(b'{"event":"log.dropped","lines":5}\n0\n')


async def test_closing_gives_up_on_a_full_pipe(pipe: tuple[int, int]) -> None:
    """Whoever reads the log has stopped: the process still ends."""
    writer = LineWriter(pipe[1])
    writer.write(b"x" * (1 << 20))
    await writer.close(seconds=0.2)
    os.close(pipe[0])  # lets the writing thread go
    ended(writer)


async def test_a_closed_pipe_is_nobodys_fault(pipe: tuple[int, int]) -> None:
    """A reader that went away raises nothing into the server."""
    os.close(pipe[0])
    writer = LineWriter(pipe[1])
    writer.write(b"lost")
    await writer.close(LONG)
    ended(writer)
