"""Simulators for the tests, on any free port, gone when the test ends."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from hybridproxy.simulator.server import RunningSimulator, SimulatorSpec, serve

Start = Callable[..., Awaitable[RunningSimulator]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Return a function that starts a provider's simulator with settings."""
    async with AsyncExitStack() as stack:

        async def starting(provider: str = "openai", **settings: Any) -> RunningSimulator:
            running = await serve([SimulatorSpec(provider)])
            stack.push_async_callback(running.close)
            running[provider].behave(settings)
            return running[provider]

        yield starting
