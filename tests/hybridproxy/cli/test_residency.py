"""`hybridproxy residency prove`: what a compliance officer runs before a deploy."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from hybridproxy.residency import proof

Run = Callable[..., Result]


def test_a_sound_file_is_proved(file: Path, run: Run) -> None:
    """How much was gone through, of which policy, and that nothing was found."""
    done = run("residency", "prove", "--config", file)
    assert done.exit_code == 0
    policy, tenants, cases, ways, violations = done.stdout.splitlines()
    assert policy.startswith("policy      sha256:")
    assert tenants == "tenants     2, of 2 kinds"
    assert cases.endswith("with all combinations of failing backends")
    assert ways == "ways out    3"
    assert violations == "violations  0"


def test_the_ways_are_listed_with_whose_word_it_is(file: Path, run: Run) -> None:
    """For whom, where it leads, and what is promised there."""
    text = file.read_text().replace("region: asia}", 'region: asia, promises: {compute: [SG], evidence: "DPA"}}')
    file.write_text(text)
    done = run("residency", "prove", "--config", file, "--ways")
    lines = done.stdout.splitlines()
    assert "  vpc (https://10.0.3.1): 1 tenants, demand: vpc" in lines
    at = lines.index("  sg (https://sg.example): 1 tenants, demand: none")
    assert lines[at + 1].startswith("    computes in SG; ")
    assert lines[at + 2] == "    by DPA"


def test_json_has_the_same(file: Path, run: Run) -> None:
    """A pipeline can keep it with the release."""
    done = run("residency", "prove", "--config", file, "--json")
    found = json.loads(done.stdout)
    assert (found["ok"], found["violations"], found["failures"]) == (True, [], "all")
    assert {way["backend"] for way in found["ways"]} == {"sg", "us", "vpc"}


def test_a_violation_is_told_and_nothing_is_served_with_it(
    file: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should a bug of ours ever open a way, neither the proof nor a start lets it pass."""
    monkeypatch.setattr(
        proof, "against", lambda _snapshot, backend, _demand: "is wrong" if backend.id == "vpc" else None
    )
    done = run("residency", "prove", "--config", file)
    assert done.exit_code == 1
    assert (
        "tenants.bank: residency: tenant bank, region china, model qwen, chat, streamed: leads to vpc, which is wrong"
        in done.stderr
    )
