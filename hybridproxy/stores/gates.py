"""Where calls for one of our credentials go through one at a time, and wait for it: lanes, gates and their lines.

A *lane* is what goes to one backend for one model with one credential. Each counts what is under way and what went out,
and holds what was learnt (`resilience.learned`). The lanes of a credential for which the operator gave limits share one
*gate* with a limiter and a line; every other lane has a gate of its own, at which nobody waits until something was
learnt.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.model.limits import Rates
from hybridproxy.model.value import value
from hybridproxy.providers.quotas import Remaining
from hybridproxy.resilience.learned import DROPS, ARate, AtATime, Left
from hybridproxy.resilience.limiter import Limiter, Minute, Pace, Taken, per_second, smoothed
from hybridproxy.resilience.line import Line

MAX_WAIT: Final = 1.0
"""Seconds that a call waits for its turn."""

QUEUED: Final = 4
"""As many calls may wait as a part of those that may be under way: a quarter, and one at least."""

SOON: Final = 0.001
"""Seconds until a line is looked at again at the earliest: the rest of a wait may be a rounding error."""

MAX_LINE: Final = 1000
LaneKey = tuple[str, str, str]
"""Backend, credential, the backend's own name of the model."""


class Timers(Protocol):
    """The event loop, as far as lines need it."""

    def time(self) -> float:
        """Return the time."""
        ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> asyncio.Handle:
        """Call back then."""
        ...


@value
class Full:
    """There is no room, and will be none within the time that a call waits.

    Attributes:
        seconds: until there is some, as far as that is known.
        why: what is used up, in words for everybody.

    """

    seconds: float
    why: str


@value
class Wish:
    """What a call needs to know of itself where something is limited.

    Attributes:
        tenant: whose it is.
        priority: a lower number goes first.
        prompt: tokens of its input, as estimated.
        answer: tokens of the longest answer it allows.

    """

    tenant: str
    priority: int = 0
    prompt: int = 0
    answer: int = 0


class Turn:
    """One attempt that may be sent, until it is `over`."""

    __slots__ = ("_began", "_gate", "_lane", "_number", "_taken", "over")

    def __init__(self, lane: "Lane", began: float, number: int, taken: Taken | None) -> None:
        """Begin."""
        self._lane = lane
        self._gate = lane.gate  # a reload may give the lane another one
        self._began = began
        self._number = number
        self._taken = taken
        self.over = False

    def told(self, left: Sequence[Remaining]) -> None:
        """Take what the headers of the answer say is left."""
        self._lane.told(self._number, left)

    @property
    def each(self) -> float:
        """Tokens of the usual call there."""
        return self._lane.each or 1.0

    def end(self, tokens: int = 0, answer: int | None = None, fault: Fault | None = None) -> None:
        """Take the end of it; only the first counts.

        Args:
            tokens: that it used, as reported or estimated.
            answer: those of them that were the answer's; None: it was not answered to its end.
            fault: how it failed, None: it did not.

        """
        if not self.over:
            self.over = True
            self._lane.ended(self._began, tokens, answer, None if fault is None else fault.kind)
            if self._taken is not None and self._gate.limiter is not None:
                self._gate.limiter.settle(self._taken, tokens, answer)
            self._gate.moved()

    def cancel(self) -> None:
        """Give it back: nothing was sent."""
        if not self.over:
            self.over = True
            self._lane.cancelled()
            if self._taken is not None and self._gate.limiter is not None:
                self._gate.limiter.give_back(self._taken)
            self._gate.moved()


