"""The decision for a call that is only described: the same `plan` as for a real one, and the same value comes out."""

import random
from typing import Any

from hybridproxy.gateway.running import Running
from hybridproxy.model.call import Call, Capability, Operation
from hybridproxy.model.caller import Caller
from hybridproxy.model.health import Health
from hybridproxy.model.load import NO_LOADS, Loads
from hybridproxy.model.plan import Plan, Refusal, Target
from hybridproxy.residency.demand import parse_demand
from hybridproxy.routing.decision import decision
from hybridproxy.routing.plan import plan, plan_sovereign
from hybridproxy.stores.limiters import Limiters


class ExplainError(Exception):
    """A description that describes no call; the text says what is wrong with it."""


def explain(
    running: Running,
    described: dict[str, Any],
    *,
    health: Health,
    now: float,
    loads: Loads = NO_LOADS,
    limiters: Limiters | None = None,
) -> dict[str, Any]:
    """Return the decision for a described call, with the attempts it would make in order.

    Args:
        running: the configuration.
        described: `tenant`, `model`, and where they matter `address` (the client's), `operation` (chat), `stream`
            (false), `needs` (list of capabilities), `size` (bytes of the body), `residency` (as in the header).
        health: the targets that are not fit.
        now: seconds on the clock of `health` and `loads`.
        loads: how loaded endpoints are, and how soon backends answer.
        limiters: how much of our credentials is in use; an attempt at one that has no room says why, as `full`.

    Raises:
        ExplainError: something in the description is wrong.

    """
    tenant = running.snapshot.tenants.get(_text(described, "tenant"))
    if tenant is None:
        raise ExplainError(f"there is no tenant {_text(described, 'tenant')!r}")
    location, region = running.whereabouts(_text(described, "address", ""), ())
    try:
        operation = Operation(_text(described, "operation", Operation.CHAT.value))
        needs = frozenset(Capability(need) for need in described.get("needs") or ())
        size = int(described.get("size") or 0)
        demands = parse_demand(_text(described, "residency")) if "residency" in described else None
    except (ValueError, TypeError) as error:
        raise ExplainError(str(error)) from None
    call = Call(
        operation=operation,
        model=_text(described, "model"),
        stream=described.get("stream") is True,
        wants_usage=False,
        choices=1,
        needs=needs,
        size=size,
        body={"prompt": "x" * min(size, 1 << 24)},
    )
    caller = Caller(tenant, location, tenant.region or region, demands)
    if not running.snapshot.plane.serves(sovereign=caller.sovereign):
        raise ExplainError(f"this process serves the {running.snapshot.plane.value} plane: ask one of the other")
    make = plan_sovereign if caller.sovereign else plan
    chosen: Plan[Any] | Refusal = make(call, caller, running.snapshot, health, now, random.Random(0), loads)  # noqa: S311
    answer = decision(call.model, caller, chosen.candidates)
    if isinstance(chosen, Refusal):
        return {**answer, "refused": chosen.kind.value, "message": chosen.message}
    return {**answer, "attempts": [_attempt(target, limiters) for target in chosen.targets]}


def _attempt(target: Target[Any], limiters: Limiters | None) -> dict[str, Any]:
    named = {"backend": target.backend.id, "endpoint": target.endpoint.authority, "model": target.model}
    full = None if limiters is None else limiters.full(target)
    return named if full is None else {**named, "full": full.why}


def _text(described: dict[str, Any], name: str, default: str | None = None) -> str:
    value = described.get(name, default)
    if not isinstance(value, str):
        raise ExplainError(f"{name!r} must be a text")
    return value
