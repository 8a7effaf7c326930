"""Scripts of a call's course: `<< command` is expected next, `>> event` happens next.

    assert Playbook(targets=2) << SetTimer(…) << StartAttempt(0, 0) >> FirstOutput(0) << Commit(0)

An event may only happen when every command before it was expected, and in the end none may be left over.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from hybridproxy.model.backend import Backend, Timeouts
from hybridproxy.model.plan import Target
from hybridproxy.model.snapshot import Handling, OnCut
from hybridproxy.resilience.execution import Command, Event, Execution, Terms
from tests.support.make import target


class Half:
    """Chance that is always the same."""

    def __init__(self, number: float = 0.5) -> None:
        self.number = number

    def random(self) -> float:
        """Return the number."""
        return self.number


class Purse:
    """An allowance with so much room, which keeps what was asked of it."""

    def __init__(self, retries: int = 1000, hedges: int = 1000) -> None:
        self.retries = retries
        self.hedges = hedges
        self.asked: list[tuple[bool, int]] = []

    def retry(self, now: float, *, loads: bool, cost: int = 0) -> bool:
        """Give room while there is some."""
        self.asked.append((loads, cost))
        self.retries -= 1
        return self.retries >= 0

    def hedge(self) -> bool:
        """Give room while there is some."""
        self.hedges -= 1
        return self.hedges >= 0


def targets(count: int) -> list[Target[Backend]]:
    """Make targets of so many backends, a, b and on."""
    return [target(chr(ord("a") + n)) for n in range(count)]


class Playbook:
    """One call; true when its course was exactly as written."""

    def __init__(
        self,
        plan: int | Sequence[Target[Backend]] = 1,
        *,
        stream: bool = True,
        timeouts: Timeouts | None = None,
        patience: float = 0.0,
        on_cut: Sequence[OnCut] = (),
        hedge_after: float | None = None,
        purse: Purse | None = None,
        chance: float = 0.5,
    ) -> None:
        self.purse = purse or Purse()
        handling = replace(Handling(timeouts or Timeouts()), patience=patience)
        terms = Terms(stream, handling, tuple(on_cut), size=4000, hedge_after=hedge_after)
        chosen = targets(plan) if isinstance(plan, int) else plan
        self.now = 100.0
        self.execution = Execution(chosen, terms, self.purse, Half(chance))
        self._given: deque[Command] = deque(self.execution.start())

    def __lshift__(self, command: Command) -> "Playbook":
        assert self._given, f"expected {command}, but nothing more was commanded"
        given = self._given.popleft()
        assert given == command, f"expected {command}, but {given} was commanded"
        return self

    def __rshift__(self, event: Event) -> "Playbook":
        assert not self._given, f"not expected before {event}: {list(self._given)}"
        self._given.extend(self.execution.on(event, self.now))
        return self

    def __bool__(self) -> bool:
        assert not self._given, f"not expected at the end: {list(self._given)}"
        return True
