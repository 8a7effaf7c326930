"""Every provider of the table against transcripts of its answers. A new row is tested without new test code."""

import re
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import orjson
import pytest

from hybridproxy.dialects import TRANSLATORS
from hybridproxy.dialects.sse import Splitter, data_of
from hybridproxy.dialects.tap import Event, StreamTap, read_answer
from hybridproxy.dialects.translator import Reading, Translator
from hybridproxy.dialects.unify import Unifier, needles
from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.model.usage import Usage
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule, classify, read_error
from hybridproxy.providers.provider import CONTROL_FIELDS
from tests.support.wire import WIRE, Transcript, transcripts

ALWAYS = {"ok", "stream", "stream_tools_parallel", "401", "midstream_error"}
BUSY = {"429", "503"}
NEVER = {"tensorrt-llm": {"401", "midstream_error", *BUSY}}
"""It has no keys and no limit of its queue, and a stream that fails is cut without a word."""
SILENT = {"openai", "bedrock", "gemini", "portkey"}
"""Whose answers have nothing of what the model thought, or nobody says where."""
UNMARKED = {"dashscope-native"}
"""Whose streams end with a finish reason and nothing behind it."""
CLASSES = {
    "key": {"CREDENTIAL"},
    "busy": {"THROTTLED", "OVERLOADED"},
    "caller": {"INVALID_REQUEST"},
    "long": {"CONTEXT_TOO_LONG"},
    "model": {"NOT_FOUND"},
    "broken": {"UPSTREAM_ERROR", "OVERLOADED"},
}
UNKNOWN = {
    "tensorrt-llm": {"key", "busy", "long", "model", "broken"},  # whatever is wrong is a 400 without a name
    "tokenmix": {"long"},
    "portkey": {"long"},  # the words of whoever is behind it
}
ALL = [(name, transcript) for name in PROVIDERS for transcript in transcripts(name).values()]
BLOCKS = (1, 7, 64, 1 << 16)


def cases(wanted: list[tuple[str, Transcript]]) -> pytest.MarkDecorator:
    """One test a transcript, named provider/file."""
    return pytest.mark.parametrize(("name", "answer"), wanted, ids=[f"{n}/{t.name}" for n, t in wanted])


def translator_of(name: str) -> Translator:
    """The dialect that a provider is asked in where the caller's is not its own."""
    row = PROVIDERS[name]
    return TRANSLATORS[Dialect.OPENAI if row.paths else next(iter(row.wires))]


def decoder_of(name: str) -> Callable[[bytes], Sequence[bytes]]:
    """What makes chunks in OpenAI's words of a provider's events."""
    decoder = translator_of(name).decoder
    return Unifier(PROVIDERS[name]).feed if decoder is None else decoder(Reading("qwen", 0)).feed


def read(name: str, answer: Transcript, block: int = 1 << 16) -> tuple[StreamTap, list[Event], list[bytes]]:
    """Read a stream in blocks of so many bytes, in the callers' words, to its end or its first error."""
    splitter, tap, feed = Splitter(whole=translator_of(name).whole_events), StreamTap(), decoder_of(name)
    kinds: list[Event] = []
    events: list[bytes] = []
    for start in range(0, len(answer.body), block):
        for event in chain.from_iterable(map(feed, splitter.feed(answer.body[start : start + block]))):
            kinds.append(tap.read(event))
            events.append(event)
            if kinds[-1] in {Event.ERROR, Event.GARBLED}:
                return tap, kinds, events
    assert splitter.rest == b""
    return tap, kinds, events


def form_of(name: str, answer: Transcript) -> Any:
    """A whole answer in OpenAI's form."""
    translate, body = translator_of(name).answer, answer.json()
    if translate is not None:
        return translate(Operation.CHAT, body)
    Unifier(PROVIDERS[name]).whole(body)
    return body


def error_of(name: str, answer: Transcript) -> tuple[int, object]:
    """The status and the body that say what went wrong, wherever in the answer they are."""
    if answer.status != 200:
        return answer.status, answer.json()
    if answer.streams:
        return 200, read(name, answer)[0].error
    whole = read_answer(Operation.CHAT, form_of(name, answer))
    return 200, None if whole is None else whole.error


