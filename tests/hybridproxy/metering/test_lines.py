"""Records as lines, and back."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.metering.lines import (
    MOST,
    Attempt,
    Summed,
    attempt_line,
    call_line,
    closed,
    record_in,
    rows_in,
    started_line,
    sums_line,
    within,
)
from hybridproxy.metering.records import Basis, Called, Outcome
from hybridproxy.metering.report import add_attempt
from hybridproxy.model.usage import Usage
from tests.support.bookkeeping import attempts, begun, called, calls, over, whole


@given(attempts())
def test_an_attempt_comes_back_as_it_was(attempt: Attempt) -> None:
    """Whatever its names are made of; it is one line."""
    line = attempt_line(attempt.started, attempt.ended)
    assert line.count(b"\n") == 1
    assert record_in(line) == attempt
    assert record_in(started_line(attempt.started)) == attempt.started


@given(calls())
def test_a_call_comes_back_as_it_was(call: Called) -> None:
    """Each field of it."""
    assert record_in(call_line(call)) == call


def test_sums_stand_for_records_that_could_not_be_kept() -> None:
    """They say for how many."""
    rows: dict[Any, list[int]] = {}
    key = add_attempt(rows, *_both(whole()))
    assert record_in(sums_line(rows, 7)) == Summed(((key, tuple(rows[key])),), 7)
    rows[key][9] = 2**70
    assert record_in(sums_line(rows, 7)) is not None


def _both(attempt: Attempt) -> tuple[Any, Any]:
    return attempt.started, attempt.ended


@given(st.sampled_from([call_line(called(whole())), attempt_line(*_both(whole()))]), st.data())
def test_a_damaged_line_is_no_record(line: bytes, data: st.DataObject) -> None:
    """A part of a line is none, and so is one in which a field is of another kind, or not there."""
    assert record_in(line[: data.draw(st.integers(0, len(line) - 2))]) is None
    made = orjson.loads(line)
    name = data.draw(st.sampled_from(sorted(set(made) - {"stream"})))
    assert record_in(orjson.dumps(made | {name: data.draw(st.sampled_from([None, [], {}, -1.5]))})) is None
    del made[name]
    assert record_in(orjson.dumps(made)) is None


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"7", b'{"record":"other"}', b'{"record":"sums","rows":[[1]],"records":1}']
)
def test_other_json_is_no_record(line: bytes) -> None:
    """Nor is anything that has another form."""
    assert record_in(line) is None


@pytest.mark.parametrize(
    "listed", [None, [7], [["d", "t"]], [["d", "t", "m", "b", 1, *[0] * 14]], [["d"] * 5 + [-1] * 14]]
)
def test_rows_of_another_form_are_refused(listed: Any) -> None:
    """So a damaged file of sums is none, and the segment is read instead."""
    with pytest.raises(ValueError, match="no "):
        rows_in(listed)


def test_an_attempt_whose_process_was_killed_costs_what_was_expected() -> None:
    """It says that this is an estimate."""
    ended = closed(begun(prompt=7, answer=9, cost=11))
    assert (ended.outcome, ended.basis, ended.cost, ended.table) == (Outcome.UNKNOWN, Basis.ESTIMATE, 11, 11)
    assert ended.usage == Usage(7, 9, estimated=True)


def test_absurd_numbers_are_bounded() -> None:
    """An upstream that tells of 10^17 tokens, or of less than none, spoils no sum."""
    started = begun()
    sound = over(started, usage=Usage(1, 2, cost=0))
    assert within(sound) is sound
    told = over(started, usage=Usage(1, 2, cost=5), basis=Basis.UPSTREAM)
    assert within(told) == told
    absurd = within(over(started, usage=Usage(10**17, -5, 10**18, cost=10**30), cost=-1, table=10**30))
    assert absurd.usage == Usage(MOST, 0, MOST, cost=MOST)
    assert (absurd.cost, absurd.table) == (0, MOST)
