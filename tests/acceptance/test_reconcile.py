"""The judge of two ledgers finds what is made wrong on purpose."""

from typing import Any

import pytest

from hybridproxy.metering.records import Basis, Ended, Outcome, Started
from hybridproxy.model.usage import Usage
from hybridproxy.simulator.books import Line
from tests.acceptance.reconcile import Reconciliation, Sightings, difference, reconciled, sightings

SOUND = Usage(10, 5, 2, 1, written=3)


def attempt(n: int = 0, backend: str = "a", **changes: Any) -> tuple[Started, Ended]:
    """Return an attempt that was answered."""
    started = Started("call", n, 0, "shop", "qwen", "", backend, "q", "k", "fresh", 9, 9, 99)
    ended: dict[str, Any] = {"usage": SOUND, "cost": 70, "table": 70, "basis": Basis.TABLE}
    return started, Ended("call", n, 1, **{"outcome": Outcome.ANSWERED} | ended | changes)


def line(number: int = 1, **changes: Any) -> Line:
    """Return the line of the books that belongs to it."""
    sound = Line(
        number, "call", "chat/completions", "q", False, 0.0, 200, None, "complete", 10, 2, 3, 5, 1, 70, True, None
    )
    return sound._replace(**changes)


def judged(attempts: list[tuple[Started, Ended]], *lines: Line, backend: str = "a") -> Reconciliation:
    """Bring them together."""
    return reconciled(attempts, {backend: lines})


def test_both_say_the_same() -> None:
    """One attempt and its line."""
    found = judged([attempt()], line())
    assert [match.agrees for match in found.matches] == [True]
    assert not any((found.wrong, found.missed, found.overlooked, found.unseen, found.unknown))


@pytest.mark.parametrize(
    "changes",
    [{"prompt": 11}, {"completion": 4}, {"cached": 0}, {"written": 0}, {"reasoning": 0}, {"charged": 71}],
    ids=str,
)
def test_a_token_or_a_nano_dollar_apart_is_seen(changes: dict[str, int]) -> None:
    """Whichever it is."""
    assert len(judged([attempt()], line(**changes)).wrong) == 1


def test_an_upstreams_word_on_the_cost_has_to_be_the_tables_too() -> None:
    """The prices are the same on both sides."""
    assert not judged([attempt(basis=Basis.UPSTREAM)], line(told_cost=70)).wrong
    assert judged([attempt(basis=Basis.UPSTREAM, table=69)], line(told_cost=70)).wrong


def test_a_line_without_an_attempt_and_the_reverse() -> None:
    """Another backend's, another call's, one too many; an attempt that nobody saw."""
    assert len(judged([attempt()], line(), backend="b").unknown) == 1
    assert len(judged([attempt()], line(), line(2)).unknown) == 1
    assert len(judged([attempt()], line()._replace(request_id="other")).unknown) == 1
    assert len(judged([attempt()]).unseen) == 1
    nothing: dict[str, Any] = {"basis": Basis.NOTHING, "usage": Usage(0, 0), "cost": 0, "table": 0}
    found = judged([attempt(0, **nothing), attempt(1)], line())
    assert ([one[0].n for one in found.unseen], [match.started.n for match in found.matches]) == ([0], [1])


def test_attempts_of_a_call_at_one_backend_are_told_apart_by_their_order() -> None:
    """Also where one of them went out twice."""
    refused = line(
        1, outcome="refused", status=None, prompt=0, completion=0, cached=0, written=0, reasoning=0, charged=0
    )
    found = judged([attempt(1), attempt(0)], line(3), refused, line(2))
    assert [(match.started.n, [one.number for one in match.lines]) for match in found.matches] == [
        (0, [1, 2]),
        (1, [3]),
    ]
    assert not found.unknown


def test_what_is_charged_for_and_counted_as_nothing_is_missed() -> None:
    """And what was reported whole is no estimate."""
    nothing: dict[str, Any] = {"basis": Basis.NOTHING, "usage": Usage(0, 0), "cost": 0, "table": 0}
    assert len(judged([attempt(**nothing)], line()).missed) == 1
    guess: dict[str, Any] = {"basis": Basis.ESTIMATE, "usage": Usage(11, 5, estimated=True), "cost": 77}
    found = judged([attempt(**guess)], line())
    assert len(found.overlooked) == 1
    told = difference(found.of(Basis.ESTIMATE))
    assert (told.attempts, told.tokens, told.cost, told.apart, told.share) == (1, (15, 16), (70, 77), 7, 0.1)


def test_requests_are_told_call_by_call() -> None:
    """One that nobody saw does not make up for one too many of another call, and probes are nobody's attempts."""
    other = line()._replace(request_id="other")
    assert sightings({"call": 1, "other": 1}, [line(), other]) == Sightings()
    assert sightings({"call": 2, "other": 1}, [line(), other, other]) == Sightings(unseen=1, surplus=1)
    assert sightings({"call": 0}, [line()._replace(outcome="cut", status=None)]).surplus == 1
    assert sightings({}, [line()._replace(request_id="probe_7"), other]) == Sightings(surplus=1, probes=1)


def test_a_request_goes_out_again_where_the_upstream_dropped_it_without_a_word() -> None:
    """Once a call, and not after an answer had begun."""
    dropped = line()._replace(outcome="cut", status=None)
    assert sightings({"call": 1}, [dropped, line(2)]) == Sightings(twice=1)
    assert sightings({"call": 1}, [dropped, dropped, line(3)]) == Sightings(surplus=1, twice=1)
    assert sightings({"call": 1}, [line()._replace(outcome="cut"), line(2)]) == Sightings(surplus=1)
