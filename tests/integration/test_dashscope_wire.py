"""Callers of DashScope's own protocol, on the wire: what passes as it came, what is translated, how a stream ends."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.dashscope import EMBEDDING, HI, MULTIMODAL, SSE, TEXT, asked, events, running
from tests.support.stack import SHOP, Stack

TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"properties": {"city": {}}}}}]
STORY = "The quick brown fox jumps over the lazy dog.\n\n  Twice,  it  seems: the quick brown fox jumps again."


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """DashScope in both of its ways, and an upstream that speaks OpenAI's dialect."""
    async with running(tmp_path) as stack:
        yield stack


async def direct(stack: Stack, body: Any, path: str = TEXT, **headers: str) -> bytes:
    """Return what DashScope itself answers."""
    headers = {"authorization": "Bearer any", **headers}
    async with stack.http.post(stack.sim("ds").url + path, json=body, headers=headers) as response:
        return await response.read()


def without_ids(raw: bytes) -> bytes:
    """Return an answer without its ids, which have the number of the simulator's request in them."""
    return re.sub(rb"ds-00000\d|call_[0-9a-f]{8}", b"id", raw)


@pytest.mark.parametrize("parameters", [{}, {"result_format": "message", "incremental_output": True, "tools": TOOLS}])
@pytest.mark.parametrize("stream", [True, False])
async def test_what_dashscope_says_passes_as_it_came(stack: Stack, parameters: Any, stream: bool) -> None:
    """Byte for byte, streamed or not, and so does what it is asked."""
    headers, body = SSE if stream else {}, asked("m", **parameters)
    wanted = await direct(stack, body, **headers)
    async with stack.post(TEXT, json=body, headers=headers) as response:
        raw = await response.read()
        assert response.headers["content-type"].startswith("text/event-stream" if stream else "application/json")
    assert without_ids(raw) == without_ids(wanted)
    one, other = stack.received("ds")
    assert one["body"] == other["body"]
    assert dict(other["headers"])["authorization"] != f"Bearer {SHOP}"


async def test_what_would_steer_dashscope_does_not_pass(stack: Stack) -> None:
    """Neither in a body nor in a header; what tells about the SDK goes nowhere."""
    body = asked("m", extra_body={"a": 1}, seed=3)
    body["input"]["route"] = "x"
    headers = {
        "x-dashscope-workspace": "llm-1", "x-dashscope-datainspection": "enable",
        "x-dashscope-sdk-client": "a", "x-dashscope-sdk-session-id": "b",
    }  # fmt: skip
    async with stack.post(TEXT, json=body, headers=headers) as response:
        assert response.status == 200
        assert response.headers["x-hybridproxy-dropped"] == "x-dashscope-workspace"
    (got,) = stack.received("ds")
    assert got["body"] == {"model": "m", "input": {"messages": HI}, "parameters": {"seed": 3}}
    assert [name for name, _ in got["headers"] if name.startswith("x-dashscope")] == ["x-dashscope-datainspection"]


@pytest.mark.parametrize("model", ["n", "p", "m"])
async def test_both_forms_of_an_answer_and_of_its_events(stack: Stack, model: str) -> None:
    """From whichever upstream: the whole text with each event or what is new, as a text or as messages."""
    for name in ("ds", "native", "plain"):
        stack.sim(name).behave({"text": STORY})
    for increments in (False, True):
        for form in ("text", "message"):
            body = asked(model, result_format=form, incremental_output=increments)
            async with stack.post(TEXT, json=body, headers=SSE) as response:
                raw, found = await events(response)
            assert b": " not in raw.split(b"data:")[0]
            assert raw.startswith(b"id:1\nevent:result\n:HTTP_STATUS/200\ndata:{")
            assert b"[DONE]" not in raw
            outputs = [data["output"] for _, data in found]
            if form == "message":
                texts = [output["choices"][0]["message"]["content"] for output in outputs]
                finishes = [output["choices"][0]["finish_reason"] for output in outputs]
            else:
                texts, finishes = ([output[part] for output in outputs] for part in ("text", "finish_reason"))
            assert ("".join(texts) if increments else texts[-1]) == STORY
            assert finishes == ["null"] * (len(found) - 1) + ["stop"]
            assert found[-1][1]["usage"]["output_tokens"] > 0
            assert len({data["request_id"] for _, data in found}) == 1


