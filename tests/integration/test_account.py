"""What the ledger says of every kind of call, over real sockets, against what the upstreams have in their journals."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hybridproxy.gateway.driver import Driver
from hybridproxy.metering.records import Basis, Ended, Outcome
from hybridproxy.model.usage import Usage
from hybridproxy.resilience.events import Complete
from hybridproxy.simulator.server import SimulatorSpec, serve
from tests.support.books import books_of
from tests.support.stack import (
    BANK,
    CONFIG,
    DEFAULTS,
    ENVIRON,
    SHOP,
    SINGAPORE,
    SMALL,
    Stack,
    chat,
    digest,
    started,
)

PRICE = "price: {input: 1, output: 2}"
"""A dollar for a million tokens of input, two for as many of output: the simulator's prices."""


@contextlib.asynccontextmanager
async def priced(folder: Path, price: str = PRICE, **settings: Any) -> AsyncIterator[Stack]:
    """Start an installation whose backends have the prices of the simulator."""
    simulators = await serve([SimulatorSpec(name) for name in ("dashscope", "together", "openrouter", "vllm")])
    urls = {s.name: s.base_url for s in simulators.all} | {"vllm": simulators["vllm"].url}
    keys = {"shop": digest(SHOP), "bank": digest(BANK), "small": digest(SMALL)}
    text = CONFIG.format(**DEFAULTS | settings, **urls, **keys)
    for name in ("qwen-sg", "Qwen/Qwen-tput", "qwen/qwen-or"):
        text = text.replace(f": {name},", f": {{name: {name}, {price}}},")
    file = folder / "hybridproxy.yaml"
    file.write_text(text)
    async with started(file, simulators, ENVIRON) as stack:
        yield stack


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Stack]:
    """An installation with prices."""
    async with priced(tmp_path) as stack:
        yield stack


async def ask(stack: Stack, **more: Any) -> bytes:
    """Make a call and read its answer, however it ends."""
    options = {name: more.pop(name) for name in ("key", "address", "path") if name in more}
    async with stack.post(json=chat(**more), **options) as response:
        try:
            return await response.read()
        except Exception:  # noqa: BLE001 - a cut stream
            return b""


def bill_of(stack: Stack, name: str) -> tuple[int, int, int]:
    """Return what an upstream would charge: tokens in and out, nano-dollars, of all it got."""
    entries = stack.received(name)
    return tuple(sum(e[key] for e in entries) for key in ("prompt_tokens", "completion_tokens", "billed"))


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_costs_what_its_upstream_charges(shop: Stack, stream: bool) -> None:
    """To the token and the nano-dollar; also of a stream whose caller did not ask for usage."""
    books = books_of(shop)
    await ask(shop, stream=stream)
    books.check()
    (end,), (call,) = books.ended, books.called
    assert (end.usage.prompt, end.usage.completion, end.cost) == bill_of(shop, "together")
    assert (end.outcome, end.basis, end.table, end.priced) == (Outcome.ANSWERED, Basis.TABLE, end.cost, True)
    assert end.cost > 0
    assert (call.cost, call.usage, call.estimated, call.status) == (end.cost, end.usage, 0, 200)
    (start,) = books.started
    assert (start.tenant, start.model, start.backend, start.region) == ("shop", "qwen", "together-us", "north-america")
    assert (start.upstream, start.mode) == ("Qwen/Qwen-tput", "fresh")
    assert start.cost >= 1024 * 2000


async def test_what_was_refused_costs_nothing_and_the_next_one_what_it_used(shop: Stack) -> None:
    """A 503 is not billed; the record of the attempt says what it was."""
    books = books_of(shop)
    shop.sim("together").behave({"fault": {"kind": "status", "status": 503}})
    await ask(shop)
    books.check()
    failed, answered = books.ended
    assert (failed.outcome, failed.fault, failed.cost, failed.basis) == (
        Outcome.FAILED, "overloaded", 0, Basis.NOTHING,
    )  # fmt: skip
    assert answered.outcome is Outcome.ANSWERED
    assert answered.cost == bill_of(shop, "openrouter")[2]


