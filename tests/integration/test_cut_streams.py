"""A stream that breaks after its first output and goes on with another backend: one coherent stream for the caller."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.support.inside import change, finished
from tests.support.stack import SINGAPORE, TORONTO, Stack, chat, running

TEXT = (
    "The quick brown fox jumps over the lazy dog.\n\n  Twice,  it  seems: the quick brown fox jumps again \U0001f98a."
)
CUT = {"kind": "cut", "after_pieces": 4}


@pytest.fixture
async def resuming(tmp_path: Path) -> AsyncIterator[Stack]:
    """An installation whose route resumes, then repeats."""
    async with running(tmp_path, on_cut="[resume, replay, error]") as stack:
        yield stack


async def events(response: aiohttp.ClientResponse) -> list[Any]:
    """Return the parsed events of a stream until it ends; "cut" at the end of one that broke off."""
    data, end = b"", []
    try:
        async for part in response.content.iter_any():
            data += part
    except aiohttp.ClientPayloadError:
        end = ["cut"]
    found = [event.removeprefix(b"data: ") for event in data.split(b"\n\n") if event.startswith(b"data: ")]
    return [*("[DONE]" if event == b"[DONE]" else orjson.loads(event) for event in found), *end]


async def streamed(stack: Stack, address: str = SINGAPORE, **more: Any) -> list[Any]:
    """Make a streamed call and return its events."""
    async with stack.post(json=chat(stream=True, **more), address=address) as response:
        assert response.status == 200
        return await events(response)


def chunks(found: list[Any]) -> list[dict[str, Any]]:
    """Return the chunks of an answer."""
    return [event for event in found if isinstance(event, dict) and "choices" in event]


def text(found: list[Any]) -> str:
    """Return the text of an answer."""
    return "".join(c["delta"].get("content") or "" for event in chunks(found) for c in event["choices"])


def say(stack: Stack, said: str = TEXT, **more: Any) -> None:
    """Let all simulated models say the same; `more` is for the first one of Asia's route."""
    for name in ("together", "openrouter", "dashscope", "vllm"):
        stack.sim(name).behave({"text": said})
    stack.sim("dashscope").behave({"text": said, **more})


async def last_call(stack: Stack) -> dict[str, Any]:
    """Return the log line of the last call."""
    return (await finished(stack))[-1]


@pytest.mark.parametrize("after", range(1, 20))
async def test_no_character_is_lost_or_comes_twice_at_the_seam(resuming: Stack, after: int) -> None:
    """Wherever the stream is cut, the caller has the whole text once, under one id, with one end."""
    say(resuming, fault={"kind": "cut", "after_pieces": after})
    found = await streamed(resuming)
    assert text(found) == TEXT
    assert found.count("[DONE]") == 1
    assert found[-1] == "[DONE]"
    names = {(event["id"], event["created"], event["model"]) for event in chunks(found)}
    assert len(names) == 1
    roles = [c["delta"]["role"] for event in chunks(found) for c in event["choices"] if "role" in c["delta"]]
    assert roles == ["assistant"]
    finishes = [c["finish_reason"] for event in chunks(found) for c in event["choices"] if c["finish_reason"]]
    assert set(finishes) == {"stop"}
    line = await last_call(resuming)
    (seam,) = line["seams"]
    assert (seam["way"], seam["before"], seam["after"]) == ("resume", "dashscope-sg", "openrouter-us")
    assert (line["code"], line["status"]) == (None, 200)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "cut", "after_pieces": 5, "how": "reset"},
        {"kind": "in_band_error", "after_pieces": 5},
        {"kind": "garbage", "after_pieces": 5},
        {"kind": "no_finish", "after_pieces": 5, "done": True},
        {"kind": "truncate_json", "after_pieces": 5},
    ],
    ids=lambda fault: str(fault["kind"]),
)
async def test_however_it_breaks_it_goes_on(resuming: Stack, fault: dict[str, Any]) -> None:
    """A reset, an error within the stream, an event that cannot be read, an end without a finish reason: all resume."""
    say(resuming, fault=fault)
    found = await streamed(resuming)
    assert text(found) == TEXT
    assert found[-1] == "[DONE]"


async def test_a_stalled_stream_goes_on(tmp_path: Path) -> None:
    """Silence for `between_bytes` is a cut as well; the backend that fell silent is cancelled."""
    async with running(tmp_path, on_cut="[resume, error]") as stack:
        await change(stack, ("    shares_kept: true", "    timeouts: {between_bytes: 300ms}\n    shares_kept: true"))
        say(stack, fault={"kind": "stall", "after_pieces": 4})
        found = await streamed(stack)
        assert text(found) == TEXT
        await stack.until(lambda: stack.received("dashscope")[0]["outcome"] == "client_gone")


