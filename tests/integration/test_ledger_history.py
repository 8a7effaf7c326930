"""Whatever happens to the processes that write it, a ledger's sums are those of what was put into it."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridproxy.metering.lines import Attempt
from hybridproxy.metering.records import Called, Outcome
from hybridproxy.metering.report import Rows, add_attempt, add_call
from hybridproxy.stores import ledger
from hybridproxy.stores.ledger_files import usage_in
from tests.hybridproxy.stores.test_ledger import kill
from tests.support.bookkeeping import DAY, NOON, Books, called, records_in, whole
from tests.support.patience import LONG

WHAT = st.sampled_from(["call", "call", "open", "flush", "restart", "kill"])
STEPS = st.lists(st.tuples(st.integers(0, 1), WHAT, st.integers(-3, 3)), max_size=15)


@given(STEPS)
@settings(max_examples=15)
def test_any_history_of_two_processes_ends_in_the_same_sums(steps: list[tuple[int, str, int]]) -> None:
    """Restarted, killed, written or not: two ledgers in one folder, with clocks that jump by days."""
    folder = Path(tempfile.mkdtemp())
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger, "STALLED", LONG)  # a busy machine is no disk that hangs
            asyncio.run(_history(folder, steps))
    finally:
        shutil.rmtree(folder)


async def _history(folder: Path, steps: list[tuple[int, str, int]]) -> None:
    """Let it happen, and compare."""
    expected: Rows = {}
    now = [NOON]
    books = [_started(folder, now) for _ in range(2)]
    flying: list[list[Attempt]] = [[], []]
    for n, (which, what, days) in enumerate(steps):
        now[0] = NOON + days * DAY
        attempt = whole(f"{n}", at=now[0], tenant=f"t{which}", mode="landed" if what == "open" else "fresh")
        if what == "call":
            books[which].put(attempt)
            books[which].ledger.put(called(attempt))
            add_attempt(expected, attempt.started, attempt.ended)
            add_call(expected, called(attempt))
        elif what == "open":
            books[which].ledger.put(attempt.started)
            flying[which].append(attempt)
        elif what == "flush":
            await books[which].flushed()
        elif what == "restart":
            _land(books[which], flying[which], expected)
            await books[which].close()
            books[which] = _started(folder, now)
        else:
            kill(books[which])
            books[which] = _started(folder, now)
            flying[which].clear()
    for each, open_ones in zip(books, flying, strict=True):
        _land(each, open_ones, expected)
        await each.close()
    records = records_in(folder)
    attempts = [one for one in records if isinstance(one, Attempt)]
    for one in attempts:
        if one.ended.outcome is Outcome.UNKNOWN:
            add_attempt(expected, one.started, one.ended)
    for call in records:
        if isinstance(call, Called) and call.code == "unknown":
            add_call(expected, call)
    assert sum(one.started.mode == "landed" for one in attempts) == sum(what == "open" for _, what, _ in steps)
    assert usage_in(folder).rows == expected


def _started(folder: Path, now: list[int]) -> Books:
    books = Books(folder, lambda: now[0] / 1000)
    books.ledger.start()
    return books


def _land(books: Books, flying: list[Attempt], expected: Rows) -> None:
    """End what is under way."""
    for attempt in flying:
        books.ledger.put(attempt.ended)
        add_attempt(expected, attempt.started, attempt.ended)
    flying.clear()
