"""Tests of OpenAI's dialect."""

import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects import openai
from hybridproxy.dialects.openai import (
    MAX_CHOICES,
    MAX_INDEX,
    Answer,
    Event,
    RequestError,
    StreamTap,
    decode_request,
    read_answer,
    without_usage,
)
from hybridproxy.model.call import Call, Capability, Operation
from hybridproxy.model.usage import Usage

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
    assert time.thread_time() - begun < 0.5


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
    assert time.thread_time() - begun < 1.0


NAMES = st.sampled_from(
    [
        "model",
        "messages",
        "prompt",
        "input",
        "stream",
        "n",
        "stream_options",
        "include_usage",
        "tools",
        "content",
        "type",
        "response_format",
        "choices",
        "delta",
        "index",
        "finish_reason",
        "error",
        "usage",
        "message",
        "text",
        "code",
        "object",
        "reasoning",
        "tool_calls",
        "data",
        "prompt_tokens",
        "refusal",
    ]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
    | st.sampled_from(["error", "stop", "null", "abort", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=5),
    max_leaves=12,
)


@given(st.sampled_from(Operation), JSON.map(orjson.dumps) | st.binary())
def test_any_bytes_give_a_call_or_a_request_error(operation: Operation, data: bytes) -> None:
    """Nothing a client sends as a body can make decoding fail in another way."""
    try:
        call = decode_request(operation, data)
    except RequestError as error:
        assert error.message  # noqa: PT017 - either outcome is right
    else:
        assert orjson.loads(orjson.dumps(call.body)) == call.body


# ---- streams ---------------------------------------------------------------------------------------------------------


def event(body: Any) -> bytes:
    """An event as the splitter gives it."""
    return b"data: " + orjson.dumps(body) + b"\n\n"


def choice(index: int = 0, finish: Any = None, **delta: Any) -> dict[str, Any]:
    """A chunk with one choice."""
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def test_a_stream_is_read_from_its_role_to_its_end() -> None:
    """The role is no output, text is, the finish reason completes it, usage comes last, the marker proves nothing."""
    tap = StreamTap()
    assert tap.read(event(choice(role="assistant", content=""))) is Event.QUIET
    assert tap.read(event(choice(content="Grüße"))) is Event.OUTPUT
    assert not tap.finished
    assert tap.read(event(choice(finish="stop"))) is Event.OUTPUT
    assert tap.finished
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    assert tap.read(event(usage)) is Event.USAGE
    assert tap.read(b"data: [DONE]\n\n") is Event.DONE
    assert (tap.text, tap.usage, tap.error) == (5, Usage(3, 2), None)


@pytest.mark.parametrize(
    ("delta", "text"),
    [
        ({"content": "ab"}, 2),
        ({"reasoning_content": "abc", "content": ""}, 3),
        ({"reasoning": "abc", "content": None}, 3),
        ({"reasoning": "abc", "reasoning_content": "abc"}, 3),
        ({"refusal": "no"}, 2),
        ({"content": "a", "reasoning": "b", "refusal": "c"}, 3),
        ({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}, 0),
        ({"function_call": {"name": "f"}}, 0),
        ({"audio": {"data": "AAAA"}}, 0),
        ({"reasoning_details": [{"type": "reasoning.encrypted"}], "content": ""}, 0),
        ({"content": [{"type": "text", "text": "a"}]}, 0),
    ],
)
def test_content_reasoning_refusal_and_tools_are_output(delta: dict[str, Any], text: int) -> None:
    """Any of these commits a stream; characters are counted once even where reasoning comes under two names."""
    tap = StreamTap()
    assert tap.read(event(choice(**delta))) is Event.OUTPUT
    assert tap.text == text


@pytest.mark.parametrize(
    "delta",
    [
        {},
        {"role": "assistant"},
        {"content": ""},
        {"content": None, "tool_calls": []},
        {"tool_calls": None, "audio": {}},
    ],
)
def test_an_empty_delta_is_no_output(delta: dict[str, Any]) -> None:
    """A backend that sent no more than this can still be left for another."""
    assert StreamTap().read(event(choice(**delta))) is Event.QUIET
    begun = StreamTap()
    assert begun.read(event(choice(content="a"))) is Event.OUTPUT
    assert begun.read(event(choice(**delta))) is Event.QUIET
    assert begun.text == 1


def test_a_legacy_completion_streams_text_without_delta() -> None:
    """`/v1/completions` has its text in the choice itself."""
    tap = StreamTap()
    assert tap.read(event({"choices": [{"index": 0, "text": "", "finish_reason": None}]})) is Event.QUIET
    assert tap.read(event({"choices": [{"text": "abc", "finish_reason": None}]})) is Event.OUTPUT
    assert tap.read(event({"choices": [{"text": "d", "finish_reason": "length"}]})) is Event.OUTPUT
    assert (tap.text, tap.finished) == (4, True)


def test_a_stream_is_finished_when_every_choice_that_was_asked_for_is() -> None:
    """Two answers were asked for: one alone is not the whole, nor is a second that was only begun."""
    unasked = StreamTap()
    unasked.read(event({"choices": [*choice(0, "stop")["choices"], *choice(1, content="b")["choices"]]}))
    assert not unasked.finished
    tap = StreamTap(choices=2)
    tap.read(event(choice(0, content="a")))
    tap.read(event(choice(0, "stop")))
    assert not tap.finished
    tap.read(event(choice(1, content="b")))
    assert not tap.finished
    tap.read(event(choice(1, "length")))
    assert tap.finished
    tap.read(event(choice(0, content="late")))
    assert tap.finished


@pytest.mark.parametrize("reason", ["null", "", None])
def test_a_word_for_nothing_finishes_nothing(reason: str | None) -> None:
    """A stream that was cut after such a chunk must not look complete."""
    tap = StreamTap()
    assert tap.read(event(choice(finish=reason, content="a"))) is Event.OUTPUT
    assert tap.read(event({"choices": [{"finish_reason": reason, "error": None}]})) is Event.QUIET
    assert not tap.finished
    tap.read(event(choice(finish="stop")))
    tap.read(event({"choices": [{"finish_reason": reason, "error": None}]}))
    assert tap.finished


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "boom"}},
        {"error": "boom"},
        {"error": {"code": 502}, "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]},
        {"object": "error", "message": "boom", "code": 503},
        {"code": "InternalError", "message": "boom", "request_id": "r"},
        {"message": "boom"},
        {"detail": "boom"},
    ],
)
def test_an_error_in_the_stream_is_kept_for_the_fault(body: dict[str, Any]) -> None:
    """Each provider's shape of an error event is seen, and `[DONE]` after it heals nothing."""
    tap = StreamTap()
    assert tap.read(event(body)) is Event.ERROR
    assert tap.error == body
    assert tap.read(b"data: [DONE]\n\n") is Event.DONE
    assert not tap.finished


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"finish_reason": "error"}, {"error": {"message": "the answer ended with 'error'"}}),
        ({"finish_reason": "abort"}, {"error": {"message": "the answer ended with 'abort'"}}),
        ({"finish_reason": "error", "error": {"code": 429}}, {"error": {"code": 429}}),
        ({"finish_reason": None, "error": {"code": 502}}, {"error": {"code": 502}}),
    ],
)
def test_a_choice_that_ends_with_an_error_is_one(given: dict[str, Any], error: Any) -> None:
    """`error` and `abort` are no finish reasons but faults."""
    tap = StreamTap()
    assert tap.read(event({"choices": [given]})) is Event.ERROR
    assert tap.error == error
    assert not tap.finished
    assert StreamTap().read(event({"choices": [*choice(1, content="a")["choices"], given]})) is Event.ERROR


