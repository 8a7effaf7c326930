"""The main job: each call is answered from the right place, and the next one takes over in time."""

from typing import cast

import orjson
import pytest
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionChunk

from tests.support.stack import BANK, BEIJING, BERLIN, SHOP, SINGAPORE, TORONTO, Stack, chat


async def ask(client: AsyncOpenAI) -> tuple[str, dict[str, str]]:
    """Stream a chat; return its text and the response's headers."""
    stream = await client.chat.completions.with_raw_response.create(**chat(), stream=True)
    text = ""
    async for chunk in cast("AsyncStream[ChatCompletionChunk]", stream.parse()):
        for choice in chunk.choices:
            text += choice.delta.content or ""
    return text, dict(stream.headers)


def kept(headers: dict[str, str]) -> list[str]:
    """Return the backends that a decision kept, in order."""
    return [c["backend"] for c in orjson.loads(headers["x-hybridproxy-decision"])["candidates"] if c["kept"]]


async def test_a_caller_in_singapore_is_answered_by_dashscope_singapore(stack: Stack) -> None:
    """Asia goes to DashScope Singapore, under that backend's own name of the model and with our key."""
    text, headers = await ask(stack.openai(address=SINGAPORE))
    assert "hello there" in text
    assert headers["x-hybridproxy-backend"] == "dashscope-sg"
    assert headers["x-hybridproxy-region"] == "asia"
    assert headers["x-hybridproxy-attempts"] == "1"
    assert kept(headers) == ["dashscope-sg", "openrouter-us"]
    (got,) = stack.received("dashscope")
    assert got["body"]["model"] == "qwen-sg"
    assert ["authorization", "Bearer sk-ds"] in [[name.lower(), value] for name, value in got["headers"]]
    assert not stack.received("together")


async def test_a_caller_in_toronto_is_answered_from_the_us(stack: Stack) -> None:
    """North America goes to the first US aggregator of its route."""
    text, headers = await ask(stack.openai(address=TORONTO))
    assert "hello there" in text
    assert headers["x-hybridproxy-backend"] == "together-us"
    assert kept(headers) == ["together-us", "openrouter-us", "dashscope-sg"]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 500},
        {"kind": "refuse"},
        {"kind": "redirect", "location": "http://127.0.0.1:1/"},
        {"kind": "gzip"},
        {"kind": "huge_header"},
        {"kind": "wrong_content_type"},
        {"kind": "in_band_error", "after_pieces": 0},
        {"kind": "cut", "after_pieces": 0},
        {"kind": "garbage", "after_pieces": 0},
        {"kind": "no_finish", "after_pieces": 0},
    ],
    ids=lambda fault: "-".join(str(v) for v in list(fault.values())[:2]),
)
async def test_the_next_us_backend_takes_over_before_the_first_token(stack: Stack, fault: dict[str, object]) -> None:
    """Whatever goes wrong before the first output, the next allowed backend takes over and the caller sees no error."""
    stack.sim("together").behave({"fault": fault})
    text, headers = await ask(stack.openai(address=TORONTO))
    assert "hello there" in text
    assert headers["x-hybridproxy-backend"] == "openrouter-us"
    assert headers["x-hybridproxy-attempts"] == "2"
    assert len(stack.received("openrouter")) == 1


async def test_a_sovereign_tenant_gets_the_vpc_or_nothing(stack: Stack) -> None:
    """The bank's calls reach the VPC from anywhere; with the VPC gone they fail, and nothing went elsewhere."""
    for address in (SINGAPORE, TORONTO, BERLIN, BEIJING):
        text, headers = await ask(stack.openai(BANK, address))
        assert "hello there" in text
        assert headers["x-hybridproxy-backend"] == "vpc"
        assert kept(headers) == ["vpc"]
    stack.sim("vllm").behave({"fault": {"kind": "status", "status": 503}})
    async with stack.post(key=BANK, json=chat(stream=True)) as response:
        assert response.status == 503
        assert (await response.json())["error"]["code"] == "upstream_overloaded"
        assert response.headers["x-should-retry"] == "false"
    for outside in ("dashscope", "together", "openrouter"):
        assert not stack.received(outside)


async def test_mainland_china_is_refused_with_its_region_and_the_reason(stack: Stack) -> None:
    """A region whose route is empty is refused before any upstream hears of it."""
    async with stack.post(key=SHOP, address=BEIJING, json=chat()) as response:
        assert response.status == 403
        error = (await response.json())["error"]
        assert error["code"] == "region_refused"
        assert "china" in error["message"]
        assert "CN" in error["message"]
    assert not any(stack.received(name) for name in ("dashscope", "together", "openrouter", "vllm"))


async def test_an_answer_that_does_not_stream_takes_over_too(stack: Stack) -> None:
    """Without streaming the whole answer is held, so even one that breaks off at its end is made good."""
    stack.sim("together").behave({"fault": {"kind": "truncate_json"}})
    async with stack.post(json=chat()) as response:
        assert response.status == 200
        body = await response.json()
        assert response.headers["x-hybridproxy-backend"] == "openrouter-us"
    assert body["choices"][0]["finish_reason"] == "stop"


async def test_every_backend_failing_is_told_with_the_reasons(stack: Stack) -> None:
    """When nobody can answer, the caller learns what happened at each backend, and its SDK does not try again."""
    for name in ("together", "openrouter", "dashscope"):
        stack.sim(name).behave({"fault": {"kind": "status", "status": 503}})
    async with stack.post(json=chat(stream=True)) as response:
        assert response.status == 503
        assert response.headers["x-should-retry"] == "false"
        assert response.headers["x-hybridproxy-attempts"] == "3"
        message = (await response.json())["error"]["message"]
    for name in ("together-us", "openrouter-us", "dashscope-sg"):
        assert name in message
    assert "127.0.0.1" not in message
