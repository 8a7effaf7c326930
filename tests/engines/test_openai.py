"""The OpenAI client hears the same from an engine through the proxy as without it."""

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.engines.conftest import Pair

MESSAGES: Any = [{"role": "user", "content": "Tell me of the sea."}]
SAME: dict[str, Any] = {
    "messages": MESSAGES,
    "max_tokens": 24,
    "temperature": 0,
    "seed": 7,
    "extra_body": {"chat_template_kwargs": {"enable_thinking": False}},
}
OWN: dict[str, dict[str, Any]] = {
    # the tiny model says any byte: only letters make a text, and with chance, since the likeliest is always the same
    "vllm": {"temperature": 1, "logit_bias": {str(token): 100 for token in range(64, 90)}},
    "llama.cpp": {},
}
DENSE: dict[str, Any] = {"logit_bias": {str(token): -100 for token in (9, 10, 13, 32)}, "temperature": 0}
"""No white space, of which the tiny model would put any amount between the parts of JSON."""
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {"city": {"enum": ["Oslo", "Rome"]}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
]
SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {"name": "answer", "schema": TOOLS[0]["function"]["parameters"], "strict": True},
}


async def heard(client: AsyncOpenAI, pair: Pair, **fields: Any) -> dict[str, Any]:
    """Return what a caller understands of an answer."""
    answer = await client.chat.completions.create(model=pair.engine.model, **(SAME | OWN[pair.engine.name] | fields))
    (choice,) = answer.choices
    assert answer.usage is not None
    probable = choice.logprobs.content if choice.logprobs is not None else None
    return {
        "text": choice.message.content,
        "calls": [call.function for call in choice.message.tool_calls or () if call.type == "function"],
        "finish": choice.finish_reason,
        "tokens": (answer.usage.prompt_tokens, answer.usage.completion_tokens),
        "probable": None if probable is None else [(entry.token, len(entry.top_logprobs)) for entry in probable],
    }


async def streamed(client: AsyncOpenAI, pair: Pair, **fields: Any) -> dict[str, Any]:
    """Return what a caller understands of a streamed answer."""
    asked: dict[str, Any] = SAME | OWN[pair.engine.name] | {"stream": True, "stream_options": {"include_usage": True}}
    asked |= fields
    stream = await client.chat.completions.create(model=pair.engine.model, **asked)
    text, finish, tokens = "", None, None
    async for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
        if chunk.usage is not None:
            tokens = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
    return {"text": text, "finish": finish, "tokens": tokens}


async def test_a_chat(pair: Pair) -> None:
    """Text, reason for the end and tokens are the same."""
    direct, through = [await heard(client, pair) for client in pair.both]
    assert through == direct
    assert direct["tokens"][1] > 1


async def test_a_stream(pair: Pair) -> None:
    """The stream adds up to the same, and to what a whole answer says."""
    direct, through = [await streamed(client, pair) for client in pair.both]
    assert through == direct
    whole = await heard(pair.through, pair)
    assert whole["text"] == through["text"]
    assert whole["tokens"] == through["tokens"]


async def test_tools(pair: Pair) -> None:
    """Tools are accepted; what comes of them is the same."""
    choice: Any = {"type": "function", "function": {"name": "weather"}}
    asked: dict[str, Any] = {"tools": TOOLS, "tool_choice": choice, "max_tokens": 120, **DENSE}
    direct, through = [await heard(client, pair, **asked) for client in pair.both]
    assert through == direct
    if pair.engine.name == "vllm":  # it holds the model to the schema; llama.cpp has no such grammar for this template
        assert [call.name for call in through["calls"]] == ["weather"]


async def test_a_schema(pair: Pair) -> None:
    """The engine holds the answer to a schema."""
    direct, through = [
        await heard(client, pair, response_format=SCHEMA, max_tokens=120, **DENSE) for client in pair.both
    ]
    assert through == direct
    assert "city" in through["text"]


async def test_a_stop_sequence(pair: Pair) -> None:
    """It ends the text at the same place."""
    text = (await heard(pair.direct, pair))["text"]
    stop = text[len(text) // 2]
    direct, through = [await heard(client, pair, stop=[stop]) for client in pair.both]
    assert through == direct
    assert (through["text"], through["finish"]) == (text[: text.index(stop)], "stop")


async def test_probabilities(pair: Pair) -> None:
    """Each token comes with its own and two others'."""
    direct, through = [await heard(client, pair, logprobs=True, top_logprobs=2) for client in pair.both]
    assert through == direct
    assert {count for _, count in through["probable"]} == {2}


async def test_several_answers(pair: Pair) -> None:
    """`n` gives as many."""
    for client in pair.both:
        answer = await client.chat.completions.create(
            model=pair.engine.model, messages=MESSAGES, n=2, max_tokens=4, temperature=1
        )
        assert [choice.index for choice in answer.choices] == [0, 1]


async def test_models(pair: Pair) -> None:
    """The list has the model by the same name."""
    for client in pair.both:
        assert pair.engine.model in [model.id async for model in client.models.list()]


LONG = "and so on " * 3000
WRONG: list[Any] = [
    pytest.param({"messages": "no list"}, id="messages are none"),
    pytest.param({"messages": [{"role": "user", "content": LONG}]}, id="too long"),
    pytest.param({"max_tokens": "many"}, id="a number that is none"),
    pytest.param({"response_format": {"type": "bogus"}}, id="an unknown format"),
    pytest.param({"tools": "x"}, id="tools that are none"),
    pytest.param(
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]}
            ]
        },
        id="an image for a model without eyes",
    ),
]


@pytest.mark.parametrize("fields", WRONG)
async def test_what_an_engine_refuses(pair: Pair, fields: dict[str, Any]) -> None:
    """The same class is raised, and that of a bad request where an engine tells a caller's mistake as its own (500)."""
    raised = []
    for client in pair.both:
        with pytest.raises(openai.APIStatusError) as found:
            await heard(client, pair, **fields)
        raised.append(type(found.value))
    assert raised[0] in {openai.BadRequestError, openai.InternalServerError}
    assert raised[1] is openai.BadRequestError


async def test_a_key_that_is_none(pair: Pair) -> None:
    """A caller with a wrong key gets the same class from both."""
    for client in pair.both:
        with pytest.raises(openai.AuthenticationError):
            await heard(client.with_options(api_key="sk-wrong"), pair)


async def test_a_model_that_is_none(pair: Pair) -> None:
    """The proxy says so; vLLM too, llama.cpp answers with the model that it has."""
    with pytest.raises(openai.NotFoundError):
        await pair.through.chat.completions.create(model="nope", messages=MESSAGES)
    if pair.engine.name == "vllm":
        with pytest.raises(openai.NotFoundError):
            await pair.direct.chat.completions.create(model="nope", messages=MESSAGES)
