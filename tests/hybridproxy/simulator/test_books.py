"""The books of a simulated provider."""

import asyncio
from typing import Any

import pytest

from hybridproxy.simulator import books as module
from hybridproxy.simulator.books import Books, Line
from hybridproxy.simulator.server import RunningSimulator
from tests.hybridproxy.simulator.client import HELLO, STREAM, JsonDict, ask, get, request, send, settled
from tests.hybridproxy.simulator.conftest import Start

NAMED = "connection: close\r\nx-request-id: call-1\r\n"
PROMPT, PIECE = 1000, 2000


async def rows(simulator: RunningSimulator) -> list[dict[str, Any]]:
    """Return the rows as the control address tells them."""
    await settled(simulator)
    told = (await get(simulator, "//_sim/books", key=None)).json
    return [dict(zip(told["columns"], row, strict=True)) for row in told["rows"]]


async def test_a_row_says_who_asked_what_was_made_and_what_it_costs(start: Start) -> None:
    """Lists of models are no model calls; a refused key is one, at no charge."""
    simulator = await start("openrouter", reasoning=2)
    await ask(simulator, HELLO, headers=NAMED)
    await get(simulator, "/models")
    await ask(simulator, STREAM, key="bad-key")
    first, refused = await rows(simulator)
    charged = 2 * PROMPT + 10 * PIECE
    assert first.pop("began_at") > 1_700_000_000
    assert first == {
        "number": 1, "request_id": "call-1", "call": "chat/completions", "model": "m", "stream": False, "status": 200,
        "fault": None, "outcome": "complete", "prompt": 2, "cached": 0, "written": 0, "completion": 10, "reasoning": 2,
        "charged": charged, "told": True, "told_cost": charged,
    }  # fmt: skip
    assert (refused["number"], refused["status"], refused["charged"], refused["told"]) == (3, 401, 0, False)


@pytest.mark.parametrize(
    ("provider", "fault", "stream", "charged"),
    [
        ("dashscope", {"kind": "cut"}, True, 0),
        ("dashscope", {"kind": "cut", "before_head": True}, False, 0),
        ("dashscope", {"kind": "in_band_error", "after_pieces": 0}, True, 0),
        ("dashscope", {"kind": "in_band_error"}, False, 0),
        ("dashscope", {"kind": "cut", "after_pieces": 3}, True, 2 * PROMPT + 3 * PIECE),
        ("openrouter", {"kind": "cut"}, True, 0),
        ("together", {"kind": "cut"}, True, 2 * PROMPT),
        ("together", {"kind": "in_band_error", "after_pieces": 0}, True, 0),
    ],
)
async def test_what_fails_before_the_first_token(
    start: Start, provider: str, fault: JsonDict, stream: bool, charged: int
) -> None:
    """Some charge nothing for it, others the prompt; what was made is charged by all."""
    simulator = await start(provider, fault=fault)
    await ask(simulator, STREAM if stream else HELLO)
    (row,) = await rows(simulator)
    assert (row["charged"], row["told"], row["told_cost"]) == (charged, False, None)


async def test_a_fault_that_comes_to_nothing_is_no_failure(start: Start) -> None:
    """Embeddings are answered whole where an answer in pieces would have an error in it, and are charged for."""
    simulator = await start("dashscope", fault={"kind": "in_band_error"})
    await ask(simulator, {"model": "m", "input": "good morning"}, "/embeddings")
    (row,) = await rows(simulator)
    assert (row["charged"], row["told"]) == (2 * PROMPT, True)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_caller_that_leaves_pays_for_what_was_made_until_then(start: Start, stream: bool) -> None:
    """Also where the provider charges nothing for its own failures."""
    simulator = await start("dashscope", pace_ms=5, pieces=10_000)
    _, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(request(simulator, STREAM if stream else HELLO))
    entries = simulator.upstream.journal.entries
    async with asyncio.timeout(30):
        while not entries or not entries[0].billable or entries[0].pieces_sent < 2 * stream:
            await asyncio.sleep(0.001)
    writer.close()
    (row,) = await rows(simulator)
    assert (row["outcome"], row["told"]) == ("client_gone", False)
    assert row["charged"] == 2 * PROMPT + row["completion"] * PIECE
    assert (row["completion"] >= 2) is stream


