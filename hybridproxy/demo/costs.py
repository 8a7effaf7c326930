"""The tour's end: what its own calls used and cost, as the proxy's ledger tells it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hybridproxy.demo import local_http
from hybridproxy.demo.screen import Screen
from hybridproxy.demo.tour import Step

HEADLINE: Final = "What these calls cost"
PATH: Final = "/admin/v1/usage?by=tenant,backend"
COLUMNS: Final = {
    "calls": "calls",
    "tries": "attempts",
    "in": "prompt_tokens",
    "out": "completion_tokens",
    "dollars": "cost_usd",
    "estimated": "estimated_usd",
}
"""What is shown of a row: `in` and `out` are tokens."""

WHY: Final = (
    "Each attempt is in the ledger with the tokens that its upstream reported, at the dated price of that model there; "
    "where the upstream told its own price, that one counts. What failed or was cut off after it was sent counts too, "
    "by an estimate that says so, since it may be on a bill. `hybridproxy usage` shows the same at any time."
)


def costs(number: int, total: int, port: int, token: str, steps: Sequence[Step], screen: Screen) -> bool:
    """Show what the tour cost; return whether anything was not as expected.

    Args:
        number: of this step.
        total: of all steps.
        port: the admin port.
        token: what it asks for.
        steps: the calls that were made one by one.
        screen: where it is shown.

    """
    screen.headline(number, total, HEADLINE)
    answered = local_http.json_of(port, PATH, {"authorization": f"Bearer {token}"})
    if not isinstance(answered, dict) or "rows" not in answered:
        screen.wrong(["the admin port does not tell what calls cost"])
        return True
    screen.table(table(answered))
    wrong = mistakes(answered, Counter(step.caller.tenant for step in steps))
    screen.labelled("why", WHY)
    screen.wrong(wrong)
    return bool(wrong)


def table(answered: Mapping[str, Any]) -> list[list[str]]:
    """Return an answer as rows of text under a row of names, the total last."""
    rows = [*answered["rows"], {"tenant": "total", "backend": " "} | answered["total"]]
    cells = [[row["tenant"], row["backend"] or "none", *(str(row[name]) for name in COLUMNS.values())] for row in rows]
    return [["tenant", "backend", *COLUMNS], *cells]


def mistakes(answered: Mapping[str, Any], made: Mapping[str, int]) -> list[str]:
    """Return what is wrong with an answer by tenant and backend, given how many calls tenants have made."""
    rows: list[Mapping[str, Any]] = answered["rows"]
    wrong = []
    for tenant, calls in made.items():
        told = sum(row["calls"] for row in rows if row["tenant"] == tenant)
        if told != calls:
            wrong.append(f"calls of {tenant}: {calls} were made, the ledger tells of {told}")
    free = [row for row in rows if row["completion_tokens"] and float(row["cost_usd"]) <= 0]
    wrong += [f"{row['backend']} answered {row['tenant']}, and the ledger says it cost nothing" for row in free]
    if not rows:
        wrong.append("the ledger is empty")
    return wrong