@pytest.mark.parametrize(
    "damaged",
    [
        b"data: {\n\n",
        b"data: \n\n",
        b"data: 5\n\n",
        b"data: [1]\n\n",
        b"data: [DONE\n\n",
        b'data: {"choices":\ndata: }\n\n',
        b"data: [\ndata: ]\n\n",
        event({"choices": "x"}),
        event({"choices": ["x"]}),
        event({"choices": [{"index": "0"}]}),
        event({"choices": [{"index": -1}]}),
        event({"choices": [{"index": MAX_INDEX}]}),
        event({"choices": [{"index": True}]}),
        event({"choices": [{"finish_reason": 5}]}),
        event({"choices": [{"finish_reason": {}}]}),
    ],
)
def test_an_event_that_cannot_be_decoded_is_garbled(damaged: bytes) -> None:
    """Text may be missing, so the stream must not go on as if nothing had happened."""
    assert StreamTap().read(damaged) is Event.GARBLED


def test_json_over_several_data_lines_is_one_event() -> None:
    """The standard joins them with line ends, which JSON takes for blanks."""
    tap = StreamTap()
    assert tap.read(b'data: {"choices":[{"delta":\ndata: {"content":"abc"}}]}\n\n') is Event.OUTPUT
    assert tap.text == 3


