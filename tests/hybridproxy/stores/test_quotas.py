"""What tenants have in use: all limits have room or nothing is taken, and everything is given back or settled once."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.metering.report import OTHERS
from hybridproxy.model.limits import NO_LIMITS, Caps, LimitKey, Limits, Measure, ModelLimits, Rates
from hybridproxy.model.snapshot import Tenant
from hybridproxy.resilience.quota import Excess
from hybridproxy.routing.gate import covers
from hybridproxy.stores.quotas import IDLE, MAX_MODELS, MAX_SHOWN, SWEEP_EVERY, UNSURE, Quotas, Reservation
from tests.support.limited import enter, leave, rates, reserve

NOON = 1_795_780_800.0
"""2026-11-27 12:00 UTC."""


class Clocks:
    """Both clocks, set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall = NOON

    def pass_(self, seconds: float) -> None:
        """Let time pass on both."""
        self.now += seconds
        self.wall += seconds


@pytest.fixture
def clocks() -> Clocks:
    """Clocks."""
    return Clocks()


@pytest.fixture
def quotas(clocks: Clocks) -> Quotas:
    """Quotas of a process that is alone."""
    return made(clocks)


def made(clocks: Clocks, shares: Any = None) -> Quotas:
    """Return quotas on these clocks."""
    return Quotas(lambda: clocks.now, lambda: clocks.wall, shares)


def tenant(name: str = "shop", *models: ModelLimits, **given_: int) -> Tenant:
    """Return a tenant with limits."""
    caps = Caps(given_.pop("day", None), given_.pop("month", None))
    return Tenant(name, "default", limits=Limits(Rates(**given_), caps, models))


def reserved(quotas: Quotas, who: Tenant, model: str = "qwen", tokens: int = 0, cost: int = 0) -> Reservation:
    """Reserve, where there has to be room."""
    got = reserve(quotas, who, model, tokens, cost)
    assert isinstance(got, Reservation), got
    return got


def refused(quotas: Quotas, who: Tenant, model: str = "qwen", tokens: int = 0, cost: int = 0) -> Excess:
    """Reserve, where there must not be room."""
    got = reserve(quotas, who, model, tokens, cost)
    assert isinstance(got, Excess), got
    return got


def used(quotas: Quotas) -> dict[tuple[str, str], int]:
    """Return what is in use, by pattern and measure."""
    return {(use.key[1], use.key[2].value): use.used for use in quotas.uses(every=True)}


# ---- places ----------------------------------------------------------------------------------------------------------


def test_so_many_calls_at_a_time_and_no_more(quotas: Quotas) -> None:
    """The third of two is refused before its body is read, until one of the others is over."""
    shop = tenant(streams=2)
    assert enter(quotas, shop) is None
    assert enter(quotas, shop) is None
    assert enter(quotas, shop) == Excess(Measure.STREAMS, "", 2, 2, 1, UNSURE)
    leave(quotas, shop)
    assert enter(quotas, shop) is None
    assert quotas.refused[Measure.STREAMS] == 1


def test_places_are_right_over_reloads_that_take_the_limit_away_and_bring_it_back(quotas: Quotas) -> None:
    """Calls that began without it count as well, and what they give back is what they took."""
    before, between, free = tenant(streams=2, rpm=9), tenant(rpm=9), Tenant("shop", "default", limits=NO_LIMITS)
    assert enter(quotas, before) is None
    assert enter(quotas, free) is None
    assert enter(quotas, between) is None
    assert enter(quotas, before) is not None
    leave(quotas, free)
    assert enter(quotas, before) is not None
    leave(quotas, between)
    assert enter(quotas, before) is None
    for _ in range(2):
        leave(quotas, before)
    assert used(quotas)["", "streams"] == 0


