"""`hybridproxy models`: what is served, and by whom."""

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

Run = Callable[..., Result]


def test_every_model_with_its_backends_and_their_names_for_it(file: Path, run: Run) -> None:
    """The list reads like the file."""
    done = run("models", "--config", file)
    assert done.exit_code == 0
    assert done.stdout == "qwen\n  sg: qwen-sg\n  us: qwen-us\n  vpc: qwen-vpc\nonly-us\n  us: small\n"


def test_a_tenants_own(file: Path, run: Run) -> None:
    """The sovereign tenant sees only what its VPC serves."""
    answer = json.loads(run("models", "--config", file, "--tenant", "bank", "--json").stdout)
    assert list(answer) == ["qwen"]
    assert list(json.loads(run("models", "--config", file, "--tenant", "shop", "--json").stdout)) == ["qwen", "only-us"]


def test_an_unknown_tenant_is_misuse(file: Path, run: Run) -> None:
    """A name that is not in the file is told."""
    done = run("models", "--config", file, "--tenant", "nobody")
    assert done.exit_code == 2
    assert done.stderr == "hybridproxy: there is no tenant 'nobody'\n"
    assert done.stdout == ""
