"""Tests of DeepInfra's row."""

from hybridproxy.model.fault import FaultKind
from hybridproxy.providers.deepinfra import DEEPINFRA
from hybridproxy.providers.faults import classify, read_error
from hybridproxy.providers.lists import read_list


def test_a_busy_model_is_a_throttle() -> None:
    """Whichever form its error has."""
    body = {"detail": {"error": "Model busy, retry later"}}
    assert classify(DEEPINFRA.faults, 429, body, backend="d").kind is FaultKind.THROTTLED
    assert read_error(429, body).message == "Model busy, retry later"


def test_its_list_has_the_facts_in_its_metadata() -> None:
    """Embedding models have no window there."""
    entries = [
        {
            "id": "Qwen/Qwen3-Max",
            "metadata": {"context_length": 262144, "pricing": {"input_tokens": 1.2, "output_tokens": 6}},
        },
        {"id": "e", "metadata": None},
    ]
    assert DEEPINFRA.lists is not None
    found = read_list(DEEPINFRA.lists, {"data": entries}) or ()
    assert [(one.id, one.context, one.input, one.output) for one in found] == [
        ("Qwen/Qwen3-Max", 262144, 1.2, 6.0),
        ("e", None, None, None),
    ]
