"""Tests of the row for any other server."""

from hybridproxy.providers.faults import OPENAI_FAULTS
from hybridproxy.providers.openai import OPENAI


def test_nothing_is_assumed_of_an_unknown_server() -> None:
    """Every field goes on as it came, and the common meaning of errors holds."""
    assert (OPENAI.sites, OPENAI.drops, OPENAI.renames, OPENAI.prepare) == ({}, frozenset(), {}, None)
    assert OPENAI.faults is OPENAI_FAULTS
    assert (OPENAI.continuation, OPENAI.running_usage) == (None, False)
