"""A backend of several engines: conversations keep their caches, tenants share none, one engine's end loses nothing."""

import asyncio
import contextlib
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hybridproxy.gateway.poller import RETRY, Poller
from hybridproxy.model.backend import Timeouts
from hybridproxy.resilience import breaker
from hybridproxy.simulator.server import SimulatorSpec, serve
from tests.support.cluster import Conversation, answered, cluster, configuration
from tests.support.held import held
from tests.support.places import Place
from tests.support.stack import BANK, SHOP, SMALL, Stack


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine may be late to say how loaded it is: this machine may have stood."""
    monkeypatch.setattr("hybridproxy.gateway.poller.WITHIN", Timeouts(connect=60.0, answer=60.0))


def calls(stack: Stack, name: str) -> list[dict[str, Any]]:
    """The model calls that an engine got."""
    return [entry for entry in stack.received(name) if entry["method"] == "POST"]


def cached(stack: Stack) -> int:
    """How many tokens of prompts the engines knew already."""
    return sum(entry["cached_tokens"] for sim in stack.simulators.all for entry in calls(stack, sim.name))


async def polled(stack: Stack) -> None:
    """Let every engine be asked now, and wait for what they say."""
    poller = stack.worker.poller
    await stack.until(lambda: all(engine.exchange is None for engine in poller._engines))
    for engine in poller._engines:
        engine.due = 0.0
    poller.tick()
    await stack.until(lambda: all(engine.exchange is None for engine in poller._engines))


async def opening(text: str) -> list[dict[str, Any]]:
    """The messages of a conversation's first turn."""
    return [{"role": "user", "content": text}]


# ---- conversations ---------------------------------------------------------------------------------------------------


async def test_conversations_return_to_their_engine(tmp_path: Path) -> None:
    """Twenty, interleaved: nine turns in ten are where the first was, the engines share the work, caches are hit."""
    async with cluster(tmp_path) as stack:
        talks = [Conversation(str(n)) for n in range(20)]
        for _ in range(4):
            await asyncio.gather(*(talk.turn(stack) for talk in talks))
        returned = [back for talk in talks for back in talk.returned]
        assert sum(returned) >= 0.9 * len(returned)  # a machine that is busy may see an engine full for a moment
        assert len({talk.places[0] for talk in talks}) >= 3
        assert all(entry["cached_tokens"] for talk in talks[:1] for entry in calls(stack, talk.places[0])[5:])
        assert not stack.worker.gateway._parts.loads.view.ours


async def test_conversations_return_after_an_engine_was_out_and_came_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing fails; nine turns in ten are where the one before was; who has to leave does so once and returns once."""
    monkeypatch.setattr(breaker, "RAMP_SECONDS", 600.0)  # until the test says that it is over
    async with cluster(tmp_path) as stack:
        talks = [Conversation(str(n)) for n in range(20)]

        async def turns(count: int) -> None:
            for _ in range(count):
                await asyncio.gather(*(talk.turn(stack) for talk in talks))

        await turns(3)
        lost = talks[0].places[0]
        simulator = stack.sim(lost)
        simulator.server.close()
        for connection in list(simulator.upstream.connections):
            connection.transport.abort()
        with contextlib.closing(Place(simulator.port)):
            await turns(8)
            assert all(talk.places[-1] != lost for talk in talks)
            again = await serve([SimulatorSpec("vllm", simulator.port, lost)])
        try:
            await stack.until(lambda: not stack.worker.health.out())
            await turns(4)  # by the ramp some are back
            assert stack.worker.health.view
            stack.worker.health.reset("vpc")  # as if it was over
            await turns(5)
        finally:
            await again.close()
        returned = [one for talk in talks for one in talk.returned]
        assert sum(returned) / len(returned) >= 0.9
        assert all(talk.places[-1] == talk.places[0] for talk in talks)
        assert max(talk.returned.count(False) for talk in talks) == 2


async def test_an_engine_with_a_queue_is_left_for_another_and_found_again(tmp_path: Path) -> None:
    """By its own word: the conversation goes to its second engine, the same each time, and back once there is room."""
    async with cluster(tmp_path) as stack:
        talk = Conversation("a")
        for _ in range(2):
            await talk.turn(stack)
        home = talk.places[0]
        stack.sim(home).behave({"waiting": 10})
        await polled(stack)
        for _ in range(3):
            await talk.turn(stack)
        assert home not in talk.places[2:]
        assert len(set(talk.places[2:])) == 1
        stack.sim(home).behave({})
        await polled(stack)
        await talk.turn(stack)
        assert talk.places[-1] == home


async def test_a_crowd_with_the_same_beginning_does_not_crush_one_engine(tmp_path: Path) -> None:
    """Forty calls that all begin alike, at once: no engine has more than its share and the slack."""
    async with cluster(tmp_path) as stack:
        messages = await opening("the same for all")
        with held(*stack.simulators.all) as release:
            asked = [asyncio.create_task(answered(stack, messages)) for _ in range(40)]
            await stack.until(lambda: sum(len(calls(stack, sim.name)) for sim in stack.simulators.all) == 40)
            release()
            places = await asyncio.gather(*asked)
        counts = Counter(place for place, _ in places)
        assert max(counts.values()) <= 40 / 4 + 9
        assert len(counts) >= 3


# ---- an engine that cannot -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("provider", "error"), [("vllm", "vllm.queue_full"), ("sglang", "sglang.queue_full"), ("vllm", "vllm.engine_dead")]
)
async def test_a_full_queue_is_one_engines_matter(tmp_path: Path, provider: str, error: str, stream: bool) -> None:
    """503, also as the first event of a stream: a sovereign tenant's call is answered by the neighbour, at once."""
    async with cluster(tmp_path, provider=provider) as stack:
        messages = await opening("hello")
        home, _ = await answered(stack, messages)
        stack.sim(home).behave({"fault": {"kind": "named", "name": error}})
        body = {"model": "qwen", "messages": messages, "stream": stream}
        async with stack.post(key=BANK, json=body) as response:
            text = await response.text()
            assert response.status == 200
            assert response.headers["x-hybridproxy-attempts"] == "2"
            assert "Hello" in text
            assert "error" not in text


