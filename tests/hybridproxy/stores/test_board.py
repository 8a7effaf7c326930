"""What is in flight, in a file that outlives its process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hybridproxy.stores.board import NONE, SLOT, SLOTS, Board, left_on


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    """An empty one."""
    made = Board(tmp_path / "board")
    made.clear()
    yield made
    made.close()


def test_a_line_is_in_the_file_as_soon_as_it_is_put(board: Board, tmp_path: Path) -> None:
    """Without a write; and it is gone once its slot is free."""
    first, second = board.put(b"first\n"), board.put(b"second\n")
    assert sorted(left_on(tmp_path / "board")) == [b"first", b"second"]
    board.free(first)
    board.free(NONE)
    assert left_on(tmp_path / "board") == [b"second"]
    assert board.put(b"x\n") == first
    board.free(second)
    assert left_on(tmp_path / "board") == [b"x"]


def test_the_next_process_finds_what_the_one_before_left(board: Board, tmp_path: Path) -> None:
    """And empties it when it has taken it over."""
    board.put(b"left\n")
    following = Board(tmp_path / "board")
    assert left_on(tmp_path / "board") == [b"left"]
    following.clear()
    assert left_on(tmp_path / "board") == []
    following.close()


def test_what_does_not_fit_is_not_put(board: Board) -> None:
    """A line that is too long, and one too many: nobody fails for it."""
    assert board.put(b"x" * (SLOT + 1)) == NONE
    assert board.put(b"x" * (SLOT - 1) + b"\n") != NONE
    for _ in range(SLOTS - 1):
        assert board.put(b"y\n") != NONE
    assert board.put(b"z\n") == NONE
    assert board.used == SLOTS


def test_half_a_line_is_none(tmp_path: Path) -> None:
    """The first byte is written last; and a line without an end is one that was never whole."""
    path = tmp_path / "board"
    assert left_on(path) == []
    path.write_bytes(b"".join(line.ljust(SLOT, b"\0") for line in (b"\0half\n", b"endless", b"whole\n")) + b"x\n")
    assert left_on(path) == [b"whole"]
