"""Whether a fault befalls a call."""

from typing import Any

from hybridproxy.simulator.behaviour import parse_behaviour
from hybridproxy.simulator.switch import Switch


def switch(now: float = 0, **fault: Any) -> Switch:
    """Set a fault."""
    made = Switch()
    made.set(parse_behaviour({"fault": fault}), now)
    return made


def strikes(made: Switch, now: float = 0, key: str = "k", model: str = "m", *, stream: bool = False) -> bool:
    """Ask for one call that has been read."""
    return made.after_body(now, key, model, stream=stream) is not None


def test_a_number_of_times() -> None:
    """After its number of times a fault is over."""
    made = switch(kind="status", status=500, times=2)
    assert [strikes(made) for _ in range(4)] == [True, True, False, False]
    assert made.struck == 2


def test_a_time() -> None:
    """A fault with a time is over when that has passed."""
    made = switch(now=100, kind="status", status=500, for_ms=1000)
    assert [strikes(made, now) for now in (100, 100.9, 101, 200)] == [True, True, False, False]


def test_a_probability_is_repeatable() -> None:
    """Half of the calls fail, always the same ones for the same seed."""
    runs = [
        [strikes(made) for _ in range(200)] for made in (switch(kind="cut", probability=0.5, seed=s) for s in (1, 1, 2))
    ]
    assert runs[0] == runs[1] != runs[2]
    assert 60 < sum(runs[0]) < 140


def test_only_some_calls() -> None:
    """A fault can be for streams, a model or a key alone; others do not count."""
    assert [strikes(switch(kind="cut", only_stream=True), stream=stream) for stream in (True, False)] == [True, False]
    assert [strikes(switch(kind="cut", only_model="m"), model=model) for model in ("m", "n")] == [True, False]
    made = switch(kind="cut", only_key="k", times=1)
    assert [strikes(made, key=key) for key in ("other", "k")] == [False, True]


def test_faults_for_everything() -> None:
    """With `on: all` what comes before the head befalls health checks too; what comes later never does."""
    assert switch(kind="status", status=500, on="all").for_other_path(0, None) is not None
    assert switch(kind="status", status=500).for_other_path(0, None) is None
    assert switch(kind="cut", after_pieces=2, on="all").for_other_path(0, None) is None
    assert switch(kind="cut", before_head=True, on="all").for_other_path(0, None) is not None


def test_refusals_come_at_their_place() -> None:
    """A refusal at accept ends connections, one at the request ends requests; neither waits for a body."""
    at_accept, at_request = switch(kind="refuse", when="accept", times=1), switch(kind="refuse")
    assert (at_accept.before_body(0, "k"), at_request.at_accept(0)) == (None, None)
    assert not strikes(at_request)
    assert at_request.before_body(0, "k") is not None
    assert [at_accept.at_accept(0) is not None for _ in range(2)] == [True, False]


def test_other_settings_do_not_restart_a_fault() -> None:
    """Changing the pace leaves a fault's count alone; setting the fault again restarts it."""
    made = switch(kind="cut", times=1)
    assert strikes(made)
    made.set(parse_behaviour({"pace_ms": 5}, made.behaviour), 0)
    assert not strikes(made)
    made.set(parse_behaviour({"fault": {"kind": "cut", "times": 1}}, made.behaviour), 0)
    assert strikes(made)


def test_the_first_of_several_faults_that_strikes_befalls_the_call() -> None:
    """Each counts for itself, and goes on counting when others are changed."""
    made = Switch()
    cut = {"kind": "cut", "only_stream": True, "times": 1}
    first = parse_behaviour({"fault": {"kind": "status", "status": 500, "only_model": "x"}, "faults": [cut]})
    made.set(first, 0)
    kinds = [made.after_body(0, "k", model, stream=stream) for model, stream in (("m", True), ("m", True), ("x", True))]
    assert [fault and fault.kind for fault in kinds] == ["cut", None, "status"]
    assert made.struck == 2
    made.set(parse_behaviour({"fault": None}, first), 0)
    assert made.struck == 1
    assert made.after_body(0, "k", "x", stream=True) is None
