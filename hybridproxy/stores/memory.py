"""What this process knows of its targets' health. Gone with the process; nothing else depends on it."""

from collections.abc import Callable

from hybridproxy.model.fault import Fault, Verdict
from hybridproxy.model.health import Ban, Health, HealthKey
from hybridproxy.resilience.breaker import CLOSED, BreakerState, step


class MemoryHealth:
    """Breaker states by target; `health` is the view that routing gets."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin with every target closed; `now` gives seconds on the loop's clock."""
        self._now = now
        self._states: dict[HealthKey, BreakerState] = {}
        self._bans: dict[HealthKey, Ban] = {}

    def health(self) -> Health:
        """Return the targets that are not fit. A ban that is over may still be in it."""
        return self._bans

    def note(self, key: HealthKey, verdict: Verdict, fault: Fault | None) -> None:
        """Take the outcome of one attempt."""
        before = self._states.get(key, CLOSED)
        if before is CLOSED and (verdict is Verdict.OK or verdict is Verdict.IGNORED):
            return
        wait = None if fault is None else fault.retry_after
        what = "" if fault is None else fault.facts.text
        after = step(before, verdict, self._now(), wait=wait, what=what)
        if after is CLOSED:
            self._states.pop(key, None)
            self._bans.pop(key, None)
            return
        self._states[key] = after
        if after.until > before.until:
            self._bans[key] = Ban(after.until, after.reason)

    def forget(self, keep: Callable[[HealthKey], bool]) -> None:
        """Drop what is known of targets that are no longer configured."""
        for key in [key for key in self._states if not keep(key)]:
            self._states.pop(key, None)
            self._bans.pop(key, None)
