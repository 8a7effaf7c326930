"""The engines as processes of their own, and the proxy in front of each."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from hybridproxy.demo.engine import MODEL as SMALL
from hybridproxy.demo.engine import model_file
from tests.engines import tiny_qwen3
from tests.meta.project import ROOT

KEY: Final = "key-of-engines"
VLLM: Final = ROOT / ".engines-venv" / "bin" / "vllm"
TINY: Final = "tiny-qwen3"
PATIENCE: Final = 300.0
"""Seconds an engine may take to start."""
QUIET: Final = {
    "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine: its name, the provider it is configured as, its address and the name of its model."""

    name: str
    provider: str
    url: str
    model: str
    version: str


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def missing(name: str) -> str:
    """Return why an engine cannot be started here, "" where it can."""
    if name == "vllm":
        return "" if VLLM.exists() else "vLLM is not installed: sh scripts/engines"
    return "" if model_file() is not None else "llama.cpp is not installed: sh scripts/venv real"


@contextlib.contextmanager
def running(name: str, folder: Path) -> Iterator[Engine]:
    """Start an engine and wait until it is healthy; end it by its own id."""
    if why := missing(name):
        pytest.skip(why)
    port = free_port()
    if name == "vllm":
        tiny_qwen3.write(folder / "model")
        command = [
            str(VLLM), "serve", str(folder / "model"), "--served-model-name", TINY, "--load-format", "dummy",
            "--dtype", "bfloat16", "--max-model-len", str(tiny_qwen3.CONTEXT), "--max-num-seqs", "16",
            "--enforce-eager", "--host", "127.0.0.1", "--port", str(port), "--api-key", KEY,
            "--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--reasoning-parser", "qwen3",
            "--enable-prompt-tokens-details",
        ]  # fmt: skip
        engine = Engine(name, "vllm", f"http://127.0.0.1:{port}", TINY, _version(VLLM.parent / "python", "vllm-cpu"))
    else:
        command = [sys.executable, str(Path(__file__).with_name("llama.py")), str(port), KEY]
        version = _version(Path(sys.executable), "xllamacpp")
        engine = Engine(name, "llama-cpp", f"http://127.0.0.1:{port}", SMALL, version)
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | QUIET | {"PYTHONPATH": str(ROOT)}, stdout=log, stderr=log
        )
    try:
        _healthy(engine, process, folder / f"{name}.log")
        yield engine
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _healthy(engine: Engine, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text(errors="replace")[-4000:]
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(engine.url + "/health") as got:
            if got.status == 200:
                return
        time.sleep(0.2)
    raise TimeoutError(log.read_text(errors="replace")[-4000:])


def _version(python: Path, package: str) -> str:
    told = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([str(python), "-c", told], capture_output=True, text=True, check=True)
    return f"{package} {done.stdout.strip()}"
