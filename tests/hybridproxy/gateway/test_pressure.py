"""The measuring of a worker's load, on a real loop with a clock of the test's own."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hybridproxy.gateway.memory import Memory
from hybridproxy.gateway.pressure import TICK, Pressure
from hybridproxy.resilience.shedding import Shed


class World:
    """What a worker's load is measured by."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls = 0
        self.held = 100
        self.limit = 1000
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def resident(self) -> int:
        return self.held

    def log(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))


@pytest.fixture
async def world() -> World:
    """A calm one."""
    return World()


@pytest.fixture
async def pressure(world: World) -> AsyncIterator[Pressure]:
    """A load that nobody measures unless the test does; its clock stands still."""
    memory: Memory = world  # type: ignore[assignment]
    made = Pressure(lambda: world.calls, memory, clock=lambda: world.now, log=world.log, most=10, late=0.1)
    asyncio.get_running_loop().add_reader(made._near, made._heard)
    yield made
    asyncio.get_running_loop().remove_reader(made._near)
    made.close()


async def passes(pressure: Pressure, world: World, seconds: float, lag: float = 0.0) -> None:
    """Let time pass in which what comes has to wait for so long."""
    end = world.now + seconds
    while world.now < end:
        pressure._tick()
        assert pressure._timer is not None
        pressure._timer.cancel()
        world.now += lag
        while pressure._sent is not None:
            await asyncio.sleep(0)
        world.now += TICK


async def test_no_more_calls_at_a_time_than_are_allowed(pressure: Pressure, world: World) -> None:
    """The eleventh of ten is refused, and let in once one of them is over."""
    world.calls = 9
    assert pressure.refuses() is None
    world.calls = 10
    assert pressure.refuses() is Shed.CALLS
    assert pressure.refuses(seen=True) is Shed.CALLS
    world.calls = 9
    assert pressure.refuses() is None


async def test_a_call_that_was_let_in_early_is_not_counted_twice(pressure: Pressure, world: World) -> None:
    """What was let in before it was read is asked only whether there are too many meanwhile."""
    await passes(pressure, world, 4, lag=0.4)
    assert pressure.engaged
    pressure._room = 1.0
    assert pressure.refuses() is None
    assert pressure.refuses(seen=True) is None
    assert pressure.refuses() is Shed.LAG


async def test_a_late_loop_begins_and_ends_it_and_the_log_says_so(pressure: Pressure, world: World) -> None:
    """One line when the first call is refused, one when none was for 3 s; not one for each call."""
    await passes(pressure, world, 1)
    assert not pressure.engaged
    await passes(pressure, world, 3, lag=0.3)
    assert pressure.engaged
    assert pressure.lag == pytest.approx(0.3)
    refused = sum(pressure.refuses() is Shed.LAG for _ in range(50))
    assert 0 < refused < 50
    assert pressure.shown()["reasons"] == ["lag"]
    await passes(pressure, world, 8)
    assert not pressure.engaged
    assert pressure.shown()["reasons"] == []
    assert pressure.shown()["refused"] == {"calls": 0, "memory": 0, "lag": refused}
    assert [(event, fields["reason"]) for event, fields in world.lines] == [
        ("shedding.began", "lag"),
        ("shedding.ended", "lag"),
    ]
    assert world.lines[1][1]["refused"] == refused


async def test_memory_begins_and_ends_it(pressure: Pressure, world: World) -> None:
    """At four fifths of the limit, with more than a few calls under way."""
    world.calls, world.held = 9, 800
    await passes(pressure, world, 0.2)
    assert pressure.refuses() is Shed.MEMORY
    world.held = 700
    await passes(pressure, world, 0.2)
    assert pressure.refuses() is None


async def test_figures_for_metrics_and_operators(pressure: Pressure, world: World) -> None:
    """They name what the rules look at."""
    world.calls = 10
    pressure.refuses()
    gauges = pressure.gauges()
    assert gauges["hybridproxy_shed_calls"] == 1
    assert gauges["hybridproxy_shedding"] == 1
    assert gauges["hybridproxy_memory_limit_bytes"] == 1000
    assert pressure.shown() == {
        "reasons": ["calls"],
        "refused": {"calls": 1, "memory": 0, "lag": 0},
        "calls": 10,
        "most_calls": 10,
        "lag_ms": 0.0,
        "memory": 100,
        "memory_limit": 1000,
        "rate": None,
    }


async def test_a_running_loop_is_measured(world: World) -> None:
    """Started, it measures by itself until it is closed; a loop that is in time is no reason to refuse calls."""
    loop = asyncio.get_running_loop()
    memory: Memory = world  # type: ignore[assignment]
    # late: not even where the machine stands still for a moment
    pressure = Pressure(lambda: 0, memory, clock=loop.time, log=world.log, most=10, late=60.0)
    world.held = 0
    pressure.start()
    world.held = 333
    async with asyncio.timeout(30):
        while pressure.held != 333:
            await asyncio.sleep(0.01)
    pressure.close()
    assert not pressure.engaged
