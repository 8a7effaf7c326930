"""The course of one call, as scripts: `<<` is commanded, `>>` happens."""

from dataclasses import replace

import pytest

from hybridproxy.model.backend import Timeouts
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.model.price import Price
from hybridproxy.resilience.breaker import Signal
from hybridproxy.resilience.events import (
    CancelAttempt,
    ClientGone,
    Commit,
    Complete,
    Failed,
    Finished,
    FirstOutput,
    GiveUp,
    Join,
    Mode,
    Refused,
    SetTimer,
    StartAttempt,
    Timer,
    TimerFired,
)
from hybridproxy.resilience.execution import JITTER, MAX_ATTEMPTS, ONLY_PATIENCE
from hybridproxy.resilience.worst import NOBODY_LEFT, worst
from tests.support.make import target
from tests.support.playbook import (
    BAD,
    BROKEN,
    BUSY,
    COMMIT,
    COST,
    DOWN,
    ERROR,
    GONE,
    HEDGE,
    KEY,
    LONG,
    LOST,
    OTHER,
    REPLAY,
    RESUME,
    SILENT,
    TOTAL,
    Playbook,
    Purse,
    bad,
    begun,
    cut,
    deadline,
    good,
    hedged,
    left,
    targets,
)

# ---- the rows of the table -------------------------------------------------------------------------------------------


def test_a_stream_that_goes_well() -> None:
    """Output commits, the clean end completes; health hears of a good start and of a good end."""
    book = begun()
    assert not book.execution.committed
    book = book >> FirstOutput(0) << Commit(0) << good(0)
    assert book.execution.committed
    assert book >> Finished(0) << good(0, Signal.INTEGRITY) << Complete(0)
    assert (book.execution.attempts, book.execution.faults, book.execution.recoverable) == (1, [], False)


def test_a_whole_answer_completes_without_a_commit() -> None:
    """Without streaming there is no head to wait for: one timer, and the answer is everything."""
    book = Playbook(stream=False, hedge_after=2.0) << TOTAL << StartAttempt(0, 0)
    assert book >> Finished(0) << good(0) << Complete(0)


def test_before_output_the_next_backend_takes_over() -> None:
    """The caller sees nothing of the first failure; what comes late, from an attempt given up, changes nothing."""
    book = begun(2) >> Failed(0, BROKEN) << bad(0, BROKEN) << StartAttempt(1, 1)
    book = book >> Failed(0, LOST) >> FirstOutput(0) >> Finished(0) >> Refused(0)
    book = book >> FirstOutput(1) << Commit(1) << good(1)
    assert book >> Finished(1) << good(1, Signal.INTEGRITY) << Complete(1)
    assert (book.execution.attempts, book.execution.faults) == (2, [BROKEN])


def test_when_every_backend_fails_the_caller_is_told_all_of_it() -> None:
    """The last fault's kind, with the words of each."""
    book = begun(2) >> Failed(0, BUSY) << bad(0, BUSY) << StartAttempt(1, 1)
    assert book >> Failed(1, DOWN) << bad(1, DOWN) << GiveUp(worst([BUSY, DOWN]))


def test_a_fault_of_the_callers_own_is_not_tried_elsewhere() -> None:
    """An invalid request is invalid everywhere, and says nothing of the backend."""
    assert begun(2, patience=9) >> Failed(0, BAD) << bad(0, BAD) << GiveUp(BAD)


def test_attempts_are_bounded_whatever_the_plan_has() -> None:
    """Ten backends do not mean ten attempts."""
    book = begun(10)
    for n in range(MAX_ATTEMPTS - 1):
        book = book >> Failed(n, DOWN) << bad(n, DOWN) << StartAttempt(n + 1, n + 1)
    last = MAX_ATTEMPTS - 1
    assert book >> Failed(last, DOWN) << bad(last, DOWN) << GiveUp(worst([DOWN] * MAX_ATTEMPTS))


