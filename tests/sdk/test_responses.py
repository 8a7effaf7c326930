"""OpenAI's own client and its `client.responses`: the same direct to who speaks it and through the proxy to anybody."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import openai
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from tests.conformance.matrix.asking import PIXEL
from tests.sdk.clients import TLS
from tests.sdk.outcome import TOOLS
from tests.support.paired import KEY, MODEL, Pair, paired
from tests.support.stack import SHOP

NATIVE: Final = ("openai", "dashscope", "openrouter")
TRANSLATED: Final = ("vllm", "together", "deepseek")
FUNCTIONS: Final[Any] = [
    {"type": "function", "name": name, "parameters": schema, "strict": False} for name, schema in TOOLS.items()
]


class Weather(BaseModel):
    """What `parse` makes of an answer."""

    city: str
    days: int


@asynccontextmanager
async def ways(folder: Path, provider: str) -> AsyncIterator[tuple[Pair, openai.AsyncOpenAI, openai.AsyncOpenAI]]:
    """Return the imitated provider, the client that is pointed at it, and the one at the proxy."""
    async with paired(folder, provider) as pair:
        http = openai.DefaultAsyncHttpxClient(verify=TLS)
        direct = openai.AsyncOpenAI(api_key=KEY, base_url=pair.simulator.base_url, max_retries=0, http_client=http)
        other = openai.DefaultAsyncHttpxClient(verify=TLS)
        url = f"{pair.stack.url}/v1"
        async with direct, openai.AsyncOpenAI(api_key=SHOP, base_url=url, max_retries=0, http_client=other) as through:
            yield pair, direct, through


def heard(response: Any) -> dict[str, Any]:
    """Return what of a response does not depend on when it was made."""
    return {
        "status": response.status,
        "text": response.output_text,
        "items": [item.type for item in response.output],
        "calls": [(item.name, item.arguments) for item in response.output if item.type == "function_call"],
        "usage": (response.usage.input_tokens, response.usage.output_tokens, response.usage.output_tokens_details),
        "incomplete": response.incomplete_details,
        "model": response.model,
    }


ASKED: Final[dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "text": ({"input": "good morning", "instructions": "Be kind."}, {}),
    "thoughts": ({"input": "hi", "reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning": 2}),
    "tools": ({"input": "hi", "tools": FUNCTIONS}, {"tool_calls": 2}),
    "one tool": ({"input": "hi", "tools": FUNCTIONS, "tool_choice": {"type": "function", "name": "time"}}, {}),
    "image": (
        {
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "what is this"},
                        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"},
                    ],
                }
            ]
        },
        {},
    ),
    "length": ({"input": "good morning", "max_output_tokens": 2}, {}),
}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("provider", NATIVE)
async def test_a_response_is_the_same_as_direct(provider: str, name: str, tmp_path: Path) -> None:
    """Whole and streamed, event for event: the upstream's bytes pass."""
    asked, behaviour = ASKED[name]
    async with ways(tmp_path, provider) as (pair, direct, through):
        pair.simulator.behave(behaviour)
        whole = await direct.responses.create(model=MODEL, **asked)
        assert heard(await through.responses.create(model=MODEL, **asked)) == heard(whole)
        both = []
        for client in (direct, through):
            stream = await client.responses.create(model=MODEL, stream=True, **asked)
            events = [event async for event in stream]
            both.append([(event.type, getattr(event, "delta", "")) for event in events])
            assert heard(events[-1].response) == heard(whole)
        assert both[0] == both[1]


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("provider", TRANSLATED)
async def test_a_response_comes_from_who_does_not_speak_it(provider: str, name: str, tmp_path: Path) -> None:
    """Whole, streamed, and with the helper that puts events together: all three are one response."""
    asked, behaviour = ASKED[name]
    async with ways(tmp_path, provider) as (pair, _, through):
        pair.simulator.behave(behaviour)
        whole = await through.responses.create(model=MODEL, **asked)
        stream = await through.responses.create(model=MODEL, stream=True, **asked)
        events = [event async for event in stream]
        last: Any = events[-1]
        assert heard(last.response) == heard(whole)
        assert whole.status == ("incomplete" if name == "length" else "completed")
        if name == "length":
            return  # the helper waits for `response.completed`, here as with the real service
        async with through.responses.stream(model=MODEL, **asked) as helper:
            assert heard(await helper.get_final_response()) == heard(whole)
        kinds = {"thoughts": ["reasoning", "message"], "tools": ["function_call"] * 2, "one tool": ["function_call"]}
        assert [item.type for item in whole.output] == kinds.get(name, ["message"])


@pytest.mark.parametrize("provider", [*NATIVE, *TRANSLATED])
async def test_an_answer_is_parsed(provider: str, tmp_path: Path) -> None:
    """Into the caller's own class, by the schema that was sent."""
    async with ways(tmp_path, provider) as (_, __, through):
        parsed = await through.responses.parse(model=MODEL, input="hi", text_format=Weather)
        assert parsed.output_parsed is not None
        assert parsed.output_parsed.days == 1
        async with through.responses.stream(model=MODEL, input="hi", text_format=Weather) as stream:
            final = await stream.get_final_response()
        assert final.output_parsed == parsed.output_parsed


