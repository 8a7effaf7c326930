"""What is in use of one limit: requests and tokens of the last 60 s, calls under way, money of a day or a month.

Each counter is told what is taken, and gives a mark for it; with the mark the amount is corrected later, where it was
counted. Rates and places go by the loop's clock, which nobody can set; days and months by the wall clock, which may be.

    Window      nothing that was taken leaves before it is 60 s old, so no 60 s ever hold more than was admitted. What
                came within one second leaves together, when the last of it is 60 s old: at full use a limit is used to
                60/61 at least
    Places      what is under way
    Spending    by period, and what is spent in a period that has not begun counts in the present one: a clock that is
                set back reopens nothing. The present period is remembered while the clock is ahead, so that one that
                was set forward by mistake and back again loses nothing. What was spent longer ago than a period is
                long, by the loop's clock, is forgotten: a clock that was wrong does no harm for good
"""

import math
from collections import deque
from typing import Any, Final, Protocol

from hybridproxy.model.limits import Measure
from hybridproxy.model.value import value

SPAN: Final = 60.0
"""Seconds that a request or a token counts."""

DAY_MS: Final = 86_400_000
DAY_SECONDS, MONTH_SECONDS = 86_400.0, 31 * 86_400.0
MAX_PERIODS: Final = 8
"""Periods that are remembered beside each other; there is one, but where a clock was set."""


@value
class Moment:
    """A point in time: seconds on the loop's clock, the day and the month of the wall clock (UTC)."""

    now: float
    day: int
    month: int


