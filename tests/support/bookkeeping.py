"""Records of a ledger, made up; and what it means that two ledgers say the same."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from hybridproxy.metering.lines import Attempt, Record, record_in
from hybridproxy.metering.records import Basis, Called, Ended, Outcome, Started
from hybridproxy.model.usage import Usage
from hybridproxy.stores.ledger import FileLedger
from hybridproxy.stores.ledger_files import lines_of, segments_in, slots_in
from tests.support.patience import LONG

NOON = 1_795_780_800_000
"""2026-11-27T12:00:00Z in milliseconds."""

DAY = 86_400_000
TODAY = "2026-11-27"


def begun(call: str = "req_1", n: int = 0, **more: Any) -> Started:
    """An attempt that begins."""
    given: dict[str, Any] = {
        "at": NOON, "tenant": "shop", "model": "qwen", "region": "asia", "backend": "sg", "upstream": "qwen-sg",
        "credential": "sg#1", "mode": "fresh", "prompt": 100, "answer": 1000, "cost": 5000,
    }  # fmt: skip
    return Started(call, n, **given | more)


def over(started: Started, **more: Any) -> Ended:
    """Its end: answered, with tokens that the upstream told."""
    given: dict[str, Any] = {
        "outcome": Outcome.ANSWERED,
        "usage": Usage(90, 10),
        "cost": 700,
        "basis": Basis.TABLE,
        "table": 700,
    }
    return Ended(started.call, started.n, started.at + 900, **given | {"seconds": 0.9} | more)


def called(*attempts: Attempt, **more: Any) -> Called:
    """The call that these attempts were of."""
    last = attempts[-1].started
    given: dict[str, Any] = {
        "at": last.at + 1000, "tenant": last.tenant, "model": last.model, "region": last.region, "operation": "chat",
        "dialect": "openai", "stream": True, "status": 200, "code": "", "backend": last.backend,
        "attempts": len(attempts), "cost": sum(one.ended.cost for one in attempts), "seconds": 1.0,
    }  # fmt: skip
    return Called(last.call, **given | more)


def whole(call: str = "req_1", n: int = 0, **more: Any) -> Attempt:
    """An attempt as it is written down, without what was expected of it; `more` is of its beginning."""
    started = begun(call, n, **{"prompt": 0, "answer": 0, "cost": 0} | more)
    return Attempt(started, over(started))


names = st.sampled_from(("", "a", "b", "=c", "ü\n"))
counts = st.integers(0, 10**9)
usages = st.builds(
    Usage, counts, counts, counts, counts, estimated=st.booleans(), written=counts, cost=st.none() | counts
)


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    """Any attempt."""
    started = Started(
        f"req_{draw(counts)}", draw(st.integers(0, 3)), NOON + draw(st.integers(-2, 2)) * DAY, draw(names),
        draw(names), draw(names), draw(names), draw(names), draw(names), "fresh", 0, 0, 0,
    )  # fmt: skip
    ended = Ended(
        started.call, started.n, started.at + draw(counts), draw(st.sampled_from(Outcome)), draw(names), draw(usages),
        draw(counts), draw(st.sampled_from(Basis)), draw(counts), draw(st.booleans()), draw(st.integers(0, 999)) / 8,
    )  # fmt: skip
    return Attempt(started, ended)


@st.composite
def calls(draw: st.DrawFn) -> Called:
    """Any call."""
    return called(
        draw(attempts()), usage=draw(usages), status=draw(st.integers(0, 599)), code=draw(names),
        stream=draw(st.booleans()), estimated=draw(counts), seconds=draw(st.integers(0, 999)) / 8,
    )  # fmt: skip


def records_in(folder: Path) -> list[Record]:
    """All that is in a ledger's segments, in order."""
    found = [
        record_in(line) for slot in slots_in(folder) for one in segments_in(slot) if one.path.exists()
        for line in lines_of(one.path)
    ]  # fmt: skip
    assert None not in found
    return [record for record in found if record is not None]


class Books:
    """A ledger, and what it says."""

    def __init__(self, folder: Path, wall: Callable[[], float] = time.time, keep: int | None = None) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.folder = folder
        self.ledger = FileLedger(
            folder, keep=keep, wall=wall, new_id=lambda: "00c0ffee00c0ffee",
            log=lambda name, **fields: self.events.append((name, fields)),
        )  # fmt: skip

    def put(self, attempt: Attempt) -> None:
        """Put an attempt's beginning and end."""
        self.ledger.put(attempt.started)
        self.ledger.put(attempt.ended)

    async def flushed(self) -> None:
        """Wait until all that was put is in a segment, however long the disk takes."""
        assert await self.ledger.flushed(LONG), self.events

    async def close(self) -> None:
        """End it in order, however long the disk takes."""
        await self.ledger.close(LONG)
