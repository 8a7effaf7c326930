"""Anthropic's Messages API on the wire, as its documentation and the types of its SDK have it."""

from typing import Any

import orjson
import pytest

from hybridproxy.simulator.errors import ERRORS
from hybridproxy.simulator.messages import sign
from hybridproxy.simulator.server import RunningSimulator
from tests.hybridproxy.simulator.client import Got, JsonDict, ask
from tests.hybridproxy.simulator.conftest import Start

HI: JsonDict = {"role": "user", "content": "good morning"}
TOOLS = [
    {"name": name, "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}}}
    for name in ("weather", "time")
]
SAYS = "Hello from anthropic (m). You said: good morning"
VERSION = "anthropic-version: 2023-06-01\r\n"


async def call(simulator: RunningSimulator, *, path: str = "/messages", version: str = VERSION, **fields: Any) -> Got:
    """Send one request."""
    body = {"model": "m", "max_tokens": 100, "messages": [HI], **fields}
    given = {name: value for name, value in body.items() if value is not ...}
    return await ask(simulator, given, path, headers="connection: close\r\n" + version)


async def stream(simulator: RunningSimulator, **fields: Any) -> list[JsonDict]:
    """Return the data of the events of a stream; the name of each stands in it."""
    got = await call(simulator, stream=True, **fields)
    assert (got.status, got.headers["content-type"], got.whole) == (200, "text/event-stream", True)
    bodies = []
    for block in got.blocks:
        name, data = block.split("\n")
        bodies.append(orjson.loads(data.removeprefix("data: ")))
        assert name == f"event: {bodies[-1]['type']}"
    return bodies


async def test_a_whole_answer(start: Start) -> None:
    """A message of blocks, with the tokens and the request's id in a header."""
    got = await call(await start("anthropic"))
    usage = {
        "input_tokens": 2,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 8,
    }
    assert got.json == {
        "id": got.json["id"],
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": SAYS}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }
    assert got.json["id"].startswith("msg_")
    assert got.headers["request-id"] == got.json["id"]


async def test_a_stream_says_the_same(start: Start) -> None:
    """Event by event, with a ping, and the tokens of the answer at its end."""
    events = await stream(await start("anthropic"))
    kinds = [event["type"] for event in events]
    assert kinds[:3] == ["message_start", "content_block_start", "ping"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta") == SAYS
    assert events[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert events[-2]["usage"]["output_tokens"] == 8


async def test_tools_thinking_and_what_is_obeyed(start: Start) -> None:
    """Blocks follow each other; a thought is signed; limits and stop sequences end an answer."""
    simulator = await start("anthropic", reasoning=2, tool_calls=2)
    events = await stream(simulator, tools=TOOLS)
    blocks = [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"]
    assert blocks == ["thinking", "tool_use", "tool_use"]
    assert [event["delta"]["signature"] for event in events if "signature" in event.get("delta", {})] == [
        sign("thought1 thought2 ")
    ]
    whole = (await call(simulator, tools=TOOLS)).json
    assert [block["type"] for block in whole["content"]] == blocks
    assert whole["content"][1]["input"] == {"place": "example for weather"}
    assert (whole["stop_reason"], whole["usage"]["output_tokens_details"]) == ("tool_use", {"thinking_tokens": 2})
    one = (await call(simulator, tools=TOOLS, tool_choice={"type": "tool", "name": "time"})).json["content"]
    assert [block.get("name") for block in one] == [None, "time"]
    simulator.behave({})
    assert (await call(simulator, tools=TOOLS, tool_choice={"type": "none"})).json["content"][0]["type"] == "text"
    stopped = (await call(simulator, stop_sequences=[" You"])).json
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", " You")
    assert (await call(simulator, max_tokens=2)).json["stop_reason"] == "max_tokens"
    short = (await call(simulator, tools=TOOLS, max_tokens=2)).json
    assert (short["stop_reason"], short["content"][0]["input"]) == ("max_tokens", {})
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    config = {"format": {"type": "json_schema", "schema": schema}}
    assert orjson.loads((await call(simulator, output_config=config)).json["content"][0]["text"]) == {"city": SAYS}


async def test_tokens_are_counted(start: Start) -> None:
    """System prompt and messages; vLLM says a little more. What was read once comes from the cache."""
    simulator = await start("anthropic")
    counted = await call(simulator, path="/messages/count_tokens", max_tokens=..., system="be kind")
    assert counted.json == {"input_tokens": 4}
    told = (await call(await start("vllm"), path="/messages/count_tokens", version="")).json
    assert told == {"input_tokens": 2, "context_management": {"original_input_tokens": 2}}
    await call(simulator)
    assert (await call(simulator)).json["usage"]["cache_read_input_tokens"] == 2


USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "weather", "input": {}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "sunny"}]}


async def test_results_of_tools_are_read(start: Start) -> None:
    """Right behind the calls that they answer."""
    simulator = await start("anthropic")
    got = await call(simulator, messages=[HI, USE, RESULT], tools=TOOLS)
    assert got.json["content"] == [{"type": "text", "text": SAYS}]
    got = await call(simulator, messages=[HI, USE, HI], tools=TOOLS)
    assert got.status == 400


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"version": ""}, "anthropic-version: header is required"),
        ({"max_tokens": ...}, "max_tokens: Field required"),
        ({"seed": 1}, "seed: Extra inputs are not permitted"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [7]}]}, "messages.0.content.0.type"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "must be non-empty"),
        (
            {"messages": [HI, {"role": "assistant", "content": [{"type": "thinking", "thinking": "x"}]}]},
            "Invalid `signature`",
        ),
        ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "must be greater than"),
    ],
)
async def test_what_the_service_would_refuse_is_refused(start: Start, fields: JsonDict, message: str) -> None:
    """With a 400 of its own form."""
    got = await call(await start("anthropic"), **fields)
    assert (got.status, got.json["type"], got.json["error"]["type"]) == (400, "error", "invalid_request_error")
    assert message in got.json["error"]["message"]


@pytest.mark.parametrize("name", [name for name, (row, _) in sorted(ERRORS.items()) if row.anthropic])
async def test_every_named_error_is_told(start: Start, name: str) -> None:
    """By its status, which its type follows from."""
    got = await call(await start("anthropic", fault={"kind": "named", "name": name}), stream=True)
    assert got.status == ERRORS[name][1].status
    assert got.json["error"]["type"].endswith(("_error", "_large"))


async def test_an_error_within_a_stream_and_a_cut(start: Start) -> None:
    """The event of an error is the last."""
    simulator = await start("anthropic", fault={"kind": "in_band_error", "after_pieces": 1})
    assert (await stream(simulator))[-1]["error"] == {"type": "overloaded_error", "message": "Overloaded"}
    simulator.behave({"fault": {"kind": "no_finish"}})
    assert (await stream(simulator))[-1]["type"] == "content_block_stop"
    simulator.behave({"fault": {"kind": "cut", "after_pieces": 2}})
    assert not (await call(simulator, stream=True)).whole


async def test_others_speak_it_beside_openais_dialect(start: Start) -> None:
    """OpenRouter with a marker of OpenAI's at the end; none is as strict as Anthropic."""
    got = await call(await start("openrouter"), version="", stream=True, seed=1)
    assert got.blocks[-1] == "event: data\ndata: [DONE]"
    simulator = await start("dashscope", fault={"kind": "status", "status": 429})
    got = await call(simulator, path="//apps/anthropic/v1/messages", version="")
    assert (got.status, got.json["error"]["type"]) == (429, "rate_limit_error")
