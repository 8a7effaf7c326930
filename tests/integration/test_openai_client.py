"""The official OpenAI client against the proxy: what an application's `except` and `for` get to see."""

from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.support.inside import finished
from tests.support.patience import LONG
from tests.support.stack import BANK, BEIJING, SHOP, SINGAPORE, SMALL, TORONTO, Stack, chat, running

TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "tells the weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


async def calls(stack: Stack) -> list[dict[str, Any]]:
    """Return what the proxy logged of the calls it got."""
    return await finished(stack)


THROTTLED = {"together": "rate_limit", "openrouter": "platform_rate_limit", "dashscope": "throttling"}


def break_all(stack: Stack, fault: dict[str, object]) -> None:
    """Have every backend that a caller in Toronto may use fail."""
    for name in THROTTLED:
        stack.sim(name).behave({"fault": fault})


def throttle_all(stack: Stack, **more: object) -> None:
    """Have every backend that a caller in Toronto may use say, in its own words, that there were too many calls."""
    for name, error in THROTTLED.items():
        stack.sim(name).behave({"fault": {"kind": "named", "name": f"{name}.{error}", **more}})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "raises", "code"),
    [
        ({"kind": "status", "status": 500}, openai.InternalServerError, "upstream_error"),
        ({"kind": "status", "status": 503}, openai.InternalServerError, "upstream_overloaded"),
        ({"kind": "status", "status": 401}, openai.InternalServerError, "upstream_credential"),
        ({"kind": "redirect", "location": "http://127.0.0.1:9/"}, openai.InternalServerError, "upstream_redirect"),
    ],
    ids=lambda v: "-".join(str(x) for x in v.values()) if isinstance(v, dict) else None,
)
async def test_when_every_backend_failed_the_client_does_not_ask_again(
    stack: Stack, fault: dict[str, object], raises: type[openai.APIStatusError], code: str, stream: bool
) -> None:
    """The proxy has tried three backends; a client with two retries sends one request and raises the right class."""
    break_all(stack, fault)
    client = stack.openai(max_retries=2)
    with pytest.raises(raises) as raised:
        await client.chat.completions.create(**chat(), stream=stream)
    assert type(raised.value) is raises
    assert raised.value.code == code
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert raised.value.request_id == raised.value.response.headers["x-request-id"]
    (call,) = await calls(stack)
    assert call["attempts"] == 3
    assert call["id"] == raised.value.request_id
    assert [len(stack.received(name)) for name in ("together", "openrouter", "dashscope")] == [1, 1, 1]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_may_have_been_billed_is_repeated_once(stack: Stack, stream: bool) -> None:
    """Two backends that took the whole request and said nothing may both send a bill; the third is not asked."""
    break_all(stack, {"kind": "cut", "before_head": True})
    with pytest.raises(openai.InternalServerError) as raised:
        await stack.openai(max_retries=2).chat.completions.create(**chat(), stream=stream)
    assert raised.value.code == "upstream_cut"
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert [len(stack.received(name)) for name in ("together", "openrouter", "dashscope")] == [1, 1, 0]


async def test_when_every_backend_throttles_it_is_a_rate_limit_asked_once(stack: Stack) -> None:
    """Too many calls everywhere is a RateLimitError; the client does not add to them, though it has retries left."""
    throttle_all(stack)
    with pytest.raises(openai.RateLimitError) as raised:
        await stack.openai(max_retries=2).chat.completions.create(**chat())
    assert raised.value.code == "upstream_throttled"
    assert raised.value.response.headers["x-should-retry"] == "false"
    (call,) = await calls(stack)
    assert call["attempts"] == 3


@pytest.mark.parametrize(
    ("key", "address", "body", "raises", "code"),
    [
        ("hp_" + "x" * 43, SINGAPORE, {}, openai.AuthenticationError, "invalid_api_key"),
        (SHOP, BEIJING, {}, openai.PermissionDeniedError, "region_refused"),
        (SHOP, SINGAPORE, {"model": "nope"}, openai.NotFoundError, "model_not_found"),
        (SMALL, SINGAPORE, {"model": "qwen"}, openai.NotFoundError, "model_not_found"),
        (SHOP, SINGAPORE, {"messages": []}, openai.BadRequestError, None),
        (SHOP, SINGAPORE, {"model": "only-us"}, openai.BadRequestError, "no_backend_allowed"),
    ],
    ids=["unknown key", "refused region", "unknown model", "not the tenant's model", "no messages", "no backend here"],
)
async def test_each_refusal_is_its_own_class(
    stack: Stack,
    key: str,
    address: str,
    body: dict[str, Any],
    raises: type[openai.APIStatusError],
    code: str | None,
) -> None:
    """What the caller did wrong arrives as the class an application catches, once, and reaches no backend."""
    client = stack.openai(key, address, max_retries=2)
    with pytest.raises(openai.APIStatusError) as raised:
        await client.chat.completions.create(**{**chat(), **body})
    assert type(raised.value) is raises
    assert code is None or raised.value.code == code
    assert isinstance(raised.value.body, dict)
    assert raised.value.body["message"]
    assert len(await calls(stack)) == 1
    assert not any(stack.received(name) for name in ("dashscope", "together", "openrouter", "vllm"))


