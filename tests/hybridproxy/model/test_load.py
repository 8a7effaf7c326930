"""Tests of how load is told."""

from hybridproxy.model.load import NO_LOADS, Loads, Reading


def test_nothing_is_known_at_first() -> None:
    """Whoever plans without loads plans as if all endpoints were idle."""
    assert Loads({}, {}) == NO_LOADS


def test_a_reading_is_a_value() -> None:
    """Two engines that say the same are told the same."""
    assert Reading(1, 2, 0.5, 10.0, 1) == Reading(1, 2, 0.5, 10.0, 1)