def test_places_of_one_model_are_taken_with_the_reservation(quotas: Quotas) -> None:
    """Which model it is stands in the body; they are given back when the reservation is settled."""
    shop = tenant("shop", ModelLimits("big-*", Rates(streams=1)))
    first = reserved(quotas, shop, "big-one")
    assert refused(quotas, shop, "big-two").scope == "big-*"
    reserved(quotas, shop, "small")
    first.settle(1, 1)
    first.settle(1, 1)
    reserved(quotas, shop, "big-two")


# ---- requests and tokens ---------------------------------------------------------------------------------------------


def test_requests_of_the_last_minute(quotas: Quotas, clocks: Clocks) -> None:
    """Who has used them up is refused at the door, is told when to come back, and gets in then."""
    shop = tenant(rpm=2)
    for _ in range(2):
        assert enter(quotas, shop) is None
        reserved(quotas, shop)
        clocks.pass_(10)
    assert enter(quotas, shop) == Excess(Measure.REQUESTS, "", 2, 2, 1, 40.0)
    assert refused(quotas, shop).wait == 40.0
    clocks.pass_(40)
    assert enter(quotas, shop) is None
    reserved(quotas, shop)


def test_all_limits_have_room_or_nothing_is_taken(quotas: Quotas) -> None:
    """A model's limit that has none leaves the tenant's own as they are."""
    shop = tenant("shop", ModelLimits("qwen*", Rates(tpm=100), Caps(day=1000)), rpm=10, tpm=1000)
    reserved(quotas, shop, "qwen", tokens=90, cost=10)
    assert refused(quotas, shop, "qwen", tokens=20).scope == "qwen*"
    assert refused(quotas, shop, "qwen", tokens=5, cost=991).measure is Measure.DAY
    assert used(quotas) == {("", "requests"): 1, ("", "tokens"): 90, ("qwen*", "tokens"): 90, ("qwen*", "day"): 10}
    reserved(quotas, shop, "llama", tokens=900)
    assert refused(quotas, shop, "llama", tokens=11).scope == ""


def test_what_is_more_than_the_limit_by_itself_never_fits(quotas: Quotas) -> None:
    """No waiting helps, so none is asked for."""
    assert refused(quotas, tenant(tpm=100), tokens=101) == Excess(Measure.TOKENS, "", 100, 0, 101, None)


def test_a_reservation_is_settled_once(quotas: Quotas) -> None:
    """By what was used; or all of it is given back; or it stands. Whatever comes after that changes nothing."""
    shop = tenant(rpm=10, tpm=1000, day=1000)
    settled, unused, stands = (reserved(quotas, shop, tokens=100, cost=50) for _ in range(3))
    settled.settle(30, 20)
    unused.give_back()
    stands.stands()
    for reservation in (settled, unused, stands):
        reservation.settle(9, 9)
        reservation.give_back()
        reservation.stands()
    assert used(quotas) == {("", "requests"): 2, ("", "tokens"): 130, ("", "day"): 70}
    assert {use.reserved for use in quotas.uses()} == {0}


def test_who_takes_nothing_of_a_limit_needs_no_room_there(quotas: Quotas) -> None:
    """A count of tokens, or a call to a backend that costs nothing, passes a budget that is used up."""
    shop = tenant(day=100, tpm=10)
    reserved(quotas, shop, tokens=10, cost=100)
    assert refused(quotas, shop, cost=1).measure is Measure.DAY
    reserved(quotas, shop)


def test_what_is_left_is_told_of_the_tightest(quotas: Quotas, clocks: Clocks) -> None:
    """Requests and tokens; before the model is known, of the limits of all calls."""
    shop = tenant("shop", ModelLimits("qwen*", Rates(rpm=3, tpm=50)), rpm=100, day=5)
    reserved(quotas, shop, "qwen", tokens=20)
    clocks.pass_(15)
    told = rates(quotas, shop, "qwen")
    assert told == {Measure.REQUESTS: (3, 2, 45.0), Measure.TOKENS: (50, 30, 45.0)}
    assert rates(quotas, shop, None) == {Measure.REQUESTS: (100, 99, 45.0)}
    assert rates(quotas, shop, "llama") == {Measure.REQUESTS: (100, 99, 45.0)}


