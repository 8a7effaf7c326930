"""Calls that stay at a simulated upstream until a test lets them go: what is under way is no matter of pace."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from unittest import mock

from hybridproxy.simulator.calls import Call
from hybridproxy.simulator.server import RunningSimulator


@contextlib.contextmanager
def held(*simulators: RunningSimulator) -> Iterator[Callable[[], None]]:
    """Hold every call that comes to these, once it is read and counted, until the yielded function is called."""
    upstreams = {simulator.upstream for simulator in simulators}
    released = asyncio.Event()
    serve = Call._serve

    async def waits(call: Call, name: str, raw: bytes) -> None:
        if call._upstream in upstreams:
            await released.wait()
        await serve(call, name, raw)

    with mock.patch.object(Call, "_serve", waits):
        try:
            yield released.set
        finally:
            released.set()
