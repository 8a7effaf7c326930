"""The package `dashscope`, all of its surfaces that the proxy serves: what it hears through it is what it hears direct.

Through the proxy it asks DashScope itself, whose bytes pass, DashScope as OpenAI's callers ask it, and an upstream that
speaks OpenAI's dialect.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import pairwise, product
from pathlib import Path
from typing import Any, Final

import aiohttp
import dashscope
import pytest
from dashscope.aigc.generation import AioGeneration
from dashscope.v2 import AsyncClient, Client, errors

from tests.support.dashscope import HI, running
from tests.support.paired import LATE
from tests.support.stack import SHOP, Stack

STORY: Final = "Once upon a time, by the sea."
TOKENS: Final = {"input_tokens": 2, "output_tokens": 7}
TOOLS: Final[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"properties": {"place": {"type": "string"}}}}}
    for name in ("weather", "time")
]
LOOK: Final = [{"role": "user", "content": [{"image": "https://example.com/cat.png"}, {"text": "what is it?"}]}]
UPSTREAMS: Final = {"m": "ds", "n": "native", "p": "plain"}
"""Model -> whoever serves it."""


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """DashScope in both of its ways, and an upstream that speaks OpenAI's dialect."""
    async with running(tmp_path) as stack:
        for name in UPSTREAMS.values():
            stack.sim(name).behave({"text": STORY})
        yield stack


async def sync(call: Callable[..., Any], **options: Any) -> list[Any]:
    """Make a call of the package that blocks, in a thread; return its answer, or all of its events."""

    def make() -> list[Any]:
        answer = call(**options)
        return list(answer) if options.get("stream") else [answer]

    return await asyncio.to_thread(make)


def place(stack: Stack, *, direct: str = "") -> dict[str, str]:
    """Return where the package calls, and its key."""
    url = stack.sim(direct).url if direct else stack.url
    return {"base_address": f"{url}/api/v1", "api_key": "any" if direct else SHOP}


def shown(answers: list[Any]) -> list[Any]:
    """Return what the package made of answers, without what is of one request alone."""
    return [{part: answer[part] for part in ("status_code", "code", "output", "usage")} for answer in answers]


@pytest.mark.parametrize("parameters", [{}, {"result_format": "message"}, {"incremental_output": True}])
async def test_generation(stack: Stack, parameters: dict[str, Any]) -> None:
    """The text, whole and in events, that repeat or bring what is new; the same from everybody."""
    for stream in (False, True):
        options = {"model": "m", "messages": HI, "stream": stream, **parameters}
        wanted = shown(await sync(dashscope.Generation.call, **options, **place(stack, direct="ds")))
        for model in UPSTREAMS:
            heard = shown(await sync(dashscope.Generation.call, **options | {"model": model}, **place(stack)))
            if model == "m":
                assert heard == wanted
            assert heard[-1] == wanted[-1] | {"usage": heard[-1]["usage"]}
            assert {part: heard[-1]["usage"][part] for part in TOKENS} == TOKENS


async def test_increments_that_are_to_be_put_together(stack: Stack) -> None:
    """Where a caller says that it wants no increments, the package asks for them, and repeats the text itself."""
    for model in UPSTREAMS:
        options: dict[str, Any] = {"model": model, "messages": HI, "stream": True, "incremental_output": False}
        for form in ("text", "message"):
            answers = await sync(dashscope.Generation.call, **options, **place(stack), result_format=form)
            outputs = [answer.output for answer in answers]
            texts = [o.text if form == "text" else o.choices[0].message.content for o in outputs]
            assert texts[-1] == STORY
            assert all(later.startswith(earlier) for earlier, later in pairwise(texts))


async def test_generation_on_a_loop(stack: Stack) -> None:
    """The same for those who wait for it."""
    for model in UPSTREAMS:
        async with aiohttp.ClientSession() as session:
            options: dict[str, Any] = {"prompt": "good morning", "session": session, **place(stack)}
            whole: Any = await AioGeneration.call(model, **options)
            assert whole.output.text == STORY
            events: Any = await AioGeneration.call(model, stream=True, incremental_output=True, **options)
            assert "".join([event.output.text async for event in events]) == STORY