def test_without_a_limit_nothing_is_counted(quotas: Quotas) -> None:
    """Such a tenant has nothing in use, whatever it does."""
    assert quotas.of(Tenant("free", "default")) is None
    assert len(quotas) == 0


def test_an_estimate_is_needed_where_tokens_or_money_are_limited(quotas: Quotas) -> None:
    """Which is for the models that such a limit covers."""

    def weighs(who: Tenant, model: str = "qwen") -> bool:
        mine = quotas.of(who)
        assert mine is not None
        return mine.covering(model).weighs

    assert not weighs(tenant("a", rpm=1, streams=1))
    assert weighs(tenant("b", tpm=1))
    assert weighs(tenant("c", month=1))
    only = tenant("d", ModelLimits("qwen*", caps=Caps(day=1)))
    assert (weighs(only, "qwen3"), weighs(only, "llama")) == (True, False)


def test_a_call_that_came_before_a_reload_goes_by_the_limits_after_it(quotas: Quotas) -> None:
    """It does not put the old ones in force again, for others neither."""
    mine = quotas.of(tenant(rpm=1, tpm=5))
    assert mine is not None
    assert quotas.enter(mine) is None
    reserved(quotas, tenant(rpm=9))
    assert isinstance(quotas.reserve(mine, mine.covering("qwen"), 100), Reservation)
    assert [(use.key[2], use.limit, use.used) for use in quotas.uses(every=True)] == [(Measure.REQUESTS, 9, 2)]


# ---- money -----------------------------------------------------------------------------------------------------------


def test_a_budget_is_exceeded_at_most_by_what_was_reserved_when_it_was_reached(quotas: Quotas) -> None:
    """Many in flight, each of which turns out dearer than was expected: the cap, and what those had too little."""
    shop = tenant(day=1000)
    flying = []
    while isinstance(got := reserve(quotas, shop, "qwen", 0, 90), Reservation):
        flying.append(got)
    assert len(flying) == 11
    assert got.wait == UNSURE
    for one in flying:
        one.settle(0, 100)
    assert refused(quotas, shop, cost=1).wait == 12 * 3600
    assert used(quotas)["", "day"] == 1100
    assert refused(quotas, shop, cost=1).used == 1100


def test_a_call_that_gets_dearer_than_expected_reserves_more(quotas: Quotas) -> None:
    """So that a budget is known to be used up while the calls that use it up go on; what is settled counts once."""
    shop = tenant(day=100, month=1000, tpm=1000)
    made = reserved(quotas, shop, tokens=5, cost=20)
    assert made.capped
    made.grow(60)
    made.grow(30)  # less than was known already
    uses = {use.key[2]: (use.used, use.reserved) for use in quotas.uses()}
    assert uses == {Measure.TOKENS: (5, 0), Measure.DAY: (60, 60), Measure.MONTH: (60, 60)}
    assert refused(quotas, shop, cost=41) == Excess(Measure.DAY, "", 100, 60, 41, UNSURE, 60)
    made.settle(5, 50)
    made.grow(90)
    uses = {use.key[2]: (use.used, use.reserved) for use in quotas.uses()}
    assert uses == {Measure.TOKENS: (5, 0), Measure.DAY: (50, 0), Measure.MONTH: (50, 0)}
    other = reserved(quotas, shop, cost=10)
    other.grow(15)
    other.stands()
    assert {use.used for use in quotas.uses() if use.key[2] is Measure.DAY} == {65}
    assert not reserved(quotas, tenant("other", tpm=10), tokens=1).capped


def test_a_budget_that_is_only_reserved_has_room_again_soon(quotas: Quotas) -> None:
    """Not before the end of the period where it is spent."""
    shop = tenant(day=100)
    made = reserved(quotas, shop, cost=90)
    assert refused(quotas, shop, cost=20).wait == UNSURE
    made.settle(0, 90)
    excess = refused(quotas, shop, cost=20)
    assert (excess.wait, excess.reserved) == (43_200, 0)


