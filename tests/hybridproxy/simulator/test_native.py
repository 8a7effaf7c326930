"""DashScope's own protocol on the wire, as it was recorded."""

from typing import Any

import orjson
import pytest

from hybridproxy.simulator.row import EMBEDDING, MULTIMODAL, TEXT
from hybridproxy.simulator.server import RunningSimulator
from tests.hybridproxy.simulator.client import Got, JsonDict, ask
from tests.hybridproxy.simulator.conftest import Start

SSE = {"x-dashscope-sse": "enable"}
HI = [{"role": "user", "content": "good morning"}]
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"properties": {"place": {"type": "string"}}}}}
    for name in ("weather", "time")
]
LIMIT = "dashscope.limit_requests"
SAYS = "Hello from dashscope-native (m). You said: good morning"


async def call(simulator: RunningSimulator, path: str = TEXT, **options: Any) -> Got:
    """Send one request in the protocol."""
    headers = "".join(
        f"{name}: {value}\r\n" for name, value in {"connection": "close", **options.pop("headers", {})}.items()
    )
    given = options.pop("given", {"messages": HI})
    model = options.pop("model", "m")
    body = {"model": model, "input": given, "parameters": options}
    return await ask(simulator, body, f"/{path}", headers=headers)


async def stream(simulator: RunningSimulator, path: str = TEXT, **options: Any) -> list[JsonDict]:
    """Return the data of the events of a stream, whose framing is the service's."""
    got = await call(simulator, path, headers=SSE, **options)
    assert (got.status, got.headers["content-type"], got.whole) == (200, "text/event-stream", True)
    bodies = []
    for number, block in enumerate(got.blocks, 1):
        *head, data = block.split("\n")
        assert head == [f"id:{number}", "event:result", ":HTTP_STATUS/200"]
        assert data.startswith("data:{")
        bodies.append(orjson.loads(data[5:]))
    return bodies


def choices(bodies: list[JsonDict]) -> list[JsonDict]:
    """Return the only choice of each event."""
    return [body["output"]["choices"][0] for body in bodies]


async def test_a_whole_answer_is_a_text_or_a_message(start: Start) -> None:
    """As it is wanted, else as the model does by itself."""
    simulator = await start("dashscope-native")
    got = await call(simulator)
    assert got.json["output"] == {"text": SAYS, "finish_reason": "stop"}
    assert got.json["usage"] == {
        "total_tokens": 11, "output_tokens": 9, "input_tokens": 2, "prompt_tokens_details": {"cached_tokens": 0},
    }  # fmt: skip
    assert got.json["request_id"] == got.headers["x-request-id"]
    wanted = {"finish_reason": "stop", "index": 0, "message": {"role": "assistant", "content": SAYS}}
    assert (await call(simulator, result_format="message")).json["output"] == {"choices": [wanted]}
    usual = (await call(simulator, model="qwen3-max", given={"prompt": "hi"})).json["output"]
    assert usual["choices"][0]["message"]["content"].endswith("(qwen3-max). You said: hi")


async def test_a_stream_brings_increments_or_repeats(start: Start) -> None:
    """With the usage so far on each event, and "null" before the end."""
    simulator = await start("dashscope-native")
    pieces = await stream(simulator, result_format="message", incremental_output=True)
    said = [choice["message"]["content"] for choice in choices(pieces)]
    assert "".join(said) == SAYS
    assert [choice["finish_reason"] for choice in choices(pieces)] == ["null"] * 9 + ["stop"]
    assert [body["usage"]["output_tokens"] for body in pieces] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 9]
    whole = await stream(simulator)
    assert [body["output"]["text"] for body in whole] == ["".join(said[:n]) for n in range(1, 11)]
    assert whole[-1]["output"]["finish_reason"] == "stop"


