"""What one process knows of its targets' health: counted cheaply, shown to routing, ended by time or by word."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.call import Operation
from hybridproxy.model.fault import Fault, FaultKind, Verdict
from hybridproxy.model.health import Admits, HealthKey, backend_key, credential_key
from hybridproxy.resilience import breaker
from hybridproxy.resilience.breaker import CLOSED, Outcome, Phase, Signal
from hybridproxy.stores import memory
from hybridproxy.stores.marks import Mark, MarkKind
from hybridproxy.stores.memory import Change, MemoryHealth

KEY: HealthKey = ("together-us", "host", "qwen", "together-us#1")
OTHER: HealthKey = ("vpc", "host", "qwen", "vpc#1")
AROUND = (backend_key("together-us"), credential_key("together-us", "together-us#1"))


class Clock:
    """Both clocks of a process, and the store that reads them."""

    def __init__(self) -> None:
        self.now = 100.0
        self.wall = 1_790_000_000.0
        self.health = MemoryHealth(lambda: self.now, lambda: self.wall, lambda: 0.5)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and what ends with it end."""
        self.now += seconds
        self.wall += seconds
        self.health.tick()

    def fail(self, key: HealthKey = KEY, times: int = 5) -> None:
        """Let a target fail."""
        fault = Fault(FaultKind.CONNECT)
        for _ in range(times):
            self.health.note(key, Outcome(Signal.START, Verdict.FAULT, fault.facts.text), fault)

    def half_open(self, key: HealthKey = KEY) -> None:
        """Bring a target that is open to where a caller's call may probe it."""
        epoch = self.health.state(key).epoch + 1
        self.pass_time(6)
        self.health.step(key, breaker.Leased(epoch, self.now + 25))
        self.health.step(key, breaker.Checked(epoch, passed=True))


@pytest.fixture
def clock() -> Clock:
    """A process with nothing known."""
    return Clock()


def test_a_good_day_leaves_nothing_in_the_view(clock: Clock) -> None:
    """Routing has nothing to look at, and yet the good outcomes are counted for the day they matter."""
    for _ in range(10):
        clock.health.good(KEY, Signal.START)
        clock.health.good(KEY, Signal.INTEGRITY)
        clock.pass_time(0.5)
    assert clock.health.view == {}
    state = clock.health.states()[KEY]
    assert (state.starts.good, state.ends.good) == (10, 10)


def test_a_target_that_keeps_failing_is_banned_and_whoever_listens_hears_of_it(clock: Clock) -> None:
    """Five faults in a row; a good answer before the fifth begins anew."""
    heard: list[Change] = []
    clock.health.listeners.append(heard.append)
    clock.fail(times=4)
    clock.health.good(KEY, Signal.START)
    clock.fail(times=4)
    assert clock.health.view == {}
    clock.fail(times=1)
    assert "it could not be reached" in clock.health.view[KEY].reason
    assert [(change.key, change.before, change.state.phase) for change in heard] == [(KEY, Phase.CLOSED, Phase.OPEN)]
    assert clock.health.out() == [KEY]


def test_what_the_caller_did_is_not_even_remembered(clock: Clock) -> None:
    """A bad request leaves no cell behind."""
    clock.health.note(KEY, Outcome(Signal.START, Verdict.IGNORED), Fault(FaultKind.INVALID_REQUEST))
    assert clock.health.states() == {}
    assert clock.health.state(KEY) == CLOSED
    assert clock.health.operation(KEY) is Operation.CHAT


def test_a_cool_off_ends_by_itself(clock: Clock) -> None:
    """Until then nobody is sent there; then the view is empty again."""
    clock.health.note(KEY, Outcome(Signal.START, Verdict.THROTTLE, "slow down", wait=7), Fault(FaultKind.THROTTLED))
    assert clock.health.view[KEY].until == clock.now + 7
    clock.pass_time(8)
    assert clock.health.view == {}


