"""The command line as a whole."""

import subprocess
import sys
from collections.abc import Callable

import pytest
from typer.testing import Result

Run = Callable[..., Result]

ORDERS = ("drain", "undrain", "trip", "reset", "evacuate", "restore")
COMMANDS = ("demo", "simulate", "serve", "check", "explain", "geo", "models", "reload", "state", *ORDERS, "key new")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help_with_an_example(command: str, flag: str, run: Run) -> None:
    """Whoever forgot how a command is called finds a line to copy."""
    shown = run(*command.split(), flag)
    assert shown.exit_code == 0
    assert f"Example: hybridproxy {command}" in " ".join(shown.stdout.split())
    assert shown.stderr == ""


def test_the_first_page_names_every_command(run: Run) -> None:
    """`hybridproxy --help` is the table of contents."""
    shown = run("--help")
    assert shown.exit_code == 0
    for command in COMMANDS:
        assert f"│ {command.partition(' ')[0]} " in shown.stdout


@pytest.mark.parametrize("command", ["check", "explain", "geo", "models", "reload", "state", *ORDERS, "key new"])
def test_every_command_with_a_result_has_json(command: str, run: Run) -> None:
    """What a person reads, a program can read too."""
    assert "--json" in run(*command.split(), "--help").stdout


@pytest.mark.parametrize("command", ["serve", "check", "explain", "geo", "models", "reload", "state", *ORDERS])
def test_every_command_that_needs_a_file_says_where_it_looks(command: str, run: Run) -> None:
    """The help names the two places that are tried without --config."""
    shown = " ".join(run(*command.split(), "--help").stdout.replace("│", " ").split())
    assert "$HYBRIDPROXY_CONFIG, then ./hybridproxy.yaml" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["check", "--nonsense"], "No such option: --nonsense"),
        (["explain", "--model", "qwen"], "Missing option '--tenant'"),
        (["geo"], "Missing argument"),
        (["key", "new"], "Missing argument"),
        (["drain"], "Missing argument"),
        (["drain", "sg"], "Missing option '--reason'"),
        (["state", "sg"], "unexpected extra argument"),
        (["simulate"], "Missing argument"),
        (["serve", "--config"], "requires an argument"),
    ],
)
def test_a_command_called_wrongly_ends_with_2_and_says_why(arguments: list[str], says: str, run: Run) -> None:
    """Misuse is status 2, told on stderr, with nothing on stdout that a program could take for a result."""
    done = run(*arguments)
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_python_m_hybridproxy_is_the_same_program() -> None:
    """Without an installed script the module does the same, and help loads neither server nor validator."""
    code = (
        "import sys; sys.argv = ['hybridproxy', '--help']\n"
        "import atexit, runpy\n"
        "heavy = {'aiohttp', 'uvloop', 'pydantic', 'structlog', 'ruamel', 'prometheus_client'}\n"
        "atexit.register(lambda: print('loaded:', *sorted(heavy & set(sys.modules))))\n"
        "runpy.run_module('hybridproxy', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    assert "One endpoint for Qwen" in done.stdout
    assert done.stdout.endswith("loaded:\n")
    assert done.stderr == ""
