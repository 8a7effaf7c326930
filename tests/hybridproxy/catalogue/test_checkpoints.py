"""Tests of when which checkpoint came out."""

from datetime import date

from hybridproxy.catalogue.checkpoints import CHECKPOINTS, LINES, checkpoint_by_name


def test_every_day_is_one_and_has_a_source() -> None:
    """A day that nobody names is "", and then there is no source either."""
    for one in CHECKPOINTS.values():
        assert bool(one.released) is bool(one.source)
        if one.released:
            assert date(2024, 1, 1) <= date.fromisoformat(one.released) <= date(2026, 11, 26)


def test_weights_are_known_by_their_makers_name() -> None:
    """Whoever serves them, as engines call them; what is called otherwise is not known."""
    found = checkpoint_by_name("Qwen/Qwen3-235B-A22B-Instruct-2507")
    assert found is not None
    assert (found.released, found.line) == ("2025-07-21", "qwen3-235b")
    assert checkpoint_by_name("qwen3-8b") is CHECKPOINTS["qwen3-8b"]
    assert checkpoint_by_name("my-qwen") is None


def test_the_generations_of_a_line_replace_each_other() -> None:
    """The flagship of this autumn is the newest of its line; sizes are lines of their own."""
    assert LINES == ("qwen-27b", "qwen-35b-a3b", "qwen-flash", "qwen-max", "qwen-plus", "qwen3-235b")
    flagships = [one for one in CHECKPOINTS.values() if one.line == "qwen-max"]
    assert [one.name for one in sorted(flagships, key=lambda one: one.released)] == [
        "qwen3-max", "qwen3.7-max", "qwen3.8-max",
    ]  # fmt: skip
