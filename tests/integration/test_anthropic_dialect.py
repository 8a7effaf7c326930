"""Anthropic's dialect over real sockets: what passes as it came, what is translated, and what never happens."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from openai import AsyncOpenAI

from tests.support.anthropic_stack import client, hi, speaking
from tests.support.stack import BANK, Stack

VERSION = {"anthropic-version": "2023-06-01"}
TEXT = "The quick brown fox jumps over the lazy dog, and then it does so once more."
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
]


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """Simulated upstreams and the proxy."""
    async with speaking(tmp_path) as started:
        yield started


async def raw(stack: Stack, model: str, url: str = "", **fields: Any) -> bytes:
    """Return the bytes of an answer, direct where there is an address, else through the proxy."""
    body = {"model": model, **hi(), **fields}
    if url:
        headers = VERSION | {"authorization": "Bearer key-of-tests"}
        async with stack.http.post(url, json=body, headers=headers) as response:
            return await response.read()
    async with stack.post("/v1/messages?beta=true", json=body, headers=VERSION) as response:
        assert response.status == 200
        return await response.read()


@pytest.mark.parametrize("stream", [False, True])
async def test_who_speaks_the_dialect_is_heard_as_it_is(stack: Stack, stream: bool) -> None:
    """Byte for byte, fields that nobody here knows included; but a marker of OpenAI's behind the end is none of it."""
    for name, model, upstream, path in (
        ("anthropic", "claude", "claude-up", "/v1/messages"),
        ("openrouter", "routed", "qwen/up", "/api/v1/messages"),
    ):
        await raw(stack, model)  # what the second call finds in the upstream's cache, the third finds too
        direct = await raw(stack, upstream, stack.sim(name).url + path, stream=stream)
        through = await raw(stack, model, stream=stream)
        assert through == direct.replace(b"-000002", b"-000003").removesuffix(b"event: data\ndata: [DONE]\n\n")
        entry = stack.received(name)[-1]
        assert entry["path"] == path
        assert entry["body"] == {"model": upstream, **hi(), "stream": stream}


async def test_a_last_event_that_is_missing_is_written_here(stack: Stack) -> None:
    """The upstream has told why its answer ended, and its body ended well."""
    whole = await raw(stack, "claude", stream=True)
    stack.sim("anthropic").behave({"done": False})
    through = await raw(stack, "claude", stream=True)
    assert through.count(b"event: message_delta") == through.count(b"event: message_stop") == 1
    assert len(through.split(b"\n\n")) == len(whole.split(b"\n\n"))


async def test_an_upstream_gets_the_callers_own_words_and_headers(stack: Stack) -> None:
    """Whatever the version and the betas; not what would steer."""
    more = {"system": [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}}], "top_k": 7}
    tool = {"type": "web_search_20250305", "name": "web_search"}
    body = {"model": "claude", **hi(), **more, "tools": [tool], "workspace_id": "w", "provider": {"only": ["x"]}}
    headers = {"anthropic-version": "2026-10-21", "anthropic-beta": "some-2026-01-01,more", "x-other": "x"}
    async with stack.post("/v1/messages", json=body, headers=headers) as response:
        assert response.status == 200
        assert response.headers["request-id"] == response.headers["x-request-id"]
    (entry,) = stack.received("anthropic")
    assert entry["body"] == {"model": "claude-up", **hi(), **more, "tools": [tool]}
    sent = dict(entry["headers"])
    assert (sent["anthropic-version"], sent["anthropic-beta"]) == ("2026-10-21", "some-2026-01-01,more")
    assert "x-other" not in sent


CODE: dict[str, Any] = {
    "max_tokens": 32000,
    "system": [
        {"type": "text", "text": "You are a coding tool."},
        {"type": "text", "text": "Much of it.", "cache_control": {"type": "ephemeral"}},
    ],
    "tools": [
        {
            "name": f"Tool{number}",
            "description": "does it",
            "input_schema": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {}},
        }
        for number in range(30)
    ],
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "medium"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "metadata": {"user_id": "user_1"},
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>be short</system-reminder>"},
                {"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}},
            ],
        }
    ],
}
"""What Claude Code sends, as far as its kind goes."""