def test_output_is_announced_once() -> None:
    """A second announcement does not open the caller's stream a second time."""
    assert begun() >> FirstOutput(0) << Commit(0) << good(0) >> FirstOutput(0)


def test_a_script_that_is_wrong_is_noticed() -> None:
    """The helper of these tests fails on a wrong, a missing and a superfluous command."""
    with pytest.raises(AssertionError, match="was commanded"):
        Playbook() << COMMIT
    with pytest.raises(AssertionError, match="nothing more"):
        begun() << COMMIT
    with pytest.raises(AssertionError, match="not expected before"):
        Playbook() >> Finished(0)
    with pytest.raises(AssertionError, match="at the end"):
        bool(Playbook())


# ---- patience --------------------------------------------------------------------------------------------------------

ENDPOINTS = [target("a", host=1), target("a", host=2), target("b")]
KEYS = [target("a", key=1), target("a", key=2), target("b")]


def test_without_patience_the_call_moves_on_at_once() -> None:
    """Though the backend said that it would be there again in a second, and though it has another endpoint."""
    quick = replace(BUSY, retry_after=1.0)
    assert begun(2) >> Failed(0, quick) << bad(0, quick) << StartAttempt(1, 1)
    assert begun(ENDPOINTS) >> Failed(0, BROKEN) << bad(0, BROKEN) << StartAttempt(1, 2)


def test_a_patient_call_comes_back_when_it_was_told_to() -> None:
    """After the Retry-After once more there, and only then to the next backend."""
    book = begun(2, patience=3) >> Failed(0, BUSY) << bad(0, BUSY) << SetTimer(Timer.PAUSE, 2.0)
    book = book >> TimerFired(Timer.PAUSE) << StartAttempt(1, 0)
    assert book >> Failed(1, BUSY) << bad(1, BUSY) << StartAttempt(2, 1)


def test_a_patient_call_pauses_for_a_moment_where_nobody_said_how_long() -> None:
    """At random, so that all who were refused do not come back at once; a throttle's own cool-off comes on top."""
    book = begun(2, patience=3, chance=0.5) >> Failed(0, BROKEN)
    assert book << bad(0, BROKEN) << SetTimer(Timer.PAUSE, JITTER / 2)
    silent = replace(BUSY, retry_after=None, cool_off=1.0)
    book = begun(2, patience=3, chance=0.5) >> Failed(0, silent)
    assert book << bad(0, silent) << SetTimer(Timer.PAUSE, 1.0 + JITTER / 2)


def test_patience_has_an_end() -> None:
    """A wait that is longer than the route allows is not waited for."""
    late = replace(BUSY, retry_after=3.1)
    assert begun(2, patience=3) >> Failed(0, late) << bad(0, late) << StartAttempt(1, 1)


def test_a_plan_of_one_backend_is_always_a_little_patient() -> None:
    """There is nowhere else to go: up to three seconds, or more where the route says so."""
    wait = replace(BUSY, retry_after=ONLY_PATIENCE)
    book = begun(1) >> Failed(0, wait) << bad(0, wait) << SetTimer(Timer.PAUSE, 3.0)
    assert (
        book
        >> TimerFired(Timer.PAUSE)
        << StartAttempt(1, 0)
        >> Failed(1, wait)
        << bad(1, wait)
        << GiveUp(worst([wait, wait]))
    )
    late = replace(BUSY, retry_after=9.0)
    assert begun(1) >> Failed(0, late) << bad(0, late) << GiveUp(late)
    assert begun(1, patience=9) >> Failed(0, late) << bad(0, late) << SetTimer(Timer.PAUSE, 9.0)


