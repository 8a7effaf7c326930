"""When a worker that has too much to do refuses calls, and how many.

Three rules, in this order:

    calls    no more at a time than the operator allows
    memory   while the process holds more than four fifths of what it may, only a few calls at a time
    lag      once the event loop was late by more than 100 ms for 3 s, so many calls a second as keep it in time

The last one does not refuse all or nothing. It starts from the calls that were let in before, and finds by small steps
up and quick ones down the rate at which the loop is late by no more than `GOAL`: that is what this worker can serve. It
is a rate and not a share of what comes, so it holds whatever comes, and nobody is refused any more as soon as no more
comes than can be served. What was let in is never taken back.
"""

from enum import Enum
from typing import Final

from hybridproxy.model.value import value

LATE: Final = 0.1
"""Seconds of lag that are too many, unless an operator says otherwise."""

PATIENCE: Final = 3.0
"""Seconds that the loop has to be late, more than it is in time, before calls are refused for it.

Twice as much lag counts for twice as long: where the loop is a second late nobody waits for the fourth.
"""

MOST: Final = 2.0
"""Seconds that one sample may count: a process that was stopped for a while is late once."""

GOAL: Final = 0.015
"""Seconds of lag up to which the rate is raised: a refusal waits for a few times as long, and must not for 50 ms."""

UP, DOWN = 1.03, 0.9
"""What the rate is multiplied by, ten times a second: while the loop is in time, and at least while it is not.

In a model of a loop these keep 96 % of what it can serve, at up to four times as many calls, with turns of 25 ms (p99).
"""

BURST: Final = 0.05
"""Seconds' worth of calls that may be let in at once."""

LEAST: Final = 20.0
"""Calls a second that are let in however late the loop is: it may be something else than calls that delays it."""

FEW: Final = 8
"""Calls at a time for which there is memory: what a few calls need is not the cause, and a worker whose memory does not
shrink again must not be out of service for good."""

ENOUGH, GOOD_AGAIN = 0.8, 0.75
"""Shares of the memory that may be used at which refusing begins and ends."""


class Shed(Enum):
    """Why a call is refused; the value is the word used in errors, logs and metrics."""

    CALLS = "calls"
    MEMORY = "memory"
    LAG = "lag"

    __hash__ = object.__hash__  # members are one of a kind; Enum's own hash is a call in Python


@value
class Sample:
    """What was seen since the last sample.

    Attributes:
        seconds: how long that is.
        lag: how late the loop was on average, in seconds.
        least: how late it was at least: what it made good since does not stand in it.
        let_in: calls that were let in.
        refused: calls that were refused because of the lag.
        memory: which share of the memory that it may hold the process holds.

    """

    seconds: float
    lag: float
    least: float
    let_in: int
    refused: int
    memory: float


@value
class Shedding:
    """What a worker does about its load.

    Attributes:
        rate: calls a second that are let in, None: all.
        memory: it holds too much.
        late: seconds the loop was late, less those it was not; from 0 to `PATIENCE`.
        pace: calls a second that were let in during the last second or so.
        idle: seconds since a call was refused because of the lag.

    """

    rate: float | None = None
    memory: bool = False
    late: float = 0.0
    pace: float = 0.0
    idle: float = 0.0


CALM: Final = Shedding()


def step(state: Shedding, sample: Sample, too_late: float = LATE) -> Shedding:
    """Return what is done from now on, after a sample; `too_late`: seconds of lag that are too many.

    Samples are meant to be a tenth of a second apart, or more.
    """
    seconds = min(sample.seconds, 1.0)  # after a process was stopped for an hour nothing is known of that hour
    counted = -seconds if sample.lag <= too_late else min(MOST, seconds * sample.lag / too_late)
    late = min(PATIENCE, max(0.0, state.late + counted))
    pace = state.pace + (sample.let_in / max(sample.seconds, 0.001) - state.pace) * seconds
    idle = 0.0 if sample.refused else state.idle + seconds
    rate = state.rate
    if rate is None:
        rate, idle = (max(LEAST, pace), 0.0) if late == PATIENCE else (None, idle)
    elif idle >= PATIENCE and late == 0.0:
        rate = None
    else:
        rate = max(LEAST, rate * _change(sample))
    memory = sample.memory >= (GOOD_AGAIN if state.memory else ENOUGH)
    return Shedding(rate, memory, late, pace, idle)


def _change(sample: Sample) -> float:
    """Return by what the rate is multiplied."""
    if sample.least > GOAL:
        return max(DOWN, GOAL / sample.least)
    # a rate that holds nobody back is not raised: more of it would be a guess
    return UP if sample.refused and sample.least <= GOAL / 2 else 1.0


def refuse(state: Shedding, calls: int, most: int, room: float) -> Shed | None:
    """Return why the next call is refused, None where it is let in.

    Args:
        state: what is done about the load.
        calls: that are under way.
        most: that may be.
        room: calls that may be let in now, of those that `Shedding.rate` allows.

    """
    if calls >= most:
        return Shed.CALLS
    if state.memory and calls >= FEW:
        return Shed.MEMORY
    return Shed.LAG if state.rate is not None and room < 1 else None


def room_after(state: Shedding, room: float, seconds: float) -> float:
    """Return how many calls may be let in after so many seconds more, where there was room for so many."""
    if state.rate is None:
        return 0.0
    return min(room + state.rate * seconds, max(2.0, state.rate * BURST))
