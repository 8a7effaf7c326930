"""Every provider of the table against transcripts of its answers. A new row is tested without new test code."""

import re

import pytest

from hybridproxy.dialects.openai import Event, StreamTap, read_answer
from hybridproxy.dialects.sse import Splitter
from hybridproxy.model.call import Operation
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.model.usage import Usage
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule, classify, read_error
from hybridproxy.providers.provider import CONTROL_FIELDS
from tests.support.wire import WIRE, Transcript, transcripts

ALWAYS = {"ok", "stream", "401", "midstream_error"}
BUSY = {"429", "503"}
NEVER = {"tensorrt-llm": {"401", "midstream_error", *BUSY}}
"""It has no keys and no limit of its queue, and a stream that fails is cut without a word."""
ALL = [(name, transcript) for name in PROVIDERS for transcript in transcripts(name).values()]
BLOCKS = (1, 7, 64, 1 << 16)


def cases(wanted: list[tuple[str, Transcript]]) -> pytest.MarkDecorator:
    """One test a transcript, named provider/file."""
    return pytest.mark.parametrize(("name", "answer"), wanted, ids=[f"{n}/{t.name}" for n, t in wanted])


def read(answer: Transcript, block: int = 1 << 16) -> tuple[StreamTap, list[Event], list[bytes]]:
    """Read a stream in blocks of so many bytes, to its end or its first error."""
    splitter, tap = Splitter(), StreamTap()
    kinds: list[Event] = []
    events: list[bytes] = []
    for start in range(0, len(answer.body), block):
        for event in splitter.feed(answer.body[start : start + block]):
            kinds.append(tap.read(event))
            events.append(event)
            if kinds[-1] in {Event.ERROR, Event.GARBLED}:
                return tap, kinds, events
    assert splitter.rest == b""
    return tap, kinds, events


def error_of(answer: Transcript) -> tuple[int, object]:
    """The status and the body that say what went wrong, wherever in the answer they are."""
    if answer.status != 200:
        return answer.status, answer.json()
    if answer.streams:
        return 200, read(answer)[0].error
    whole = read_answer(Operation.CHAT, answer.body)
    return 200, None if whole is None else whole.error


def fault_of(name: str, answer: Transcript) -> Fault:
    """The fault that the provider's table makes of it."""
    status, body = error_of(answer)
    wait = answer.headers.get("retry-after")
    return classify(PROVIDERS[name].faults, status, body, backend=name, retry_after=wait)


def usage_of(answer: Transcript) -> Usage:
    """What the notes say it used."""
    prompt, completion = answer.notes["usage"].split()
    return Usage(int(prompt), int(completion))


# ---- the table and the folders ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_has_the_transcripts_that_it_needs(name: str) -> None:
    """A row without them is a belief."""
    there = set(transcripts(name))
    never = NEVER.get(name, set())
    assert there >= ALWAYS - never
    assert there & (BUSY - never) or never >= BUSY
    assert not there & never


def test_every_folder_is_a_provider() -> None:
    """Transcripts do not outlive their row."""
    assert {path.name for path in WIRE.iterdir() if path.is_dir()} == set(PROVIDERS)


@cases(ALL)
def test_a_transcript_says_where_it_comes_from_and_what_it_is(name: str, answer: Transcript) -> None:
    """A source, and either the fault that an error is or what a good answer holds; a name begins with its status."""
    assert answer.notes["source"]
    assert set(answer.notes) - {"source"} in ({"kind"}, {"text", "usage"})
    if answer.name[:3].isdigit():
        assert answer.name[:3] == str(answer.status)
    if "kind" in answer.notes:
        assert answer.notes["kind"] in FaultKind.__members__


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_rule_of_a_providers_own_is_decided_by_a_transcript(name: str) -> None:
    """A rule that no answer needs is a guess, and a rule behind a wider one never speaks."""
    rules = PROVIDERS[name].faults
    errors = [read_error(*error_of(answer)) for answer in transcripts(name).values() if "kind" in answer.notes]
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


@cases([(n, t) for n, t in ALL if "text" in t.notes and t.streams])
@pytest.mark.parametrize("block", BLOCKS)
def test_a_stream_gives_output_finish_and_usage(name: str, answer: Transcript, block: int) -> None:
    """However it is cut: real output, a finish reason on every choice, the tokens, and the marker at the end."""
    tap, kinds, events = read(answer, block)
    assert Event.OUTPUT in kinds
    assert kinds[-1] is Event.DONE
    assert tap.finished
    assert tap.text == int(answer.notes["text"])
    assert tap.usage is not None
    assert Usage(tap.usage.prompt, tap.usage.completion) == usage_of(answer)
    assert b"".join(events) == re.sub(rb"(?m)^:.*$", b":", answer.body)  # comments pass without their words


@cases([(n, t) for n, t in ALL if "text" in t.notes and t.streams])
def test_a_stream_that_is_cut_before_its_finish_never_looks_complete(name: str, answer: Transcript) -> None:
    """At whichever byte the connection breaks, until the finish reason is there the answer is not finished."""
    reasons = (b'"finish_reason":"stop"', b'"finish_reason":"eos"', b'"finish_reason":"tool_calls"')
    finish = max(answer.body.find(reason) for reason in reasons)
    assert finish > 0
    for length in range(finish):
        tap, splitter = StreamTap(), Splitter()
        for event in splitter.feed(answer.body[:length]):
            tap.read(event)
        assert not tap.finished


@cases([(n, t) for n, t in ALL if "text" in t.notes and not t.streams])
def test_a_whole_answer_gives_text_and_usage(name: str, answer: Transcript) -> None:
    """The characters and the tokens of an answer that does not stream."""
    whole = read_answer(Operation.CHAT, answer.body)
    assert whole is not None
    assert (whole.error, whole.text) == (None, int(answer.notes["text"]))
    assert whole.usage is not None
    assert Usage(whole.usage.prompt, whole.usage.completion) == usage_of(answer)


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
    tap, kinds, _ = read(answer)
    assert kinds[-1] is Event.ERROR
    assert not tap.finished
