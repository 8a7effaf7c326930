"""What is read of upstreams' answers."""

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hybridproxy.dialects.tap import MAX_INDEX, Answer, Event, StreamTap, read_answer, without_usage
from hybridproxy.model.call import Operation
from hybridproxy.model.usage import NOTHING_SEEN, Seen, Usage
from tests.support.bodies import JSON

CHAT, COMPLETION, EMBEDDING = Operation.CHAT, Operation.COMPLETION, Operation.EMBEDDING

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


@pytest.mark.parametrize("nothing", [{"prompt_tokens": 0, "completion_tokens": 0}, {"prompt_tokens": -1}, {"x": 1}])
def test_a_report_that_says_nothing_hides_no_output(nothing: dict[str, int]) -> None:
    """What was seen can still be charged for, and what was reported before stays."""
    tap = StreamTap()
    tap.read(event(choice(content="one two three")))
    assert tap.read(event({"choices": [], "usage": nothing})) is Event.USAGE
    assert (tap.usage, tap.unreported) == (None, Seen(events=1, text=13))
    tap.read(event({**choice(content="four"), "usage": {"prompt_tokens": 3, "completion_tokens": 4}}))
    tap.read(event({"choices": [], "usage": nothing}))
    assert (tap.usage, tap.unreported) == (Usage(3, 4), NOTHING_SEEN)
    priced = StreamTap(cost="cost")
    priced.read(event({"choices": [], "usage": {**nothing, "cost": 0.5}}))
    assert priced.usage == Usage(0, 0, cost=500_000_000)


def test_thoughts_that_were_seen_and_not_reported_are_thoughts() -> None:
    """As of DashScope in Anthropic's dialect, where qwen-plus costs three times as much if it thinks."""
    usage = {"prompt_tokens": 3, "completion_tokens": 8}
    for thought, reasoning in (("hmhm", 4), ("h", 1), ("", 0)):
        tap = StreamTap()
        for data in (choice(reasoning_content=thought), choice(content="four"), {"choices": [], "usage": usage}):
            tap.read(event(data))
        assert tap.usage == Usage(3, 8, reasoning=reasoning)
        message = {"content": "four", "reasoning_content": thought}
        answer = read_answer(Operation.CHAT, {"choices": [{"message": message}], "usage": usage})
        assert answer is not None
        assert answer.usage == tap.usage
    told = {**usage, "completion_tokens_details": {"reasoning_tokens": 2}}
    answer = read_answer(Operation.CHAT, {"choices": [{"message": {"reasoning": "hm"}}, {"text": "x"}], "usage": told})
    assert answer is not None
    assert answer.usage == Usage(3, 8, reasoning=2)


def test_output_that_came_after_the_last_report_is_counted() -> None:
    """Pieces, characters, thoughts, and what has more bytes than characters: from that tokens can be estimated."""
    tap = StreamTap()
    for data in (
        choice(role="assistant"),
        choice(reasoning_content="hm 好"),
        choice(content="one "),
        choice(content="two"),
    ):
        tap.read(event(data))
    assert tap.unreported == Seen(events=3, text=11, wide=2, thought=4)
    tap.read(event(choice(content="三") | {"usage": {"prompt_tokens": 3, "completion_tokens": 6}}))
    assert tap.unreported == NOTHING_SEEN
    for data in (choice(content="好的"), {"choices": [{"index": 0, "text": "é"}]}, choice(tool_calls=[{"index": 0}])):
        tap.read(event(data))
    assert tap.unreported == Seen(events=3, text=3, wide=5)
    assert tap.usage == tap.usage == Usage(3, 6, reasoning=1)


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


@pytest.mark.parametrize(
    ("delta", "text", "wide"),
    [
        ({"tool_calls": [{"index": 0, "function": {"name": "find", "arguments": '{"city":"東京"}'}}]}, 17, 4),
        (
            {"tool_calls": [{"function": {"name": "a"}}, {"function": {"arguments": "{}"}}, None, {"function": []}]},
            3,
            0,
        ),
        ({"tool_calls": [{"type": "custom", "custom": {"name": "run", "input": "ls"}}]}, 5, 0),
        ({"function_call": {"name": "find", "arguments": None}}, 4, 0),
        ({"tool_calls": {"function": {"name": "find"}}, "content": "a"}, 1, 0),
    ],
)
def test_what_a_tool_is_called_with_is_output_that_somebody_charges_for(
    delta: dict[str, Any], text: int, wide: int
) -> None:
    """Some hosts send a whole call in one event: its tokens are estimated by its text, streaming or not."""
    tap = StreamTap()
    assert tap.read(event(choice(**delta))) is Event.OUTPUT
    assert tap.unreported == Seen(events=1, text=text, wide=wide)
    answer = read_answer(CHAT, {"choices": [{"message": delta}]})
    assert answer is not None
    assert answer.seen == Seen(text=text, wide=wide)


