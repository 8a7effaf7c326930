"""`hybridproxy check`: what runs before a deploy."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _priced(file: Path) -> None:
    """Give every model a price, so that nothing is warned of."""
    text = file.read_text()
    for name in ("qwen-sg", "qwen-us", "small"):
        text = text.replace(f": {name}", f": {{name: {name}, price: {{input: 1, output: 2}}}}")
    file.write_text(text)


def test_a_sound_file_is_fine_and_counted(file: Path, run: Run) -> None:
    """One line says that it is fine and what is in it, so that a wrong file is noticed."""
    done = run("check", "--config", file)
    assert done.exit_code == 0
    assert done.stdout == f"{file}: fine; 3 backends, 2 models, 1 routes, 2 tenants, 1 sovereign tenants\n"
    assert done.stderr == ""


def test_a_plane_is_checked_with_what_it_has(file: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sovereign process starts without the third parties' keys; the others say which variable is missing."""
    monkeypatch.delenv("UPSTREAM")
    done = run("check", "--config", file, "--plane", "sovereign")
    assert done.exit_code == 0
    assert done.stdout == f"{file}: fine; 1 backends, 2 models, 1 routes, 2 tenants, 1 sovereign tenants\n"
    for plane in ("general", "all"):
        done = run("check", "--config", file, "--plane", plane)
        assert done.exit_code == 1
        assert "UPSTREAM" in done.stderr
    assert run("check", "--config", file, "--plane", "astral").exit_code == 2


def test_json_has_the_same(file: Path, run: Run) -> None:
    """A pipeline can read it."""
    done = run("check", "--config", file, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {
        "ok": True, "backends": 3, "models": 2, "routes": 1, "tenants": 2, "sovereign_tenants": 1, "warnings": [],
    }  # fmt: skip


def test_a_price_that_nobody_knows_is_warned_of(file: Path, run: Run) -> None:
    """Of whoever sends a bill, each by its name, in one line, with what is charged instead."""
    backend = '  tg: {provider: together, api_key: "${UPSTREAM}"}\nmodels:\n'
    text = file.read_text().replace("models:\n", backend).replace("us: {name: small", "tg: mine, us: {name: small")
    file.write_text(text.replace("vpc: qwen-vpc", "vpc: qwen-vpc, tg: mine"))
    done = run("check", "--config", file)
    assert done.exit_code == 0
    first = done.stdout.splitlines()[0]
    assert first.startswith("warning: no price is known for ")
    assert " at tg (mine), " in first
    assert "charged as $1 and $3 there" in first


def test_warnings_do_not_fail(file: Path, run: Run) -> None:
    """What is probably not meant is told, and the file is still fine."""
    file.write_text(file.read_text() + "include: [nobody.d/*.yaml]\n")
    done = run("check", "--config", file)
    assert done.exit_code == 0
    warning, fine = done.stdout.splitlines()
    assert warning.startswith("warning: ")
    assert "include" in warning
    assert "fine" in fine
    assert len(json.loads(run("check", "--config", file, "--json").stdout)["warnings"]) == 1


def test_a_database_that_is_none_is_found_before_the_deploy(file: Path, run: Run) -> None:
    """`check` says what `serve` would stumble over: a file in the database's place that holds no countries."""
    (file.parent / "geo.mmdb").write_text("not a database")
    file.write_text(file.read_text() + "geo: {database: geo.mmdb}\n")
    done = run("check", "--config", file)
    assert done.exit_code == 1
    assert "geo.mmdb" in done.stderr
    assert "country database" in done.stderr