async def test_tools_and_thinking(stack: Stack) -> None:
    """Calls come whole once their parts are joined, and what was thought in its own field."""
    for model, name in UPSTREAMS.items():
        stack.sim(name).behave({"text": STORY, "tool_calls": 2, "reasoning": 2})
        options: dict[str, Any] = {"model": model, "messages": HI, "result_format": "message", "enable_thinking": True}
        for tools in (None, TOOLS):
            asked = options if tools is None else options | {"tools": tools, "parallel_tool_calls": True}
            (answer,) = await sync(dashscope.Generation.call, **asked, **place(stack))
            events = await sync(
                dashscope.Generation.call, **asked, **place(stack), stream=True, incremental_output=True
            )
            said = [event.output.choices[0].message for event in events]
            (choice,) = answer.output.choices
            assert choice.message.reasoning_content == "thought1 thought2 "
            assert "".join(m.get("reasoning_content", "") for m in said) == "thought1 thought2 "
            assert "".join(m.content for m in said) == choice.message.content == ("" if tools else STORY)
            assert choice.finish_reason == events[-1].output.choices[0].finish_reason
            if tools:
                calls = [call["function"] for call in choice.message.tool_calls]
                assert [call["name"] for call in calls] == ["weather", "time"]
                joined = ["", ""]
                for call in [call for m in said for call in m.get("tool_calls", ())]:
                    joined[call["index"]] += call["function"]["arguments"]
                assert joined == [call["arguments"] for call in calls]


async def test_a_picture(stack: Stack) -> None:
    """With the surface for models that see; the answer is in parts."""
    for stream in (False, True):
        options = {"messages": LOOK, "stream": stream}
        answers = await sync(dashscope.MultiModalConversation.call, model="qwen3-vl", **options, **place(stack))
        wanted = await sync(
            dashscope.MultiModalConversation.call, model="qwen3-vl-plus", **options, **place(stack, direct="ds")
        )
        assert shown(answers) == shown(wanted)
        translated = await sync(dashscope.MultiModalConversation.call, model="p", **options, **place(stack))
        assert translated[-1].output == wanted[-1].output
        (part,) = translated[-1].output.choices[0].message.content
        assert part == {"text": STORY}
    seen = [part["type"] for got in stack.received("plain") for part in got["body"]["messages"][0]["content"]]
    assert seen == ["image_url", "text"] * 2


async def test_embeddings(stack: Stack) -> None:
    """Of one text or several."""
    found = []
    for model in UPSTREAMS:
        (answer,) = await sync(
            dashscope.TextEmbedding.call, model=model, input=["a", "b c"], dimension=4, **place(stack)
        )
        found.append([vector["embedding"] for vector in answer.output["embeddings"]])
        assert answer.usage["total_tokens"] == 3
    assert found[0] == found[1] == found[2]
    assert [len(vector) for vector in found[0]] == [4, 4]


ERRORS: Final = {
    400: ("InvalidParameter", errors.BadRequestError),
    429: ("Throttling.RateQuota", errors.RateLimitError),
    500: ("InternalError", errors.InternalServerError),
    503: ("ModelUnavailable", errors.ServiceUnavailableError),
}


async def test_errors_are_fields_of_an_answer(stack: Stack) -> None:
    """Status and code as of the service, whole or streamed, asked once."""
    for status, (code, _) in ERRORS.items():
        for model, name in UPSTREAMS.items():
            stack.sim(name).behave({"fault": {"kind": "status", "status": status, "headers": LATE}})
            for stream in (False, True):
                options = {"messages": HI, "stream": stream}
                (answer,) = await sync(dashscope.Generation.call, model=model, **options, **place(stack))
                (wanted,) = await sync(dashscope.Generation.call, model="m", **options, **place(stack, direct=name))
                assert (answer.status_code, answer.code) == (status, code)
                assert name == "plain" or (wanted.status_code, wanted.code) == (status, code)
                assert answer.message
                assert answer.request_id
    (unknown,) = await sync(dashscope.Generation.call, model="nope", messages=HI, **place(stack))
    assert (unknown.status_code, unknown.code) == (404, "ModelNotFound")
    wrong = place(stack) | {"api_key": "hp_wrong"}
    (refused,) = await sync(dashscope.Generation.call, model="m", messages=HI, **wrong)
    assert (refused.status_code, refused.code) == (401, "InvalidApiKey")


