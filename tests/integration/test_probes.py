"""How targets come back, in the cases that are easily forgotten: odd answers to our probes, bugs, reloads."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from hybridproxy.gateway import driver, prober
from hybridproxy.gateway.prober import UNUSED
from hybridproxy.model.fault import Verdict
from hybridproxy.model.health import backend_key
from hybridproxy.resilience.breaker import Outcome, Phase, Signal
from hybridproxy.stores.marks import Mark, MarkKind
from tests.support.stack import BANK, Stack, chat, running

DOWN = {"fault": {"kind": "status", "status": 500}}


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Stack]:
    """An installation whose breakers stay open for a moment only."""
    async with running(tmp_path, open_for="150ms", open_max="300ms") as stack:
        yield stack


async def ask(stack: Stack, **options: Any) -> int:
    """Make a call that does not stream; return its status."""
    async with stack.post(json=chat(), **options) as response:
        await response.read()
        return response.status


def phases(stack: Stack, backend: str) -> set[Phase]:
    """Return the phases of a backend's targets."""
    return {state.phase for key, state in stack.worker.health.states().items() if key[0] == backend}


async def opened(stack: Stack, sim: str, backend: str, **options: Any) -> None:
    """Let a backend fail until it is left alone."""
    stack.sim(sim).behave(DOWN)
    while phases(stack, backend) in (set(), {Phase.CLOSED}):
        await ask(stack, **options)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 501])
async def test_an_odd_answer_to_our_probe_is_not_asked_for_in_a_loop(quick: Stack, status: int) -> None:
    """Whatever it says to a call of ours, it is asked again after its open time, and not at once."""
    await opened(quick, "vllm", "vpc", key=BANK)
    seen = len(quick.received("vllm"))
    quick.sim("vllm").behave({"fault": {"kind": "status", "status": status}})
    began = quick.worker.loop.time()
    await asyncio.sleep(0.7)
    passed = quick.worker.loop.time() - began
    assert len(quick.received("vllm")) - seen <= passed / 0.12 + 1  # 150 ms at least, 20 % more or less


async def test_a_target_that_asked_to_be_left_alone_is_not_probed_before(quick: Stack) -> None:
    """It throttles beside failing, and its open time is the shorter one: our own call waits as callers' calls do."""
    await opened(quick, "vllm", "vpc", key=BANK)
    await quick.until(lambda: phases(quick, "vpc") == {Phase.OPEN})
    quick.sim("vllm").behave({})
    seen = len(quick.received("vllm"))
    asked_for = asyncio.get_running_loop().time()
    for key in quick.worker.health.out():
        quick.worker.health.step(key, Outcome(Signal.START, Verdict.THROTTLE, "throttled", wait=0.8))
    await quick.until(lambda: len(quick.received("vllm")) > seen)
    assert asyncio.get_running_loop().time() - asked_for >= 0.8
    await quick.until(lambda: phases(quick, "vpc") == {Phase.CLOSED})


async def test_nobody_pays_for_probes_while_callers_only_wait_for_the_end_of_a_cool_off(quick: Stack) -> None:
    """That no call comes while none may says nothing: theirs are the probes as soon as they may."""
    now = quick.worker.loop.time
    called, pause = now(), 0.0
    await opened(quick, "together", "together-us")
    await quick.until(lambda: phases(quick, "together-us") == {Phase.OPEN})
    quick.sim("together").behave({})
    for key in quick.worker.health.out():
        quick.worker.health.step(key, Outcome(Signal.START, Verdict.THROTTLE, "throttled", wait=1.6))
    async with asyncio.timeout(60):
        while phases(quick, "together-us") != {Phase.CLOSED}:
            await ask(quick)
            called, pause = now(), max(pause, now() - called)
            await asyncio.sleep(0.005)
    assert quick.worker.prober.sent == 0 or pause >= UNUSED / 2  # a machine that stood kept the callers away