async def test_what_was_never_sent_costs_nothing(shop: Stack) -> None:
    """Nobody listens there."""
    books = books_of(shop)
    shop.sim("together").server.close()
    await ask(shop)
    books.check()
    assert (books.ended[0].fault, books.ended[0].basis) == ("connect", Basis.NOTHING)


async def test_what_was_sent_whole_and_lost_is_charged_by_the_other_ones_count(shop: Stack) -> None:
    """The upstream that closed the connection has read the prompt; how long that is another one told."""
    books = books_of(shop)
    shop.sim("together").behave({"fault": {"kind": "cut", "before_head": True}})
    await ask(shop, text="one two three", stream=True)
    books.check()
    lost, answered = books.ended
    assert (lost.outcome, lost.basis, lost.usage.estimated) == (Outcome.FAILED, Basis.ESTIMATE, True)
    assert lost.usage.prompt == answered.usage.prompt == 3
    assert lost.cost == bill_of(shop, "together")[2] == 3 * 1000
    assert books.called[0].estimated == lost.cost


@pytest.mark.parametrize("fault", ["cut", "in_band_error", "garbage"])
async def test_a_cut_stream_costs_what_was_seen_of_it(shop: Stack, fault: str) -> None:
    """Usage would have come at its end: four words were seen, and the input is estimated."""
    books = books_of(shop)
    shop.sim("together").behave({"text": "a bb ccc dddd eeeee", "fault": {"kind": fault, "after_pieces": 4}})
    await ask(shop, stream=True)
    books.check()
    (end,) = books.ended
    assert (end.outcome, end.basis) == (Outcome.CUT, Basis.ESTIMATE)
    assert end.usage.completion == 4
    assert end.usage.prompt > 0
    assert books.called[0].estimated == end.cost > 8000


async def test_a_picture_that_nobody_counted_is_charged_as_one(shop: Stack) -> None:
    """And not as a text as long as its base64: 400 kB would be a hundred thousand tokens."""
    books = books_of(shop)
    shop.sim("together").behave({"fault": {"kind": "cut", "after_pieces": 3}})
    shown = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}}
    body = {"model": "qwen", "stream": True, "messages": [{"role": "user", "content": [shown]}]}
    async with shop.post(json=body) as response:
        with contextlib.suppress(aiohttp.ClientPayloadError):
            await response.read()
    books.check()
    (cut,) = books.ended
    assert (cut.outcome, cut.basis) == (Outcome.CUT, Basis.ESTIMATE)
    assert 1000 < cut.usage.prompt < 2000


async def test_a_tool_call_that_an_error_ends_costs_what_was_seen_of_it(shop: Stack) -> None:
    """It has no text, but arguments."""
    books = books_of(shop)
    shop.sim("together").behave({"fault": {"kind": "in_band_error", "after_pieces": 3}})
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": "forecast", "parameters": parameters}}]
    await ask(shop, stream=True, tools=tools)
    books.check()
    (end,) = books.ended
    assert (end.outcome, end.basis) == (Outcome.CUT, Basis.ESTIMATE)
    assert end.usage.completion >= 3


async def test_the_loser_of_a_hedge_is_charged_for_its_input(tmp_path: Path) -> None:
    """It read the prompt and was cancelled before it said anything."""
    async with priced(tmp_path, hedge="2%") as stack:
        for _ in range(25):
            await ask(stack, stream=True)
        stack.worker.gateway._parts.allowances.of("shop", 0).called(0, 5)
        books = books_of(stack)
        stack.sim("together").behave({"latency_ms": 20_000})
        await ask(stack, stream=True)
        books.check()
        lost, won = books.ended
        assert [start.mode for start in books.started] == ["fresh", "hedge"]
        assert (lost.outcome, won.outcome) == (Outcome.CANCELLED, Outcome.ANSWERED)
        assert lost.usage == Usage(won.usage.prompt, 0, estimated=True)


