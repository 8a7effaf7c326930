"""The official client of Anthropic against the proxy: the same as against the service, whoever answers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import orjson
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import Message, TextBlock, ThinkingBlock, ToolUseBlock

from tests.support.anthropic_stack import client, hi, speaking
from tests.support.paired import LATE
from tests.support.stack import SHOP, Stack

CITY = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
TOOLS: list[Any] = [{"name": name, "description": "tells it", "input_schema": CITY} for name in ("weather", "time")]
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}
PIXEL: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
MODELS = ("claude", "routed", "qwen", "streamer")
"""Of a backend that speaks the dialect alone, one that speaks it too, one that does not, and one that only streams."""


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """Simulated upstreams and the proxy."""
    async with speaking(tmp_path) as started:
        yield started


@pytest.fixture
async def sdk(stack: Stack) -> AsyncIterator[AsyncAnthropic]:
    """The client."""
    async with client(stack.url) as made:
        yield made


async def asked(sdk: AsyncAnthropic, *, stream: bool, **fields: Any) -> Message:
    """Return the message that an answer is, put together by the client where it streams."""
    if not stream:
        message: Message = await sdk.messages.create(**fields)
        return message
    async with sdk.messages.stream(**fields) as events:
        return await events.get_final_message()


def behave(stack: Stack, **settings: Any) -> None:
    """Let all upstreams behave so."""
    for simulator in stack.simulators.all:
        simulator.behave(settings)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_text(stack: Stack, sdk: AsyncAnthropic, model: str, stream: bool) -> None:
    """With the reason for its end and the tokens that the upstream counted."""
    message = await asked(sdk, stream=stream, model=model, system="be kind", **hi())
    (block,) = message.content
    assert isinstance(block, TextBlock)
    assert block.text.endswith("You said: hello there")
    assert (message.role, message.stop_reason, message.model) == ("assistant", "end_turn", message.model)
    entry = next(s for s in stack.simulators.all if s.upstream.journal.entries).upstream.journal.entries[-1]
    assert (message.usage.input_tokens, message.usage.output_tokens) == (entry.prompt_tokens, entry.completion_tokens)
    assert entry.prompt_tokens == 4


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
async def test_tools_are_called_and_their_results_go_back(
    stack: Stack, sdk: AsyncAnthropic, model: str, stream: bool
) -> None:
    """Two at once, their arguments in pieces; the results stand in one turn, one with a picture, one with an error."""
    behave(stack, tool_calls=2)
    fields: dict[str, Any] = hi(tools=TOOLS, tool_choice={"type": "any"})
    message = await asked(sdk, stream=stream, model=model, **fields)
    calls = [block for block in message.content if isinstance(block, ToolUseBlock)]
    assert [(call.name, call.input) for call in calls] == [
        (name, {"city": f"example for {name}", "days": 1}) for name in ("weather", "time")
    ]
    assert message.stop_reason == "tool_use"
    results: list[Any] = [
        {"type": "tool_result", "tool_use_id": calls[0].id, "content": [{"type": "text", "text": "sunny"}, PIXEL]},
        {"type": "tool_result", "tool_use_id": calls[1].id, "content": "no clock", "is_error": True},
    ]
    fields["messages"] += [message.to_param(), {"role": "user", "content": [*results, {"type": "text", "text": "so"}]}]
    behave(stack)
    fields["tool_choice"] = {"type": "none"}
    message = await asked(sdk, stream=stream, model=model, **fields)
    assert isinstance(message.content[0], TextBlock)
    assert "You said: " in message.content[0].text


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
async def test_thinking_and_its_signature_go_there_and_back(
    stack: Stack, sdk: AsyncAnthropic, model: str, stream: bool
) -> None:
    """What was signed is taken again by who signed it; what was not is no hindrance."""
    behave(stack, reasoning=3)
    fields: dict[str, Any] = hi(thinking=THINKING) | {"max_tokens": 2000}
    message = await asked(sdk, stream=stream, model=model, **fields)
    thought, text = message.content
    assert isinstance(thought, ThinkingBlock)
    assert (thought.thinking, bool(thought.signature)) == ("thought1 thought2 thought3 ", model == "claude")
    assert isinstance(text, TextBlock)
    fields["messages"] += [message.to_param(), {"role": "user", "content": "go on"}]
    behave(stack)
    message = await asked(sdk, stream=stream, model=model, **fields)
    assert isinstance(message.content[-1], TextBlock)
    assert message.content[-1].text.endswith("You said: go on")


@pytest.mark.parametrize("model", MODELS)
async def test_pictures_stop_sequences_limits_and_schemas(stack: Stack, sdk: AsyncAnthropic, model: str) -> None:
    """Each does what it does at the service."""
    seen = {"role": "user", "content": [{"type": "text", "text": "look"}, PIXEL, PIXEL]}
    message = await asked(sdk, stream=True, model=model, **(hi() | {"messages": [seen]}))
    assert isinstance(message.content[0], TextBlock)
    assert message.content[0].text.endswith("(images: 2)")
    message = await asked(sdk, stream=False, model=model, **hi(stop_sequences=[" You"]))
    assert message.stop_reason in {"stop_sequence", "end_turn"}  # which it was not everybody tells
    assert (await asked(sdk, stream=True, model=model, **(hi() | {"max_tokens": 2}))).stop_reason == "max_tokens"
    form: Any = {"format": {"type": "json_schema", "schema": CITY}}
    message = await asked(sdk, stream=False, model=model, **hi(output_config=form))
    assert isinstance(message.content[0], TextBlock)
    assert orjson.loads(message.content[0].text).keys() == {"city", "days"}


async def test_a_beginning_is_gone_on_with_where_that_can_be(stack: Stack, sdk: AsyncAnthropic) -> None:
    """In the upstream's own way; who has none is left out."""
    begun = [{"role": "user", "content": "count"}, {"role": "assistant", "content": "One two"}]
    for model, name in (("counted", "vllm"), ("routed", "openrouter"), ("claude", "anthropic")):
        stack.sim(name).behave({"text": "One two three"})
        message = await asked(sdk, stream=False, model=model, **(hi() | {"messages": begun}))
        assert isinstance(message.content[0], TextBlock)
        assert message.content[0].text == " three", model
    with pytest.raises(anthropic.BadRequestError, match="does not go on"):
        await sdk.messages.create(model="qwen", **(hi() | {"messages": begun}))