def test_a_new_day_has_its_own_budget_and_the_month_goes_on(quotas: Quotas, clocks: Clocks) -> None:
    """At midnight, UTC."""
    shop = tenant(day=100, month=150)
    reserved(quotas, shop, cost=100).settle(0, 100)
    assert refused(quotas, shop, cost=1).measure is Measure.DAY
    clocks.pass_(12 * 3600)
    reserved(quotas, shop, cost=50).settle(0, 50)
    excess = refused(quotas, shop, cost=1)
    assert (excess.measure, excess.wait) == (Measure.MONTH, 3 * 86_400)


@pytest.mark.parametrize("step", [-86_400.0, -1e9, 86_400.0 * 31, 1e9])
def test_a_wall_clock_that_steps_changes_no_rate_and_reopens_no_budget(
    quotas: Quotas, clocks: Clocks, step: float
) -> None:
    """Back: what was spent is spent. Forward and back again: it is spent, too."""
    shop = tenant(rpm=1, day=100, month=100)
    reserved(quotas, shop, cost=100).settle(0, 100)
    clocks.wall += step
    assert enter(quotas, shop) is not None
    clocks.now += 61
    if step < 0:
        assert refused(quotas, shop, cost=1).measure is Measure.DAY
    clocks.wall -= step
    assert refused(quotas, shop, cost=1).measure is Measure.DAY


def test_what_the_ledger_knows_counts_from_the_start(quotas: Quotas) -> None:
    """Of today and of this month, for each of the limits that covers its model; odd rows are left out."""
    shop = tenant("shop", ModelLimits("qwen*", caps=Caps(day=1000)), day=1000, month=1000)
    quotas.restore(
        [
            ("2026-11-27", "shop", "qwen3", 100),
            ("2026-11-27", "shop", "llama", 10),
            ("2026-11-02", "shop", "llama", 5),
            ("2026-10-31", "shop", "llama", 900),
            ("2026-11-27", "other", "llama", 900),
            ("yesterday", "shop", "llama", 900),
            ("2026-11-27", "shop", "llama", -900),
        ]
    )
    reserved(quotas, shop, "qwen3", cost=1)
    assert used(quotas) == {("", "day"): 111, ("", "month"): 116, ("qwen*", "day"): 101}
    quotas.restore([("2026-11-27", "shop", "qwen3", 150), ("2026-11-27", "shop", "llama", 10)])
    assert used(quotas) == {("", "day"): 161, ("", "month"): 161, ("qwen*", "day"): 151}


def test_what_the_ledger_summed_up_of_too_many_models_counts_for_each_of_them(quotas: Quotas) -> None:
    """Who calls for ten thousand names in a day opens nobody's cap by a restart."""
    shop = tenant("shop", ModelLimits("qwen*", caps=Caps(day=1000)))
    quotas.restore([("2026-11-27", "shop", OTHERS, 990), ("2026-11-27", "shop", "qwen3", 10)])
    assert isinstance(reserve(quotas, shop, "qwen3", cost=1), Excess)


# ---- reloads and bounds ----------------------------------------------------------------------------------------------


def test_a_reload_changes_limits_and_forgets_no_use(quotas: Quotas) -> None:
    """A limit that is raised has room for the difference, one that is lowered has none."""
    reserved(quotas, tenant(rpm=1))
    raised = tenant(rpm=3)
    reserved(quotas, raised)
    reserved(quotas, raised)
    assert refused(quotas, raised).limit == 3
    assert refused(quotas, tenant(rpm=2)).used == 3
    reserved(quotas, tenant(rpm=4))