def test_a_patient_call_tries_the_other_endpoint_at_once() -> None:
    """Or the other key: both are the same backend, and nobody asked for a pause there. No third time."""
    for plan in (ENDPOINTS, KEYS):
        book = begun(plan, patience=3) >> Failed(0, BUSY) << bad(0, BUSY) << StartAttempt(1, 1)
        assert book >> Failed(1, BUSY) << bad(1, BUSY) << StartAttempt(2, 2)
    assert begun(ENDPOINTS[:2]) >> Failed(0, BROKEN) << bad(0, BROKEN) << StartAttempt(1, 1)


def test_who_was_silent_is_not_asked_again() -> None:
    """Neither after a pause nor with another key; only another machine may answer, where the call is patient."""
    for plan in (targets(2), KEYS):
        book = begun(plan, patience=9) >> Failed(0, SILENT)
        assert book << bad(0, SILENT) << StartAttempt(1, len(plan) - 1)
    assert begun(1, patience=9) >> Failed(0, SILENT) << bad(0, SILENT) << GiveUp(SILENT)
    assert begun(ENDPOINTS, patience=9) >> Failed(0, SILENT) << bad(0, SILENT) << StartAttempt(1, 1)


def test_a_refused_key_is_tried_with_another_key() -> None:
    """Not with the same one at another endpoint."""
    assert begun(KEYS, patience=3) >> Failed(0, KEY) << bad(0, KEY) << StartAttempt(1, 1)
    assert begun(ENDPOINTS, patience=3) >> Failed(0, KEY) << bad(0, KEY) << StartAttempt(1, 2)


def test_a_pause_that_nobody_waits_for_changes_nothing() -> None:
    """The timer of a pause that is over, or never was."""
    assert begun() >> TimerFired(Timer.PAUSE)


# ---- input that is too long ------------------------------------------------------------------------------------------


def test_input_that_is_too_long_goes_on_to_a_larger_window() -> None:
    """Past those that are as small; patience is no help, the backend's window does not grow."""
    plan = [target("a", context=8_000), target("a", key=2, context=8_000), *map(target, "bcd")]
    plan[2:] = [replace(one, context=size) for one, size in zip(plan[2:], [4_000, 8_000, 32_000], strict=True)]
    book = begun(plan, patience=3) >> Failed(0, LONG) << bad(0, LONG) << StartAttempt(1, 4)
    assert book >> Failed(1, LONG) << bad(1, LONG) << GiveUp(worst([LONG, LONG]))


def test_a_window_that_is_not_known_may_be_large_enough() -> None:
    """And where the one it did not fit is not known, any may be."""
    plan = [target("a", context=8_000), target("b", context=4_000), target("c")]
    assert begun(plan) >> Failed(0, LONG) << bad(0, LONG) << StartAttempt(1, 2)
    assert begun(plan[::-1]) >> Failed(0, LONG) << bad(0, LONG) << StartAttempt(1, 1)


def test_input_that_fits_nowhere_is_the_callers_to_shorten() -> None:
    """The upstream's own words, and 400."""
    plan = [target("a", context=8_000), target("b", context=8_000)]
    assert begun(plan) >> Failed(0, LONG) << bad(0, LONG) << GiveUp(LONG)


@pytest.mark.parametrize("event", [Failed(1, DOWN), Refused(1)])
def test_what_was_too_long_once_stays_too_long(event: Failed | Refused) -> None:
    """The larger window is down, or out of service: the smaller one has not become large enough by that."""
    plan = [target("a", context=8_000), target("b", context=32_000), target("c", context=4_000)]
    book = begun(plan) >> Failed(0, LONG) << bad(0, LONG) << StartAttempt(1, 1) >> event
    if isinstance(event, Failed):
        assert book << bad(1, DOWN) << GiveUp(worst([LONG, DOWN]))
    else:
        assert book << GiveUp(LONG)


# ---- what it costs ---------------------------------------------------------------------------------------------------


