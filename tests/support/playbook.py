"""Scripts of a call's course: `<< command` is expected next, `>> event` happens next.

    assert Playbook(targets=2) << SetTimer(…) << StartAttempt(0) >> FirstOutput(0) << Commit(0)

An event may only happen when every command before it was expected, and in the end none may be left over.
"""

from collections import deque

from hybridproxy.model.backend import Timeouts
from hybridproxy.resilience.execution import Command, Event, Execution


class Playbook:
    """One call; true when its course was exactly as written."""

    def __init__(self, targets: int = 1, *, stream: bool = True, timeouts: Timeouts | None = None) -> None:
        self.execution = Execution(targets, timeouts or Timeouts(), stream=stream)
        self._given: deque[Command] = deque(self.execution.start())

    def __lshift__(self, command: Command) -> "Playbook":
        assert self._given, f"expected {command}, but nothing more was commanded"
        given = self._given.popleft()
        assert given == command, f"expected {command}, but {given} was commanded"
        return self

    def __rshift__(self, event: Event) -> "Playbook":
        assert not self._given, f"not expected before {event}: {list(self._given)}"
        self._given.extend(self.execution.on(event))
        return self

    def __bool__(self) -> bool:
        assert not self._given, f"not expected at the end: {list(self._given)}"
        return True
