"""Tests of when a target is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.fault import Verdict
from hybridproxy.resilience.breaker import CLOSED, FAULTS_TO_OPEN, MAX_COOL_OFF, OPEN_SECONDS, BreakerState, step

WAITS = st.none() | st.floats()
OUTCOMES = st.tuples(st.sampled_from(Verdict), WAITS, st.floats(0, 10))


def after(*verdicts: Verdict, now: float = 100.0) -> BreakerState:
    """The state after these outcomes at one moment."""
    state = CLOSED
    for verdict in verdicts:
        state = step(state, verdict, now, what="it could not be reached")
    return state


def test_faults_in_a_row_open_it_with_a_reason() -> None:
    """The fifth opens; four and one good answer in between do not."""
    faults = [Verdict.FAULT] * FAULTS_TO_OPEN
    assert after(*faults[1:]).until == 0
    assert after(*faults[1:], Verdict.OK, *faults[1:]).until == 0
    state = after(*faults)
    assert state.until == 100 + OPEN_SECONDS
    assert state.reason == "open after 5 faults in a row: it could not be reached"


def test_the_probe_decides() -> None:
    """When the open time is over the next call is the probe: a fault opens again at once, success closes."""
    state = after(*[Verdict.FAULT] * FAULTS_TO_OPEN)
    later = state.until + 1
    assert step(state, Verdict.FAULT, later).until == later + OPEN_SECONDS
    assert step(state, Verdict.OK, later) is CLOSED


def test_a_refused_credential_counts_like_a_fault() -> None:
    """A key that is refused five times in a row is left alone for a while."""
    assert after(*[Verdict.CREDENTIAL] * FAULTS_TO_OPEN).until > 0


def test_throttling_is_a_cool_off_and_no_evidence() -> None:
    """However often it throttles, the breaker counts nothing; without a wait nothing happens at all."""
    state = step(CLOSED, Verdict.THROTTLE, 100, wait=7, what="it is throttling us")
    assert state == BreakerState(0, 107, "cooling off: it is throttling us")
    assert step(state, Verdict.THROTTLE, 101, wait=None) is state


def test_a_shorter_cool_off_does_not_cut_a_longer_one() -> None:
    """Of two waits that overlap the later end holds, with its own reason."""
    state = step(CLOSED, Verdict.THROTTLE, 100, wait=30, what="long")
    assert step(state, Verdict.THROTTLE, 101, wait=2, what="short") is state


@pytest.mark.parametrize("wait", [1e9, float("inf")])
def test_a_cool_off_has_an_upper_bound(wait: float) -> None:
    """An upstream cannot put itself out of use for days by a slip."""
    assert step(CLOSED, Verdict.THROTTLE, 100, wait=wait).until == 100 + MAX_COOL_OFF


@given(st.lists(OUTCOMES, max_size=30))
def test_it_never_closes_without_a_good_answer_nor_opens_by_what_counts_for_nothing(
    outcomes: list[tuple[Verdict, float | None, float]],
) -> None:
    """Whatever happens: only OK forgets faults, IGNORED changes nothing, and no wait is longer than the bound."""
    state, now = CLOSED, 0.0
    for verdict, wait, passed in outcomes:
        now += passed
        before, state = state, step(state, verdict, now, wait=wait)
        assert state.until <= max(before.until, now + MAX_COOL_OFF)
        match verdict:
            case Verdict.OK:
                assert state is CLOSED
            case Verdict.IGNORED:
                assert state is before
            case _:
                assert state.faults >= before.faults
                assert state.until >= before.until
        if verdict is Verdict.THROTTLE:
            assert state.faults == before.faults