def test_one_call_is_the_probe_and_no_other(clock: Clock) -> None:
    """The first that enters claims it; the second is refused until the probe's outcome is known."""
    clock.fail()
    assert clock.health.enter(AROUND, KEY) == (False, None)
    clock.half_open()
    assert clock.health.view[KEY].admits is Admits.PROBE
    admitted, epoch = clock.health.enter(AROUND, KEY)
    assert (admitted, epoch) == (True, clock.health.state(KEY).epoch)
    assert clock.health.enter(AROUND, KEY) == (False, None)
    clock.health.note(KEY, Outcome(Signal.START, Verdict.IGNORED, epoch=epoch))
    assert clock.health.enter(AROUND, KEY) == (True, epoch)


def test_a_ticket_that_is_gone_when_it_is_claimed_admits_nobody(clock: Clock) -> None:
    """The right to probe ran out between the plan and the attempt."""
    clock.fail()
    clock.half_open()
    clock.now += 100
    assert clock.health.enter(AROUND, KEY) == (False, None)


def test_three_good_probes_bring_it_back_by_a_ramp(clock: Clock) -> None:
    """While it ramps it may be entered by whoever routing sends; in the end nothing is left in the view."""
    clock.fail()
    clock.half_open()
    for _ in range(3):
        _, epoch = clock.health.enter(AROUND, KEY)
        clock.health.note(KEY, Outcome(Signal.START, Verdict.OK, epoch=epoch))
    assert clock.health.view[KEY].admits is Admits.RAMP
    assert clock.health.enter(AROUND, KEY) == (True, None)
    clock.pass_time(31)
    assert clock.health.view == {}
    assert clock.health.enter(AROUND, KEY) == (True, None)


def test_good_outcomes_of_a_target_that_is_out_count_for_nothing(clock: Clock) -> None:
    """They began before it was."""
    clock.fail()
    before = clock.health.state(KEY)
    clock.health.good(KEY, Signal.START)
    assert clock.health.state(KEY) is before


def test_a_right_to_probe_that_runs_out_is_over(clock: Clock) -> None:
    """Without an outcome the target is simply open again, to be leased anew."""
    clock.fail()
    clock.half_open()
    clock.pass_time(60)
    assert clock.health.state(KEY).phase is Phase.OPEN


def test_callers_may_probe_once_a_cool_off_is_over(clock: Clock) -> None:
    """A target that is half-open and throttled lets its probe go out later, without any other event."""
    clock.fail()
    clock.half_open()
    clock.health.step(KEY, breaker.Leased(clock.health.state(KEY).epoch, clock.now + 100))
    clock.health.note(KEY, Outcome(Signal.START, Verdict.THROTTLE, "slow down", wait=5), Fault(FaultKind.THROTTLED))
    assert clock.health.view[KEY].admits is Admits.NONE
    clock.pass_time(6)
    assert clock.health.view[KEY].admits is Admits.PROBE


def test_a_refused_key_is_quarantined_for_its_backend(clock: Clock) -> None:
    """401 and 402 speak of the key; the mark is put once, and nobody enters with it."""
    for kind in (FaultKind.CREDENTIAL, FaultKind.QUOTA):
        clock.health.note(KEY, Outcome(Signal.START, Verdict.CREDENTIAL, "our key was refused"), Fault(kind))
    (mark,) = clock.health.marks.in_force()
    assert (mark.key, mark.kind) == (credential_key("together-us", "together-us#1"), MarkKind.QUARANTINE)
    assert clock.health.enter(AROUND, KEY) == (False, None)


def test_denied_access_is_quarantined_for_its_model(clock: Clock) -> None:
    """403 speaks of the key and the model: the key goes on with others."""
    clock.health.note(KEY, Outcome(Signal.START, Verdict.CREDENTIAL, "access was denied"), Fault(FaultKind.FORBIDDEN))
    assert set(clock.health.view) == {KEY}
    assert clock.health.enter(AROUND, (*KEY[:2], "other", KEY[3])) == (True, None)