@pytest.mark.parametrize(
    ("provider", "path", "body", "told"),
    [
        ("openai", "/chat/completions", STREAM, False),
        ("openai", "/chat/completions", STREAM | {"stream_options": {"include_usage": True}}, True),
        ("together", "/chat/completions", STREAM, True),
        ("openai", "/responses", {"model": "m", "input": "good morning", "stream": True}, True),
        ("openai", "/embeddings", {"model": "m", "input": "good morning"}, True),
        ("anthropic", "/messages", STREAM | {"max_tokens": 99}, True),
        ("dashscope-native", "/services/aigc/text-generation/generation",
         {"model": "m", "input": {"prompt": "good morning"}}, True),
        ("vllm", "/chat/completions", STREAM | {"stream_options": {"continuous_usage_stats": True}}, True),
    ],
)  # fmt: skip
async def test_whether_the_caller_was_told(start: Start, provider: str, path: str, body: JsonDict, told: bool) -> None:
    """In every form of a call and of an answer."""
    simulator = await start(provider)
    headers = "connection: close\r\nanthropic-version: 2023-06-01\r\nx-dashscope-sse: enable\r\n"
    if provider == "anthropic":
        headers += "x-api-key: k\r\n"
    await ask(simulator, body, path, headers=headers)
    (row,) = await rows(simulator)
    assert (row["status"], row["told"], row["prompt"]) == (200, told, 2)


async def test_usage_on_every_chunk_tells_what_was_made_of_a_stream_that_was_cut(start: Start) -> None:
    """So that nothing has to be estimated."""
    simulator = await start("vllm", fault={"kind": "cut", "after_pieces": 3})
    await ask(simulator, STREAM | {"stream_options": {"continuous_usage_stats": True}})
    (row,) = await rows(simulator)
    assert (row["completion"], row["told"], row["outcome"]) == (3, True, "cut")


async def test_thinking_can_be_what_is_asked_for(start: Start) -> None:
    """Every provider is asked in a way of its own."""
    simulator = await start("together", reasoning=3, thinks="asked")
    asked: tuple[JsonDict, ...] = (
        {"enable_thinking": True},
        {"chat_template_kwargs": {"enable_thinking": True}},
        {"thinking": {"type": "enabled"}},
        {"reasoning": {"effort": "low"}},
        {"reasoning": {"enabled": True}},
    )
    for more in (*asked, {}, {"enable_thinking": False}, {"reasoning": {"enabled": False}}):
        await ask(simulator, HELLO | more)
    assert [row["reasoning"] for row in await rows(simulator)] == [3] * len(asked) + [0] * 3


async def test_prices_are_by_model(start: Start) -> None:
    """A model of its own price, and that of all others."""
    prices = {"m": {"input": 3, "output": 0}, "*": {"input": 0, "output": 1}}
    simulator = await start("openrouter", prices=prices)
    costs = [(await ask(simulator, HELLO | {"model": model})).json["usage"]["cost"] for model in ("m", "other")]
    assert [round(cost * 1e9) for cost in costs] == [row["charged"] for row in await rows(simulator)] == [6000, 8000]


async def test_the_books_are_bounded_and_can_be_cleared(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """They go with the requests."""
    simulator = await start()
    await ask(simulator)
    await send(simulator, request(simulator, None, "//_sim/requests", method="DELETE"))
    assert await rows_left(simulator) == {"rows": [], "written": 0}
    monkeypatch.setattr(module, "KEPT", 2)
    books = Books()
    for number in range(3):
        books.write(Line(number, "", "", "", False, 0, None, None, "", 0, 0, 0, 0, 0, 0, False, None))
    assert [row[0] for row in books.shown()["rows"]] == [1, 2]  # type: ignore[attr-defined]
    assert books.shown()["written"] == 3


async def rows_left(simulator: RunningSimulator) -> dict[str, Any]:
    """Return what the control address tells, without the names of the columns."""
    told: dict[str, Any] = (await get(simulator, "//_sim/books", key=None)).json
    return {name: value for name, value in told.items() if name != "columns"}
