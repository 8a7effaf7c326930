"""`hybridproxy simulate`: upstreams without accounts."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable

import pytest
from typer.testing import Result

Run = Callable[..., Result]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_upstreams_are_imitated_until_a_signal(number: signal.Signals) -> None:
    """Each upstream says when it is ready and where; a signal ends all of them cleanly."""
    command = [sys.executable, "-m", "hybridproxy", "simulate", "together:0", "us-b=openrouter:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            lines = [program.stdout.readline().split() for _ in range(2)]
            assert [line[:2] for line in lines] == [["ready", "together"], ["ready", "us-b"]]
            with urllib.request.urlopen(lines[1][2] + "/_sim/state", timeout=120) as answer:
                assert json.load(answer)["in_flight"] == 0
            program.send_signal(number)
            rest, errors = program.communicate(timeout=120)
        finally:
            program.kill()
    assert program.returncode == 0
    assert (rest, errors) == ("", "")


@pytest.mark.parametrize(
    ("upstream", "says"),
    [
        ("acme:0", "unknown provider 'acme'; known are"),
        ("together:x", "'x' in 'together:x' is not a port"),
        ("together:65536", "is not a port"),
        ("=together:0", "empty name"),
    ],
)
def test_what_cannot_be_imitated_is_misuse(upstream: str, says: str, run: Run) -> None:
    """A mistyped upstream ends with 2 and the reason."""
    done = run("simulate", upstream)
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stdout == ""
