"""Tests of calls as values."""

from hybridproxy.model.call import Capability, Operation


def test_the_words_for_operations_and_capabilities_are_those_of_logs_and_configuration() -> None:
    """Dashboards and configuration files hold these words, so they do not change by accident."""
    assert [operation.value for operation in Operation] == ["chat", "completion", "embedding"]
    assert [capability.value for capability in Capability] == ["tools", "vision", "json_schema"]