def test_who_does_not_call_is_dropped(quotas: Quotas, clocks: Clocks) -> None:
    """Once nothing is in use; money is remembered as long as its period lasts; a place as long as it is taken."""
    for who in (tenant("rates", rpm=5), tenant("money", day=5)):
        assert enter(quotas, who) is None
        reserved(quotas, who, cost=1)
        leave(quotas, who)
    assert enter(quotas, tenant("busy", streams=5)) is None
    clocks.pass_(SWEEP_EVERY + IDLE)
    reserve(quotas, tenant("new", rpm=1), "qwen")
    assert set(quotas._tenants) == {"money", "busy", "new"}
    clocks.pass_(3 * 86_400)
    leave(quotas, tenant("busy", streams=5))
    clocks.pass_(IDLE + 1)
    reserve(quotas, tenant("newer", rpm=1), "qwen")
    assert set(quotas._tenants) == {"newer"}


def test_who_is_not_configured_any_more_is_forgotten_when_its_calls_are_over(quotas: Quotas) -> None:
    """Their places are theirs until then."""
    gone = tenant("gone", streams=1)
    assert enter(quotas, gone) is None
    quotas.forget(lambda _name: False)
    assert len(quotas) == 1
    leave(quotas, gone)
    quotas.forget(lambda _name: False)
    assert len(quotas) == 0


def test_a_tenant_that_is_lost_by_mistake_has_spent_what_it_spent(quotas: Quotas) -> None:
    """A reload without it, and one with it again, reopen no budget."""
    shop = tenant(day=10)
    reserved(quotas, shop, cost=10).settle(5, 10)
    quotas.forget(lambda _name: False)
    assert isinstance(reserve(quotas, shop, "qwen", cost=1), Excess)


def test_names_of_models_are_remembered_within_bounds(quotas: Quotas) -> None:
    """With a wildcard model callers choose the names."""
    shop = tenant(rpm=10**6)
    for n in range(2 * MAX_MODELS):
        reserved(quotas, shop, f"free/{n}")
    assert len(quotas._tenants["shop"].by_model) <= MAX_MODELS


# ---- shares ----------------------------------------------------------------------------------------------------------


class Half:
    """Half of each limit is ours."""

    def __init__(self) -> None:
        self.told: list[LimitKey] = []

    def ceiling(self, _key: LimitKey, limit: int) -> int:
        return limit // 2

    def short(self, key: LimitKey) -> None:
        self.told.append(key)


def test_a_share_that_is_used_up_asks_for_more_and_says_come_back_soon(clocks: Clocks) -> None:
    """It asks before it is used up. After a while without more, the wait is that of its own use."""
    half = Half()
    quotas = made(clocks, half)
    shop, key = tenant(rpm=20), ("shop", "", Measure.REQUESTS)
    for _ in range(7):
        reserved(quotas, shop)
    assert half.told == []
    for _ in range(3):
        reserved(quotas, shop)
    assert half.told == [key] * 3
    assert refused(quotas, shop) == Excess(Measure.REQUESTS, "", 20, 10, 1, UNSURE)
    assert half.told == [key] * 4
    clocks.pass_(3)
    assert refused(quotas, shop).wait == 57
    (use,) = quotas.uses()
    assert (use.used, use.short, use.want) == (10, True, 20)


class Wide:
    """Tells of more than there is."""

    def ceiling(self, _key: LimitKey, limit: int) -> int:
        return limit * 100

    def short(self, _key: LimitKey) -> None: ...


def test_no_share_is_more_than_the_limit(clocks: Clocks) -> None:
    """Whatever the others say."""
    quotas = made(clocks, Wide())
    reserved(quotas, tenant(rpm=1))
    assert refused(quotas, tenant(rpm=1)).measure is Measure.REQUESTS