@pytest.mark.parametrize(
    ("name", "model", "code"),
    [
        ("together.context_length", "only-us", "context_length_exceeded"),
        ("openrouter.moderation", "free/qwen3", "content_policy_violation"),
    ],
)
async def test_what_the_upstream_says_of_the_input_is_a_bad_request(
    stack: Stack, name: str, model: str, code: str
) -> None:
    """An input that no backend can take is the caller's to change: BadRequestError, not an upstream's status."""
    provider, _, _ = name.partition(".")
    stack.sim(provider).behave({"fault": {"kind": "named", "name": name}})
    with pytest.raises(openai.BadRequestError) as raised:
        await stack.openai(max_retries=2).chat.completions.create(**chat(model=model))
    assert raised.value.code == code
    assert len(await calls(stack)) == 1


async def test_a_busy_sovereign_cluster_is_a_server_error_and_no_rate_limit_of_others(stack: Stack) -> None:
    """The bank's own cluster failing is an InternalServerError, asked once."""
    stack.sim("vllm").behave({"fault": {"kind": "status", "status": 500}})
    with pytest.raises(openai.InternalServerError) as raised:
        await stack.openai(BANK, max_retries=2).chat.completions.create(**chat())
    assert raised.value.status_code == 503
    assert len(await calls(stack)) == 1


async def test_while_backends_rest_the_client_waits_as_told_and_then_succeeds(stack: Stack) -> None:
    """With every backend just throttled the proxy names a time; a client with retries comes back after it."""
    throttle_all(stack, headers={"Retry-After": "1"}, times=1)
    client = stack.openai(max_retries=2)
    with pytest.raises(openai.RateLimitError):
        await client.chat.completions.create(**chat())
    answer = await client.with_options(max_retries=4).chat.completions.create(**chat())
    assert answer.choices[0].finish_reason == "stop"
    statuses = [call["status"] for call in await calls(stack)]
    assert statuses[0] == 429
    assert statuses[-1] == 200
    assert set(statuses[1:-1]) <= {503}


async def test_tools_arrive_in_pieces_and_whole(stack: Stack) -> None:
    """Streamed tool calls add up to the call that the same request gets without streaming."""
    client = stack.openai()
    whole = await client.chat.completions.create(**chat("weather in Toronto"), tools=TOOLS, tool_choice="required")
    assert whole.choices[0].finish_reason == "tool_calls"
    assert whole.choices[0].message.tool_calls is not None
    names, arguments, finish = "", "", None
    stream = await client.chat.completions.create(
        **chat("weather in Toronto"), tools=TOOLS, tool_choice="required", stream=True
    )
    pieces = 0
    async for chunk in stream:
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or []:
                pieces += 1
                assert call.function is not None
                names += call.function.name or ""
                arguments += call.function.arguments or ""
    function = whole.choices[0].message.tool_calls[0].function
    assert (names, arguments, finish) == (function.name, function.arguments, "tool_calls")
    assert pieces > 1
    assert stack.received("together")[-1]["body"]["tools"] == TOOLS


async def test_a_tool_call_cut_in_the_middle_is_an_exception(stack: Stack) -> None:
    """Half of a tool call's arguments is never handed over as the whole."""
    stack.sim("together").behave({"fault": {"kind": "cut", "after_pieces": 2}, "pace_ms": 5})
    finishes: list[str | None] = []

    async def ask() -> None:
        stream = await stack.openai().chat.completions.create(
            **chat("weather in Toronto"), tools=TOOLS, tool_choice="required", stream=True
        )
        async for chunk in stream:
            finishes.extend(choice.finish_reason for choice in chunk.choices)

    with pytest.raises(openai.APIError):
        await ask()
    assert finishes
    assert not any(finishes)


@pytest.mark.parametrize("stream", [False, True])
async def test_two_choices(stack: Stack, stream: bool) -> None:
    """n=2 gives two whole answers, each with its own finish reason."""
    client = stack.openai()
    texts, finishes = {0: "", 1: ""}, {}
    if stream:
        async for chunk in await client.chat.completions.create(**chat(), n=2, stream=True):
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
                if choice.finish_reason:
                    finishes[choice.index] = choice.finish_reason
    else:
        for one in (await client.chat.completions.create(**chat(), n=2)).choices:
            texts[one.index] = one.message.content or ""
            finishes[one.index] = one.finish_reason
    assert all("hello there" in text for text in texts.values())
    assert finishes == {0: "stop", 1: "stop"}


