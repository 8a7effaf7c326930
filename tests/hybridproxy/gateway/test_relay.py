"""One attempt's answer as it comes in pieces: its bounds, and that its outcome is told once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from hybridproxy.dialects import openai
from hybridproxy.dialects.openai import OPENAI
from hybridproxy.dialects.translator import Problem, Reading, Translator, UntranslatableError
from hybridproxy.gateway import attempt as attempts
from hybridproxy.gateway import relay
from hybridproxy.gateway.outgoing import PLAIN, Spoken
from hybridproxy.gateway.relay import AnswerAttempt, GatheredAttempt, StreamAttempt
from hybridproxy.model.backend import Backend
from hybridproxy.model.call import Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.model.plan import Target
from hybridproxy.providers import PROVIDERS
from hybridproxy.resilience.events import (
    Event,
    Failed,
    Finished,
    FirstOutput,
)
from tests.support import make

ANSWER = orjson.dumps(
    {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}
)


@pytest.fixture
def posted() -> list[Event]:
    """What attempts told."""
    return []


def attempt(kind: Any, posted: list[Event]) -> Any:
    """Make an attempt."""
    call = make.call(stream=kind is StreamAttempt)
    return kind(0, call, make.target("us"), posted.append, lambda: 0.0)


def kinds(posted: list[Event]) -> list[FaultKind | None]:
    """Return the faults that were told, None for a good end."""
    return [event.fault.kind if isinstance(event, Failed) else None for event in posted]


def test_an_answer_in_pieces_is_whole(posted: list[Event]) -> None:
    """However it was cut, the answer is the bytes that came, and it is told once that it is there."""
    one = attempt(AnswerAttempt, posted)
    one.head(200, [])
    for at in range(0, len(ANSWER), 7):
        one.body(ANSWER[at : at + 7])
    assert posted == []
    one.end()
    assert one.answer == ANSWER
    assert posted == [Finished(0)]


def test_an_answer_without_end_is_given_up(posted: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    """An upstream that sends more than any answer has is broken; what it still sends changes nothing."""
    monkeypatch.setattr(relay, "MAX_ANSWER", 1000)
    one = attempt(AnswerAttempt, posted)
    one.head(200, [])
    for _ in range(5):
        one.body(b"x" * 400)
    one.end()
    one.failed(Fault(FaultKind.CUT))
    assert kinds(posted) == [FaultKind.INTEGRITY]


@pytest.mark.parametrize("kind", [AnswerAttempt, StreamAttempt])
def test_an_error_without_end_is_still_that_error(
    kind: Any, posted: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an error only the status counts once its body is too long to be one."""
    monkeypatch.setattr(relay, "MAX_ERROR_BODY", 1000)
    one = attempt(kind, posted)
    one.head(429, ((b"retry-after", b"7"),))
    for _ in range(5):
        one.body(b"x" * 400)
    one.end()
    assert kinds(posted) == [FaultKind.THROTTLED]
    (told,) = posted
    assert isinstance(told, Failed)
    assert told.fault.retry_after == 7


@pytest.mark.parametrize("kind", [AnswerAttempt, StreamAttempt])
def test_an_error_whose_body_broke_off_is_still_that_error(kind: Any, posted: list[Event]) -> None:
    """A connection that dies behind an error's head does not turn it into a cut."""
    one = attempt(kind, posted)
    one.head(503, ())
    one.body(b'{"error": {"mess')
    one.failed(Fault(FaultKind.CUT))
    assert kinds(posted) == [FaultKind.OVERLOADED]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"<html>hello</html>", b'{"choices": []}', b"null"])
def test_what_is_no_answer_is_a_broken_one(body: bytes, posted: list[Event]) -> None:
    """A 200 alone proves nothing."""
    one = attempt(AnswerAttempt, posted)
    one.head(200, [])
    if body:
        one.body(body)
    one.end()
    assert kinds(posted) == [FaultKind.INTEGRITY]


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"{}", b""])
def test_what_is_no_stream_is_a_broken_one(body: bytes, posted: list[Event]) -> None:
    """A page where a stream was asked for never reaches the caller."""
    one = attempt(StreamAttempt, posted)
    one.head(200, [])
    if body:
        one.body(body)
    one.end()
    assert kinds(posted) == [FaultKind.INTEGRITY]


# ---- another dialect -------------------------------------------------------------------------------------------------


