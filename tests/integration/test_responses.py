"""Callers of the Responses API over real sockets: who may have a call, what is kept, and streams that break."""

import asyncio
import io
from pathlib import Path
from typing import Any

import aiohttp
import openai
import orjson
import pytest

from tests.support.paired import MODEL, paired
from tests.support.stack import BANK, SINGAPORE, TORONTO, Stack, running

PATH = "/v1/responses"
TEXT = "The quick brown fox jumps over the lazy dog.\n\n  Twice,  it  seems."


def ask(text: Any = "hello there", *, model: str = "qwen", **more: Any) -> dict[str, Any]:
    """Return a request."""
    return {"model": model, "input": text, **more}


async def events(response: aiohttp.ClientResponse) -> list[dict[str, Any]]:
    """Return the events of a stream, as far as it came."""
    data = b""
    try:
        async for part in response.content.iter_any():
            data += part
    except aiohttp.ClientPayloadError:
        pass
    blocks = [block for block in data.split(b"\n\n") if block.startswith(b"event: ")]
    found = [orjson.loads(block.partition(b"\ndata: ")[2]) for block in blocks]
    assert b"[DONE]" not in data
    return found


# ---- who may have it -------------------------------------------------------------------------------------------------


async def test_who_speaks_it_hears_the_callers_own_words(stack: Stack) -> None:
    """From Singapore DashScope is first: it is told to keep nothing, and its bytes come back."""
    asked = ask(stream=True, metadata={"a": "b"}, cache_salt="mine", enable_thinking=False)
    async with stack.post(PATH, json=asked, address=SINGAPORE) as response:
        raw = await response.read()
    (entry,) = stack.received("dashscope")
    assert entry["path"] == "/compatible-mode/v1/responses"
    sent = entry["body"]
    assert sent == {k: v for k, v in asked.items() if k != "cache_salt"} | {"model": "qwen-sg", "store": False}
    async with stack.http.post(
        stack.sim("dashscope").base_url + "/responses", json=sent, headers={"authorization": "Bearer k"}
    ) as direct:
        same = (await direct.read()).replace(b"dashscope-000002", b"dashscope-000001")
    assert without_times(raw) == without_times(same)


def without_times(raw: bytes) -> list[bytes]:
    """Return a stream without the second in which it was made."""
    return [part.partition(b",")[2] for part in raw.split(b'"created_at":')]


async def test_who_does_not_gets_a_chat(stack: Stack) -> None:
    """From Toronto Together is first; the alias of DashScope's users works too."""
    asked = ask(instructions="Be brief.", max_output_tokens=50, stream=True, truncation="auto")
    async with stack.post("/compatible-mode" + PATH, json=asked) as response:
        assert response.headers["x-hybridproxy-backend"] == "together-us"
        assert response.headers["x-hybridproxy-dropped"] == "truncation"
        found = await events(response)
    sent = stack.received("together")[0]["body"]
    assert sent["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello there"}]
    assert found[-1]["type"] == "response.completed"
    assert found[-1]["response"]["store"] is False
    line = next(line for line in await stack.lines() if line["event"] == "call.finished")
    assert (line["dialect"], line["status"], line["completion_tokens"]) == ("responses", 200, 9)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tools": [{"type": "web_search"}]}, "tools[0] (web_search)"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0] (item_reference)"),
    ],
)
async def test_what_a_chat_cannot_say_is_refused_where_nobody_speaks_it(
    more: dict[str, Any], named: str, stack: Stack
) -> None:
    """The bank has its own engines alone: a 400 that names the field, and nothing leaves."""
    async with stack.post(PATH, key=BANK, json=ask() | more) as response:
        told = (await response.json())["error"]
    assert response.status == 400
    assert told["code"] == "no_backend_allowed"
    assert f"is not spoken to in responses, which alone has {named}" in told["message"]
    assert stack.received("vllm") == []


async def test_background_is_refused_everywhere(stack: Stack) -> None:
    """There is nobody to ask for the answer later."""
    with pytest.raises(openai.BadRequestError) as caught:
        await stack.openai().responses.create(**ask(background=True))
    assert (caught.value.param, caught.value.code) == ("background", "unsupported_value")


