"""`python -m hybridproxy` is the command line."""

from hybridproxy.cli.main import main

main()
