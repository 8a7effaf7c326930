"""What every call needs from the process around it."""

from collections.abc import Callable
from dataclasses import dataclass

from hybridproxy.model.facts import Observer
from hybridproxy.model.fault import Fault, Verdict
from hybridproxy.model.health import Health, HealthKey
from hybridproxy.transport.sweep import Sweep


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The shell's parts, handed to each call.

    Attributes:
        sweep: the one timer.
        health: the targets that are not fit at this moment.
        note: takes the outcome of one attempt.
        observer: takes the facts of a finished call.
        wall: seconds since the epoch.
        report: takes the id of a call that met a bug, while the exception is being handled.

    """

    sweep: Sweep
    health: Callable[[], Health]
    note: Callable[[HealthKey, Verdict, Fault | None], None]
    observer: Observer
    wall: Callable[[], float]
    report: Callable[[str], None]