async def test_an_error_within_a_stream_is_its_last_answer(stack: Stack) -> None:
    """With its own status, which the package finds in a line of the event."""
    stack.sim("ds").behave({"fault": {"kind": "in_band_error", "after_pieces": 2, "name": "dashscope.limit_requests"}})
    *before, last = await sync(dashscope.Generation.call, model="m", messages=HI, stream=True, **place(stack))
    assert [answer.status_code for answer in before] == [200, 200]
    assert (last.status_code, last.code) == (429, "Throttling.RateQuota")


# ---- its second version ----------------------------------------------------------------------------------------------


def client(stack: Stack, key: str = SHOP) -> Any:
    """Return a client of the package's second version, which speaks the service's own protocol."""
    return AsyncClient(api_key=key, base_url=f"{stack.url}/api/v1", protocol="native")


async def test_the_second_version(stack: Stack) -> None:
    """Text, tools and usage, whole and streamed."""
    async with client(stack) as one:
        for model, name in UPSTREAMS.items():
            stack.sim(name).behave({"text": STORY, "tool_calls": 2})
            whole = await one.chat.completions.create(model=model, messages=HI)
            assert (whole.output_text, whole.choices[0].finish_reason) == (STORY, "stop")
            stream = await one.chat.completions.create(model=model, messages=HI, stream=True)
            chunks = [chunk async for chunk in stream]
            assert "".join(chunk.delta.content or "" for chunk in chunks) == STORY
            assert chunks[-1].choices[0].finish_reason == "stop"
            for usage in (whole.usage, chunks[-1].usage):
                assert {part: getattr(usage, part) for part in TOKENS} == TOKENS
            called = await one.chat.completions.create(model=model, messages=HI, tools=TOOLS, parallel_tool_calls=True)
            assert [call.function.name for call in called.choices[0].message.tool_calls] == ["weather", "time"]


async def test_the_second_version_blocks_too(stack: Stack) -> None:
    """For those who do not wait on a loop."""

    def make(model: str) -> tuple[str, str]:
        with Client(api_key=SHOP, base_url=f"{stack.url}/api/v1", protocol="native") as one:
            asked: Any = one.chat.completions.create
            chunks = asked(model=model, messages=HI, stream=True)
            return asked(model=model, messages=HI).output_text, "".join(chunk.delta.content or "" for chunk in chunks)

    for model in UPSTREAMS:
        assert await asyncio.to_thread(make, model) == (STORY, STORY)


async def test_the_second_version_raises(stack: Stack) -> None:
    """The classes that it raises of the service; what the proxy has tried already it does not ask again."""
    async with client(stack) as one:
        for (status, (code, kind)), (model, name) in product(ERRORS.items(), UPSTREAMS.items()):
            stack.sim(name).behave({"fault": {"kind": "status", "status": status, "headers": LATE}})
            for stream in (False, True):
                before = len(stack.received(name))
                with pytest.raises(errors.DashScopeError) as raised:
                    await one.chat.completions.create(model=model, messages=HI, stream=stream)
                assert (type(raised.value), raised.value.code) == (kind, code)
                assert raised.value.status_code == status
                assert len(stack.received(name)) == before + 1
        with pytest.raises(errors.NotFoundError):
            await one.chat.completions.create(model="nope", messages=HI)
        stack.sim("ds").behave({"fault": {"kind": "named", "name": "dashscope.data_inspection_failed"}})
        with pytest.raises(errors.ContentFilterError):
            await one.chat.completions.create(model="m", messages=HI)
    async with client(stack, "hp_wrong") as one:
        with pytest.raises(errors.AuthenticationError):
            await one.chat.completions.create(model="m", messages=HI)


async def test_the_second_version_raises_within_a_stream(stack: Stack) -> None:
    """After what came before."""
    async with client(stack) as one:
        for model, name in UPSTREAMS.items():
            stack.sim(name).behave({"fault": {"kind": "cut", "after_pieces": 2}})
            stream = await one.chat.completions.create(model=model, messages=HI, stream=True)
            heard: list[str] = []
            with pytest.raises(errors.InternalServerError):
                async for chunk in stream:
                    heard.append(chunk.delta.content or "")  # noqa: PERF401 - it breaks off in between
            assert len(heard) == 2
