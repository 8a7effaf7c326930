"""Background tasks that are not lost: the event loop itself keeps only a weak reference to a task."""

import asyncio
from collections.abc import Coroutine
from typing import Any

_alive: set[asyncio.Task[Any]] = set()


def spawn(coroutine: Coroutine[Any, Any, object], name: str) -> None:
    """Run a coroutine in the background and keep it until it is done; the name shows up in debuggers."""
    task = asyncio.create_task(coroutine, name=name)
    _alive.add(task)
    task.add_done_callback(_alive.discard)
