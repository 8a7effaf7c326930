"""The scripts speak clearly to a newcomer whose machine lacks something, and the Makefile only calls them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import NOT_ALLOWED
from tests.meta.project import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without .venv, as far as the scripts need it."""
    for name in ("scripts", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def stand_in(folder: Path, body: str) -> str:
    """Write an executable shell script that plays Python, and return its path."""
    program = folder / "stand-in-python"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return str(program)


def run_venv(checkout: Path, *arguments: str, python: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/venv with another Python."""
    environment = os.environ | {"PYTHON": python}
    command = ["sh", "scripts/venv", *arguments]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def test_no_python_is_said_so(checkout: Path) -> None:
    """Without Python the message names the version that is needed, and nothing is made."""
    done = run_venv(checkout, "demo", python="python-that-is-nowhere")
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
    assert not (checkout / ".venv").exists()


def test_an_old_python_is_said_so(checkout: Path) -> None:
    """An old Python is named with its version, together with the way out."""
    python = stand_in(checkout, '[ "$1" = --version ] && echo Python 3.9.2 || exit 1')
    done = run_venv(checkout, "demo", python=python)
    assert done.returncode == 1
    assert "Python 3.9.2 is too old" in done.stderr
    assert "$PYTHON" in done.stderr


def test_a_debian_python_without_venv_is_said_so(checkout: Path) -> None:
    """Debian ships Python without the venv module: the message names the package that has it."""
    python = stand_in(checkout, 'case "$*" in *ensurepip*) exit 1 ;; esac')
    done = run_venv(checkout, "demo", python=python)
    assert done.returncode == 1
    assert "apt-get install python3-venv" in done.stderr


def test_a_failing_pip_leaves_no_finished_environment(checkout: Path) -> None:
    """When pip cannot reach the index, the message speaks of the network, and the next call tries again."""
    # the environment's own Python runs -c, and fails in everything else
    made = "mkdir -p .venv/bin && printf '#!/bin/sh\\n[ $1 = -c ]\\n' >.venv/bin/python && chmod +x .venv/bin/python"
    python = stand_in(checkout, f"case $2 in venv) {made} ;; esac")
    for _ in range(2):
        done = run_venv(checkout, "demo", python=python)
        assert done.returncode == 1
        assert "is there a network?" in done.stderr
        assert "HTTPS_PROXY" in done.stderr


def test_an_unknown_environment_is_a_usage_error(checkout: Path) -> None:
    """A mistyped name ends with status 2 and the list of names."""
    done = run_venv(checkout, "dmeo", python="python3")
    assert (done.returncode, done.stderr) == (2, "usage: sh scripts/venv run|demo|real|dev\n")


def test_every_make_target_is_one_script() -> None:
    """A machine without make runs `sh scripts/NAME` for `make NAME`; help is the only exception."""
    rules = re.findall(r"^([a-z-]+):.*## .*\n\t(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(rules) > 5
    for target, command in rules:
        if target != "help":
            assert re.fullmatch(rf"@sh scripts/{target}( \$\(ARGS\))?", command)
            assert (ROOT / "scripts" / target).is_file()


def test_a_failing_section_is_named() -> None:
    """Whoever reads the end of a failed check sees which part it was and its exit status."""
    command = ["sh", "scripts/section", "import layers", "sh", "-c", "exit 3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "== import layers: FAILED, exit status 3\n"


def run_the_rest(checkout: Path, failing: list[str], later: str) -> tuple[int, str, list[str]]:
    """Run scripts/test-rest with a pytest that fails in some tests first, and then ends with the statuses of `later`.

    Returns the exit status, what was said, and which tests each of the later calls was given.
    """
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    shutil.copytree(ROOT / "tests" / "meta", checkout / "tests" / "meta")
    cache = checkout / ".pytest_cache" / "v" / "cache"
    cache.mkdir(parents=True)
    (cache / "lastfailed").write_text(json.dumps(dict.fromkeys(failing, True)))
    (checkout / "statuses").write_text(f"1{later}")
    (checkout / "calls").touch()
    (programs / "pytest").write_text(
        "#!/bin/sh\n"
        'for word; do case $word in @*) echo "again:" >>calls; cat "${word#@}" >>calls ;; esac; done\n'
        "status=$(cut -c 1 statuses); cut -c 2- statuses >rest; mv rest statuses; exit $status\n"
    )
    (programs / "pytest").chmod(0o755)
    done = subprocess.run(
        ["sh", "scripts/test-rest"], cwd=checkout, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout, (checkout / "calls").read_text().split("again:\n")[1:]


SLOW = "tests/integration/test_tour.py::test_one[a b]"


def test_a_failure_that_comes_thrice_no_more_alone_is_told_and_is_no_failure(checkout: Path) -> None:
    """A machine that stood still for a moment does not refuse a change; nobody overlooks it either."""
    status, said, calls = run_the_rest(checkout, [SLOW, "tests/b.py::test_two"], later="000")
    assert (status, calls) == (0, [f"{SLOW}\ntests/b.py::test_two\n"] * 3)
    assert said.endswith(f"FAILED ONCE beside others, then passed three times alone:\n{SLOW}\ntests/b.py::test_two\n")


@pytest.mark.parametrize("later", ["1", "01", "001"])
def test_a_failure_that_comes_again_alone_is_one(checkout: Path, later: str) -> None:
    """A defect that shows in one of three runs is a defect."""
    status, said, calls = run_the_rest(checkout, [SLOW], later)
    assert (status, len(calls)) == (1, len(later))
    assert "FAILED ONCE" not in said


@pytest.mark.parametrize("failing", [[], ["a", "b", "c", "d"]])
def test_many_failures_or_too_little_coverage_are_not_tried_again(checkout: Path, failing: list[str]) -> None:
    """Without a failed test it was the coverage or a forbidden skip; with four it was no moment."""
    assert run_the_rest(checkout, failing, later="000")[::2] == (1, [])


def run_with_a_skip(folder: Path, reason: str, forbidden: str) -> tuple[int, str]:
    """Run a good test and a skipped one; return the exit status and what was said."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    story = f"import pytest\ndef test_fine(): pass\ndef test_needs_nginx(): pytest.skip({reason!r})\n"
    (folder / "test_story.py").write_text(story)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_story.py"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    environment |= {"HYBRIDPROXY_FORBID_SKIPS": forbidden, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # seconds each
    environment |= {"PYTHONPATH": str(ROOT)}  # the conftest takes from tests.support
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize(("forbidden", "status"), [("1", 1), ("", 0)])
def test_skips_fail_the_run_where_they_are_forbidden(tmp_path: Path, forbidden: str, status: int) -> None:
    """In continuous integration a skipped test is a failure with its name; at a developer's desk it is not."""
    ended, said = run_with_a_skip(tmp_path, "nginx is not installed", forbidden)
    assert ended == status
    assert ("test_needs_nginx: Skipped: nginx is not installed" in said) == bool(forbidden)


@pytest.mark.parametrize("forbidden", ["1", ""])
def test_what_the_machine_does_not_allow_is_told_and_is_no_failure(tmp_path: Path, forbidden: str) -> None:
    """No program to install would help where the kernel gives no namespaces; but nobody may overlook it."""
    ended, said = run_with_a_skip(tmp_path, f"{NOT_ALLOWED}no namespaces", forbidden)
    assert ended == 0
    assert "not shown by this run" in said
    assert f"test_needs_nginx: Skipped: {NOT_ALLOWED}no namespaces" in said
    assert "forbids" not in said
