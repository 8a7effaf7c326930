"""Each provider's wire, as its documentation and captures show it."""

import base64
import struct

import pytest

from hybridproxy.simulator.rows import PROVIDERS
from tests.hybridproxy.simulator.client import HELLO, STREAM, TEXT, JsonDict, ask, get
from tests.hybridproxy.simulator.conftest import Start

OPENAI_FORM = [name for name, row in PROVIDERS.items() if not row.native and not row.anthropic]
WITH_USAGE = STREAM | {"stream_options": {"include_usage": True}}
WORDS = {"prompt_tokens": 2, "completion_tokens": 8, "total_tokens": 10}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
    },
}
TIME = {"name": "time", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}}


@pytest.mark.parametrize("provider", OPENAI_FORM)
async def test_a_whole_answer(start: Start, provider: str) -> None:
    """Every provider answers a chat call with a text, a finish reason and the tokens counted."""
    got = await ask(await start(provider))
    (choice,) = got.json["choices"]
    assert (got.status, got.headers["content-type"], got.json["object"]) == (200, "application/json", "chat.completion")
    assert choice["message"] == {"role": "assistant", "content": TEXT.format(provider)}
    assert choice["finish_reason"] == "stop"
    assert WORDS.items() <= got.json["usage"].items()


@pytest.mark.parametrize("provider", OPENAI_FORM)
async def test_a_stream_says_the_same(start: Start, provider: str) -> None:
    """A stream adds up to the whole answer, one event a chunk, and ends with a finish, `[DONE]` and a last chunk."""
    got = await ask(await start(provider), STREAM)
    assert (got.status, got.headers["content-type"]) == (200, "text/event-stream")
    assert got.text == TEXT.format(provider)
    assert "stop" in [choice["finish_reason"] for event in got.events for choice in event["choices"]]
    assert got.done
    assert got.whole
    assert all(chunk.endswith(b"\n\n") for chunk in got.chunks[:-1])
    assert len(got.chunks) - 1 == len(got.blocks)
    assert {event["object"] for event in got.events} == {"chat.completion.chunk"}
    assert len({event["id"] for event in got.events}) == 1


@pytest.mark.parametrize("provider", ["dashscope", "vllm", "openai"])
async def test_usage_comes_only_when_asked_for(start: Start, provider: str) -> None:
    """Without include_usage no event has usage; with it a last event has usage and no choices."""
    simulator = await start(provider)
    assert not any(event.get("usage") for event in (await ask(simulator, STREAM)).events)
    last = (await ask(simulator, WITH_USAGE)).events[-1]
    assert last["choices"] == []
    assert WORDS.items() <= last["usage"].items()


async def test_together_gives_usage_unasked(start: Start) -> None:
    """Its schema knows no stream_options, and has the usage on the chunk that ends the answer."""
    last = (await ask(await start("together"), STREAM)).events[-1]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert WORDS.items() <= last["usage"].items()


@pytest.mark.parametrize("more", [{}, {"include_usage": True}])
async def test_vllm_gives_usage_on_every_chunk(start: Start, more: JsonDict) -> None:
    """With continuous_usage_stats each chunk has the tokens made so far, its own among them."""
    options = {"stream_options": {"continuous_usage_stats": True, **more}}
    got = await ask(await start("vllm", reasoning=1), STREAM | options)
    usages = [event["usage"] for event in got.events]
    assert [usage["completion_tokens"] for usage in usages] == [*range(10), 9, 9]
    assert {usage["total_tokens"] - usage["completion_tokens"] for usage in usages} == {2}
    assert {usage["prompt_tokens"] for usage in usages} == {2}
    assert (got.events[-1]["choices"], got.done) == ([], True)


async def test_where_there_is_no_continuous_usage(start: Start) -> None:
    """Others know no continuous_usage_stats, and vLLM gives none where include_usage or the settings say no."""
    asked = {"continuous_usage_stats": True}
    for provider in ("dashscope", "openai"):
        got = await ask(await start(provider), STREAM | {"stream_options": asked | {"include_usage": True}})
        assert [bool(event["usage"]) for event in got.events] == [False] * (len(got.events) - 1) + [True]
    vllm = await start("vllm")
    got = await ask(vllm, STREAM | {"stream_options": asked | {"include_usage": False}})
    assert not any("usage" in event for event in got.events)
    vllm.behave({"usage": False})
    assert not any("usage" in event for event in (await ask(vllm, STREAM | {"stream_options": asked})).events)


