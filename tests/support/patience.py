"""How long a test waits for what has to come: a machine that is busy with others lets a process stand for seconds."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

LONG: Final = 60.0
"""Seconds that are never over where all is well, however busy the machine is."""

DAY: Final = 86_400


async def until(condition: Callable[[], object], seconds: float = LONG) -> None:
    """Wait for what another task, a thread or a process brings about."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def begin_a_day(seconds: float = 90.0) -> None:
    """Let midnight (UTC) pass where it is near: what counts by days would see two of them in one test."""
    left = DAY - time.time() % DAY
    if left < seconds:
        time.sleep(left + 0.1)