class Lane:
    """What goes to one backend for one model with one credential.

    Attributes:
        gate: where its calls wait.
        bounded: something limits it, so its calls have to ask.
        under_way: calls that have begun and not ended.
        each: tokens of the usual call, None while none is known.

    """

    __slots__ = (
        "_at_a_time", "_left", "_now", "_pace", "_rate", "_sent", "_started", "_workers", "bounded", "each", "gate",
        "key", "under_way",
    )  # fmt: skip

    def __init__(self, key: LaneKey, gate: "Gate", now: Callable[[], float]) -> None:
        """Begin with nothing learnt."""
        self.key = key
        self.gate = gate
        self.bounded = gate.limiter is not None
        self.under_way = 0
        self.each: float | None = None
        self._now = now
        self._sent = Minute()
        self._started = 0
        self._at_a_time, self._rate, self._left = AtATime(), ARate(), Left()
        self._pace = Pace(1.0)

    def start(self, now: float, tokens: int = 0) -> Turn:
        """Begin a call."""
        self.under_way += 1
        self._started += 1
        self._sent.add(now, 1)
        if not self.bounded:
            return Turn(self, now, self._started, None)
        self._pace.take(now, 1)
        limiter = self.gate.limiter
        return Turn(self, now, self._started, None if limiter is None else limiter.take(now, tokens))

    def full(self, now: float) -> Full | None:
        """Return why what was learnt has no room now, None where it has."""
        at_a_time = self._at_a_time.current(now)
        if at_a_time is not None and self.under_way >= at_a_time:
            return Full(0.0, f"it took no more than {at_a_time} calls at a time lately")
        if seconds := self._left.wait(self._started, now):
            return Full(seconds, "it says that nothing is left of our quota")
        rpm = self._rate.current(now)
        if rpm is not None:
            self._pace.set(per_second(rpm))
            if seconds := max(self._pace.wait(now), self._sent.wait(now, rpm, 1)):
                return Full(seconds, f"it took no more than {rpm} requests a minute lately")
        elif at_a_time is None and not self._left.counts and self.gate.limiter is None:
            self.bounded = False
        return None

    def most(self, now: float) -> int:
        """Return how many may wait for what was learnt."""
        at_a_time, rpm = self._at_a_time.current(now), self._rate.current(now)
        of_rate = MAX_LINE if rpm is None else int(per_second(rpm) * MAX_WAIT)
        return of_rate if at_a_time is None else min(of_rate, at_a_time // QUEUED)

    def told(self, number: int, left: Sequence[Remaining]) -> None:
        """Take what the answer to our call of this number says is left: calls, or tokens for so many of the usual."""
        workers, each = self.gate.workers(), max(1.0, self.each or 1.0)
        calls = [(int(one.amount / (each if one.tokens else 1) / workers), one.seconds) for one in left]
        self._left.told(number, calls, self._now())
        self.bounded = self.bounded or self._left.counts

    def ended(self, began: float, tokens: int, answer: int | None, kind: FaultKind | None) -> None:
        """Take the end of a call."""
        if kind in DROPS:
            now, limiter = self._now(), self.gate.limiter
            knew = self.has_learnt(now)
            self._at_a_time.dropped(self.under_way, began, now)
            if kind is FaultKind.THROTTLED and (limiter is None or limiter.rates.rpm is None):
                self._rate.throttled(self._sent.total, self._sent.span(now), now)
            self.bounded = True
            if not knew and (learnt := self.shown(now)):
                self.gate.books.learnt(self.key, learnt)
        elif answer is not None:
            self._at_a_time.good(self.under_way)
            self.each = smoothed(self.each, tokens)
        self.under_way -= 1

    def cancelled(self) -> None:
        """Take back a call that was not sent."""
        self.under_way -= 1
        self._started -= 1
        self._sent.correct(int(self._now()), -1)

    def has_learnt(self, now: float) -> bool:
        """Return whether anything that was learnt limits it."""
        if not self.bounded:
            return False
        return self._at_a_time.current(now) is not None or self._rate.current(now) is not None or self._left.counts

    def shown(self, now: float) -> dict[str, Any]:
        """Return what was learnt, as a JSON value; empty where nothing was."""
        left = self._left.wait(self._started, now)
        learnt = {
            "at_a_time": self._at_a_time.current(now),
            "rpm": self._rate.current(now),
            "nothing_left_for": round(left, 1) if left else None,
        }
        return learnt if any(one is not None for one in learnt.values()) else {}


class Waiting:
    """One call in a line. `ready` is told of its turn, or that it has none."""

    __slots__ = ("_gate", "lane", "over", "ready", "tokens", "until", "wish")

    def __init__(self, lane: Lane, wish: Wish, tokens: int, until: float, ready: Callable[[Turn | Full], None]) -> None:
        """Wait until then."""
        self._gate = lane.gate
        self.lane = lane
        self.wish = wish
        self.tokens = tokens
        self.until = until
        self.ready = ready
        self.over = False

    def leave(self) -> None:
        """Wait no longer. Again is no harm."""
        if not self.over:
            self._gate.left(self)


class Gate:
    """Where calls for one credential wait.

    Attributes:
        given: the limits that the operator gave, for the whole fleet.
        limiter: holds this worker's part of them, None where there are none.
        books: of all gates.
        refused: calls that got no turn.
        workers: tells how many of the fleet are alive.

    """

    __slots__ = (
        "_arrived", "_due", "_line", "_loop", "_timer", "_tokens", "books", "given", "limiter", "refused", "workers",
    )  # fmt: skip

    def __init__(
        self, given: Rates, limiter: Limiter | None, workers: Callable[[], int], books: "Books", loop: Timers
    ) -> None:
        """Begin with nobody waiting."""
        self.given = given
        self.limiter = limiter
        self.workers = workers
        self.refused = 0
        self._loop = loop
        self.books = books
        self._line: Line[Waiting] = Line()
        self._arrived: deque[Waiting] = deque()
        self._tokens = 0
        self._timer: asyncio.Handle | None = None
        self._due = math.inf

    def __len__(self) -> int:
        """How many wait."""
        return len(self._line)

    def give(self, given: Rates, workers: int) -> None:
        """Hold other limits, or another part of them, from now on; what is used stays used."""
        self.given = given
        if self.limiter is not None:
            self.limiter.set(given, workers)

    def ask(self, lane: Lane, wish: Wish, ready: Callable[[Turn | Full], None] | None) -> Turn | Waiting | Full:
        """Return a call's turn, or its place in the line, or that there is no room; `ready`: None: it never waits."""
        now, limiter = self._loop.time(), self.limiter
        tokens = 0 if limiter is None else limiter.expected(wish.prompt, wish.answer)
        against = self.against(lane, tokens, now)
        if against is None and not self._line:
            return lane.start(now, tokens)
        against = against or Full(0.0, "others wait for it")
        if ready is None or against.seconds > MAX_WAIT:
            return self._refuse(against)
        behind = 0.0
        if limiter is not None:
            behind = limiter.wait(now, tokens, ahead=len(self._line), tokens_ahead=self._tokens)
        if behind > MAX_WAIT or len(self._line) >= self._most(lane, now):
            last = self._line.last_for(wish.priority, wish.tenant)
            if last is None:
                return self._refuse(Full(max(behind, against.seconds), against.why))
            self.left(last)
            last.ready(self._refuse(Full(behind, against.why)))
        waiting = Waiting(lane, wish, tokens, now + MAX_WAIT, ready)
        self._line.add(waiting, wish.priority, wish.tenant)
        self._arrived.append(waiting)
        self._tokens += tokens
        self._serve()
        return waiting

    def against(self, lane: Lane, tokens: int, now: float) -> Full | None:
        """Return why one more call may not begin now, None where it may."""
        limiter = self.limiter
        if limiter is not None:
            if seconds := limiter.wait(now, tokens):
                return Full(seconds, f"we may ask it for {_said(limiter.rates)}")
            if limiter.busy:
                return Full(0.0, f"we may have {limiter.rates.streams} calls at a time there")
        return lane.full(now)

    def left(self, waiting: Waiting) -> None:
        """Take a call out of the line."""
        self._line.remove(waiting, waiting.wish.priority, waiting.wish.tenant)
        self._gone(waiting)
        self.moved()

    def moved(self) -> None:
        """Take the news that there may be room: whoever waits is looked at in the loop's next turn."""
        if self._line:
            self._wake(0.0)

    def _most(self, lane: Lane, now: float) -> int:
        streams = None if self.limiter is None else self.limiter.rates.streams
        own = MAX_LINE if streams is None else streams // QUEUED
        return max(1, min(own, lane.most(now), MAX_LINE))

    def _serve(self) -> None:
        """Let everybody begin for whom there is room, and send away who has waited for too long."""
        now = self._loop.time()
        wake = math.inf
        while True:
            chosen, wake = self._next(now)
            if chosen is None:
                break
            self._line.served(chosen.wish.priority, chosen.wish.tenant)
            self._gone(chosen)
            self.books.waited += 1
            self.books.seconds += now - chosen.until + MAX_WAIT
            chosen.ready(chosen.lane.start(now, chosen.tokens))
        while self._arrived and (self._arrived[0].over or now >= self._arrived[0].until):
            late = self._arrived.popleft()
            if not late.over:
                against = self.against(late.lane, late.tokens, now) or Full(0.0, "others wait for it")
                self._line.remove(late, late.wish.priority, late.wish.tenant)
                self._gone(late)
                late.ready(self._refuse(against))
        if self._arrived:
            self._wake(max(SOON, min(wake, self._arrived[0].until - now)))

    def _next(self, now: float) -> tuple[Waiting | None, float]:
        """Return who is next, or in how many seconds to look again."""
        limiter, wake = self.limiter, math.inf
        if limiter is not None and limiter.busy:
            return None, wake
        for first in self._line.firsts():
            if limiter is not None and (seconds := limiter.wait(now, first.tokens)):
                return None, seconds  # a smaller one behind it does not go first
            against = first.lane.full(now)
            if against is None:
                return first, 0.0
            wake = min(wake, against.seconds or math.inf)
        return None, wake

    def _gone(self, waiting: Waiting) -> None:
        waiting.over = True
        self._tokens -= waiting.tokens

    def _wake(self, seconds: float) -> None:
        """Look at the line in so many seconds, or sooner where that was to be."""
        at = self._loop.time() + seconds
        if self._timer is not None:
            if self._due <= at:
                return
            self._timer.cancel()
        self._due = at
        self._timer = self._loop.call_at(at, self._woken)

    def _woken(self) -> None:
        self._timer = None
        self._serve()

    def _refuse(self, full: Full) -> Full:
        self.refused += 1
        self.books.refused += 1
        return full


class Books:
    """What is counted over all gates: calls that waited and then went, for how long together, and those refused."""

    def __init__(self, log: Callable[..., object]) -> None:
        """Begin with nothing; `log` takes events by name."""
        self.waited = self.refused = 0
        self.seconds = 0.0
        self._log = log

    def learnt(self, key: LaneKey, what: Mapping[str, Any]) -> None:
        """Take the news that something is known of a lane of which nothing was."""
        backend, credential, model = key
        self._log("upstream_limit.learnt", backend=backend, credential=credential, model=model, **what)


def _said(rates: Rates) -> str:
    """Return rates in words."""
    said = [(rates.rpm, "requests"), (rates.tpm, "tokens")]
    return " and ".join(f"{limit} {what} a minute" for limit, what in said if limit is not None)
