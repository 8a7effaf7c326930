"""`hybridproxy reload`."""

import http.client
import json as json_module
import urllib.error
import urllib.request
from typing import Any

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
        result = _ask(opener, request)
    except (OSError, ValueError, http.client.HTTPException) as error:
        fail(f"no answer from the admin port at {host}:{admin.port}: {error}")
    if json:
        print_json(result)
    elif result.get("reloaded"):
        print("reloaded")
    else:
        print("\n".join(result.get("mistakes") or [result.get("error", "refused")]))
    if not result.get("reloaded"):
        raise typer.Exit(FOUND)


def _ask(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> dict[str, Any]:
    """Return the server's answer, whatever its status."""
    try:
        answer = opener.open(request, timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        result = json_module.load(answer)
    if isinstance(result, dict):
        return result
    raise ValueError("what answers there is no hybridproxy")
