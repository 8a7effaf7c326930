"""`hybridproxy state`."""

from typing import Any, Final

import typer

from hybridproxy.cli.admin_client import AdminPort
from hybridproxy.cli.common import FOUND, AsJson, ConfigFile, print_columns, print_json
from hybridproxy.model.price import NANO


def state(config: ConfigFile = None, json: AsJson = False) -> None:
    """Show which backends, regions and keys are out of service and why, and how they come back.

    Exit status 1: something is out, calls are refused because of the load, or Redis cannot be reached.

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
    is_out = bool(answer["marks"] or answer["pressure"]["reasons"]) or any(
        target["admits"] in {"none", "probe"} for target in targets
    )
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
    _table(
        ("LIMIT OF", "MODELS", "BOUNDS", "LIMIT", "ITS SHARE HERE", "IN USE", "REFUSED"),
        [_tenant_limit_row(limit) for limit in answer.get("limits", ())],
        more=answer.get("limits_left_off", 0),
    )
    _table(
        ("LIMITED", "KEY", "MODEL", "IN USE", "LEARNT", "WAITING", "REFUSED"),
        [_limit_row(row) for row in answer.get("upstream_limits", ())],
    )
    print(f"under way  {', '.join(f'{count} {what}' for what, count in answer['under_way'].items()) or '-'}")
    print(f"load       {_load(answer['pressure'])}")
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


def _tenant_limit_row(limit: dict[str, Any]) -> tuple[str, ...]:
    """Return what a limit of a tenant has in use as columns."""
    bounds, in_dollars = _BOUNDS[limit["measure"]]
    amounts = [f"{limit[what] / NANO:.4f}" if in_dollars else f"{limit[what]:,}" for what in ("limit", "share", "used")]
    return limit["tenant"], limit["models"], bounds, *amounts, f"{limit['refused']:,}"


_BOUNDS: Final = {
    "requests": ("requests in 60 s", False),
    "tokens": ("tokens in 60 s", False),
    "streams": ("calls at a time", False),
    "day": ("US dollars today", True),
    "month": ("US dollars this month", True),
}


def _limit_row(row: dict[str, Any]) -> tuple[str, ...]:
    """Return what limits our use of a backend as columns."""
    used = [f"{one['used']} of {one['limit']} {_MEASURES[name]}" for name, one in row["limits"].items()]
    learnt = [_LEARNT[name].format(value) for name, value in row["learnt"].items() if value is not None]
    place = (row["backend"], row["credential"], row["model"] or "all models")
    return *place, "; ".join(used) or "-", "; ".join(learnt) or "-", str(row["waiting"]), str(row["refused"])


_MEASURES = {"rpm": "requests a minute", "tpm": "tokens a minute", "streams": "calls at a time"}
_LEARNT = {
    "at_a_time": "{} calls at a time",
    "rpm": "{} requests a minute",
    "nothing_left_for": "nothing left for {} s",
}


def _out(thing: dict[str, Any]) -> str:
    return _ended(thing["out"]) if thing["out"] else "in service"


def _ended(mark: dict[str, Any]) -> str:
    return f"{mark['why']} until {mark['until']}: {mark['reason']}"


def _load(pressure: dict[str, Any]) -> str:
    said = (
        f"waits of {pressure['lag_ms']:g} ms, memory {pressure['memory'] / 1e6:.0f} of "
        f"{pressure['memory_limit'] / 1e6:.0f} MB, at most {pressure['most_calls']} calls"
    )
    refused = ", ".join(f"{count} because of {reason}" for reason, count in pressure["refused"].items() if count)
    now = f"; refuses calls now because of {', '.join(pressure['reasons'])}" if pressure["reasons"] else ""
    return said + now + (f"; refused so far: {refused}" if refused else "")


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
