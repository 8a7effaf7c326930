"""Good and bad outcomes of the last seconds, in rows of one second: a value, so that a breaker's state is one too."""

from hybridproxy.model.value import value

Row = tuple[int, int, int]
"""A whole second on the loop's clock, its good outcomes, its faults."""


@value
class Window:
    """Outcomes of a span of time, with their sums. Rows are in the order of time, at most one a second."""

    rows: tuple[Row, ...] = ()
    good: int = 0
    faults: int = 0

    @property
    def samples(self) -> int:
        """How many outcomes there are."""
        return self.good + self.faults

    def share_of_faults(self) -> float:
        """Return which part of the outcomes were faults; 0 where there is none."""
        return self.faults / self.samples if self.samples else 0.0


EMPTY = Window()


def add(window: Window, now: float, span: int, *, fault: bool, count: int = 1) -> Window:
    """Return the window with so many more outcomes, without what is older than `span` seconds before `now`."""
    second = int(now)
    rows, good, faults = window.rows, window.good, window.faults
    if rows and rows[0][0] <= second - span:
        old = next((n for n, row in enumerate(rows) if row[0] > second - span), len(rows))
        good -= sum(row[1] for row in rows[:old])
        faults -= sum(row[2] for row in rows[:old])
        rows = rows[old:]
    ok, bad = (0, count) if fault else (count, 0)
    if rows and rows[-1][0] >= second:  # a clock that steps back counts into the newest second
        last = rows[-1]
        rows = (*rows[:-1], (last[0], last[1] + ok, last[2] + bad))
    else:
        rows = (*rows, (second, ok, bad))
    return Window(rows, good + ok, faults + bad)
