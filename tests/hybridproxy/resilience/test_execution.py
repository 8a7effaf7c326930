"""Tests of the course of one call, as scripts: `<<` is commanded, `>>` happens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.backend import Timeouts
from hybridproxy.model.fault import Fault, FaultKind, Verdict
from hybridproxy.resilience.execution import (
    MAX_ATTEMPTS,
    CancelAttempt,
    ClientGone,
    Command,
    Commit,
    Complete,
    Event,
    Execution,
    Failed,
    Finished,
    FirstOutput,
    GiveUp,
    Observe,
    SetTimer,
    StartAttempt,
    Timer,
    TimerFired,
    worst,
)
from tests.support.playbook import Playbook

TOTAL, COMMIT = SetTimer(Timer.TOTAL, 600.0), SetTimer(Timer.COMMIT, 50.0)
DOWN = Fault(FaultKind.CONNECT, backend="together-us")
BUSY = Fault(FaultKind.THROTTLED, "slow down", "openrouter-us", status=429, retry_after=7.0, billed=True)
CUT = Fault(FaultKind.CUT, "the stream ended without a finish reason", "together-us", billed=True)
BAD = Fault(FaultKind.INVALID_REQUEST, "temperature", "together-us", status=400, billed=True)
GONE = Fault(FaultKind.CLIENT_GONE, billed=True)


def deadline(text: str) -> Fault:
    """The fault of a timer."""
    return Fault(FaultKind.DEADLINE, text, billed=True)


# ---- the rows of the table -------------------------------------------------------------------------------------------


def test_a_stream_that_goes_well() -> None:
    """Output commits, the clean end completes, and health hears of a success."""
    book = Playbook() << TOTAL << COMMIT << StartAttempt(0)
    assert not book.execution.committed
    book = book >> FirstOutput(0) << Commit(0)
    assert book.execution.committed
    assert book >> Finished(0) << Observe(0, Verdict.OK) << Complete(0)
    assert (book.execution.attempts, book.execution.faults) == (1, [])


def test_a_whole_answer_completes_without_a_commit() -> None:
    """Without streaming there is no head to wait for: one timer, and the answer is everything."""
    book = Playbook(stream=False) << TOTAL << StartAttempt(0)
    assert book >> Finished(0) << Observe(0, Verdict.OK) << Complete(0)


def test_before_output_the_next_backend_takes_over() -> None:
    """The caller sees nothing of the first failure; what fails late, from an attempt given up, changes nothing."""
    book = Playbook(targets=2) << TOTAL << COMMIT << StartAttempt(0)
    book = book >> Failed(0, DOWN) << Observe(0, Verdict.FAULT, DOWN) << StartAttempt(1)
    book = book >> Failed(0, CUT) >> FirstOutput(0) >> Finished(0)
    assert book >> FirstOutput(1) << Commit(1) >> Finished(1) << Observe(1, Verdict.OK) << Complete(1)
    assert (book.execution.attempts, book.execution.faults) == (2, [DOWN])


def test_when_every_backend_fails_the_caller_is_told_all_of_it() -> None:
    """The last fault's kind, with the words of each."""
    book = Playbook(targets=2) << TOTAL << COMMIT << StartAttempt(0)
    book = book >> Failed(0, BUSY) << Observe(0, Verdict.THROTTLE, BUSY) << StartAttempt(1)
    assert book >> Failed(1, DOWN) << Observe(1, Verdict.FAULT, DOWN) << GiveUp(worst([BUSY, DOWN]))


def test_a_fault_of_the_callers_own_is_not_tried_elsewhere() -> None:
    """An invalid request is invalid everywhere, and says nothing of the backend."""
    book = Playbook(targets=2) << TOTAL << COMMIT << StartAttempt(0)
    assert book >> Failed(0, BAD) << Observe(0, Verdict.IGNORED, BAD) << GiveUp(BAD)


def test_attempts_are_bounded_whatever_the_plan_has() -> None:
    """Ten targets do not mean ten attempts."""
    book = Playbook(targets=10) << TOTAL << COMMIT << StartAttempt(0)
    for n in range(MAX_ATTEMPTS - 1):
        book = book >> Failed(n, DOWN) << Observe(n, Verdict.FAULT, DOWN) << StartAttempt(n + 1)
    last = MAX_ATTEMPTS - 1
    assert book >> Failed(last, DOWN) << Observe(last, Verdict.FAULT, DOWN) << GiveUp(worst([DOWN] * MAX_ATTEMPTS))


