"""`hybridproxy reload`."""

import json as json_module
import urllib.error
import urllib.request

import typer

from hybridproxy.cli.common import FOUND, AsJson, ConfigFile, fail, load_config, print_json


def reload(config: ConfigFile = None, json: AsJson = False) -> None:
    """Have the running server load its configuration anew: the whole of it, or nothing and the mistakes.

    Example: hybridproxy reload --config /etc/hybridproxy.yaml
    """
    admin = load_config(config, json_output=json).settings.admin
    if admin is None:
        fail("the configuration has no admin section; send SIGHUP to the server instead")
    host = "127.0.0.1" if admin.host in {"0.0.0.0", "::"} else admin.host
    url = f"http://{f'[{host}]' if ':' in host else host}:{admin.port}/admin/v1/reload"
    request = urllib.request.Request(url, method="POST", headers={"Authorization": f"Bearer {admin.token}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            result = json_module.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            result = json_module.load(error)
    except (OSError, ValueError) as error:
        fail(f"no answer from the admin port at {host}:{admin.port}: {error}")
    if json:
        print_json(result)
    elif result.get("reloaded"):
        print("reloaded")
    else:
        print("\n".join(result.get("mistakes") or [result.get("error", "refused")]))
    if not result.get("reloaded"):
        raise typer.Exit(FOUND)
