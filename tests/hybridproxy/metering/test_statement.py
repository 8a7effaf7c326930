"""Questions of a budget owner, and their answers."""

import csv
import io
from decimal import Decimal

import pytest

from hybridproxy.metering.lines import Attempt
from hybridproxy.metering.records import Basis
from hybridproxy.metering.report import Rows, add_attempt, add_call
from hybridproxy.metering.statement import (
    QuestionError,
    answer,
    as_columns,
    as_csv,
    notes_of,
    question,
)
from hybridproxy.model.price import dollars
from tests.support.bookkeeping import TODAY, begun, called, over, whole


def rows(*made: Attempt) -> Rows:
    """Rows of these attempts, each of a call of its own."""
    found: Rows = {}
    for one in made:
        add_attempt(found, one.started, one.ended)
        add_call(found, called(one))
    return found


def test_the_answer_has_rows_and_a_total_in_dollars_that_are_exact() -> None:
    """The cost of a row is what counts; how far that is from the table's price stands beside it."""
    started = begun("2", model="b", cost=1)
    told = Attempt(started, over(started, cost=2 * 10**9 + 1, basis=Basis.UPSTREAM, table=3 * 10**9))
    found = answer(rows(whole("1"), told), question("model", "shop", TODAY, ""), ["a note"])
    assert [row["model"] for row in found["rows"]] == ["b", "qwen"]
    assert found["rows"][0]["cost_usd"] == found["rows"][0]["upstream_usd"] == "2.000000001"
    assert found["rows"][0]["difference_usd"] == "-0.999999999"
    assert found["total"]["cost_usd"] == "2.000000701"
    assert (found["total"]["calls"], found["total"]["attempts"], found["total"]["prompt_tokens"]) == (2, 2, 180)
    assert (found["tenant"], found["since"], found["until"], found["by"]) == ("shop", TODAY, None, ["model"])
    assert found["notes"] == ["a note"]
    assert sum(Decimal(row["cost_usd"]) for row in found["rows"]) == Decimal(found["total"]["cost_usd"])


def test_csv_holds_no_formula() -> None:
    """A model is named by a caller where a pattern covers it; a spreadsheet would run what begins with =."""
    names = ("=cmd()", "+1", "-x", "@a", "\tb", 'q"uote,', "plain")
    found = answer(rows(*(whole(name, model=name) for name in names)), question("model", None, None, None))
    found["rows"][0]["difference_usd"] = "-0.5"
    read = list(csv.DictReader(io.StringIO(as_csv(found), newline="")))
    assert {row["model"] for row in read} == {"'=cmd()", "'+1", "'-x", "'@a", "'\tb", 'q"uote,', "plain"}
    assert read[0]["difference_usd"] == "-0.5"
    assert {row["cost_usd"] for row in read} == {"0.000000700"}


def test_columns_of_text_name_what_has_no_name() -> None:
    """And round nothing away: a cost below a millionth keeps its digits."""
    probe, tiny = begun("1", tenant="", region=""), begun("2", n=1)
    found = answer(
        rows(Attempt(probe, over(probe, cost=1_234_567_890)), Attempt(tiny, over(tiny))),
        question("tenant,region", None, "", ""),
    )
    table = as_columns(found)
    assert table[1][:4] == ["(own probes)", "(none)", "1", "1"]
    assert [line[table[0].index("dollars")] for line in table[1:]] == ["1.234567", "0.000000700", "1.234568"]
    assert table[-1][:2] == ["total", ""]


@pytest.mark.parametrize(
    ("by", "since", "until", "says"),
    [
        ("colour", "", "", "by: expected some of day, tenant"),
        ("day,day", "", "", "each once"),
        ("", "yesterday", "", "since: expected a day"),
        ("", "", "2026-13-01", "until: expected a day"),
        ("", "2026-11-02", "2026-11-02", "after since"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(by: str, since: str, until: str, says: str) -> None:
    """In words that fit a command's options and a URL's."""
    with pytest.raises(QuestionError, match=says):
        question(by, None, since, until)


def test_dollars_have_nine_digits_behind_the_point() -> None:
    """Also less than nothing."""
    assert [dollars(n) for n in (0, 1, -1, 10**9, -1_500_000_000)] == [
        "0.000000000", "0.000000001", "-0.000000001", "1.000000000", "-1.500000000",
    ]  # fmt: skip


def test_notes_tell_what_is_not_as_it_should_be() -> None:
    """Nothing to tell: no note."""
    assert notes_of() == []
    told = notes_of(running=2, folded=3000, unreadable=1, junk=4)
    assert [note.split()[0] for note in told] == ["2", "3,000", "1", "4"]