async def test_openrouter_comments_usage_and_host(start: Start) -> None:
    """OpenRouter begins with its comment, repeats the finish on the chunk with usage and cost, and names the host."""
    got = await ask(await start("openrouter"), STREAM | {"provider": {"only": ["deepinfra"]}})
    assert got.blocks[0] == ": OPENROUTER PROCESSING"
    assert got.headers["x-generation-id"] == got.events[0]["id"]
    assert got.events[0]["id"].startswith("gen-")
    assert {event["provider"] for event in got.events} == {"deepinfra"}
    finish, usage = got.events[-2:]
    assert finish["choices"] == usage["choices"]
    assert usage["choices"][0]["finish_reason"] == usage["choices"][0]["native_finish_reason"] == "stop"
    assert usage["usage"]["cost"] == pytest.approx(2 * 1e-6 + 8 * 2e-6)


@pytest.mark.parametrize(("provider", "first"), [("vllm", ""), ("dashscope", ""), ("together", "Hello")])
async def test_the_first_delta(start: Start, provider: str, first: str) -> None:
    """Most begin with a delta that has the role and no text; Together repeats the role in every delta."""
    events = (await ask(await start(provider), STREAM)).events
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": first}
    assert ("role" in events[2]["choices"][0]["delta"]) == (provider == "together")


