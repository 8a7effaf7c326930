"""What a serving process keeps to itself, tried in a process of its own."""

import ctypes
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hybridproxy.cli.silence import silence

PROGRAM = """
import ctypes, os, resource, sys
from hybridproxy.cli.silence import silence
silence()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), os.environ.get("SSLKEYLOGFILE"))
sys.stdout.flush()
os.abort()
"""


def test_no_core_no_tracer_no_key_log(tmp_path: Path) -> None:
    """The limit is none, hard and soft; the process is not dumpable; and its end leaves nothing in its folder."""
    environ = {**os.environ, "SSLKEYLOGFILE": str(tmp_path / "keys.log"), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == -6, done.stderr
    assert done.stdout == "(0, 0) 0 None\n"
    assert list(tmp_path.iterdir()) == []


def test_a_system_without_prctl_has_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems have no such call."""
    limits: list[tuple[Any, ...]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda *given: limits.append(given))
    monkeypatch.setattr(ctypes, "CDLL", lambda *_given, **_more: object())
    silence()
    assert limits == [(resource.RLIMIT_CORE, (0, 0))]
