"""The Responses API of simulated upstreams, as OpenAI's own client reads it."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import orjson
import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from hybridproxy.simulator.responses import MAX_KEPT, Kept, name_of
from hybridproxy.simulator.server import RunningSimulator
from tests.hybridproxy.simulator.client import ask
from tests.hybridproxy.simulator.conftest import Start

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TOOLS: Any = [
    {
        "type": "function",
        "name": name,
        "parameters": {"type": "object", "properties": {"x": {"type": "string"}}},
        "strict": False,
    }
    for name in ("f", "g")
]


@pytest.fixture
async def clients() -> AsyncIterator[Any]:
    """Return a function that makes a client of a simulator."""
    made: list[openai.AsyncOpenAI] = []

    def client(simulator: RunningSimulator) -> openai.AsyncOpenAI:
        made.append(openai.AsyncOpenAI(api_key="k", base_url=simulator.base_url, max_retries=0))
        return made[-1]

    yield client
    for one in made:
        await one.close()


@pytest.mark.parametrize("provider", ["openai", "dashscope", "openrouter", "fireworks", "groq", "bedrock", "litellm"])
async def test_a_response_whole_and_streamed(start: Start, clients: Any, provider: str) -> None:
    """Thought, text and usage are the same; each event is one of the SDK's, and they are numbered."""
    client = clients(await start(provider, reasoning=2))
    whole = await client.responses.create(model="m", input="good morning", instructions="Be kind.")
    assert whole.output_text == f"Hello from {provider} (m). You said: good morning"
    assert [item.type for item in whole.output] == ["reasoning", "message"]
    assert (whole.usage.input_tokens, whole.usage.output_tokens_details.reasoning_tokens) == (4, 2)
    assert (whole.status, whole.instructions, whole.id.startswith("resp_")) == ("completed", "Be kind.", True)
    events = [event async for event in await client.responses.create(model="m", input="good morning", stream=True)]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [EVENTS.validate_python(event.to_dict()).type for event in events] == [event.type for event in events]
    assert events[-1].response.output_text == whole.output_text
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text
    summarises = provider in {"openai", "dashscope"}
    assert ("response.reasoning_summary_text.delta" in {event.type for event in events}) is summarises


async def test_tools_are_called(start: Start, clients: Any) -> None:
    """Two at once, or the one that is asked for; what it gave is read."""
    client = clients(await start(tool_calls=2))
    called = await client.responses.create(model="m", input="hi", tools=TOOLS)
    assert [(item.name, item.arguments) for item in called.output] == [
        ("f", '{"x":"example for f"}'),
        ("g", '{"x":"example for g"}'),
    ]
    events = [event async for event in await client.responses.create(model="m", input="hi", tools=TOOLS, stream=True)]
    done = [event.arguments for event in events if event.type == "response.function_call_arguments.done"]
    assert done == [item.arguments for item in called.output]
    choice: Any = {"type": "function", "name": "g"}
    assert [
        item.name
        for item in (await client.responses.create(model="m", input="hi", tools=TOOLS, tool_choice=choice)).output
    ] == ["g"]
    answered = await client.responses.create(
        model="m",
        tools=TOOLS,
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "hi"},
                    {"type": "input_image", "image_url": "x", "detail": "low"},
                ],
            },
            *[item.to_dict() for item in called.output],
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call_output", "call_id": called.output[0].call_id, "output": "7"},
        ],
    )
    assert answered.output_text.endswith("You said: hi (images: 1)")


async def test_a_hosted_tool_works_before_the_answer(start: Start, clients: Any) -> None:
    """With events of its own."""
    client = clients(await start())
    tools: Any = [{"type": "web_search"}]
    events = [event async for event in await client.responses.create(model="m", input="hi", tools=tools, stream=True)]
    assert "response.web_search_call.searching" in {event.type for event in events}
    assert [item.type for item in events[-1].response.output] == ["web_search_call", "message"]


async def test_formats_limits_and_probabilities(start: Start, clients: Any) -> None:
    """As far as they are asked for."""
    client = clients(await start())
    wanted: Any = {
        "format": {
            "type": "json_schema",
            "name": "n",
            "schema": {"type": "object", "properties": {"a": {"type": "integer"}}},
        }
    }
    assert (await client.responses.create(model="m", input="hi", text=wanted)).output_text == '{"a":1}'
    short = await client.responses.create(model="m", input="hi", max_output_tokens=1)
    assert (short.status, short.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    probable = await client.responses.create(
        model="m", input="hi", top_logprobs=2, include=["message.output_text.logprobs"]
    )
    assert len(probable.output[0].content[0].logprobs[0].top_logprobs) == 2


async def test_a_response_is_gone_on_from_where_it_is_kept(start: Start, clients: Any) -> None:
    """By its id, unless it says that it shall not be kept, and not with whom keeps nothing."""
    client = clients(await start())
    first = await client.responses.create(model="m", input="one two three")
    second = await client.responses.create(model="m", input="four", previous_response_id=first.id)
    assert second.usage.input_tokens > 4
    assert second.previous_response_id == first.id
    lost = await client.responses.create(model="m", input="one", store=False)
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model="m", input="two", previous_response_id=lost.id)
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")
    with pytest.raises(openai.BadRequestError):
        await clients(await start("openrouter")).responses.create(model="m", input="two", previous_response_id=first.id)


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ([{"role": "user", "content": [{"type": "text", "text": "x"}]}], "input[0].content[0].type"),
        ([{"type": "made_up"}], "input[0].type"),
        (["x"], "input[0]"),
        ([{"role": "user", "content": 7}], "input[0].content[0].type"),
    ],
)
async def test_what_is_wrong_is_refused_by_name(start: Start, clients: Any, given: Any, param: str) -> None:
    """With the path to the field."""
    with pytest.raises(openai.BadRequestError) as caught:
        await clients(await start()).responses.create(model="m", input=given)
    assert caught.value.param == param


async def test_a_reference_to_what_is_not_kept_is_not_found(start: Start, clients: Any) -> None:
    """As the real service says it."""
    with pytest.raises(openai.NotFoundError):
        await clients(await start()).responses.create(model="m", input=[{"type": "item_reference", "id": "msg_1"}])


@pytest.mark.parametrize("provider", ["openai", "openrouter"])
async def test_errors_within_a_stream(start: Start, provider: str) -> None:
    """An event of its own, or a response that failed; only an aggregator says `[DONE]`."""
    simulator = await start(provider, fault={"kind": "in_band_error", "after_pieces": 1})
    asked = {"model": "m", "input": "hi", "stream": True}
    last = {"openai": b"event: error\ndata: ", "openrouter": b"event: response.failed\ndata: "}
    assert last[provider] in (await ask(simulator, asked, "/responses")).body
    simulator.behave({})
    body = (await ask(simulator, asked, "/responses")).body
    assert body.endswith(b"data: [DONE]\n\n") is (provider == "openrouter")


def test_only_the_newest_are_kept() -> None:
    """A simulator may run for long."""
    kept = Kept()
    for number in range(MAX_KEPT + 1):
        kept.keep(str(number), [{"role": "user", "content": str(number)}])
    assert kept.messages("1") == [{"role": "user", "content": "1"}]
    with pytest.raises(Exception, match="'0' not found"):
        kept.messages("0")


def test_what_is_no_event_has_no_name() -> None:
    """A fault may put anything into a stream."""
    assert [name_of(data) for data in (b"{", b"7", b"{}", orjson.dumps({"type": "x"}))] == [b"", b"", b"", b"x"]
