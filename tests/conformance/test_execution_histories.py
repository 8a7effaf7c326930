"""Any course of a call: where it goes next, how often, and what it costs, whatever happens to its attempts."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridproxy.model.backend import Backend, Timeouts
from hybridproxy.model.fault import FACTS, Fault, FaultKind, Retry, Verdict
from hybridproxy.model.plan import Target
from hybridproxy.model.price import Price
from hybridproxy.model.snapshot import Handling, OnCut
from hybridproxy.model.usage import Usage
from hybridproxy.resilience.breaker import Signal
from hybridproxy.resilience.events import (
    CancelAttempt,
    ClientGone,
    Command,
    Commit,
    Complete,
    Event,
    Failed,
    Finished,
    FirstOutput,
    GiveUp,
    Join,
    Mode,
    Observe,
    Refused,
    SetTimer,
    StartAttempt,
    Timer,
    TimerFired,
)
from hybridproxy.resilience.execution import MAX_ATTEMPTS, MAX_OF_ONE, MAX_RECOVERIES, ONLY_PATIENCE, Execution
from hybridproxy.resilience.hedge import HedgeAfter
from hybridproxy.resilience.terms import Terms
from tests.support.make import target
from tests.support.playbook import (
    BUSY,
    COMMIT,
    COST,
    DOWN,
    GONE,
    HEDGE,
    LOST,
    RESUME,
    TOTAL,
    Half,
    Playbook,
    Purse,
    bad,
    begun,
    cut,
    deadline,
    good,
    hedged,
    left,
)

# ---- long courses ----------------------------------------------------------------------------------------------------


def test_a_deadline_ends_a_pause_and_a_hedge() -> None:
    """Whatever is under way: the time is that of the call, over all its attempts."""
    fault = deadline("commit_within is 50 s", "openrouter-us: it is throttling us (HTTP 429): slow down")
    book = begun(1) >> Failed(0, BUSY) << bad(0, BUSY) << SetTimer(Timer.PAUSE, 2.0)
    assert book >> TimerFired(Timer.COMMIT) << GiveUp(fault) >> TimerFired(Timer.PAUSE)
    fault = deadline("total is 600 s")
    book = hedged() >> TimerFired(Timer.TOTAL) << CancelAttempt(0) << left(0, fault) << CancelAttempt(1)
    assert book << left(1, fault) << GiveUp(fault)


def test_a_target_taken_away_while_another_was_asked_beside_it() -> None:
    """Its refusal was still on the way when the second backend was asked: the numbers of the attempts hold."""
    book = Playbook(3, hedge_after=2.0) << TOTAL << COMMIT << HEDGE << StartAttempt(0, 0)
    book = book >> TimerFired(Timer.HEDGE) << StartAttempt(1, 1, Mode.HEDGE) >> Refused(0)
    assert book.execution.attempts == 1
    book = book >> Failed(1, DOWN) << bad(1, DOWN) << StartAttempt(2, 2)
    assert book >> FirstOutput(2) << Commit(2) << good(2)


def test_a_stream_that_went_on_may_break_again() -> None:
    """Once more it goes on; the third time the caller is told what broke it first."""
    book = cut(4, RESUME)
    for n in (1, 2):
        fault = replace(LOST, backend=f"backend-{n}")
        book = book << StartAttempt(n, n, Mode.RESUME) >> FirstOutput(n) << Join(n) << good(n)
        book = book >> Failed(n, fault, follows=True) << bad(n, fault, Signal.INTEGRITY)
    assert book << GiveUp(LOST)
    assert book.execution.lost == {0: COST, 1: COST}


def test_a_target_that_was_taken_away_is_passed_over_by_a_stream_too() -> None:
    """That was no attempt to go on, so two more are left, and the room for it was given."""
    book = cut(4, RESUME) << StartAttempt(1, 1, Mode.RESUME) >> Refused(1) << StartAttempt(2, 2, Mode.RESUME)
    assert book.purse.asked == [(True, COST)]
    book = book >> Failed(2, DOWN) << bad(2, DOWN) << StartAttempt(3, 3, Mode.RESUME)
    assert book >> Failed(3, DOWN) << bad(3, DOWN) << GiveUp(LOST)
    assert cut(2, RESUME) << StartAttempt(1, 1, Mode.RESUME) >> Refused(1) << GiveUp(LOST)


# ---- any course at all -----------------------------------------------------------------------------------------------

Step = tuple[str, int, Fault, bool]
"""What happens, to which attempt, by which fault, and whether another could go on from what the caller has."""

PASSING = [kind for kind in FaultKind if FACTS[kind].retry is not Retry.NEVER]
KINDS = [*PASSING * 2, *[FaultKind.CONTEXT_TOO_LONG, FaultKind.CUT, FaultKind.OVERLOADED] * 5, *FaultKind]
HAPPENS = [
    *["fail", "pause"] * 7,
    *["caught"] * 2,
    *["hedge", "refuse", "cut", "late"] * 4,
    "output",
    "finish",
    "time",
    "gone",
]
PLACES = [[(1, 1)], [(1, 1)], [(1, 1), (2, 1)], [(1, 1), (1, 2)], [(2, 2), (1, 1)]]
WINDOWS = [None, 4_000, 8_000, 32_000]
ROOM = [(9, 9), (9, 9), (9, 9), (2, 1), (1, 0), (0, 9)]
FAULTS = st.builds(
    Fault,
    st.sampled_from(KINDS),
    st.just("words"),
    st.just("backend"),
    retry_after=st.sampled_from([None, 1.0, 3.0, 9.0]),
    billed=st.sampled_from([False, False, True]),
)
WAYS = st.permutations([OnCut.RESUME, OnCut.REPLAY, OnCut.ERROR]).flatmap(
    lambda ways: st.sampled_from([0, 1, 2, 2, 3]).map(lambda count: tuple(ways[:count]))
)


@st.composite
def plans(draw: st.DrawFn) -> list[Target[Backend]]:
    """Up to four backends, each at one or two places, as a plan lists them."""
    made: list[Target[Backend]] = []
    for name in "abcd"[: draw(st.sampled_from([1, 2, 3, 4, 4]))]:
        window, continues, price = draw(st.sampled_from(WINDOWS)), draw(st.booleans()), draw(st.sampled_from([0, 1000]))
        made += [
            replace(target(name, host=host, key=key, context=window, continues=continues), price=Price(price, 0))
            for host, key in draw(st.sampled_from(PLACES))
        ]
    return made


TERMS = st.builds(
    Terms,
    stream=st.sampled_from([True, True, True, False]),
    handling=st.builds(Handling, st.just(Timeouts()), st.sampled_from([0.0, 0.0, 3.0, 9.0])),
    recoveries=WAYS,
    prompt=st.just(1000),
    hedge_after=st.sampled_from([None, 2.0]),
)
PURSES = st.sampled_from(ROOM)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(HAPPENS),
        st.integers(0, 3),
        FAULTS,
        st.sampled_from([True, True, True, False]),
    ),
    min_size=12,
    max_size=25,
)


@dataclass
class Attempt:
    """One that was started, and what became of it."""

    target: Target[Backend]
    mode: Mode
    fault: Fault | None = None
    made: bool = True
    flowed: bool = False
    live: bool = True
    seen: list[Signal] = field(default_factory=list)


class Judge:
    """Holds what is commanded to the rules, from the plan, the events and the commands alone."""

    def __init__(self, plan: Sequence[Target[Backend]], terms: Terms, purse: Purse) -> None:
        self.plan, self.terms, self.purse = plan, terms, purse
        self.attempts: list[Attempt] = []
        self.armed: dict[Timer, float] = {}
        self.committed = self.over = False
        self.original: Fault | None = None
        self.only = len({one.backend.id for one in plan}) == 1
        self.granted = max(terms.handling.patience, ONLY_PATIENCE) if self.only else terms.handling.patience
        self.commands = self.repeated = 0

    def made(self) -> list[Attempt]:
        """The attempts that were made."""
        return [one for one in self.attempts if one.made]

    def happens(self, event: Event) -> None:
        """Take note of what happens, before it is told."""
        match event:
            case TimerFired(timer):
                self.armed.pop(timer, None)
            case ClientGone():
                pass
            case _ if event.n >= len(self.attempts) or not self.attempts[event.n].live:
                pass
            case Failed(n, fault):
                self.attempts[n].live, self.attempts[n].fault = False, fault
                if self.committed and self.attempts[n].flowed and self.original is None:
                    self.original = fault
            case Refused(n):
                self.attempts[n].live = self.attempts[n].made = False
            case _:
                pass

    def commanded(self, event: Event | None, commands: Sequence[Command]) -> None:
        """Hold what follows from an event to the rules."""
        assert not (self.over and commands), "a call that is over goes on"
        self.commands += len(commands)
        if not self.committed and isinstance(event, Failed) and event.fault.billed:
            self.repeated += any(isinstance(command, StartAttempt | SetTimer) for command in commands)
            assert self.repeated <= 1, "what may have been billed was repeated twice"
        for command in commands:
            assert not self.over, "something follows the end"
            match command:
                case StartAttempt(n, number, mode):
                    if mode is Mode.FRESH:
                        lost = [one for one in self.attempts if one.fault is not None and one.fault.billed]
                        assert len(lost) <= 1, "what may have been billed was repeated twice"
                    assert n == len(self.attempts), "a number is used twice"
                    self.starts(event, Attempt(self.plan[number], mode))
                case CancelAttempt(n):
                    assert self.attempts[n].live
                    self.attempts[n].live = False
                case SetTimer(timer, after):
                    assert 0 < after <= self.granted or timer is not Timer.PAUSE, "a longer pause than is granted"
                    self.armed[timer] = after
                case Commit(n):
                    assert not self.committed, "a second head"
                    assert self.attempts[n].mode in {Mode.FRESH, Mode.HEDGE}
                    self.committed = self.attempts[n].flowed = True
                case Join(n):
                    assert self.committed
                    assert self.attempts[n].mode in {Mode.RESUME, Mode.REPLAY}
                    self.attempts[n].flowed = True
                case Observe(n, signal, verdict, fault):
                    self.observed(self.attempts[n], signal, verdict, fault)
                case Complete(n):
                    self.attempts[n].live, self.over = False, True
                case GiveUp(fault):
                    self.over = True
                    self.told(event, fault)
        live = sum(one.live for one in self.attempts)
        assert live <= (1 if self.committed else 2), "too many at once"
        assert self.over or live or Timer.PAUSE in self.armed, "nothing is under way and nobody is told"
        if self.over:
            assert not live, "an attempt outlives its call"
            self.all_observed()

    def starts(self, event: Event | None, new: Attempt) -> None:
        """Judge whether an attempt may be made there."""
        backend, before = new.target.backend.id, self.made()
        there = [one for one in before if one.target.backend.id == backend]
        assert len(there) < MAX_OF_ONE, "a third attempt at one backend"
        if self.committed:
            ways = {Mode.RESUME: OnCut.RESUME, Mode.REPLAY: OnCut.REPLAY}
            assert ways.get(new.mode) in self.terms.recoveries, "retried after the commit"
            assert new.mode is not Mode.RESUME or new.target.continues
            assert sum(one.mode in ways for one in before) < MAX_RECOVERIES
            for one in there:
                refused = one.fault is not None and one.fault.kind is FaultKind.INVALID_REQUEST
                assert one.target.endpoint != new.target.endpoint or (refused and new.mode is Mode.REPLAY)
        else:
            assert new.mode in {Mode.FRESH, Mode.HEDGE}
            assert len(before) < MAX_ATTEMPTS, "more attempts than allowed"
            assert not there or (new.mode is Mode.FRESH and self.granted > 0), "nobody granted patience"
            for one in there:
                assert one.fault is not None, "asked again before it answered"
                self.asked_again(one.target, one.fault, new.target)
            small = [one.target.context for one in before if one.fault and one.fault.kind is FaultKind.CONTEXT_TOO_LONG]
            window = new.target.context
            larger = window is None or all(size is None or window > size for size in small)
            assert larger or there, "it cannot fit there"  # who failed in another way may be patient in its own right
        self.attempts.append(new)

    def asked_again(self, before: Target[Backend], fault: Fault, new: Target[Backend]) -> None:
        """Judge whether a backend may be asked a second time after this fault: there, or only in another way."""
        assert fault.kind is not FaultKind.CONTEXT_TOO_LONG, "its window has not grown"
        if fault.facts.verdict is Verdict.CREDENTIAL:
            assert new.credential != before.credential, "the key was refused"
        elif fault.facts.retry is not Retry.HERE:
            assert new.endpoint != before.endpoint, "who was silent is asked again"

    def observed(self, one: Attempt, signal: Signal, verdict: Verdict, fault: Fault | None) -> None:
        """Judge what health hears of an attempt: what happened to it, once for each signal."""
        assert signal not in one.seen, "told twice"
        one.seen.append(signal)
        assert signal is Signal.START or one.flowed
        if one.fault is not None:
            assert (verdict, fault) == (one.fault.facts.verdict, one.fault)
        else:
            assert verdict in {Verdict.OK, Verdict.IGNORED}

    def all_observed(self) -> None:
        """Judge, in the end, that health heard of everything."""
        for one in self.made():
            expected = [Signal.START, Signal.INTEGRITY] if one.flowed else [Signal.START]
            assert one.seen == expected, "health was not told"

    def told(self, event: Event | None, fault: Fault) -> None:
        """Judge what the caller is told."""
        if isinstance(event, ClientGone):
            assert fault is event.fault
        elif self.original is not None:
            assert fault is self.original, "not what broke the stream first"
        elif isinstance(event, TimerFired) and event.timer is not Timer.PAUSE:
            assert fault.kind is FaultKind.DEADLINE
            assert not (event.timer is Timer.COMMIT and self.committed), "the time to commit was kept"

    def money(self, execution: Execution, room: int) -> None:
        """Judge what was paid for: there was room for so many further attempts."""
        unpaid = 1 + sum(one.mode is Mode.HEDGE for one in self.made())
        assert self.purse.moved <= 1, "moved twice"
        paid = min(room, len(self.purse.asked)) + self.purse.moved
        assert len(self.made()) <= unpaid + paid, "an attempt that nobody paid for"
        for n, cost in execution.lost.items():
            assert cost == self.attempts[n].target.price.of(Usage(1000, 0))
            assert self.attempts[n].fault is not None


def next_events(judge: Judge, kind: str, which: int, fault: Fault, follows: bool) -> list[Event]:
    """Return something that can happen to a call at this point."""
    live = [n for n, one in enumerate(judge.attempts) if one.live]
    unseen = [n for n in live if not judge.attempts[n].flowed]
    match kind:
        case "fail" if live:
            return [Failed(live[which % len(live)], fault, follows)]
        case "caught" if live:
            return [Failed(live[which % len(live)], fault, follows, caught=True)]
        case "cut" if live and judge.terms.stream:
            n = live[which % len(live)]
            return [FirstOutput(n), Failed(n, LOST, follows)]
        case "output" if live and judge.terms.stream:
            return [FirstOutput(live[which % len(live)])]
        case "finish" if live:
            return [Finished(live[which % len(live)])]
        case "refuse" if unseen:
            return [Refused(unseen[which % len(unseen)])]
        case "late" if which not in live:
            late: list[Event] = [Failed(which, fault, follows), FirstOutput(which), Finished(which), Refused(which)]
            return [late[which]]
        case "pause" if Timer.PAUSE in judge.armed:
            return [TimerFired(Timer.PAUSE)]
        case "hedge" if Timer.HEDGE in judge.armed:
            return [TimerFired(Timer.HEDGE)]
        case "time":
            return [TimerFired(Timer.TOTAL if follows else Timer.COMMIT)]
        case "gone":
            return [ClientGone(GONE)]
        case _:
            return []


def courses(
    plan: list[Target[Backend]], terms: Terms, room: tuple[int, int], steps: list[Step]
) -> Iterator[tuple[Judge, Execution]]:
    """Give each event of a course that was judged."""
    purse = Purse(*room)
    judge, execution = Judge(plan, terms, purse), Execution(plan, terms, purse, Half())
    judge.commanded(None, execution.start())
    for kind, which, fault, follows in steps:
        for event in next_events(judge, kind, which, fault, follows):
            judge.happens(event)
            commands = execution.on(event, 100.0)
            assert not (kind == "late" and commands), "what came late changed something"
            judge.commanded(event, commands)
            judge.money(execution, room[0])
            yield judge, execution


def keeps_the_rules(plan: list[Target[Backend]], terms: Terms, room: tuple[int, int], steps: list[Step]) -> None:
    """Judge a course to its end, which the caller's leaving brings about where nothing else did."""
    judge, execution = Judge(plan, terms, Purse(*room)), None
    for judge, execution in courses(plan, terms, room, steps):
        assert execution.attempts == len(judge.made())
        assert execution.committed == judge.committed or judge.over
        assert judge.commands <= 60
    if execution is not None and not judge.over:
        judge.commanded(ClientGone(GONE), execution.on(ClientGone(GONE), 100.0))
        assert judge.over


