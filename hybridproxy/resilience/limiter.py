"""How much of one credential's quota may be used now: requests and tokens a minute, calls at a time.

Theory of operation. An upstream counts twice: over a minute, and over a second, since what is allowed in 60 s must not
come in one (DashScope: "enforced also per second", as `Throttling.BurstRate`). So each rate is held twice here. A
window holds it over any 60 s. A pace spreads it: of requests no more begin within any second than a sixtieth of what a
minute has, at least one; of tokens, calls begin as long as those before have not used up the second's, and a call that
is larger than that counts as all of a second's.

The pace is the generic cell rate algorithm (ATM Forum TM 4.0, as in Redis-cell): one number, the moment at which the
next is due. One may be early by `EARLY` seconds, and gaps are longer by a little more than that. So 97 % of a quota can
be used, the network may bring two calls closer to each other than they left, and a quota of 30,000 requests a minute
lets ten go at once.
"""

import math
from typing import Final

from hybridproxy.model.limits import Rates
from hybridproxy.model.value import value

SPAN: Final = 60
"""Seconds of a window."""

EARLY: Final = 0.02
"""Seconds a call may be early."""

GAP: Final = 1.025
"""Seconds over which a second's worth is spread: as much longer as a call may be early, and a little for rounding."""

WEIGHT: Final = 0.1
"""What one more answer counts for in the length of the usual one."""

USUAL_TIMES: Final = 2.0
"""An answer is expected to be no longer than so many times the usual one."""


class Minute:
    """Amounts by second: never less than what any 60 s that end now hold, and of one second more at most."""

    __slots__ = ("_slots", "total")

    def __init__(self) -> None:
        """Begin empty."""
        self._slots: dict[int, int] = {}
        self.total = 0

    def add(self, now: float, amount: int) -> int:
        """Add an amount; return the second it was put under."""
        second = int(now)
        slots = self._slots
        if second in slots:
            slots[second] += amount
        else:
            self.expire(now)
            slots[second] = amount
        self.total += amount
        return second

    def expire(self, now: float) -> None:
        """Forget what is older than a minute."""
        slots, oldest = self._slots, int(now) - SPAN
        while slots:
            first = next(iter(slots))
            if first >= oldest:
                return
            self.total -= slots.pop(first)

    def correct(self, second: int, difference: int) -> None:
        """Change what was put under a second, unless it is forgotten."""
        if second in self._slots:
            self._slots[second] += difference
            self.total += difference

    def wait(self, now: float, limit: int, amount: int) -> float:
        """Return the seconds until there is room for an amount, which is no larger than the limit."""
        self.expire(now)
        over = self.total + amount - limit
        if over <= 0:
            return 0.0
        for second, held in self._slots.items():
            over -= held
            if over <= 0:
                return second + SPAN + 1 - now
        return float(SPAN + 1)  # corrections left less in the slots than the amount lacks: nothing is known better

    def span(self, now: float) -> float:
        """Return how many seconds the amounts are of, from 1 to 60."""
        first = next(iter(self._slots), int(now))
        return min(float(SPAN), max(1.0, now - first))


class Pace:
    """When the next may begin, where so much may begin in a second."""

    __slots__ = ("_due", "_gap", "_second")

    def __init__(self, per_second: float) -> None:
        """Let so much begin in a second."""
        self._due = -math.inf
        self._gap = GAP / per_second
        self._second = per_second

    def set(self, per_second: float) -> None:
        """Let so much begin in a second from now on."""
        self._gap, self._second = GAP / per_second, per_second

    def wait(self, now: float, ahead: float = 0.0) -> float:
        """Return the seconds until the next may begin, once so much is ahead of it."""
        return max(0.0, max(self._due - EARLY, now) + ahead * self._gap - now)

    def take(self, now: float, amount: float) -> float:
        """Begin; return what was counted: of more than a second's worth, that."""
        counted = min(amount, self._second)
        self._due = max(self._due, now) + counted * self._gap
        return counted

    def correct(self, counted: float, amount: float) -> None:
        """Count an amount instead of what was counted."""
        self._due += (min(amount, self._second) - counted) * self._gap