async def test_a_hosted_tool_runs_where_it_is_hosted(stack: Stack) -> None:
    """Others of the route are passed over, whichever stand first."""
    tools: Any = [{"type": "web_search"}]
    made = await stack.openai(address=TORONTO).responses.create(**ask(tools=tools))
    assert [item.type for item in made.output] == ["web_search_call", "message"]
    assert (len(stack.received("dashscope")), len(stack.received("together"))) == (1, 0)


# ---- what is kept ----------------------------------------------------------------------------------------------------


async def test_an_answer_is_gone_on_from_where_it_was_kept(stack: Stack) -> None:
    """The id lives with who made it, so a caller says `store`, and both calls go where it is spoken."""
    client = stack.openai(address=SINGAPORE)
    first = await client.responses.create(**ask("one two three", store=True))
    second = await client.responses.create(**ask("four", previous_response_id=first.id))
    assert second.usage is not None
    assert second.usage.input_tokens > 4
    with pytest.raises(openai.BadRequestError) as caught:  # the second was not kept: its caller did not say so
        await client.responses.create(**ask("five", previous_response_id=second.id))
    assert f"Previous response with id '{second.id}' not found" in caught.value.message


async def test_a_reference_to_what_is_not_kept_is_the_callers_mistake(stack: Stack) -> None:
    """The upstream's 404 is about an item, and not about its model: no bad gateway, and nobody else is asked."""
    items: Any = [{"type": "item_reference", "id": "msg_1"}]
    with pytest.raises(openai.BadRequestError) as caught:
        await stack.openai(address=SINGAPORE).responses.create(**ask(items))
    assert "Item with id 'msg_1' not found" in caught.value.message
    assert [len(stack.received(name)) for name in ("dashscope", "openrouter")] == [1, 0]


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        (PATH, ask(model=MODEL, previous_response_id="resp_1"), "previous_response_id"),
        (PATH, ask([{"type": "item_reference", "id": "msg_1"}], model=MODEL), "item_reference"),
        (
            "/v1/chat/completions",
            {"model": MODEL, "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
            "file_id",
        ),
    ],
)
async def test_no_tenant_names_what_another_may_have_had_kept(
    path: str, body: dict[str, Any], name: str, tmp_path: Path
) -> None:
    """The account knows none of them, so an operator has to say that they share it; nothing is sent."""
    async with paired(tmp_path, "openai") as pair, pair.stack.post(path, json=body) as response:
        told = (await response.json())["error"]["message"]
        assert response.status == 400
        assert f"{name} would name what its account keeps" in told
        assert pair.stack.received("openai") == []


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
@pytest.mark.parametrize("rest", ["resp_1", "resp_1/input_items", "resp_1/cancel", "compact"])
async def test_nothing_is_kept_here(method: str, rest: str, stack: Stack) -> None:
    """What is about a kept response is answered with what is offered."""
    async with stack.http.request(method, f"{stack.url}{PATH}/{rest}") as response:
        told = (await response.json())["error"]
    assert (response.status, told["type"], told["code"]) == (404, "invalid_request_error", "response_not_found")
    assert "no response is kept" in told["message"]
    async with stack.http.get(f"{stack.url}{PATH}") as response:
        assert (response.status, response.headers["allow"]) == (405, "POST")


# ---- streams ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["bytes", "merged", "split"])
async def test_any_split_of_the_bytes_gives_the_same_response(how: str, stack: Stack) -> None:
    """Native and translated."""
    for address, name in ((SINGAPORE, "dashscope"), (TORONTO, "together")):
        stack.sim(name).behave({"text": TEXT, "chunking": how, "reasoning": 2})
        async with stack.post(PATH, json=ask(stream=True), address=address) as response:
            found = await events(response)
        assert [event["sequence_number"] for event in found] == list(range(len(found)))
        (message,) = [item for item in found[-1]["response"]["output"] if item["type"] == "message"]
        assert message["content"][0]["text"] == TEXT
        said = [event["delta"] for event in found if event["type"] == "response.output_text.delta"]
        assert "".join(said) == TEXT


