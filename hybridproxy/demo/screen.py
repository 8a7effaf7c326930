"""What the demo writes to the terminal: readable in colour, without it, in a file and in a narrow window."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hybridproxy.demo.chart import LiveChart, PlainLog, Show
from hybridproxy.demo.outcome import Outcome
from hybridproxy.demo.tour import Step

INDENT: Final = 2
LABEL: Final = 10
"""Columns that the words before a line take."""

NARROW: Final = 72
"""Columns below which the reasons of a decision need the room of the indent."""


def printable(text: str) -> str:
    """Return a text without control characters: what an upstream sends must not steer the terminal."""
    return "".join(c for c in text if c.isprintable() or c == "\n")


class Screen:
    """The terminal, or whatever stands in its place."""

    def __init__(self, console: Console | None = None) -> None:
        """Write to a console, by default the standard output's."""
        self._console = console or Console(highlight=False)
        self._streaming = False

    @property
    def is_terminal(self) -> bool:
        """Whether somebody watches."""
        return self._console.is_terminal

    def show(self) -> Show:
        """Return where an outage is shown: a chart that moves, or where nobody watches a log."""
        return LiveChart(self._console) if self.is_terminal else PlainLog(self._console)

    def say(self, text: str = "", style: str = "") -> None:
        """Write a line of running text."""
        self._end_text()
        self._console.print(Text(printable(text), style=style))

    def line(self, text: str = "", style: str = "") -> None:
        """Write a line that may be copied: never broken in two."""
        self._end_text()
        self._console.print(Text(text, style=style), soft_wrap=True)

    def begin(self, number: int, total: int, step: Step, model: str) -> None:
        """Announce a step: headline, what is broken, who calls."""
        self.headline(number, total, step.headline)
        if step.trouble is not None:
            self.labelled("broken", step.trouble.words, style="yellow")
        caller = step.caller
        self.labelled("call", f"{caller.tenant}, from {caller.address} ({caller.place}), model {model}, streamed")

    def headline(self, number: int, total: int, headline: str) -> None:
        """Write the first line of a step."""
        self.say()
        self.say(f"{number}/{total}  {headline}", style="bold")

    def text(self, piece: str) -> None:
        """Write a piece of the answer as it arrives."""
        if not self._streaming:
            self._streaming = True
            self._console.print(" " * INDENT + f"{'answer':<{LABEL}}", end="", style="dim")
        self._console.print(Text(printable(piece), style="green"), end="", soft_wrap=True)

    def outcome(self, step: Step, outcome: Outcome, asked: Mapping[str, int | None], wrong: Sequence[str]) -> None:
        """Show what came of a step, the decision, and whether it was the expected one."""
        self._end_text()
        if outcome.message:
            self.labelled("error", f"{outcome.code}: {outcome.message}", style="red")
        who = "the proxy itself" if outcome.backend == "none" else outcome.backend
        where = f"{outcome.status} from {who}, region {outcome.region}"
        self.labelled("result", f"{where}, attempts {outcome.attempts}, {outcome.seconds:.2f} s")
        self._decision(outcome, asked)
        self.labelled("why", step.why)
        self.wrong(wrong)

    def wrong(self, mistakes: Sequence[str]) -> None:
        """Say what did not go as it must."""
        for mistake in mistakes:
            self.labelled("WRONG", mistake, style="bold red")

    def problem(self, text: str) -> None:
        """Say what keeps the demo from going on."""
        self.say()
        for line in text.splitlines():
            self.line(printable(line), style="red")

    def labelled(self, label: str, text: str, style: str = "") -> None:
        """Write a text with a word before it; what is too long for a line goes on under its beginning."""
        self._end_text()
        grid = Table.grid(padding=(0, 0))
        grid.add_column(width=LABEL)
        grid.add_column(overflow="fold")
        grid.add_row(Text(label, style=style or "dim"), Text(printable(text), style=style))
        self._console.print(Padding(grid, (0, 0, 0, INDENT), expand=False))

    def table(self, cells: Sequence[Sequence[str]]) -> None:
        """Show rows of text under a row of names; what is a number in the last row stands at the right."""
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
        for name, last in zip(cells[0], cells[-1], strict=True):
            numbers = last[:1].isdigit()
            table.add_column(printable(name), justify="right" if numbers else "left", no_wrap=True)
        for row in cells[1:]:
            table.add_row(*map(printable, row))
        self._console.print(Padding(table, (0, 0, 0, INDENT), expand=False))

    def _decision(self, outcome: Outcome, asked: Mapping[str, int | None]) -> None:
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
        table.add_column("backend", no_wrap=True)
        table.add_column("", no_wrap=True)
        table.add_column("because", overflow="fold")
        table.add_column("asked", justify="right", no_wrap=True)
        listed = {candidate.backend for candidate in outcome.decision}
        for candidate in outcome.decision:
            verdict = Text("keep", style="green") if candidate.kept else Text("drop", style="dim")
            table.add_row(
                printable(candidate.backend), verdict, printable(candidate.reason), _count(asked.get(candidate.backend))
            )
        for name, count in asked.items():
            if name not in listed:
                table.add_row(name, Text("–", style="dim"), "not looked at", _count(count))
        indent = INDENT if self._console.width < NARROW else INDENT + LABEL
        self._console.print(Padding(table, (0, 0, 0, indent), expand=False))

    def _end_text(self) -> None:
        if self._streaming:
            self._streaming = False
            self._console.print()


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value}×"
