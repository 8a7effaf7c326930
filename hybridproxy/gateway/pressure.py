"""The load of this worker: it is measured fifty times a second, and every call asks whether it is let in.

`resilience.shedding` decides; this is its clock and its counters. Nothing here waits for anything.

How late the loop is a timer alone does not tell: of a thousand sockets with something to read the loop reads some, sees
to its timers in time, and reads some more, while calls wait for seconds. So a byte is sent to a socket of our own. It
waits behind all that came before it, as a call's first byte does, and so long the loop is late.
"""

import asyncio
import math
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hybridproxy.gateway.memory import Memory
from hybridproxy.resilience.shedding import CALM, PATIENCE, Sample, Shed, Shedding, refuse, room_after, step

TICK: Final = 0.02
"""Seconds between two looks at how late the loop is, and how soon more calls are let in."""

SAMPLE: Final = 0.1
"""Seconds between two decisions; where the loop is late, it is more."""


@dataclass(slots=True)
class _Episode:
    """A time in which calls are refused for one reason: when it began, and how many had been refused before."""

    began: float
    before: int
    seen: int
    last: float


class Pressure:
    """Says whether a call is let in.

    Attributes:
        most: calls at a time.
        late: seconds of lag that are too many.
        engaged: calls may be refused now, so that it is worth while to ask before one is read.
        state: what is done about the load.
        lag: seconds that something which came had to wait for at most, when it was measured last.
        held: bytes of memory that the process held then.
        refused: calls so far, by the reason.

    """

    __slots__ = (
        "_began", "_calls", "_clock", "_count", "_episodes", "_far", "_least", "_let_in", "_log", "_loop", "_memory",
        "_near", "_refused", "_room", "_sent", "_ticked", "_timer", "_total", "_worst", "engaged", "held", "lag",
        "late", "most", "refused", "state",
    )  # fmt: skip

    def __init__(
        self,
        calls: Callable[[], int],
        memory: Memory,
        *,
        clock: Callable[[], float],
        log: Callable[..., None],
        most: int,
        late: float,
    ) -> None:
        """Judge by the calls under way, which `calls` tells, and by memory and lag. Call it on the running loop."""
        self.most = most
        self.late = late
        self.engaged = False
        self.state: Shedding = CALM
        self.lag = 0.0
        self.held = memory.resident()
        self.refused = dict.fromkeys(Shed, 0)
        self._calls = calls
        self._memory = memory
        self._clock = clock
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._sent: float | None = None
        self._room = 0.0
        self._episodes: dict[Shed, _Episode] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._least, self._worst = math.inf, 0.0
        self._ticked = clock()
        self._begin_sample(self._ticked)

    def start(self) -> None:
        """Measure from now on."""
        self._loop.add_reader(self._near, self._heard)
        self._ticked = self._clock()
        self._begin_sample(self._ticked)
        self._tick()

    def close(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._loop.remove_reader(self._near)
        self._near.close()
        self._far.close()

    def may_refuse(self) -> bool:
        """Return whether the call that just came may be refused."""
        return self.engaged or self._calls() >= self.most

    def refuses(self, *, seen: bool = False) -> Shed | None:
        """Return why the call that just came is refused; None: it is let in.

        Ask once for each call; once more, with `seen`, for one that was let in before it was read: of those many may
        have come at the same time.
        """
        calls = self._calls()
        if calls < self.most and (seen or not self.engaged):
            self._let_in += not seen
            return None
        reason = refuse(self.state, calls, self.most, self._room)
        if reason is None:
            self._let_in += 1
            self._room -= 1
            return None
        if reason not in self._episodes:
            now = self._clock()
            self._episodes[reason] = _Episode(now, self.refused[reason], self.refused[reason], now)
            self._log("shedding.began", reason=reason.value, **self.figures())
        self.refused[reason] += 1
        return reason

    def figures(self) -> dict[str, Any]:
        """Return what the rules look at, for an operator."""
        state = self.state
        return {
            "calls": self._calls(),
            "most_calls": self.most,
            "lag_ms": round(self.lag * 1000, 1),
            "memory": self.held,
            "memory_limit": self._memory.limit,
            "rate": None if state.rate is None else round(state.rate),
        }

    def gauges(self) -> dict[str, float]:
        """Return the same for the metrics."""
        return {
            "hybridproxy_calls_most": self.most,
            "hybridproxy_loop_lag_seconds": self.lag,
            "hybridproxy_memory_bytes": self.held,
            "hybridproxy_memory_limit_bytes": self._memory.limit,
            "hybridproxy_shedding": len(self._episodes),
            **{f"hybridproxy_shed_{reason.value}": count for reason, count in self.refused.items()},
        }

    def shown(self) -> dict[str, Any]:
        """Return the figures, for which reasons calls are refused now, and how many were so far."""
        refused: Mapping[str, int] = {reason.value: count for reason, count in self.refused.items()}
        return {"reasons": sorted(reason.value for reason in self._episodes), "refused": refused, **self.figures()}

    # ---- the measuring ----

    def _tick(self) -> None:
        self._timer = self._loop.call_later(TICK, self._tick)
        now = self._clock()
        self._room = room_after(self.state, self._room, now - self._ticked)
        self._ticked = now
        if self._sent is None:
            self._sent = now
            self._far.send(b"!")

    def _heard(self) -> None:
        """Take the byte that was sent to ourselves: whatever came before it was served first."""
        self._near.recv(1)
        now, sent = self._clock(), self._sent
        if sent is None:
            return
        self._sent = None
        lag = now - sent
        self._count += 1
        self._total += lag
        self._least = min(self._least, lag)
        self._worst = max(self._worst, lag)
        if now - self._began >= SAMPLE:
            self._decide(now)

    def _begin_sample(self, now: float) -> None:
        self._began = now
        self._least, self._worst = math.inf, 0.0
        self._count, self._total = 0, 0.0
        self._let_in = 0
        self._refused = self.refused[Shed.LAG]

    def _decide(self, now: float) -> None:
        self.lag = self._worst
        self.held = self._memory.resident()
        sample = Sample(
            seconds=now - self._began,
            lag=self._total / self._count,
            least=self._least,
            let_in=self._let_in,
            refused=self.refused[Shed.LAG] - self._refused,
            memory=self.held / self._memory.limit,
        )
        self.state = state = step(self.state, sample, self.late)
        self.engaged = state.rate is not None or state.memory or self._calls() >= self.most
        self._begin_sample(now)
        if self._episodes:
            self._end(now)

    def _end(self, now: float) -> None:
        """Log the end of what has refused nobody for some seconds."""
        for reason, episode in list(self._episodes.items()):
            count = self.refused[reason]
            if count != episode.seen:
                episode.seen, episode.last = count, now
            elif now - episode.last >= PATIENCE:
                del self._episodes[reason]
                seconds = round(episode.last - episode.began, 1)
                refused = count - episode.before
                self._log("shedding.ended", reason=reason.value, seconds=seconds, refused=refused, **self.figures())
