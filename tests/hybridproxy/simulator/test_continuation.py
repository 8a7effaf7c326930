"""Going on from a text that was begun: a cut stream is resumed with no character lost or repeated."""

from typing import Any

import pytest

from hybridproxy.simulator.rows import COMPLETION_PRICE, PROMPT_PRICE
from tests.hybridproxy.simulator.client import HELLO, STREAM, TEXT, Got, JsonDict, ask, content_of, settled
from tests.hybridproxy.simulator.conftest import Start

BOTH: JsonDict = {"continue_final_message": True, "add_generation_prompt": False}
WAYS: dict[str, tuple[str, JsonDict, JsonDict]] = {
    "dashscope": ("dashscope", {"partial": True}, {"enable_thinking": False}),
    "openrouter": ("openrouter", {}, {}),
    "vllm": ("vllm", {}, BOTH),
    "sglang": ("sglang", {}, {"continue_final_message": True}),
}
"""Each way to ask for a continuation: the provider, fields of the last message, fields of the request."""
STORY = "One, two;  three\n\nfour五六七八九十 extraordinarilylongwords end. "


def begun(prefix: object, message: JsonDict | None = None, **fields: Any) -> JsonDict:
    """Write a request whose last message is the assistant's."""
    last: JsonDict = {"role": "assistant", "content": prefix, **(message or {})}
    return STREAM | {"messages": [*HELLO["messages"], last], **fields}


def pieces(got: Got) -> list[str]:
    """Return the pieces of text that are not empty."""
    return [piece for piece in map(content_of, got.events) if piece]


def borders(parts: list[str], start: int = 0) -> set[int]:
    """Return the places where a text is cut into parts, without its end."""
    return {start + len("".join(parts[:count])) for count in range(1, len(parts))}


def finish(got: Got) -> str:
    """Return the last finish reason of a stream."""
    found = [choice["finish_reason"] for event in got.events for choice in event["choices"] if choice["finish_reason"]]
    return str(found[-1])


@pytest.mark.parametrize("way", WAYS)
async def test_the_rest_and_nothing_else(start: Start, way: str) -> None:
    """Wherever a text was cut, the continuation is exactly what is missing, in a stream and whole."""
    provider, message, fields = WAYS[way]
    simulator = await start(provider, text=STORY, strips_prefix=False)
    for place in range(len(STORY) + 1):
        request = begun(STORY[:place], message, **fields)
        got = await ask(simulator, request)
        assert (STORY[:place] + got.text, got.done, finish(got)) == (STORY, True, "stop")
        whole = (await ask(simulator, request | {"stream": False})).json["choices"][0]
        assert STORY[:place] + whole["message"]["content"] == STORY


@pytest.mark.parametrize("way", WAYS)
async def test_a_cut_stream_goes_on_elsewhere(start: Start, way: str) -> None:
    """With the same text set at both, what was cut after N pieces at one is completed by another, N as one likes."""
    provider, message, fields = WAYS[way]
    first = await start("together", text=STORY)
    second = await start(provider, text=STORY)
    whole = pieces(await ask(first, STREAM))
    for count in range(len(whole)):
        first.behave({"text": STORY, "fault": {"kind": "cut", "after_pieces": count}})
        cut = await ask(first, STREAM)
        assert not cut.done
        rest = await ask(second, begun(cut.text, message, **fields))
        kept = cut.text.rstrip() if provider == "vllm" else cut.text
        assert (kept + rest.text, rest.done) == (STORY, True)


async def test_the_default_text_goes_on_too(start: Start) -> None:
    """Without a text of its own the full text depends on the messages before the one that was begun."""
    got = await ask(await start("openrouter"), begun("Hello from ope"))
    assert got.text == TEXT.format("openrouter").removeprefix("Hello from ope")


@pytest.mark.parametrize("text", [STORY, "一二三四五六七八九十" * 9, "a " * 9, "  lead and trail  "])
async def test_the_pieces_have_other_borders(start: Start, text: str) -> None:
    """No border of a continuation is one of the first answer's, and it never has more pieces than were missing."""
    simulator = await start("openrouter", text=text)
    first = pieces(await ask(simulator, STREAM))
    for count in range(len(first)):
        prefix = "".join(first[:count])
        again = pieces(await ask(simulator, begun(prefix)))
        assert prefix + "".join(again) == text
        assert not borders(first) & borders(again, len(prefix))
        assert len(again) <= len(first) - count


