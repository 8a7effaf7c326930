"""A look and a hand inside a running stack: its configuration, its open connections, the calls in its log."""

from typing import Any

from hybridproxy.resilience.hedge import KEPT
from tests.support.stack import Stack


async def change(stack: Stack, *pairs: tuple[str, str]) -> None:
    """Reload with parts of the configuration replaced."""
    text = stack.worker.path.read_text()
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    stack.worker.path.write_text(text)
    assert await stack.worker.reload() == []


def connections(stack: Stack) -> list[Any]:
    """Return the protocols of the callers' open connections."""
    assert stack.worker.connections is not None
    return list(stack.worker.connections._connections)


def keep_alive(stack: Stack, seconds: float) -> None:
    """Set how long a connection may be idle, for those that come."""
    assert stack.worker.connections is not None
    stack.worker.connections._kwargs["keepalive_timeout"] = seconds


def usually(stack: Stack, seconds: float) -> None:
    """Let the targets that were called so far be known to take so long: a busy machine is no reason to hedge then."""
    for times in stack.worker.gateway._parts.first_tokens.values():
        for _ in range(KEPT):
            times.add(seconds)


async def finished(stack: Stack) -> list[dict[str, Any]]:
    """Return the log lines of the calls so far: of all, once none is under way."""
    await stack.until(lambda: stack.worker.gateway.in_flight == 0)
    return [line for line in await stack.lines() if line["event"] == "call.finished"]
