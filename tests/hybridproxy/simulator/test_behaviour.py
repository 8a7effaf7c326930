"""Settings and their mistakes."""

from pathlib import Path
from typing import Any

import pytest

from hybridproxy.simulator.behaviour import FAULTS, Behaviour, BehaviourError, Fault, parse_behaviour, show_behaviour


def test_nothing_given_is_a_healthy_upstream() -> None:
    """Without settings nothing is slow and nothing fails."""
    assert parse_behaviour({}) == Behaviour()


def test_settings_keep_what_is_not_given() -> None:
    """Settings on top of others change only what they name."""
    base = parse_behaviour({"pace_ms": 5, "fault": {"kind": "gzip"}})
    changed = parse_behaviour({"pieces": 3}, base)
    assert (changed.pace_ms, changed.pieces, changed.fault) == (5, 3, Fault(kind="gzip"))
    assert parse_behaviour({"fault": None}, base).fault is None


def test_what_is_shown_can_be_set_again() -> None:
    """The settings that are shown are settings."""
    given = parse_behaviour(
        {"chunking": "split", "bad_keys": ["a"], "fault": {"kind": "cut", "after_pieces": 2, "how": "reset"}}
    )
    assert parse_behaviour(show_behaviour(given)) == given


@pytest.mark.parametrize("kind", FAULTS)
def test_every_fault_can_be_set(kind: str) -> None:
    """Each fault of the table can be set with no more than it needs."""
    needed: dict[str, dict[str, Any]] = {
        "status": {"status": 503},
        "named": {"name": "vllm.queue_full"},
        "redirect": {"location": "http://x/"},
    }
    settings = parse_behaviour({"fault": {"kind": kind, "times": 1, **needed.get(kind, {})}})
    assert settings.fault is not None
    assert settings.fault.kind == kind


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ([], "expected a JSON object"),
        ({"speed": 1}, "unknown field 'speed'"),
        ({"pace_ms": -1}, "pace_ms: expected milliseconds"),
        ({"pace_ms": True}, "pace_ms: expected milliseconds"),
        ({"latency_ms": float("nan")}, "latency_ms: expected milliseconds"),
        ({"pieces": 10**9}, "pieces: expected a whole number"),
        ({"chunking": "odd"}, "chunking: expected one of 'event'"),
        ({"done": 1}, "done: expected one of True, False"),
        ({"bad_keys": "k"}, "bad_keys: expected a list of keys"),
        ({"fault": "cut"}, "expected null or an object with a kind"),
        ({"fault": {"kind": "explode"}}, "fault.kind: expected one of status, named"),
        ({"fault": {"kind": "status"}}, "'status' needs it"),
        ({"fault": {"kind": "gzip", "status": 1}}, "unknown field 'status'"),
        ({"fault": {"kind": "named", "name": "x"}}, "expected a named error, one of anthropic."),
        ({"fault": {"kind": "status", "status": 500, "headers": {"a": "b\r\nc: d"}}}, "expected printable ASCII"),
        ({"fault": {"kind": "status", "status": 500, "headers": {"a b": "c"}}}, "expected header names"),
        ({"fault": {"kind": "refuse", "when": "accept"}}, "give times or for_ms"),
        ({"fault": {"kind": "refuse", "only_stream": True}}, "comes before the body"),
    ],
)
def test_mistakes_are_named(given: object, mistake: str) -> None:
    """A setting that cannot be used is refused with its name and what was expected."""
    with pytest.raises(BehaviourError, match=mistake):
        parse_behaviour(given)


def test_all_mistakes_at_once() -> None:
    """Nobody has to find the mistakes one by one."""
    with pytest.raises(BehaviourError) as caught:
        parse_behaviour({"pace_ms": "x", "bom": 3, "fault": {"kind": "cut", "how": "softly", "times": 0}})
    assert len(caught.value.mistakes) == 4


@pytest.mark.parametrize("field", ["code", "headers", "seed"])
def test_options_of_the_wrong_type(field: str) -> None:
    """An option of a fault is checked like a setting."""
    with pytest.raises(BehaviourError, match=field):
        parse_behaviour({"fault": {"kind": "status", "status": 500, field: [1]}})


@pytest.mark.parametrize(
    "word", [*FAULTS, *show_behaviour(Behaviour()), *sorted({name for row in FAULTS.values() for name in row})]
)
def test_the_documentation_has_every_word(word: str) -> None:
    """docs/simulator.md names every setting, every fault and every option."""
    assert f"`{word}`" in (Path(__file__).parents[3] / "docs" / "simulator.md").read_text()
