"""When a target is left alone, and how it comes back."""

from dataclasses import replace

import pytest

from hybridproxy.model.fault import Fault, FaultKind, Verdict
from hybridproxy.model.health import RAMP_SECONDS, Admits, Ban
from hybridproxy.resilience.breaker import (
    CLOSED,
    FOREVER,
    HEALTHY_FOR,
    INTEGRITY_SAMPLES,
    INTEGRITY_SPAN,
    MAX_COOL_OFF,
    MAX_OPEN,
    PROBES_TO_CLOSE,
    START_SAMPLES,
    START_SPAN,
    STREAK,
    BreakerState,
    Checked,
    Claimed,
    Event,
    Expired,
    HeardClosed,
    HeardOpen,
    Leased,
    Outcome,
    Phase,
    Reset,
    Rules,
    Signal,
    Tripped,
    ban,
    outcome_of,
    step,
)
from tests.support.outcomes import BAD, CUT, GOOD, RULES

NOW = 1000.0
WHOLE = Outcome(Signal.INTEGRITY, Verdict.OK)
SLOW_DOWN = Outcome(Signal.START, Verdict.THROTTLE, "it is throttling us", wait=7.0)


def after(*events: Event, state: BreakerState = CLOSED, now: float = NOW, chance: float = 0.5) -> BreakerState:
    """The state after these events, all at one moment."""
    for event in events:
        state = step(state, event, now, chance=chance, rules=RULES)
    return state


def opened(*, now: float = NOW, state: BreakerState = CLOSED, chance: float = 0.5) -> BreakerState:
    """A target that just opened."""
    return after(*[BAD] * STREAK, state=state, now=now, chance=chance)


def probing(*, epoch: int = 1, ours: bool = False) -> BreakerState:
    """A target whose open time is over, and which the check found reachable: at `NOW + 5`, for 30 s."""
    return after(Leased(epoch, NOW + 35), Checked(epoch, passed=True, ours=ours), state=opened(), now=NOW + 5)


def probe(verdict: Verdict, *, epoch: int = 1, wait: float = 0.0, signal: Signal = Signal.START) -> Outcome:
    """What became of a probe."""
    return Outcome(signal, verdict, "it is overloaded", wait, tenant="shop", epoch=epoch)


def good_probes(count: int) -> list[Event]:
    """So many probes, one after the other, all of them good."""
    return [event for _ in range(count) for event in (Claimed(), probe(Verdict.OK))]


# ---- opening: the start of calls -------------------------------------------------------------------------------------


def test_five_faults_in_a_row_open_it_with_a_reason() -> None:
    """A backend that went down is left alone after five calls, whatever it was before."""
    almost = after(*[GOOD] * 100, *[BAD] * (STREAK - 1))
    assert (almost.phase, ban(almost, NOW)) == (Phase.CLOSED, None)
    state = after(BAD, state=almost)
    assert (state.phase, state.until, state.opens) == (Phase.OPEN, NOW + 5, 1)
    assert ban(state, NOW) == Ban(FOREVER, "open: 5 faults in a row: it is overloaded")


def test_a_good_call_in_between_begins_the_row_anew() -> None:
    """One in five that fails is a bad day and no outage."""
    assert after(*[*[BAD] * (STREAK - 1), GOOD] * 2, *[BAD] * (STREAK - 1), GOOD).phase is Phase.CLOSED


