"""An upstream's quota is used to the full and never overrun, neither in a minute nor in a second."""

import math
from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hybridproxy.model.limits import Rates
from hybridproxy.resilience.limiter import GAP, SPAN, Limiter, Minute, Pace, Taken, per_second


def most_within(times: list[float], seconds: float) -> int:
    """Return the largest number of moments within any half-open span of so many seconds."""
    return max(bisect_left(times, first + seconds) - n for n, first in enumerate(times))


def sent(limiter: Limiter, until: float, tokens: int = 0, step: float = 0.001) -> list[float]:
    """Return when calls began that are sent as soon as there is room, from an arbitrary moment on."""
    now, times = 1000.25, []
    end = now + until
    while now < end:
        wait = limiter.wait(now, tokens)
        if wait:
            now += max(step, wait)
            continue
        limiter.take(now, tokens)
        times.append(now)
    return times


@pytest.mark.parametrize("rpm", [1, 7, 59, 60, 61, 90, 600, 1000, 3000])
def test_a_quota_of_requests_is_used_to_the_full_and_never_overrun(rpm: int) -> None:
    """In any 60 s no more than its requests begin, in any second no more than a sixtieth, and 95 % of it is used."""
    times = sent(Limiter(Rates(rpm=rpm)), 185.0)
    assert most_within(times, SPAN) <= rpm
    assert most_within(times, 1.0) <= math.ceil(per_second(rpm))
    assert len(times) >= 0.95 * rpm * 3


@pytest.mark.parametrize(("tpm", "each"), [(60_000, 150), (60_000, 1000), (60_000, 7000), (400_000, 1500), (900, 800)])
def test_a_quota_of_tokens_is_used_to_the_full_and_never_overrun(tpm: int, each: int) -> None:
    """The same for tokens; calls that do not divide the quota leave less than one call of it unused."""
    times = sent(Limiter(Rates(tpm=tpm)), 185.0, each)
    assert most_within(times, SPAN) * each <= tpm
    of_a_second = most_within(times, 1.0) - 1
    assert of_a_second * each <= max(tpm / SPAN, each)
    assert len(times) * each >= 3 * 0.95 * (tpm - tpm % each)


def test_a_burst_is_spread_and_not_refused() -> None:
    """Of ten requests a second, three that come at once go a tenth of a second after each other."""
    limiter = Limiter(Rates(rpm=600))
    times = sent(limiter, 0.25)
    assert [round(later - earlier, 3) for earlier, later in pairwise(times)] == [0.082, 0.102]


def test_a_large_quota_lets_some_go_at_once() -> None:
    """The slack of a fiftieth of a second holds ten of 30,000 a minute."""
    assert len(sent(Limiter(Rates(rpm=30_000)), 0.0005, step=0.0001)) == 10


@example(rpm=3, tpm=50, calls=[(0.0, 20), (0.0, 20), (0.0, 20), (59.0, 20)])
@given(
    rpm=st.none() | st.integers(1, 200),
    tpm=st.none() | st.integers(1, 5000),
    calls=st.lists(st.tuples(st.floats(0, 20), st.integers(0, 3000)), max_size=60),
)
def test_no_window_is_ever_overrun_and_every_wait_is_honest(
    rpm: int | None, tpm: int | None, calls: list[tuple[float, int]]
) -> None:
    """Whatever comes when: no 60 s hold more than the quota, and after the wait that was told there is room."""
    limiter, now, begun = Limiter(Rates(rpm=rpm, tpm=tpm)), 50.0, []
    for gap, asked in calls:
        now += gap
        tokens = limiter.expected(asked, 0)
        wait = limiter.wait(now, tokens)
        if wait:
            assert wait <= SPAN + 2
            assert limiter.wait(now + wait / 2, tokens) > 0 or wait < 1e-6
            now += wait + 1e-6
            assert limiter.wait(now, tokens) == 0
        limiter.take(now, tokens)
        begun.append((now, tokens))
    for first, _ in begun:
        within = [tokens for at, tokens in begun if first <= at < first + SPAN]
        assert rpm is None or len(within) <= rpm
        assert tpm is None or sum(within) <= tpm


@given(st.lists(st.tuples(st.integers(1, 2000), st.integers(0, 2000), st.booleans()), max_size=30))
def test_what_was_not_used_is_there_again(calls: list[tuple[int, int, bool]]) -> None:
    """Settled by what was used, or given back whole, the window holds exactly what was used."""
    limiter, used, sent_calls = Limiter(Rates(rpm=100_000, tpm=100_000)), 0, 0
    for estimate, tokens, goes in calls:
        taken = limiter.take(10.0, limiter.expected(estimate, 0))
        if goes:
            limiter.settle(taken, tokens)
            used, sent_calls = used + tokens, sent_calls + 1
        else:
            limiter.give_back(taken)
    assert (limiter.tokens.total, limiter.requests.total, limiter.under_way) == (used, sent_calls, 0)


