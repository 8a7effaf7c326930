"""Tests of the row for any other server."""

import pytest

from hybridproxy.providers.faults import OPENAI_FAULTS
from hybridproxy.providers.openai import OPENAI
from hybridproxy.providers.vllm import VLLM


def test_nothing_is_assumed_of_an_unknown_server() -> None:
    """Every field goes on as it came, and the common meaning of errors holds."""
    assert (OPENAI.sites, OPENAI.drops, OPENAI.renames, OPENAI.prepare) == ({}, frozenset(), {}, None)
    assert OPENAI.faults is OPENAI_FAULTS
    assert (OPENAI.continuation, OPENAI.running_usage) == (None, False)


@pytest.mark.parametrize(
    ("model", "bounds", "off"),
    [
        ("gpt-5.4", True, True),
        ("openai/gpt-5.1-codex", True, True),
        ("gpt-7", True, True),
        ("gpt-5-mini", True, False),
        ("o3", True, False),
        ("gpt-4.1", False, False),
    ],
)
def test_openais_own_models_are_known_by_their_names(model: str, bounds: bool, off: bool) -> None:
    """Those that think know one bound alone, and those since 5.1 can be told not to think."""
    row = OPENAI.for_model(model)
    assert row.messages is not None
    assert ("max_tokens" in row.renames) == bounds
    assert row.thinks is not None
    assert bool(row.thinks.off) == off


def test_of_other_models_nothing_is_known() -> None:
    """Whoever answers behind that address; and other providers are the same for all their models."""
    for model in ("gpt-oss-120b", "qwen3-32b", "own-name"):
        assert OPENAI.for_model(model) is OPENAI
    assert VLLM.for_model("gpt-5.4") is VLLM