async def test_where_every_queue_is_full_the_caller_hears_503(tmp_path: Path) -> None:
    """Two engines are asked and no third, and nobody waits for ever."""
    async with cluster(tmp_path) as stack:
        for simulator in stack.simulators.all:
            simulator.behave({"fault": {"kind": "named", "name": "vllm.queue_full"}})
        async with stack.post(key=BANK, json={"model": "qwen", "messages": await opening("hi")}) as response:
            assert response.status == 503
            assert response.headers["x-hybridproxy-attempts"] == "2"
        assert sum(len(calls(stack, sim.name)) for sim in stack.simulators.all) == 2


async def test_an_engines_end_loses_no_call_that_had_not_begun(tmp_path: Path) -> None:
    """Ninety calls of one tenant under way, one engine is gone: each of its calls is answered by another."""
    async with cluster(tmp_path) as stack:
        gone = stack.simulators.all[0]
        with held(*stack.simulators.all) as release:
            asked = [asyncio.ensure_future(answered(stack, await opening(f"call {n}"))) for n in range(90)]
            await stack.until(lambda: sum(len(calls(stack, sim.name)) for sim in stack.simulators.all) == 90)
            assert gone.upstream.journal.in_flight
            gone.server.close()
            for connection in list(gone.upstream.connections):
                connection.transport.abort()
            release()
            places = Counter(place for place, _ in await asyncio.gather(*asked))
        assert sum(places.values()) == 90
        assert gone.name not in places


# ---- tenants ---------------------------------------------------------------------------------------------------------


async def test_tenants_share_no_prefix_cache(tmp_path: Path) -> None:
    """S9: two tenants with identical prompts have different salts, so nothing of one is in the other's cache."""
    async with cluster(tmp_path, 1) as stack:
        messages = await opening("the same secret words")
        for key in (BANK, SHOP):
            await answered(stack, messages, key)
        bank, shop = (entry["body"]["cache_salt"] for entry in calls(stack, "e0"))
        assert bank != shop
        assert cached(stack) == 0
        await answered(stack, messages, BANK)
        assert cached(stack) == 4


async def test_a_callers_own_salt_never_passes(tmp_path: Path) -> None:
    """Nor anything else by which it could use another's cache, send one elsewhere, or come before others."""
    fields: dict[str, Any] = {
        "cache_salt": "guessed", "extra_key": "x", "rid": "r", "session_params": {"id": "s"}, "routed_dp_rank": 1,
        "kv_transfer_params": {"remote_host": "10.0.0.9"}, "priority": -5,
        "bootstrap_host": "203.0.113.9", "bootstrap_port": 8998, "bootstrap_room": 1, "data_parallel_rank": 1,
        "disaggregated_params": {"encoded_opaque_state": "x"}, "ec_transfer_params": {}, "lora_path": "http://203.0.113.9",
        "custom_logit_processor": "code",
    }  # fmt: skip
    async with cluster(tmp_path, 1) as stack:
        await answered(stack, await opening("hi"))
        await answered(stack, await opening("hi"), **fields)
        plain, tried = (entry["body"] for entry in calls(stack, "e0"))
        assert tried == plain
        assert len(plain["cache_salt"]) == 64
        async with stack.post(key=BANK, json={"model": "qwen", "messages": [{}], "Cache_Salt": "x"}) as response:
            assert response.status == 400