def test_what_was_asked_for_is_remembered_for_the_probe(clock: Clock) -> None:
    """An embedding model is probed by an embedding, whether it had failed or had only been good."""
    clock.health.good(KEY, Signal.START, Operation.EMBEDDING)
    assert clock.health.operation(KEY) is Operation.EMBEDDING
    fault = Fault(FaultKind.CONNECT)
    clock.health.note(OTHER, Outcome(Signal.START, Verdict.FAULT, "x"), fault, Operation.COMPLETION)
    assert clock.health.operation(OTHER) is Operation.COMPLETION


# ---- the operator ----------------------------------------------------------------------------------------------------


def test_a_drain_ends_by_word_or_by_time(clock: Clock) -> None:
    """It keeps calls from the whole backend, whatever its breakers say."""
    clock.health.drain("together-us", "maintenance", 60)
    assert clock.health.enter(AROUND, KEY) == (False, None)
    assert clock.health.undrain("together-us")
    assert not clock.health.undrain("together-us")
    clock.health.drain("together-us", "maintenance", 60)
    clock.pass_time(61)
    assert clock.health.view == {}


def test_a_trip_opens_what_is_known_and_a_reset_forgets_it(clock: Clock) -> None:
    """Another backend's targets are not touched by either; the trip ends at its own time, whatever else is marked."""
    clock.health.good(KEY, Signal.START)
    clock.fail(OTHER)
    clock.health.drain("together-us", "longer than the trip", 600)
    clock.health.trip("together-us", "nonsense", 60)
    state = clock.health.state(KEY)
    assert (state.phase, state.until) == (Phase.OPEN, clock.now + 60)
    assert clock.health.reset("together-us")
    assert clock.health.state(KEY).phase is Phase.CLOSED
    assert clock.health.state(OTHER).phase is Phase.OPEN
    assert [mark.kind for mark in clock.health.marks.in_force()] == [MarkKind.DRAIN]
    assert not clock.health.reset("together-us")


def test_a_reset_releases_refused_keys(clock: Clock) -> None:
    """After the account was paid the operator says so."""
    clock.health.note(KEY, Outcome(Signal.START, Verdict.CREDENTIAL, "no money"), Fault(FaultKind.QUOTA))
    assert clock.health.reset("together-us")
    assert clock.health.view == {}


def test_a_region_is_evacuated_and_restored(clock: Clock) -> None:
    """The mark is the region's; routing knows who lies there."""
    clock.health.evacuate("asia", "drill", 60)
    assert set(clock.health.view) == {("region", "asia")}
    assert clock.health.restore("asia")
    assert not clock.health.restore("asia")
    assert clock.health.view == {}


def test_orders_that_are_heard_are_carried_out_here_too(clock: Clock) -> None:
    """A trip of another replica opens what is known here; its reset closes it."""
    clock.health.good(KEY, Signal.START)
    version = int(clock.wall * 1000)
    where = backend_key("together-us")
    assert clock.health.marks.hear(Mark(where, MarkKind.TRIP, "", clock.wall + 60, version))
    assert clock.health.state(KEY).phase is Phase.OPEN
    assert clock.health.marks.hear(Mark(where, MarkKind.RESET, "", clock.wall, version))
    assert clock.health.state(KEY).phase is Phase.CLOSED


# ---- what is forgotten -----------------------------------------------------------------------------------------------


def test_a_reload_forgets_what_is_no_longer_configured(clock: Clock) -> None:
    """Targets and quarantined keys that are gone; what stays keeps its state."""
    clock.fail(KEY)
    clock.fail(OTHER)
    clock.health.note(KEY, Outcome(Signal.START, Verdict.CREDENTIAL, "refused"), Fault(FaultKind.CREDENTIAL))
    clock.health.forget(lambda key: "vpc" in key)
    assert set(clock.health.view) == {OTHER}
    assert clock.health.out() == [OTHER]
    clock.health.forget_one(OTHER)
    assert clock.health.view == {}