async def test_calls_of_tools_come_in_pieces(start: Start) -> None:
    """Name and id with the first; or all so far with each event. One at a time unless more may be called."""
    simulator = await start("dashscope-native", tool_calls=2)
    asked: dict[str, Any] = {"tools": TOOLS, "result_format": "message", "parallel_tool_calls": True}
    bodies = await stream(simulator, incremental_output=True, **asked)
    first, *later, last = [choice["message"].get("tool_calls") for choice in choices(bodies)]
    assert (first[0]["function"]["name"], first[0]["index"]) == ("weather", 0)
    assert {piece["id"] for (piece,) in later if "name" not in piece["function"]} == {""}
    assert (last, choices(bodies)[-1]["finish_reason"]) == (None, "tool_calls")
    whole = choices(await stream(simulator, **asked))[-1]["message"]["tool_calls"]
    answered = (await call(simulator, **asked)).json["output"]["choices"][0]["message"]["tool_calls"]
    assert [one["function"] for one in whole] == [one["function"] for one in answered]
    assert [one["function"]["name"] for one in answered] == ["weather", "time"]
    alone = await call(simulator, **asked | {"parallel_tool_calls": False})
    assert len(alone.json["output"]["choices"][0]["message"]["tool_calls"]) == 1


async def test_it_thinks(start: Start) -> None:
    """Before it speaks; what it thought counts apart."""
    simulator = await start("dashscope-native", reasoning=2)
    bodies = await stream(simulator, enable_thinking=True, result_format="message", incremental_output=True)
    assert choices(bodies)[0]["message"] == {"reasoning_content": "thought1 ", "content": "", "role": "assistant"}
    assert bodies[-1]["usage"]["output_tokens_details"] == {"reasoning_tokens": 2}
    whole = (await call(simulator, result_format="message")).json["output"]["choices"][0]["message"]
    assert whole["reasoning_content"] == "thought1 thought2 "


async def test_models_that_see_speak_in_parts(start: Start) -> None:
    """And count the pictures."""
    simulator = await start("dashscope-native")
    given = {"messages": [{"role": "user", "content": [{"image": "x.png"}, {"text": "look"}, {"audio": "a.mp3"}]}]}
    got = await call(simulator, MULTIMODAL, given=given, model="qwen-vl-max")
    (part,) = got.json["output"]["choices"][0]["message"]["content"]
    assert part["text"].endswith("You said: look (images: 1)")
    bodies = await stream(simulator, MULTIMODAL, given=given, incremental_output=True)
    assert choices(bodies)[-1]["message"]["content"] == []


async def test_probabilities_stand_beside_the_message(start: Start) -> None:
    """For each piece."""
    simulator = await start("dashscope-native")
    asked: dict[str, Any] = {"logprobs": True, "result_format": "message"}
    bodies = await stream(simulator, incremental_output=True, **asked)
    tokens = [entry["token"] for one in choices(bodies)[:-1] for entry in one["logprobs"]["content"]]
    assert "".join(tokens) == SAYS
    assert len((await call(simulator, **asked)).json["output"]["choices"][0]["logprobs"]["content"]) == 9


async def test_an_answer_goes_on_from_where_it_broke(start: Start) -> None:
    """`partial` in the last message, as in the compatible mode."""
    simulator = await start("dashscope-native", text="one two three")
    given = {"messages": [*HI, {"role": "assistant", "content": "one", "partial": True}]}
    assert (await call(simulator, given=given)).json["output"]["text"] == " two three"


