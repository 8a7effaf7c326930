"""Tests of putting providers' own words into OpenAI's."""

from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.sse import data_of
from hybridproxy.dialects.unify import Unifier, needles, unifier_of
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.provider import Provider

ALL = Provider("x", reasoning="reasoning", finishes={"eos": "stop", "null": None}, error_in="x_groq", whole_tools=True)
FLAT = Provider("x", flat_logprobs=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["stop", "eos", "null", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "message",
                    "reasoning",
                    "tool_calls",
                    "finish_reason",
                    "index",
                    "x_groq",
                    "logprobs",
                    "tokens",
                    "token_logprobs",
                    "top_logprobs",
                    "error",
                    "id",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
)


def event(body: Any) -> bytes:
    """An event as `Splitter` gives it."""
    return b"data: " + orjson.dumps(body) + b"\n\n"


def chunk(delta: Any, finish: Any = None, index: Any = 0) -> bytes:
    """A chunk with one choice."""
    return event({"choices": [{"index": index, "delta": delta, "finish_reason": finish}]})


def fed(row: Provider, events: Iterable[bytes]) -> list[Any]:
    """What comes of events."""
    unifier = Unifier(row)
    return [orjson.loads(data_of(one) or b"null") for given in events for one in unifier.feed(given)]


def first(body: Any) -> Any:
    """The first choice."""
    return body["choices"][0]


@pytest.mark.parametrize(
    "given",
    [
        b":\n\n",
        b"data: [DONE]\n\n",
        chunk({"content": 'say "reasoning"'}),
        chunk({"content": "a", "reasoning": None}),
        chunk({"content": "a"}, "stop"),
        b'data: {"reasoning"\n\n',
        event({"choices": "reasoning", "reasoning": 1}),
        event(["reasoning"]),
        event({"choices": ["eos"], "x": {"eos": 1}}),
        event({"x_groq": {"id": "r"}, "choices": []}),
    ],
)
def test_what_needs_nothing_passes_as_the_bytes_it_was(given: bytes) -> None:
    """Nothing is written anew that was not changed."""
    (found,) = Unifier(ALL).feed(given)
    assert found is given


def test_thinking_is_found_in_one_place() -> None:
    """Whatever the provider calls it, once or twice; its details stay what they are."""
    details = [{"type": "reasoning.text", "text": "a"}]
    (found,) = fed(ALL, [chunk({"reasoning": "a", "reasoning_details": details})])
    assert first(found)["delta"] == {"reasoning_content": "a", "reasoning_details": details}
    (found,) = fed(ALL, [chunk({"reasoning": "a", "reasoning_content": "a"})])
    assert first(found)["delta"] == {"reasoning_content": "a"}
    (found,) = fed(Provider("x"), [chunk({"reasoning": "a"})])
    assert first(found)["delta"] == {"reasoning": "a"}


@pytest.mark.parametrize(("word", "finish"), [("eos", "stop"), ("null", None), ("length", "length")])
def test_reasons_are_openais(word: str, finish: str | None) -> None:
    """And what is no reason is none."""
    (found,) = fed(ALL, [chunk({}, word)])
    assert first(found)["finish_reason"] == finish


@pytest.mark.parametrize("name", ["openai", "portkey", "litellm", "tokenmix"])
def test_thinking_is_found_there_too_where_nobody_says_who_answers(name: str) -> None:
    """Ollama and others behind these say `reasoning`; what is sent back stays as callers have it."""
    (found,) = fed(PROVIDERS[name], [chunk({"reasoning": "a"})])
    assert first(found)["delta"] == {"reasoning_content": "a"}
    answer = {"choices": [{"index": 0, "message": {"content": "b", "reasoning": "a"}, "finish_reason": "stop"}]}
    assert Unifier(PROVIDERS[name]).whole(answer)
    assert first(answer)["message"] == {"content": "b", "reasoning_content": "a"}
    assert PROVIDERS[name].reasoning == "reasoning_content"


def test_calls_of_tools_that_come_whole_are_numbered() -> None:
    """Callers put parts together by their number and answer by the id; and the choice ends with what it did."""
    call = {"id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    found = fed(
        ALL, [chunk({"tool_calls": [call, "x"]}), chunk({"tool_calls": [call | {"id": "i"}]}), chunk({}, "stop")]
    )
    assert first(found[0])["delta"]["tool_calls"] == [call | {"id": "call_0", "index": 0}, "x"]
    assert first(found[1])["delta"]["tool_calls"] == [call | {"id": "i", "index": 2}]
    assert first(found[2])["finish_reason"] == "tool_calls"
    assert first(fed(ALL, [chunk({"tool_calls": None}), chunk({}, "stop")])[1])["finish_reason"] == "stop"
    other = fed(ALL, [chunk({"tool_calls": [call]}, index=1), chunk({}, "stop")])
    assert first(other[1])["finish_reason"] == "stop"


def probable(logprobs: Any, delta: Any) -> Any:
    """What becomes of a chunk's probabilities."""
    (found,) = fed(FLAT, [event({"choices": [{"index": 0, "delta": delta, "logprobs": logprobs}]})])
    return first(found)["logprobs"]


def test_probabilities_are_one_entry_a_token() -> None:
    """Together has one number for the text of a chunk, and lists in a whole answer."""
    entry = {"token": "é", "logprob": -0.5, "bytes": [195, 169], "top_logprobs": []}
    assert probable(-0.5, {"content": "é"}) == {"content": [entry], "refusal": None}
    assert probable({"tokens": ["é"], "token_logprobs": [-0.5]}, {}) == {"content": [entry], "refusal": None}
    assert probable(0, {"content": "a"})["content"][0]["logprob"] == 0


def test_other_tokens_that_were_probable_are_told() -> None:
    """Together has them, where they were asked for, as an object a token."""
    told = {"tokens": ["a", "b"], "token_logprobs": [-0.5, -0.25], "top_logprobs": [{"a": -0.5, "é": -1}, None]}
    entries = probable(told, {})["content"]
    assert entries[0]["top_logprobs"] == [
        {"token": "a", "logprob": -0.5, "bytes": [97]},
        {"token": "é", "logprob": -1, "bytes": [195, 169]},
    ]
    assert entries[1]["top_logprobs"] == []
    other = probable({**told, "top_logprobs": {"a": -0.5}}, {})["content"]
    assert [entry["top_logprobs"] for entry in other] == [[], []]


def test_probabilities_of_a_plain_completion_are_lists_at_openai_too() -> None:
    """Its clients read them as they are, streamed and not."""
    told = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [{"a": -0.5}], "text_offset": [0]}
    answer = {"object": "text_completion", "choices": [{"index": 0, "text": "a", "logprobs": told}]}
    assert not Unifier(FLAT).whole(answer)
    assert first(answer)["logprobs"] == told
    given = event(answer)
    assert Unifier(FLAT).feed(given) == (given,)


