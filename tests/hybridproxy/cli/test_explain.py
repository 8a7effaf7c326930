"""`hybridproxy explain`: why did this request go there."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]

SINGAPORE, BEIJING = "165.21.83.88", "114.114.114.114"


def test_a_caller_in_singapore(file: Path, run: Run) -> None:
    """A platform engineer reads where the caller is, who it is, and every backend with its reason, in order."""
    done = run("explain", "--config", file, "--tenant", "shop", "--model", "qwen", "--from", SINGAPORE)
    assert done.exit_code == 0
    caller, tenant, *rest = done.stdout.splitlines()
    assert caller == "caller   SG (database) -> region asia"
    assert tenant == "tenant   shop, model qwen"
    assert [line.split()[:2] for line in rest[:2]] == [["keep", "sg"], ["keep", "us"]]
    assert rest[2].split()[:2] == ["drop", "vpc"]
    assert rest[3:] == ["try 1    sg at sg.example as qwen-sg", "try 2    us at us.example as qwen-us"]


def test_a_refusal_is_something_found(file: Path, run: Run) -> None:
    """A call that would be refused is status 1, with the words the caller would get."""
    done = run("explain", "--config", file, "--tenant", "shop", "--model", "qwen", "--from", BEIJING)
    assert done.exit_code == 1
    assert "caller   CN (database) -> region china" in done.stdout
    assert "\nrefused  " in done.stdout
    assert "\ntry " not in done.stdout


def test_a_sovereign_tenant_has_only_the_vpc(file: Path, run: Run) -> None:
    """Whatever the region, the bank's only attempt is inside."""
    for address in (SINGAPORE, BEIJING, ""):
        done = run("explain", "--config", file, "--tenant", "bank", "--model", "qwen", "--from", address, "--json")
        assert done.exit_code == 0
        answer = json.loads(done.stdout)
        assert [attempt["backend"] for attempt in answer["attempts"]] == ["vpc"]


def test_json_has_candidates_and_attempts(file: Path, run: Run) -> None:
    """A program gets the whole decision, for a stream with tools as for any other call."""
    done = run(
        "explain", "--config", file, "--tenant", "shop", "--model", "only-us", "--json", "--stream",
        "--needs", "tools", "--needs", "json_schema", "--size", 1000,
    )  # fmt: skip
    assert done.exit_code == 0
    answer = json.loads(done.stdout)
    assert answer["caller"]["region"] == "default"
    assert [(c["backend"], c["kept"]) for c in answer["candidates"]] == [("us", True)]
    assert answer["attempts"] == [{"backend": "us", "endpoint": "us.example", "model": "small"}]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--tenant", "nobody"], "there is no tenant 'nobody'"),
        (["--operation", "magic"], "'magic'"),
        (["--needs", "magic"], "'magic'"),
        (["--from", "not-an-address"], "'not-an-address' is not an IP address"),
        (["--size", "-1"], "'--size'"),
        (["--size", "big"], "'--size'"),
    ],
)
def test_a_description_of_no_call_is_misuse(more: list[str], says: str, file: Path, run: Run) -> None:
    """What describes no call ends with 2 and names the word that is wrong."""
    done = run("explain", "--config", file, "--tenant", "shop", "--model", "qwen", *more)
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_an_unknown_model_is_told_with_those_there_are(file: Path, run: Run) -> None:
    """The refusal helps like the real one."""
    done = run("explain", "--config", file, "--tenant", "shop", "--model", "qwem")
    assert done.exit_code == 1
    assert "refused  there is no model 'qwem' here; you may use: qwen, only-us" in done.stdout


def test_a_database_that_is_none_is_told(file: Path, run: Run) -> None:
    """A broken country database is a sentence, not a traceback."""
    (file.parent / "geo.mmdb").write_text("not a database")
    file.write_text(file.read_text() + "geo: {database: geo.mmdb}\n")
    done = run("explain", "--config", file, "--tenant", "shop", "--model", "qwen")
    assert done.exit_code == 1
    assert "geo.mmdb" in done.stderr
