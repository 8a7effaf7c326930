"""The health store of one process."""

from hybridproxy.model.fault import Fault, FaultKind, Verdict
from hybridproxy.resilience.breaker import FAULTS_TO_OPEN, OPEN_SECONDS
from hybridproxy.stores.memory import MemoryHealth

KEY = ("together-us", "host", "qwen", "together-us#1")
DOWN = Fault(FaultKind.OVERLOADED, backend="together-us")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_target_that_keeps_failing_is_banned_for_a_while() -> None:
    """Faults in a row ban a target; the ban ends by itself, and a success wipes the slate clean."""
    clock = Clock()
    store = MemoryHealth(clock)
    for _ in range(FAULTS_TO_OPEN - 1):
        store.note(KEY, Verdict.FAULT, DOWN)
    assert KEY not in store.health()
    store.note(KEY, Verdict.FAULT, DOWN)
    ban = store.health()[KEY]
    assert ban.until == clock.now + OPEN_SECONDS
    assert "overloaded" in ban.reason
    store.note(KEY, Verdict.OK, None)
    assert KEY not in store.health()


def test_a_good_day_leaves_no_trace() -> None:
    """Successes and callers' mistakes of unknown targets are not even remembered."""
    store = MemoryHealth(Clock())
    store.note(KEY, Verdict.OK, None)
    store.note(KEY, Verdict.IGNORED, DOWN)
    assert not store.health()


def test_throttling_with_a_wait_is_a_cool_off() -> None:
    """A 429 that says how long bans for that long at once; one that does not say bans nobody."""
    clock = Clock()
    store = MemoryHealth(clock)
    store.note(KEY, Verdict.THROTTLE, Fault(FaultKind.THROTTLED))
    assert not store.health()
    store.note(KEY, Verdict.THROTTLE, Fault(FaultKind.THROTTLED, retry_after=7))
    assert store.health()[KEY].until == clock.now + 7


def test_targets_that_are_no_longer_configured_are_forgotten() -> None:
    """A reload that drops a backend drops what was known of it."""
    store = MemoryHealth(Clock())
    other = ("vpc", "host", "qwen", "vpc#1")
    for key in (KEY, other):
        store.note(key, Verdict.THROTTLE, Fault(FaultKind.THROTTLED, retry_after=7))
    store.forget(lambda key: key[0] == "vpc")
    assert set(store.health()) == {other}
