"""What we may send to a backend is used to the full and never overrun, as its callers and its journal see it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import orjson
import pytest

from hybridproxy.model.limits import Rates
from hybridproxy.simulator.behaviour import parse_behaviour
from hybridproxy.simulator.control import set_behaviour
from hybridproxy.stores import gates
from tests.support.held import held
from tests.support.stack import BANK, SHOP, SINGAPORE, SMALL, TORONTO, Stack, chat, running


def behave(stack: Stack, name: str, **settings: Any) -> None:
    """Change how a simulated upstream behaves."""
    set_behaviour(stack.sim(name).upstream, parse_behaviour(settings))


async def ask(
    stack: Stack, *, key: str = SHOP, address: str = SINGAPORE, **more: Any
) -> tuple[int, str, dict[str, str]]:
    """Make a call; return its status, the backend, and the headers of the answer."""
    async with stack.post(key=key, address=address, json=chat("hello", **more)) as answer:
        await answer.read()
        return answer.status, answer.headers["x-hybridproxy-backend"], dict(answer.headers)


def statuses(stack: Stack, name: str) -> list[int | None]:
    """Return what a simulated upstream answered."""
    return [entry.status for entry in stack.sim(name).upstream.journal.entries]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls wait for their turn for as long as it takes, and not for a second."""
    monkeypatch.setattr(gates, "MAX_WAIT", 600.0)


@pytest.fixture
async def limited(tmp_path: Path) -> AsyncIterator[Any]:
    """Start an installation whose first backend for Asia has limits."""
    stacks: list[Any] = []

    async def start(limits: str, **settings: Any) -> Stack:
        context = running(tmp_path, dashscope_limits=f"{{{limits}}}", **settings)
        stacks.append(context)
        return await context.__aenter__()

    yield start
    for context in stacks:
        await context.__aexit__(None, None, None)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_burst_is_smoothed_and_no_429_is_seen_by_anybody(limited: Any, stream: bool) -> None:
    """Three times what a second allows comes for two seconds: the quota is used, the rest is answered elsewhere.

    The simulator holds DashScope's rule, with twice as much a second as a sixtieth of the minute: this machine may
    be slow, and bring calls close together. To the call it is judged on a clock of its own, in `test_limiters`.
    """
    stack = await limited("rpm: 600")
    behave(stack, "dashscope", per_second=20, per_minute=600)
    calls: list[asyncio.Task[Any]] = []
    begun, stood = monotonic(), 0.0
    while (passed := monotonic() - begun) < 2.0:
        calls += [asyncio.create_task(ask(stack, stream=stream)) for _ in range(int(passed * 30) - len(calls))]
        await asyncio.sleep(0.01)
        stood += monotonic() - begun - passed - 0.01  # the time in which the machine let nobody begin anything
    answers = await asyncio.gather(*calls)
    assert {status for status, _, _ in answers} == {200}
    first = statuses(stack, "dashscope")
    assert set(first) == {200}
    times = [entry.began for entry in stack.sim("dashscope").upstream.journal.entries]
    assert len(first) >= 0.5 * 10 * (times[-1] - times[0] - stood)
    assert len(first) + len(statuses(stack, "openrouter")) == len(answers)


async def test_the_next_backend_takes_over_before_anything_is_sent(limited: Any) -> None:
    """Once the quota is used up for longer than a call waits, its journal has no more than it allows."""
    stack = await limited("rpm: 1")
    assert [(await ask(stack))[1] for _ in range(3)] == ["dashscope-sg", "openrouter-us", "openrouter-us"]
    assert statuses(stack, "dashscope") == [200]
    assert (await ask(stack))[2]["x-hybridproxy-attempts"] == "1"


async def test_where_no_other_is_left_the_caller_is_told_when_to_come_again(limited: Any) -> None:
    """It is our quota, so 503; `retry-after` is when there is room, and the SDK may come again."""
    stack = await limited("rpm: 1", backends_asia="[dashscope-sg]")
    assert (await ask(stack))[0] == 200
    async with stack.post(address=SINGAPORE, json=chat()) as answer:
        error = (await answer.json())["error"]
        assert (answer.status, error["code"]) == (503, "upstream_limit_reached")
        assert "1 requests a minute" in error["message"]
        assert 30 <= int(answer.headers["retry-after"]) <= 60
        assert "x-should-retry" not in answer.headers
        assert answer.headers["x-hybridproxy-attempts"] == "0"
    assert statuses(stack, "dashscope") == [200]
    (state,) = (await stack_state(stack))["upstream_limits"]
    assert state["limits"] == {"rpm": {"limit": 1, "used": 1}}
    assert state["refused"] == 1
    assert stack.worker.health.view == {}


