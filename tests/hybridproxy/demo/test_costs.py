from typing import Any

import pytest

from hybridproxy.demo.costs import mistakes, table


def row(tenant: str, calls: int, tokens: int = 5, usd: str = "0.000001000", backend: str = "vpc") -> dict[str, Any]:
    """Return a row of the ledger's answer."""
    return {"tenant": tenant, "backend": backend, "calls": calls, "completion_tokens": tokens, "cost_usd": usd}


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ([row("shop", 2), row("shop", 1, tokens=0, usd="0.000000000"), row("bank", 1)], []),
        ([row("shop", 2), row("bank", 1)], ["calls of shop: 3 were made, the ledger tells of 2"]),
        (
            [row("shop", 3, usd="0.000000000"), row("bank", 1)],
            ["vpc answered shop, and the ledger says it cost nothing"],
        ),
        (
            [],
            [
                "calls of shop: 3 were made, the ledger tells of 0",
                "calls of bank: 1 were made, the ledger tells of 0",
                "the ledger is empty",
            ],
        ),
    ],
)
def test_the_tour_notices_what_the_ledger_lacks(rows: list[dict[str, Any]], wrong: list[str]) -> None:
    """A call that is missing, an answer for nothing and an empty ledger are no success."""
    assert mistakes({"rows": rows}, {"shop": 3, "bank": 1}) == wrong


def test_the_table_ends_with_the_total() -> None:
    """A row for each tenant and backend; what no backend was asked for stands there as well."""
    sums = {"attempts": 3, "prompt_tokens": 6, "estimated_usd": "0.000000000"}
    whole = {name: number for name, number in row("", 2).items() if name not in {"tenant", "backend"}}
    told = {"rows": [row("shop", 2, backend="") | sums], "total": whole | sums}
    assert table(told) == [
        ["tenant", "backend", "calls", "tries", "in", "out", "dollars", "estimated"],
        ["shop", "none", "2", "3", "6", "5", "0.000001000", "0.000000000"],
        ["total", " ", "2", "3", "6", "5", "0.000001000", "0.000000000"],
    ]