@pytest.mark.parametrize("model", ["qwen", "claude", "routed"])
async def test_claude_code_runs_against_it(stack: Stack, model: str) -> None:
    """It looks whether anybody is there, lists models, counts tokens, and streams with all it has."""
    async with stack.http.head(stack.url + "/") as response:
        assert response.status == 200
    headers = {"authorization": "Bearer " + "hp_" + "s" * 43, **VERSION}
    async with stack.http.get(stack.url + "/v1/models?limit=1000", headers=headers) as response:
        assert (await response.json())["data"][0]["type"] == "model"
    counted = {name: CODE[name] for name in ("system", "tools", "thinking", "messages")}
    async with stack.post("/v1/messages/count_tokens?beta=true", json={"model": model, **counted}) as response:
        assert (response.status, (await response.json())["input_tokens"] > 0) == (200, True)
    stack.sim("together").behave({"reasoning": 2})
    body = {"model": model, **CODE, "stream": True, "tool_choice": {"type": "auto"}}
    betas = {"anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14", "x-app": "cli"}
    async with stack.post("/v1/messages?beta=true", json=body, headers=VERSION | betas) as response:
        assert response.status == 200
        dropped = "context_management, cache_control, user" if model == "qwen" else ""
        assert response.headers.get("x-hybridproxy-dropped", "") == dropped
        assert (await response.read()).endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


async def test_messages_never_go_to_an_engine_in_this_dialect(stack: Stack) -> None:
    """It might not take the tenant's salt there, and mix the tenants' caches; a count keeps nothing."""
    async with stack.post("/v1/messages", key=BANK, json={"model": "counted", **hi()}) as response:
        assert response.status == 200
    count = {"model": "counted", "messages": hi()["messages"]}
    async with stack.post("/v1/messages/count_tokens", key=BANK, json=count) as response:
        assert "x-hybridproxy-estimated" not in response.headers
    asked, counted = stack.received("vllm")
    assert (asked["path"], counted["path"]) == ("/v1/chat/completions", "/v1/messages/count_tokens")
    assert asked["body"]["cache_salt"]


# ---- callers of OpenAI's dialect -------------------------------------------------------------------------------------


@pytest.fixture
def sdk(stack: Stack) -> AsyncOpenAI:
    """OpenAI's client."""
    return stack.openai()


async def test_openais_callers_reach_anthropic(stack: Stack, sdk: AsyncOpenAI) -> None:
    """Text and tokens, whole and streamed, with the names that OpenAI's answers have."""
    messages: Any = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello there"}]
    answer = await sdk.chat.completions.create(model="claude", messages=messages, temperature=0.5, seed=1)
    assert answer.choices[0].message.content == "Hello from anthropic (claude-up). You said: hello there"
    assert (answer.object, answer.model, answer.choices[0].finish_reason) == ("chat.completion", "claude-up", "stop")
    assert answer.created > 0
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 8)
    stream = await sdk.chat.completions.create(
        model="claude", messages=messages, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == answer.choices[0].message.content
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 8
    assert {chunk.created > 0 for chunk in chunks} == {True}
    body = stack.received("anthropic")[0]["body"]
    assert (body["system"], body["max_tokens"]) == ([{"type": "text", "text": "be kind"}], 8192)


async def test_what_openais_callers_have_no_words_for_is_named(stack: Stack) -> None:
    """Dropped where it changes little, refused where it changes the answer."""
    body: dict[str, Any] = {"model": "claude", "messages": hi()["messages"], "seed": 1}
    async with stack.post(json=body) as response:
        assert response.headers["x-hybridproxy-dropped"] == "seed"
    async with stack.post(json=body | {"logprobs": True}) as response:
        assert (response.status, "logprobs" in await response.text()) == (400, True)
    async with stack.post(json=body | {"response_format": {"type": "json_object"}}) as response:
        assert (response.status, "response_format" in await response.text()) == (400, True)


@pytest.mark.parametrize("stream", [False, True])
async def test_openais_callers_keep_signatures(stack: Stack, stream: bool) -> None:
    """In a field of the message, which they send back with the results of tools."""
    stack.sim("anthropic").behave({"reasoning": 2})
    body: dict[str, Any] = {"model": "claude", "messages": hi()["messages"], "tools": TOOLS, "reasoning_effort": "low"}
    async with stack.post(json=body | {"stream": stream}) as response:
        data = await response.read()
    message: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": []}
    if stream:
        for line in data.split(b"\n"):
            if line.startswith(b"data: {"):
                for choice in orjson.loads(line[6:])["choices"]:
                    add(message, choice["delta"])
    else:
        message = orjson.loads(data)["choices"][0]["message"]
    assert message["reasoning_content"] == "thought1 thought2 "
    assert message["thinking_blocks"][0]["signature"]
    (call,) = message["tool_calls"]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}
    body["messages"] = [*body["messages"], message, result]
    async with stack.post(json=body) as response:
        assert response.status == 200, await response.text()
    sent = stack.received("anthropic")[-1]["body"]
    assert [block["type"] for block in sent["messages"][1]["content"]] == ["thinking", "tool_use"]
    assert sent["thinking"] == {"type": "adaptive"}
    assert sent["output_config"] == {"effort": "low"}