async def test_a_caller_of_openais_hears_dashscopes_own_protocol(stack: Stack) -> None:
    """In chunks, with the usage once and only where it was asked for."""
    stack.sim("native").behave({"text": STORY})
    for asks in (True, False):
        answer = await stack.openai().chat.completions.create(
            model="n", messages=[{"role": "user", "content": "hi"}], stream=True,
            stream_options={"include_usage": True} if asks else {},
        )  # fmt: skip
        chunks = [chunk async for chunk in answer]
        assert "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices) == STORY
        assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - asks) + [True] * asks
        assert {(chunk.model, chunk.object) for chunk in chunks} == {("n", "chat.completion.chunk")}
    whole = await stack.openai().chat.completions.create(model="n", messages=[{"role": "user", "content": "hi"}])
    assert (whole.choices[0].message.content, whole.model, whole.object) == (STORY, "n", "chat.completion")
    got = stack.received("native")[-1]
    assert got["path"] == TEXT
    assert got["body"]["parameters"] == {"result_format": "message"}
    vectors = await stack.openai().embeddings.create(model="n", input=["a", "b c"], dimensions=4)
    assert [len(item.embedding) for item in vectors.data] == [4, 4]
    assert vectors.usage.total_tokens == 3


@pytest.mark.parametrize("model", ["sees", "sees-natively"])
async def test_a_name_that_leads_to_a_model_of_the_other_path(stack: Stack, model: str) -> None:
    """The service would refuse it at the path it came by; the caller hears what it would of its own."""
    stack.sim("ds").behave({"text": STORY})
    stack.sim("native").behave({"text": STORY})
    async with stack.post(TEXT, json=asked(model)) as response:
        assert (await response.json())["output"] == {"text": STORY, "finish_reason": "stop"}
    async with stack.post(TEXT, json=asked(model), headers=SSE) as response:
        _, found = await events(response)
        assert found[-1][1]["output"] == {"text": STORY, "finish_reason": "stop"}


async def test_embeddings(stack: Stack) -> None:
    """From DashScope as it came, from others translated, with the same numbers."""
    body = {"model": "m", "input": {"texts": ["a", "b"]}, "parameters": {"dimension": 4}}
    found = []
    for model in ("m", "n", "p"):
        async with stack.post(EMBEDDING, json=body | {"model": model}) as response:
            assert response.status == 200
            found.append(await response.json())
    assert {len(vector["embedding"]) for one in found for vector in one["output"]["embeddings"]} == {4}
    assert found[0]["output"] == found[1]["output"] == found[2]["output"]
    assert found[0]["usage"] == found[2]["usage"]
    async with stack.post(EMBEDDING, json=body | {"model": "p", "parameters": {"text_type": "query"}}) as response:
        assert (response.status, (await response.json())["code"]) == (400, "InvalidParameter")


@pytest.mark.parametrize(
    ("body", "headers", "status", "code", "says"),
    [
        (b"{", {}, 400, "InvalidParameter", "not valid JSON"),
        ({"model": "m"}, {}, 400, "InvalidParameter", "'input'"),
        (asked("nope"), {}, 404, "ModelNotFound", "nope"),
        (asked("m"), {"authorization": "Bearer x"}, 401, "InvalidApiKey", "key"),
        (asked("m"), {"x-dashscope-async": "enable"}, 403, "AccessDenied", "asynchronous"),
        (asked("m"), {"x-dashscope-encryptionkey": "{}"}, 400, "InvalidParameter", "encrypted"),
        (asked("p", enable_search=True), {}, 400, "InvalidParameter", "parameters.enable_search"),
        (asked("p", messages=[{"role": "x", "content": ""}]), {}, 400, "InvalidParameter", "role"),
        (
            asked("p", messages=[*HI, {"role": "assistant", "content": "a", "partial": True}]),
            {}, 400, "InvalidParameter", "beginning of an answer",
        ),
    ],
)  # fmt: skip
async def test_what_cannot_be_served_is_told_in_the_services_words(
    stack: Stack, body: Any, headers: Any, status: int, code: str, says: str
) -> None:
    """Whether the body, the key, a header or what only DashScope can do is at fault; streamed or not."""
    options = {"data": body} if isinstance(body, bytes) else {"json": body}
    for more in ({}, SSE):
        key = None if "authorization" in headers else SHOP
        async with stack.post(TEXT, headers={**headers, **more}, key=key, **options) as response:
            told = await response.json()
            assert (response.status, told["code"]) == (status, code)
            assert says in told["message"]
            assert told["request_id"] == response.headers["x-request-id"]
            assert told.keys() == {"code", "message", "request_id"}


