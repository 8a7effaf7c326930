"""The outage on one screen of 80 by 24: a chart that grows by a column each second; without a terminal a log."""

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from hybridproxy.demo.captions import Moment, View
from hybridproxy.demo.judgement import AWAY, HOME, Second

ROWS: Final = 10
SCALE: Final = 2
"""Calls a second that one row stands for."""

AXIS: Final = 5
"""Columns left of the chart."""

BAR: Final = 2
"""Columns of one second."""

TICK: Final = 5
"""Seconds between two numbers under the chart."""

HOME_CELL, AWAY_CELL, FAILED_CELL = "█", "░", "x"
STYLES: Final = {HOME_CELL: "green", AWAY_CELL: "yellow", FAILED_CELL: "bold red", " ": ""}
LATE: Final = 0.3
"""Seconds that a line of the log waits for the answers to the calls of its second."""


class Show(Protocol):
    """Where the outage is shown."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; what was shown last stays."""
        ...

    def update(self, view: View, elapsed: float) -> None:
        """Show what there is to see so many seconds after the first call."""
        ...


class LiveChart:
    """A chart that is drawn anew in its place."""

    def __init__(self, console: Console) -> None:
        """Draw to a terminal."""
        self._console = console
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def update(self, view: View, elapsed: float) -> None:
        """Draw."""
        del elapsed
        self._live.update(chart(view, self._console.width), refresh=True)


class PlainLog:
    """A line for each second, and one for each turn of the story."""

    def __init__(self, console: Console) -> None:
        """Write to a file or a pipe."""
        self._console = console
        self._written = 0
        self._moment: Moment | None = None
        self._breaker = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def update(self, view: View, elapsed: float) -> None:
        """Write what is new."""
        if view.moment is not self._moment:
            self._moment = view.moment
            self._line(f"  {'now':<10}{view.caption}")
        if view.breaker not in {self._breaker, view.short}:
            self._breaker = view.breaker
            self._line(f"  {'breaker':<10}{view.breaker}")
        while self._written + 1 + LATE <= elapsed and self._written < len(view.seconds):
            self._line(row(self._written, view.seconds[self._written], view))
            self._written += 1

    def _line(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


def row(number: int, second: Second, view: View) -> str:
    """Return the log's line of one second; failed and resumed are of all seconds so far."""
    return (
        f"  {number + 1:>4} s  {HOME} {second.home:>2}  {AWAY} {second.away:>2}  "
        f"failed {view.failed}  resumed {view.resumed:>2}  {view.short}"
    )


def chart(view: View, width: int) -> Group:
    """Return the whole picture: chart, numbers, marks, figures, breaker and caption; at most 18 lines."""
    room = max(1, (width - AXIS - 1) // BAR)
    first = max(0, len(view.seconds) - room)
    shown = view.seconds[first:]
    columns = [_column(second) for second in shown]
    lines: list[Text] = []
    for level in range(ROWS - 1, -1, -1):
        label = f"{(level + 1) * SCALE:>{AXIS - 1}} " if (level + 1) % 5 == 0 else " " * AXIS
        line = Text(label, style="dim", no_wrap=True)
        for column in columns:
            line.append(column[level] * BAR, style=STYLES[column[level]] or "default")
        lines.append(line)
    lines += [_numbers(first, len(shown), room), _marks(view.marks, first, room), Text()]
    last = view.seconds[-2] if len(view.seconds) > 1 else Second(0, 0, 0)
    lines += [
        _entry("calls/s", f"{HOME_CELL} {HOME} {last.home}   {AWAY_CELL} {AWAY} {last.away}"),
        _entry("calls", f"{view.made}   failed {view.failed}   cut and resumed {view.resumed}", alarm=view.failed > 0),
        _entry("breaker", view.breaker),
        _entry("now", view.caption),
    ]
    return Group(*lines)


def _column(second: Second) -> str:
    """Return one second from the bottom up, always of `ROWS` cells."""
    failed = -(-second.failed // SCALE)  # one is enough to be seen
    home = round(second.home / SCALE)
    away = round((second.home + second.away) / SCALE) - home
    cells = HOME_CELL * home + AWAY_CELL * away
    return (cells[: ROWS - min(failed, ROWS)] + FAILED_CELL * failed)[:ROWS].ljust(ROWS)


def _numbers(first: int, count: int, room: int) -> Text:
    """Return the numbers of the seconds, each where its column begins."""
    places = [(n - first, str(n)) for n in range(first, first + max(count, 1)) if n % TICK == 0]
    return Text(" " * AXIS + _placed(places, room) + ("s" if count < room else ""), style="dim", no_wrap=True)


def _marks(marks: Sequence[tuple[int, str]], first: int, room: int) -> Text:
    places = [(at - first, f"^{word}") for at, word in marks if at >= first]
    return Text(" " * AXIS + _placed(places, room), style="bold", no_wrap=True)


def _placed(places: Sequence[tuple[int, str]], room: int) -> str:
    """Return words in a line, each at its second; where one would run into the next it moves on."""
    line = ""
    for at, word in places:
        start = max(at * BAR, len(line) + (1 if line else 0))
        line = line.ljust(start) + word
    return line[: room * BAR]


def _entry(label: str, text: str, *, alarm: bool = False) -> Text:
    entry = Text(f"  {label:<10}", style="dim", no_wrap=True, overflow="ellipsis")
    entry.append(text, style="bold red" if alarm else "default")
    return entry
