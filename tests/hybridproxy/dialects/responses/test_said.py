"""Tests of items while they are being said."""

from typing import Any

import orjson

from hybridproxy.dialects.responses.said import REFUSAL, SUMMARY, TEXT, THOUGHT, Calling, Events, Speech, head_of
from hybridproxy.dialects.sse import fields_of, split_events

SIGNED = {"type": "thinking", "thinking": "hm", "signature": "s"}


def read(said: bytes) -> list[dict[str, Any]]:
    """Return the events; each has its name twice."""
    events = []
    for event in split_events(said):
        fields = fields_of(event)
        assert fields is not None
        body = orjson.loads(fields.data)
        assert fields.name.decode() == body["type"]
        events.append(body)
    return events


def test_events_are_numbered() -> None:
    """In whichever way they are written."""
    events = Events()
    said = (
        events.event("a", {"x": 1}) + events.of_response("b", b'{"id":1}') + events.delta(head_of("c", {"y": 2}), 'q"')
    )
    assert read(said) == [
        {"type": "a", "sequence_number": 0, "x": 1},
        {"type": "b", "sequence_number": 1, "response": {"id": 1}},
        {"type": "c", "y": 2, "delta": 'q"', "sequence_number": 2},
    ]


def test_a_text_begins_goes_on_and_ends() -> None:
    """Each part with its own events; the text as a whole comes three times at the end."""
    speech = Speech(Events(), TEXT, "msg_1", 0)
    said = speech.open() + speech.say(TEXT, "Hel", []) + speech.say(TEXT, "lo", []) + speech.say(REFUSAL, "No.", [])
    said += speech.close("completed")
    events = read(said)
    assert [event["type"].removeprefix("response.") for event in events] == [
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta", "output_text.done"),
        *("content_part.done", "content_part.added", "refusal.delta", "refusal.done", "content_part.done"),
        "output_item.done",
    ]
    assert [event["sequence_number"] for event in events] == list(range(11))
    assert [event.get("content_index") for event in events] == [None, 0, 0, 0, 0, 0, 1, 1, 1, 1, None]
    assert (events[4]["text"], events[8]["refusal"]) == ("Hello", "No.")
    text = {"type": "output_text", "annotations": [], "logprobs": [], "text": "Hello"}
    assert events[-1]["item"] == {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [text, {"type": "refusal", "refusal": "No."}],
    }


def test_an_open_item_is_what_was_said_of_it() -> None:
    """For an answer that breaks off."""
    speech = Speech(Events(), TEXT, "msg_1", 0)
    speech.open()
    speech.say(TEXT, "Hel", [])
    assert speech.item("incomplete")["content"][0]["text"] == "Hel"


def test_log_probabilities_come_with_their_text_and_again_at_the_end() -> None:
    """As the real service gives them."""
    token = {"token": "a", "bytes": [97], "logprob": -1.0, "top_logprobs": []}
    speech = Speech(Events(), TEXT, "msg_1", 0)
    events = read(speech.say(TEXT, "a", [token]) + speech.say(TEXT, "b", []) + speech.close("completed"))
    assert [event["logprobs"] for event in events if "logprobs" in event] == [[token], [], [token]]
    assert events[-1]["item"]["content"][0]["logprobs"] == [token]
    assert events[0]["part"]["logprobs"] == []


def test_a_thought_is_told_as_it_is_or_as_a_summary() -> None:
    """In an item of its own, with the seal of what was signed."""
    for kind, field, name in ((THOUGHT, "content", "reasoning_text"), (SUMMARY, "summary", "reasoning_summary_text")):
        speech = Speech(Events(), kind, "rs_1", 0)
        said = speech.open() + speech.say(kind, "hm", [])
        speech.sign([SIGNED])
        events = read(said + speech.close("completed"))
        assert [event["type"] for event in events][2:4] == [f"response.{name}.delta", f"response.{name}.done"]
        assert events[-1]["item"][field][0]["text"] == "hm"
        assert events[-1]["item"]["encrypted_content"].startswith("thinking-blocks-1.")
    hidden = Speech(Events(), THOUGHT, "rs_1", 0)
    assert [event["type"] for event in read(hidden.open() + hidden.close("incomplete"))] == [
        "response.output_item.added",
        "response.output_item.done",
    ]


def test_a_call_is_announced_with_its_name() -> None:
    """Which may come after the first arguments, or never."""
    late = Calling(Events(), "fc_1", 3, "call_1")
    assert late.say("", "") + late.say("", '{"x"') == b""
    events = read(late.say("f", ":1") + late.say("", "") + late.say("", "}") + late.close("completed"))
    assert [event["type"].removeprefix("response.") for event in events] == [
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.delta"),
        *("function_call_arguments.done", "output_item.done"),
    ]
    assert events[0]["item"]["arguments"] == ""
    assert [event["delta"] for event in events[1:3]] == ['{"x":1', "}"]
    assert events[-1]["item"] == {
        "id": "fc_1",
        "type": "function_call",
        "status": "completed",
        "arguments": '{"x":1}',
        "call_id": "call_1",
        "name": "f",
    }
    never = Calling(Events(), "fc_1", 0, "call_1")
    assert never.say("", "{}") == b""
    assert next(event["type"] for event in read(never.close("completed"))) == "response.output_item.added"
    empty = Calling(Events(), "fc_1", 0, "call_1")
    assert len(read(empty.say("f", ""))) == 1