class Calendar:
    """Turns seconds since the epoch into moments; the day and its month are worked out once a day."""

    __slots__ = ("_begins", "_day", "_ends", "_month")

    def __init__(self) -> None:
        """Know no day."""
        self._begins = self._ends = 0.0
        self._day = self._month = 0

    def moment(self, now: float, wall: float) -> Moment:
        """Return the moment at `now` on the loop's clock and `wall` seconds since the epoch."""
        if not self._begins <= wall < self._ends:
            self._day = day = int(wall // DAY_SECONDS)
            self._month = month_of(day)
            self._begins, self._ends = day * DAY_SECONDS, (day + 1) * DAY_SECONDS
        return Moment(now, self._day, self._month)


def month_of(day: int) -> int:
    """Return the month of a day: both are counted from the epoch."""
    year, month, _ = _civil(day)
    return (year - 1970) * 12 + month - 1


def rest_of(measure: Measure, wall: int) -> float:
    """Return the seconds until the present day or month is over."""
    day = wall // DAY_MS
    last = day
    if measure is Measure.MONTH:
        while month_of(last + 1) == month_of(day):
            last += 1
    return ((last + 1) * DAY_MS - wall) / 1000


def _civil(day: int) -> tuple[int, int, int]:
    """Return year, month and day of month of a day since the epoch (H. Hinnant's algorithm for the Gregorian years)."""
    shifted = day + 719_468
    era, of_era = divmod(shifted, 146_097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * of_year + 2) // 153
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    return era * 400 + year_of_era + (month <= 2), month, of_year - (153 * shifted_month + 2) // 5 + 1


class Counter(Protocol):
    """What is in use of one limit."""

    def used(self, at: Moment) -> int:
        """Return how much is in use."""
        ...

    def take(self, at: Moment, amount: int) -> Any:
        """Count an amount; the mark that comes back is for `settle`."""
        ...

    def settle(self, at: Moment, mark: Any, taken: int, used: int) -> None:
        """Put what was used in the place of what was taken. Once for each mark."""
        ...

    def wait(self, at: Moment, amount: int, limit: int) -> float:
        """Return the seconds until there is room for so much more, `inf` where no time helps or none is known."""
        ...

    def is_empty(self, at: Moment) -> bool:
        """Return whether nothing is remembered."""
        ...


class Slot:
    """What was taken within one second: when the last of it was, and how much it is."""

    __slots__ = ("amount", "gone", "last", "second")

    def __init__(self, second: int, now: float) -> None:
        """Begin with nothing."""
        self.second = second
        self.last = now
        self.amount = 0
        self.gone = False

    def left(self, now: float) -> float:
        """Return the seconds that it still counts."""
        return min(SPAN, self.last + SPAN - now)  # what a sum of floats has too much would be a second in an answer


class Window:
    """What was taken within the last 60 s."""

    __slots__ = ("_slots", "_total")

    def __init__(self) -> None:
        """Begin empty."""
        self._slots: deque[Slot] = deque()
        self._total = 0

    def used(self, at: Moment) -> int:
        """Return how much is in use."""
        slots = self._slots
        if slots and slots[0].last + SPAN <= at.now:
            self._drop(at.now)
        return self._total

    def take(self, at: Moment, amount: int) -> Slot:
        """Count an amount."""
        slots, now = self._slots, at.now
        if not slots or now >= slots[-1].second + 1:
            slots.append(Slot(int(now), now))
        slot = slots[-1]
        slot.last = max(slot.last, now)
        slot.amount += amount
        self._total += amount
        return slot

    def settle(self, at: Moment, mark: Slot, taken: int, used: int) -> None:
        """Correct an amount where it was counted; what was used beyond it counts from now if that place is gone."""
        if mark.last + SPAN <= at.now:
            self.used(at)  # which tells those that are gone
        if not mark.gone:
            mark.amount += used - taken
            self._total += used - taken
        elif used > taken:
            self.take(at, used - taken)

    def wait(self, at: Moment, amount: int, limit: int) -> float:
        """Return the seconds until there is room for so much more, if nobody else takes it."""
        too_much = self.used(at) + amount - limit
        if too_much <= 0:
            return 0.0
        for slot in self._slots:
            too_much -= slot.amount
            if too_much <= 0:
                return slot.left(at.now)
        return math.inf

    def standing(self, now: float) -> tuple[int, float]:
        """Return how much is in use, and the seconds until nothing is, if nothing more is taken."""
        slots = self._slots
        if slots and slots[0].last + SPAN <= now:
            self._drop(now)
        return self._total, slots[-1].left(now) if self._total else 0.0

    def is_empty(self, at: Moment) -> bool:
        """Return whether nothing was taken within the last 60 s."""
        self.used(at)
        return not self._slots

    def _drop(self, now: float) -> None:
        """Forget what does not count any more."""
        slots = self._slots
        while slots and slots[0].last + SPAN <= now:
            slot = slots.popleft()
            slot.gone = True
            self._total -= slot.amount


class Places:
    """What is under way."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        """Begin with nothing."""
        self._taken = 0

    def used(self, _at: Moment) -> int:
        """Return how many places are taken."""
        return self._taken

    def take(self, _at: Moment, amount: int) -> None:
        """Take places."""
        self._taken += amount

    def settle(self, _at: Moment, _mark: None, taken: int, _used: int) -> None:
        """Give places back, whatever was done there."""
        self._taken -= taken

    def leave(self) -> None:
        """Give one place back."""
        self._taken -= 1

    def wait(self, _at: Moment, _amount: int, _limit: int) -> float:
        """Return that it is not known when a call ends."""
        return math.inf

    def is_empty(self, _at: Moment) -> bool:
        """Return whether nothing is under way."""
        return not self._taken


class Spent:
    """What was spent in one period: in all, what of it is reserved, and when something was spent last."""

    __slots__ = ("amount", "last", "reserved")

    def __init__(self, now: float) -> None:
        """Begin with nothing."""
        self.amount = 0
        self.reserved = 0
        self.last = now


class Spending:
    """Nano-dollars of days or of months."""

    __slots__ = ("_length", "_monthly", "_periods")

    def __init__(self, measure: Measure) -> None:
        """Begin with nothing spent."""
        self._monthly = measure is Measure.MONTH
        self._length = MONTH_SECONDS if self._monthly else DAY_SECONDS
        self._periods: dict[int, Spent] = {}

    def period(self, at: Moment) -> int:
        """Return the period under way: days or months since the epoch."""
        return at.month if self._monthly else at.day

    def used(self, at: Moment) -> int:
        """Return what counts as spent in the present period, what is reserved included."""
        periods, present = self._periods, self.period(at)
        if len(periods) == 1 and present in periods:  # nearly always
            return periods[present].amount
        self._forget(at)
        return sum(spent.amount for period, spent in periods.items() if period >= present)

    def reserved(self, at: Moment) -> int:
        """Return what of that is not settled."""
        present = self.period(at)
        return sum(spent.reserved for period, spent in self._periods.items() if period >= present)

    def take(self, at: Moment, amount: int) -> int:
        """Reserve an amount."""
        period = self.period(at)
        spent = self._of(period, at.now)
        spent.amount += amount
        spent.reserved += amount
        return period

    def grow(self, mark: int, more: int) -> None:
        """Reserve more for a call than was reserved when it began, in the period it was reserved in."""
        spent = self._periods.get(mark)
        if spent is not None:
            spent.amount += more
            spent.reserved += more

    def settle(self, at: Moment, mark: int, taken: int, used: int) -> None:
        """Put what was spent in the place of what was reserved, in the period it was reserved in."""
        spent = self._periods.get(mark)
        if spent is None:  # forgotten meanwhile: it was no call's time ago
            return
        spent.amount += used - taken
        spent.reserved -= taken
        spent.last = at.now

    def add(self, at: Moment, period: int, amount: int) -> None:
        """Count what was spent in a period before this counter was there."""
        self._of(period, at.now).amount += amount

    def catch_up(self, at: Moment, amount: int) -> None:
        """Count so much as spent in the present period, if less was: for a while nobody counted."""
        lacks = amount - (self.used(at) - self.reserved(at))
        if lacks > 0:
            self.add(at, self.period(at), lacks)

    def wait(self, _at: Moment, _amount: int, _limit: int) -> float:
        """Return that the end of a period is no matter of the loop's clock: see `rest_of`."""
        return math.inf

    def is_empty(self, at: Moment) -> bool:
        """Return whether nothing is remembered of any period."""
        self._forget(at)
        return not self._periods

    def _of(self, period: int, now: float) -> Spent:
        spent = self._periods.get(period)
        if spent is None:
            if len(self._periods) >= MAX_PERIODS:
                oldest = min(self._periods, key=lambda known: self._periods[known].last)
                del self._periods[oldest]
            spent = self._periods[period] = Spent(now)
        spent.last = now
        return spent

    def _forget(self, at: Moment) -> None:
        present, length = self.period(at), self._length
        old = [p for p, spent in self._periods.items() if p != present and at.now - spent.last > length]
        for period in old:
            del self._periods[period]


@value
class Excess:
    """Why a call may not be made now.

    Attributes:
        measure: what there is too much of.
        scope: the pattern of models that the limit is for, "" for all of the tenant's calls.
        limit: the limit.
        used: what is in use of it.
        amount: what the call would have taken.
        wait: seconds until there is room, None: no waiting helps, the call alone is more than the limit.
        reserved: of money, what of `used` is not spent, but reserved for calls under way.

    """

    measure: Measure
    scope: str
    limit: int
    used: int
    amount: int
    wait: float | None
    reserved: int = 0