def test_each_further_attempt_asks_for_room() -> None:
    """Whether the one before loaded the upstream, and what it may cost for nothing: a refusal costs nothing."""
    book = begun(3) >> Failed(0, DOWN) << bad(0, DOWN) << StartAttempt(1, 1)
    assert book >> Failed(1, LOST) << bad(1, LOST) << StartAttempt(2, 2)
    assert book.purse.asked == [(False, 0), (True, COST)]
    assert book.execution.lost == {1: COST}
    book = begun(2) >> Failed(0, BUSY) << bad(0, BUSY) << StartAttempt(1, 1)
    assert (bool(book), book.purse.asked, book.execution.lost) == (True, [(True, 0)], {})


def test_without_room_the_caller_is_told() -> None:
    """When everybody fails, a tenth of the calls is tried again and the others are not."""
    book = begun(3, purse=Purse(retries=0)) >> Failed(0, LOST) << bad(0, LOST) << GiveUp(LOST)
    assert (bool(book), book.execution.lost) == (True, {})


@pytest.mark.parametrize("price", [Price(1000, 1000), Price(0, 0)])
def test_what_may_have_been_billed_is_repeated_once(price: Price) -> None:
    """Twice sent whole and lost: the third would be paid three times, and its load is worth no less when it is free."""
    book = begun([replace(one, price=price) for one in targets(3)])
    book = book >> Failed(0, LOST) << bad(0, LOST) << StartAttempt(1, 1)
    assert book >> Failed(1, LOST) << bad(1, LOST) << GiveUp(worst([LOST, LOST]))
    book = begun(3) >> Failed(0, LOST) << bad(0, LOST) << StartAttempt(1, 1)
    assert book >> Failed(1, DOWN) << bad(1, DOWN) << StartAttempt(2, 2)


@pytest.mark.parametrize("fault", [SILENT, BROKEN])
def test_a_call_that_was_caught_at_a_target_that_opened_moves_without_a_retry_to_pay(fault: Fault) -> None:
    """It waits where everything waits by now, and does not count as a retry: once, or load would multiply."""
    purse = Purse(retries=0)
    book = begun(3, purse=purse) >> Failed(0, fault, caught=True) << bad(0, fault) << StartAttempt(1, 1)
    assert book >> Failed(1, BROKEN, caught=True) << bad(1, BROKEN) << GiveUp(worst([fault, BROKEN]))
    assert (purse.moved, purse.asked) == (1, [(True, COST if fault.billed else 0), (True, 0)])


def test_a_stream_that_was_caught_goes_on_without_a_retry_to_pay() -> None:
    """As a call does: it may be billed, but there are no more of them than there were streams."""
    book = begun(2, on_cut=[RESUME]) >> FirstOutput(0) << Commit(0) << good(0)
    book = book >> Failed(0, LOST, follows=True, caught=True) << bad(0, LOST, Signal.INTEGRITY)
    assert book << StartAttempt(1, 1, Mode.RESUME)
    assert (book.purse.moved, book.purse.asked) == (1, [(True, COST)])


# ---- hedging ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("winner", "loser"), [(0, 1), (1, 0)])
def test_of_two_that_were_asked_the_first_to_answer_wins(winner: int, loser: int) -> None:
    """The other is cancelled at once, without blame."""
    book = hedged() >> FirstOutput(winner) << Commit(winner) << good(winner) << CancelAttempt(loser) << left(loser)
    book = book >> FirstOutput(loser) >> Failed(loser, DOWN)
    assert book >> Finished(winner) << good(winner, Signal.INTEGRITY) << Complete(winner)


def test_one_that_has_nothing_to_say_wins_too() -> None:
    """A complete answer without output is an answer."""
    assert hedged() >> Finished(1) << good(1) << CancelAttempt(0) << left(0) << Complete(1)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0)])
