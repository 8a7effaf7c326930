"""`hybridproxy simulate`."""

from typing import Annotated

import typer


def simulate(
    upstreams: Annotated[list[str], typer.Argument(help="[NAME=]PROVIDER:PORT; docs/simulator.md has the rows.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Imitate upstreams on the wire, with faults that can be switched on while they run.

    Example: hybridproxy simulate dashscope:9101 us-a=together:9102 openrouter:9103 vllm:9104
    """
    from hybridproxy.simulator.server import main

    raise typer.Exit(main(["--host", host, *upstreams]))