def fault_of(name: str, answer: Transcript) -> Fault:
    """The fault that the provider's table makes of it."""
    status, body = error_of(name, answer)
    wait = answer.headers.get("retry-after")
    return classify(PROVIDERS[name].faults, status, body, backend=name, retry_after=wait)


def same_usage(found: Usage | None, answer: Transcript) -> bool:
    """Whether an answer's usage is what the notes say, as far as they do."""
    told = answer.notes["usage"].split()
    return found is not None and [found.prompt, found.completion, found.cached, found.reasoning][: len(told)] == [
        int(number) for number in told
    ]


# ---- the table and the folders ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_has_the_transcripts_that_it_needs(name: str) -> None:
    """A row without them is a belief."""
    there = set(transcripts(name))
    never = NEVER.get(name, set())
    assert there >= ALWAYS - never
    assert name in SILENT or "stream_thinking" in there
    cached = [answer.notes["usage"].split()[2:3] for answer in transcripts(name).values() if "usage" in answer.notes]
    assert name == "gemini" or ["4"] in cached  # what Gemini's layer says of its cache is not documented
    assert there & (BUSY - never) or never >= BUSY
    assert not there & never


def test_every_folder_is_a_provider() -> None:
    """Transcripts do not outlive their row."""
    assert {path.name for path in WIRE.iterdir() if path.is_dir()} == set(PROVIDERS)


@cases(ALL)
def test_a_transcript_says_where_it_comes_from_and_what_it_is(name: str, answer: Transcript) -> None:
    """A source, and either the fault that an error is or what a good answer holds; a name begins with its status."""
    assert answer.notes["source"]
    assert set(answer.notes) - {"source", "thinking", "tools"} in ({"kind"}, {"text", "usage"})
    if answer.name[:3].isdigit():
        assert answer.name[:3] == str(answer.status)
    if "kind" in answer.notes:
        assert answer.notes["kind"] in FaultKind.__members__


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("what", CLASSES)
def test_every_class_of_error_has_a_transcript(name: str, what: str) -> None:
    """What leads to different behaviour is known of each provider, as far as it has it."""
    if what not in UNKNOWN.get(name, ()):
        assert CLASSES[what] & {answer.notes.get("kind") for answer in transcripts(name).values()}


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_rule_of_a_providers_own_is_decided_by_a_transcript(name: str) -> None:
    """A rule that no answer needs is a guess, and a rule behind a wider one never speaks."""
    rules = PROVIDERS[name].faults
    errors = [read_error(*error_of(name, answer)) for answer in transcripts(name).values() if "kind" in answer.notes]
    deciding = [next((rule for rule in rules if rule.matches(error)), None) for error in errors]
    own: list[FaultRule] = [rule for rule in rules if rule not in OPENAI_FAULTS]
    assert [rule for rule in own if rule not in deciding] == []


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_row_is_sound(name: str) -> None:
    """Found under its own name, ends with the common table, and neither drops nor renames what a call is about."""
    row = PROVIDERS[name]
    assert row.name == name
    assert row.faults[-len(OPENAI_FAULTS) :] == OPENAI_FAULTS
    essential = {"model", "messages", "prompt", "input", "stream", "tools", "response_format"}
    assert not essential & (row.drops | set(row.renames))
    assert not CONTROL_FIELDS & set(row.renames.values())
    assert row.asks_for_usage or "stream_options" in row.drops
    assert all(not url or (url.startswith("https://") and not url.endswith("/")) for url in row.sites.values())


# ---- the answers -----------------------------------------------------------------------------------------------------


STREAMS = cases([(n, t) for n, t in ALL if "text" in t.notes and t.streams])


@STREAMS
@pytest.mark.parametrize("block", BLOCKS)
def test_a_stream_gives_output_finish_and_usage(name: str, answer: Transcript, block: int) -> None:
    """However it is cut: real output, a finish reason on every choice, the tokens, and the marker at the end."""
    tap, kinds, events = read(name, answer, block)
    assert Event.OUTPUT in kinds
    assert name in UNMARKED or kinds[-1] is Event.DONE
    assert tap.finished
    assert tap.text == int(answer.notes["text"])
    assert same_usage(tap.usage, answer)
    if translator_of(name).decoder is None and not any(needle in answer.body for needle in needles(PROVIDERS[name])):
        assert b"".join(events) == re.sub(rb"(?m)^:.*$", b":", answer.body)  # comments pass without their words


