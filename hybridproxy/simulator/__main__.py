"""Run the simulator: `python -m hybridproxy.simulator dashscope:9101 together:9102`."""

import sys

from hybridproxy.simulator.server import main

sys.exit(main(sys.argv[1:]))