def test_when_one_of_two_fails_the_other_may_still_answer(first: int, second: int) -> None:
    """Only when both failed the next backend is asked; that was the third attempt."""
    book = hedged(4) >> Failed(first, BROKEN) << bad(first, BROKEN)
    book = book >> Failed(second, DOWN) << bad(second, DOWN) << StartAttempt(2, 2)
    assert book >> Failed(2, DOWN) << bad(2, DOWN) << GiveUp(worst([BROKEN, DOWN, DOWN]))


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0)])
def test_when_both_may_have_been_billed_there_is_no_third(first: int, second: int) -> None:
    """The second was the repeat, as far as the bill goes, and what it may have cost is counted."""
    book = hedged(4) >> Failed(first, LOST) << bad(first, LOST)
    assert book >> Failed(second, LOST) << bad(second, LOST) << GiveUp(worst([LOST, LOST]))
    assert (book.execution.lost, book.purse.corrected, book.purse.asked) == ({first: COST}, [COST], [])


def test_what_one_of_two_lost_is_counted_when_the_other_answers() -> None:
    """The answer was paid twice."""
    book = hedged() >> Failed(0, LOST) << bad(0, LOST) >> FirstOutput(1) << Commit(1) << good(1)
    assert (book.execution.lost, book.purse.corrected) == ({0: COST}, [COST])
    book = hedged() >> Failed(1, LOST) << bad(1, LOST) >> Finished(0) << good(0) << Complete(0)
    assert (book.execution.lost, book.purse.corrected) == ({1: COST}, [COST])


def test_what_one_of_two_lost_is_counted_however_the_call_ends() -> None:
    """The other is refused, or the time is over; and what a stale connection cost before is not forgotten."""
    book = hedged() >> Failed(1, LOST) << bad(1, LOST) >> Failed(0, BAD) << bad(0, BAD) << GiveUp(BAD)
    assert (book.execution.lost, book.purse.corrected) == ({1: COST}, [COST])
    book = hedged() >> Failed(0, LOST) << bad(0, LOST)
    book.execution.lost[0] = COST
    fault = deadline("total is 600 s", LOST.sentence())
    assert book >> TimerFired(Timer.TOTAL) << CancelAttempt(1) << left(1, fault) << GiveUp(fault)
    assert (book.execution.lost, book.purse.corrected) == ({0: 2 * COST}, [COST])


def test_the_first_decides_whether_a_request_is_invalid() -> None:
    """The second was only to be quicker, and may know less; what the first refuses is refused."""
    book = hedged() >> Failed(1, BAD) << bad(1, BAD)
    assert book >> FirstOutput(0) << Commit(0) << good(0)
    assert hedged() >> Failed(0, BAD) << bad(0, BAD) << CancelAttempt(1) << left(1) << GiveUp(BAD)


def test_there_is_no_hedge_where_it_cannot_help() -> None:
    """Output is there; one backend alone; no room for it; all attempts made; the call pauses; two are under way."""
    fired = TimerFired(Timer.HEDGE)
    start = (TOTAL, COMMIT, HEDGE, StartAttempt(0, 0))
    books = [Playbook(plan, hedge_after=2.0, patience=3, purse=Purse(hedges=n)) for plan, n in [(2, 9), (1, 9), (2, 0)]]
    for book in books:
        for command in start:
            assert book << command if command is start[-1] else book << command is book
    assert books[0] >> FirstOutput(0) << Commit(0) << good(0) >> fired
    assert books[1] >> fired
    assert books[2] >> fired >> Failed(0, BUSY) << bad(0, BUSY) << SetTimer(Timer.PAUSE, 2.0) >> fired
    assert hedged() >> fired
    book = hedged(4) >> Failed(0, DOWN) << bad(0, DOWN) >> Failed(1, DOWN) << bad(1, DOWN) << StartAttempt(2, 2)
    assert book >> fired


# ---- targets that are out by the time they are asked -----------------------------------------------------------------


def test_a_target_that_was_just_taken_away_is_no_attempt() -> None:
    """Another call is its probe, say: the next one is asked, without a retry to pay, and one attempt is shown."""
    book = begun(3) >> Refused(0) << StartAttempt(1, 1) >> Refused(1) << StartAttempt(2, 2)
    assert book >> FirstOutput(2) << Commit(2) << good(2)
    assert (book.execution.attempts, book.purse.asked) == (1, [])


