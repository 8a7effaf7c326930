"""The clients of other dialects hear from an engine through the proxy what they hear of its own imitation of them."""

from typing import Any

import aiohttp
import anthropic
import pytest
from dashscope.aigc.generation import AioGeneration

from tests.engines.conftest import Pair
from tests.engines.processes import KEY
from tests.support.compliance import FORMS, judged, lost
from tests.support.stack import SHOP

QUESTION = "Tell me of the sea."
MESSAGES: Any = [{"role": "user", "content": QUESTION}]
PLAIN: dict[str, Any] = {"chat_template_kwargs": {"enable_thinking": False}}
ASKED: dict[str, Any] = {"max_tokens": 24, "messages": MESSAGES, "extra_body": {"temperature": 0, **PLAIN}}


def both(pair: Pair) -> tuple[anthropic.AsyncAnthropic, anthropic.AsyncAnthropic]:
    """Return Anthropic's client for the engine and for the proxy."""
    return (
        anthropic.AsyncAnthropic(auth_token=KEY, base_url=pair.engine.url, max_retries=0),
        anthropic.AsyncAnthropic(api_key=SHOP, base_url=pair.proxy.url, max_retries=0),
    )


async def said(client: anthropic.AsyncAnthropic, pair: Pair, **fields: Any) -> tuple[str, str | None, int, int]:
    """Return text, reason for the end and tokens of a message."""
    answer = await client.messages.create(model=pair.engine.model, **(ASKED | fields))
    text = "".join(block.text for block in answer.content if block.type == "text")
    read = answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)
    return text, answer.stop_reason, read, answer.usage.output_tokens


async def test_messages(pair: Pair) -> None:
    """Anthropic's client hears the same of the engine's own `/v1/messages` and through the proxy; streamed too."""
    direct, through = both(pair)
    async with direct, through:
        wanted = await said(direct, pair)
        assert await said(through, pair) == wanted
        async with through.messages.stream(model=pair.engine.model, **ASKED) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            answer = await stream.get_final_message()
    assert (text, answer.stop_reason, answer.usage.output_tokens) == (wanted[0], wanted[1], wanted[3])
    assert wanted[0]


COUNTED: list[Any] = [
    {"messages": MESSAGES},
    {"messages": [*MESSAGES, {"role": "assistant", "content": "It is blue."}, {"role": "user", "content": "And?"}]},
    {"messages": MESSAGES, "system": "Be brief."},
    {
        "messages": MESSAGES,
        "tools": [{"name": "weather", "input_schema": {"type": "object"}, "description": "tells it"}],
    },
]


@pytest.mark.parametrize("asked", COUNTED, ids=["message", "conversation", "system", "tools"])
async def test_counting_tokens(pair: Pair, asked: dict[str, Any]) -> None:
    """The engine's own tokenizer counts."""
    direct, through = both(pair)
    async with direct, through:
        counts = [
            (await client.messages.count_tokens(model=pair.engine.model, **asked)).input_tokens
            for client in (direct, through)
        ]
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("fields", "key", "raised", "engines"),
    [
        ({}, "wrong", anthropic.AuthenticationError, {"vllm", "llama.cpp"}),
        ({"model": "nope"}, "", anthropic.NotFoundError, {"vllm"}),
        (
            {"messages": [{"role": "user", "content": "and so on " * 3000}]},
            "",
            anthropic.BadRequestError,
            {"vllm", "llama.cpp"},
        ),
        ({"messages": "none"}, "", anthropic.BadRequestError, {"vllm"}),
    ],
    ids=["key", "model", "too long", "messages are none"],
)
async def test_classes_of_errors(
    pair: Pair, fields: dict[str, Any], key: str, raised: type[Exception], engines: set[str]
) -> None:
    """The client raises the class of the real service, and the same direct from the engines that refuse it."""
    direct, through = both(pair)
    async with direct, through:
        asked: dict[str, Any] = {"model": pair.engine.model} | ASKED | fields
        with pytest.raises(raised):
            await (through.with_options(api_key=key) if key else through).messages.create(**asked)
        if pair.engine.name in engines:
            with pytest.raises(raised):
                await (direct.with_options(auth_token=key) if key else direct).messages.create(**asked)


async def test_responses(pair: Pair) -> None:
    """The OpenAI client hears the same of the engine's own `/v1/responses` and through the proxy."""
    heard = []
    for client in pair.both:
        answer = await client.responses.create(
            model=pair.engine.model, input=QUESTION, max_output_tokens=24, temperature=0, store=False, extra_body=PLAIN
        )
        assert answer.usage is not None
        heard.append((answer.output_text, answer.usage.input_tokens, answer.usage.output_tokens))
        if pair.engine.name == "vllm" or client is pair.through:  # llama.cpp calls it completed
            assert answer.status == "incomplete"
    assert heard[0] == heard[1]


@pytest.mark.parametrize("stream", [False, True])
async def test_dashscope(pair: Pair, stream: bool) -> None:
    """DashScope's client hears through the proxy what OpenAI's hears direct."""
    direct = await pair.direct.chat.completions.create(
        model=pair.engine.model, messages=MESSAGES, max_tokens=24, temperature=0, extra_body=PLAIN
    )
    async with aiohttp.ClientSession() as session:
        answer: Any = await AioGeneration.call(
            pair.engine.model, messages=MESSAGES, api_key=SHOP, base_address=pair.proxy.url + "/api/v1", stream=stream,
            incremental_output=stream, result_format="message", max_tokens=24, temperature=0, session=session,
            enable_thinking=False,
        )  # fmt: skip
        events = [event async for event in answer] if stream else [answer]
    assert {event.status_code for event in events} == {200}
    assert "".join(event.output.choices[0].message.content for event in events) == direct.choices[0].message.content
    assert events[-1].output.choices[0].finish_reason == direct.choices[0].finish_reason
    assert direct.usage is not None
    assert events[-1].usage["output_tokens"] == direct.usage.completion_tokens


@pytest.mark.parametrize("form", FORMS)
async def test_a_judge_of_endpoints(pair: Pair, form: str) -> None:
    """No check of `llm-comply`, of shapes neither, passes direct at the engine and fails through the proxy."""
    if form == "open-responses" and pair.engine.name == "llama.cpp":
        pytest.skip("the judge sets no limit there, and a small model talks for minutes")
    direct, through = [
        await judged(form, url + "/v1", key, pair.engine.model, ignore="")
        for url, key in ((pair.engine.url, KEY), (pair.proxy.url, SHOP))
    ]
    print(form, pair.engine.name, *(list(found.values()).count("passed") for found in (direct, through)))  # noqa: T201
    assert lost(direct, through) == []
