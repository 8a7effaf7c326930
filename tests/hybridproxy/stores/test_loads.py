"""Tests of what a process knows of the load of endpoints."""

from hybridproxy.model.load import NO_LOADS, Reading
from hybridproxy.stores.loads import MemoryLoads

HERE, THERE = ("vpc", "10.0.3.1:8000"), ("vpc", "10.0.3.2:8000")


def test_a_call_counts_from_its_beginning_to_its_end() -> None:
    """What is over leaves nothing behind, so nothing grows."""
    loads = MemoryLoads()
    for _ in range(2):
        loads.began(HERE)
    loads.began(THERE)
    assert loads.view.ours == {HERE: 2, THERE: 1}
    for place in (HERE, THERE, HERE):
        loads.ended(place)
    assert loads.view == NO_LOADS


def test_what_an_engine_says_is_kept_with_our_calls_of_that_moment() -> None:
    """So what begins later can be added; the last word counts."""
    loads = MemoryLoads()
    loads.began(HERE)
    loads.said(HERE, 5, 1, 0.5, 10.0)
    loads.said(HERE, 6, 0, 0.25, 11.0)
    assert loads.view.readings == {HERE: Reading(6, 0, 0.25, 11.0, 1)}
    loads.said(HERE, 6, 0, 0.25, 12.0, 3)  # two ended while it was asked, which it may have counted
    assert loads.view.readings[HERE].ours == 3


def test_an_engine_that_is_no_longer_asked_is_forgotten() -> None:
    """Our own calls there still come to their end."""
    loads = MemoryLoads()
    loads.began(HERE)
    loads.said(HERE, 1, 0, 0, 1.0)
    loads.said(THERE, 1, 0, 0, 1.0)
    loads.retain({THERE})
    assert list(loads.view.readings) == [THERE]
    loads.ended(HERE)
    assert loads.view.ours == {}
