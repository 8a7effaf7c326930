"""The audit log's files: whole after every write that failed, or known not to be."""

import contextlib
import os
import resource
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybridproxy.residency.chain import MAX_LINE
from hybridproxy.stores import segments as module
from hybridproxy.stores.segments import Segments, append_to, files_in, lines_of


@pytest.fixture
def segments(tmp_path: Path) -> Iterator[Segments]:
    """Files in a folder that is made."""
    made = Segments(tmp_path / "audit")
    assert list(made.tails()) == []
    yield made
    made.close()


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes: the kernel refuses the rest, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def refuse(error: int = 5) -> object:
    """Return what raises an error of the system, whatever it is called with."""

    def call(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    return call


def test_files_are_private_and_appended_to(segments: Segments) -> None:
    """Folder and files are the owner's alone."""
    assert segments.write(b"one\n", name="1.audit", sync=False) == 0.0
    assert segments.write(b"two\n", name=None, sync=False) == 0.0
    assert segments.write(b"three\n", name=None, sync=True) > 0.0
    (path,) = files_in(segments.folder)
    assert path.read_bytes() == b"one\ntwo\nthree\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(segments.folder.stat().st_mode) == 0o700
    segments.write(b"four\n", name="2.audit", sync=False)
    assert [path.name for path in files_in(segments.folder)] == ["1.audit", "2.audit"]


def test_the_ends_of_what_is_there_come_last_first(segments: Segments) -> None:
    """What is no segment is passed over."""
    (segments.folder / "key.pem").write_text("key")
    (segments.folder / "1.audit").write_bytes(b"x" * 3 * MAX_LINE + b"end")
    (segments.folder / "2.audit").touch()
    names, ends = zip(*segments.tails(), strict=True)
    assert names == ("2.audit", "1.audit")
    assert ends[0] == b""
    assert (len(ends[1]), ends[1][-3:]) == (2 * MAX_LINE, b"end")


def test_nothing_is_written_before_a_file_was_begun(segments: Segments) -> None:
    """There is nowhere to write to."""
    with pytest.raises(OSError, match="descriptor"):
        segments.write(b"x", name=None, sync=False)
    assert not segments.usable


def test_what_did_not_fit_is_cut_off_again(segments: Segments) -> None:
    """A full disk takes a part of a write: the file ends where it ended before, and is gone on with."""
    segments.write(b"one\n", name="1.audit", sync=False)
    with files_of_at_most(6), pytest.raises(OSError, match="large"):
        segments.write(b"two\n", name=None, sync=True)
    assert (segments.folder / "1.audit").read_bytes() == b"one\n"
    assert segments.usable
    segments.write(b"two\n", name=None, sync=True)
    assert (segments.folder / "1.audit").read_bytes() == b"one\ntwo\n"


def test_a_file_that_could_not_be_begun_is_not_there(segments: Segments) -> None:
    """The one before stays the one that counts."""
    segments.write(b"one\n", name="1.audit", sync=False)
    with files_of_at_most(6), pytest.raises(OSError, match="large"):
        segments.write(b"something long\n", name="2.audit", sync=False)
    assert [path.name for path in files_in(segments.folder)] == ["1.audit"]
    assert segments.usable
    segments.write(b"two\n", name=None, sync=True)


def test_a_disk_that_takes_and_then_refuses_is_not_believed(
    segments: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed fdatasync nobody knows what it holds: the file is given up, and another can be begun."""
    segments.write(b"one\n", name="1.audit", sync=False)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse())
        with pytest.raises(OSError, match="Input/output"):
            segments.write(b"two\n", name=None, sync=True)
    assert not segments.usable
    segments.write(b"three\n", name="2.audit", sync=False)
    assert segments.usable


def test_what_cannot_be_taken_back_is_given_up(segments: Segments, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a file, or a new file."""
    segments.write(b"one\n", name="1.audit", sync=False)
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", refuse())
        with files_of_at_most(6), pytest.raises(OSError, match="large"):
            segments.write(b"two\n", name=None, sync=True)
    assert not segments.usable
    segments.write(b"three\n", name="2.audit", sync=False)
    with monkeypatch.context() as patch:
        patch.setattr(module, "sync_folder", refuse())
        patch.setattr(Path, "unlink", refuse())
        with pytest.raises(OSError, match="Input/output"):
            segments.write(b"four\n", name="3.audit", sync=False)
    assert not segments.usable


def test_a_file_that_was_removed_while_it_was_written_is_noticed(segments: Segments) -> None:
    """Nobody could read what goes there; the folder is made anew, too."""
    segments.write(b"one\n", name="1.audit", sync=False)
    (segments.folder / "1.audit").unlink()
    segments.folder.rmdir()
    with pytest.raises(OSError, match="removed"):
        segments.write(b"two\n", name=None, sync=True)
    assert not segments.usable
    segments.write(b"three\n", name="2.audit", sync=False)
    assert (segments.folder / "2.audit").read_bytes() == b"three\n"


def test_lines_come_with_their_ends_and_in_pieces_where_they_are_endless(tmp_path: Path) -> None:
    """A file of one line takes no memory."""
    path = tmp_path / "x"
    path.write_bytes(b"one\n" + b"y" * (2 * MAX_LINE) + b"\ntorn")
    lines = list(lines_of(path))
    assert (lines[0], lines[-1]) == (b"one\n", b"torn")
    assert max(map(len, lines)) == MAX_LINE + 1
    assert b"".join(lines) == path.read_bytes()


def test_an_anchor_takes_lines_whole_or_not_at_all(tmp_path: Path) -> None:
    """What did not fit is cut off again."""
    path = tmp_path / "heads"
    append_to(path, b"one\n")
    with files_of_at_most(6), pytest.raises(OSError, match="large"):
        append_to(path, b"two\n")
    append_to(path, b"three\n")
    assert path.read_bytes() == b"one\nthree\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_anchor_that_others_append_to_is_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their lines came meanwhile."""
    path = tmp_path / "heads"

    def fail(_fd: int) -> None:
        with path.open("ab") as file:
            file.write(b"theirs\n")
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        append_to(path, b"ours\n")
    assert path.read_bytes() == b"ours\ntheirs\n"
