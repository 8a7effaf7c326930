"""Background tasks that are not lost."""

import asyncio
import gc
import weakref

from hybridproxy import tasks


async def test_a_task_nobody_holds_is_done_nevertheless() -> None:
    """The garbage collector finds a spawned task kept, until it is done and forgotten."""
    gate, done = asyncio.Event(), asyncio.Event()
    seen: list[weakref.ref[asyncio.Task[object]]] = []

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        assert task.get_name() == "work of the test"
        seen.append(weakref.ref(task))
        del task
        await gate.wait()
        done.set()

    tasks.spawn(work(), "work of the test")
    await asyncio.sleep(0)
    gc.collect()
    (task,) = seen
    assert task() in tasks._alive
    gate.set()
    await asyncio.wait_for(done.wait(), 30)
    await asyncio.sleep(0)
    assert task() not in tasks._alive


async def test_a_task_that_fails_or_is_cancelled_is_forgotten_too() -> None:
    """No end of a task leaves it in memory."""
    before = set(tasks._alive)

    async def forever() -> None:
        await asyncio.Event().wait()

    tasks.spawn(forever(), "cancelled")
    (task,) = tasks._alive - before
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert tasks._alive == before


async def test_a_wait_ends_with_its_event_or_its_time() -> None:
    """Whichever is first; a time that is over already is no wait."""
    event = asyncio.Event()
    assert not await tasks.wait(event, 0.01)
    assert not await tasks.wait(event, -1.0)
    asyncio.get_running_loop().call_soon(event.set)
    assert await tasks.wait(event, 60.0)
