"""Failing upstreams, seen by callers: what is absorbed, what is told, and how a backend comes back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from hybridproxy.gateway import prober
from hybridproxy.resilience.breaker import Phase
from hybridproxy.transport import upstream
from tests.support.inside import change, finished, usually
from tests.support.stack import BANK, SINGAPORE, TORONTO, Stack, chat, running

DOWN = {"fault": {"kind": "status", "status": 503}}


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Stack]:
    """An installation whose breakers stay open for a moment only."""
    async with running(tmp_path, open_for="200ms", open_max="400ms") as stack:
        yield stack


async def ask(stack: Stack, **more: Any) -> tuple[int, dict[str, str], Any]:
    """Make a call; return its status, its headers and its body."""
    options = {"key": more.pop("key")} if "key" in more else {}
    headers = more.pop("headers", {})
    address = more.pop("address", TORONTO)
    async with stack.post(json=chat(**more), address=address, headers=headers, **options) as response:
        return response.status, dict(response.headers), await response.json()


def phases(stack: Stack, backend: str) -> set[Phase]:
    """Return the phases of a backend's targets."""
    return {state.phase for key, state in stack.worker.health.states().items() if key[0] == backend}


async def events_of(stack: Stack, name: str) -> list[dict[str, Any]]:
    """Return the log's lines of one event."""
    return [line for line in await stack.lines() if line["event"] == name]


