"""Tests of the names of dialects."""

from hybridproxy.model.dialect import Dialect


def test_a_dialect_is_found_by_its_word() -> None:
    """Logs and tables hold the word; a dialect is a key of tables."""
    assert Dialect("anthropic") is Dialect.ANTHROPIC
    assert {Dialect.OPENAI: 1}[Dialect("openai")] == 1
