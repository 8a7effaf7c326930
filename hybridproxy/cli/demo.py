"""`hybridproxy demo`."""

from typing import Annotated

import typer


def demo(
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="End after the tour; status 1 if a step went wrong.")
    ] = False,
    real: Annotated[bool, typer.Option("--real", help="A small real model (llama.cpp) in the VPC's place.")] = False,
    port: Annotated[int, typer.Option(help="Data port; the admin port is the next one. 0: any free ones.")] = 8080,
    sim_port: Annotated[int, typer.Option(help="First of the upstreams' four ports. 0: any free ones.")] = 9101,
) -> None:
    """Take a guided tour with simulated upstreams: no key, no account, no Redis.

    Example: hybridproxy demo --port 8090
    """
    from hybridproxy.demo.run import Options, run
    from hybridproxy.demo.screen import Screen

    raise typer.Exit(run(Options(wait=not no_wait, real=real, port=port, sim_port=sim_port), Screen()))