# ---- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "raises", "type_"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.InternalServerError, "api_error"),  # ours, and not the caller's key
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (503, anthropic.OverloadedError, "overloaded_error"),
        (529, anthropic.OverloadedError, "overloaded_error"),
    ],
)
@pytest.mark.parametrize("model", ["claude", "qwen"])
async def test_errors_have_the_class_that_the_services_have(
    stack: Stack, sdk: AsyncAnthropic, model: str, status: int, raises: type[Any], type_: str, stream: bool
) -> None:
    """And the request's id, and a word that the client need not try again."""
    behave(stack, fault={"kind": "status", "status": status, "headers": LATE})
    with pytest.raises(raises) as raised:
        await asked(sdk, stream=stream, model=model, **hi())
    error = raised.value
    assert (type(error), error.type) == (raises, type_)
    assert error.request_id == error.response.headers["x-request-id"] == error.body["request_id"]
    assert error.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("fields", "raises", "says"),
    [
        ({"model": "nope"}, anthropic.NotFoundError, "nope"),
        ({"max_tokens": 0.5}, anthropic.BadRequestError, "max_tokens: "),
        ({"messages": []}, anthropic.BadRequestError, "messages: "),
        ({"messages": [{"role": "tool", "content": "x"}]}, anthropic.BadRequestError, "messages.0.role: "),
        (
            {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
            anthropic.BadRequestError,
            "messages.0.content.0.source: ",
        ),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, anthropic.BadRequestError, "tools.0"),
        ({"inference_geo": "us"}, anthropic.BadRequestError, "inference_geo: "),
    ],
    ids=["model", "limit", "no messages", "role", "image", "server tool", "place"],
)
async def test_what_is_wrong_with_a_request_is_named(
    sdk: AsyncAnthropic, fields: dict[str, Any], raises: type[anthropic.APIStatusError], says: str
) -> None:
    """By the field, before any backend is asked."""
    with pytest.raises(raises) as raised:
        await sdk.messages.create(**({"model": "qwen", **hi()} | fields))
    assert says in (raised.value.api_message or "")


