"""Sums of what calls used and cost."""

import random

from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.metering import report
from hybridproxy.metering.lines import Attempt
from hybridproxy.metering.records import Basis, Called, Outcome
from hybridproxy.metering.report import FIELDS, OTHERS, Rows, add_attempt, add_call, chosen, day_of, grouped, merge
from hybridproxy.model.usage import Usage
from tests.support.bookkeeping import DAY, NOON, TODAY, attempts, begun, called, calls, over, whole


def summed(records: list[Attempt | Called]) -> Rows:
    """Sum records up."""
    rows: Rows = {}
    for record in records:
        if isinstance(record, Called):
            add_call(rows, record)
        else:
            add_attempt(rows, record.started, record.ended)
    return rows


def by_name(sums: list[int]) -> dict[str, int]:
    """What is not 0."""
    return {name: number for name, number in zip(FIELDS, sums, strict=True) if number}


def test_an_attempt_is_counted_by_what_it_used_and_who_says_what_it_cost() -> None:
    """The upstream's word, the table's price and estimates are told apart."""
    started = begun()
    rows: Rows = {}
    for ended in (
        over(started, usage=Usage(90, 10, 40, 5, written=20)),
        over(started, usage=Usage(90, 10, estimated=True), cost=300, basis=Basis.ESTIMATE, table=300, priced=False),
        over(started, cost=50, basis=Basis.UPSTREAM),
        over(started, cost=0, basis=Basis.NOTHING, table=0, usage=Usage(0, 0)),
        over(started, cost=1, basis=Basis.ESTIMATE, table=1, usage=Usage(0, 0), outcome=Outcome.UNKNOWN),
    ):
        assert add_attempt(rows, started, ended) == (TODAY, "shop", "qwen", "sg", "asia")
    assert by_name(rows[TODAY, "shop", "qwen", "sg", "asia"]) == {
        "attempts": 5, "unknown": 1, "prompt": 270, "completion": 30, "cached": 40, "written": 20, "reasoning": 5,
        "guessed": 100, "cost": 1051, "estimated": 301, "upstream": 50, "table": 1701, "unpriced": 1,
    }  # fmt: skip


def test_a_call_counts_for_the_day_it_began() -> None:
    """A stream that ends after midnight is yesterday's, as its attempt is."""
    late = whole(at=NOON + DAY // 2 - 500)
    assert set(summed([late, called(late, at=NOON + DAY // 2 + 500)])) == {(TODAY, "shop", "qwen", "sg", "asia")}
    assert day_of(NOON + DAY // 2) == "2026-11-28"
    assert day_of(-1) == "1970-01-01"
    assert day_of(10**17) == "9999-12-31"


@given(st.lists(attempts() | calls(), max_size=30), st.randoms(use_true_random=False))
def test_it_is_all_the_same_how_records_are_split_and_ordered(
    records: list[Attempt | Called], rng: random.Random
) -> None:
    """Over ledgers, restarts and segments: the sum of the parts is the whole."""
    parts: list[list[Attempt | Called]] = [[], [], []]
    for record in rng.sample(records, len(records)):
        rng.choice(parts).append(record)
    together: Rows = {}
    for part in parts:
        assert set(merge(together, summed(part))) == set(summed(part))
    assert together == summed(records)


def test_more_rows_than_there_is_room_for_are_counted_together(monkeypatch: object) -> None:
    """A caller that makes names up costs no memory, its tenant keeps its sums, and no money is lost."""
    monkeypatch.setattr(report, "MAX_ROWS", 3)  # type: ignore[attr-defined]
    rows = summed([whole(str(n), model=f"m{n}", tenant="loud") for n in range(10)])
    assert len(rows) == 4
    assert rows[TODAY, "loud", OTHERS, OTHERS, OTHERS][report.COST] == 7 * 700
    many = summed([whole(str(n), model=f"m{n}", tenant=f"t{n}") for n in range(20)])
    assert len(many) == 7
    assert many[TODAY, OTHERS, OTHERS, OTHERS, OTHERS][report.COST] == 14 * 700
    assert merge({}, many)[-1] == (TODAY, OTHERS, OTHERS, OTHERS, OTHERS)
    long = summed([whole(model="m" * 1000)])
    assert max(len(key[2]) for key in long) == report.MAX_NAME


def test_rows_are_chosen_by_tenant_and_days_and_put_together() -> None:
    """The last day is the one before `until`."""
    rows = summed([
        whole("1"), whole("2", at=NOON + DAY), whole("3", at=NOON - DAY, model="b"), whole("4", tenant="bank"),
    ])  # fmt: skip
    shop = chosen(rows, "shop", "", "")
    assert grouped(shop, ["model", "day"]).keys() == {("b", "2026-11-26"), ("qwen", TODAY), ("qwen", "2026-11-28")}
    assert [key[0] for key in chosen(rows, "shop", TODAY, "2026-11-28")] == [TODAY]
    assert len(chosen(rows, None, "", "")) == 4
    assert grouped(shop, [])[()] == report.total(shop.values())
    assert report.total([])[report.COST] == 0


def test_what_was_spent_is_known_by_day_tenant_and_model() -> None:
    """So that a budget goes on after a restart."""
    free = begun("5", tenant="free")
    rows = summed([
        whole("1"), whole("2", backend="us"), whole("3", at=NOON - DAY), whole("4", at=NOON - 30 * DAY),
        Attempt(free, over(free, cost=0)),
    ])  # fmt: skip
    assert report.spent(rows) == [
        ("2026-10-28", "shop", "qwen", 700), ("2026-11-26", "shop", "qwen", 700), (TODAY, "shop", "qwen", 1400),
    ]  # fmt: skip