def chunk(text: str = "", finish: str | None = None) -> bytes:
    """Return a chunk of OpenAI's."""
    body = {"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}
    return b"data: " + orjson.dumps(body) + b"\n\n"


class Letters:
    """An upstream's dialect: an event is `data:` and some text, `.` is the finish, `!` an error, `end` the end."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    def feed(self, event: bytes) -> Sequence[bytes]:
        """Return the chunks of an event."""
        said = event.removeprefix(b"data:").strip().decode()
        special: Mapping[str, Sequence[bytes]] = {
            ".": [chunk(finish="stop")],
            "!": [b'data: {"error":{"message":"no"}}\n\n'],
            "?": [b"data: {\n\n"],
            "end": [openai.DONE],
            "all": [chunk("a"), chunk(finish="stop"), openai.DONE],
            ":": [event],
        }
        return special.get(said, [chunk(letter) for letter in said])


class Shouts:
    """What a caller of another dialect hears."""

    def answer(self, body: dict[str, Any]) -> bytes:
        """Return the text in capitals."""
        text: str = body["choices"][0]["message"]["content"]
        return text.upper().encode()

    def feed(self, event: bytes) -> bytes:
        """Return a chunk's text in capitals, nothing for one without."""
        if event == b":\n\n":
            return event
        delta: dict[str, Any] = orjson.loads(event[6:])["choices"][0]["delta"]
        return str(delta["content"]).upper().encode()

    def end(self) -> bytes:
        """Return the end."""
        return b"END"

    def error(self, problem: Problem) -> bytes:
        """Return the error."""
        return problem.message.encode()


class Whole(Shouts):
    """A voice that says things as they are."""

    def answer(self, body: dict[str, Any]) -> bytes:
        """Return a whole answer."""
        return orjson.dumps(body)

    def feed(self, event: bytes) -> bytes:
        """Return a chunk."""
        return event


def letters(_operation: Operation, body: dict[str, Any]) -> dict[str, Any]:
    """Return an upstream's whole answer as a chat completion."""
    if "say" not in body:
        raise UntranslatableError
    message = {"role": "assistant", "content": body["say"]}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


ROW = Translator(
    Dialect.ANTHROPIC, {}, OPENAI.decode, OPENAI.problem, decoder=Letters, answer=letters, whole_events=True
)


@pytest.fixture
def spoken_to(monkeypatch: pytest.MonkeyPatch) -> Spoken:
    """An upstream that speaks the dialect of letters."""
    monkeypatch.setattr(relay, "TRANSLATORS", {Dialect.OPENAI: OPENAI, Dialect.ANTHROPIC: ROW})
    return Spoken(Dialect.ANTHROPIC)


class Listener:
    """The caller's side of a stream."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def write(self, data: bytes) -> bool:
        """Take what is written; never congested."""
        self.heard.append(data)
        return False


def streamed(way: Spoken, posted: list[Event], *blocks: bytes, kind: Any = StreamAttempt) -> tuple[Any, list[bytes]]:
    """Let an upstream stream these blocks; return the attempt, and what the caller heard of it."""
    call = make.call(stream=kind is StreamAttempt)
    one = kind(0, call, make.target("us"), posted.append, lambda: 0.0, way)
    one.head(200, ((b"content-type", b"text/event-stream"),))
    listener = Listener()
    for n, block in enumerate(blocks):
        if n == 1 and kind is StreamAttempt:
            one.attach(listener)
        one.body(block)
    one.end()
    return one, listener.heard


WORDS = (b"data:a\n\n", b": x\n\ndata:bc\n\n", b"data:.\n\n", b"data:end\n\n")


def test_a_stream_in_another_dialect_becomes_chunks(spoken_to: Spoken, posted: list[Event]) -> None:
    """What was held until the caller had its head, and what flowed after it."""
    one, heard = streamed(spoken_to, posted, *WORDS)
    assert heard == [chunk("a"), b":\n\n" + chunk("b") + chunk("c"), chunk(finish="stop")]
    assert (one.text, one.closing) == (3, None)
    assert isinstance(posted[-1], Finished)


def test_a_caller_hears_its_own_dialect(spoken_to: Spoken, posted: list[Event]) -> None:
    """Chunk by chunk, and nothing is written where its voice has nothing to say."""
    _, heard = streamed(replace(spoken_to, voice=Shouts()), posted, *WORDS)
    assert heard == [b"A", b":\n\nBC"]


def test_the_same_dialect_on_both_sides_passes_as_bytes(spoken_to: Spoken, posted: list[Event]) -> None:
    """Read for what it means, and the mark of the end waits for the end."""
    one, heard = streamed(replace(spoken_to, native=True), posted, *WORDS)
    assert heard == [b"data:a\n\n", b":\n\ndata:bc\n\n", b"data:.\n\n"]
    assert (one.text, one.closing) == (3, b"data:end\n\n")
    assert isinstance(posted[-1], Finished)


def test_an_answer_of_one_event_is_an_answer(spoken_to: Spoken, posted: list[Event]) -> None:
    """It counts as output though it waits for the end; whoever says that twice is heard once."""
    one, heard = streamed(replace(spoken_to, native=True), posted, b"data:all\n\n", b"data:end\n\n")
    assert (heard, one.closing) == ([], b"data:all\n\n")
    assert [type(event) for event in posted] == [FirstOutput, Finished]


def test_an_end_without_an_answer_is_none(spoken_to: Spoken, posted: list[Event]) -> None:
    """Then another backend may be asked."""
    streamed(replace(spoken_to, native=True), posted, b"data:end\n\n")
    assert kinds(posted) == [FaultKind.CUT]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(("event", "kind"), [(b"!", FaultKind.UPSTREAM_ERROR), (b"?", FaultKind.INTEGRITY)])
def test_an_error_in_another_dialect_is_one(
    event: bytes, kind: FaultKind, native: bool, spoken_to: Spoken, posted: list[Event]
) -> None:
    """And it does not pass, whoever speaks."""
    _, heard = streamed(replace(spoken_to, native=native), posted, WORDS[0], b"data:" + event + b"\n\n")
    assert len(heard) == 1
    assert kinds(posted)[-1] is kind


def test_an_answer_in_another_dialect_is_translated(spoken_to: Spoken, posted: list[Event]) -> None:
    """To OpenAI's form, to the caller's, or passed as it came."""
    body = b'{"say":"hi"}'
    whole = orjson.dumps({"created": 7, "model": "qwen", **letters(Operation.CHAT, {"say": "hi"})})
    for way, answer in (
        (spoken_to, whole),
        (replace(spoken_to, voice=Whole()), whole),  # a response has a time, too, which not every upstream tells
        (replace(spoken_to, voice=Shouts()), b"HI"),
        (replace(spoken_to, native=True), body),
    ):
        one = AnswerAttempt(0, make.call(), make.target("us"), posted.append, lambda: 7.5, way)
        one.head(200, [])
        one.body(body)
        one.end()
        assert (one.answer, one.text) == (answer, 2)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"x"])
def test_what_is_no_answer_in_its_own_dialect_is_a_broken_one(
    body: bytes, spoken_to: Spoken, posted: list[Event]
) -> None:
    """An object that says nothing, or no object at all."""
    one = AnswerAttempt(0, make.call(), make.target("us"), posted.append, lambda: 0.0, spoken_to)
    one.head(200, [])
    one.body(body)
    one.end()
    assert kinds(posted) == [FaultKind.INTEGRITY]


DEEP = b"[" * 400 + b"]" * 400


def test_an_answer_that_cannot_be_written_again_is_a_broken_one(spoken_to: Spoken, posted: list[Event]) -> None:
    """It reads deeper nesting than it writes."""
    for way in (spoken_to, replace(spoken_to, voice=Whole())):
        one = AnswerAttempt(0, make.call(), make.target("us"), posted.append, lambda: 0.0, way)
        one.head(200, [])
        one.body(b'{"say":%b}' % DEEP)
        one.end()
    assert kinds(posted) == [FaultKind.INTEGRITY] * 2


def test_usage_in_each_event_is_for_callers_of_the_same_dialect(
    spoken_to: Spoken, posted: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller of OpenAI's gets it once, and not at all where it did not ask."""
    told = {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}}]}
    event = b"data: " + orjson.dumps({**told, "usage": {"prompt_tokens": 1}}) + b"\n\n"
    monkeypatch.setattr(Letters, "feed", lambda *_: [event])
    monkeypatch.setattr(attempts, "PROVIDERS", {"openai": replace(PROVIDERS["openai"], running_usage=True)})
    for way, wanted in ((spoken_to, [orjson.dumps(told)]), (replace(spoken_to, voice=Whole()), [event])):
        one, heard = streamed(way, posted, *WORDS[:2])
        assert [said.removeprefix(b"data: ").removesuffix(b"\n\n") for said in heard][:1] == [
            said.removeprefix(b"data: ").removesuffix(b"\n\n") for said in wanted
        ]
        assert one.usage.prompt == 1