@STREAMS
@pytest.mark.parametrize("block", BLOCKS)
def test_a_stream_has_its_thinking_and_its_tools_where_callers_look_for_them(
    name: str, answer: Transcript, block: int
) -> None:
    """In `reasoning_content`, whatever the provider calls it; and each call whole once its parts are joined."""
    deltas = [choice for event in read(name, answer, block)[2] for choice in choices_of(event)]
    thought = "".join(delta.get("reasoning_content") or "" for delta, _ in deltas)
    assert len(thought) == int(answer.notes.get("thinking", len(thought)))
    assert not any(isinstance(delta.get("reasoning"), str) for delta, _ in deltas)
    calls: dict[int, list[str]] = {}
    for delta, _ in deltas:
        for call in delta.get("tool_calls") or ():
            whole = calls.setdefault(call["index"], ["", "", ""])
            for place, part in enumerate((call.get("id"), call["function"].get("name"), call["function"]["arguments"])):
                whole[place] += part or ""
    if "tools" in answer.notes:
        assert len({id_ for id_, _, _ in calls.values()} - {""}) == len(calls)
        assert " ".join(f"{tool} {arguments}" for _, tool, arguments in calls.values()) == answer.notes["tools"]
    reasons = {reason for _, reason in deltas} - {None}
    assert reasons == ({"tool_calls"} if calls else {"stop"})


def choices_of(event: bytes) -> list[tuple[dict[str, Any], str | None]]:
    """What each choice of an event says, and why it ended."""
    data = data_of(event) or b"null"
    body = None if data == b"[DONE]" else orjson.loads(data)
    return [(choice["delta"], choice.get("finish_reason")) for choice in (body or {}).get("choices", ())]


@cases([(n, t) for n, t in ALL if "text" in t.notes and t.streams])
def test_a_stream_that_is_cut_before_its_finish_never_looks_complete(name: str, answer: Transcript) -> None:
    """At whichever byte the connection breaks, until the finish reason is there the answer is not finished."""
    finish = max(answer.body.find(reason) for reason in FINISHES)
    assert finish > 0
    for length in range(finish):
        tap, feed = StreamTap(), decoder_of(name)
        events = Splitter(whole=translator_of(name).whole_events).feed(answer.body[:length])
        for event in chain.from_iterable(map(feed, events)):
            tap.read(event)
        assert not tap.finished


FINISHES = (
    *(b'"finish_reason":"stop"', b'"finish_reason":"eos"', b'"finish_reason":"tool_calls"'),
    *(b'"stop_reason":"end_turn"', b'"stop_reason":"tool_use"'),
)
"""How answers end, as the providers write it."""


@cases([(n, t) for n, t in ALL if "text" in t.notes and not t.streams])
def test_a_whole_answer_gives_text_and_usage(name: str, answer: Transcript) -> None:
    """The characters and the tokens of an answer that does not stream."""
    assert answer.status in PROVIDERS[name].succeeds
    whole = read_answer(Operation.CHAT, form_of(name, answer))
    assert whole is not None
    assert (whole.error, whole.text) == (None, int(answer.notes["text"]))
    assert same_usage(whole.usage, answer)


@cases([(n, t) for n, t in ALL if "kind" in t.notes])
def test_an_error_becomes_the_fault_that_it_is(name: str, answer: Transcript) -> None:
    """By status, inside a 200, or in the middle of a stream; its words pass without address or key."""
    fault = fault_of(name, answer)
    assert fault.kind.name == answer.notes["kind"]
    assert (fault.retry_after is not None) == ("retry-after" in answer.headers)
    assert "://" not in fault.detail
    assert "sk-" not in fault.detail


@cases([(n, t) for n, t in ALL if "kind" in t.notes and t.streams])
def test_a_broken_stream_never_looks_complete(name: str, answer: Transcript) -> None:
    """Not even where the upstream writes its terminal marker after the error."""
    tap, kinds, _ = read(name, answer)
    assert kinds[-1] is Event.ERROR
    assert not tap.finished