async def test_embeddings(start: Start) -> None:
    """Of several texts."""
    simulator = await start("dashscope-native")
    got = await call(simulator, EMBEDDING, given={"texts": ["a", "b c"]}, dimension=4)
    found = got.json["output"]["embeddings"]
    assert [(len(one["embedding"]), one["text_index"]) for one in found] == [(4, 0), (4, 1)]
    assert got.json["usage"] == {"total_tokens": 3}
    assert (
        len((await call(simulator, EMBEDDING, given={"texts": ["a"]})).json["output"]["embeddings"][0]["embedding"]) > 4
    )
    assert (await call(simulator, EMBEDDING, given={"texts": []})).status == 400


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"headers": {"x-dashscope-async": "enable"}}, 403, "AccessDenied"),
        ({"given": None}, 400, "InvalidParameter"),
        ({"given": {"messages": "hi"}}, 400, "InvalidParameter"),
        ({"given": {"messages": ["hi"]}}, 400, "InvalidParameter"),
        ({"given": {"messages": [{"role": "user", "content": [{"pdf": "x"}]}]}}, 400, "InvalidParameter"),
        ({"path": MULTIMODAL}, 400, "InvalidParameter"),
        ({"path": MULTIMODAL, "model": "qwen-plus"}, 400, "InvalidParameter"),
        ({"model": "qwen3.7-plus"}, 400, "InvalidParameter"),
        ({"result_format": "xml"}, 400, "InvalidParameter"),
        ({"result_format": "text", "tools": TOOLS}, 400, "InvalidParameter"),
        ({"enable_thinking": True, "result_format": "message", "headers": SSE}, 400, "InvalidParameter"),
        ({"given": {"messages": [*HI, {"role": "assistant", "content": "x"}]}}, 500, "InternalError.Algo"),
    ],
)
async def test_what_the_service_refuses(start: Start, options: Any, status: int, code: str) -> None:
    """In its own form, by HTTP."""
    got = await call(await start("dashscope-native"), **options)
    assert (got.status, got.json["code"]) == (status, code)
    assert got.json.keys() == {"code", "message", "request_id"}


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"kind": "status", "status": 429}, 429, "Throttling.RateQuota"),
        ({"kind": "status", "status": 503}, 503, "ModelUnavailable"),
        ({"kind": "status", "status": 418}, 418, "InternalError"),
        ({"kind": "named", "name": "dashscope.insufficient_quota"}, 429, "Throttling.AllocationQuota"),
        ({"kind": "named", "name": "dashscope.data_inspection_failed"}, 400, "DataInspectionFailed"),
    ],
)
async def test_an_error_has_the_services_own_code(start: Start, fault: Any, status: int, code: str) -> None:
    """Also where the compatible mode has another."""
    got = await call(await start("dashscope-native", fault=fault))
    assert (got.status, got.json["code"]) == (status, code)


async def test_a_key_that_nobody_knows(start: Start) -> None:
    """As everywhere."""
    simulator = await start("dashscope-native")
    got = await ask(simulator, {}, f"/{TEXT}", key="bad-key")
    assert (got.status, got.json["code"]) == (401, "InvalidApiKey")
    assert (await ask(simulator, b"{", f"/{TEXT}")).status == 400


def error_block(block: str) -> tuple[list[str], str]:
    """Return the lines and the code of an event that tells an error."""
    *head, data = block.split("\n")
    return head, orjson.loads(data.removeprefix("data:"))["code"]


async def test_an_error_within_a_stream_is_an_event_of_its_own(start: Start) -> None:
    """After some text, as the first, or under another status; no mark of the end follows."""
    simulator = await start("dashscope-native", fault={"kind": "in_band_error", "after_pieces": 2, "name": LIMIT})
    got = await call(simulator, headers=SSE)
    assert error_block(got.blocks[-1]) == (["id:1", "event:error", ":HTTP_STATUS/429"], "Throttling.RateQuota")
    assert len(got.blocks) == 3
    simulator.behave({"fault": {"kind": "named", "name": "dashscope.output_inspection"}})
    (block,) = (await call(simulator, headers=SSE)).blocks
    assert error_block(block) == (["id:1", "event:error", ":HTTP_STATUS/400"], "DataInspectionFailed")
    simulator.behave({"fault": {"kind": "named", "name": "dashscope.data_inspection_framed"}})
    got = await call(simulator, headers=SSE)
    assert got.status == 400
    assert error_block(got.rest.decode().strip())[1] == "DataInspectionFailed"


async def test_a_stream_without_finish_has_no_other_end(start: Start) -> None:
    """There is none in this protocol."""
    got = await call(await start("dashscope-native", fault={"kind": "no_finish"}), headers=SSE)
    assert got.whole
    assert b"DONE" not in got.body
    assert b'"stop"' not in got.body
    simulator = await start("dashscope-native", fault={"kind": "garbage", "after_pieces": 1})
    assert b"data: {" in (await call(simulator, headers=SSE)).body


async def test_the_compatible_mode_stands_beside_it(start: Start) -> None:
    """At the same server, each under its own path."""
    simulator = await start("dashscope")
    native = await ask(simulator, {"model": "m", "input": {"messages": HI}}, f"//api/v1/{TEXT}")
    assert native.json["output"]["text"] == "Hello from dashscope (m). You said: good morning"
    assert (await ask(simulator)).json["object"] == "chat.completion"