def test_what_is_told_to_the_fleet(quotas: Quotas, clocks: Clocks) -> None:
    """What is in use, and what it would be in two seconds; of limits that were touched lately."""
    shop = tenant(rpm=1000, streams=10, day=100)
    for _ in range(8):
        assert enter(quotas, shop) is None
        reserved(quotas, shop, cost=2)
    told = {use.key[2]: use for use in quotas.uses()}
    assert (told[Measure.REQUESTS].used, told[Measure.REQUESTS].want) == (8, 16)
    assert (told[Measure.STREAMS].used, told[Measure.STREAMS].want) == (8, 10)
    assert (told[Measure.DAY].used, told[Measure.DAY].reserved, told[Measure.DAY].want) == (16, 16, 32)
    assert told[Measure.DAY].period == 20_784
    clocks.pass_(3)
    assert next(use for use in quotas.uses() if use.key[2] is Measure.REQUESTS).want == 16
    clocks.pass_(2)
    assert next(use for use in quotas.uses() if use.key[2] is Measure.REQUESTS).want == 8
    clocks.pass_(IDLE)
    assert [use.key[2] for use in quotas.uses()] == [Measure.STREAMS]
    for _ in range(8):
        leave(quotas, shop)
    clocks.pass_(IDLE + 1)
    assert list(quotas.uses()) == []
    assert [use.key[2] for use in quotas.uses(every=True)] == [Measure.DAY]


def test_the_fullest_limits_are_shown_first(quotas: Quotas) -> None:
    """For whoever is on call; within bounds."""
    for n in range(MAX_SHOWN + 1):
        reserved(quotas, tenant(f"t{n}", rpm=100))
    reserved(quotas, tenant("full", day=10), cost=9)
    shown = quotas.state()
    assert shown["limits"][0] == {
        "tenant": "full", "models": "*", "measure": "day", "limit": 10, "share": 10, "used": 9, "reserved": 9,
        "refused": 0,
    }  # fmt: skip
    assert (len(shown["limits"]), shown["limits_left_off"]) == (MAX_SHOWN, 2)


def test_patterns() -> None:
    """Only the star is special."""
    assert covers("*", "anything")
    assert covers("qwen*", "qwen3")
    assert covers("a[b]*", "a[b]c")
    assert not covers("qwen", "qwen3")
    assert not covers("qwen?*", "qwen3")


# ---- any history -----------------------------------------------------------------------------------------------------

MODELS = ("qwen3", "qwen-max", "llama")
ENDS: tuple[Callable[[Reservation, int], None], ...] = (
    lambda one, n: one.settle(n, n),
    lambda one, _: one.give_back(),
    lambda one, _: one.stands(),
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(MODELS), st.integers(0, 30), st.integers(0, 30), st.floats(0, 20), st.integers(0, 20)
        ),
        max_size=60,
    )
)
def test_after_any_history_nothing_is_left_once_all_calls_are_over(history: list[Any]) -> None:
    """Settled in any order and any number of times: places are free, and a minute later only money is left: the sum."""
    clocks = Clocks()
    quotas = made(clocks)
    shop = tenant(
        "shop", ModelLimits("qwen*", Rates(rpm=20, streams=5), Caps(day=300)), rpm=30, tpm=400, streams=8, month=500
    )
    flying: list[tuple[Reservation, int]] = []
    spent = 0
    for model, tokens, cost, passed, which in history:
        clocks.now += passed
        if enter(quotas, shop) is None:
            got = reserve(quotas, shop, model, tokens, cost)
            if isinstance(got, Reservation):
                flying.append((got, cost))
            else:
                leave(quotas, shop)
        if which < len(flying):
            one, reserved_ = flying.pop(which)
            end = which % 3
            ENDS[end](one, tokens)
            ENDS[(end + 1) % 3](one, tokens)
            spent += (tokens, 0, reserved_)[end]
            leave(quotas, shop)
        assert all(use.used >= 0 and use.reserved >= 0 for use in quotas.uses(every=True))
    for one, reserved_ in flying:
        one.stands()
        spent += reserved_
        leave(quotas, shop)
    clocks.now += 61
    left = used(quotas)
    assert left.pop(("", "month"), 0) == spent
    left.pop(("qwen*", "day"), None)
    assert not any(left.values())
    assert all(use.reserved == 0 for use in quotas.uses(every=True))
