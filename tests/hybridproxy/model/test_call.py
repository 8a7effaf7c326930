"""Tests of calls as values."""

from hybridproxy.model.call import Capability, Operation
from hybridproxy.model.dialect import Dialect


def test_the_words_for_operations_and_capabilities_are_those_of_logs_and_configuration() -> None:
    """Dashboards and configuration files hold these words, so they do not change by accident."""
    assert [operation.value for operation in Operation] == ["chat", "completion", "embedding", "count_tokens"]
    assert [capability.value for capability in Capability] == ["tools", "vision", "json_schema"]
    assert [dialect.value for dialect in Dialect] == ["openai", "responses", "anthropic", "dashscope"]


def test_what_writes_text_may_stream() -> None:
    """Vectors and counts come whole."""
    assert [operation for operation in Operation if operation.streams] == [Operation.CHAT, Operation.COMPLETION]