@pytest.mark.parametrize("provider", ["together", "openai", "vllm"])
@pytest.mark.parametrize("fields", [{}, {"add_generation_prompt": False}])
async def test_a_fresh_answer(start: Start, provider: str, fields: JsonDict) -> None:
    """Where nothing asks for a continuation as the provider wants it asked, the answer begins anew."""
    got = await ask(await start(provider), begun("Hello from", {"partial": True}, **fields))
    assert got.text == TEXT.format(provider)


@pytest.mark.parametrize("provider", ["together", "openai"])
async def test_providers_that_never_continue(start: Start, provider: str) -> None:
    """Together and OpenAI ignore vLLM's flags and DashScope's, also where prefixes are set to be refused."""
    got = await ask(await start(provider, refuse_prefix=True), begun("Hello", {"partial": True}, **BOTH))
    assert (got.status, got.text) == (200, TEXT.format(provider))


@pytest.mark.parametrize(
    ("way", "message", "fields", "status", "code", "words"),
    [
        ("dashscope", {"partial": True}, {"enable_thinking": True}, 400, "InvalidParameter", "enable_thinking"),
        ("dashscope", {}, {}, 500, "InternalError.Algo", "list index out of range"),
        ("dashscope", {"partial": False}, {}, 500, "InternalError.Algo", "list index out of range"),
        ("vllm", {}, BOTH | {"add_generation_prompt": True}, 400, 400, "Cannot set both"),
    ],
)
async def test_what_the_provider_does_not_take(
    start: Start, way: str, message: JsonDict, fields: JsonDict, status: int, code: object, words: str
) -> None:
    """A continuation that cannot be is an error in the provider's shape, streamed or not, and costs nothing."""
    simulator = await start(way)
    for stream in (True, False):
        got = await ask(simulator, begun("Hello", message, **fields) | {"stream": stream})
        assert (got.status, got.json["error"]["code"]) == (status, code)
        assert words in got.json["error"]["message"]
    assert (await settled(simulator)).billed == 0


async def test_flags_without_a_text_that_was_begun(start: Start) -> None:
    """The flags of vLLM change nothing where the last message is the user's, but both are refused there too."""
    simulator = await start("vllm")
    assert (await ask(simulator, STREAM | BOTH)).text == TEXT.format("vllm")
    assert (await ask(simulator, STREAM | BOTH | {"add_generation_prompt": True})).status == 400


@pytest.mark.parametrize(("provider", "strips"), [("vllm", None), ("vllm", True), ("openrouter", True)])
async def test_white_space_at_the_end_is_said_again(start: Start, provider: str, strips: bool | None) -> None:
    """A template that strips the prefix makes the continuation begin with the white space that was stripped."""
    simulator = await start(provider, text="one \n two", strips_prefix=strips)
    assert (await ask(simulator, begun("one \n ", **BOTH))).text == " \n two"
    assert (await ask(simulator, begun("one", **BOTH))).text == " \n two"


@pytest.mark.parametrize(("provider", "strips"), [("vllm", False), ("openrouter", None)])
async def test_white_space_at_the_end_counts(start: Start, provider: str, strips: bool | None) -> None:
    """Without stripping the continuation begins behind the white space."""
    simulator = await start(provider, text="one \n two", strips_prefix=strips)
    assert (await ask(simulator, begun("one \n ", **BOTH))).text == "two"


@pytest.mark.parametrize("prefix", ["Bonjour", "Hello from me", TEXT.format("openrouter") + "!"])
async def test_a_model_that_says_something_else(start: Start, prefix: str) -> None:
    """A text that does not begin with the prefix is said whole."""
    assert (await ask(await start("openrouter"), begun(prefix))).text == TEXT.format("openrouter")


async def test_a_limit_is_for_the_continuation(start: Start) -> None:
    """max_tokens counts the pieces of the continuation alone, and usage counts the prefix as prompt."""
    simulator = await start("vllm", text="a b c d e")
    got = await ask(simulator, begun("a b", **BOTH, max_tokens=2, stream_options={"include_usage": True}))
    assert (got.text.split(), finish(got)) == (["c", "d"], "length")
    assert got.events[-1]["usage"]["prompt_tokens"] == 4
    assert got.events[-1]["usage"]["completion_tokens"] == 2
    got = await ask(simulator, begun("a b", **BOTH, max_tokens=3))
    assert (got.text.split(), finish(got)) == (["c", "d", "e"], "stop")