def test_half_of_twenty_calls_within_half_a_minute_open_it() -> None:
    """Faults that never come five in a row: one of two is too many, and twenty calls are enough to say so."""
    state = after(*[BAD, GOOD] * (START_SAMPLES // 2 - 1), GOOD)
    assert state.phase is Phase.CLOSED
    state = after(BAD, state=state)
    assert state.phase is Phase.OPEN
    assert state.reason == "10 of 20 calls failed within 30 s: it is overloaded"


def test_faults_of_more_than_half_a_minute_ago_do_not_count() -> None:
    """At one call every other second there are never twenty within half a minute, so there is no share to judge."""
    state = CLOSED
    for n in range(100):
        state = after(BAD if n % 2 else GOOD, state=state, now=NOW + 2 * n)
    assert state.phase is Phase.CLOSED
    assert state.starts.samples <= START_SPAN / 2


@pytest.mark.parametrize("verdict", [Verdict.IGNORED, Verdict.CREDENTIAL])
@pytest.mark.parametrize("signal", Signal)
def test_what_is_not_the_backends_doing_counts_for_nothing(verdict: Verdict, signal: Signal) -> None:
    """A thousand invalid requests of one tenant, a thousand callers who left, a key that was refused."""
    assert after(*[Outcome(signal, verdict, "it was refused")] * 1000) is CLOSED


# ---- opening: the end of streams -------------------------------------------------------------------------------------


def test_half_of_ten_streams_that_broke_off_open_it() -> None:
    """A backend that begins every answer and finishes every other one is no good, however well it begins."""
    state = after(*[GOOD, WHOLE, GOOD, CUT] * (INTEGRITY_SAMPLES // 2 - 1), GOOD, WHOLE, GOOD)
    assert state.phase is Phase.CLOSED
    state = after(CUT, state=state)
    assert state.phase is Phase.OPEN
    assert state.reason == "5 of 10 streams broke off within 120 s: the answer broke off"


def test_a_few_streams_are_too_few_to_judge_by() -> None:
    """Nine that broke off, and no other: there may be ten calls an hour."""
    assert after(*[CUT] * (INTEGRITY_SAMPLES - 1)).phase is Phase.CLOSED


def test_streams_are_judged_over_two_minutes() -> None:
    """They last that long; what broke off before that is forgotten."""
    state = after(*[CUT] * (INTEGRITY_SAMPLES - 1))
    assert after(CUT, state=state, now=NOW + INTEGRITY_SPAN - 1).phase is Phase.OPEN
    assert after(CUT, state=state, now=NOW + INTEGRITY_SPAN).phase is Phase.CLOSED


def test_the_two_signals_do_not_answer_for_each_other() -> None:
    """A stream that ends well does not heal calls that fail at their start."""
    assert after(*[BAD, WHOLE] * STREAK).phase is Phase.OPEN
    assert after(*[BAD, CUT] * (STREAK - 1)).phase is Phase.CLOSED


# ---- whose calls failed ----------------------------------------------------------------------------------------------


def test_two_tenants_whose_calls_failed_are_remembered_for_the_fleet() -> None:
    """One tenant's calls alone do not speak for all replicas; more than two names are not needed."""
    tenants = ["shop", "shop", "bank", "small", "shop"]
    assert after(*[replace(BAD, tenant=tenant) for tenant in tenants]).tenants == {"shop", "bank"}


def test_tenants_whose_streams_broke_off_are_remembered_too() -> None:
    """Ten of two tenants, though they began well: not only the last one's."""
    cuts = [replace(CUT, tenant=tenant) for tenant in ["shop", "bank"] * (INTEGRITY_SAMPLES // 2)]
    assert after(*[event for cut in cuts for event in (GOOD, cut)]).tenants == {"shop", "bank"}


def test_nobody_is_remembered_when_all_is_well_again() -> None:
    """A tenant of a failure that is out of the window has nothing to do with the next one."""
    state = after(BAD, GOOD)
    assert state.tenants == {"shop"}
    assert after(GOOD, state=state, now=NOW + START_SPAN).tenants == set()


def test_a_target_nobody_can_reach_is_known_as_such() -> None:
    """Then one tenant's calls are proof enough: whoever calls would fare the same."""
    away = replace(BAD, unreachable=True)
    assert after(*[away] * STREAK).unreachable
    assert not after(BAD, *[away] * (STREAK - 1)).unreachable
    assert not after(*[away] * (STREAK - 1), BAD).unreachable
    assert after(BAD, GOOD, *[away] * STREAK).unreachable


def test_streams_that_break_off_say_nothing_of_the_way_there() -> None:
    """An old stream may break while new calls do not even get there; who opens for its streams was reached."""
    away = replace(BAD, unreachable=True)
    assert after(*[away] * (STREAK - 1), CUT, away).unreachable
    assert not after(away, *[CUT] * INTEGRITY_SAMPLES).unreachable


def test_one_that_was_not_reached_among_others_that_were_says_nothing_of_the_way_there() -> None:
    """Half of twenty failed in all sorts of ways, and only the last of them on the way."""
    away = replace(BAD, unreachable=True)
    state = after(*[GOOD, BAD] * (START_SAMPLES // 2 - 1), GOOD, away)
    assert (state.phase, state.unreachable) == (Phase.OPEN, False)


# ---- for how long ----------------------------------------------------------------------------------------------------


def test_the_time_doubles_each_time_up_to_a_low_cap() -> None:
    """5, 10, 15, 15 seconds: a region that recovered is used again within half a minute."""
    state, now, waits = opened(), NOW, list[float]()
    for epoch in range(1, 5):
        waits.append(state.until - now)
        now = state.until
        state = after(Leased(epoch, now + 30), Checked(epoch, passed=False, what="no way"), state=state, now=now)
    assert waits == [5, 10, 15, 15]
    assert state.reason == "its probe failed: no way"


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 4.0), (0.5, 5.0), (0.999, 6.0)])
def test_replicas_do_not_come_back_in_step(chance: float, seconds: float) -> None:
    """A fifth more or less, at random."""
    assert opened(chance=chance).until == pytest.approx(NOW + seconds, abs=0.01)


def test_an_operator_may_choose_other_times() -> None:
    """A route that would rather fail than wait opens for half a second, and never longer than two."""
    state, now, waits = CLOSED, NOW, list[float]()
    for _ in range(STREAK):
        state = step(state, BAD, now, rules=Rules(0.5, 2.0))
    for epoch in range(1, 5):
        waits.append(state.until - now)
        now = state.until
        state = step(state, Leased(epoch, now + 30), now)
        state = step(state, Checked(epoch, passed=False), now, rules=Rules(0.5, 2.0))
    assert waits == [0.5, 1.0, 2.0, 2.0]


@pytest.mark.parametrize(("healthy", "seconds"), [(HEALTHY_FOR - 1, 10.0), (HEALTHY_FOR + 1, 5.0)])
def test_ten_healthy_minutes_forget_the_doubling(healthy: float, seconds: float) -> None:
    """A backend that failed yesterday is not treated as one that keeps failing."""
    closed = after(*good_probes(PROBES_TO_CLOSE), state=probing(), now=NOW + 6)
    assert closed.phase is Phase.CLOSED
    later = NOW + 6 + healthy
    assert opened(state=closed, now=later).until == later + seconds


# ---- the way back ----------------------------------------------------------------------------------------------------


def test_a_target_comes_back_by_right_check_and_three_probes() -> None:
    """The usual course, from the fifth fault to the last call of the ramp, as the ban shows it."""
    state = opened()
    seen = [ban(state, NOW)]
    for event in (Leased(1, NOW + 35), Checked(1, passed=True), *good_probes(PROBES_TO_CLOSE)):
        state = after(event, state=state, now=NOW + 5)
        seen.append(ban(state, NOW + 5))
    why = "5 faults in a row: it is overloaded"
    nobody, one = Ban(FOREVER, f"half-open: {why}"), Ban(FOREVER, f"half-open: {why}", Admits.PROBE)
    ramp = Ban(NOW + 5 + RAMP_SECONDS, "coming back by a ramp", Admits.RAMP, NOW + 5)
    assert seen == [Ban(FOREVER, f"open: {why}"), nobody, one, nobody, one, nobody, one, nobody, ramp]
    assert (state.phase, len(state.tenants), state.closed_at) == (Phase.CLOSED, 0, NOW + 5)
    assert ban(state, NOW + 5 + RAMP_SECONDS) is None


def test_until_the_time_is_over_nobody_may_even_probe() -> None:
    """The right to probe is worth nothing while a target is open, nor is a right that is older than what is known."""
    state = replace(opened(), epoch=4)
    assert after(Leased(5, NOW + 30), state=state, now=NOW + 4.9) is state
    assert after(Leased(4, NOW + 30), state=state, now=NOW + 5) is state
    assert after(Leased(5, NOW + 30), state=state, now=NOW + 5).phase is Phase.HALF_OPEN
    assert after(Leased(5, NOW + 30)) is CLOSED


def test_no_caller_finds_a_host_that_is_still_unreachable() -> None:
    """Before the check was good nobody may probe; when it was not, the target is left alone for twice as long."""
    state = after(Leased(1, NOW + 35), state=opened(), now=NOW + 5)
    assert after(Claimed(), state=state, now=NOW + 5) is state
    failed = after(Checked(1, passed=False, what="it could not be reached"), state=state, now=NOW + 8)
    assert (failed.phase, failed.until, failed.opens) == (Phase.OPEN, NOW + 18, 2)
    assert failed.reason == "its probe failed: it could not be reached"


def test_a_check_under_another_right_says_nothing() -> None:
    """It was made before this right was given."""
    state = after(Leased(2, NOW + 35), state=opened(), now=NOW + 5)
    assert after(Checked(1, passed=True), state=state, now=NOW + 5) is state
    assert after(Checked(1, passed=False), state=state, now=NOW + 5) is state


def test_only_one_probe_is_out() -> None:
    """Of all the calls that wait for a backend the first one goes, and the others go elsewhere."""
    state = after(Claimed(), state=probing(), now=NOW + 6)
    assert (state.out, ban(state, NOW + 6)) == (True, ban(replace(probing(), ticket=False), NOW + 6))
    assert after(Claimed(), Checked(1, passed=True), Checked(1, passed=False), state=state, now=NOW + 6) is state


def test_inside_the_vpc_no_callers_call_is_a_probe() -> None:
    """A sovereign tenant's prompt is not what finds out whether a machine is well; calls of our own are."""
    state = probing(ours=True)
    assert ban(state, NOW + 6) == Ban(FOREVER, "half-open: 5 faults in a row: it is overloaded")
    assert after(Claimed(), state=state, now=NOW + 6).out


def test_a_probe_that_fails_opens_it_for_twice_as_long() -> None:
    """Two good ones before it change nothing."""
    state = after(*good_probes(2), Claimed(), probe(Verdict.FAULT), state=probing(), now=NOW + 6)
    assert (state.phase, state.until, state.opens, state.passed) == (Phase.OPEN, NOW + 16, 2, 0)
    assert ban(state, NOW + 6) == Ban(FOREVER, "open: its probe failed: it is overloaded")


def test_the_stream_of_a_good_probe_that_breaks_off_is_a_fault_too() -> None:
    """It began well and let its caller down; that it ends well is no second good probe."""
    state = after(Claimed(), probe(Verdict.OK), state=probing(), now=NOW + 6)
    assert after(probe(Verdict.OK, signal=Signal.INTEGRITY), state=state, now=NOW + 7) is state
    assert after(probe(Verdict.FAULT, signal=Signal.INTEGRITY), state=state, now=NOW + 7).phase is Phase.OPEN


def test_a_probe_that_shows_nothing_is_made_again() -> None:
    """Its caller left, or its request was invalid: the next call may go out, and nothing was proved."""
    state = after(Claimed(), probe(Verdict.IGNORED), state=probing(), now=NOW + 6)
    assert state == probing()


def test_a_probe_whose_key_is_refused_ends_the_right_to_probe() -> None:
    """The key is quarantined, so there is nothing to probe with: asking on and on would only make the refusals many."""
    state = after(Claimed(), probe(Verdict.CREDENTIAL), state=probing(), now=NOW + 6)
    assert (state.phase, state.opens) == (Phase.OPEN, 2)


def test_a_probe_that_is_throttled_is_no_evidence_but_waits() -> None:
    """The target answers, so it is not left alone for twice as long, only for as long as it asked."""
    state = after(Claimed(), probe(Verdict.THROTTLE, wait=60), state=probing(), now=NOW + 6)
    assert (state.phase, state.until, state.opens) == (Phase.OPEN, NOW + 66, 1)
    assert state.reason == "5 faults in a row: it is overloaded"


@pytest.mark.parametrize("epoch", [None, 0, 2])
@pytest.mark.parametrize("verdict", [Verdict.OK, Verdict.FAULT, Verdict.IGNORED, Verdict.CREDENTIAL])
def test_what_began_before_it_opened_says_nothing_of_now(verdict: Verdict, epoch: int | None) -> None:
    """While a target is not closed its old calls end, well and badly; only the probe's own result counts."""
    outcome = replace(BAD, verdict=verdict, epoch=epoch)
    for state in (opened(), probing(), after(Claimed(), state=probing(), now=NOW + 6)):
        assert after(*[outcome] * 10, state=state, now=NOW + 6) is state


def test_a_right_that_runs_out_leaves_it_open_without_blame() -> None:
    """Whoever had it was restarted, say: another may probe at once, and a late result is dropped."""
    state = after(Claimed(), state=probing(), now=NOW + 6)
    assert after(Expired(), state=state, now=NOW + 34.9) is state
    ended = after(Expired(), state=state, now=NOW + 35)
    assert (ended.phase, ended.until, ended.opens) == (Phase.OPEN, NOW + 35, 1)
    again = after(Leased(2, NOW + 65), Checked(2, passed=True), Claimed(), state=ended, now=NOW + 36)
    assert after(probe(Verdict.OK), probe(Verdict.FAULT), state=again, now=NOW + 36) is again


def test_a_right_may_be_given_back_before_its_end() -> None:
    """A replica that shuts down lets another one probe; of a target that is not half-open there is none to give."""
    assert after(Expired(force=True), state=probing(), now=NOW + 6).phase is Phase.OPEN
    assert after(Expired(force=True), state=opened()) == opened()
    assert after(Expired(force=True)) is CLOSED


def test_a_right_that_has_run_out_sends_nobody() -> None:
    """Somebody else may have it by now."""
    assert not after(Claimed(), state=probing(), now=NOW + 35).out


def test_a_right_may_be_kept_for_longer() -> None:
    """A probe may take as long as an answer does; a shorter word and another's right change nothing."""
    state = after(Leased(1, NOW + 90), state=probing(), now=NOW + 20)
    assert after(Claimed(), state=state, now=NOW + 80).out
    assert after(Leased(1, NOW + 40), state=state, now=NOW + 20) == state
    assert after(Leased(2, NOW + 99), state=state, now=NOW + 20) is state


# ---- cool-offs -------------------------------------------------------------------------------------------------------


def test_a_throttled_target_is_left_alone_for_as_long_as_it_asked() -> None:
    """However often it throttles, no breaker opens."""
    state = after(*[SLOW_DOWN] * 50)
    assert state.phase is Phase.CLOSED
    assert ban(state, NOW) == Ban(NOW + 7, "cooling off: it is throttling us")
    assert ban(state, NOW + 7) is None


def test_a_shorter_cool_off_does_not_cut_a_longer_one() -> None:
    """Of two waits that overlap the later end holds, with its own reason."""
    state = after(replace(SLOW_DOWN, wait=30.0, what="long"))
    assert after(replace(SLOW_DOWN, wait=2.0, what="short"), state=state, now=NOW + 1) is state
    assert ban(after(replace(SLOW_DOWN, wait=60.0, what="longer"), state=state), NOW) == Ban(
        NOW + 60, "cooling off: longer"
    )


@pytest.mark.parametrize("wait", [301.0, 1e9, float("inf")])
def test_a_cool_off_has_an_upper_bound(wait: float) -> None:
    """An upstream cannot put itself out of use for days by a slip."""
    assert after(replace(SLOW_DOWN, wait=wait)).cool_until == NOW + MAX_COOL_OFF


@pytest.mark.parametrize("wait", [0.0, -5.0, float("nan")])
def test_a_wait_that_is_none_keeps_nobody_away(wait: float) -> None:
    """Nor does it break anything."""
    assert ban(after(replace(SLOW_DOWN, wait=wait)), NOW) is None


def test_a_cool_off_outlasts_an_opening_and_keeps_its_reason_apart() -> None:
    """Throttled and then broken: no probe goes to a target that asked to be left alone, and why it opened is told."""
    state = after(replace(SLOW_DOWN, wait=60.0), state=opened())
    assert ban(state, NOW) == Ban(FOREVER, "open: 5 faults in a row: it is overloaded")
    state = after(Leased(1, NOW + 99), Checked(1, passed=True), state=state, now=NOW + 5)
    admits = [found.admits for now in (NOW + 59, NOW + 60) if (found := ban(state, now))]
    assert admits == [Admits.NONE, Admits.PROBE]


def test_a_target_that_closes_while_it_cools_off_waits_before_its_ramp() -> None:
    """An old call was throttled while the probes were good."""
    closed = after(replace(SLOW_DOWN, wait=20.0), *good_probes(PROBES_TO_CLOSE), state=probing(), now=NOW + 6)
    found = [ban(closed, NOW + 6), ban(closed, NOW + 26)]
    assert [one and (one.until, one.admits) for one in found] == [
        (NOW + 26, Admits.NONE),
        (NOW + 6 + RAMP_SECONDS, Admits.RAMP),
    ]


# ---- other replicas and operators ------------------------------------------------------------------------------------


def test_what_the_fleet_found_out_is_believed() -> None:
    """This replica's calls need not fail one by one; nobody of its own is blamed."""
    state = after(HeardOpen(8.0, 3, "other replicas see it fail"))
    assert (state.phase, state.until, state.epoch, state.opens) == (Phase.OPEN, NOW + 8, 3, 0)
    assert ban(state, NOW) == Ban(FOREVER, "open: other replicas see it fail")


@pytest.mark.parametrize(("seconds", "until"), [(1e9, 18.0), (float("inf"), 18.0), (-3.0, 0.0), (float("nan"), 0.0)])
def test_nobody_can_keep_a_target_out_for_longer_than_we_would(seconds: float, until: float) -> None:
    """Whatever stands in a shared store: our own longest time, with its jitter, is the bound."""
    assert after(HeardOpen(seconds, 1, "out")).until == NOW + until


def test_hearing_lengthens_an_opening_and_never_shortens_it() -> None:
    """The fleet's word and our own: the later end holds, and our own reason stays."""
    state = after(HeardOpen(12.0, 0, "out"), HeardOpen(1.0, 0, "out"), state=opened())
    assert (state.until, state.reason) == (NOW + 12, opened().reason)


def test_old_news_opens_nothing() -> None:
    """A word from before the last good probes, and a word while our own probe is out."""
    state = replace(CLOSED, epoch=5)
    assert after(HeardOpen(9.0, 4, "out"), state=state) is state
    assert after(HeardOpen(9.0, 9, "out"), state=probing(), now=NOW + 6) == probing()


def test_good_probes_of_another_replica_close_it() -> None:
    """They were made under a right that is newer than this opening; this replica too comes back by the ramp."""
    state = after(HeardClosed(3), state=opened(), now=NOW + 9)
    assert (state.phase, state.epoch, state.closed_at, state.opens) == (Phase.CLOSED, 3, NOW + 9, 1)
    found = ban(state, NOW + 9)
    assert found is not None
    assert found.admits is Admits.RAMP


def test_the_same_good_probes_close_only_once() -> None:
    """A target that opens again after them needs new ones; so does one that was closed when it heard of them."""
    heard = after(HeardClosed(3))
    assert heard == replace(CLOSED, epoch=3)
    for state in (opened(state=heard), opened(state=after(HeardClosed(3), state=opened()))):
        assert after(HeardClosed(2), HeardClosed(3), state=state) is state
    assert after(HeardClosed(9), state=probing(), now=NOW + 6) == probing()


def test_an_operator_opens_it_for_as_long_as_told() -> None:
    """Half-open or not; the probe that is out is of no account any more. Not for more than a week."""
    state = after(Tripped(NOW + 900, "wrong answers"), state=after(Claimed(), state=probing(), now=NOW + 6))
    assert ban(state, NOW) == Ban(FOREVER, "open: wrong answers")
    assert (state.until, state.opens) == (NOW + 900, 1)
    assert after(probe(Verdict.OK), state=state) is state
    assert after(Tripped(FOREVER, "")).until == NOW + MAX_OPEN


@pytest.mark.parametrize("state", [opened(), probing(), after(SLOW_DOWN), after(BAD), CLOSED])
def test_an_operator_makes_all_forgotten(state: BreakerState) -> None:
    """All calls at once, without a ramp; only the number of the right stays, so that no old one is taken for new."""
    assert after(Reset(), state=replace(state, epoch=7)) == replace(CLOSED, epoch=7)


# ---- from a fault to an outcome --------------------------------------------------------------------------------------


def test_a_fault_says_how_long_to_wait_and_whether_anything_was_reached() -> None:
    """Its Retry-After, else the cool-off of its kind; a refused connection speaks for every tenant."""
    busy = Fault(FaultKind.THROTTLED, retry_after=7.0, cool_off=1.0)
    assert outcome_of(Signal.START, Verdict.THROTTLE, busy, tenant="shop", epoch=3) == Outcome(
        Signal.START, Verdict.THROTTLE, "it is throttling us", 7.0, tenant="shop", epoch=3
    )
    assert outcome_of(Signal.START, Verdict.THROTTLE, replace(busy, retry_after=None)).wait == 1.0
    down = outcome_of(Signal.START, Verdict.FAULT, Fault(FaultKind.CONNECT), tenant="shop")
    assert (down.what, down.unreachable) == ("it could not be reached", True)


def test_where_there_is_no_fault_there_is_nothing_to_say() -> None:
    """A good probe, or one whose caller left."""
    assert outcome_of(Signal.START, Verdict.OK, None, epoch=3) == Outcome(Signal.START, Verdict.OK, epoch=3)