@pytest.mark.parametrize("provider", ["openai", "vllm"])
async def test_a_conversation_with_tools_goes_round(provider: str, tmp_path: Path) -> None:
    """The output of a turn is the input of the next, as it came, thoughts and all."""
    async with ways(tmp_path, provider) as (pair, _, through):
        pair.simulator.behave({"tool_calls": 2, "reasoning": 1})
        asked: list[Any] = [{"role": "user", "content": "what is new"}]
        first = await through.responses.create(model=MODEL, input=asked, tools=FUNCTIONS)
        asked += [item.to_dict() for item in first.output]
        for item in first.output:
            if item.type == "function_call":
                asked.append({"type": "function_call_output", "call_id": item.call_id, "output": "sunny"})
        pair.simulator.behave({})
        second = await through.responses.create(model=MODEL, input=asked, tools=FUNCTIONS)
        assert second.output_text.endswith("You said: what is new")
        assert second.usage is not None
        assert second.usage.input_tokens == 5


@pytest.mark.parametrize("provider", ["openai", "vllm"])
async def test_log_probabilities(provider: str, tmp_path: Path) -> None:
    """With alternatives, whole and streamed."""
    asked: Any = {"model": MODEL, "input": "hi", "top_logprobs": 2, "include": ["message.output_text.logprobs"]}
    async with ways(tmp_path, provider) as (_, __, through):
        whole: Any = await through.responses.create(**asked)
        (part,) = whole.output[0].content
        assert "".join(entry.token for entry in part.logprobs) == whole.output_text
        assert {len(entry.top_logprobs) for entry in part.logprobs} == {2}
        events = [event async for event in await through.responses.create(stream=True, **asked)]
        tokens = [e.token for event in events if event.type == "response.output_text.delta" for e in event.logprobs]
        assert "".join(tokens) == whole.output_text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("provider", [*NATIVE, "vllm"])
async def test_an_error_raises_the_same_class(provider: str, stream: bool, tmp_path: Path) -> None:
    """As it would direct; of an upstream that was not the caller's doing, an error of the server."""
    async with ways(tmp_path, provider) as (pair, direct, through):
        for status in (400, 429, 500, 503):
            pair.fails(status)
            raised = []
            for client in (through,) if provider == "vllm" else (direct, through):
                with pytest.raises(openai.APIStatusError) as caught:
                    await client.responses.create(model=MODEL, input="hi", stream=stream)
                raised.append(type(caught.value))
            wanted = {400: openai.BadRequestError, 429: openai.RateLimitError}.get(status, openai.InternalServerError)
            assert set(raised) == {wanted}
        pair.simulator.behave({})
        for wrong, model, wanted_class in (
            ("hp_wrong", MODEL, openai.AuthenticationError),
            (SHOP, "nope", openai.NotFoundError),
        ):
            with pytest.raises(wanted_class):
                await through.with_options(api_key=wrong).responses.create(model=model, input="hi", stream=stream)
        with pytest.raises(openai.BadRequestError) as refused:
            bad: Any = [{"role": "user", "content": "x"}, {"role": "user", "content": [{"type": "made_up"}]}]
            await through.responses.create(model=MODEL, input=bad, stream=stream)
        assert refused.value.param == "input[1].content[0].type"


@pytest.mark.parametrize("provider", [*NATIVE, "vllm"])
@pytest.mark.parametrize("fault", ["in_band_error", "cut", "no_finish"])
async def test_a_stream_that_breaks_raises(provider: str, fault: str, tmp_path: Path) -> None:
    """It never looks complete; direct, the SDK takes some of these for an end like any other."""
    async with ways(tmp_path, provider) as (pair, _, through):
        pair.simulator.behave({"fault": {"kind": fault, "after_pieces": 2}})
        heard_: list[str] = []
        with pytest.raises(openai.APIError) as caught:
            stream = await through.responses.create(model=MODEL, input="good morning", stream=True)
            async for event in stream:
                heard_ += [event.type]
        assert not isinstance(caught.value, openai.APIStatusError)
        assert heard_.count("response.output_text.delta") == 2
        assert "response.completed" not in heard_


@pytest.mark.parametrize("provider", ["openai", "vllm"])
async def test_langchain_takes_it_for_the_service(provider: str, tmp_path: Path) -> None:
    """Thought, a tool and its output, streamed and whole, by a client of its own making."""
    async with paired(tmp_path, provider) as pair:
        http = openai.DefaultAsyncHttpxClient(verify=TLS)
        options: dict[str, Any] = {"model": MODEL, "base_url": f"{pair.stack.url}/v1", "max_retries": 0}
        options |= {"use_responses_api": True, "reasoning": {"effort": "low", "summary": "auto"}}
        model = ChatOpenAI(**options, openai_api_key=SecretStr(SHOP), http_async_client=http)
        pair.simulator.behave({"reasoning": 2})
        parts = [part async for part in model.bind_tools(FUNCTIONS).astream("what is new")]
        said: Any = parts[0]
        for part in parts[1:]:
            said += part
        (call,) = said.tool_calls
        assert (call["name"], call["args"]["days"]) == ("weather", 1)
        assert said.content[0]["summary"][0]["text"] == "thought1 thought2 "
        turns = [HumanMessage("what is new"), said, ToolMessage("sunny", tool_call_id=call["id"])]
        answer = await model.ainvoke(turns)
        assert answer.text.endswith("You said: what is new")
        assert answer.usage_metadata is not None
        assert answer.usage_metadata["input_tokens"] == 4
        await http.aclose()