async def stack_state(stack: Stack) -> Any:
    """Return what the admin port tells."""
    headers = {"authorization": "Bearer admin-token-of-tests"}
    async with stack.http.get(stack.admin_url + "/admin/v1/state", headers=headers) as answer:
        return await answer.json()


async def test_explain_says_that_a_backend_has_no_room(limited: Any) -> None:
    """Beside the attempts that would be made; routing itself stays as it is."""
    stack = await limited("rpm: 1")
    await ask(stack)
    headers = {"authorization": "Bearer admin-token-of-tests"}
    described = {"tenant": "shop", "model": "qwen", "address": SINGAPORE}
    async with stack.http.post(stack.admin_url + "/admin/v1/explain", headers=headers, json=described) as answer:
        first, second = (await answer.json())["attempts"][:2]
    assert "1 requests a minute" in first["full"]
    assert "full" not in second


@pytest.mark.parametrize("kind", ["image_url", "video_url"])
async def test_the_bytes_of_a_picture_are_no_tokens_of_a_quota(limited: Any, kind: str) -> None:
    """Four calls with a picture of 300 kB have room at once: of 600,000 tokens a minute each takes some thousand."""
    stack = await limited("tpm: 600000", backends_asia="[dashscope-sg]")
    behave(stack, "dashscope", latency_ms=60_000)
    shown = [{"type": kind, kind: {"url": "data:image/png;base64," + "A" * 400_000}}, {"type": "text", "text": "what?"}]
    body = {"model": "qwen", "max_tokens": 50, "messages": [{"role": "user", "content": shown}]}

    async def look() -> None:
        async with stack.post(address=SINGAPORE, json=body) as answer:
            await answer.read()

    calls = [asyncio.create_task(look()) for _ in range(4)]
    await stack.until(lambda: len(statuses(stack, "dashscope")) == 4)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_a_call_waits_for_a_stream_to_end(limited: Any, patient: None) -> None:
    """One at a time: the second call is sent when the first has its answer, and not before."""
    stack = await limited("streams: 1", backends_asia="[dashscope-sg]")
    behave(stack, "dashscope", latency_ms=300, at_a_time=1)
    answers = await asyncio.gather(*(ask(stack) for _ in range(2)))
    assert [status for status, _, _ in answers] == [200, 200]
    assert statuses(stack, "dashscope") == [200, 200]


async def test_a_caller_that_leaves_the_line_is_never_sent(limited: Any, patient: None) -> None:
    """The upstream does not hear of it, and the next one has its place."""
    stack = await limited("streams: 1", backends_asia="[dashscope-sg]")
    with held(stack.sim("dashscope")) as release:
        first = asyncio.create_task(ask(stack))
        await stack.until(lambda: len(statuses(stack, "dashscope")) == 1)
        leaves = asyncio.create_task(ask(stack, max_tokens=3))
        await stack.until(lambda: waiting(stack) == 1)
        leaves.cancel()
        await stack.until(lambda: waiting(stack) == 0)
        last = asyncio.create_task(ask(stack))
        await stack.until(lambda: waiting(stack) == 1)
        release()
        assert [(await first)[0], (await last)[0]] == [200, 200]
    bodies = [orjson.loads(entry.body) for entry in stack.sim("dashscope").upstream.journal.entries]
    assert [body.get("max_tokens") for body in bodies] == [None, None]
    limiter = next(iter(stack.worker.limiters._gates.values())).limiter
    assert limiter is not None
    assert limiter.under_way == 0


def waiting(stack: Stack) -> float:
    """Return how many wait."""
    return stack.worker.limiters.gauges()["hybridproxy_upstream_waiting"]


def make_room(stack: Stack) -> None:
    """Let those who wait go on, one after the other."""
    (gate,) = stack.worker.limiters._gates.values()
    gate.give(Rates(rpm=600), 1)
    gate.moved()


async def test_timers_run_while_a_call_waits(limited: Any, patient: None) -> None:
    """A call that may take no longer than 0.3 s ends in time, though its turn has not come."""
    stack = await limited("streams: 1", backends_asia="[dashscope-sg]")
    with held(stack.sim("dashscope")) as release:
        first = asyncio.create_task(ask(stack))
        await stack.until(lambda: len(statuses(stack, "dashscope")) == 1)
        hurried = {"x-request-timeout": "0.3"}
        async with stack.post(json=chat(), address=SINGAPORE, headers=hurried) as response:
            assert response.status == 504
        assert not first.done()
        assert waiting(stack) == 0
        release()
        assert (await first)[0] == 200
    assert len(statuses(stack, "dashscope")) == 1


