"""Tests of OpenAI's dialect."""

import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects import openai
from hybridproxy.dialects.openai import MAX_CHOICES, decode_request
from hybridproxy.dialects.request import RequestError
from hybridproxy.dialects.tap import Event, StreamTap
from hybridproxy.dialects.translator import Asking, Problem
from hybridproxy.model.call import Call, Capability, Operation
from tests.support.bodies import JSON

CHAT, COMPLETION, EMBEDDING = Operation.CHAT, Operation.COMPLETION, Operation.EMBEDDING
HELLO: dict[str, Any] = {"model": "qwen3-235b", "messages": [{"role": "user", "content": "hi"}]}

# ---- requests --------------------------------------------------------------------------------------------------------


def decoded(body: dict[str, Any], operation: Operation = CHAT) -> Call:
    """The call that a body asks for."""
    return decode_request(operation, orjson.dumps(body))


def refused(data: bytes, operation: Operation = CHAT) -> RequestError:
    """Why a body is refused."""
    with pytest.raises(RequestError) as caught:
        decode_request(operation, data)
    return caught.value


def test_a_plain_chat_is_read_and_all_its_fields_are_kept() -> None:
    """What we do not reason about goes on untouched."""
    body = {**HELLO, "temperature": 0.7, "top_k": 20, "unknown": {"a": [1, None, True]}}
    data = orjson.dumps(body)
    assert decode_request(CHAT, data) == Call(CHAT, "qwen3-235b", False, False, 1, frozenset(), len(data), body)


def test_a_stream_says_whether_its_usage_is_wanted() -> None:
    """We always ask the upstream; the caller gets the event only if it asked too."""
    call = decoded({**HELLO, "stream": True, "stream_options": {"include_usage": True}, "n": 2})
    assert (call.stream, call.wants_usage, call.choices) == (True, True, 2)
    assert not decoded({**HELLO, "stream": True, "stream_options": {}}).wants_usage
    assert not decoded({**HELLO, "stream": None, "stream_options": None, "n": None}).stream


def test_embeddings_do_not_stream() -> None:
    """An embedding is one answer whatever the flag says."""
    assert not decoded({"model": "e", "input": "text", "stream": True}, EMBEDDING).stream


@pytest.mark.parametrize(
    ("extra", "needs"),
    [
        ({"tools": [{"type": "function"}]}, {Capability.TOOLS}),
        ({"functions": [{"name": "f"}]}, {Capability.TOOLS}),
        ({"response_format": {"type": "json_schema"}}, {Capability.JSON_SCHEMA}),
        ({"response_format": {"type": "json_object"}, "tools": []}, set()),
        ({"response_format": "json_schema"}, set()),
        ({"messages": [{"content": [{"type": "image_url", "image_url": {}}]}]}, {Capability.VISION}),
        ({"messages": [{"content": [{"type": "text", "text": "image_url"}, "image_url"]}]}, set()),
    ],
)
def test_what_a_call_needs_follows_from_its_body(extra: dict[str, Any], needs: set[Capability]) -> None:
    """A backend that lacks one of these cannot serve the call."""
    assert decoded({**HELLO, **extra}).needs == needs


