"""The configuration as routing sees it."""

from hybridproxy.model.backend import Timeouts
from hybridproxy.model.price import UNKNOWN
from hybridproxy.model.snapshot import DEFAULT_HANDLING, Handling, OnCut, Route, Served
from tests.support.make import snapshot


def test_a_reload_forgets_what_was_worked_out_from_the_old_configuration() -> None:
    """Each snapshot has a memo of its own, so nothing of the old policy survives it."""
    old, new = snapshot(), snapshot()
    old.memo["anything"] = "old policy"
    assert new.memo == {}


def test_printing_a_snapshot_shows_no_key() -> None:
    """The digests of the tenants' keys stay out of logs."""
    assert "keys=" not in repr(snapshot())


def test_a_route_that_says_nothing_pays_nothing_twice() -> None:
    """It moves on at once, tells the caller of a cut stream, and sends nothing to two backends."""
    assert Handling() == DEFAULT_HANDLING == Handling(Timeouts(), 0.0, (OnCut.ERROR,), 0.0)
    assert Route("default", {}).handling is DEFAULT_HANDLING


def test_the_words_for_a_cut_stream_are_those_of_the_configuration() -> None:
    """Configuration files hold these words, so they do not change by accident."""
    assert [way.value for way in OnCut] == ["resume", "replay", "error"]


def test_a_price_that_nobody_gave_is_marked_as_such() -> None:
    """A backend of which only the model's name was written has a window and a price that nobody knows."""
    assert (Served("together-us", "qwen").context, Served("together-us", "qwen").price) == (None, UNKNOWN)