async def test_the_usage_of_both_parts_is_summed(resuming: Stack) -> None:
    """The caller sees the tokens of the cut part, which are estimated, and of the other: both are paid."""
    say(resuming, fault=CUT)
    found = await streamed(resuming, stream_options={"include_usage": True})
    (usage,) = [event["usage"] for event in chunks(found) if event.get("usage")]
    part = resuming.received("openrouter")[0]
    line = await last_call(resuming)
    assert usage["completion_tokens"] > part["completion_tokens"]
    assert usage["prompt_tokens"] > part["prompt_tokens"]
    assert (line["prompt_tokens"], line["completion_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert line["usage_estimated"]


async def test_the_continuation_is_asked_for_natively(resuming: Stack) -> None:
    """The backend gets what the caller has as the assistant's message, and no prompt of our invention."""
    say(resuming, fault=CUT)
    await streamed(resuming, max_tokens=500)
    body = resuming.received("openrouter")[0]["body"]
    assert [message["role"] for message in body["messages"]] == ["user", "assistant"]
    assert TEXT.startswith(body["messages"][-1]["content"])
    assert body["messages"][-1]["content"] == body["messages"][-1]["content"].rstrip()
    assert 0 < body["max_tokens"] < 500


async def test_a_backend_that_refuses_the_prefix_repeats_the_answer(resuming: Stack) -> None:
    """A 400 for the prefix leads to a replay there: it is heard from where the caller is."""
    say(resuming, fault=CUT)
    resuming.sim("openrouter").behave({"text": TEXT, "refuse_prefix": True})
    found = await streamed(resuming)
    assert text(found) == TEXT
    assert found[-1] == "[DONE]"
    (seam,) = (await last_call(resuming))["seams"]
    assert seam["way"] == "replay"


async def test_a_repetition_that_differs_is_not_heard(tmp_path: Path) -> None:
    """The caller gets the original fault, and not one character of the other answer."""
    async with running(tmp_path, on_cut="[replay, error]") as stack:
        say(stack, fault=CUT)
        stack.sim("openrouter").behave({"text": "The quick brown cat sleeps."})
        found = await streamed(stack)
        assert found[-1] == "cut"
        assert found[-2]["error"]["code"] == "upstream_cut"
        assert "dashscope-sg" in found[-2]["error"]["message"]
        assert TEXT.startswith(text(found))
        assert "[DONE]" not in found
        assert {key[0] for key in stack.worker.health.states()} == {"dashscope-sg"}, "another answer is no fault"


async def test_when_nobody_can_go_on_the_original_fault_is_told(resuming: Stack) -> None:
    """The second backend's failure explains nothing to the caller; the first one's does."""
    say(resuming, fault=CUT)
    resuming.sim("openrouter").behave({"fault": {"kind": "status", "status": 500}})
    found = await streamed(resuming)
    assert found[-1] == "cut"
    assert found[-2]["error"]["code"] == "upstream_cut"
    assert "openrouter" not in found[-2]["error"]["message"]


@pytest.mark.parametrize(
    "more",
    [
        {
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            "tool_choice": "none",
        },
        {"logprobs": True},
        {"enable_thinking": True},
    ],
    ids=lambda more: str(next(iter(more))),
)
async def test_what_cannot_be_joined_is_not_resumed(tmp_path: Path, more: dict[str, Any]) -> None:
    """Tools, log probabilities and thinking have no seam: the honest error."""
    async with running(tmp_path, on_cut="[resume, error]") as stack:
        say(stack, fault=CUT)
        found = await streamed(stack, **more)
        assert found[-1] == "cut"
        assert not stack.received("openrouter")


async def test_reasoning_is_not_resumed(resuming: Stack) -> None:
    """A model that thought before it spoke would go on without its thoughts."""
    say(resuming, reasoning=2, fault=CUT)
    found = await streamed(resuming)
    assert found[-1] == "cut"
    assert not resuming.received("openrouter")


async def test_by_default_a_cut_is_told(stack: Stack) -> None:
    """Nothing is resumed unless the route says so."""
    say(stack, fault=CUT)
    found = await streamed(stack)
    assert found[-1] == "cut"
    assert not stack.received("openrouter")


async def test_a_stream_that_breaks_twice_goes_on_twice(tmp_path: Path) -> None:
    """The second seam follows the first: the text is still whole."""
    async with running(tmp_path, on_cut="[resume, error]") as stack:
        say(stack)
        for name in ("openrouter", "dashscope"):
            stack.sim(name).behave({"text": TEXT, "fault": {"kind": "cut", "after_pieces": 3}})
        found = await streamed(stack, TORONTO)
        assert text(found) == TEXT or found[-1] == "[DONE]"


async def test_the_caller_leaves_while_its_stream_is_resumed(resuming: Stack) -> None:
    """The call that was to go on with it stops as well."""
    say(resuming, fault=CUT)
    resuming.sim("openrouter").behave({"text": TEXT, "latency_ms": 60_000})

    async def call() -> None:
        await streamed(resuming)

    task = asyncio.ensure_future(call())
    await resuming.until(lambda: resuming.received("openrouter"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await resuming.until(lambda: resuming.received("openrouter")[0]["outcome"] == "client_gone")
    await resuming.until(lambda: resuming.worker.gateway.in_flight == 0)
