"""llama.cpp's own server with the model of `make demo-real`, with a key and its metrics: python llama.py PORT KEY."""

import importlib
import signal
import sys
from typing import Any

from hybridproxy.demo.engine import CONTEXT, MODEL, model_file

SLOTS = 4


def main(port: int, key: str) -> None:
    """Serve until a signal ends the process."""
    xllamacpp: Any = importlib.import_module("xllamacpp")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model_file())
    parameters.model_alias = {MODEL}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.api_keys = [key]
    parameters.n_ctx = CONTEXT * SLOTS
    parameters.n_parallel = SLOTS
    parameters.endpoint_metrics = True
    parameters.offline = True
    parameters.ui = False
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"ready {server.listening_address}\n")
    sys.stdout.flush()
    while True:
        signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
