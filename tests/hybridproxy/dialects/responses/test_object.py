"""Tests of the response object."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response

from hybridproxy.dialects.responses.object import (
    Frame,
    Names,
    call_item,
    logprobs_of,
    message_item,
    reasoning_item,
    status_of,
    text_part,
    usage_of,
)
from hybridproxy.dialects.responses.request import decode
from hybridproxy.dialects.translator import Asking
from hybridproxy.model.call import Call, Operation
from tests.support.make import call

CHUNK = {"id": "chatcmpl-7", "created": 5, "model": "qwen-max"}


def asked(**fields: Any) -> Call:
    """Return the call that a request asks for."""
    return decode(Asking(Operation.CHAT), orjson.dumps({"model": "qwen", "input": "hi", **fields}))


def named(body: Any = None) -> Names:
    """Return the names of an answer."""
    return Names(CHUNK if body is None else body, model="qwen", request_id="req_1")


@pytest.mark.parametrize(
    ("id_", "key"),
    [("chatcmpl-7", "7"), ("gen-17-a", "17-a"), ("resp_7", "7"), ("x y\r\n", "xy"), ("a" * 99, "a" * 64), ("7", "7")],
)
def test_ids_follow_from_the_upstreams(id_: str, key: str) -> None:
    """So they are the same at every look, and are words."""
    assert named({"id": id_}).item("msg", 2) == f"msg_{key}_2"


@pytest.mark.parametrize("body", [{}, {"id": "", "created": "x", "model": ""}, {"id": 7, "created": -1, "model": 7}])
def test_what_the_upstream_does_not_say_the_call_does(body: dict[str, Any]) -> None:
    """There is no clock here; a request's id is as good."""
    names = named(body)
    assert (names.key, names.created, names.model) == ("req_1", 0, "qwen")


def test_the_object_repeats_the_request() -> None:
    """With what holds where the request says nothing."""
    fields = {
        "instructions": "Be brief.",
        "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": None}],
        "metadata": {"a": "b"},
        "reasoning": {"effort": "low", "generate_summary": "auto"},
        "text": {"verbosity": "low"},
        "store": True,
    }
    frame = Frame(asked(**fields))
    assert frame.summarises
    first = orjson.loads(frame.response(named(), "in_progress", []))
    assert frame.response(named(), "in_progress", []) == orjson.dumps(first)
    Response.model_validate(first)
    assert first["id"] == "resp_7"
    assert (first["created_at"], first["model"], first["status"]) == (5, "qwen-max", "in_progress")
    assert (first["instructions"], first["tools"], first["metadata"]) == ("Be brief.", fields["tools"], {"a": "b"})
    assert first["reasoning"] == {"effort": "low", "summary": "auto"}
    assert first["text"] == {"verbosity": "low", "format": {"type": "text"}}
    assert (first["store"], first["tool_choice"], first["usage"]) == (False, "auto", None)


def test_a_response_ends_in_one_of_three_ways() -> None:
    """Complete, incomplete with the reason, or failed with the error."""
    frame = Frame(call())
    assert not frame.summarises
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    done = orjson.loads(frame.response(named(), "completed", [], usage=usage))
    assert (done["usage"]["total_tokens"], done["error"], done["incomplete_details"]) == (5, None, None)
    short = orjson.loads(frame.response(named(), "incomplete", [], incomplete="max_output_tokens"))
    assert short["incomplete_details"] == {"reason": "max_output_tokens"}
    failed = orjson.loads(frame.response(named(), "failed", [], error={"code": "server_error", "message": "m"}))
    assert failed["error"] == {"code": "server_error", "message": "m"}


def test_the_finish_reason_tells_how_it_ended() -> None:
    """What is not known is an end like any other."""
    assert status_of("length") == ("incomplete", "max_output_tokens")
    assert status_of("content_filter") == ("incomplete", "content_filter")
    for finish in ("stop", "tool_calls", None, 7, "odd"):
        assert status_of(finish) == ("completed", None)


def test_usage_changes_its_words() -> None:
    """And keeps what it cost, where an aggregator says so."""
    given_ = {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 3},
        "cost": 0.25,
    }
    assert usage_of(given_) == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 14,
        "cost": 0.25,
    }
    other = usage_of({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4, "cache_creation_input_tokens": 2})
    assert other is not None
    assert other["input_tokens_details"] == {"cached_tokens": 4, "cache_write_tokens": 2}  # DeepSeek's word, LiteLLM's
    odd = usage_of({"prompt_tokens": "x", "completion_tokens": -1, "prompt_tokens_details": 7, "cost": "free"})
    assert odd is not None
    assert (odd["input_tokens"], odd["output_tokens"], odd["total_tokens"], "cost" in odd) == (0, 0, 0, False)
    assert (usage_of(None), usage_of({}), usage_of([])) == (None, None, None)


def test_items_are_what_the_sdk_reads() -> None:
    """Each kind, in one object."""
    items = [
        reasoning_item("rs_1", "completed", [{"type": "reasoning_text", "text": "hm"}], "sealed"),
        reasoning_item("rs_2", "completed", [{"type": "summary_text", "text": "hm"}]),
        reasoning_item("rs_3", "completed", []),
        message_item("msg_1", "completed", [text_part("Hello", [])]),
        call_item("fc_1", "completed", "call_1", "f", "{}"),
    ]
    body = orjson.loads(Frame(call()).response(named(), "completed", items))
    read = Response.model_validate(body)
    assert [item.type for item in read.output] == ["reasoning", "reasoning", "reasoning", "message", "function_call"]
    assert read.output_text == "Hello"
    assert (items[0]["content"][0]["text"], items[0]["encrypted_content"]) == ("hm", "sealed")
    assert (items[1]["summary"][0]["text"], items[2]["summary"]) == ("hm", [])


def test_log_probabilities_keep_what_is_one() -> None:
    """What is none has no place, however deep it is nested."""
    token = {
        "token": "a",
        "logprob": -0.5,
        "bytes": [97],
        "top_logprobs": [{"token": "b", "logprob": -1, "bytes": None}],
    }
    other = {"token": "b", "logprob": "x", "bytes": ["x"], "top_logprobs": {"x": [[]]}}
    assert logprobs_of({"logprobs": {"content": [token, other, {"token": 7}, 7]}}) == [
        {"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": [{"token": "b", "bytes": [], "logprob": -1}]},
        {"token": "b", "bytes": [], "logprob": 0.0, "top_logprobs": []},
    ]
    for none in (None, 7, {"content": None}, {}):
        assert logprobs_of({"logprobs": none}) == []


@given(
    st.dictionaries(st.sampled_from(["id", "created", "model"]), st.none() | st.integers() | st.text() | st.floats())
)
def test_names_are_made_of_anything(body: dict[str, Any]) -> None:
    """An upstream may say what it likes."""
    names = named(body)
    frame = Frame(call())
    assert orjson.loads(frame.response(names, "completed", []))["id"].isascii()
