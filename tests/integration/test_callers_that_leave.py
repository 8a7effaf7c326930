"""Callers that leave, at every moment of a call: nothing of them stays but the record of what they had."""

import asyncio
import contextlib
import gc
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.inside import connections, finished
from tests.support.raw_calls import call, head
from tests.support.stack import Stack, chat

PHASES = ("head", "body", "sent", "planned", "waiting", "first byte", "stream", "end")


async def leaves(stack: Stack, phase: str, rng: random.Random, *, stream: bool) -> None:
    """Make one call and leave in a phase."""
    data = call(stream=stream)
    cut = {"head": rng.randrange(1, 60), "body": data.index(b"\r\n\r\n") + 4 + rng.randrange(1, 40)}.get(phase)
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.worker.port)
    writer.write(data if cut is None else data[:cut])
    try:
        async with asyncio.timeout(60):
            if phase == "planned":
                await asyncio.sleep(rng.random() * 0.01)
            elif phase == "waiting":
                await asyncio.sleep(rng.random() * 0.05)
            elif phase == "first byte":
                await reader.read(1)
            elif phase == "stream":
                for _ in range(rng.randrange(1, 12)):
                    if len(await reader.read(200)) < 200 and not stream:
                        break
            elif phase == "end":
                await reader.readuntil(b"0\r\n\r\n" if stream else b"}}}")
    finally:
        writer.transport.abort() if rng.random() < 0.7 else writer.close()


async def settled(held: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """Return what is held once it has not changed for a while."""
    seen: list[tuple[int, int]] = []
    while len(seen) < 10 or len(set(seen[-10:])) > 1:
        await asyncio.sleep(0.01)
        seen.append(held())
    return seen[-1]


async def test_hundreds_of_callers_leave_and_nothing_of_them_is_left(stack: Stack) -> None:
    """L6: tasks, sockets, timers and slots are as before, and every call that reached an upstream has one log line."""
    worker, rng = stack.worker, random.Random(7)
    async with stack.post(json=chat()) as response:
        await response.read()
    async with stack.post(json=chat(stream=True)) as response:
        await response.read()
    await stack.http.close()
    await stack.until(lambda: worker.gateway.in_flight == 0 and not connections(stack))
    gc.collect()

    def held() -> tuple[int, int]:
        """Tasks and sockets; the simulators' ends of our connections to them are here, too."""
        return len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir())) - 2 * worker.general.open

    before = await settled(held)
    stack.sim("together").behave({"latency_ms": 10, "first_token_ms": 20, "pace_ms": 2, "pieces": 12})
    plan = [(phase, stream) for phase in PHASES for stream in (True, False)] * 20
    rng.shuffle(plan)
    for at in range(0, len(plan), 80):
        await asyncio.gather(*(leaves(stack, phase, rng, stream=stream) for phase, stream in plan[at : at + 80]))
    await stack.until(lambda: worker.gateway.in_flight == 0 and not connections(stack))
    await stack.until(lambda: stack.sim("together").upstream.journal.in_flight == 0)
    common = worker.general._network.common
    await stack.until(lambda: not common.connecting and all(c.exchange is None for c in common.connections))
    with contextlib.suppress(TimeoutError):  # what is still there is shown below
        await stack.until(lambda: held() == before)
    gc.collect()
    assert held() == before
    assert len(worker.sweep) <= 2  # pools with idle connections, and nothing else
    lines = Counter(line["id"] for line in await finished(stack))
    assert set(lines.values()) == {1}
    sent = [dict(entry["headers"])["x-request-id"] for entry in stack.received("together")]
    assert set(sent) <= set(lines)
    assert Counter(line["status"] for line in await finished(stack))[499] > 100
    stack.http = type(stack.http)()
    stack.sim("together").behave({})
    async with stack.post(json=chat()) as response:
        assert response.status == 200


@pytest.mark.parametrize("behind", ["pipelined requests", "a large pipelined body"])
async def test_leaving_is_noticed_behind_a_full_pipeline(stack: Stack, behind: str) -> None:
    """Promise 6 holds for a caller that sent more before it left: the upstream call stops within a second or so."""
    stack.sim("together").behave({"latency_ms": 60_000})
    more = {
        "pipelined requests": head(path="/livez", method="GET") * 200,
        "a large pipelined body": head("content-length: 900000") + b"x" * 900_000,
    }[behind]
    _, writer = await asyncio.open_connection("127.0.0.1", stack.worker.port)
    writer.write(call() + more)
    await stack.until(lambda: stack.received("together"))
    await asyncio.sleep(0.2)
    writer.transport.abort()
    await stack.until(lambda: stack.received("together")[0]["outcome"] == "client_gone")


async def test_what_a_stream_delivered_before_its_caller_left_is_accounted(stack: Stack) -> None:
    """Whoever leaves in the middle has still had text that somebody pays for: the record says how much."""
    stack.sim("together").behave({"pace_ms": 5, "pieces": 400})
    async with stack.post(json=chat(stream=True)) as response:
        await response.content.readuntil(b'"content":"Hello')
        response.close()
    await stack.until(lambda: stack.worker.gateway.in_flight == 0)
    (line,) = await finished(stack)
    assert line["status"] == 499
    assert line["text"] > 0


@pytest.mark.parametrize("kind", ["garbage", "in_band_error"])
async def test_what_a_stream_delivered_before_it_broke_is_accounted(stack: Stack, kind: str) -> None:
    """A stream that ended with a fault delivered text, too."""
    stack.sim("together").behave({"pace_ms": 2, "fault": {"kind": kind, "after_pieces": 3}})
    async with stack.post(json=chat(stream=True)) as response:
        with pytest.raises(Exception, match=r"."):
            await response.read()
    (line,) = await finished(stack)
    assert line["code"] is not None
    assert line["text"] > 0