@pytest.mark.parametrize(
    ("provider", "field"),
    [("dashscope", "reasoning_content"), ("vllm", "reasoning"), ("together", "reasoning"), ("openrouter", "reasoning")],
)
async def test_reasoning_has_each_providers_field(start: Start, provider: str, field: str) -> None:
    """Reasoning comes first, in the field the provider uses, and is counted."""
    simulator = await start(provider, reasoning=2)
    got = await ask(simulator, WITH_USAGE)
    thoughts = [event["choices"][0]["delta"].get(field) for event in got.events if event["choices"]]
    assert [thought for thought in thoughts if thought] == ["thought1 ", "thought2 "]
    assert got.events[-1]["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}
    assert (await ask(simulator)).json["choices"][0]["message"][field] == "thought1 thought2 "


async def test_dashscope_fields_that_are_always_null(start: Start) -> None:
    """DashScope's chunks have system_fingerprint and service_tier, always null, and its gateway's headers."""
    got = await ask(await start("dashscope"), STREAM)
    assert {(event["system_fingerprint"], event["service_tier"]) for event in got.events} == {(None, None)}
    assert got.headers["x-dashscope-call-gateway"] == "true"
    assert "x-request-id" in got.headers


async def test_vllm_takes_the_callers_request_id(start: Start) -> None:
    """The caller's X-Request-Id becomes vLLM's answer id."""
    got = await ask(await start("vllm"), headers="X-Request-Id: abc\r\nconnection: close\r\n")
    assert got.json["id"] == "chatcmpl-abc"


async def test_a_tool_call_in_a_stream(start: Start) -> None:
    """The id and the name come with the first delta only, the arguments in pieces that add up to JSON."""
    got = await ask(await start("vllm"), STREAM | {"tools": [WEATHER]})
    calls = [
        event["choices"][0]["delta"]["tool_calls"][0]
        for event in got.events
        if "tool_calls" in str(event["choices"][0]["delta"])
    ]
    assert calls[0]["id"].startswith("call_")
    assert calls[0]["function"]["name"] == "weather"
    assert len(calls) > 1
    assert not any("id" in call or "name" in call["function"] for call in calls[1:])
    assert "".join(call["function"]["arguments"] for call in calls) == '{"city":"example for weather","days":1}'
    assert got.events[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_several_choices(start: Start) -> None:
    """With n=2 every choice has its own text and its own finish."""
    simulator = await start("openai")
    whole = await ask(simulator, HELLO | {"n": 2})
    assert [choice["index"] for choice in whole.json["choices"]] == [0, 1]
    assert whole.json["usage"]["completion_tokens"] == 16
    events = (await ask(simulator, STREAM | {"n": 2})).events
    finished = [choice["index"] for event in events for choice in event["choices"] if choice["finish_reason"]]
    assert finished == [0, 1]


async def test_text_completions(start: Start) -> None:
    """Text completions have `text` in their choices, whole and in a stream."""
    simulator = await start("vllm")
    body = {"model": "m", "prompt": "good morning"}
    whole = (await ask(simulator, body, "/completions")).json
    assert (whole["object"], whole["choices"][0]["text"]) == ("text_completion", TEXT.format("vllm"))
    events = (await ask(simulator, body | {"stream": True}, "/completions")).events
    assert "".join(event["choices"][0]["text"] for event in events) == TEXT.format("vllm")


async def test_embeddings(start: Start) -> None:
    """Each input has a vector that depends on its text alone; base64 holds the same numbers."""
    simulator = await start("openai")
    body = {"model": "m", "input": ["one", "two", "one"], "dimensions": 4}
    plain = (await ask(simulator, body, "/embeddings")).json
    vectors = [item["embedding"] for item in plain["data"]]
    assert [len(vector) for vector in vectors] == [4, 4, 4]
    assert vectors[0] == vectors[2] != vectors[1]
    assert plain["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    packed = (await ask(simulator, body | {"encoding_format": "base64"}, "/embeddings")).json
    unpacked = struct.unpack("<4f", base64.b64decode(packed["data"][0]["embedding"]))
    assert list(unpacked) == pytest.approx(vectors[0])
    for wrong in ({"dimensions": 0}, {"input": ["x"] * 2049}):
        assert (await ask(simulator, body | wrong, "/embeddings")).status == 400
    tokens = (await ask(simulator, {"model": "m", "input": [1, 2, 3]}, "/embeddings")).json
    assert (len(tokens["data"]), tokens["usage"]["prompt_tokens"]) == (1, 3)


async def test_a_tool_call_in_a_whole_answer(start: Start) -> None:
    """Without a stream the call stands in the message, whose content is null."""
    choice = (await ask(await start("openai"), HELLO | {"tools": [WEATHER]})).json["choices"][0]
    (call,) = choice["message"]["tool_calls"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    assert call["function"] == {"name": "weather", "arguments": '{"city":"example for weather","days":1}'}


async def test_parallel_tool_calls(start: Start) -> None:
    """Each call has an index, an id and a name of its own, and its arguments come in pieces."""
    simulator = await start("openai")
    simulator.behave({"tool_calls": 2})
    asked = {"tools": [WEATHER, {"type": "function", "function": TIME}]}
    whole = (await ask(simulator, HELLO | asked)).json["choices"][0]["message"]["tool_calls"]
    assert [call["function"]["name"] for call in whole] == ["weather", "time"]
    assert len({call["id"] for call in whole}) == 2
    deltas = [
        call
        for event in (await ask(simulator, STREAM | asked)).events
        for choice in event["choices"]
        for call in choice["delta"].get("tool_calls", [])
    ]
    for place, call in enumerate(whole):
        own = [delta for delta in deltas if delta["index"] == place]
        assert "".join(delta["function"]["arguments"] for delta in own) == call["function"]["arguments"]
        assert [delta["function"].get("name") for delta in own] == [call["function"]["name"]] + [None] * (len(own) - 1)
        assert len(own) > 3


async def test_probabilities(start: Start) -> None:
    """OpenAI's are one entry a token, in each chunk and in a whole answer; Together's are lists or one number."""
    simulator = await start("openai")
    asked = {"logprobs": True, "top_logprobs": 2}
    whole = (await ask(simulator, HELLO | asked)).json["choices"][0]["logprobs"]["content"]
    assert "".join(entry["token"] for entry in whole) == TEXT.format("openai")
    assert all(len(entry["top_logprobs"]) == 2 and entry["logprob"] <= 0 for entry in whole)
    choices = [choice for event in (await ask(simulator, STREAM | asked)).events for choice in event["choices"]]
    assert [entry for choice in choices for entry in (choice["logprobs"] or {"content": []})["content"]] == whole
    simulator = await start("together")
    flat = (await ask(simulator, HELLO | {"logprobs": 1})).json["choices"][0]["logprobs"]
    assert "".join(flat["tokens"]) == TEXT.format("together")
    choices = [c for event in (await ask(simulator, STREAM | {"logprobs": 1})).events for c in event["choices"]]
    assert [c["logprobs"] for c in choices if c["logprobs"] is not None] == flat["token_logprobs"]


async def test_lists_of_models(start: Start) -> None:
    """In its list vLLM tells max_model_len, OpenRouter prices as texts, and Together answers with a bare array."""
    vllm = (await get(await start("vllm"), "/models")).json
    assert vllm["object"] == "list"
    assert vllm["data"][0]["max_model_len"] == 32768
    openrouter = (await get(await start("openrouter"), "/models")).json["data"][0]
    assert isinstance(openrouter["pricing"]["prompt"], str)
    together = (await get(await start("together"), "/models")).json
    assert {model["type"] for model in together} == {"chat"}


async def test_vllms_open_paths(start: Start) -> None:
    """Without a key vLLM's health and metrics answer; its models do not, and the refusal's `error` is a string."""
    simulator = await start("vllm")
    health = await get(simulator, "//health", key=None)
    assert (health.status, health.rest) == (200, b"")
    assert b"vllm:num_requests_running" in (await get(simulator, "//metrics", key=None)).rest
    refused = await get(simulator, "/models", key=None)
    assert (refused.status, refused.json) == (401, {"error": "Unauthorized"})


@pytest.mark.parametrize("provider", ["dashscope", "together", "openrouter", "vllm", "sglang", "openai"])
@pytest.mark.parametrize("key", [None, "bad-key"])
async def test_a_missing_or_bad_key(start: Start, provider: str, key: str | None) -> None:
    """Without a key, or with a bad one, every provider answers 401 in its own shape."""
    got = await ask(await start(provider), key=key)
    assert got.status == 401
    error = got.json["error"]
    shapes = {"openrouter": {"code", "message", "metadata"}, "vllm": set("Unauthorized")}
    shapes["sglang"] = shapes["vllm"]
    assert set(error) == shapes.get(provider, {"message", "type", "param", "code"})
    if provider == "openrouter":
        assert error["code"] == 401


async def test_dashscope_has_no_text_completions(start: Start) -> None:
    """What a provider does not offer is not found."""
    assert (await ask(await start("dashscope"), {"model": "m", "prompt": "x"}, "/completions")).status == 404


async def test_keys_are_shown_in_other_ways(start: Start) -> None:
    """Portkey has a header of its own beside Bearer; AWS's signature has the name of its pair."""
    plain = "x-portkey-api-key: key\r\nconnection: close\r\n"
    assert (await ask(await start("portkey"), key=None, headers=plain)).status == 200
    assert (await ask(await start("groq"), key=None, headers=plain)).status == 401
    signed = (
        "authorization: AWS4-HMAC-SHA256 Credential=AKIA1/day/us-east-1/bedrock/aws4_request\r\nconnection: close\r\n"
    )
    assert (await ask(await start("bedrock"), key=None, headers=signed)).status == 200
    assert (await ask(await start("groq"), key=None, headers=signed)).status == 401
    assert (await ask(await start("bedrock"), key=None, headers=signed.replace("AKIA1", ""))).status == 403


async def test_what_is_odd_about_some(start: Start) -> None:
    """DeepSeek's empty lines, Gemini's list of one error and its whole calls of tools, Groq's text of an error."""
    got = await ask(await start("deepseek"))
    assert got.rest.startswith(b"\n\n\n{")
    assert got.json["usage"]["prompt_cache_hit_tokens"] == 0
    gemini = await start("gemini")
    asked = STREAM | {"tools": [WEATHER]}
    events = (await ask(gemini, asked)).events
    (call,) = [
        call for event in events for choice in event["choices"] for call in choice["delta"].get("tool_calls", ())
    ]
    assert (call["id"], "index" in call) == ("", False)
    assert [choice["finish_reason"] for event in events for choice in event["choices"]][-1] == "stop"
    gemini.behave({"fault": {"kind": "status", "status": 429}})
    assert isinstance((await ask(gemini)).json, list)
    groq = await start("groq", fault={"kind": "in_band_error", "after_pieces": 1})
    assert (await ask(groq, STREAM)).events[-1]["x_groq"]["error"] == "over capacity"
