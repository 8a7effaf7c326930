"""`hybridproxy usage`: what a budget owner runs."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from hybridproxy.metering.lines import attempt_line, call_line, started_line
from hybridproxy.stores.board import Board
from hybridproxy.stores.ledger_files import segment_of
from tests.support.bookkeeping import DAY, NOON, TODAY, begun, called, whole

Run = Callable[..., Result]


@pytest.fixture
def ledger(file: Path, tmp_path: Path) -> Path:
    """A ledger where the configuration has it: two of the shop's calls, one of the bank's."""
    file.write_text(file.read_text() + "ledger: {path: ledger}\n")
    slot = tmp_path / "ledger" / "0"
    slot.mkdir(parents=True)
    made = (whole("1"), whole("2", at=NOON - DAY, backend="us"), whole("3", tenant="bank", model="m"))
    lines = [attempt_line(one.started, one.ended) + call_line(called(one)) for one in made]
    segment_of(slot, 1, TODAY).path.write_bytes(b"".join(lines))
    return tmp_path / "ledger"


def test_the_sums_are_printed_with_a_total(file: Path, ledger: Path, run: Run) -> None:
    """By tenant, model and backend where nothing else is asked for."""
    done = run("usage", "--config", file)
    assert done.exit_code == 0
    head, *lines = done.stdout.splitlines()
    assert head.split()[:4] == ["tenant", "model", "backend", "calls"]
    assert [line.split() for line in lines] == [
        ["bank", "m", "sg", "1", "1", "90", "0", "10", "0.000000700", "0.000000", "0"],
        ["shop", "qwen", "sg", "1", "1", "90", "0", "10", "0.000000700", "0.000000", "0"],
        ["shop", "qwen", "us", "1", "1", "90", "0", "10", "0.000000700", "0.000000", "0"],
        ["total", "3", "3", "270", "0", "30", "0.000002", "0.000000", "0"],
    ]


def test_one_tenants_days_as_json_and_csv(ledger: Path, run: Run) -> None:
    """Money is decimal text, exact to the nano-dollar; the folder alone is enough."""
    asked = ("usage", "--path", ledger, "--tenant", "shop", "--by", "day")
    found = json.loads(run(*asked, "--json").stdout)
    assert [(row["day"], row["cost_usd"]) for row in found["rows"]] == [
        ("2026-11-26", "0.000000700"), (TODAY, "0.000000700"),
    ]  # fmt: skip
    assert found["total"]["cost_usd"] == "0.000001400"
    found = json.loads(run(*asked, "--since", TODAY, "--until", "2026-11-28", "--json").stdout)
    assert found["total"]["calls"] == 1
    done = run(*asked, "--csv")
    assert [row["day"] for row in csv.DictReader(io.StringIO(done.stdout))] == ["2026-11-26", TODAY]
    assert run("usage", "--path", ledger, "--tenant", "nobody").stdout == "nothing of nobody in that time\n"


def test_what_was_in_flight_and_what_cannot_be_read_are_told(ledger: Path, run: Run) -> None:
    """An estimate is a note; a damaged line is a finding."""
    board = Board(ledger / "0" / "board")
    board.clear()
    board.put(started_line(begun("4")))
    board.close()
    done = run("usage", "--path", ledger)
    assert done.exit_code == 0
    assert "note: 1 in flight when their process ended" in done.stdout
    assert "0.000005" in done.stdout
    with segment_of(ledger / "0", 1, TODAY).path.open("ab") as file:
        file.write(b"spoiled\n")
    done = run("usage", "--path", ledger)
    assert done.exit_code == 1
    assert "note: 1 not counted" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--by", "colour"), "--by: expected some of day"),
        (("--since", "soon"), "--since: expected a day"),
        (("--csv", "--json"), "not both"),
        (("--path", "nowhere"), "nowhere cannot be read"),
        ((), "no ledger section"),
    ],
)
def test_what_cannot_be_asked_is_misuse(file: Path, run: Run, arguments: tuple[str, ...], says: str) -> None:
    """Status 2, and what to do."""
    done = run("usage", "--config", file, *arguments)
    assert done.exit_code == 2
    assert says in done.stderr
