"""`hybridproxy models`."""

from typing import Annotated

import typer

from hybridproxy.cli.common import AsJson, ConfigFile, fail, load_config, print_json


def models(
    tenant: Annotated[str | None, typer.Option(help="Only what this tenant may use.")] = None,
    config: ConfigFile = None,
    json: AsJson = False,
) -> None:
    """List the models and the backends that serve them.

    Example: hybridproxy models --tenant bank
    """
    from hybridproxy.routing.gate import usable_models

    snapshot = load_config(config, json_output=json).snapshot
    names = list(snapshot.models)
    if tenant is not None:
        if tenant not in snapshot.tenants:
            fail(f"there is no tenant {tenant!r}")
        names = usable_models(snapshot, snapshot.tenants[tenant])
    rows = {name: {served.backend: served.name for served in snapshot.models[name].served_by} for name in names}
    if json:
        print_json(rows)
        return
    for name, served in rows.items():
        print(name)
        for backend, own in served.items():
            print(f"  {backend}: {own}")
