"""`hybridproxy reload`."""

import typer

from hybridproxy.cli.admin_client import AdminPort
from hybridproxy.cli.common import FOUND, AsJson, ConfigFile, print_json


def reload(config: ConfigFile = None, json: AsJson = False) -> None:
    """Have the running server load its configuration anew: the whole of it, or nothing and the mistakes.

    Example: hybridproxy reload --config /etc/hybridproxy.yaml
    """
    port = AdminPort(config, json_output=json, instead="; send SIGHUP to the server instead")
    _, result = port.ask("POST", "/admin/v1/reload")
    if json:
        print_json(result)
    elif result.get("reloaded"):
        print("reloaded")
    else:
        print("\n".join(result.get("mistakes") or [result.get("error", "refused")]))
    if not result.get("reloaded"):
        raise typer.Exit(FOUND)
