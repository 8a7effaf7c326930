"""Tests of the events at the seam of a stream that broke and goes on."""

from contextlib import suppress
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hybridproxy.dialects.overlap import ECHO, DiffersError
from hybridproxy.dialects.seam import Continuation, Repetition, Said, Seam, prefix, summed
from hybridproxy.dialects.sse import Splitter
from hybridproxy.model.usage import Usage

LONG = "The sea is wide, and "


def said(text: str, **fields: Any) -> Said:
    """What the caller has: this text, under the first part's names."""
    return Said("first", 1, "model-1", text, **fields)


def event(body: Any) -> bytes:
    """One event of the next part."""
    return b"data: " + orjson.dumps(body) + b"\n\n"


def chunk(content: Any = None, *, finish: Any = None, usage: Any = None, **delta: Any) -> bytes:
    """One chunk of a chat from the next backend."""
    fields = delta if content is None else {"content": content, **delta}
    choice = {"index": 0, "delta": fields, "finish_reason": finish}
    body = {"id": "second", "object": "chat.completion.chunk", "created": 2, "model": "model-2", "choices": [choice]}
    return event(body if usage is None else {**body, "usage": usage})


def written(text: str, **fields: Any) -> bytes:
    """One chunk of a text completion."""
    return event({"id": "second", "choices": [{"index": 0, "text": text, "finish_reason": None, **fields}]})


def body_of(data: bytes | None) -> dict[str, Any]:
    """The one event that passed."""
    assert data is not None
    (one,) = Splitter().feed(data)
    body: dict[str, Any] = orjson.loads(one[6:])
    return body


def choice_of(data: bytes | None) -> dict[str, Any]:
    """Its one choice."""
    (choice,) = body_of(data)["choices"]
    assert isinstance(choice, dict)
    return choice


def passed(seam: Seam, *events: bytes) -> list[dict[str, Any]]:
    """All that passes of a stream, with what is left at its end."""
    return [body_of(data) for data in (*map(seam.feed, events), seam.rest()) if data is not None]


def content(bodies: list[dict[str, Any]], name: str = "content") -> str:
    """The text the caller adds to what it has."""
    choices = [choice for body in bodies for choice in body["choices"]]
    return "".join(choice.get("delta", choice).get(name) or "" for choice in choices)


# ---- both ------------------------------------------------------------------------------------------------------------


def test_each_event_has_the_names_of_the_first_part() -> None:
    """One stream has one id, one time and one model; what else an event says stays."""
    body = body_of(Continuation(said("a")).feed(chunk("b", extra=1)))
    assert (body["id"], body["created"], body["model"]) == ("first", 1, "model-1")
    assert body["object"] == "chat.completion.chunk"
    assert body["choices"] == [{"index": 0, "delta": {"content": "b", "extra": 1}, "finish_reason": None}]


def test_names_that_the_first_part_did_not_have_stay_those_of_the_next() -> None:
    """There is nothing to put in their place."""
    body = body_of(Continuation(Said(None, None, None, "a")).feed(chunk("b")))
    assert (body["id"], body["created"], body["model"]) == ("second", 2, "model-2")


@pytest.mark.parametrize("kind", [Continuation, Repetition])
def test_comments_and_errors_pass_and_the_terminal_marker_does_not(kind: type[Seam]) -> None:
    """A comment keeps the caller's connection alive; our own marker stands at the end; an error is the relay's."""
    seam = kind(said(LONG))
    assert seam.feed(b":\n\n") == b":\n\n"
    assert seam.feed(b"data: [DONE]\n\n") is None
    assert seam.feed(b"data: [DONE] \n\n") is None
    error = event({"error": {"message": "m"}})
    assert seam.feed(error) is error


def test_what_is_no_object_passes_once_the_next_part_flows() -> None:
    """The reader of events judges it; before that it is not what the caller has."""
    assert Continuation(said("a")).feed(b"data: x\n\n") == b"data: x\n\n"
    assert Continuation(said("a")).feed(b"data: []\n\n") == b"data: []\n\n"
    assert Repetition(said("a")).feed(b"data: []\n\n") is None