# ---- a model that only streams ---------------------------------------------------------------------------------------

CHUNKS = (chunk("a"), chunk("b"), chunk(finish="stop"), b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n')


@pytest.mark.parametrize(("way", "said"), [(PLAIN, None), (replace(PLAIN, voice=Shouts()), b"AB")])
def test_a_whole_answer_is_put_together_out_of_a_stream(way: Spoken, said: bytes | None, posted: list[Event]) -> None:
    """The caller does not stream, and never learns that the model does."""
    one, _ = streamed(way, posted, *CHUNKS, openai.DONE, kind=GatheredAttempt)
    assert posted == [Finished(0)]
    assert one.usage is not None
    if said is not None:
        assert one.answer == said
        return
    answer = orjson.loads(one.answer)
    assert answer["choices"][0]["message"]["content"] == "ab"
    assert answer["usage"] == {"prompt_tokens": 1}


def test_half_a_stream_is_no_whole_answer(posted: list[Event]) -> None:
    """It is tried elsewhere, as any answer that broke off."""
    streamed(PLAIN, posted, *CHUNKS[:2], kind=GatheredAttempt)
    assert kinds(posted) == [FaultKind.CUT]


def test_a_stream_that_cannot_be_written_as_an_answer_is_a_broken_one(posted: list[Event]) -> None:
    """It reads deeper nesting than it writes."""
    deep = b'data: {"choices":[{"index":0,"delta":{"odd":%b},"finish_reason":"stop"}]}\n\n' % DEEP
    streamed(PLAIN, posted, deep, kind=GatheredAttempt)
    assert kinds(posted) == [FaultKind.INTEGRITY]


def test_a_stream_without_end_is_given_up(posted: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is held here, so it is bounded as any answer is."""
    monkeypatch.setattr(relay, "MAX_ANSWER", 1000)
    streamed(PLAIN, posted, *(chunk("x" * 300) for _ in range(5)), kind=GatheredAttempt)
    assert kinds(posted) == [FaultKind.INTEGRITY]


def test_a_mark_of_openais_is_none_of_another_dialect(posted: list[Event]) -> None:
    """Who ends a stream of Anthropic's with it alone: the caller's client would break on it, and gets the right one."""
    call = replace(make.call(), dialect=Dialect.ANTHROPIC)
    one: Any = StreamAttempt(
        0, call, by("openrouter"), posted.append, lambda: 0.0, Spoken(Dialect.ANTHROPIC, native=True)
    )
    one.head(200, ((b"content-type", b"text/event-stream"),))
    for said in ('{"type":"message_start"}', '{"type":"message_delta","delta":{"stop_reason":"end_turn"}}'):
        one.body(b"data: " + said.encode() + b"\n\n")
    one.body(b"data: [DONE]\n\n")
    one.end()
    assert one.closing is None
    assert isinstance(posted[-1], Finished)


def by(provider: str, **more: Any) -> Target[Backend]:
    """Return a target of a backend of this provider."""
    target = make.target("us")
    return replace(target, backend=replace(target.backend, provider=provider, **more))


def named(name: str) -> bytes:
    """Return a chunk of an aggregator's that tells who gave it, or does not."""
    told = {"provider": name} if name else {}
    return b"data: " + orjson.dumps({**told, "choices": [{"index": 0, "delta": {"content": "hi"}}]}) + b"\n\n"


def test_who_is_named_in_the_middle_of_a_stream_is_looked_at(posted: list[Event]) -> None:
    """A pin holds until one of the pinned is named, however late."""
    one: Any = StreamAttempt(0, make.call(), by("openrouter", pin=("deepinfra",)), posted.append, lambda: 0.0)
    one.head(200, ((b"content-type", b"text/event-stream"),))
    one.body(named(""))
    one.attach(Listener())
    one.body(named(""))
    one.body(named("Elsewhere"))
    assert kinds(posted) == [None, FaultKind.UNPINNED]


def test_what_has_to_be_put_right_is_put_right_among_bytes_that_pass(posted: list[Event]) -> None:
    """Of a provider that says some things its own way all others pass as they came."""
    one: Any = StreamAttempt(0, make.call(), by("vllm"), posted.append, lambda: 0.0)
    one.head(200, ((b"content-type", b"text/event-stream"),))
    one.attach(listener := Listener())
    thought = b'data: {"choices":[{"index":0,"delta":{"reasoning":"hm"}}]}\n\n'
    for event in (chunk("a"), chunk("b"), thought, chunk("c")):
        one.body(event)
    assert listener.heard == [chunk("a"), chunk("b"), thought.replace(b"reasoning", b"reasoning_content"), chunk("c")]