@pytest.mark.parametrize(
    ("prompt", "choices"),
    [("one", 2), (["one"], 2), (["one", "two", "three"], 6), ([1, 2, 3], 2), ([[1], [2, 3]], 4)],
)
def test_each_prompt_of_a_completion_gets_its_own_answers(prompt: Any, choices: int) -> None:
    """Two answers to each of three prompts are six choices; a list of tokens is one prompt."""
    assert decoded({"model": "m", "prompt": prompt, "n": 2}, COMPLETION).choices == choices


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": HELLO["messages"]}, "model"),
        ({**HELLO, "model": ""}, "model"),
        ({**HELLO, "model": 5}, "model"),
        ({**HELLO, "model": "a" * 129}, "model"),
        ({**HELLO, "model": "qwen\n"}, "model"),
        ({**HELLO, "model": "../admin?x"}, "model"),
        ({**HELLO, "stream": "true"}, "stream"),
        ({**HELLO, "stream": 1}, "stream"),
        ({**HELLO, "stream_options": []}, "stream_options"),
        ({**HELLO, "stream_options": {"include_usage": 1}}, "include_usage"),
        ({**HELLO, "n": 0}, "n"),
        ({**HELLO, "n": MAX_CHOICES + 1}, "n"),
        ({**HELLO, "n": True}, "n"),
        ({**HELLO, "n": "2"}, "n"),
        ({**HELLO, "messages": []}, "messages"),
        ({**HELLO, "messages": "hi"}, "messages"),
        ({**HELLO, "messages": ["hi"]}, "messages"),
        ({**HELLO, "Model": "another"}, "Model"),
        ({**HELLO, "STREAM": True}, "STREAM"),
        ({**HELLO, "me\u017f\u017fages": []}, "me\u017f\u017fages"),
        ({**HELLO, "Provider": {}}, "Provider"),
        ({**HELLO, "API_BASE": "https://evil.example"}, "API_BASE"),
    ],
)
def test_a_field_that_cannot_be_served_is_named(body: dict[str, Any], param: str) -> None:
    """The caller learns which field is at fault; names in other letters are no way around the judgement."""
    assert refused(orjson.dumps(body)).param == param


@pytest.mark.parametrize(
    ("operation", "name", "given"),
    [(COMPLETION, "prompt", []), (COMPLETION, "prompt", None), (EMBEDDING, "input", 5), (EMBEDDING, "input", {})],
)
def test_an_input_that_is_no_text_and_no_list_is_refused(operation: Operation, name: str, given: Any) -> None:
    """Completions and embeddings need something to work on."""
    assert refused(orjson.dumps({"model": "m", name: given}), operation).param == name


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "invalid_json"),
        (b"[]", "invalid_json"),
        (b"null", "invalid_json"),
        (b'{"model":"a",}', "invalid_json"),
        (b'\xef\xbb\xbf{"model":"a"}', "invalid_json"),
        (b'{"model":"\xff"}', "invalid_json"),
        (b'{"model":"\\ud800"}', "invalid_json"),
        (b'{"a":NaN}', "invalid_json"),
        (b'{"a":' * 1000 + b"1" + b"}" * 1000, "too_complex"),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, "invalid_json"),
        (b'{"a":' + b"[" * 65 + b"]" * 65 + b"}", "too_complex"),
        (b'{"a":9007199254740993}', "number_too_large"),
        (b"[]" * 7_500_000, "too_complex"),
        (b"{" + b",".join(b'"k%d":1' % i for i in range(1_000_000)) + b"}", "too_complex"),
        (b"{" + b",".join(b'"k%d":1' % i for i in range(400_000)) + b"}", "too_complex"),
    ],
    ids=lambda value: repr(value[:16]),
)
def test_a_body_that_is_no_sound_object_is_refused_in_time(data: bytes, code: str) -> None:
    """Brackets, depth, keys, digits, damaged text: each a clear refusal, none a burden."""
    begun = time.thread_time()
    assert refused(data).code == code
    assert time.thread_time() - begun < 2.0  # 0.1 on a quiet machine that counts no coverage


def test_of_a_repeated_key_the_last_is_judged_and_kept() -> None:
    """Only our serialisation goes on, so there is nothing an upstream could read differently."""
    data = b'{"model":"free","mod\\u0065l":"dear","messages":[{"role":"user","content":"hi"}]}'
    call = decode_request(CHAT, data)
    assert call.model == "dear"
    assert orjson.dumps(call.body).count(b"model") == 1