def test_where_everything_was_taken_away_the_caller_is_told() -> None:
    """With the faults that were met, where there were any."""
    assert begun(1) >> Refused(0) << GiveUp(NOBODY_LEFT)
    book = begun(2) >> Failed(0, BROKEN) << bad(0, BROKEN) << StartAttempt(1, 1)
    assert book >> Refused(1) << GiveUp(BROKEN)


def test_a_backend_whose_first_endpoint_was_taken_away_is_asked_at_its_other() -> None:
    """It was not asked yet, so no patience is needed."""
    assert begun(ENDPOINTS) >> Refused(0) << StartAttempt(1, 1)


def test_a_second_backend_that_was_taken_away_leaves_the_first_alone() -> None:
    """And where the first had failed meanwhile, its next way is looked for as if nobody else had been asked."""
    assert hedged() >> Refused(1) >> FirstOutput(0) << Commit(0) << good(0)
    book = hedged() >> Failed(0, LOST) << bad(0, LOST)
    assert book >> Refused(1) << StartAttempt(2, 2)
    assert (book.purse.asked, book.execution.lost) == ([(True, COST)], {0: COST})


def test_what_was_paid_for_is_not_paid_again() -> None:
    """The room for a retry was given; that its target was taken away costs no second one."""
    book = hedged(4) >> Failed(0, LOST) << bad(0, LOST) >> Failed(1, DOWN) << bad(1, DOWN) << StartAttempt(2, 2)
    assert book >> Refused(2) << StartAttempt(3, 3)
    assert book.purse.asked == [(False, 0)]


# ---- streams that break ----------------------------------------------------------------------------------------------


def test_after_output_a_failure_is_told_and_nothing_is_retried() -> None:
    """Half an answer is already with the caller; a second backend would write another."""
    assert cut(2) << GiveUp(LOST)
    assert cut(2, ERROR, RESUME) << GiveUp(LOST)


def test_a_backend_that_is_taken_away_before_it_could_go_on_is_passed_over() -> None:
    """The next one goes on, and the room that was paid for is not paid for again; with nobody left the cut is told."""
    book = cut(3, RESUME) << StartAttempt(1, 1, Mode.RESUME) >> Refused(1) << StartAttempt(2, 2, Mode.RESUME)
    assert book >> Refused(2) << GiveUp(LOST)
    assert len(book.purse.asked) == 1


def test_after_output_only_this_streams_fault_is_told() -> None:
    """What an earlier backend did wrong does not explain why this one broke off."""
    book = begun(2) >> Failed(0, DOWN) << bad(0, DOWN) << StartAttempt(1, 1) >> FirstOutput(1) << Commit(1) << good(1)
    assert book >> Failed(1, LOST) << bad(1, LOST, Signal.INTEGRITY) << GiveUp(LOST)


def test_a_stream_goes_on_with_another_backend() -> None:
    """The caller's stream joins the second one at its first new text; both parts are judged, and the second paid."""
    book = cut(2, RESUME)
    assert book.execution.recoverable
    book = book << StartAttempt(1, 1, Mode.RESUME) >> FirstOutput(1) << Join(1) << good(1)
    assert book >> Finished(1) << good(1, Signal.INTEGRITY) << Complete(1)
    assert (book.purse.asked, book.execution.lost) == ([(True, COST)], {0: COST})


def test_a_stream_that_had_nothing_left_to_say_is_complete() -> None:
    """The second backend ends at once: the answer was whole but for its end."""
    book = cut(2, RESUME) << StartAttempt(1, 1, Mode.RESUME)
    assert book >> Finished(1) << good(1) << Complete(1)