@pytest.mark.parametrize("on_cut", ["[resume, error]", "[replay, error]"])
async def test_a_stream_that_breaks_goes_on_as_one_response(on_cut: str, tmp_path: Path) -> None:
    """No character is lost or doubled, and the caller hears one response with one id."""
    async with running(tmp_path, on_cut=on_cut) as stack:
        for name in ("openrouter", "dashscope"):
            stack.sim(name).behave({"text": TEXT})
        stack.sim("dashscope").behave({"text": TEXT, "fault": {"kind": "cut", "after_pieces": 4}})
        async with stack.post(PATH, json=ask(stream=True), address=SINGAPORE) as response:
            found = await events(response)
        assert [event["sequence_number"] for event in found] == list(range(len(found)))
        assert found[-1]["type"] == "response.completed"
        assert {event["response"]["id"] for event in found if "response" in event} == {found[0]["response"]["id"]}
        assert found[-1]["response"]["output"][0]["content"][0]["text"] == TEXT
        assert [event["type"] for event in found].count("response.output_item.added") == 1
        assert stack.received("dashscope")[0]["path"].endswith("/chat/completions")
        assert len(stack.received("openrouter")) == 1


async def test_a_bound_call_is_never_gone_on_with_elsewhere(tmp_path: Path) -> None:
    """It cannot be said in the form in which parts are joined: it stays in its own words, and breaks honestly."""
    async with running(tmp_path, on_cut="[resume, replay, error]") as stack:
        stack.sim("dashscope").behave({"text": TEXT, "fault": {"kind": "cut", "after_pieces": 4}})
        asked = ask(stream=True, tools=[{"type": "web_search"}])
        async with stack.post(PATH, json=asked, address=SINGAPORE) as response:
            found = await events(response)
        assert (found[-1]["type"], found[-1]["code"]) == ("error", "upstream_cut")
        assert stack.received("openrouter") == []


async def test_a_broken_stream_says_what_was_said(stack: Stack) -> None:
    """Translated, the failed response has the text so far; native, the error alone is ours."""
    for address, name, last in ((TORONTO, "together", "response.failed"), (SINGAPORE, "dashscope", "error")):
        stack.sim(name).behave({"text": TEXT, "fault": {"kind": "in_band_error", "after_pieces": 2}})
        async with stack.post(PATH, json=ask(stream=True), address=address) as response:
            found = await events(response)
        assert found[-1]["type"] == last
        assert "response.completed" not in {event["type"] for event in found}
        (error,) = [event for event in found if event["type"] == "error"]
        assert error["error"]["code"] == error["code"] == "upstream_error"
        if last == "response.failed":
            assert found[-1]["response"]["output"][0]["content"][0]["text"] == TEXT[: len("The quick")]


async def test_the_first_backend_fails_before_it_says_anything(stack: Stack) -> None:
    """The next one is asked in its own way: one speaks the dialect, the other does not."""
    stack.sim("together").behave({"fault": {"kind": "status", "status": 503}})
    stack.sim("openrouter").behave({"fault": {"kind": "status", "status": 503}})
    async with stack.post(PATH, json=ask(stream=True)) as response:
        assert response.headers["x-hybridproxy-attempts"] == "3"
        found = await events(response)
    assert found[-1]["type"] == "response.completed"
    paths = [stack.received(name)[0]["path"] for name in ("together", "openrouter", "dashscope")]
    assert [path.rpartition("/v1/")[2] for path in paths] == ["chat/completions", "chat/completions", "responses"]


async def test_a_caller_who_does_not_stream_may_have_a_model_that_only_does(tmp_path: Path) -> None:
    """The answer is put together out of a chat's stream, also of a provider that speaks the dialect."""
    async with paired(tmp_path, "dashscope") as pair:
        text = (tmp_path / "hybridproxy.yaml").read_text()
        (tmp_path / "hybridproxy.yaml").write_text(
            text.replace(f"{{it: {MODEL}}}", f"{{it: {{name: {MODEL}, streams_only: true}}}}")
        )
        await pair.stack.worker.reload()
        pair.simulator.behave({"reasoning": 1})
        made = await pair.stack.openai().responses.create(**ask(model=MODEL))
        assert made.output_text.endswith("You said: hello there")
        assert [item.type for item in made.output] == ["reasoning", "message"]
        (entry,) = pair.stack.received("dashscope")
        assert entry["path"].endswith("/chat/completions")
        assert entry["body"]["stream"] is True
        with pytest.raises(openai.BadRequestError) as caught:
            await pair.stack.openai().responses.create(**ask(model=MODEL, previous_response_id="resp_1"))
        assert "answers only as a stream" in caught.value.message


