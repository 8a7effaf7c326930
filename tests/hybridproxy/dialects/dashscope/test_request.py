"""Tests of requests in DashScope's own protocol."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.dashscope import request as asked
from hybridproxy.dialects.dashscope.request import MULTIMODAL, TEXT, decode, fits, form_of, repeat
from hybridproxy.dialects.request import RequestError
from hybridproxy.dialects.translator import Asking
from hybridproxy.model.call import Call, Capability, Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.providers.provider import CONTROL_FIELDS

HI = {"messages": [{"role": "user", "content": "hi"}]}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {}}}


def chat(
    given: Any = HI,
    parameters: Any = None,
    *,
    model: str = "qwen-plus",
    variant: str = TEXT,
    events: bool = False,
    headers: tuple[tuple[str, str], ...] = (),
    **more: Any,
) -> Call:
    """Return the call that a request is."""
    body = {"model": model, "input": given, "parameters": parameters, **more}
    return decode(Asking(Operation.CHAT, variant, events, headers), orjson.dumps(body))


def embed(given: Any, **parameters: Any) -> Call:
    """Return the call for embeddings that a request is."""
    body = {"model": "text-embedding-v4", "input": given, "parameters": parameters}
    return decode(Asking(Operation.EMBEDDING), orjson.dumps(body))


def test_a_call_has_the_form_between_all_dialects() -> None:
    """Messages and parameters in one object, and beside it the caller's own words."""
    call = chat(parameters={"temperature": 0.5, "top_k": 3, "max_tokens": None, "n": 2}, events=True)
    assert call.body == {
        "model": "qwen-plus", "messages": HI["messages"], "temperature": 0.5, "top_k": 3, "n": 2, "stream": True,
    }  # fmt: skip
    assert (call.dialect, call.operation, call.variant) == (Dialect.DASHSCOPE, Operation.CHAT, TEXT)
    assert (call.stream, call.wants_usage, call.choices) == (True, True, 2)
    assert (call.bound, call.dropped, call.headers) == ((), (), ())
    assert call.native is not None
    assert call.native["input"] == HI
    assert not chat().stream


def test_a_prompt_is_a_message_and_history_those_before_it() -> None:
    """As the first models were asked."""
    call = chat({"prompt": "and now?", "history": [{"user": "hi", "bot": "hello"}], "messages": None})
    assert call.body["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "and now?"},
    ]
    assert chat({"prompt": "hi"}).body["messages"] == HI["messages"]


def test_what_a_call_needs_is_seen() -> None:
    """Tools, eyes, a schema."""
    seen = chat({"messages": [{"role": "user", "content": [{"image": "x.png"}, {"text": "?"}]}]}, variant=MULTIMODAL)
    assert seen.needs == {Capability.VISION}
    parameters = {"tools": [TOOL], "response_format": {"type": "json_schema"}}
    assert chat(parameters=parameters).needs == {Capability.TOOLS, Capability.JSON_SCHEMA}


def test_one_tool_is_called_at_a_time_unless_it_is_asked_for() -> None:
    """The service's default is said, since it is the opposite of the others'; without tools there is nothing to say."""
    assert chat(parameters={"tools": [TOOL]}).body["parallel_tool_calls"] is False
    assert chat(parameters={"tools": [TOOL], "parallel_tool_calls": True}).body["parallel_tool_calls"] is True
    none = chat(parameters={"tools": [], "tool_choice": "auto", "parallel_tool_calls": True})
    assert (set(none.body), none.dropped) == ({"model", "messages"}, ())
    forced = chat(parameters={"tool_choice": {"type": "function", "function": {"name": "f"}}})
    assert (set(forced.body), forced.dropped) == ({"model", "messages"}, ("parameters.tool_choice",))


@pytest.mark.parametrize(
    "parameters",
    [
        {"enable_search": True},
        {"enable_search": True, "search_options": {"forced_search": True}},
        {"enable_code_interpreter": True},
        {"ocr_options": {"task": "text_recognition"}},
        {"stop": [[1, 2]]},
    ],
)
def test_what_only_the_service_does_is_bound_to_it(parameters: Any) -> None:
    """It looks things up, runs code, reads pages, and knows its own tokens."""
    call = chat(parameters=parameters)
    assert call.bound == (f"parameters.{next(iter(parameters))}",)
    assert not {"enable_search", "search_options", "ocr_options"} & call.body.keys()


def test_other_input_and_plugins_are_bound() -> None:
    """What nobody here knows may be what the call is about."""
    assert chat({**HI, "voice": "Cherry", "text": None}).bound == ("input.voice",)
    call = chat(headers=(("x-dashscope-plugin", "{}"),))
    assert call.bound == ("x-dashscope-plugin",)
    assert call.headers == (("x-dashscope-plugin", "{}"),)