@pytest.mark.parametrize("kind", [Continuation, Repetition])
def test_an_event_that_can_be_read_and_not_written_is_a_difference(kind: type[Seam]) -> None:
    """Nesting of a depth nobody means."""
    deep = b'data: {"choices":[],"x":' + b"[" * 300 + b"]" * 300 + b"}\n\n"
    with pytest.raises(DiffersError, match="nested too deeply"):
        kind(said("")).feed(deep)


def test_the_second_role_is_hidden() -> None:
    """Alone, with an empty text, or in every chunk."""
    seam = Continuation(said("a"))
    assert seam.feed(chunk(role="assistant")) is None
    assert seam.feed(chunk("", role="assistant", refusal=None)) is None
    assert choice_of(seam.feed(chunk("b", role="assistant")))["delta"] == {"content": "b"}


@pytest.mark.parametrize("kind", [Continuation, Repetition])
def test_a_caller_without_a_role_gets_it_with_the_first_text(kind: type[Seam]) -> None:
    """Once."""
    seam = kind(said(" ", role_sent=False))
    assert seam.feed(chunk(" ", role="assistant")) is None
    assert not seam.said(None).role_sent
    assert choice_of(seam.feed(chunk("b")))["delta"] == {"content": "b", "role": "assistant"}
    assert choice_of(seam.feed(chunk("c", role="assistant")))["delta"] == {"content": "c"}
    assert seam.said(None).role_sent