async def test_where_our_own_call_tells_nothing_callers_are_the_probes(quick: Stack) -> None:
    """A model that takes no call like ours comes back all the same, in the VPC too."""
    await opened(quick, "vllm", "vpc", key=BANK)
    quick.sim("vllm").behave({"fault": {"kind": "status", "status": 404, "only_stream": True}})  # ours streams
    async with asyncio.timeout(60):
        while phases(quick, "vpc") != {Phase.CLOSED}:
            await ask(quick, key=BANK)
            await asyncio.sleep(0.02)
    assert await ask(quick, key=BANK) == 200


async def test_a_model_is_probed_by_what_it_is_called_for(quick: Stack) -> None:
    """A tripped model of embeddings is probed by an embedding, though it never failed."""
    embedding = {"model": "qwen", "input": "x"}
    async with quick.post("/v1/embeddings", key=BANK, json=embedding) as response:
        assert response.status == 200
    quick.worker.health.trip("vpc", "drill", 0.2)
    await quick.until(lambda: phases(quick, "vpc") == {Phase.CLOSED})
    paths = {entry["path"].rpartition("/")[2] for entry in quick.received("vllm")}
    assert paths == {"embeddings"}


async def test_a_probe_that_meets_a_bug_of_ours_does_not_keep_the_target_out(
    quick: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call is a 500; the right to probe is free again, and the target comes back."""
    monkeypatch.setattr(prober, "UNUSED", 60.0)  # callers come, however late
    await opened(quick, "together", "together-us")
    quick.sim("together").behave({})
    real: Callable[..., Any] = vars(driver)["outgoing_request"]
    broken: list[Any] = []

    def breaks_once(call: Any, target: Any, *args: Any, **more: Any) -> Any:
        if target.backend.provider == "together" and not broken:
            broken.append(call)
            raise ZeroDivisionError
        return real(call, target, *args, **more)

    monkeypatch.setattr(driver, "outgoing_request", breaks_once)
    statuses = set()
    async with asyncio.timeout(60):
        while phases(quick, "together-us") != {Phase.CLOSED}:
            statuses.add(await ask(quick))
            await asyncio.sleep(0.02)
    assert statuses == {200, 500}


async def test_a_refused_key_is_not_held_against_its_successor(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exchanged in the environment and reloaded, the new key is used; a late answer to the old one changes nothing."""
    stack.sim("together").behave({"bad_keys": ["tg-key"], "latency_ms": 300})
    late = asyncio.ensure_future(ask(stack))
    await stack.until(lambda: stack.received("together"))
    monkeypatch.setitem(os.environ, "TOGETHER", "tg-key-new")
    assert await stack.worker.reload() == []
    assert await late == 200
    stack.sim("together").behave({"bad_keys": ["tg-key"]})
    async with stack.post(json=chat()) as response:
        assert response.headers["x-hybridproxy-backend"] == "together-us"
    keys = [dict(entry["headers"])["authorization"] for entry in stack.received("together")]
    assert keys == ["Bearer tg-key", "Bearer tg-key-new"]


async def test_what_was_taken_out_of_the_configuration_is_not_probed(
    quick: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody pays for probes of a model that is gone."""
    monkeypatch.setattr(prober, "UNUSED", 0.0)  # nobody waits for callers
    monkeypatch.setattr(prober, "IDLE_EVERY", 0.0)
    await opened(quick, "together", "together-us")
    file = quick.worker.path
    file.write_text(file.read_text().replace("together-us: Qwen/Qwen-tput, ", ""))
    assert await quick.worker.reload() == []
    await quick.until(lambda: not quick.worker.prober._busy and phases(quick, "together-us") == set())
    seen = len(quick.received("together"))
    quick.sim("together").behave({})
    await asyncio.sleep(0.6)
    assert len(quick.received("together")) == seen
    assert phases(quick, "together-us") == set()


async def test_a_mark_that_no_order_puts_is_refused(stack: Stack) -> None:
    """Whatever stands in Redis, only what an order can lift again may keep a backend out."""
    marks, version = stack.worker.health.marks, 1_700_000_000_000
    for kind in (MarkKind.EVACUATE, MarkKind.QUARANTINE):
        assert not marks.hear(Mark(backend_key("vpc"), kind, "x", 4e9, version))
    assert stack.worker.health.view == {}
    assert await ask(stack, key=BANK) == 200
