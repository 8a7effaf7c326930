import asyncio

import pytest

from hybridproxy.transport.sweep import Sweep
from tests.hybridproxy.transport.wire import until


class Item:
    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.told: list[float] = []

    def expired(self, now: float) -> None:
        """Take the news."""
        self.told.append(now)
        self.deadline = None


async def test_only_the_late_are_told() -> None:
    """An item hears at the first tick at or after its deadline, once, and one without a deadline never."""
    sweep = Sweep(3600)
    early, late, never = Item(10.0), Item(20.0), Item(None)
    for item in (early, late, never):
        sweep.register(item)
    sweep.tick(9.9)
    sweep.tick(10.0)
    sweep.tick(20.5)
    sweep.tick(21.0)
    assert (early.told, late.told, never.told) == ([10.0], [20.5], [])


async def test_a_deadline_may_move_at_any_time() -> None:
    """Moving it is setting an attribute; the sweep needs no word of it."""
    sweep = Sweep(3600)
    item = Item(10.0)
    sweep.register(item)
    item.deadline = 30.0
    sweep.tick(20.0)
    assert item.told == []


async def test_one_item_may_end_another() -> None:
    """Who left, or was moved, while the late ones are being told is not told."""
    sweep = Sweep(3600)
    items = [Item(1.0) for _ in range(3)]

    class Ending(Item):
        def expired(self, now: float) -> None:
            super().expired(now)
            for item in items:
                if not item.told:
                    sweep.unregister(item)

    class Moving(Item):
        def expired(self, now: float) -> None:
            super().expired(now)
            for item in items:
                if not item.told:
                    item.deadline = 99.0

    for kind in (Ending, Moving):
        items[:] = [kind(1.0) for _ in range(3)]
        for item in items:
            sweep.register(item)
        sweep.tick(2.0)
        assert sum(len(item.told) for item in items) == 1


async def test_the_timer_runs_only_while_there_is_something_to_watch() -> None:
    """It starts with the first item, ticks by itself, stops after the last, and starts again."""
    sweep = Sweep(0.001)
    for _ in range(2):
        item = Item(sweep.time() + 0.003)
        sweep.register(item)
        sweep.register(item)
        assert len(sweep) == 1
        await until(item.told.copy)
        assert sweep._ticking
        sweep.unregister(item)
        sweep.unregister(item)
        await until(lambda: not sweep._ticking)


async def test_a_bug_in_one_item_does_not_stop_the_clock_of_the_others() -> None:
    """The loop reports the exception, and everyone else is told at the next tick."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))

    class Broken(Item):
        def expired(self, now: float) -> None:
            self.deadline = None
            raise ZeroDivisionError

    sweep = Sweep(0.001)
    items = [Item(0.0), Broken(0.0), Item(0.0)]
    for item in items:
        sweep.register(item)
    await until(lambda: items[0].told and items[2].told)
    assert [type(error) for error in reported] == [ZeroDivisionError]
    for item in items:
        sweep.unregister(item)


def test_it_needs_a_running_loop() -> None:
    """Made before the loop runs it would watch nothing, so that is refused."""
    with pytest.raises(RuntimeError):
        Sweep()
