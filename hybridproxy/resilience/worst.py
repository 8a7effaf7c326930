"""What the caller is told when no attempt was good."""

from typing import Final

from hybridproxy.model.fault import FACTS, Fault, FaultKind, Retry

NOBODY_LEFT: Final = Fault(FaultKind.OVERLOADED, "every backend that may serve this call has just become unavailable")


def worst(faults: list[Fault]) -> Fault:
    """Return the fault the caller is told when every attempt failed: the last, with what came before in its words.

    A fault of the caller's own (an invalid request) stands for itself. Throttling is told as such only when every
    attempt was throttled; the shortest wait is passed on where waiting can help.
    """
    last = faults[-1]
    if len(faults) == 1 or last.facts.retry is Retry.NEVER:
        return last
    kind = last.kind
    if kind is FaultKind.THROTTLED and any(f.kind is not FaultKind.THROTTLED for f in faults):
        kind = FaultKind.OVERLOADED
    helps = FACTS[kind].status >= 429
    waits = [fault.retry_after for fault in faults if fault.retry_after is not None and helps]
    return Fault(
        kind=kind,
        code=last.code,
        retry_after=min(waits) if waits else None,
        billed=any(f.billed for f in faults),
        words="; ".join(f.sentence() for f in faults),
    )