def test_what_was_not_used_makes_room_at_once() -> None:
    """A call that expected a long answer and got a short one does not hold up the next."""
    limiter = Limiter(Rates(tpm=60_000))
    taken = limiter.take(0.0, 50_000)
    assert limiter.wait(0.0, 1000) > 0.9
    assert limiter.wait(2.0, 20_000) > 50
    limiter.settle(taken, 100)
    assert limiter.wait(0.2, 20_000) == 0


def test_a_call_larger_than_the_quota_goes_when_nothing_else_does() -> None:
    """It counts as the whole quota; else it could never be sent."""
    limiter = Limiter(Rates(tpm=1000))
    assert limiter.expected(1_000_000, 0) == 1000
    assert limiter.wait(5.0, limiter.expected(1_000_000, 0)) == 0
    limiter.take(5.0, 1000)
    assert limiter.wait(5.0, 1) == pytest.approx(61)


def test_the_longest_answer_a_caller_allows_is_not_what_it_gets() -> None:
    """Of `max_tokens: 8000` no more is taken than twice the answers of lately; at first all of it."""
    limiter = Limiter(Rates(tpm=100_000))
    assert limiter.expected(100, 8000) == 8100
    limiter.settle(limiter.take(0.0, 8100), 300, answer=200)
    assert limiter.expected(100, 8000) == 100 + 401
    assert limiter.expected(100, 50) == 150
    limiter.settle(limiter.take(0.0, 500), 1300, answer=1200)
    assert limiter.usual == 300


def test_so_many_are_under_way_and_no_more() -> None:
    """Of two at a time the third has to wait until one ends."""
    limiter = Limiter(Rates(streams=2))
    one, _ = limiter.take(0.0, 0), limiter.take(0.0, 0)
    assert limiter.busy
    assert limiter.wait(0.0, 0) == 0
    limiter.settle(one, 10)
    assert not limiter.busy
    assert limiter.tokens.total == 0


def test_workers_share_a_quota() -> None:
    """Each of four holds a quarter, and one at least; what is used stays used."""
    limiter = Limiter(Rates(rpm=10, tpm=100, streams=3), workers=4)
    assert limiter.rates == Rates(2, 25, 1)
    limiter.take(0.0, 25)
    limiter.set(Rates(rpm=10, tpm=100, streams=3))
    assert limiter.rates == Rates(10, 100, 3)
    assert limiter.tokens.total == 25


def test_who_waits_is_told_of_those_ahead() -> None:
    """The fifth of a line at ten requests a second waits for four gaps more; the same for tokens."""
    limiter = Limiter(Rates(rpm=600, tpm=60_000))
    limiter.take(0.0, 0)
    alone = limiter.wait(0.0, 0)
    assert limiter.wait(0.0, 0, ahead=4) == pytest.approx(alone + 4 * 0.1025)
    assert limiter.wait(0.0, 10, ahead=1, tokens_ahead=3000) == pytest.approx(3 * GAP)


def test_a_minute_forgets() -> None:
    """What is older than a minute counts no more, and cannot be corrected any more."""
    minute = Minute()
    assert minute.span(10.0) == 1.0
    first = minute.add(10.0, 5)
    minute.add(50.5, 2)
    assert minute.span(50.5) == 40.5
    assert minute.wait(60.0, 8, 2) == 11.0
    assert minute.wait(60.0, 8, 7) == 51.0
    assert minute.wait(60.0, 8, 9) == SPAN + 1
    minute.expire(71.0)
    minute.correct(first, 100)
    assert minute.total == 2
    assert minute.add(50.7, 1) == 50


def test_a_pace_counts_of_a_large_amount_a_seconds_worth() -> None:
    """One long prompt holds up the others for a second, not for as long as it is."""
    pace = Pace(100.0)
    assert pace.take(0.0, 1000) == 100
    assert pace.wait(0.0) == pytest.approx(GAP - 0.02)
    pace.correct(100, 50)
    assert pace.wait(0.0) == pytest.approx(GAP / 2 - 0.02)
    pace.set(10.0)
    assert pace.wait(0.0, ahead=10) == pytest.approx(GAP / 2 - 0.02 + GAP)
    assert Taken(1, 2, 3.0) == Taken(1, 2, 3.0)
