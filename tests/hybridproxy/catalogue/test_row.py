"""Tests of the catalogue's values."""

from hybridproxy.catalogue.row import Checkpoint, Row


def test_a_line_without_published_weights_is_closed() -> None:
    """A host that offers it may pass calls on to its maker."""
    assert Checkpoint("qwen3.8-max", "qwen-max", "2026-08-03", "").closed
    assert not Checkpoint("qwen3.8-27b", "qwen-27b", "2026-08-14", "").closed


def test_a_row_is_a_value() -> None:
    """Two that say the same are the same."""
    row = ("groq", None, "qwen/qwen3.8-27b", "qwen3.8-27b", 131_072, None, "", "somebody", "2026-11-23")
    assert Row(*row) == Row(*row)