async def test_a_caller_may_stand_back_and_never_come_forward(tmp_path: Path) -> None:
    """The later of what it asks for and what its tenant has; only where the engines go by it."""
    async with cluster(tmp_path, 1, more="priority: true") as stack:
        messages = await opening("hi")
        cases: list[tuple[str, dict[str, Any]]] = [
            (BANK, {}), (BANK, {"priority": -9}), (BANK, {"priority": 7}), (BANK, {"priority": 10**9}),
            (BANK, {"priority": True}), (BANK, {"priority": "1"}), (SMALL, {}), (SMALL, {"priority": 2}),
            (SMALL, {"priority": 9}),
        ]  # fmt: skip
        for key, given in cases:
            await answered(stack, messages, key, **given)
        sent = [entry["body"].get("priority", 0) for entry in calls(stack, "e0")]
        assert sent == [0, 0, 7, 100, 0, 0, 5, 5, 9]


# ---- asking engines --------------------------------------------------------------------------------------------------


async def test_engines_are_asked_the_sovereign_way_and_without_harm(tmp_path: Path) -> None:
    """A GET of the page from the root, over connections that calls use as well; what breaks is asked less often."""
    async with cluster(tmp_path) as stack:
        poller = stack.worker.poller
        stack.sim("e1").behave({"fault": {"kind": "status", "status": 404, "on": "all"}})
        stack.sim("e2").behave({"fault": {"kind": "garbage", "how": "bytes", "on": "all"}})
        await stack.until(lambda: poller._engines)
        await polled(stack)
        view = stack.worker.gateway._parts.loads.view
        known = {("vpc", f"127.0.0.1:{stack.sim(name).port}") for name in ("e0", "e3")}
        assert set(view.readings) == known
        assert poller.unanswered >= 2
        entry = stack.received("e0")[0]
        assert (entry["method"], entry["path"]) == ("GET", "/metrics")
        assert stack.worker.general.opened == 0
        assert stack.worker.sovereign.opened > 0
        broken = [engine for engine in poller._engines if engine.place not in known]
        assert all(engine.due > stack.worker.loop.time() + RETRY / 2 for engine in broken)
        for name in ("e1", "e2"):
            stack.sim(name).behave({})
        places = {(await answered(stack, await opening(f"call {n}")))[0] for n in range(40)}
        assert places == {"e0", "e1", "e2", "e3"}


async def test_engines_outside_the_vpc_are_asked_the_general_way(tmp_path: Path) -> None:
    """As their calls go; the sovereign way is for the VPC."""
    async with cluster(tmp_path) as stack:
        await stack.until(lambda: stack.worker.poller._engines)
        await polled(stack)  # what was under way is over
        before = stack.worker.sovereign.opened
        text = stack.worker.path.read_text().replace("trust: vpc", "trust: third-party").replace(", residency: vpc", "")
        stack.worker.path.write_text(text)
        assert await stack.worker.reload() == []
        await polled(stack)
        assert len(stack.worker.gateway._parts.loads.view.readings) == 4
        assert stack.worker.general.opened == 4
        assert stack.worker.sovereign.opened == before


async def test_a_page_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is one that never begins, once its time is over."""
    monkeypatch.setattr("hybridproxy.gateway.poller.MAX_PAGE", 10)
    async with cluster(tmp_path, 2) as stack:
        await stack.until(lambda: stack.worker.poller.unanswered >= 2)
        assert not stack.worker.gateway._parts.loads.view.readings


@pytest.mark.parametrize(("provider", "count"), [("vllm", 1), ("tensorrt-llm", 2)])
async def test_who_has_nothing_to_say_is_not_asked(tmp_path: Path, provider: str, count: int) -> None:
    """One engine is no choice; reading TensorRT-LLM's page would empty it."""
    async with cluster(tmp_path, count, provider=provider) as stack:
        stack.worker.poller.tick()
        await answered(stack, await opening("hi"))
        assert stack.worker.poller.asked == 0


async def test_after_a_reload_the_new_engines_are_asked(tmp_path: Path) -> None:
    """And what the old ones said is forgotten."""
    async with cluster(tmp_path) as stack:
        await stack.until(lambda: stack.worker.poller._engines)
        await polled(stack)
        view = stack.worker.gateway._parts.loads.view
        assert len(view.readings) == 4
        stack.worker.path.write_text(configuration([stack.sim(f"e{n}").url for n in (0, 1)]))
        assert await stack.worker.reload() == []
        await polled(stack)
        assert {engine.place for engine in stack.worker.poller._engines} == set(view.readings)
        assert len(view.readings) == 2


async def test_a_bug_in_asking_is_reported_and_costs_no_call(tmp_path: Path) -> None:
    """The task goes on."""
    async with cluster(tmp_path) as stack:
        reports: list[str] = []

        def broken() -> Any:
            poller.close()
            raise RuntimeError

        poller = Poller(
            stack.worker.gateway._parts.loads, broken, stack.worker.general, stack.worker.sovereign,
            random.Random(1), lambda: reports.append("poll"),
        )  # fmt: skip
        await asyncio.wait_for(poller.run(), 30)
        assert reports == ["poll"]