@pytest.mark.parametrize("kind", [Continuation, Repetition])
def test_usage_is_that_of_all_parts(kind: type[Seam]) -> None:
    """Also in the details, whether the next part has them or not; what else it reports is of that part alone."""
    before = Usage(10, 5, cached=4, reasoning=2)
    usage = {"prompt_tokens": 15, "completion_tokens": 7, "total_tokens": 22, "cost": 0.1}
    total = {"prompt_tokens": 25, "completion_tokens": 12, "total_tokens": 37, "cost": 0.1}
    seam = kind(said("", usage=before))
    last = {"id": "second", "choices": []}
    assert body_of(seam.feed(event({**last, "usage": usage})))["usage"] == {
        **total,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    details = {"prompt_tokens_details": {"cached_tokens": 1, "x": 1}, "completion_tokens_details": {}}
    assert body_of(seam.feed(event({**last, "usage": {**usage, **details}})))["usage"] == {
        **total,
        "prompt_tokens_details": {"cached_tokens": 5, "x": 1},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    seam = kind(said("", usage=Usage(10, 5)))
    assert body_of(seam.feed(event({**last, "usage": usage})))["usage"] == total
    assert body_of(kind(said("")).feed(event({**last, "usage": usage})))["usage"] == usage
    assert body_of(seam.feed(chunk("b", usage={})))["usage"] == {}


def test_usage_of_two_parts_is_one() -> None:
    """An unknown part counts for nothing."""
    assert summed(Usage(1, 2, 3, 4), Usage(10, 20, 30, 40)) == Usage(11, 22, 33, 44)
    assert summed(None, Usage(1, 2)) == summed(Usage(1, 2), None) == Usage(1, 2)
    assert summed(None, None) is None


def test_a_third_part_follows_the_second() -> None:
    """What the caller has is what was delivered: not what is held, not what was dropped."""
    second = Continuation(said(LONG, usage=Usage(10, 5)))
    assert second.feed(chunk(" and")) is not None
    assert content(passed(second, chunk(" deep "))) == " deep "
    third = second.said(Usage(15, 2))
    assert third == said(LONG + "and deep ", usage=Usage(25, 7))
    assert prefix(third) == "The sea is wide, and and deep"


# ---- continuation ----------------------------------------------------------------------------------------------------


def test_whitespace_at_the_seam_comes_once() -> None:
    """The request had none at its end, so it may come again, in deltas of its own."""
    seam = Continuation(said("one\n\n"))
    assert seam.feed(chunk("\n")) is None
    assert content(passed(seam, chunk("\n  "), chunk("two"))) == "  two"


def test_an_echo_is_dropped() -> None:
    """Nothing of it passes while it may still be one."""
    seam = Continuation(said(LONG))
    assert [seam.feed(chunk(text)) for text in ("The ", "sea is", " wide")] == [None] * 3
    assert choice_of(seam.feed(chunk(", and deep.")))["delta"]["content"] == "deep."


def test_what_was_held_passes_with_the_text_that_differs() -> None:
    """In its order."""
    seam = Continuation(said(LONG))
    assert seam.feed(chunk("The ")) is None
    assert choice_of(seam.feed(chunk("end")))["delta"] == {"content": "The end"}


@pytest.mark.parametrize("delta", [{}, {"content": ""}, {"content": None}, None, [], "x"])
def test_what_is_held_passes_with_the_finish_reason(delta: Any) -> None:
    """Nothing comes after it."""
    seam = Continuation(said(LONG))
    assert seam.feed(chunk("The ")) is None
    choice = {"index": 0, "delta": delta, "finish_reason": "stop"}
    assert choice_of(seam.feed(event({"choices": [choice]}))) == {**choice, "delta": {"content": "The "}}
    assert seam.rest() is None


def test_what_is_held_at_the_end_is_an_event_of_its_own() -> None:
    """With the names of the first part, and the role if the caller has none."""
    seam = Continuation(said(LONG, role_sent=False))
    assert seam.feed(chunk("The ", role="assistant")) is None
    delta = {"content": "The ", "role": "assistant"}
    assert body_of(seam.rest()) == {
        "id": "first",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "model-1",
        "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
    }
    assert seam.said(None).text == LONG + "The "
    assert seam.rest() is None


def test_a_finish_reason_alone_passes() -> None:
    """It is what tells the caller that the answer is whole; DashScope's word for none is none."""
    seam = Continuation(said(LONG))
    assert seam.feed(chunk("The", finish="null")) is not None
    assert seam.said(None).text == LONG
    assert choice_of(seam.feed(chunk(" end", finish="stop")))["finish_reason"] == "stop"
    assert choice_of(seam.feed(chunk(finish="stop")))["delta"] == {}


def test_usage_with_a_chunk_passes_though_its_text_does_not() -> None:
    """A server may report it with each chunk."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    body = body_of(Continuation(said(LONG)).feed(chunk("The", usage=usage)))
    assert (body["choices"][0]["delta"], body["usage"]) == ({"content": ""}, usage)


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "Hm"},
        {"reasoning": "Hm"},
        {"reasoning": ["Hm"]},
        {"reasoning_details": [{"type": "reasoning.encrypted"}]},
        {"tool_calls": [{"index": 0}]},
        {"function_call": {"name": "f"}},
        {"audio": {"id": "a"}},
    ],
)
def test_only_text_can_go_on(delta: dict[str, Any]) -> None:
    """A backend that thinks first, or calls a tool, does not continue a sentence."""
    with pytest.raises(DiffersError):
        Continuation(said("a")).feed(chunk(**delta))


def test_an_empty_thought_is_none() -> None:
    """Templates leave one when thinking is off."""
    seam = Continuation(said("a"))
    assert seam.feed(chunk(reasoning_content="\n\n", reasoning="", tool_calls=[])) is None
    assert choice_of(seam.feed(chunk("b", reasoning="\n")))["delta"] == {"content": "b"}


def test_what_is_not_understood_passes() -> None:
    """Under the first part's names."""
    seam = Continuation(said("a"))
    for fields in ({"choices": "x"}, {"choices": ["x"]}, {"x": 1}, {"choices": [{"delta": "x"}]}, {"usage": [1]}):
        assert body_of(seam.feed(event(fields))) == {**fields, "id": "first", "created": 1, "model": "model-1"}
    assert choice_of(seam.feed(chunk(["x"])))["delta"] == {"content": ["x"]}
    assert seam.feed(event({"choices": [{}]})) is None


# Few letters and much whitespace, so that texts repeat themselves and cuts fall beside whitespace.
TEXTS = st.text("ab \n", max_size=60) | st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
CUTS = st.lists(st.integers(0, 80), max_size=8)
FINISHES = st.sampled_from(["with the last text", "alone", "never"])


def chunks(text: str, cuts: list[int], finish: str) -> list[bytes]:
    """A whole stream: a role, the text in pieces, a finish reason, the usage and the terminal marker."""
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    *pieces, last = [text[a:b] for a, b in pairwise(places)]
    return [
        chunk("", role="assistant"),
        *map(chunk, pieces),
        *([chunk(last, finish="stop")] if finish == "with the last text" else [chunk(last)]),
        *([chunk(finish="stop")] if finish == "alone" else []),
        event({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}),
        b"data: [DONE]\n\n",
    ]


@given(TEXTS, st.integers(0, 60), CUTS, FINISHES, st.booleans(), st.booleans())
def test_a_continued_stream_has_the_full_text(
    full: str, cut: int, cuts: list[int], finish: str, again: bool, echoes: bool
) -> None:
    """Wherever it broke, however it goes on: whitespace that comes again or not, an echo or not."""
    first = said(full[:cut])
    begun = prefix(first)
    rest = full[len(begun) :] if again else full[cut:]
    if not again and first.text != begun:  # the same whitespace could not be told from what comes again
        assume(rest[:1] != first.text[len(begun)])
    pattern = any(begun.startswith(begun[p:]) for p in range(1, len(begun) // 2 + 1))
    if echoes:
        assume(len(begun) >= ECHO and not pattern)
        rest = begun + rest
    else:  # an honest copy of the whole beginning, right at the cut: what the length makes unlikely
        assume(len(begun) < ECHO or pattern or not rest.startswith(begun))
    seam = Continuation(first)
    bodies = passed(seam, *chunks(rest, cuts, finish))
    assert first.text + content(bodies) == seam.said(None).text == full
    assert all((body["id"], body["created"], body["model"]) == ("first", 1, "model-1") for body in bodies)
    assert not any("role" in choice["delta"] for body in bodies for choice in body["choices"])
    finishes = [choice["finish_reason"] for body in bodies for choice in body["choices"] if choice["finish_reason"]]
    assert finishes == ([] if finish == "never" else ["stop"])


# ---- repetition ------------------------------------------------------------------------------------------------------


@given(TEXTS, st.integers(0, 60), CUTS, FINISHES)
def test_a_repeated_stream_passes_exactly_the_rest(full: str, cut: int, cuts: list[int], finish: str) -> None:
    """Wherever it broke, however the second one is cut."""
    seam = Repetition(said(full[:cut]))
    bodies = passed(seam, *chunks(full, cuts, finish))
    assert content(bodies) == full[cut:]
    assert (seam.caught_up, seam.said(None).text) == (True, full)
    assert bodies[-1]["usage"]["total_tokens"] == 2


@given(TEXTS, st.integers(0, 60), CUTS)
def test_a_repeated_completion_passes_exactly_the_rest(full: str, cut: int, cuts: list[int]) -> None:
    """A text completion has its text in the choice itself."""
    places = [0, *sorted(min(cut, len(full)) for cut in cuts), len(full)]
    seam = Repetition(said(full[:cut]))
    bodies = passed(seam, *(written(full[a:b]) for a, b in pairwise(places)), written("", finish_reason="stop"))
    assert content(bodies, "text") == full[cut:]
    assert bodies[-1]["choices"][0]["finish_reason"] == "stop"


@given(TEXTS, TEXTS, CUTS)
def test_another_text_is_a_difference_and_nothing_of_it_passes(first: str, second: str, cuts: list[int]) -> None:
    """However little it differs, or if it only ends too soon."""
    assume(not second.startswith(first))
    seam = Repetition(said(first))
    out: list[bytes | None] = []
    with pytest.raises(DiffersError):
        out += [seam.feed(event) for event in chunks(second, cuts, "alone")]
    assert not any(out)
    assert not seam.caught_up


def test_the_event_that_goes_beyond_is_cut() -> None:
    """Before it nothing passes but comments; after it all does."""
    seam = Repetition(said("one two"))
    assert [seam.feed(chunk(role="assistant")), seam.feed(chunk("one")), seam.caught_up] == [None, None, False]
    assert choice_of(seam.feed(chunk(" two three")))["delta"] == {"content": " three"}
    assert seam.caught_up
    assert choice_of(seam.feed(chunk("one", tool_calls=[1])))["delta"] == {"content": "one", "tool_calls": [1]}


def test_an_event_that_ends_where_the_caller_stands_has_nothing_left() -> None:
    """Unless it has a finish reason."""
    assert Repetition(said("one")).feed(chunk("one")) is None
    choice = choice_of(Repetition(said("one")).feed(chunk("one", finish="stop")))
    assert (choice["delta"], choice["finish_reason"]) == ({"content": ""}, "stop")


@pytest.mark.parametrize(
    "delta",
    [{"content": ["a"]}, {"content": {"a": 1}}, {"reasoning": 5}, {"tool_calls": [1]}, {"refusal": "no"}],
)
def test_what_is_no_text_is_a_difference(delta: dict[str, Any]) -> None:
    """The caller has text and nothing else."""
    with pytest.raises(DiffersError, match="not text"):
        Repetition(said("a")).feed(chunk(**delta))


def test_an_end_too_soon_is_a_difference() -> None:
    """With its finish reason, or without one."""
    seam = Repetition(said("one two"))
    with pytest.raises(DiffersError, match="ended before"):
        seam.feed(chunk("one", finish="length"))
    with pytest.raises(DiffersError, match="ended before"):
        seam.rest()


def test_an_end_once_all_was_repeated_leaves_nothing_held() -> None:
    """What went on from there has passed already."""
    seam = Repetition(said("one two"))
    assert seam.feed(chunk("one two three")) is not None
    assert seam.rest() is None


def test_reasoning_that_the_caller_has_is_reproduced_too() -> None:
    """In either spelling, or in both at once; what of it cannot be cut is left out."""
    seam = Repetition(said("one", reasoning="Hm, well"))
    assert seam.feed(chunk(reasoning="Hm", reasoning_details=[{"text": "Hm"}])) is None
    assert seam.feed(chunk(reasoning_content=", well", reasoning=", well")) is None
    assert choice_of(seam.feed(chunk("one two")))["delta"] == {"content": " two"}

    seam = Repetition(said("", reasoning="Hm"))
    thought = {"reasoning_content": "Hm, well", "reasoning": "Hm, well", "reasoning_details": [1]}
    delta = {"reasoning_content": ", well", "reasoning": ", well"}
    assert choice_of(seam.feed(chunk(**thought)))["delta"] == delta
    assert choice_of(seam.feed(chunk(reasoning=".")))["delta"] == {"reasoning": "."}
    assert seam.said(None) == said("", reasoning="Hm, well.")


def test_thinking_longer_than_before_is_a_difference() -> None:
    """The caller has text that came after the thought."""
    seam = Repetition(said("one", reasoning="Hm"))
    with pytest.raises(DiffersError, match="another order"):
        seam.feed(chunk(reasoning="Hm, well"))


# ---- whatever an upstream sends --------------------------------------------------------------------------------------

FIELDS = "content role reasoning reasoning_content refusal tool_calls reasoning_details x"
COUNTS = "prompt_tokens completion_tokens cached_tokens prompt_tokens_details"
NAMES = st.sampled_from([*FIELDS.split(), *COUNTS.split()])
ATOMS = st.none() | st.booleans() | st.integers(-1, 2**64 - 1) | st.sampled_from(["", "a", "ab ", "null", "\n", "stop"])
VALUES = st.recursive(ATOMS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=4))
DELTAS = st.dictionaries(NAMES, ATOMS | VALUES, max_size=4) | VALUES
CHOICES = st.lists(
    st.fixed_dictionaries({}, optional={"index": VALUES, "delta": DELTAS, "text": VALUES, "finish_reason": VALUES})
    | VALUES,
    max_size=3,
)
BODIES = st.fixed_dictionaries(
    {}, optional={"id": VALUES, "created": VALUES, "choices": CHOICES | VALUES, "usage": DELTAS, "error": VALUES}
)
EVENTS = st.lists((BODIES | VALUES).map(event) | st.binary(max_size=8).map(lambda data: b"data: " + data + b"\n\n"))


@given(EVENTS, st.sampled_from([Continuation, Repetition]), st.sampled_from(["", "a", "ab ", LONG]))
def test_whatever_comes_only_a_difference_is_raised(events: list[bytes], kind: type[Seam], text: str) -> None:
    """Wrong types and missing fields are no reason to break off in another way."""
    seam = kind(said(text, usage=Usage(1, 2, 3, 4), role_sent=False))
    with suppress(DiffersError):
        for given_event in events:
            out = seam.feed(given_event)
            assert out is None or (out.startswith(b"data: ") and out.endswith(b"\n\n"))
        seam.rest()
    assert seam.said(Usage(1, 1)).text.startswith(text)
