"""Tests of what a process knows of the load of endpoints."""

from hybridproxy.model.load import NO_LOADS, Pace, Reading
from hybridproxy.stores.loads import MAX_PACES, MemoryLoads

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


def test_times_to_the_first_output_are_kept_by_backend_and_model() -> None:
    """Smoothed; and more of them than can be are all learnt anew."""
    loads = MemoryLoads()
    loads.spoke(("a", "qwen"), 1.0, 10.0)
    loads.spoke(("a", "qwen"), 2.0, 11.0)
    assert loads.view.paces == {("a", "qwen"): Pace(1.2, 2, 11.0)}
    for n in range(MAX_PACES):
        loads.spoke(("a", f"qwen-{n}"), 1.0, 12.0)
    assert len(loads.view.paces) == 1
