import io
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from hybridproxy.demo.captions import Moment, View
from hybridproxy.demo.chart import LiveChart, PlainLog, chart, row
from hybridproxy.demo.judgement import Second

SECONDS = [Second(20, 0, 0)] * 4 + [Second(0, 20, 0)] * 6 + [Second(3, 17, 0), Second(10, 10, 0)]
VIEW = View(
    seconds=SECONDS,
    made=240,
    failed=0,
    resumed=11,
    breaker="open: 5 faults in a row: it could not be reached",
    short="open",
    moment=Moment.MOVED,
    caption="Calls moved after 0.3 s, 11 cut streams went on. It is left alone.",
    marks=((4, "cut"), (9, "back"), (10, "ramp")),
)


def drawn(view: View, width: int = 80) -> list[str]:
    """Return the lines of the picture as a terminal of that width shows them."""
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    console.print(chart(view, width))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


def column(lines: Sequence[str], second: int) -> str:
    """Return one second of the chart from the bottom up."""
    at = 5 + 2 * second
    return "".join(line[at : at + 1] for line in reversed(lines[:10]))


def test_the_picture_fits_a_terminal_of_80_by_24() -> None:
    """Also after minutes, and with a reason that is longer than the line."""
    long = replace(VIEW, seconds=SECONDS * 20, breaker="open: " + "x" * 200)
    for view in (VIEW, long):
        lines = drawn(view)
        assert len(lines) <= 20
        assert max(map(len, lines)) <= 80


def test_each_second_is_a_column_with_who_answered() -> None:
    """From the bottom: who is cut off, then who takes over; a row stands for two calls."""
    lines = drawn(VIEW)
    assert column(lines, 0) == "█" * 10
    assert column(lines, 5) == "░" * 10
    assert column(lines, 11) == "█" * 5 + "░" * 5
    assert lines[0].startswith("  20 ")
    assert "^cut" in lines[11]
    assert lines[11].index("^cut") == 5 + 2 * 4
    assert "^back ^ramp" in lines[11]
    assert "failed 0" in "\n".join(lines)


def test_one_failed_call_is_seen() -> None:
    """It stands on top of its column however many others there are."""
    lines = drawn(replace(VIEW, seconds=[Second(0, 20, 1), Second(0, 0, 20)], failed=21))
    assert column(lines, 0) == "░" * 9 + "x"
    assert column(lines, 1) == "x" * 10


def test_a_narrow_terminal_shows_the_last_seconds() -> None:
    """The oldest columns leave, and the numbers go with them."""
    lines = drawn(VIEW, width=20)
    assert column(lines, 0) == "░" * 10
    assert "10" in lines[10]
    assert "^cut" not in lines[11]


def test_the_log_has_a_line_a_second_and_one_for_each_turn() -> None:
    """A second is written once, after its calls have been answered; a caption once, when it changes."""
    console = Console(file=io.StringIO(), width=80)
    with PlainLog(console) as log:
        log.update(replace(VIEW, seconds=SECONDS[:2]), 1.1)
        log.update(replace(VIEW, seconds=SECONDS[:2]), 1.35)
        log.update(replace(VIEW, seconds=SECONDS[:3]), 2.5)
        log.update(replace(VIEW, seconds=SECONDS[:3], moment=Moment.BACK, caption="Singapore is back."), 2.6)
    file = console.file
    assert isinstance(file, io.StringIO)
    assert file.getvalue().splitlines() == [
        "  now       Calls moved after 0.3 s, 11 cut streams went on. It is left alone.",
        "  breaker   open: 5 faults in a row: it could not be reached",
        "     1 s  dashscope-sg 20  openrouter-us  0  failed 0  resumed 11  open",
        "     2 s  dashscope-sg 20  openrouter-us  0  failed 0  resumed 11  open",
        "  now       Singapore is back.",
    ]
    assert row(4, SECONDS[4], VIEW).startswith("     5 s  dashscope-sg  0  openrouter-us 20")


def test_a_terminal_gets_a_picture_that_is_drawn_anew_in_its_place() -> None:
    """Nothing is drawn after the end, and the last picture stays."""
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, color_system=None)
    with LiveChart(console) as live:
        live.update(replace(VIEW, caption="first"), 1.0)
        live.update(replace(VIEW, caption="second"), 1.1)
    file = console.file
    assert isinstance(file, io.StringIO)
    first, _, rest = file.getvalue().partition("first")
    assert first
    assert "\x1b[1A" in rest
    assert "second" in rest