def per_second(per_minute: float) -> float:
    """Return how many requests may begin in a second: a sixtieth of a minute's, at least one."""
    return max(1.0, per_minute / SPAN)


@value
class Taken:
    """What one call took: tokens, the second of the window they are under, and what the pace counted of them."""

    second: int
    tokens: int
    paced: float


class Limiter:
    """One credential's quota, as the operator wrote it down, or this worker's part of it.

    Attributes:
        rates: what holds here.
        under_way: calls that have begun and not ended.
        usual: tokens of the usual answer, None while none is known.

    """

    __slots__ = ("_paced", "_paced_tokens", "rates", "requests", "tokens", "under_way", "usual")

    def __init__(self, rates: Rates, workers: int = 1) -> None:
        """Hold a quota, or one of so many equal parts of it."""
        self.requests, self.tokens = Minute(), Minute()
        self._paced, self._paced_tokens = Pace(1.0), Pace(1.0)
        self.under_way = 0
        self.usual: float | None = None
        self.set(rates, workers)

    def set(self, rates: Rates, workers: int = 1) -> None:
        """Hold another quota, or another part of it, from now on; what is used stays used."""
        rpm, tpm, streams = (
            None if limit is None else max(1, limit // workers) for limit in (rates.rpm, rates.tpm, rates.streams)
        )
        self.rates = Rates(rpm, tpm, streams)
        if rpm is not None:
            self._paced.set(per_second(rpm))
        if tpm is not None:
            self._paced_tokens.set(tpm / SPAN)

    @property
    def busy(self) -> bool:
        """Whether no more may be under way at a time."""
        streams = self.rates.streams
        return streams is not None and self.under_way >= streams

    def expected(self, prompt: int, answer: int) -> int:
        """Return the tokens to take for a call, by its input and the longest answer it allows.

        Of a limit on the answer's length, which callers set high, no more than twice the usual answer is expected. A
        call that is larger than the whole quota counts as all of it: it goes when nothing else does.
        """
        if self.usual is not None:
            answer = min(answer, int(self.usual * USUAL_TIMES) + 1)
        return min(prompt + answer, self.rates.tpm or 0)

    def wait(self, now: float, tokens: int, *, ahead: int = 0, tokens_ahead: int = 0) -> float:
        """Return the seconds until the rates have room for a call; how many are under way is `busy`.

        Args:
            now: seconds on the loop's clock.
            tokens: of the call, as `expected`.
            ahead: calls that go first.
            tokens_ahead: theirs.

        """
        rpm, tpm, wait = self.rates.rpm, self.rates.tpm, 0.0
        if rpm is not None:
            wait = max(self._paced.wait(now, ahead), self.requests.wait(now, rpm, min(rpm, ahead + 1)))
        if tpm is not None:
            window = self.tokens.wait(now, tpm, min(tpm, tokens + tokens_ahead))
            wait = max(wait, window, self._paced_tokens.wait(now, tokens_ahead))
        return wait

    def take(self, now: float, tokens: int) -> Taken:
        """Begin a call."""
        self.under_way += 1
        self.requests.add(now, 1)
        self._paced.take(now, 1)
        return Taken(self.tokens.add(now, tokens), tokens, self._paced_tokens.take(now, tokens))

    def settle(self, taken: Taken, tokens: int, answer: int | None = None) -> None:
        """End a call that used so many tokens; `answer`: those of them that were the answer's, None: not known."""
        self.under_way -= 1
        if self.rates.tpm is not None:
            self.tokens.correct(taken.second, tokens - taken.tokens)
            self._paced_tokens.correct(taken.paced, tokens)
        if answer is not None:
            self.usual = smoothed(self.usual, answer)

    def give_back(self, taken: Taken) -> None:
        """End a call that was not sent after all."""
        self.under_way -= 1
        self.requests.correct(taken.second, -1)
        self._paced.correct(1, 0)
        self.tokens.correct(taken.second, -taken.tokens)
        self._paced_tokens.correct(taken.paced, 0)


def smoothed(known: float | None, new: float) -> float:
    """Return a mean that follows what is new."""
    return new if known is None else known + WEIGHT * (new - known)
