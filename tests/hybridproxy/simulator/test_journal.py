"""The record of what was received."""

import pytest

from hybridproxy.simulator import journal as module
from hybridproxy.simulator.http import Request
from hybridproxy.simulator.journal import Journal

HEAD = Request("POST", "/v1/x?y=1", "1.1", (("Authorization", "Bearer fake"), ("X", "1"), ("x", "2")))


def test_an_entry_shows_what_was_sent() -> None:
    """Headers keep their spelling, order and repetitions; a body keeps its text; the first outcome stands."""
    journal = Journal()
    entry = journal.begin(HEAD)
    journal.keep_body(entry, b'{"a": 1}')
    journal.end(entry, "cut")
    journal.end(entry, "complete")
    shown = entry.shown()
    assert shown["headers"] == [["Authorization", "Bearer fake"], ["X", "1"], ["x", "2"]]
    assert (shown["path"], shown["outcome"], shown["body_bytes"]) == ("/v1/x?y=1", "cut", 8)
    assert journal.totals()["outcomes"] == {"cut": 1}
    assert journal.in_flight == 0


def test_a_body_that_is_no_json_is_shown_as_text() -> None:
    """A broken body is shown too."""
    journal = Journal()
    entry = journal.begin(HEAD)
    journal.keep_body(entry, b"\xffx")
    assert entry.shown()["body"] == "\ufffdx"


def test_the_record_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the last requests are kept, only so many bytes of bodies, and no huge body; the sizes stay known."""
    monkeypatch.setattr(module, "MAX_KEPT_BODIES", 25)
    monkeypatch.setattr(module, "MAX_KEPT_BODY", 10)
    journal = Journal()
    for size in (10, 10, 10, 11):
        entry = journal.begin(HEAD)
        journal.keep_body(entry, b"x" * size)
    assert [entry.body and len(entry.body) for entry in journal.entries] == [None, 10, 10, None]
    assert [entry.body_bytes for entry in journal.entries] == [10, 10, 10, 11]
    for _ in range(module.KEPT):
        journal.begin(HEAD)
    assert len(journal.entries) == module.KEPT
    assert journal.entries[0].number == 5


def test_forgetting() -> None:
    """Forgotten requests are gone with their totals; one still in flight ends without being counted twice."""
    journal = Journal()
    entry = journal.begin(HEAD)
    journal.clear()
    assert (list(journal.entries), journal.in_flight) == ([], 1)
    journal.keep_body(entry, b"{}")
    journal.end(entry, "complete")
    assert (journal.in_flight, entry.body) == (0, None)
