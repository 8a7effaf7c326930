"""`hybridproxy state`."""

from typing import Any

import typer

from hybridproxy.cli.admin_client import AdminPort
from hybridproxy.cli.common import FOUND, AsJson, ConfigFile, print_columns, print_json


def state(config: ConfigFile = None, json: AsJson = False) -> None:
    """Show which backends, regions and keys are out of service and why, and how they come back.

    Exit status 1: something is out, or Redis cannot be reached.

    Example: hybridproxy state --config /etc/hybridproxy.yaml
    """
    answer = AdminPort(config, json_output=json).demand("GET", "/admin/v1/state", holds="backends")
    if json:
        print_json(answer)
    else:
        _print(answer)
    if _finds(answer):
        raise typer.Exit(FOUND)


def _finds(answer: dict[str, Any]) -> bool:
    """Return whether something is out of service; what comes back by a ramp is not."""
    sharing = answer["sharing"]
    targets = [target for backend in answer["backends"] for target in backend["targets"]]
    is_out = bool(answer["marks"]) or any(target["admits"] in {"none", "probe"} for target in targets)
    return is_out or (sharing is not None and not sharing["up"])


def _print(answer: dict[str, Any]) -> None:
    backends = answer["backends"]
    _table(
        ("BACKEND", "PROVIDER", "REGION", "TRUST", "SERVICE"),
        [
            (b["id"], " ".join(filter(None, (b["provider"], b["site"]))), b["region"] or "-", b["trust"], _out(b))
            for b in backends
        ],
    )
    _table(
        ("TARGET OF", "ENDPOINT", "MODEL", "KEY", "BREAKER", "OPENED", "STARTS", "ENDS", "WHAT IS KNOWN"),
        [_target_row(backend["id"], target) for backend in backends for target in backend["targets"]],
        more=answer["targets_left_off"],
    )
    _table(
        ("REGION", "ITS BACKENDS", "SERVICE"),
        [(region["id"], ", ".join(region["backends"]) or "-", _out(region)) for region in answer["regions"]],
    )
    keys = [mark for mark in answer["marks"] if "credential" in mark]
    _table(
        ("KEY", "BACKEND", "FOR", "SERVICE"),
        [(key["credential"], key["backend"], key.get("model", "all models"), _ended(key)) for key in keys],
    )
    print(f"under way  {', '.join(f'{count} {what}' for what, count in answer['under_way'].items()) or '-'}")
    print(f"sharing    {_sharing(answer['sharing'])}")


def _target_row(backend: str, target: dict[str, Any]) -> tuple[str, ...]:
    """Return what is known of a target as columns."""
    known = [target["reason"] or "fit"]
    if target["ramp"] is not None:
        known.append(f"gets {target['ramp']:.0%} of its calls")
    if target["open_until"] is not None:
        known.append(f"checked at {target['open_until']}")
    if target["cooling_until"] is not None:
        known.append(f"cools off until {target['cooling_until']}")
    faults = tuple(f"{target[what]['faults']} of {target[what]['seen']} failed" for what in ("starts", "ends"))
    place = (backend, target["endpoint"], target["model"], target["credential"])
    return *place, target["phase"], str(target["opens"]), *faults, "; ".join(known)


def _out(thing: dict[str, Any]) -> str:
    return _ended(thing["out"]) if thing["out"] else "in service"


def _ended(mark: dict[str, Any]) -> str:
    return f"{mark['why']} until {mark['until']}: {mark['reason']}"


def _sharing(sharing: dict[str, Any] | None) -> str:
    if sharing is None:
        return "none: each replica knows its own"
    age = sharing["seconds_since_sync"]
    last = "never synced" if age is None else f"last synced {age} s ago"
    workers = f"{sharing['live_workers']} live worker{'s' if sharing['live_workers'] != 1 else ''}"
    return f"through Redis: {workers}, {last}" if sharing["up"] else f"Redis cannot be reached: {last}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]], more: int = 0) -> None:
    """Print columns as wide as they need to be, and nothing where there is no row."""
    if not rows:
        return
    print_columns([head, *rows])
    print(f"… and {more} more\n" if more else "")