@pytest.mark.parametrize("given", ["one text", ["one", "two", "three"]])
async def test_embeddings(stack: Stack, given: str | list[str]) -> None:
    """One vector for each input, in its order; the client's own base64 encoding is undone on its side."""
    answer = await stack.openai().embeddings.create(model="qwen", input=given)
    assert [one.index for one in answer.data] == list(range(1 if isinstance(given, str) else len(given)))
    assert all(isinstance(number, float) for one in answer.data for number in one.embedding)
    assert answer.usage.prompt_tokens > 0


@pytest.mark.parametrize(
    ("address", "model"),
    [(SINGAPORE, "qwen"), (TORONTO, "qwen"), (SINGAPORE, "free/qwen3")],
    ids=["dashscope", "together", "openrouter"],
)
async def test_usage_of_a_stream(stack: Stack, address: str, model: str) -> None:
    """Asked for, the usage is the last chunk, whichever backend answered."""
    stream = await stack.openai(address=address).chat.completions.create(
        **chat(model=model), stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


async def test_the_decision_is_there_for_whoever_is_curious(stack: Stack) -> None:
    """The raw response has the headers that say who answered and why."""
    raw = await stack.openai().chat.completions.with_raw_response.create(**chat())
    assert raw.headers["x-hybridproxy-backend"] == "together-us"
    assert raw.headers["x-hybridproxy-attempts"] == "1"
    assert "together-us" in raw.headers["x-hybridproxy-decision"]
    assert raw.parse().choices[0].message.content


async def test_a_client_that_would_give_up_gets_an_answer_before(stack: Stack) -> None:
    """It says how long it waits; within that it hears why there is no answer, and nobody works for it any more."""
    stack.sim("together").behave({"latency_ms": 60_000})
    client = stack.openai().with_options(timeout=3)

    async def patient(request: Any) -> None:
        """Let it wait for longer than it says: on a busy machine its own end and our answer come at the same moment."""
        request.extensions["timeout"]["read"] = LONG

    client._client.event_hooks = {"request": [patient]}
    with pytest.raises(openai.InternalServerError) as raised:
        await client.chat.completions.create(**chat())
    assert (raised.value.status_code, raised.value.code) == (504, "deadline_exceeded")
    await stack.until(lambda: stack.received("together")[0]["outcome"] == "client_gone")
    assert not stack.received("openrouter")


async def test_a_client_that_gives_up_stops_the_upstream(stack: Stack) -> None:
    """One that does not say how long it waits, and leaves: within a second nobody works for it any more."""
    stack.sim("together").behave({"latency_ms": 60_000})
    client = stack.openai().with_options(timeout=3)
    with pytest.raises(openai.APITimeoutError):
        await client.chat.completions.create(**chat(), extra_headers={"x-stainless-read-timeout": "it depends"})
    await stack.until(lambda: stack.received("together")[0]["outcome"] == "client_gone")
    assert not stack.received("openrouter")
    (call,) = await calls(stack)
    assert call["status"] == 499


async def test_leaving_a_stream_early_stops_the_upstream(stack: Stack) -> None:
    """An application that has read enough closes the stream, and the upstream stops generating."""
    stack.sim("together").behave({"pace_ms": 20, "pieces": 5000})
    stream = await stack.openai().chat.completions.create(**chat(), stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()
    await stack.until(lambda: stack.received("together")[0]["outcome"] == "client_gone")
    assert stack.received("together")[0]["pieces_sent"] < 200


async def test_our_timeout_is_a_gateway_timeout_asked_once(tmp_path: Path) -> None:
    """A silence is tried once elsewhere, and not repeated by the client, who might pay again."""
    async with running(tmp_path, answer="300ms") as stack:
        for name in ("together", "openrouter", "dashscope"):
            stack.sim(name).behave({"latency_ms": 60_000})
        with pytest.raises(openai.InternalServerError) as raised:
            await stack.openai(max_retries=2).chat.completions.create(**chat())
        assert raised.value.status_code == 504
        assert raised.value.code == "answer_timeout"
        assert len(await calls(stack)) == 1
        assert [len(stack.received(name)) for name in ("together", "openrouter", "dashscope")] == [1, 1, 0]


async def test_a_key_may_be_rotated_between_calls(stack: Stack) -> None:
    """The same client with another key is another tenant, on the same connection."""
    client = stack.openai()
    assert [model.id async for model in client.models.list()] != [
        model.id async for model in client.with_options(api_key=SMALL).models.list()
    ]


async def test_the_alias_root_works_as_base_url(stack: Stack) -> None:
    """An application that points at DashScope today changes the host and nothing else."""
    async with AsyncOpenAI(
        api_key=SHOP,
        base_url=stack.url + "/compatible-mode/v1",
        max_retries=0,
        default_headers={"x-forwarded-for": SINGAPORE},
    ) as client:
        raw = await client.chat.completions.with_raw_response.create(**chat())
    assert raw.headers["x-hybridproxy-backend"] == "dashscope-sg"