async def test_a_number_of_pieces_makes_the_full_text(start: Start) -> None:
    """With `pieces` set the continuation is the rest of the text that so many pieces are."""
    simulator = await start("openrouter", pieces=100)
    whole = (await ask(simulator, STREAM)).text
    assert whole[:300] + (await ask(simulator, begun(whole[:300]))).text == whole


@pytest.mark.parametrize("way", WAYS)
async def test_a_backend_that_echoes(start: Start, way: str) -> None:
    """An echo says the whole prefix again, in pieces, before the continuation; it is neither billed nor limited."""
    provider, message, fields = WAYS[way]
    simulator = await start(provider, text=STORY, echo_prefix=True, usage=True)
    plain = await start(provider, text=STORY, usage=True)
    request = begun("One, two;  three", message, **fields, max_completion_tokens=2)
    got, rest = await ask(simulator, request), await ask(plain, request)
    assert got.text == "One, two;  three" + rest.text
    assert pieces(got)[:3] == ["One, ", "two;  ", "three"]
    assert finish(got) == finish(rest) == "length"
    assert got.events[-1]["usage"] == rest.events[-1]["usage"]
    assert (await settled(simulator)).billed == (await settled(plain)).billed
    whole = (await ask(simulator, request | {"stream": False})).json["choices"][0]["message"]["content"]
    assert whole == got.text
    assert (await ask(simulator, STREAM)).text == STORY


async def test_an_echo_is_no_piece(start: Start) -> None:
    """A fault after 0 pieces comes before the echo, one after a piece behind the echo and that piece."""
    simulator = await start("vllm", text="a b c", echo_prefix=True, fault={"kind": "cut", "after_pieces": 0})
    assert (await ask(simulator, begun("a", **BOTH))).text == ""
    simulator.behave({"text": "a b c", "echo_prefix": True, "fault": {"kind": "cut", "after_pieces": 1}})
    assert (await ask(simulator, begun("a", **BOTH))).text == "a b "
    assert (await settled(simulator)).pieces_sent == 1


@pytest.mark.parametrize(
    ("way", "error"),
    [
        ("dashscope", {"type": "invalid_request_error", "param": "", "code": "InvalidParameter"}),
        ("openrouter", {"code": 400, "metadata": {"error_type": "invalid_request"}}),
        ("vllm", {"type": "BadRequestError", "param": None, "code": 400}),
        ("sglang", {"object": "error", "type": "BadRequest", "param": None, "code": 400}),
    ],
)
async def test_a_model_that_takes_no_prefix(start: Start, way: str, error: JsonDict) -> None:
    """Where prefixes are refused each is a 400 in the provider's shape; other calls are answered."""
    provider, message, fields = WAYS[way]
    simulator = await start(provider, refuse_prefix=True)
    got = await ask(simulator, begun("Hello", message, **fields))
    told = "Assistant message prefill is not supported by this model."
    assert (got.status, got.json.get("error", got.json)) == (400, {"message": told, **error})
    assert (await ask(simulator, STREAM)).text == TEXT.format(provider)


async def test_prefixes_of_other_forms(start: Start) -> None:
    """A prefix can be in parts, empty, null or all there is; a tool that is called is called whole."""
    simulator = await start("openrouter", text="one two")
    assert (await ask(simulator, begun([{"type": "text", "text": "one"}]))).text == " two"
    assert [(await ask(simulator, begun(empty))).text for empty in ("", None)] == ["one two"] * 2
    alone = begun("one")
    alone["messages"] = alone["messages"][1:]
    assert (await ask(simulator, alone)).text == " two"
    alone["tools"] = [{"type": "function", "function": {"name": "t"}}]
    assert finish(await ask(simulator, alone)) == "tool_calls"


async def test_the_bill_of_a_resumed_answer(start: Start) -> None:
    """Both halves are billed: the prompt twice, the prefix once more as prompt, each piece made once."""
    first = await start("dashscope", text="a b c d e", fault={"kind": "cut", "after_pieces": 3})
    second = await start("vllm", text="a b c d e")
    cut = await ask(first, STREAM)
    await ask(second, begun(cut.text, **BOTH))
    assert (await settled(first)).billed == 2 * PROMPT_PRICE + 3 * COMPLETION_PRICE
    assert (await settled(second)).billed == (2 + 3) * PROMPT_PRICE + 2 * COMPLETION_PRICE