@pytest.mark.parametrize(
    "quiet",
    [b": OPENROUTER PROCESSING\n\n", b': OPEN{"error":"x"}\n\n', event({}), event({"choices": None, "usage": None})],
)
def test_comments_and_empty_events_are_quiet(quiet: bytes) -> None:
    """They pass, and mean nothing; not even a comment that looks like an error."""
    assert StreamTap().read(quiet) is Event.QUIET


def test_the_last_usable_report_of_usage_stays() -> None:
    """VLLM can report with every chunk; a damaged report does not wipe out a good one."""
    tap = StreamTap()
    tap.read(event({**choice(content="a"), "usage": {"prompt_tokens": 3, "completion_tokens": 1}}))
    tap.read(event({**choice(content="b"), "usage": {"prompt_tokens": 3, "completion_tokens": 2}}))
    assert tap.read(event({"usage": "lots"})) is Event.USAGE
    assert tap.usage == Usage(3, 2)


@given(st.lists(JSON.map(event) | JSON.map(lambda v: event({"choices": v})) | st.binary(max_size=30), max_size=6))
def test_nothing_an_upstream_sends_makes_the_tap_raise(events: list[bytes]) -> None:
    """Any JSON value and any bytes as an event have a meaning, and characters only ever grow."""
    tap = StreamTap()
    before = 0
    for one in events:
        assert isinstance(tap.read(one), Event)
        assert tap.text >= before
        before = tap.text


# ---- whole answers ---------------------------------------------------------------------------------------------------


def test_what_the_caller_has_is_kept_where_the_stream_may_have_to_go_on() -> None:
    """The pieces of text and the names of the first chunk; without the wish nothing is kept."""
    tap, plain = StreamTap(keep=True), StreamTap()
    named = {"id": "chatcmpl-1", "created": 7, "model": "qwen"}
    for body in (
        {**named, **choice(role="assistant", content="")},
        {**named, **choice(content="Hel")},
        {**named, **choice(content="lo")},
        {**named, **choice(content="!"), "usage": {"prompt_tokens": 1, "completion_tokens": 3}},
    ):
        tap.read(event(body))
        plain.read(event(body))
    assert (tap.said, tap.plain) == (["Hel", "lo", "!"], True)
    assert tap.head is not None
    assert {name: tap.head[name] for name in named} == named
    assert (plain.said, plain.head) == (None, None)


def test_a_completions_text_is_kept_too() -> None:
    """The older form has no delta."""
    tap = StreamTap(keep=True)
    tap.read(event({"choices": [{"index": 0, "text": "Hel", "finish_reason": None}]}))
    assert (tap.said, tap.plain) == (["Hel"], True)


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "hm"},
        {"content": "a", "reasoning": "hm"},
        {"tool_calls": [{"index": 0}]},
        {"content": "a", "tool_calls": [{"index": 0}]},
        {"content": "a", "reasoning_details": [{"type": "reasoning.encrypted"}]},
        {"content": [{"type": "text", "text": "a"}]},
        {"refusal": "no"},
    ],
    ids="+".join,
)
def test_output_beside_text_cannot_be_gone_on_with(delta: dict[str, Any]) -> None:
    """A thought, a tool call, a refusal: whoever would have to continue could not."""
    tap = StreamTap(keep=True)
    tap.read(event(choice(**delta)))
    assert not tap.plain


def test_empty_fields_beside_text_are_no_output() -> None:
    """Servers send `tool_calls: null` and the like with each piece of text."""
    tap = StreamTap(keep=True)
    tap.read(event(choice(content="a", tool_calls=None, refusal=None, reasoning_details=[])))
    tap.read(event(choice(content="b", tool_calls=[], reasoning="")))
    assert (tap.said, tap.plain) == (["a", "b"], True)