def add(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Put a delta to a message, as a client does."""
    message["content"] += delta.get("content") or ""
    message["reasoning_content"] = message.get("reasoning_content", "") + delta.get("reasoning_content", "")
    message["thinking_blocks"] = [*message.get("thinking_blocks", ()), *delta.get("thinking_blocks", ())]
    for call in delta.get("tool_calls") or ():
        if call.get("id"):
            message["tool_calls"].append(call)
        else:
            message["tool_calls"][call["index"]]["function"]["arguments"] += call["function"]["arguments"]


# ---- streams that break ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [1, 4, 9])
async def test_a_stream_goes_on_at_another_backend(tmp_path: Path, after: int) -> None:
    """One message, one block, each character once: the caller does not see the seam."""
    async with speaking(tmp_path, "[resume, error]") as stack:
        for name in ("vllm", "openrouter"):
            stack.sim(name).behave({"text": TEXT})
        stack.sim("vllm").behave({"text": TEXT, "fault": {"kind": "cut", "after_pieces": after}})
        async with client(stack.url) as sdk, sdk.messages.stream(model="cut", **hi()) as events:
            kinds = [event.type async for event in events]
            message = await events.get_final_message()
        assert [block.text for block in message.content if block.type == "text"] == [TEXT]
        assert (kinds.count("message_start"), kinds.count("message_stop")) == (1, 1)
        assert message.stop_reason == "end_turn"
        assert [entry["path"] for entry in stack.received("openrouter")] == ["/api/v1/chat/completions"]
        (line,) = [line for line in await stack.lines() if line["event"] == "call.finished"]
        assert line["seams"]


async def test_a_slow_start_falls_over_before_the_first_event(stack: Stack) -> None:
    """A backend that fails before its first output is not heard of: here from OpenAI's dialect to Anthropic's."""
    stack.sim("together").behave({"fault": {"kind": "cut", "after_pieces": 0}})
    async with client(stack.url) as sdk:
        message = await sdk.messages.create(model="everywhere", **hi())
        assert "anthropic" in str(message.content)
        async with sdk.messages.stream(model="everywhere", **hi()) as events:
            assert "anthropic" in await events.get_final_text()


async def test_nothing_an_upstream_says_breaks_more_than_its_own_answer(stack: Stack) -> None:
    """Damage in a stream of the dialect is an error, and the next call is served."""
    hostile: list[dict[str, Any]] = [
        {"kind": "garbage", "after_pieces": 2},
        {"kind": "truncate_json", "after_pieces": 2},
        {"kind": "status", "status": 200, "body": {"type": "message"}},
        {"kind": "status", "status": 500, "body": "no JSON"},
    ]
    for fault in hostile:
        stack.forgive()
        stack.sim("anthropic").behave({"fault": fault})
        async with stack.post("/v1/messages", json={"model": "claude", **hi(), "stream": True}) as response:
            try:
                data = await response.read()
            except aiohttp.ClientPayloadError:
                data = b""
        assert b"message_stop" not in data
    stack.sim("anthropic").behave({})
    async with stack.post("/v1/messages", json={"model": "claude", **hi()}) as response:
        assert response.status == 200