async def test_a_request_that_is_too_long(sdk: AsyncAnthropic) -> None:
    """Has a class of its own, too."""
    with pytest.raises(anthropic.ContentTooLargeError) as raised:
        await sdk.messages.create(model="qwen", **hi("x" * 11_000_000))
    assert raised.value.request_id


async def test_a_key_that_is_not_known(stack: Stack) -> None:
    """In either header."""
    async with client(stack.url, "hp_" + "x" * 43) as stranger:
        with pytest.raises(anthropic.AuthenticationError) as raised:
            await stranger.messages.create(model="qwen", **hi())
        assert raised.value.type == "authentication_error"
    async with stack.post("/v1/messages", key=None, headers={"x-api-key": SHOP}, json={"model": "qwen", **hi()}) as got:
        assert got.status == 200


@pytest.mark.parametrize("model", ["claude", "qwen", "routed"])
async def test_a_stream_that_breaks_is_an_error_and_never_looks_whole(
    stack: Stack, sdk: AsyncAnthropic, model: str
) -> None:
    """The text until then came; then the client raises, and there is no last event."""
    for fault in (
        {"kind": "cut", "after_pieces": 3},
        {"kind": "in_band_error", "after_pieces": 3},
        {"kind": "no_finish", "after_pieces": 3},
    ):
        stack.forgive()
        behave(stack, fault=fault)
        kinds: list[str] = []
        with pytest.raises(anthropic.APIStatusError) as raised:
            async with sdk.messages.stream(model=model, **hi()) as events:
                async for event in events:
                    kinds += [event.type]
        assert raised.value.type in {"api_error", "overloaded_error"}
        assert "message_stop" not in kinds
        assert kinds.count("text") >= 2


# ---- the rest of the API ---------------------------------------------------------------------------------------------


async def test_tokens_are_counted_where_that_can_be_and_estimated_elsewhere(stack: Stack, sdk: AsyncAnthropic) -> None:
    """The caller is told which it is."""
    fields: dict[str, Any] = {"messages": hi()["messages"], "system": "be kind", "tools": TOOLS}
    for model, exact in (("claude", 4), ("counted", 4), ("qwen", None)):
        got = await sdk.messages.with_raw_response.count_tokens(model=model, **fields)
        tokens = (await got.parse()).input_tokens
        assert got.headers.get("x-hybridproxy-estimated") == (None if exact else "input_tokens")
        assert tokens == exact if exact else 20 < tokens < 200
    assert [entry["path"] for entry in stack.received("vllm")] == ["/v1/messages/count_tokens"]
    assert stack.received("together") == []
    behave(stack, fault={"kind": "status", "status": 500})
    got = await sdk.messages.with_raw_response.count_tokens(model="counted", **fields)
    assert got.headers["x-hybridproxy-estimated"] == "input_tokens"
    with pytest.raises(anthropic.NotFoundError):
        await sdk.messages.count_tokens(model="nope", **fields)


async def test_models_are_listed_in_the_callers_form(sdk: AsyncAnthropic) -> None:
    """All on one page; one alone; and none that there is not."""
    found = [model.id async for model in await sdk.models.list()]
    assert "claude" in found
    assert (await sdk.models.retrieve("claude")).display_name == "claude"
    with pytest.raises(anthropic.NotFoundError) as raised:
        await sdk.models.retrieve("nope")
    assert raised.value.type == "not_found_error"