def test_usage_that_we_asked_for_in_each_chunk_is_taken_out() -> None:
    """Nobody else asked for it; whatever is no chunk with choices passes as it came."""
    with_usage = event({**choice(content="a"), "usage": {"prompt_tokens": 1}})
    assert orjson.loads(without_usage(with_usage)[6:]) == choice(content="a")
    for other in (
        event(choice(content="a")),
        event({"choices": [], "usage": {"prompt_tokens": 1}}),
        b": comment\n\n",
        b"data: [1]\n\n",
    ):
        assert without_usage(other) == other


def test_what_cannot_be_written_again_passes_as_it_came() -> None:
    """Orjson reads deeper nesting than it writes."""
    deep = b'data: {"usage":{"a":1},"choices":[' + b"[" * 300 + b"]" * 300 + b"]}\n\n"
    assert without_usage(deep) == deep


def test_a_whole_answer_tells_its_tokens_and_characters() -> None:
    """Content, reasoning and refusal count as in a stream; so does the text of a legacy completion."""
    body = {"choices": [{"message": {"content": "ab", "reasoning": "c"}}, {"text": "def"}, {"message": None}]}
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    assert read_answer(CHAT, orjson.dumps({**body, "usage": usage})) == Answer(Usage(1, 2), 6)
    assert read_answer(CHAT, b"\n\n \n" + orjson.dumps(body)) == Answer(None, 6)


def test_an_embedding_is_an_answer_without_choices() -> None:
    """It has data instead."""
    data = orjson.dumps({"data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 4}})
    assert read_answer(EMBEDDING, data) == Answer(Usage(4, 0), 0)
    assert read_answer(EMBEDDING, b'{"data":{}}') is None


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"error": {"code": 502}}, {"error": {"code": 502}}),
        ({"code": "Throttling", "message": "m"}, {"code": "Throttling", "message": "m"}),
        ({"choices": [{"finish_reason": "error"}]}, {"error": {"message": "the answer ended with 'error'"}}),
        ({"choices": [{"text": "a"}, {"error": {"code": 429}}]}, {"error": {"code": 429}}),
    ],
)
def test_an_error_inside_a_200_is_seen(body: dict[str, Any], error: Any) -> None:
    """HTTP's status is not the last word."""
    answer = read_answer(CHAT, orjson.dumps(body))
    assert answer is not None
    assert answer.error == error


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"[]", b"{}", b'{"choices":[]}', b'{"choices":{}}', b'{"choices":[1]}']
)
def test_what_cannot_be_an_answer_is_none(data: bytes) -> None:
    """A login page or an empty object with status 200 is not passed to the caller."""
    assert read_answer(CHAT, data) is None


@given(st.sampled_from(Operation), JSON.map(orjson.dumps) | st.binary())
def test_nothing_an_upstream_answers_makes_reading_raise(operation: Operation, data: bytes) -> None:
    """Any bytes are an answer or none."""
    answer = read_answer(operation, data)
    assert answer is None or answer.text >= 0


# ---- what the caller gets --------------------------------------------------------------------------------------------


def test_an_error_has_openais_shape() -> None:
    """SDKs read these four fields."""
    body = openai.encode_error(message="no", type_="invalid_request_error", code="bad", param="n")
    assert orjson.loads(body) == {
        "error": {"message": "no", "type": "invalid_request_error", "param": "n", "code": "bad"}
    }


def test_an_error_in_a_stream_is_an_event_that_our_own_tap_understands() -> None:
    """What we tell a caller of a broken stream is an error to any reader of the dialect, and no terminal marker."""
    sent = openai.encode_stream_error(message="cut", type_="upstream_error", code="upstream_cut")
    tap = StreamTap()
    assert tap.read(sent) is Event.ERROR
    assert tap.read(openai.DONE) is Event.DONE
    assert tap.error["error"]["code"] == "upstream_cut"


def test_models_are_listed_by_name() -> None:
    """The proxy knows no date of a model, so it says 0."""
    one = {"id": "qwen", "object": "model", "created": 0, "owned_by": "hybridproxy"}
    assert orjson.loads(openai.encode_models(["qwen"])) == {"object": "list", "data": [one]}
    assert orjson.loads(openai.encode_model("qwen")) == one
