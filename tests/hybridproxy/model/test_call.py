"""Tests of calls as values."""

import dataclasses

import pytest

from hybridproxy.model.call import Capability, Operation
from tests.support.make import call


def test_a_judged_call_cannot_be_changed() -> None:
    """What was judged is what is forwarded: no field of a call can be set again."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        call().model = "another"  # type: ignore[misc]


def test_the_words_for_operations_and_capabilities_are_those_of_logs_and_configuration() -> None:
    """Dashboards and configuration files hold these words, so they do not change by accident."""
    assert [operation.value for operation in Operation] == ["chat", "completion", "embedding"]
    assert [capability.value for capability in Capability] == ["tools", "vision", "json_schema"]