def test_ways_are_tried_in_the_order_of_the_route() -> None:
    """Where nobody continues natively the answer is repeated; where only that was allowed, the caller is told."""
    plan = [target("a"), target("b", continues=False)]
    assert cut(plan, RESUME, REPLAY) << StartAttempt(1, 1, Mode.REPLAY)
    assert cut(plan, RESUME, ERROR, REPLAY) << GiveUp(LOST)
    assert cut(plan, RESUME) << GiveUp(LOST)
    assert cut(2, REPLAY, RESUME) << StartAttempt(1, 1, Mode.REPLAY)


def test_another_answer_is_neither_heard_nor_held_against_its_backend() -> None:
    """Models may say something else the second time. A third would too, so the caller is told what broke its stream."""
    book = cut(3, REPLAY, RESUME) << StartAttempt(1, 1, Mode.REPLAY)
    assert book >> Failed(1, OTHER) << left(1, OTHER) << GiveUp(LOST)


def test_a_continuation_that_cannot_be_joined_is_left_for_the_next_way() -> None:
    """It begins to think, say: another backend may go on, or give the same answer."""
    book = cut(3, RESUME, REPLAY) << StartAttempt(1, 1, Mode.RESUME)
    assert book >> Failed(1, OTHER) << left(1, OTHER) << StartAttempt(2, 2, Mode.RESUME)


def test_a_stream_may_go_on_at_the_backends_other_machine() -> None:
    """Not with its other key: the machine that broke off is the same."""
    assert cut(ENDPOINTS, RESUME) << StartAttempt(1, 1, Mode.RESUME)
    assert cut(KEYS, RESUME) << StartAttempt(1, 2, Mode.RESUME)


def test_who_does_not_take_the_beginning_may_give_the_same_answer() -> None:
    """A server that refuses the continuation as invalid is asked to repeat; a refusal costs nothing."""
    book = cut(2, RESUME, REPLAY) << StartAttempt(1, 1, Mode.RESUME)
    book = book >> Failed(1, BAD) << bad(1, BAD) << StartAttempt(2, 1, Mode.REPLAY)
    assert book >> FirstOutput(2) << Join(2) << good(2)
    assert (book.purse.asked, book.execution.lost) == ([(True, COST), (True, 0)], {0: COST})


def test_no_backend_is_asked_a_third_time_to_go_on() -> None:
    """Its two machines were asked; the repetition is another backend's, or nobody's."""
    for plan, then in ((ENDPOINTS, StartAttempt(2, 2, Mode.REPLAY)), (ENDPOINTS[:2], GiveUp(LOST))):
        book = cut(plan, RESUME, REPLAY) << StartAttempt(1, 1, Mode.RESUME)
        assert book >> Failed(1, BAD) << bad(1, BAD) << then


@pytest.mark.parametrize("fault", [DOWN, BAD, BUSY, LOST])
def test_the_caller_is_told_what_broke_its_stream_first(fault: Fault) -> None:
    """Never what became of those that were to go on; two of them are tried at most."""
    book = cut(4, RESUME) << StartAttempt(1, 1, Mode.RESUME)
    book = book >> Failed(1, fault) << bad(1, fault) << StartAttempt(2, 2, Mode.RESUME)
    assert book >> Failed(2, fault) << bad(2, fault) << GiveUp(LOST)


def test_what_cannot_be_followed_is_not_gone_on_with() -> None:
    """A tool call was among the output, or the fault is the caller's own."""
    for event in (Failed(0, LOST, follows=False), Failed(0, BAD, follows=True)):
        book = begun(2, on_cut=[RESUME, REPLAY]) >> FirstOutput(0) << Commit(0) << good(0) >> event
        assert book << bad(0, event.fault, Signal.INTEGRITY) << GiveUp(event.fault)


def test_without_room_a_stream_does_not_go_on() -> None:
    """A stream that goes on is a retry like any other; when all break at once, all the callers are told."""
    assert cut(2, RESUME, purse=Purse(retries=0)) << GiveUp(LOST)