async def test_many_at_once_do_not_mix(stack: Stack) -> None:
    """Each call has a voice of its own."""
    for name in ("together", "dashscope"):
        stack.sim(name).behave({"pace_ms": 1})

    async def one(number: int) -> bool:
        address = TORONTO if number % 2 else SINGAPORE
        async with stack.post(PATH, json=ask(f"number {number}", stream=True), address=address) as response:
            found = await events(response)
        return str(found[-1]["response"]["output"][0]["content"][0]["text"]).endswith(f"You said: number {number}")

    assert all(await asyncio.gather(*map(one, range(20))))


@pytest.mark.parametrize("more", [{"store": True}, {"conversation": "conv_1"}])
@pytest.mark.parametrize("path", [PATH, "/v1/chat/completions"])
async def test_nothing_is_kept_beyond_the_terms(path: str, more: dict[str, Any], stack: Stack) -> None:
    """A caller cannot have kept what its terms let nobody keep; where nothing is demanded it is its own affair."""
    body = ask() | {"messages": [{"role": "user", "content": "hi"}]} | more
    terms = {"x-hybridproxy-residency": "{retention: 30d}"}
    async with stack.post(path, json=body, headers=terms) as response:
        told = (await response.json())["error"]
    assert (response.status, told["code"], told["param"]) == (400, "invalid_residency", next(iter(more)))
    assert [stack.received(name) for name in ("together", "dashscope", "openrouter")] == [[], [], []]
    async with stack.post(path, json=body, address=SINGAPORE) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (PATH, {"tools": [{"type": "mcp", "server_label": "x", "server_url": "https://example.com/mcp"}]}),
        ("/v1/chat/completions", {"tools": [{"type": "mcp", "server_url": "https://example.com/mcp"}]}),
        ("/v1/messages", {"mcp_servers": [{"type": "url", "url": "https://example.com/mcp", "name": "x"}]}),
    ],
)
async def test_nothing_is_passed_on_to_servers_a_caller_names(path: str, more: dict[str, Any], stack: Stack) -> None:
    """Where there are terms: the upstream would call them, and nobody has promised where they are."""
    body = ask() | {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9} | more
    terms = {"x-hybridproxy-residency": "{compute: [US]}"}
    async with stack.post(path, json=body, headers=terms) as response:
        told = await response.text()
    assert response.status == 400
    assert "residency terms" in told
    assert next(iter(more)) in told
    assert [stack.received(name) for name in ("together", "dashscope", "openrouter")] == [[], [], []]


async def test_no_other_dialect_has_anything_kept_either(stack: Stack) -> None:
    """Where DashScope has parameters of other names, they become fields of a chat."""
    body = {"model": ask()["model"], "input": {"prompt": "hi"}, "parameters": {"store": True}}
    terms = {"x-hybridproxy-residency": "{retention: 30d}"}
    path = "/api/v1/services/aigc/text-generation/generation"
    async with stack.post(path, json=body, headers=terms) as response:
        told = await response.json()
    assert (response.status, told["code"]) == (400, "InvalidParameter")
    assert "residency" in told["message"]
    assert [stack.received(name) for name in ("together", "dashscope", "openrouter")] == [[], [], []]


async def test_long_instructions_come_back_twice(tmp_path: Path) -> None:
    """The service repeats them before there is any output: more than any other dialect has in an event, or held."""
    words = "be kind " * 200_000
    async with running(tmp_path, max_body="4MB") as stack:
        body = io.BytesIO(orjson.dumps(ask(stream=True, instructions=words)))
        async with stack.post(PATH, data=body, address=SINGAPORE) as response:
            assert (response.status, response.headers["x-hybridproxy-attempts"]) == (200, "1")
            found = await events(response)
        assert found[-1]["type"] == "response.completed"
        assert found[-1]["response"]["instructions"] == words