async def test_two_tenants_share_one_key_fairly(limited: Any, patient: None) -> None:
    """The quiet tenant's call, which came last, is the third at the upstream and not the tenth."""
    stack = await limited("rpm: 1", backends_asia="[dashscope-sg]", small_models='["*"]')
    noisy = [asyncio.create_task(ask(stack, max_tokens=1)) for _ in range(5)]
    await stack.until(lambda: waiting(stack) == 4)
    quiet = asyncio.create_task(ask(stack, key=SMALL, max_tokens=2))
    await stack.until(lambda: waiting(stack) == 5)
    make_room(stack)
    await asyncio.gather(*noisy, quiet)
    order = [orjson.loads(entry.body)["max_tokens"] for entry in stack.sim("dashscope").upstream.journal.entries]
    assert order.index(2) <= 2
    assert (await quiet)[0] == 200


async def test_a_call_that_stands_back_goes_last(limited: Any, patient: None) -> None:
    """By the caller's own `priority`, as at an engine; a lower number goes first."""
    stack = await limited("rpm: 1", backends_asia="[dashscope-sg]")
    calls = [asyncio.create_task(ask(stack, max_tokens=1))]
    await stack.until(lambda: len(statuses(stack, "dashscope")) == 1)
    calls += [asyncio.create_task(ask(stack, max_tokens=2, priority=7)) for _ in range(2)]
    await stack.until(lambda: waiting(stack) == 2)
    calls.append(asyncio.create_task(ask(stack, max_tokens=3)))
    await stack.until(lambda: waiting(stack) == 3)
    make_room(stack)
    await asyncio.gather(*calls)
    order = [orjson.loads(entry.body)["max_tokens"] for entry in stack.sim("dashscope").upstream.journal.entries]
    assert order == [1, 3, 2, 2]


async def test_a_sovereign_tenants_calls_wait_inside_the_vpc(tmp_path: Path) -> None:
    """Its limits hold for it as for others, and when they are used up it gets 503 and nothing goes elsewhere."""
    async with running(tmp_path, vpc_limits="{rpm: 1}") as stack:
        assert (await ask(stack, key=BANK))[0] == 200
        status, backend, _ = await ask(stack, key=BANK)
        assert (status, backend) == (503, "none")
        assert statuses(stack, "vllm") == [200]
        assert not statuses(stack, "dashscope") + statuses(stack, "together") + statuses(stack, "openrouter")


async def test_a_429_is_learnt_from(tmp_path: Path) -> None:
    """Twenty at a time were too many: the burst's rest goes elsewhere, and then no more than nine tenths do."""
    async with running(tmp_path) as stack:
        stack.forgive()
        behave(stack, "together", at_a_time=15)
        with held(stack.sim("together")) as release:
            calls = [asyncio.create_task(ask(stack, address=TORONTO)) for _ in range(20)]
            await stack.until(lambda: len(statuses(stack, "together")) == 20)
            release()
            answers = await asyncio.gather(*calls)
        assert {status for status, _, _ in answers} == {200}
        assert statuses(stack, "together").count(429) == 5
        (row,) = stack.worker.limiters.shown()
        assert row["learnt"]["at_a_time"] >= 15
        assert row["learnt"]["rpm"] >= 60
        (line,) = [line for line in await stack.lines() if line["event"] == "upstream_limit.learnt"]
        assert (line["backend"], line["model"]) == ("together-us", "Qwen/Qwen-tput")
        assert line["rpm"] >= 60


async def test_what_an_upstream_says_is_left_is_believed(tmp_path: Path) -> None:
    """OpenRouter's own 429 says until when nothing is left: nothing is sent to it until then."""
    async with running(tmp_path) as stack:
        stack.forgive()
        headers = {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "9999999999999"}
        fault = {"kind": "status", "status": 429, "headers": headers, "body": {"error": {"message": "slow down"}}}
        behave(stack, "openrouter", fault=fault)
        berlin = "141.20.1.1"
        answers = [await ask(stack, address=berlin) for _ in range(3)]
        assert [backend for _, backend, _ in answers] == ["dashscope-sg"] * 3
        assert statuses(stack, "openrouter") == [429]
