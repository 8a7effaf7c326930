"""The demo's child processes: started with a log file each, watched, and stopped by their own ids."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from hybridproxy.demo.interrupts import Interrupts
from hybridproxy.demo.problem import ChildError

GRACE: Final = 5.0
"""Seconds from SIGTERM to SIGKILL."""

LAST_LINES: Final = 15
LAST_BYTES: Final = 8192
POLL: Final = 0.05


class Child:
    """One program: what starts it, and its process while it runs."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        """Describe a program; it is not started yet. Its output is appended to `log`."""
        self.name = name
        self.log = log
        self._command = tuple(command)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None when it does not run."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it.

        Raises:
            ChildError: there is no such program, or no room for a process.

        """
        try:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                    self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
                )
        except OSError as error:
            raise ChildError(f"{self.name} cannot be started: {error.strerror}") from None

    def check(self) -> None:
        """Make sure that it still runs.

        Raises:
            ChildError: it ended; with its last lines.

        """
        if self._process is not None:
            status = self._process.poll()
            if status is not None:
                raise ChildError(f"{self.name} ended with status {status}. {self.last_words()}")

    def terminate(self) -> None:
        """Ask it to end."""
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """End it as a power cut would: it says good-bye to nobody."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def reap(self, deadline: float) -> None:
        """Wait for its end until `deadline` (monotonic seconds), then kill it."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def last_words(self) -> str:
        """Return the last lines of its log in words."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - LAST_BYTES))
                lines = log.read().decode(errors="replace").splitlines()[-LAST_LINES:]
        except OSError:
            lines = []
        return "Its last lines:\n" + "\n".join(f"  {line}" for line in lines) if lines else "It wrote nothing."


class Processes:
    """All children of the demo."""

    def __init__(self, interrupts: Interrupts) -> None:
        """Begin with none; an interruption waits until a child that is being started is known."""
        self._interrupts = interrupts
        self._children: list[Child] = []

    @property
    def running(self) -> tuple[Child, ...]:
        """Those that were started and not stopped, in the order of their start."""
        return tuple(self._children)

    def start(self, child: Child) -> None:
        """Start a child.

        Raises:
            ChildError: it cannot be started.

        """
        with self._interrupts.held():
            child.start()
            self._children.append(child)

    def wait_ready(self, child: Child, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until a child does its work.

        Raises:
            ChildError: it, or another one, ended; or it took longer than `seconds`.

        """
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ChildError(f"{child.name} is not ready after {seconds:g} s. {child.last_words()}")
            time.sleep(POLL)

    def check(self) -> None:
        """Make sure that all still run.

        Raises:
            ChildError: one ended.

        """
        for child in self._children:
            child.check()

    def kill(self, child: Child) -> None:
        """End a child at once; its connections break, and nothing listens at its port any more."""
        with self._interrupts.held():
            child.kill()
            self._children.remove(child)

    def stop(self, *children: Child) -> None:
        """Stop these children, or all: the youngest is asked first, and what does not end in time is killed."""
        chosen = [child for child in reversed(self._children) if not children or child in children]
        for child in chosen:
            child.terminate()
        deadline = time.monotonic() + GRACE
        for child in chosen:
            child.reap(deadline)
            self._children.remove(child)
