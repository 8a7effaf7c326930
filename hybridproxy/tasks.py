"""Background tasks that are not lost, since the event loop keeps only a weak reference to a task; and their pauses."""

import asyncio
from collections.abc import Coroutine
from typing import Any

_alive: set[asyncio.Task[Any]] = set()


def spawn(coroutine: Coroutine[Any, Any, object], name: str) -> None:
    """Run a coroutine in the background and keep it until it is done; the name shows up in debuggers."""
    task = asyncio.create_task(coroutine, name=name)
    _alive.add(task)
    task.add_done_callback(_alive.discard)


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, for so long at most; return whether it came."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        return False
    return True