@pytest.mark.parametrize("way", ["resume", "replay"])
async def test_both_parts_of_a_stream_that_went_on_are_charged(tmp_path: Path, way: str) -> None:
    """The caller's own usage is the sum of both; the second part is charged as its upstream reports it."""
    async with priced(tmp_path, on_cut=f"[{way}, error]") as stack:
        books = books_of(stack)
        text = " ".join(f"word{n}" for n in range(12))
        for name in ("dashscope", "openrouter"):
            stack.sim(name).behave({"text": text})
        stack.sim("dashscope").behave({"text": text, "fault": {"kind": "cut", "after_pieces": 5}})
        await ask(stack, stream=True, address=SINGAPORE, temperature=0, seed=1)
        books.check()
        first, second = books.ended
        assert [start.mode for start in books.started] == ["fresh", way]
        assert (first.outcome, second.outcome) == (Outcome.CUT, Outcome.ANSWERED)
        assert first.usage.completion >= 5
        assert second.cost == bill_of(stack, "openrouter")[2]


@pytest.mark.parametrize("stream", [False, True])
async def test_whoever_leaves_pays_for_what_was_made_until_then(shop: Stack, stream: bool) -> None:
    """Streaming or not: the request was read, and the answer was being made."""
    books = books_of(shop)
    shop.sim("together").behave({"pace_ms": 5, "pieces": 400} if stream else {"latency_ms": 60_000})
    async with shop.post(json=chat(stream=stream)) if stream else contextlib.nullcontext() as response:
        if response is not None:
            await response.content.readany()
            await asyncio.sleep(0.05)
            response.close()
    if not stream:
        leaves = asyncio.create_task(ask(shop))
        await shop.until(lambda: shop.received("together"))
        await asyncio.sleep(0.05)
        leaves.cancel()
    await shop.until(lambda: books.called)
    books.check()
    (end,) = books.ended
    assert (end.outcome, end.fault, end.basis) == (Outcome.CANCELLED, "client_gone", Basis.ESTIMATE)
    assert end.usage.completion > 0
    assert (books.called[0].status, books.called[0].cost) == (499, end.cost)


async def test_a_call_that_reached_nobody_is_a_call_without_attempts(shop: Stack) -> None:
    """Refused by us: it has a record, costs nothing, and the name of a model that nobody has is not kept."""
    books = books_of(shop)
    await ask(shop, model="no-such-model")
    await ask(shop, address="114.114.114.114")
    await ask(shop, messages=7)
    assert [(c.status, c.attempts, c.cost, c.model) for c in books.called] == [
        (404, 0, 0, ""), (403, 0, 0, "qwen"), (400, 0, 0, ""),
    ]  # fmt: skip
    assert len(books.entries) == 3
    await ask(shop, key="hp_" + "x" * 43)
    assert len(books.entries) == 3  # nobody's call


async def test_counting_tokens_costs_nothing(shop: Stack) -> None:
    """Nobody charges for it."""
    books = books_of(shop)
    body = chat()
    async with shop.post("/v1/messages/count_tokens", json=body) as response:
        assert response.status == 200
    books.check()
    assert [end.basis for end in books.ended] == [Basis.NOTHING] * len(books.ended)
    assert books.called[0].cost == 0


async def test_embeddings_cost_their_input(shop: Stack) -> None:
    """An embedding has no output."""
    books = books_of(shop)
    async with shop.post("/v1/embeddings", json={"model": "qwen", "input": "one two"}) as response:
        assert response.status == 200
    books.check()
    assert books.ended[0].usage == Usage(2, 0)
    assert books.started[0].answer == 0