def test_after_output_a_failure_is_told_and_nothing_is_retried() -> None:
    """Half an answer is already with the caller; a second backend would write another."""
    book = Playbook(targets=2) << TOTAL << COMMIT << StartAttempt(0) >> FirstOutput(0) << Commit(0)
    assert book >> Failed(0, CUT) << Observe(0, Verdict.FAULT, CUT) << GiveUp(CUT)


def test_after_output_only_this_streams_fault_is_told() -> None:
    """What an earlier backend did wrong does not explain why this one broke off."""
    book = Playbook(targets=2) << TOTAL << COMMIT << StartAttempt(0)
    book = book >> Failed(0, DOWN) << Observe(0, Verdict.FAULT, DOWN) << StartAttempt(1) >> FirstOutput(1) << Commit(1)
    assert book >> Failed(1, CUT) << Observe(1, Verdict.FAULT, CUT) << GiveUp(CUT)


def test_output_is_announced_once() -> None:
    """A second announcement does not open the caller's stream a second time."""
    assert Playbook() << TOTAL << COMMIT << StartAttempt(0) >> FirstOutput(0) << Commit(0) >> FirstOutput(0)


@pytest.mark.parametrize(("timer", "text"), [(Timer.COMMIT, "commit_within is 50 s"), (Timer.TOTAL, "total is 600 s")])
def test_a_timer_before_output_ends_the_call(timer: Timer, text: str) -> None:
    """A load balancer would cut the silent connection; an honest error comes first."""
    fault = deadline(text)
    book = Playbook(targets=2) << TOTAL << COMMIT << StartAttempt(0) >> TimerFired(timer)
    assert book << CancelAttempt(0) << Observe(0, Verdict.IGNORED, fault) << GiveUp(fault)
    assert book.execution.faults == [fault]


def test_a_deadline_says_what_had_failed_before() -> None:
    """Time ran out on the second backend because the first had used it up."""
    fault = deadline("commit_within is 50 s; before: together-us: it could not be reached")
    book = Playbook(targets=2) << TOTAL << COMMIT << StartAttempt(0)
    book = book >> Failed(0, DOWN) << Observe(0, Verdict.FAULT, DOWN) << StartAttempt(1) >> TimerFired(Timer.COMMIT)
    assert book << CancelAttempt(1) << Observe(1, Verdict.IGNORED, fault) << GiveUp(fault)


def test_after_output_only_the_total_time_ends_the_call() -> None:
    """The time to commit is over once it was kept."""
    fault = deadline("total is 600 s")
    book = Playbook() << TOTAL << COMMIT << StartAttempt(0) >> FirstOutput(0) << Commit(0) >> TimerFired(Timer.COMMIT)
    assert book >> TimerFired(Timer.TOTAL) << CancelAttempt(0) << Observe(0, Verdict.IGNORED, fault) << GiveUp(fault)


@pytest.mark.parametrize("output", [False, True])
def test_when_the_caller_leaves_the_upstream_call_stops(output: bool) -> None:
    """Before output and after it: cancelled, no other attempt, and no blame for the backend."""
    book = Playbook(targets=2) << TOTAL << COMMIT << StartAttempt(0)
    if output:
        book = book >> FirstOutput(0) << Commit(0)
    assert book >> ClientGone(GONE) << CancelAttempt(0) << Observe(0, Verdict.IGNORED, GONE) << GiveUp(GONE)


def test_the_timers_are_those_of_the_plan() -> None:
    """A route's own times reach the timers and the words of the fault."""
    book = Playbook(timeouts=Timeouts(total=9, commit_within=2.5)) << SetTimer(Timer.TOTAL, 9)
    book = book << SetTimer(Timer.COMMIT, 2.5) << StartAttempt(0) >> TimerFired(Timer.COMMIT)
    fault = deadline("commit_within is 2.5 s")
    assert book << CancelAttempt(0) << Observe(0, Verdict.IGNORED, fault) << GiveUp(fault)


def test_a_script_that_is_wrong_is_noticed() -> None:
    """The helper of these tests fails on a wrong, a missing and a superfluous command."""
    with pytest.raises(AssertionError, match="was commanded"):
        Playbook() << COMMIT
    with pytest.raises(AssertionError, match="nothing more"):
        Playbook(stream=False) << TOTAL << StartAttempt(0) << COMMIT
    with pytest.raises(AssertionError, match="not expected before"):
        Playbook() >> Finished(0)
    with pytest.raises(AssertionError, match="at the end"):
        bool(Playbook())