async def test_what_only_dashscope_can_do_goes_there(stack: Stack) -> None:
    """A search, a message to go on with, a picture in its own store."""
    partial = [*HI, {"role": "assistant", "content": "Hello", "partial": True}]
    for path, body in (
        (TEXT, asked("native-first", enable_search=True)),
        (TEXT, asked("m", messages=partial)),
        (MULTIMODAL, asked("qwen3-vl", messages=[{"role": "user", "content": [{"image": "oss://a/b.png"}]}])),
    ):
        async with stack.post(path, json=body) as response:
            assert response.status == 200, await response.text()
    assert stack.received("plain") == []


BREAKS: list[tuple[Any, int, str]] = [
    ({"kind": "cut", "after_pieces": 2}, 500, "InternalError"),
    ({"kind": "no_finish", "after_pieces": 2}, 500, "InternalError"),
    ({"kind": "garbage", "after_pieces": 2}, 500, "InternalError"),
]
SAID: list[tuple[Any, int, str]] = [
    ({"kind": "in_band_error", "after_pieces": 2, "name": "dashscope.limit_requests"}, 429, "Throttling.RateQuota"),
    ({"kind": "in_band_error", "after_pieces": 2, "name": "dashscope.output_inspection"}, 400, "DataInspectionFailed"),
]


@pytest.mark.parametrize(
    ("model", "fault", "status", "code"),
    [(model, *found) for model in ("n", "p", "m") for found in BREAKS + (SAID if model != "p" else [])],
)
async def test_a_stream_that_breaks_ends_with_an_error(
    stack: Stack, model: str, fault: Any, status: int, code: str
) -> None:
    """Whatever came before; no finish reason, no clean end."""
    for name in ("ds", "native", "plain"):
        stack.sim(name).behave({"fault": fault})
    async with stack.post(TEXT, json=asked(model), headers=SSE) as response:
        assert response.status == 200
        raw, found = await events(response)
    name, told = found[-1]
    assert name == "error"
    assert told["code"] == code
    assert f":HTTP_STATUS/{status}\nstatus:{status}\ndata:".encode() in raw
    assert b'"stop"' not in raw
    assert [kind for kind, _ in found[:-1]] == ["result"] * (len(found) - 1)


async def test_an_error_as_the_first_event_of_a_200_is_one_by_http(stack: Stack) -> None:
    """Nothing went to the caller yet, so it hears the status."""
    stack.sim("ds").behave({"fault": {"kind": "named", "name": "dashscope.output_inspection"}})
    async with stack.post(TEXT, json=asked("m"), headers=SSE) as response:
        assert (response.status, (await response.json())["code"]) == (400, "DataInspectionFailed")
    stack.sim("ds").behave({"fault": {"kind": "named", "name": "dashscope.data_inspection_framed"}})
    async with stack.post(TEXT, json=asked("m"), headers=SSE) as response:
        assert (response.status, (await response.json())["code"]) == (400, "DataInspectionFailed")


async def test_a_sign_of_life_is_a_comment(stack: Stack) -> None:
    """The SDK ignores those."""
    for model, name in (("m", "ds"), ("p", "plain")):
        stack.sim(name).behave({"comments_every_ms": 5, "first_token_ms": 40, "pace_ms": 20})
        async with stack.post(TEXT, json=asked(model), headers=SSE) as response:
            raw, found = await events(response)
        assert b":\n\n" in raw
        assert found[-1][0] == "result"