PIECES = st.none() | st.sampled_from(["", "a", "é你"])
CALLED = st.fixed_dictionaries({}, optional={"name": PIECES, "arguments": PIECES})
CALLS = st.lists(
    st.fixed_dictionaries({"index": st.integers(0, 1)}, optional={"function": CALLED | st.just(7)}), max_size=2
)
DELTAS = st.fixed_dictionaries(
    {},
    optional={"role": PIECES, "content": PIECES, "reasoning_content": PIECES, "refusal": PIECES, "tool_calls": CALLS},
)


MORE: dict[str, Any] = {"tool_calls": [{"index": 0, "function": {"arguments": "é"}}]}
TWO: dict[str, Any] = {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "a"}}]}


@given(st.lists(st.tuples(DELTAS, st.sampled_from([None, {"prompt_tokens": 3}])), max_size=5), st.booleans())
@example([(MORE, None), (TWO, None), ({"reasoning_content": "é"}, {"prompt_tokens": 3}), (MORE, None)], True)
@example([({"tool_calls": [{"function": {"name": "f"}}]}, None), ({"tool_calls": []}, None)], True)
def test_what_is_usual_is_read_as_everything_else_is(chunks: list[tuple[Any, Any]], keep: bool) -> None:
    """The short way, which nearly all chunks go, counts as the long one does."""
    short, long = StreamTap(keep=keep), StreamTap(keep=keep)
    for tap in (short, long):
        tap.read(event(choice(role="assistant")))
    for delta, usage in chunks:
        body = {**choice(**delta), "usage": usage}
        assert short.read(event(body)) is long._read_body(body)
    for name in ("events", "text", "called", "wide", "thought", "said", "reported", "unreported"):
        assert getattr(short, name) == getattr(long, name)
    assert not keep or short.plain == long.plain


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
    assert read_answer(CHAT, {**body, "usage": usage}) == Answer(Usage(1, 2, reasoning=1), 6)
    assert read_answer(CHAT, body) == Answer(None, 6, seen=Seen(text=6, thought=1))


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 0, "completion_tokens": 0}])
def test_a_whole_answer_that_nobody_counted_is_estimated_by_all_that_is_in_it(usage: Any) -> None:
    """Chinese has more tokens than characters of English; what was counted is not estimated besides."""
    message = {"content": "好的", "reasoning_content": "想一想", "refusal": "不"}
    body = {"choices": [{"message": message}, {"text": "é"}], "usage": usage}
    answer = read_answer(CHAT, body)
    assert answer is not None
    assert answer.seen == Seen(text=7, wide=13, thought=3)
    counted = read_answer(CHAT, body | {"usage": {"prompt_tokens": 1, "completion_tokens": 2}})
    assert counted is not None
    assert counted.seen == NOTHING_SEEN


def test_an_embedding_is_an_answer_without_choices() -> None:
    """It has data instead."""
    data = orjson.dumps({"data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 4}})
    assert read_answer(EMBEDDING, orjson.loads(data)) == Answer(Usage(4, 0), 0)
    assert read_answer(EMBEDDING, {"data": {}}) is None


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
    answer = read_answer(CHAT, body)
    assert answer is not None
    assert answer.error == error


@pytest.mark.parametrize("body", [None, "<html>", [], {}, {"choices": []}, {"choices": {}}, {"choices": [1]}])
def test_what_cannot_be_an_answer_is_none(body: Any) -> None:
    """A login page or an empty object with status 200 is not passed to the caller."""
    assert read_answer(CHAT, body) is None


def test_a_count_is_a_number_of_tokens() -> None:
    """Of an engine that counts a prompt's tokens without answering it."""
    assert read_answer(Operation.COUNT, {"input_tokens": 7}) == Answer(None, 0)
    assert read_answer(Operation.COUNT, {"input_tokens": "7"}) is None


@given(st.sampled_from(Operation), JSON)
def test_nothing_an_upstream_answers_makes_reading_raise(operation: Operation, body: Any) -> None:
    """Any JSON is an answer or none."""
    answer = read_answer(operation, body)
    assert answer is None or answer.text >= 0
