"""The locks are complete, agree with each other, and name nothing but packages."""

import json
import re
from pathlib import Path

import pytest

from tests.meta.project import PYPROJECT, ROOT

LOCKS = ("run", "demo", "real", "dev")


def lock_path(name: str) -> Path:
    """Return where a lock stands."""
    return ROOT / "requirements" / f"{name}.txt"


def pins(name: str) -> dict[str, str]:
    """Return package -> version of one lock; a larger lock may ask for it in more cases."""
    found = re.findall(r"^([a-z0-9-]+)==([^\\\s]+) [^\n]*\\$", lock_path(name).read_text(), re.MULTILINE)
    return dict(found)


@pytest.mark.parametrize("name", [*LOCKS, "engines"])
def test_a_lock_names_packages_by_version_and_hash_only(name: str) -> None:
    """Every line of a lock is a comment, an exact version or a SHA-256: no address, path or option stands there."""
    line = re.compile(r"#.*|[a-z0-9-]+==[^\s:/]+( ; [^:/]+?)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    text = lock_path(name).read_text().splitlines()
    assert [row for row in text if not line.fullmatch(row)] == []
    assert [row for row in text if "://" in row] == []


@pytest.mark.parametrize(("smaller", "larger"), [("run", "demo"), ("demo", "real"), ("demo", "dev")])
def test_a_larger_lock_contains_the_smaller(smaller: str, larger: str) -> None:
    """One environment can follow another: demo holds all of run, real and dev all of demo, in the same versions."""
    assert pins(smaller).items() - pins(larger).items() == set()


def test_real_and_dev_agree() -> None:
    """A checkout that ran the tests can run the demo with a real model: no version changes back and forth."""
    real, dev = pins("real"), pins("dev")
    assert {name: (real[name], dev[name]) for name in real.keys() & dev.keys() if real[name] != dev[name]} == {}


def test_every_dependency_is_locked() -> None:
    """A dependency added to pyproject.toml without `make lock` is noticed here, not at a user's."""
    extras = PYPROJECT["project"]["optional-dependencies"]
    wanted = {
        "run": PYPROJECT["project"]["dependencies"] + PYPROJECT["build-system"]["requires"],
        "demo": extras["demo"],
        "real": extras["real"],
        "dev": PYPROJECT["dependency-groups"]["dev"],
    }
    names = {lock: {re.split(r"[=<>]", row)[0].replace(".", "-") for row in rows} for lock, rows in wanted.items()}
    assert {lock: sorted(names[lock] - pins(lock).keys()) for lock in LOCKS} == {lock: [] for lock in LOCKS}


def test_aiohttp_is_pinned_exactly() -> None:
    """The HTTP server is the version whose edge cases the tests know, in the lock and for whoever installs a wheel."""
    assert f"aiohttp=={pins('run')['aiohttp']}" in PYPROJECT["project"]["dependencies"]


def test_the_npm_lock_names_packages_by_version_and_hash_only() -> None:
    """The clients of tests/sdk/node are pinned with hashes; where they come from is the machine's own setting."""
    packages = json.loads((ROOT / "tests/sdk/node/package-lock.json").read_text())["packages"]
    locked = {name: row for name, row in packages.items() if name}
    assert [name for name, row in locked.items() if not row["integrity"].startswith("sha512-")] == []
    assert [name for name, row in locked.items() if "resolved" in row] == []
    assert {f"node_modules/{name}" for name in packages[""]["dependencies"]} <= locked.keys()