async def test_a_bug_costs_no_record(shop: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever one strikes, what was begun is ended, and what may be billed is charged."""
    books = books_of(shop)

    def breaks(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("hybridproxy.gateway.driver.Driver._complete", breaks)
    monkeypatch.setitem(Driver._PERFORM, Complete, breaks)
    await ask(shop)
    books.check()
    assert [end.outcome for end in books.ended] == [Outcome.CANCELLED]
    assert books.ended[0].cost > 0
    assert books.called[0].status == 500


async def test_the_upstreams_cost_is_what_counts(shop: Stack) -> None:
    """OpenRouter tells it in dollars: it is in the record to the nano-dollar, beside what the table says."""
    books = books_of(shop)
    await ask(shop, address="141.20.1.1")
    (end,) = books.ended
    assert (end.basis, end.cost) == (Basis.UPSTREAM, bill_of(shop, "openrouter")[2])
    assert end.table == end.cost


async def test_an_answer_that_is_not_passed_on_costs_what_its_upstream_says(shop: Stack) -> None:
    """Another host than the pinned one made it: charged once, by the upstream's word, and not estimated besides."""
    books = books_of(shop)
    shop.sim("openrouter").behave({"host": "Elsewhere"})
    await ask(shop, address="141.20.1.1")
    books.check()
    kept, _ = books.ended
    entry = shop.received("openrouter")[0]
    assert (kept.fault, kept.basis, kept.cost) == ("unpinned", Basis.UPSTREAM, entry["billed"])
    assert (kept.usage.prompt, kept.usage.completion) == (entry["prompt_tokens"], entry["completion_tokens"])


@pytest.mark.parametrize(("asks", "rate"), [(True, 0.1), (False, 0.2)])
async def test_reading_what_the_call_asked_to_keep_costs_less(tmp_path: Path, asks: bool, rate: float) -> None:
    """DashScope takes a tenth of the input for it, and a fifth for what its cache found by itself."""
    price = "price: {input: 1, output: 2, cache_read: 0.2, cache_read_explicit: 0.1, cache_write: 1.25}"
    part = {"type": "text", "text": "word " * 2000, **({"cache_control": {"type": "ephemeral"}} if asks else {})}
    messages = [{"role": "system", "content": [part]}, {"role": "user", "content": "hello"}]
    async with priced(tmp_path, price) as stack:
        stack.sim("dashscope").behave({"caches": True})
        books = books_of(stack)
        for _ in range(2):
            async with stack.post(json={"model": "qwen", "messages": messages}, address=SINGAPORE) as response:
                assert response.status == 200
        books.check()
    usage = books.ended[1].usage
    assert usage.cached >= 2000
    rest = (usage.prompt - usage.cached) * 1000 + usage.completion * 2000
    assert books.ended[1].cost == rest + usage.cached * int(rate * 1000)


async def test_a_developer_can_see_what_a_call_cost(shop: Stack) -> None:
    """In dollars, of an answer that does not stream, where the decision is asked for too."""
    books = books_of(shop)
    async with shop.post(json=chat(), headers={"x-hybridproxy-explain": "1"}) as response:
        assert response.headers["x-hybridproxy-cost"] == f"0.{books.called[0].cost:09}"
    async with shop.post(json=chat()) as response:
        assert "x-hybridproxy-cost" not in response.headers


async def test_the_vpc_costs_nothing(shop: Stack) -> None:
    """Nobody sends a bill for it, and its tokens are counted all the same."""
    books = books_of(shop)
    await ask(shop, key=BANK, address=SINGAPORE)
    books.check()
    (end,) = books.ended
    assert (end.cost, end.basis, end.priced) == (0, Basis.TABLE, True)
    assert (end.usage.prompt, end.usage.completion) == bill_of(shop, "vllm")[:2]


async def test_a_probe_of_ours_is_in_the_ledger_and_nobodys(tmp_path: Path) -> None:
    """The VPC is probed by calls of one token of our own: whoever pays for the cluster sees them."""
    async with priced(tmp_path, open_for="200ms", open_max="400ms") as stack:
        books = books_of(stack)
        stack.sim("vllm").behave({"fault": {"kind": "status", "status": 503}})
        for _ in range(3):
            await ask(stack, key=BANK, address=SINGAPORE)
        stack.sim("vllm").behave({})

        def good() -> list[Ended]:
            calls = {start.call for start in books.started if start.tenant == ""}
            return [end for end in books.ended if end.call in calls and end.outcome is Outcome.ANSWERED]

        await stack.until(lambda: len(good()) >= 3)
        assert all(end.usage.completion == 1 and end.cost == 0 for end in good()), "the cluster's price"
        names = {line.request_id for line in stack.sim("vllm").upstream.journal.books.lines}
        assert {end.call for end in good()} <= names, "the provider's books know it by the same name"