async def test_a_failing_backend_is_left_alone_and_comes_back(quick: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five faults open it; nobody is sent there; then a check, three probes by callers' calls, and the ramp."""
    monkeypatch.setattr(prober, "UNUSED", 60.0)  # callers come, however late
    quick.sim("together").behave(DOWN)
    for _ in range(5):
        status, headers, _ = await ask(quick)
        assert (status, headers["x-hybridproxy-attempts"]) == (200, "2")
    assert Phase.CLOSED not in phases(quick, "together-us")
    seen = len(quick.received("together"))
    assert seen == 5
    quick.sim("together").behave({})
    async with asyncio.timeout(30):
        while phases(quick, "together-us") != {Phase.CLOSED}:
            status, headers, _ = await ask(quick)
            assert (status, headers["x-hybridproxy-attempts"]) == (200, "1")
            await asyncio.sleep(0.02)
    names = [line["event"] for line in await quick.lines() if line["event"].startswith("breaker.")]
    assert names == ["breaker.opened", "breaker.half_opened", "breaker.closed"]
    assert len(quick.received("together")) == seen + 3


async def test_a_host_that_is_still_unreachable_is_not_found_by_a_caller(quick: Stack) -> None:
    """While nothing listens there the check fails again and again, and no caller's call is sent to find out."""
    quick.sim("together").behave({"fault": {"kind": "refuse", "when": "accept", "how": "reset", "for_ms": 60_000}})
    for _ in range(5):
        await ask(quick)
    quick.sim("together").server.close()
    await quick.sim("together").server.wait_closed()
    opened: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while len(opened) < 3:
            status, headers, _ = await ask(quick)
            assert (status, headers["x-hybridproxy-attempts"]) == (200, "1")
            await asyncio.sleep(0.03)
            opened = await events_of(quick, "breaker.opened")
    assert all("its probe failed" in line["reason"] for line in opened[1:])


async def test_a_call_over_a_stale_connection_of_a_host_that_died_goes_elsewhere(
    quick: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It went out once, and could not go out again: the one repeat of what may be billed is still due."""
    assert (await ask(quick))[0] == 200
    monkeypatch.setattr(upstream, "STALE_AFTER", 0.0)
    quick.sim("together").behave({"fault": {"kind": "cut", "before_head": True}})
    quick.sim("together").server.close()
    status, headers, _ = await ask(quick)
    assert (status, headers["x-hybridproxy-attempts"]) == (200, "2")
    assert len(quick.received("together")) == 2


async def test_calls_a_silent_backend_swallowed_move_though_it_is_back_by_then(tmp_path: Path) -> None:
    """More than the tenant's retries: they waited at a target that opened. What they met says nothing of it now."""
    async with running(tmp_path, open_for="100ms", open_max="200ms") as stack:
        await change(stack, ("provider: together,", "provider: together, timeouts: {answer: 10s},"))
        sim = stack.sim("together")
        assert (await ask(stack))[0] == 200
        sim.behave({"fault": {"kind": "stall", "before_head": True}})
        caught = [asyncio.ensure_future(ask(stack)) for _ in range(40)]
        await stack.until(lambda: len(stack.received("together")) == 41)
        sim.behave({})
        stack.worker.health.trip("together-us", "others noticed it first", 0.1)
        async with asyncio.timeout(9):  # before the first of them is given up
            while phases(stack, "together-us") != {Phase.CLOSED}:
                assert (await ask(stack))[0] == 200
                await asyncio.sleep(0.01)
        answers = await asyncio.gather(*caught)
        outcomes = {
            (status, headers["x-hybridproxy-attempts"], headers["x-hybridproxy-backend"])
            for status, headers, _ in answers
        }
        assert outcomes == {(200, "2", "openrouter-us")}
        assert phases(stack, "together-us") == {Phase.CLOSED}


async def test_at_a_backend_that_is_in_service_retries_are_a_share_of_the_calls(stack: Stack) -> None:
    """A third of its calls fail, too few to open it: a tenth of the calls and ten more are made again, no others."""
    answers = []
    began = stack.worker.loop.time()
    for n in range(90):
        stack.sim("together").behave({} if n % 3 else DOWN)
        answers.append(await ask(stack))
    assert phases(stack, "together-us") == {Phase.CLOSED}
    again = sum(headers["x-hybridproxy-attempts"] == "2" for _, headers, _ in answers)
    told = sum(status == 503 for status, _, _ in answers)
    assert again + told == 30
    # the ten more are of ten seconds, and come again where a slow machine takes longer
    assert 15 <= again <= 19 + 10 * int((stack.worker.loop.time() - began) / 9)


async def test_a_refused_key_is_used_no_more_and_the_other_one_is(tmp_path: Path) -> None:
    """401 on one of two keys: only that one is quarantined, it is not used again, and the log says so."""
    keys = '["${TOGETHER}", "${TOGETHER2}"]'
    async with running(tmp_path, together_keys=keys) as stack:
        stack.sim("together").behave({"bad_keys": ["tg-key"]})
        for _ in range(30):
            assert (await ask(stack))[0] == 200
        used = [dict(entry["headers"])["authorization"] for entry in stack.received("together")]
        assert used.count("Bearer tg-key") == 1
        assert used.count("Bearer tg-key-2") > 20
        quarantined = await events_of(stack, "credential.quarantined")
        (line,) = quarantined
        assert line["backend"] == "together-us"
        assert line["credential"].startswith("together-us#1.")


@pytest.mark.parametrize(
    ("value", "least", "most"), [("7", 5.5, 7), ("-1", 0, 5), ("1000000000", 290, 300), ("soon", 0, 5)]
)
async def test_a_429_is_a_cool_off_and_no_fault(stack: Stack, value: str, least: float, most: float) -> None:
    """The target rests for as long as Retry-After says, within bounds, while its breaker stays closed."""
    fault = {"kind": "status", "status": 429, "headers": {"retry-after": value}, "body": {"error": {"message": "x"}}}
    stack.sim("together").behave({"fault": fault})
    now = asyncio.get_running_loop().time
    before = now()
    status, headers, _ = await ask(stack)
    assert (status, headers["x-hybridproxy-attempts"]) == (200, "2")
    (ban,) = stack.worker.health.view.values()
    assert before + least <= ban.until <= now() + most
    assert phases(stack, "together-us") == {Phase.CLOSED}
    attempts = (await ask(stack))[1]["x-hybridproxy-attempts"]
    assert attempts == "1" or now() >= ban.until


async def test_a_patient_route_asks_the_same_backend_again(tmp_path: Path) -> None:
    """With patience the one backend is asked again after its Retry-After, which keeps its caches warm."""
    async with running(tmp_path, patience="30s") as stack:
        fault = {"kind": "named", "name": "together.rate_limit", "times": 1, "headers": {"retry-after": "1"}}
        stack.sim("together").behave({"fault": fault})
        began = asyncio.get_running_loop().time()
        status, headers, _ = await ask(stack)
        assert (status, headers["x-hybridproxy-backend"], headers["x-hybridproxy-attempts"]) == (
            200, "together-us", "2",
        )  # fmt: skip
        assert asyncio.get_running_loop().time() - began >= 1
        assert not stack.received("openrouter")


async def test_the_only_backend_is_asked_once_more(stack: Stack) -> None:
    """A plan of one backend has nobody else: one more try there, after a pause of a moment."""
    stack.sim("together").behave({"fault": {"kind": "status", "status": 503, "times": 1}})
    status, headers, _ = await ask(stack, model="only-us")
    assert (status, headers["x-hybridproxy-attempts"]) == (200, "2")


async def test_what_was_sent_whole_and_lost_is_repeated_once(stack: Stack) -> None:
    """Each repetition may be billed: two backends in a row that cut the connection end the call."""
    for name in ("together", "openrouter", "dashscope"):
        stack.sim(name).behave({"fault": {"kind": "cut", "before_head": True}})
    status, headers, _ = await ask(stack)
    assert (status, headers["x-hybridproxy-attempts"], headers["x-should-retry"]) == (502, "2", "false")
    assert not stack.received("dashscope")


async def test_the_callers_own_deadline_covers_all_attempts(stack: Stack) -> None:
    """Who waits half a second gets an answer with a reason before it would give up itself."""
    for name in ("together", "openrouter", "dashscope"):
        stack.sim(name).behave({"latency_ms": 60_000})
    began = asyncio.get_running_loop().time()
    status, _, body = await ask(stack, headers={"x-request-timeout": "0.5"})
    assert (status, body["error"]["code"]) == (504, "deadline_exceeded")
    assert asyncio.get_running_loop().time() - began < 30


async def test_a_slow_first_token_is_hedged_and_the_loser_is_cancelled(tmp_path: Path) -> None:
    """When the usual time is over a second backend is asked too; whoever is first answers, the other call stops."""
    async with running(tmp_path, hedge="2%") as stack:
        for _ in range(120):
            async with stack.post(json=chat(stream=True)) as response:
                await response.read()
            usually(stack, 3.0)
        stack.sim("together").behave({"latency_ms": 60_000})
        async with stack.post(json=chat(stream=True)) as response:
            await response.read()
            assert response.headers["x-hybridproxy-backend"] == "openrouter-us"
        await stack.until(lambda: stack.received("together")[-1]["outcome"] == "client_gone")
        line = (await finished(stack))[-1]
        assert line["hedged"]
        assert line["lost_nanodollars"] > 0
        assert stack.worker.health.view == {}


async def test_a_sovereign_tenant_is_never_hedged(tmp_path: Path) -> None:
    """However slow its cluster is, one call is one request there, and nobody else hears of it."""
    async with running(tmp_path, hedge="2%") as stack:
        stack.sim("vllm").behave({"latency_ms": 200})
        for _ in range(3):
            async with stack.post(json=chat(stream=True), key=BANK, address=SINGAPORE) as response:
                await response.read()
        assert len(stack.received("vllm")) == 3
        assert not any(stack.received(name) for name in ("together", "openrouter", "dashscope"))


async def test_the_vpc_comes_back_by_calls_of_our_own(quick: Stack) -> None:
    """No sovereign caller is the probe: while the cluster is out they get a 503 at once, then it is simply back."""
    quick.sim("vllm").behave(DOWN)
    for _ in range(3):
        assert (await ask(quick, key=BANK))[0] == 503
    assert Phase.CLOSED not in phases(quick, "vpc")
    quick.sim("vllm").behave({})
    await quick.until(lambda: phases(quick, "vpc") == {Phase.CLOSED})
    ours = [entry["body"] for entry in quick.received("vllm")][-3:]
    assert [body["max_tokens"] for body in ours] == [1, 1, 1]
    assert (await ask(quick, key=BANK))[0] == 200


async def test_an_operator_drains_and_undrains_through_the_admin_port(stack: Stack) -> None:
    """No new call goes to a drained backend, everybody else's go on, and undraining brings it back at once."""
    headers = {"authorization": "Bearer admin-token-of-tests"}
    url = f"{stack.admin_url}/admin/v1/backends/together-us"
    async with stack.http.post(url + "/drain", headers=headers, json={"reason": "new keys", "for": "5m"}) as response:
        assert response.status == 200
    status, answered, _ = await ask(stack)
    assert (status, answered["x-hybridproxy-backend"], answered["x-hybridproxy-attempts"]) == (
        200, "openrouter-us", "1",
    )  # fmt: skip
    async with stack.http.post(url + "/undrain", headers=headers) as response:
        assert response.status == 200
    assert (await ask(stack))[1]["x-hybridproxy-backend"] == "together-us"


async def test_a_region_is_evacuated(stack: Stack) -> None:
    """Calls from Asia leave the backends that lie there, and come back when the region is restored."""
    headers = {"authorization": "Bearer admin-token-of-tests"}
    url = f"{stack.admin_url}/admin/v1/regions/asia"
    async with stack.http.post(url + "/evacuate", headers=headers, json={"reason": "drill"}) as response:
        assert response.status == 200
    assert (await ask(stack, address=SINGAPORE))[1]["x-hybridproxy-backend"] == "openrouter-us"
    async with stack.http.post(url + "/restore", headers=headers) as response:
        assert response.status == 200
    assert (await ask(stack, address=SINGAPORE))[1]["x-hybridproxy-backend"] == "dashscope-sg"


def pieces(data: bytes) -> list[Any]:
    """Return the parsed events of a stream."""
    events = [event.removeprefix(b"data: ") for event in data.split(b"\n\n") if event.startswith(b"data: ")]
    return [event if event == b"[DONE]" else orjson.loads(event) for event in events]


def text_of(events: list[Any]) -> str:
    """Return the text of a stream."""
    return "".join(
        choice["delta"].get("content") or "" for event in events if event != b"[DONE]" for choice in event["choices"]
    )


async def test_input_too_long_goes_to_a_larger_window(stack: Stack) -> None:
    """Together's 403 means that the context is too long: the backend with the larger window answers."""
    stack.sim("together").behave({"fault": {"kind": "named", "name": "together.context_length"}})
    status, headers, _ = await ask(stack, model="small-window")
    assert (status, headers["x-hybridproxy-backend"], headers["x-hybridproxy-attempts"]) == (
        200,
        "dashscope-sg",
        "2",
    )
    assert phases(stack, "together-us") <= {Phase.CLOSED}


async def test_input_too_long_for_the_largest_window_is_the_callers(stack: Stack) -> None:
    """Nobody with a smaller window is asked: the caller is told, and its client does not try again."""
    fault = {
        "kind": "status",
        "status": 400,
        "message": "Range of input length should be [1, 99]",
        "code": "InvalidParameter",
    }
    stack.sim("dashscope").behave({"fault": fault})
    stack.sim("together").behave({"fault": {"kind": "named", "name": "together.context_length"}})
    status, headers, body = await ask(stack, model="small-window")
    assert (status, body["error"]["code"]) == (400, "context_length_exceeded")
    assert headers["x-hybridproxy-attempts"] == "2"


async def test_a_content_refusal_goes_back_to_the_caller(stack: Stack) -> None:
    """It is no outage: nobody else is asked for what one has refused."""
    stack.sim("dashscope").behave({"fault": {"kind": "named", "name": "dashscope.data_inspection_failed"}})
    status, _, body = await ask(stack, address=SINGAPORE)
    assert (status, body["error"]["code"]) == (400, "content_policy_violation")
    assert not stack.received("openrouter")
    assert phases(stack, "dashscope-sg") <= {Phase.CLOSED}
