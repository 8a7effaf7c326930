"""The ledger's folder as another process sees it: what is there, what is half there, what was left behind."""

from pathlib import Path

import pytest

from hybridproxy.metering.lines import Attempt, attempt_line, call_line, closed, started_line
from hybridproxy.metering.records import Called
from hybridproxy.metering.report import COST, total
from hybridproxy.stores import ledger_files
from hybridproxy.stores.board import Board
from hybridproxy.stores.ledger_files import (
    LedgerError,
    Tally,
    is_taken,
    left_behind,
    segment_of,
    segments_in,
    slots_in,
    take_slot,
    tally_of,
    usage_in,
    write_sums,
)
from tests.support.bookkeeping import DAY, NOON, TODAY, begun, called, whole


def line_of(record: Attempt | Called) -> bytes:
    """A record as a line."""
    return call_line(record) if isinstance(record, Called) else attempt_line(record.started, record.ended)


def write(slot: Path, number: int, *records: Attempt | Called, day: str = TODAY) -> Path:
    """Write a segment."""
    slot.mkdir(parents=True, exist_ok=True)
    segment = segment_of(slot, number, day)
    segment.path.write_bytes(b"".join(map(line_of, records)))
    return segment.path


def lay(slot: Path, *lines: bytes) -> None:
    """Leave lines on a board."""
    slot.mkdir(parents=True, exist_ok=True)
    board = Board(slot / "board")
    board.clear()
    for line in lines:
        board.put(line)
    board.close()


def test_each_process_has_a_folder_of_its_own_and_keeps_its_name(tmp_path: Path) -> None:
    """Two at a time never share one; who comes later takes the first that is free, with the name it had."""
    names = iter(f"{n:016x}" for n in range(10))
    first, second = (take_slot(tmp_path, lambda: next(names)) for _ in range(2))
    assert [first.folder.name, second.folder.name] == ["0", "1"]
    assert (first.name, second.name) == (f"{0:016x}", f"{1:016x}")
    assert is_taken(first.folder)
    first.close()
    assert not is_taken(first.folder)
    again = take_slot(tmp_path, lambda: next(names))
    assert (again.folder.name, again.name) == ("0", f"{0:016x}")
    (again.folder / "id").write_text("spoiled")
    again.close()
    third = take_slot(tmp_path, lambda: next(names))
    assert third.name == f"{2:016x}"
    third.close()
    second.close()
    (tmp_path / "notes").mkdir()
    assert [slot.name for slot in slots_in(tmp_path)] == ["0", "1"]
    assert not is_taken(tmp_path / "notes")


def test_a_machine_with_too_many_processes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a bound to the folders that are tried."""
    monkeypatch.setattr(ledger_files, "MAX_SLOTS", 1)
    slot = take_slot(tmp_path, lambda: "0" * 16)
    with pytest.raises(LedgerError, match="all 1"):
        take_slot(tmp_path, lambda: "1" * 16)
    slot.close()


def test_sums_stand_for_their_segment(tmp_path: Path) -> None:
    """Nobody reads a segment that has them, and a report goes on when it is removed; damaged sums are made good."""
    path = write(tmp_path, 1, whole("1"), called(whole("1")), whole("2", at=NOON - DAY))
    (segment,) = segments_in(tmp_path)
    found = tally_of(segment)
    assert (found.records, found.unreadable) == (3, 0)
    write_sums(segment, found)
    path.write_bytes(b"")
    assert tally_of(segment) == found
    path.unlink()
    assert segments_in(tmp_path) == [segment]
    assert tally_of(segment) == found
    assert tally_of(segment, "2026-11-28") == Tally()
    assert tally_of(segment, last="2026-11-25") == Tally()
    write(tmp_path, 1, whole("1"))
    for damaged in (b"", b"[]", b'{"rows":[]}', segment.sums.read_bytes().replace(b'"records":3', b'"records":"3"')):
        segment.sums.write_bytes(damaged)
        assert tally_of(segment).records == 1


def test_a_line_that_is_being_written_is_not_there_yet(tmp_path: Path) -> None:
    """One that is damaged is counted as such, and what is around it counts."""
    path = write(tmp_path, 1, whole("1"), whole("2"))
    path.write_bytes(path.read_bytes()[:-5])
    steps: list[int] = []
    found = tally_of(segments_in(tmp_path)[0], step=steps.append)
    assert (found.records, found.unreadable) == (1, 0)
    assert sum(steps) == path.stat().st_size
    path.write_bytes(b"\0\0\0\n" + line_of(whole("1")))
    assert tally_of(segments_in(tmp_path)[0]).unreadable == 1


def test_what_was_under_way_is_closed_as_unknown(tmp_path: Path) -> None:
    """Its call too; what had ended is as it was, and what is in a segment is not told again."""
    slot = tmp_path / "0"
    write(slot, 1, whole("old"), day="2026-11-25")
    write(slot, 2, whole("a"), called(whole("a")), day="2026-11-26")
    write(slot, 3, whole("b"))
    cut, second, again = begun("c"), begun("c", 1, cost=7), whole("d")
    lay(
        slot,
        started_line(begun("a")), line_of(whole("b")), started_line(begun("b")), line_of(called(whole("a"))),
        started_line(cut), started_line(second), line_of(again), line_of(called(again)), started_line(again.started),
        started_line(begun("probe", tenant="")), b'{"record":"started"}\n',
    )  # fmt: skip
    left = left_behind(slot)
    attempts = {(one.started.call, one.started.n): one for one in left if isinstance(one, Attempt)}
    assert attempts == {
        ("c", 0): Attempt(cut, closed(cut)),
        ("c", 1): Attempt(second, closed(second)),
        ("d", 0): whole("d"),
        ("probe", 0): Attempt(begun("probe", tenant=""), closed(begun("probe", tenant=""))),
    }
    calls = {one.call: one for one in left if isinstance(one, Called)}
    assert set(calls) == {"b", "c", "d"}
    assert (calls["c"].code, calls["c"].attempts, calls["c"].cost, calls["c"].estimated) == ("unknown", 2, 5007, 5007)
    assert (calls["b"].cost, calls["b"].estimated, calls["d"].status) == (700, 0, 200)


def test_a_report_needs_no_server(tmp_path: Path) -> None:
    """Of a process that is gone what was in flight counts as an estimate; of one that runs it is not over yet."""
    write(tmp_path / "0", 1, whole("1"), called(whole("1")))
    lay(tmp_path / "0", started_line(begun("2")))
    write(tmp_path / "1", 1, whole("3", tenant="bank"))
    found = usage_in(tmp_path)
    assert (found.running, total(found.rows.values())[COST]) == (1, 700 + 5000 + 700)
    assert total(usage_in(tmp_path, "bank").rows.values())[COST] == 700
    assert usage_in(tmp_path, "bank", since="2026-11-28").rows == {}
    assert ledger_files.bytes_in(tmp_path) > 500
    slot = take_slot(tmp_path, lambda: "0" * 16)
    assert usage_in(tmp_path).running == 0
    slot.close()
