"""Where commands find the configuration, and how they tell that it is wrong."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from hybridproxy.cli import common

Run = Callable[..., Result]

BAD = "listen: {port: 99999}\nnonsense: 1\n"


def test_the_file_is_looked_for_in_order(file: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """--config wins over $HYBRIDPROXY_CONFIG, which wins over ./hybridproxy.yaml."""
    default, named = file.parent / "hybridproxy.yaml", file.parent / "named.yaml"
    default.write_text(file.read_text())
    named.write_text(file.read_text())
    assert "\nhybridproxy.yaml: fine" in run("check").stdout
    monkeypatch.setenv("HYBRIDPROXY_CONFIG", str(named))
    assert f"\n{named}: fine" in run("check").stdout
    assert f"\n{file}: fine" in run("check", "--config", file).stdout


def test_an_empty_variable_counts_as_unset(file: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that a unit file sets to nothing does not hide ./hybridproxy.yaml."""
    file.rename("hybridproxy.yaml")
    monkeypatch.setenv("HYBRIDPROXY_CONFIG", "")
    assert run("check").exit_code == 0


@pytest.mark.parametrize(
    "command",
    [
        ["check"], ["serve"], ["models"], ["reload"], ["state"], ["undrain", "sg"],
        ["explain", "--tenant", "shop", "--model", "qwen"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["nowhere.yaml", "a-folder"])
def test_no_file_is_misuse(command: list[str], place: str, file: Path, run: Run) -> None:
    """A file that is not there, or is none, is named with both ways to give one."""
    Path("a-folder").mkdir()
    done = run(*command, "--config", place)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"hybridproxy: there is no configuration file {place}: give one with --config or $HYBRIDPROXY_CONFIG\n"
    )


def test_without_any_file_the_default_is_named(file: Path, run: Run) -> None:
    """A command called in the wrong folder says which name it looked for."""
    done = run("check")
    assert done.exit_code == 2
    assert "there is no configuration file hybridproxy.yaml" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["check"], ["serve"], ["models"], ["reload"], ["state"], ["undrain", "sg"], ["geo", "1.1.1.1"],
        ["explain", "--tenant", "x", "--model", "y"],
    ],
)  # fmt: skip
def test_every_mistake_is_listed_with_its_place(command: list[str], file: Path, run: Run) -> None:
    """A bad file is status 1, and stderr has one line a mistake that editors can jump to."""
    file.write_text(BAD)
    done = run(*command, "--config", file)
    assert done.exit_code == 1
    assert done.stdout == ""
    *mistakes, count = done.stderr.splitlines()
    assert any(line.startswith(f"{file}:1:16: listen.port: expected a port") for line in mistakes)
    assert any(line.startswith(f"{file}:2:1: nonsense: unknown option") for line in mistakes)
    assert count == f"{len(mistakes)} mistakes"


@pytest.mark.parametrize("command", [["check"], ["models"], ["geo", "1.1.1.1"]])
def test_mistakes_as_json(command: list[str], file: Path, run: Run) -> None:
    """With --json a bad file is a result too."""
    file.write_text(BAD)
    done = run(*command, "--json", "--config", file)
    assert done.exit_code == 1
    answer = json.loads(done.stdout)
    assert answer["ok"] is False
    assert any(line.startswith(f"{file}:1:16: listen.port: expected a port") for line in answer["mistakes"])
    assert done.stderr == ""


def test_one_mistake_is_counted_in_the_singular(file: Path, run: Run) -> None:
    """The last line reads well."""
    file.write_text(file.read_text() + "nonsense: 1\n")
    mistake, count = run("check", "--config", file).stderr.splitlines()
    assert "nonsense: unknown option" in mistake
    assert count == "1 mistake"


def test_an_unset_variable_is_told_by_its_name(file: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that is not in the environment is a mistake at the place that wants it."""
    monkeypatch.delenv("UPSTREAM")
    done = run("check", "--config", file)
    assert done.exit_code == 1
    assert "UPSTREAM" in done.stderr
    assert f"{file}:8:" in done.stderr
    assert "backends.sg.api_key" in done.stderr


@pytest.mark.parametrize("command", [["check"], ["check", "--json"], ["models"], ["geo", "1.1.1.1", "--json"]])
def test_no_command_prints_a_secret(command: list[str], file: Path, run: Run) -> None:
    """Neither the admin token nor an upstream's key is in any output."""
    done = run(*command, "--config", file)
    assert done.exit_code == 0
    assert "of-tests" not in done.output


def test_a_bar_is_shown_on_a_terminal_when_it_takes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second; nothing before, and nothing where nobody looks."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(common, "PATIENCE", 0.0)
    with common.progress("verifying", 10) as step:
        step(5)
        step(5)
    monkeypatch.setattr(common, "PATIENCE", 3600.0)
    with common.progress("verifying", 10) as step:
        step(10)