@pytest.mark.parametrize(
    ("logprobs", "delta"),
    [
        (None, {"content": "a"}),
        (-0.5, {}),
        (-0.5, None),
        (-0.5, {"content": 7}),
        ({"content": []}, {"content": "a"}),
        ({"tokens": ["a"], "token_logprobs": -1}, {"content": "a"}),
    ],
)
def test_probabilities_that_are_none_stay_what_they_are(logprobs: Any, delta: Any) -> None:
    """Also those that are as OpenAI's already."""
    assert probable(logprobs, delta) == logprobs
    assert not Unifier(FLAT).whole({"choices": [{"index": 0, "message": {"content": "a"}, "logprobs": None}]})


def test_an_error_beside_the_choices_is_an_error() -> None:
    """Groq tells it as a text."""
    (found,) = fed(ALL, [event({"x_groq": {"id": "r", "error": "over capacity"}, "choices": []})])
    assert found == {"error": {"message": "over capacity"}}
    for told in ({"error": ""}, {"error": 5}, "text"):
        (found,) = fed(ALL, [event({"x_groq": told, "choices": []})])
        assert found == {"x_groq": told, "choices": []}


@pytest.mark.parametrize("index", [[], {}, "0", None])
def test_a_choice_without_a_number_is_nobodys(index: Any) -> None:
    """Whatever stands there it makes nothing raise, also where an answer comes whole."""
    assert not Unifier(ALL).whole({"choices": [{"index": index, "finish_reason": "stop", "message": {"content": "a"}}]})


def test_a_whole_answer_is_put_right_likewise() -> None:
    """Its message as a delta is."""
    answer = {"choices": [{"index": 0, "message": {"content": "b", "reasoning": "a"}, "finish_reason": "eos"}]}
    assert Unifier(ALL).whole(answer)
    assert first(answer) == {"index": 0, "message": {"content": "b", "reasoning_content": "a"}, "finish_reason": "stop"}
    nothing: tuple[Any, ...] = ({"choices": []}, {"choices": [{"reasoning": 1}]}, None, {"choices": {}})
    assert not any(map(Unifier(ALL).whole, nothing))


def test_nesting_too_deep_to_write_passes_as_it_came() -> None:
    """It is read further down than it is written."""
    deep = b'data: {"choices":[{"delta":{"reasoning":"a"},"x":' + b"[" * 500 + b"]" * 500 + b"}]}\n\n"
    assert Unifier(ALL).feed(deep) == (deep,)


def test_the_other_rows_need_no_look_at_any_event() -> None:
    """Whoever is known to speak as OpenAI does stays on the byte path."""
    assert {name for name, row in PROVIDERS.items() if needles(row)} == {
        "dashscope", "together", "openrouter", "vllm", "groq", "cerebras", "gemini",
        "openai", "tokenmix", "portkey", "litellm",
    }  # fmt: skip
    assert unifier_of(PROVIDERS["deepseek"]) is None
    assert unifier_of(PROVIDERS["vllm"]) is not None
    assert needles(ALL) == (b'"eos"', b'"null"', b'"reasoning"', b'"tool_calls"', b'"x_groq"')


@given(st.lists(JSON, max_size=4))
def test_nothing_in_an_answer_raises(bodies: list[Any]) -> None:
    """Whatever it is."""
    for row in (ALL, FLAT):
        fed(row, map(event, bodies))
        for body in bodies:
            Unifier(row).whole(body)