# ---- any course at all -----------------------------------------------------------------------------------------------

ATTEMPTS = st.integers(-1, MAX_ATTEMPTS)
FAULTS = st.sampled_from(FaultKind).map(lambda kind: Fault(kind, "words", "backend", retry_after=3.0))
EVENTS = st.one_of(
    ATTEMPTS.map(FirstOutput),
    ATTEMPTS.map(Finished),
    st.builds(Failed, ATTEMPTS, FAULTS),
    st.builds(Failed, ATTEMPTS, st.just(DOWN)),
    st.sampled_from(Timer).map(TimerFired),
    FAULTS.map(ClientGone),
)


def given_by(commands: list[Command], kind: type[Command]) -> list[Command]:
    """The commands of one kind."""
    return [command for command in commands if isinstance(command, kind)]


@given(st.integers(1, 5), st.booleans(), st.lists(EVENTS, max_size=12))
def test_any_sequence_of_events_keeps_the_rules(targets: int, stream: bool, events: list[Event]) -> None:
    """One outcome at most, nothing after it, no attempt after a commit, each attempt observed once, all bounded."""
    execution = Execution(targets, Timeouts(), stream=stream)
    commands: list[Command] = list(execution.start())
    for event in events:
        over = bool(given_by(commands, Complete) or given_by(commands, GiveUp))
        more = execution.on(event)
        assert not (over and more)
        commands += more
    started = [command.n for command in commands if isinstance(command, StartAttempt)]
    observed = [command.n for command in commands if isinstance(command, Observe)]
    ends = given_by(commands, Complete) + given_by(commands, GiveUp)
    commits = given_by(commands, Commit)
    assert started == list(range(len(started)))
    assert len(started) == execution.attempts <= min(targets, MAX_ATTEMPTS)
    assert len(ends) <= 1
    assert len(commits) <= 1
    assert observed == (started if ends else started[:-1])
    if commits:
        assert not given_by(commands[commands.index(commits[0]) :], StartAttempt)
    if ends:
        assert commands[-1] is ends[0]
    assert len(execution.faults) == len([c for c in commands if isinstance(c, Observe) and c.fault])


@given(st.integers(1, 5), st.booleans(), st.lists(EVENTS, max_size=12), EVENTS)
def test_every_call_can_be_brought_to_its_one_outcome(
    targets: int, stream: bool, events: list[Event], last: Event
) -> None:
    """Whatever happened before, the caller's leaving ends the call, and then exactly one outcome was given."""
    execution = Execution(targets, Timeouts(), stream=stream)
    commands = [*execution.start(), *(command for event in events for command in execution.on(event))]
    commands += execution.on(ClientGone(GONE))
    assert len(given_by(commands, Complete)) + len(given_by(commands, GiveUp)) == 1
    assert execution.on(last) == ()


# ---- what the caller is told -----------------------------------------------------------------------------------------


def test_one_fault_is_told_as_it_is() -> None:
    """Nothing to sum up."""
    assert worst([BUSY]) is BUSY


def test_a_callers_own_mistake_stands_for_itself() -> None:
    """That another backend was down before does not make the request valid."""
    assert worst([DOWN, BAD]) is BAD


def test_only_when_all_throttle_is_the_caller_throttled() -> None:
    """429 would tell the caller to slow down, though one backend was simply broken; the shortest wait is passed on."""
    later = Fault(FaultKind.THROTTLED, backend="dashscope-sg", retry_after=2.0)
    assert worst([BUSY, later]).kind is FaultKind.THROTTLED
    mixed = worst([DOWN, later, BUSY])
    assert (mixed.kind, mixed.retry_after, mixed.billed) == (FaultKind.OVERLOADED, 2.0, True)
    assert mixed.detail == (
        "together-us: it could not be reached; dashscope-sg: it is throttling us; "
        "openrouter-us: it is throttling us (HTTP 429): slow down"
    )


def test_no_wait_is_passed_on_where_waiting_does_not_help() -> None:
    """The input stays too long however long the caller waits; and nobody asked for a wait, nobody gets one."""
    assert worst([BUSY, Fault(FaultKind.CONTEXT_TOO_LONG)]).retry_after is None
    assert worst([DOWN, DOWN]).retry_after is None
