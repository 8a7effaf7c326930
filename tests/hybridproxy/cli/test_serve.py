"""`hybridproxy serve`: what is told before the server runs; how it runs is tests/integration/test_process.py."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import hybridproxy.app
from hybridproxy.building import StartError
from hybridproxy.config.settings import Configuration

Run = Callable[..., Result]


def test_a_plane_is_one_of_three(file: Path, run: Run, monkeypatch: pytest.MonkeyPatch, silenced: list[str]) -> None:
    """What is served is what the plane has of the file; core files are off before a secret is read."""
    served: list[Configuration] = []
    monkeypatch.setattr(hybridproxy.app, "run", lambda path, configuration: served.append(configuration))
    for plane in ("general", "sovereign", "all"):
        assert run("serve", "--config", file, "--plane", plane).exit_code == 0
    assert [(c.snapshot.plane.value, len(c.snapshot.backends)) for c in served] == [
        ("general", 2), ("sovereign", 1), ("all", 3),
    ]  # fmt: skip
    assert len(silenced) == 3
    assert run("serve", "--config", file, "--plane", "astral").exit_code == 2
    assert run("serve", "--config", "missing.yaml").exit_code == 2
    assert len(silenced) == 4


def test_several_workers_are_told_to_be_one(file: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator who asked for four workers learns that one runs; `auto` and 1 ask for nothing special."""
    served = []
    monkeypatch.setattr(hybridproxy.app, "run", lambda path, configuration: served.append(path))
    for workers, told in (("4", True), ("1", False), ("auto", False)):
        text = file.read_text().replace("listen: {", f"listen: {{workers: {workers}, ", 1)
        changed = file.parent / f"workers-{workers}.yaml"
        changed.write_text(text)
        done = run("serve", "--config", changed)
        assert done.exit_code == 0
        assert ("listen.workers: this version runs one worker" in done.stderr) is told
        assert served.pop() == changed


def test_why_it_cannot_start_is_one_line(file: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that cannot start says why on stderr, with status 2."""

    def refuse(path: Path, configuration: object) -> None:
        raise StartError("cannot listen on 127.0.0.1:80 (permission denied); change listen.port")

    monkeypatch.setattr(hybridproxy.app, "run", refuse)
    done = run("serve", "--config", file)
    assert done.exit_code == 2
    assert done.stderr == "hybridproxy: cannot listen on 127.0.0.1:80 (permission denied); change listen.port\n"


def test_ctrl_c_before_it_serves_is_no_traceback(file: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An impatient operator sees the prompt again."""

    def interrupted(path: Path, configuration: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hybridproxy.app, "run", interrupted)
    done = run("serve", "--config", file)
    assert done.exit_code == 1
    assert done.output == ""
