"""`hybridproxy drain | undrain | trip | reset | evacuate | restore`: the operator's orders to the running server."""

import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from hybridproxy.cli.admin_client import AdminPort
from hybridproxy.cli.common import FOUND, AsJson, ConfigFile, print_json

Backend = Annotated[str, typer.Argument(help="The backend by its name in the configuration.")]
Region = Annotated[str, typer.Argument(help="The region by its name in the configuration.")]
Reason = Annotated[
    str, typer.Option("--reason", help="Why, for the next one on call and the log; callers do not see it.")
]
MaybeReason = Annotated[str, typer.Option("--reason", help="Why, for the log.")]
Lasting = Annotated[str, typer.Option("--for", help="It ends by itself after that: 90s, 30m, 4h; at most 7d.")]


def drain(
    backend: Backend, reason: Reason, lasting: Lasting = "1h", config: ConfigFile = None, json: AsJson = False
) -> None:
    """Send a backend no new calls; those under way come to their end.

    Example: hybridproxy drain together-us --reason "maintenance, ticket 4711" --for 2h
    """
    _give("backends", backend, "drain", {"reason": reason, "for": lasting}, config, json=json)


def undrain(backend: Backend, reason: MaybeReason = "", config: ConfigFile = None, json: AsJson = False) -> None:
    """Send a drained backend calls again.

    Example: hybridproxy undrain together-us
    """
    _give("backends", backend, "undrain", {"reason": reason}, config, json=json)


def trip(
    backend: Backend, reason: Reason, lasting: Lasting = "1h", config: ConfigFile = None, json: AsJson = False
) -> None:
    """Open a backend's breakers; when the time is over it comes back by a check, probes and a ramp.

    Example: hybridproxy trip together-us --reason "wrong answers since 14:05" --for 15m
    """
    _give("backends", backend, "trip", {"reason": reason, "for": lasting}, config, json=json)


def reset(backend: Backend, reason: MaybeReason = "", config: ConfigFile = None, json: AsJson = False) -> None:
    """Forget what is held against a backend: trip, quarantined keys, breakers, cool-offs. A drain stays.

    Example: hybridproxy reset together-us --reason "account topped up"
    """
    _give("backends", backend, "reset", {"reason": reason}, config, json=json)


def evacuate(
    region: Region, reason: Reason, lasting: Lasting = "1h", config: ConfigFile = None, json: AsJson = False
) -> None:
    """Send no new calls to the backends that lie in a region, wherever the caller is.

    Example: hybridproxy evacuate asia --reason "cable cut" --for 4h
    """
    _give("regions", region, "evacuate", {"reason": reason, "for": lasting}, config, json=json)


def restore(region: Region, reason: MaybeReason = "", config: ConfigFile = None, json: AsJson = False) -> None:
    """Send calls to an evacuated region's backends again.

    Example: hybridproxy restore asia
    """
    _give("regions", region, "restore", {"reason": reason}, config, json=json)


ORDERS = (drain, undrain, trip, reset, evacuate, restore)


def _give(place: str, name: str, order: str, body: dict[str, str], config: Path | None, *, json: bool) -> None:
    """Give an order, and say what came of it; status 1 where the other replicas could not be told."""
    port = AdminPort(config, json_output=json)
    result = port.demand("POST", f"/admin/v1/{place}/{quote(name, safe='')}/{order}", body, holds="message")
    if json:
        print_json(result)
    else:
        print(result["message"])
    if result.get("shared") is False:
        print("hybridproxy: Redis cannot be reached: so far only this replica knows", file=sys.stderr)
        raise typer.Exit(FOUND)