@pytest.mark.parametrize("model", ["qwq", "qwq-native"])
async def test_a_model_that_only_streams_answers_whoever_does_not(stack: Stack, model: str) -> None:
    """Its stream is put together here, thought and all."""
    for name in ("ds", "plain"):
        stack.sim(name).behave({"text": STORY, "reasoning": 2})
    async with stack.post(TEXT, json=asked(model, result_format="message", enable_thinking=True)) as response:
        (choice,) = (await response.json())["output"]["choices"]
    assert choice["message"] == {
        "role": "assistant", "content": STORY, "reasoning_content": "thought1 thought2 ",
    }  # fmt: skip
    assert choice["finish_reason"] == "stop"
    (got,) = [got for name in ("ds", "plain") for got in stack.received(name)]
    assert got["body"].get("stream") or dict(got["headers"])["x-dashscope-sse"] == "enable"
    async with stack.post(TEXT, json=asked("qwq-native", enable_search=True)) as response:
        assert (response.status, (await response.json())["code"]) == (400, "InvalidParameter")


# ---- a stream that goes on elsewhere ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "first"), [("native-first", "native"), ("plain-first", "plain")])
@pytest.mark.parametrize("increments", [True, False])
@pytest.mark.parametrize("after", [1, 4, 9])
async def test_a_broken_stream_goes_on_elsewhere(
    tmp_path: Path, model: str, first: str, increments: bool, after: int
) -> None:
    """One coherent stream for the caller: each character once, one id, numbers without a gap, one end."""
    async with running(tmp_path, "resume, error") as stack:
        for name in ("ds", "native", "plain"):
            stack.sim(name).behave({"text": STORY})
        stack.sim(first).behave({"text": STORY, "fault": {"kind": "cut", "after_pieces": after}})
        async with stack.post(TEXT, json=asked(model, incremental_output=increments), headers=SSE) as response:
            raw, found = await events(response)
        texts = [data["output"]["text"] for _, data in found]
        assert ("".join(texts) if increments else texts[-1]) == STORY
        assert [name for name, _ in found] == ["result"] * len(found)
        assert [line for line in raw.decode().split("\n") if line.startswith("id:")] == [
            f"id:{n}" for n in range(1, len(found) + 1)
        ]
        assert found[-1][1]["output"]["finish_reason"] == "stop"
        call = [line for line in await stack.lines() if line["event"] == "call.finished"][-1]
        assert call["attempts"] == 2
        (second,) = [name for name in ("ds", "native", "plain") if name != first and stack.received(name)]
        body = stack.received(second)[0]["body"]
        last = (body.get("input") or body)["messages"][-1]
        assert (last["role"], last["partial"]) == ("assistant", True)


async def test_a_search_does_not_go_on_elsewhere(tmp_path: Path) -> None:
    """Parts are joined in OpenAI's form, in which there is no search: the caller hears that it broke."""
    async with running(tmp_path, "resume, replay, error") as stack:
        for name in ("ds", "native"):
            stack.sim(name).behave({"fault": {"kind": "cut", "after_pieces": 2}})
        async with stack.post(TEXT, json=asked("native-first", enable_search=True), headers=SSE) as response:
            _, found = await events(response)
        assert found[-1][0] == "error"
        assert stack.received("native")[0]["body"]["parameters"]["enable_search"] is True
        assert stack.received("ds") == []


async def test_a_caller_that_leaves_takes_its_call_with_it(stack: Stack) -> None:
    """Also where its events are those of the upstream."""
    stack.sim("ds").behave({"pace_ms": 20, "pieces": 5000})
    with pytest.raises(aiohttp.ClientError):
        async with stack.post(TEXT, json=asked("m"), headers=SSE) as response:
            await response.content.readany()
            response.close()
            raise aiohttp.ClientError
    await stack.until(lambda: stack.received("ds")[0]["outcome"] == "client_gone")


async def test_what_is_not_offered_is_said_in_its_words(stack: Stack) -> None:
    """Pictures are not made here, and the SDK is told so in the form that it reads."""
    path = "/api/v1/services/aigc/text2image/image-synthesis"
    async with stack.post(path, json=asked("m")) as response:
        told = await response.json()
    assert (response.status, told["code"]) == (404, "InvalidURL")
    assert "nothing at this path" in told["message"]
