"""A decision as people see it: in `explain`, in `x-hybridproxy-decision` and in the log it is this one value."""

import json
from collections.abc import Sequence
from typing import Any

from hybridproxy.model.caller import Caller
from hybridproxy.model.plan import Candidate

MAX_HEADER = 2048
"""Bytes of the decision in a response header; many load balancers refuse longer ones."""


def decision(model: str, caller: Caller, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Return who asked from where, and what became of every backend, best first."""
    return {
        "caller": {
            "country": caller.location.country,
            "source": caller.location.source,
            "region": caller.region,
        },
        "tenant": caller.tenant.id,
        "model": model,
        "candidates": listed(candidates),
    }


def listed(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Return the candidates as plain values."""
    return [{"backend": c.backend, "kept": c.kept, "reason": c.reason} for c in candidates]


def header(value: dict[str, Any]) -> str:
    """Return a decision as compact ASCII JSON of at most `MAX_HEADER` bytes.

    Where it would be longer the last candidates are left out, and `truncated` says how many.
    """
    text = _compact(value)
    candidates = value["candidates"]
    count = len(candidates)
    while len(text) > MAX_HEADER and count > 0:
        count = count * 3 // 4
        text = _compact({**value, "candidates": candidates[:count], "truncated": len(candidates) - count})
    return text if len(text) <= MAX_HEADER else _compact({"truncated": len(candidates)})


def _compact(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).replace("\x7f", "\\u007f")