def test_what_changes_nothing_is_dropped_by_name() -> None:
    """Options of a search that is off, words that mean something else outside, headers of an account."""
    headers = (("x-dashscope-workspace", "llm-1"), ("x-dashscope-datainspection", "enable"))
    call = chat(
        parameters={"enable_search": False, "search_options": {"a": 1}, "model": "x", "messages": [], "stream": True},
        headers=headers,
        task="text-generation",
    )
    assert call.bound == ()
    assert call.dropped == (
        "parameters.model", "parameters.messages", "parameters.stream", "parameters.search_options",
        "x-dashscope-workspace", "x-dashscope-datainspection", "task",
    )  # fmt: skip
    assert call.body == {"model": "qwen-plus", "messages": HI["messages"]}
    assert call.headers == (headers[1],)


def test_of_many_names_the_first_are_kept() -> None:
    """They stand in messages and headers, once for each backend."""
    more: dict[str, Any] = {f"x{n}": 1 for n in range(500)}
    long = chat({**HI, **{f"{n}" * 300: 1 for n in range(1000)}}, **more)
    assert len(long.bound) == len(long.dropped) == asked.MAX_NAMED
    assert max(map(len, long.bound)) == asked.MAX_NAME


@pytest.mark.parametrize(
    ("arguments", "param"),
    [
        ({"given": None}, "input"),
        ({"given": {}}, "input"),
        ({"given": "hi"}, "input"),
        ({"parameters": [1]}, "parameters"),
        ({"given": {"Messages": []}}, "input.Messages"),
        ({"parameters": {"Tools": []}}, "parameters.Tools"),
        ({"parameters": {"API_KEY": "x"}}, "parameters.API_KEY"),
        ({"parameters": {"Model": "another"}}, "parameters.Model"),
        ({"parameters": {"STREAM": True}}, "parameters.STREAM"),
        ({"parameters": {"Store": True}}, "parameters.Store"),
        ({"given": {"API_KEY": "x", **HI}}, "input.API_KEY"),
        ({"Parameters": {}}, "Parameters"),
        ({"model": "no model"}, "model"),
        ({"given": {"messages": []}}, "input.messages"),
        ({"given": {"prompt": ""}}, "input.messages"),
        ({"given": {"prompt": 1}}, "input.messages"),
        ({"given": {"prompt": "hi", **HI}}, "input.prompt"),
        ({"given": {"history": [{"user": "a", "bot": "b"}], **HI}}, "input.history"),
        ({"given": {"prompt": "hi", "history": {}}}, "input.history"),
        ({"given": {"prompt": "hi", "history": ["a"]}}, "input.history[0]"),
        ({"given": {"prompt": "hi", "history": [{"user": "a"}]}}, "input.history[0]"),
        ({"parameters": {"incremental_output": "yes"}}, "parameters.incremental_output"),
        ({"parameters": {"enable_thinking": 1}}, "parameters.enable_thinking"),
        ({"parameters": {"result_format": "xml"}}, "parameters.result_format"),
        ({"parameters": {"result_format": ["text"]}}, "parameters.result_format"),
        ({"parameters": {"result_format": "text", "tools": [TOOL]}}, "parameters.result_format"),
        ({"parameters": {"result_format": "text", "enable_thinking": True}}, "parameters.result_format"),
        ({"parameters": {"result_format": "text", "n": 2}}, "parameters.result_format"),
        ({"parameters": {"n": 0}}, "parameters.n"),
        ({"parameters": {"n": [1]}}, "parameters.n"),
        ({"parameters": {"n": 1000}}, "parameters.n"),
        ({"parameters": {"tools": {}}}, "parameters.tools"),
        ({"parameters": {"tools": ["x"]}}, "parameters.tools"),
        ({"headers": (("x-dashscope-encryptionkey", "{}"),)}, "x-dashscope-encryptionkey"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(arguments: Any, param: str) -> None:
    """The caller is told which field it was, as far down as it stands."""
    with pytest.raises(RequestError) as raised:
        chat(**arguments)
    assert (raised.value.param, raised.value.status) == (param, 400)


def test_a_call_that_is_to_be_fetched_later_is_not_allowed() -> None:
    """As the service says it of models that answer at once."""
    with pytest.raises(RequestError) as raised:
        chat(headers=(("x-dashscope-async", "Enable"),))
    assert (raised.value.status, raised.value.code) == (403, "access_denied")
    assert chat(headers=(("x-dashscope-async", "disable"),)).bound == ()


# ---- the form of the answer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        ({}, False),
        ({"model": "qwen3-max"}, True),
        ({"model": "qwen3-max", "parameters": {"result_format": "text"}}, False),
        ({"parameters": {"result_format": "message"}}, True),
        ({"parameters": {"tools": [TOOL]}}, True),
        ({"parameters": {"enable_thinking": True}}, True),
        ({"parameters": {"logprobs": True}}, True),
        ({"parameters": {"n": 2}}, True),
        ({"variant": MULTIMODAL}, True),
        ({"variant": MULTIMODAL, "parameters": {"result_format": "text"}}, True),
    ],
)
def test_an_answer_is_a_text_or_messages(arguments: Any, messages: bool) -> None:
    """As the caller wants it, else as the model does by itself, and always where a text has no place for it."""
    assert form_of(chat(**arguments)) == (messages, True)


def test_events_repeat_the_whole_text_unless_increments_are_wanted() -> None:
    """The service's default."""
    assert form_of(chat(parameters={"incremental_output": True}))[1] is False
    assert form_of(chat(parameters={"incremental_output": False}))[1] is True
    assert form_of(replace(chat(), native=None)) == (False, True)


# ---- in the caller's own words ---------------------------------------------------------------------------------------


def test_a_call_is_repeated_without_what_would_steer_the_upstream() -> None:
    """Wherever it stands; the model is the upstream's, and so is the workspace."""
    control = dict.fromkeys(CONTROL_FIELDS, "x")
    headers = (("x-dashscope-datainspection", "enable"), ("x-dashscope-workspace", "llm-1"))
    call = chat({**HI, **control}, {"seed": 1, **control}, headers=headers, events=True, **control)
    made = repeat(call, "own")
    assert made.body == {"model": "own", "input": HI, "parameters": {"seed": 1}}
    assert made.headers == (headers[0], ("x-dashscope-sse", "enable"))
    assert (made.dropped, made.variant) == (("x-dashscope-workspace",), TEXT)


@pytest.mark.parametrize(
    ("variant", "model", "good"),
    [
        (TEXT, "qwen-plus", True),
        (TEXT, "qwen3.7-plus", False),
        (MULTIMODAL, "qwen3.7-plus", True),
        (MULTIMODAL, "qwen3-max", False),
        (TEXT, "my-own", True),
        (MULTIMODAL, "my-own", True),
    ],
)
def test_a_name_of_ours_may_lead_to_a_model_of_another_path(variant: str, model: str, good: bool) -> None:
    """Then the caller's own words would be refused, and are translated: unless nothing else can say them."""
    assert fits(chat(variant=variant), model) is good
    assert fits(chat(variant=variant, parameters={"enable_search": True}), model)
    assert fits(embed({"texts": ["a"]}), model)


def test_a_call_without_parameters_is_repeated_without() -> None:
    """Nothing is added to what passes as it is."""
    made = repeat(chat(variant=MULTIMODAL), "own")
    assert made.body == {"model": "own", "input": HI, "parameters": None}
    assert (made.headers, made.variant) == ((), MULTIMODAL)
    assert repeat(replace(chat(), native=None), "own").body == {"model": "own"}


# ---- embeddings ------------------------------------------------------------------------------------------------------


def test_embeddings_are_asked_for() -> None:
    """Texts, and how long their vectors shall be; what is usual needs not be said."""
    call = embed({"texts": ["a", "b"]}, dimension=64, text_type="document", output_type="dense", instruct=None)
    assert call.body == {"model": "text-embedding-v4", "input": ["a", "b"], "dimensions": 64}
    assert (call.operation, call.stream, call.bound) == (Operation.EMBEDDING, False, ())
    assert repeat(call, "own").body["input"] == {"texts": ["a", "b"]}


def test_embeddings_of_another_kind_are_bound() -> None:
    """Of a question, under an instruction, or sparse."""
    call = embed({"texts": ["a"], "url": "x"}, text_type="query", output_type="sparse", instruct="be brief")
    assert call.bound == ("input.url", "parameters.text_type", "parameters.output_type", "parameters.instruct")


@pytest.mark.parametrize("texts", [None, "a", [], [1], [["a"]]])
def test_what_are_no_texts_is_refused(texts: Any) -> None:
    """By name."""
    with pytest.raises(RequestError) as raised:
        embed({"texts": texts, "a": 1})
    assert raised.value.param == "input.texts"


NAMES = st.sampled_from(sorted(asked._PARAMETERS | asked._INPUT | asked._TAKEN)[:120]) | st.text(max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 200) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


@given(JSON | st.just(HI), JSON | st.dictionaries(NAMES, JSON, max_size=6), st.booleans())
def test_nothing_in_a_request_raises_anything_else(given: Any, parameters: Any, embeds: bool) -> None:
    """Whatever a caller sends; what is taken can be repeated, and has a form."""
    body = orjson.dumps({"model": "m", "input": given, "parameters": parameters})
    operation = Operation.EMBEDDING if embeds else Operation.CHAT
    try:
        call = decode(Asking(operation, "" if embeds else TEXT, events=True), body)
    except RequestError:
        return
    assert not {"result_format", "incremental_output"} & call.body.keys()
    assert call.body["model"] == "m"
    form_of(call)
    made = repeat(call, "own").body
    assert not CONTROL_FIELDS & (made["input"].keys() | (made["parameters"] or {}).keys())
