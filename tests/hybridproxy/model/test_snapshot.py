"""Tests of the configuration as routing sees it."""

from tests.support.make import snapshot


def test_a_reload_forgets_what_was_worked_out_from_the_old_configuration() -> None:
    """Each snapshot has a memo of its own, so nothing of the old policy survives it."""
    old, new = snapshot(), snapshot()
    old.memo["anything"] = "old policy"
    assert new.memo == {}


def test_printing_a_snapshot_shows_no_key() -> None:
    """The digests of the tenants' keys stay out of logs."""
    assert "keys=" not in repr(snapshot())