def test_names_without_number_do_not_fill_the_memory(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wildcard model may be called by any name: targets of which only good is known are forgotten, others stay."""
    monkeypatch.setattr(memory, "MAX_CELLS", 10)
    clock.fail(KEY)
    for number in range(50):
        clock.health.good(("together-us", "host", f"free-{number}", "together-us#1"), Signal.START)
    assert len(clock.health.states()) <= 11
    assert clock.health.state(KEY).phase is Phase.OPEN


def test_refusals_without_number_do_not_fill_the_memory(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upstream that answers 403 for names it does not know is believed for so many; refused keys always are."""
    monkeypatch.setattr(memory, "MAX_MARKS", 10)
    for number in range(50):
        key = ("together-us", "host", f"free-{number}", "together-us#1")
        clock.health.note(key, Outcome(Signal.START, Verdict.CREDENTIAL, "denied"), Fault(FaultKind.FORBIDDEN))
    assert len(clock.health.marks) == len(clock.health.view) == 10
    clock.health.note(KEY, Outcome(Signal.START, Verdict.CREDENTIAL, "refused"), Fault(FaultKind.CREDENTIAL))
    assert credential_key("together-us", "together-us#1") in clock.health.view


# ---- any day at all --------------------------------------------------------------------------------------------------

HAPPENS = st.sampled_from(
    [
        *["good", "whole", "bad", "enter"] * 4,
        *["lease", "check", "result"] * 3,
        "cut",
        "busy",
        "drain",
        "undrain",
        "trip",
    ]
)
DAYS = st.lists(
    st.tuples(HAPPENS, st.sampled_from([KEY, OTHER]), st.sampled_from([0.0, 0.0, 0.3, 1.0, 6.0, 40.0])),
    min_size=10,
    max_size=60,
)


@given(DAYS, st.sampled_from([Verdict.OK, Verdict.OK, Verdict.FAULT, Verdict.IGNORED]))
def test_what_is_shown_is_what_is_known(day: list[tuple[str, HealthKey, float]], verdict: Verdict) -> None:
    """Counting good calls lazily gives what stepping by each gives; the view is in step; one probe at most is out."""
    clock, probes = Clock(), dict[HealthKey, int]()
    health, plain = clock.health, {KEY: CLOSED, OTHER: CLOSED}
    for what, key, seconds in day:
        clock.pass_time(seconds)
        plain = {one: breaker.step(state, breaker.Expired(), clock.now) for one, state in plain.items()}
        state = health.state(key)
        outcome: breaker.Event | None = None
        match what:
            case "good" | "whole":
                signal = Signal.START if what == "good" else Signal.INTEGRITY
                health.good(key, signal)
                outcome = Outcome(signal, Verdict.OK)
            case "bad" | "cut" | "busy":
                signal = Signal.INTEGRITY if what == "cut" else Signal.START
                outcome = Outcome(signal, Verdict.THROTTLE if what == "busy" else Verdict.FAULT, "words", wait=3.0)
                health.note(key, outcome)
            case "lease" | "check":
                epoch = state.epoch + (state.phase is Phase.OPEN)
                outcome = (
                    breaker.Leased(epoch, clock.now + 25) if what == "lease" else breaker.Checked(epoch, passed=True)
                )
                health.step(key, outcome)
            case "enter":
                admitted, claimed = health.enter((backend_key(key[0]),), key)
                assert admitted or claimed is None
                assert admitted <= (state.phase is Phase.CLOSED or claimed is not None)
                if claimed is not None:
                    assert key not in probes, "two probes are out"
                    probes[key] = claimed
                    outcome = breaker.Claimed()
            case "result" if key in probes:
                outcome = Outcome(Signal.START, verdict, epoch=probes.pop(key))
                health.note(key, outcome)
            case "drain":
                health.drain(key[0], "", 60)
            case "undrain":
                health.undrain(key[0])
            case "trip":
                health.trip(key[0], "", 10)
                plain[key] = health.state(key)
            case _:
                pass
        if outcome is not None:
            plain[key] = breaker.step(plain[key], outcome, clock.now)
        probes = {one: epoch for one, epoch in probes.items() if health.state(one).out}
        for one, known in health.states().items():
            assert replace(known, tenants=breaker.NOBODY) == replace(plain[one], tenants=breaker.NOBODY)
            assert health.view.get(one) == breaker.ban(known, clock.now)
            assert (known.phase is not Phase.CLOSED) == (one in health.out())