@pytest.mark.no_cover  # it computes for long what other tests cover, and being watched doubles that
@given(plans(), TERMS, PURSES, STEPS)
def test_any_course_keeps_the_rules(
    plan: list[Target[Backend]], terms: Terms, room: tuple[int, int], steps: list[Step]
) -> None:
    """No attempt too many, none where nobody allows it, none after the commit but to go on; health hears of each."""
    keeps_the_rules(plan, terms, room, steps)


@pytest.mark.no_cover
@given(st.integers(0, 2**64))
@settings(max_examples=1000)
def test_long_and_eventful_courses_keep_the_rules(seed: int) -> None:
    """The same by plain chance: large plans, much that happens, and no preference for what is simple."""
    rng = random.Random(seed)
    plan = [
        replace(target(name, host=host, key=key, context=window, continues=continues), price=Price(price, 0))
        for name in "abcd"[: rng.choice([1, 2, 3, 4, 4])]
        for window, continues, price in [(rng.choice(WINDOWS), rng.random() < 0.7, rng.choice([0, 1000]))]
        for host, key in rng.choice(PLACES)
    ]
    handling = Handling(patience=rng.choice([0.0, 0.0, 3.0, 9.0]))
    ways = tuple(rng.sample(list(OnCut), rng.choice([0, 1, 2, 2])))
    terms = Terms(rng.random() < 0.9, handling, ways, 1000, rng.choice([None, HedgeAfter(2.0)]))
    faults = [
        Fault(kind, "words", "backend", retry_after=rng.choice([None, 1.0, 9.0]), billed=rng.random() < 0.3)
        for kind in rng.choices(KINDS, k=25)
    ]
    steps = [
        (kind, rng.randrange(4), fault, rng.random() < 0.8)
        for kind, fault in zip(rng.choices(HAPPENS, k=25), faults, strict=True)
    ]
    keeps_the_rules(plan, terms, rng.choice(ROOM), steps)