def test_a_hundred_thousand_messages_are_served() -> None:
    """Large is not hostile."""
    begun = time.thread_time()
    call = decoded({**HELLO, "messages": HELLO["messages"] * 100_000})
    assert len(call.body["messages"]) == 100_000
    assert time.thread_time() - begun < 2.0  # 0.05 on a quiet machine that counts no coverage


@given(st.sampled_from(Operation), JSON.map(orjson.dumps) | st.binary())
def test_any_bytes_give_a_call_or_a_request_error(operation: Operation, data: bytes) -> None:
    """Nothing a client sends as a body can make decoding fail in another way."""
    try:
        call = decode_request(operation, data)
    except RequestError as error:
        assert error.message  # noqa: PT017 - either outcome is right
    else:
        assert orjson.loads(orjson.dumps(call.body)) == call.body


# ---- what the caller gets --------------------------------------------------------------------------------------------


def test_an_error_has_openais_shape() -> None:
    """SDKs read these four fields."""
    body = openai.encode_error(message="no", type_="invalid_request_error", code="bad", param="n")
    assert orjson.loads(body) == {
        "error": {"message": "no", "type": "invalid_request_error", "param": "n", "code": "bad"}
    }


def test_an_error_in_a_stream_is_an_event_that_our_own_tap_understands() -> None:
    """What we tell a caller of a broken stream is an error to any reader of the dialect, and no terminal marker."""
    sent = openai.stream_error(Problem(502, "cut", "upstream_error", "upstream_cut"))
    tap = StreamTap()
    assert tap.read(sent) is Event.ERROR
    assert tap.read(openai.DONE) is Event.DONE
    assert tap.error["error"]["code"] == "upstream_cut"


def test_models_are_listed_by_name() -> None:
    """The proxy knows no date of a model, so it says 0."""
    one = {"id": "qwen", "object": "model", "created": 0, "owned_by": "hybridproxy"}
    assert orjson.loads(openai.encode_models(["qwen"])) == {"object": "list", "data": [one]}
    assert orjson.loads(openai.encode_model("qwen")) == one


def test_the_row_decodes_what_its_paths_ask_for() -> None:
    """Under both roots: applications that were made for DashScope call the second."""
    assert openai.OPENAI.paths["/v1/embeddings"] == (EMBEDDING, "")
    assert openai.OPENAI.paths["/compatible-mode/v1/chat/completions"] == (CHAT, "")
    assert openai.OPENAI.decode(Asking(EMBEDDING), b'{"model":"m","input":"hi"}').operation is EMBEDDING
    assert openai.OPENAI.problem(Problem(400, "no", "t", "c"), "id")[0] == 400


@pytest.mark.parametrize(
    ("last", "more", "begins"),
    [
        ({"role": "assistant", "content": "Once", "partial": True}, {}, True),
        ({"role": "assistant", "content": "Once", "prefix": True}, {}, True),
        ({"role": "assistant", "content": "Once"}, {"continue_final_message": True}, True),
        ({"role": "assistant", "content": "Once", "partial": 1}, {"continue_final_message": None}, False),
        ({"role": "user", "content": "Once", "partial": True}, {"continue_final_message": True}, False),
    ],
)
def test_an_answer_may_be_begun_in_every_providers_spelling(
    last: dict[str, Any], more: dict[str, Any], begins: bool
) -> None:
    """Without a word about it a last message of the assistant's is a turn like others."""
    data = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "Tell"}, last], **more})
    assert decode_request(CHAT, data).begun is begins


@pytest.mark.parametrize("body", [{}, {"messages": []}, {"messages": "x"}, {"messages": ["x"]}])
def test_what_has_no_messages_begins_nothing(body: dict[str, Any]) -> None:
    """Also where nobody judged them."""
    assert not openai.begins(body)


def test_a_chat_that_names_a_file_is_known_as_one() -> None:
    """The file may be another tenant's."""
    part = {"type": "file", "file": {"file_id": "f"}}
    data = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": [part]}]})
    assert decode_request(CHAT, data).kept == "file_id"
