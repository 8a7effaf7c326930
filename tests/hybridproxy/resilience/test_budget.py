"""What a tenant's calls may add to load and bill."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.price import NANO
from hybridproxy.resilience.budget import (
    HEDGES_SAVED,
    MONEY_FLOOR,
    MONEY_SHARE,
    MONEY_SPAN,
    RETRY_FLOOR,
    RETRY_SHARE,
    RETRY_SPAN,
    Allowance,
    Allowances,
    Tally,
)

FLOOR = int(RETRY_FLOOR * RETRY_SPAN)


def taken(allowance: Allowance, now: float, times: int, *, cost: int = 0) -> int:
    """How many of so many retries there is room for."""
    return sum(allowance.retry(now, loads=True, cost=cost) for _ in range(times))


# ---- sums ------------------------------------------------------------------------------------------------------------


def test_a_tally_forgets_what_is_older_than_its_span() -> None:
    """Ten seconds in ten parts: the part of ten seconds ago is gone, that of nine seconds ago is not."""
    tally = Tally(10)
    tally.add(100.0, 5)
    tally.add(103.0)
    assert [tally.total(now) for now in (103.0, 109.9, 110.0, 112.9, 113.0)] == [6, 6, 1, 1, 0]


def test_an_amount_may_be_taken_back() -> None:
    """An estimate that was too high is corrected, in the part that is now."""
    tally = Tally(10)
    tally.add(100.0, 500)
    tally.add(100.5, -200)
    assert tally.total(100.9) == 300


@given(
    st.lists(st.tuples(st.floats(0, 30), st.integers(-5, 100)), max_size=40),
    st.sampled_from([(10.0, 10), (3600.0, 60), (1.0, 4)]),
    st.floats(0, 1e6),
)
def test_a_tally_equals_a_plain_list_of_amounts(
    steps: list[tuple[float, int]], size: tuple[float, int], begun: float
) -> None:
    """Whatever is added when: the sum is that of a list which keeps each amount with its part, never below nothing."""
    span, slots = size
    tally, kept, now = Tally(span, slots), list[tuple[int, int]](), begun
    for passed, amount in steps:
        now += passed
        slot = int(now / (span / slots))
        tally.add(now, amount)
        kept.append((slot, amount))
        assert tally.total(now) == max(0, sum(given for at, given in kept if at > slot - slots))
        assert len(tally._parts) <= slots


# ---- retries ---------------------------------------------------------------------------------------------------------


def test_a_quiet_tenant_may_retry() -> None:
    """With hardly a call a tenth of the calls would be nothing; so one a second is there in any case."""
    allowance = Allowance()
    allowance.called(100.0)
    assert taken(allowance, 100.0, 50) == FLOOR
    assert taken(allowance, 100.0 + RETRY_SPAN, 50) == FLOOR


def test_a_busy_tenant_may_retry_a_tenth_of_its_calls() -> None:
    """When every backend fails, a thousand calls become eleven hundred attempts and not three thousand."""
    allowance = Allowance()
    for n in range(1000):
        allowance.called(100.0 + n / 1000)
    assert taken(allowance, 101.0, 1000) == 1000 * RETRY_SHARE + FLOOR


def test_what_was_never_sent_loads_nobody() -> None:
    """A connection that was refused is tried elsewhere however many there were."""
    allowance = Allowance()
    assert taken(allowance, 100.0, 50) == FLOOR
    assert all(allowance.retry(100.0, loads=False) for _ in range(100))


def test_a_call_that_moves_is_no_retry() -> None:
    """It takes no room of the retries, however little is left."""
    allowance = Allowance()
    assert taken(allowance, 100.0, 50) == FLOOR
    assert all(allowance.retry(100.0, loads=True, moves=True) for _ in range(100))


# ---- money -----------------------------------------------------------------------------------------------------------


def test_a_tenant_that_spent_nothing_may_lose_half_a_dollar() -> None:
    """A quarter of a dollar twice, and not a third time within the hour."""
    allowance = Allowance()
    assert taken(allowance, 100.0, 5, cost=NANO // 4) == 2
    assert taken(allowance, 100.0 + MONEY_SPAN / 2, 5, cost=NANO // 4) == 0
    assert taken(allowance, 100.0 + MONEY_SPAN, 5, cost=NANO // 4) == 2


def test_a_tenant_that_spends_may_lose_a_twentieth() -> None:
    """Of a hundred dollars within the hour five."""
    allowance = Allowance()
    allowance.spent(100.0, 100 * NANO)
    assert taken(allowance, 200.0, 9, cost=NANO) == 100 * MONEY_SHARE


def test_calls_that_move_may_lose_five_times_as_much() -> None:
    """An outage catches all that wait: two and a half dollars of a tenant that spent nothing, then no more."""
    allowance, moved = Allowance(), 0
    while allowance.retry(100.0, loads=True, cost=NANO // 4, moves=True):
        moved += 1
    assert moved == 10
    assert not allowance.retry(100.0, loads=True, cost=1)


def test_what_the_money_does_not_allow_takes_no_room_of_the_retries() -> None:
    """A retry that was refused for its price was not made."""
    allowance = Allowance()
    assert taken(allowance, 100.0, 20, cost=2 * MONEY_FLOOR) == 0
    assert taken(allowance, 100.0, 20) == FLOOR


def test_what_the_load_does_not_allow_takes_no_money() -> None:
    """And the other way round."""
    allowance = Allowance()
    assert taken(allowance, 100.0, 20) == FLOOR
    assert taken(allowance, 100.0, 20, cost=MONEY_FLOOR) == 0
    assert allowance.retry(100.0, loads=False, cost=MONEY_FLOOR)


def test_a_measured_amount_takes_the_place_of_an_estimate() -> None:
    """The prompt was shorter than its bytes let fear: the rest of the half dollar is there again."""
    allowance = Allowance()
    assert allowance.retry(100.0, loads=True, cost=MONEY_FLOOR)
    assert not allowance.retry(100.0, loads=True, cost=NANO // 10)
    allowance.correct(101.0, -NANO // 10)
    assert allowance.retry(101.0, loads=True, cost=NANO // 10)


@given(
    st.lists(
        st.tuples(st.floats(0, 5), st.integers(0, 30), st.booleans(), st.integers(0, NANO), st.integers(0, 20 * NANO)),
        max_size=40,
    )
)
def test_no_more_is_ever_taken_than_the_shares_and_floors_allow(
    steps: list[tuple[float, int, bool, int, int]],
) -> None:
    """Whatever a tenant does: within any span its retries and its lost money stay under the two lines."""
    allowance, now = Allowance(), 100.0
    retries, calls, lost, spent = list[float](), list[float](), list[tuple[float, int]](), list[tuple[float, int]]()
    for passed, called, loads, cost, paid in steps:
        now += passed
        for _ in range(called):
            allowance.called(now)
        calls += [now] * called
        allowance.spent(now, paid)
        spent.append((now, paid))
        if allowance.retry(now, loads=loads, cost=cost):
            retries += [now] * loads
            lost.append((now, cost))
            slot = int(now)
            of_calls = sum(int(at) > slot - RETRY_SPAN for at in calls)
            assert sum(int(at) > slot - RETRY_SPAN for at in retries) <= RETRY_SHARE * of_calls + FLOOR or not loads
            assert sum(c for _, c in lost) <= max(MONEY_FLOOR, MONEY_SHARE * sum(p for _, p in spent)) or not cost


# ---- hedges ----------------------------------------------------------------------------------------------------------


def test_hedges_are_a_share_of_the_calls() -> None:
    """At two in a hundred, the fiftieth call has saved one."""
    allowance = Allowance()
    for _ in range(48):
        allowance.called(100.0, 0.02)
    assert not allowance.hedge()
    for _ in range(3):
        allowance.called(100.0, 0.02)
    assert allowance.hedge()
    assert not allowance.hedge()


def test_hedges_that_nobody_needed_are_saved_up_to_a_few() -> None:
    """A quiet month does not pay for a storm."""
    allowance = Allowance()
    for _ in range(1000):
        allowance.called(100.0, 0.5)
    assert sum(allowance.hedge() for _ in range(100)) == HEDGES_SAVED


# ---- everybody's -----------------------------------------------------------------------------------------------------


def test_each_tenant_has_its_own() -> None:
    """One tenant's storm of retries leaves the others theirs; a call counts when it is sent, not when it is planned."""
    everybody = Allowances()
    assert taken(everybody.of("shop", 100.0), 100.0, 50) == FLOOR
    assert taken(everybody.of("bank", 100.0), 100.0, 50) == FLOOR
    assert everybody.of("shop", 100.0) is everybody.of("shop", 101.0)
    for _ in range(100):
        everybody.of("small", 100.0).called(100.0)
    assert taken(everybody.of("small", 100.0), 100.0, 50) == FLOOR + int(100 * RETRY_SHARE)


@pytest.mark.parametrize(("silence", "known"), [(MONEY_SPAN - 1, 3), (MONEY_SPAN + 1, 2)])
def test_who_has_not_called_for_an_hour_is_forgotten(silence: float, known: int) -> None:
    """Nothing of it counts any more, so nothing has to be kept; who called meanwhile stays."""
    everybody = Allowances()
    everybody.of("gone", 5000.0)
    kept = everybody.of("here", 5000.0)
    assert everybody.of("here", 5000.0 + silence - 1) is kept
    everybody.of("new", 5000.0 + silence)
    assert len(everybody) == known
    assert everybody.of("here", 5000.0 + silence) is kept
