"""`hybridproxy explain`."""

from typing import Annotated, Any

import typer

from hybridproxy.cli.common import FOUND, AsJson, ConfigFile, fail, load_config, open_database, print_json


def explain(  # noqa: PLR0913, PLR0917 - one parameter an option
    tenant: Annotated[str, typer.Option(help="Whose call it is.")],
    model: Annotated[str, typer.Option(help="The model by the name callers use.")],
    address: Annotated[str, typer.Option("--from", help="The client's address.")] = "",
    operation: Annotated[str, typer.Option(help="chat, completion or embedding.")] = "chat",
    stream: Annotated[bool, typer.Option("--stream", help="The call is a stream.")] = False,
    needs: Annotated[list[str] | None, typer.Option(help="tools, vision or json_schema; may be repeated.")] = None,
    size: Annotated[int, typer.Option(min=0, help="Bytes of the body.")] = 0,
    residency: Annotated[str, typer.Option(help="What the call demands: vpc, or as in {compute: [US]}.")] = "",
    config: ConfigFile = None,
    json: AsJson = False,
) -> None:
    """Say which backends a call would be sent to, in which order, and why not to the others.

    It takes every backend for healthy; the running server's `POST /admin/v1/explain` knows better.

    Example: hybridproxy explain --tenant shop --model qwen3-235b --from 165.21.83.88
    """
    from geo.locate import Locator
    from geo.networks import pack
    from hybridproxy.gateway.explain import ExplainError
    from hybridproxy.gateway.explain import explain as decide
    from hybridproxy.gateway.running import Running
    from hybridproxy.model.health import HEALTHY

    if address and pack(address) is None:
        fail(f"{address!r} is not an IP address")
    configuration = load_config(config, json_output=json)
    geo = configuration.settings.geo
    locator = Locator(open_database(geo.database), geo.overrides)
    running = Running(configuration.snapshot, configuration.settings, locator)
    described = {
        "tenant": tenant, "model": model, "address": address, "operation": operation, "stream": stream,
        "needs": needs or [], "size": size, **({"residency": residency} if residency else {}),
    }  # fmt: skip
    try:
        answer = decide(running, described, health=HEALTHY, now=0.0)
    except ExplainError as error:
        fail(str(error))
    if json:
        print_json(answer)
    else:
        _print(answer)
    if "refused" in answer:
        raise typer.Exit(FOUND)


def _print(answer: dict[str, Any]) -> None:
    caller = answer["caller"]
    print(
        f"caller   {caller['country'] or 'unknown country'} ({caller['source']}) -> region {caller['region'] or 'none'}"
    )
    print(f"tenant   {answer['tenant']}, model {answer['model']}")
    width = max((len(c["backend"]) for c in answer["candidates"]), default=0)
    for candidate in answer["candidates"]:
        mark = "keep" if candidate["kept"] else "drop"
        print(f"  {mark}   {candidate['backend']:<{width}}  {candidate['reason']}")
    if "refused" in answer:
        print(f"refused  {answer['message']}")
    for number, attempt in enumerate(answer.get("attempts", []), start=1):
        full = f", but not now: {attempt['full']}" if "full" in attempt else ""
        print(f"try {number}    {attempt['backend']} at {attempt['endpoint']} as {attempt['model']}{full}")