# ---- time, and callers who leave -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("timer", "text"), [(Timer.COMMIT, "commit_within is 50 s"), (Timer.TOTAL, "total is 600 s")])
def test_a_timer_before_output_ends_the_call(timer: Timer, text: str) -> None:
    """A load balancer would cut the silent connection; an honest error comes first."""
    fault = deadline(text)
    book = begun(2) >> TimerFired(timer) << CancelAttempt(0) << left(0, fault) << GiveUp(fault)
    assert book >> Finished(0) >> TimerFired(Timer.TOTAL) >> ClientGone(GONE)
    assert book.execution.faults == [fault]


def test_after_output_only_the_total_time_ends_the_call() -> None:
    """The time to commit is over once it was kept, also for a stream that has to go on elsewhere."""
    fault = deadline("total is 600 s")
    book = begun() >> FirstOutput(0) << Commit(0) << good(0) >> TimerFired(Timer.COMMIT)
    book = book >> TimerFired(Timer.TOTAL) << CancelAttempt(0) << left(0, fault, Signal.INTEGRITY)
    assert book << GiveUp(fault)
    assert cut(2, RESUME) << StartAttempt(1, 1, Mode.RESUME) >> TimerFired(Timer.COMMIT)


def test_when_time_runs_out_for_a_stream_that_broke_its_fault_is_told() -> None:
    """The time ran out because it broke."""
    fault = deadline("total is 600 s", LOST.sentence())
    book = cut(2, RESUME) << StartAttempt(1, 1, Mode.RESUME) >> TimerFired(Timer.TOTAL)
    assert book << CancelAttempt(1) << left(1, fault) << GiveUp(LOST)


@pytest.mark.parametrize("output", [False, True])
def test_when_the_caller_leaves_the_upstream_call_stops(output: bool) -> None:
    """Before output and after it: cancelled, no other attempt, and no blame for the backend."""
    book = begun(2, on_cut=[RESUME])
    if output:
        book = book >> FirstOutput(0) << Commit(0) << good(0)
    signal = Signal.INTEGRITY if output else Signal.START
    assert book >> ClientGone(GONE) << CancelAttempt(0) << left(0, GONE, signal) << GiveUp(GONE)


def test_a_caller_who_leaves_a_broken_stream_left() -> None:
    """What is logged is that it left, not that its stream broke before."""
    book = cut(2, RESUME) << StartAttempt(1, 1, Mode.RESUME)
    assert book >> ClientGone(GONE) << CancelAttempt(1) << left(1, GONE) << GiveUp(GONE)


def test_the_timers_are_those_of_the_route() -> None:
    """A route's own times reach the timers and the words of the fault."""
    book = Playbook(timeouts=Timeouts(total=9, commit_within=2.5)) << SetTimer(Timer.TOTAL, 9)
    book = book << SetTimer(Timer.COMMIT, 2.5) << StartAttempt(0, 0) >> TimerFired(Timer.COMMIT)
    fault = deadline("commit_within is 2.5 s")
    assert book << CancelAttempt(0) << left(0, fault) << GiveUp(fault)


def test_a_target_without_room_is_passed_by_and_the_caller_told_the_shortest_wait() -> None:
    """What we may send there is used up: the next one is asked, and where none is left it hears when to come again."""
    long, short = (Fault(FaultKind.LIMITED, retry_after=seconds) for seconds in (40.0, 3.0))
    assert (
        begun(3)
        >> Refused(0, long)
        << StartAttempt(1, 1)
        >> Refused(1, short)
        << StartAttempt(2, 2)
        >> Refused(2, long)
        << GiveUp(short)
    )
    assert begun(2) >> Refused(0, short) << StartAttempt(1, 1) >> Refused(1) << GiveUp(short)
    assert begun(2) >> Refused(0, short) << StartAttempt(1, 1) >> Failed(1, BROKEN) << bad(1, BROKEN) << GiveUp(BROKEN)
