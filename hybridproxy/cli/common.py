"""What the commands share: finding the configuration, printing results, and the three exit statuses."""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn, Protocol

import typer

if TYPE_CHECKING:
    from geo.database import CountryDatabase
    from hybridproxy.config.mistakes import ConfigError
    from hybridproxy.config.settings import Configuration

FOUND, MISUSE = 1, 2
"""Exit statuses beside 0: the command worked and found something wrong; it was called wrongly or could not work."""

DEFAULT_FILE: Final = "hybridproxy.yaml"

PATIENCE: Final = 1.0
"""Seconds after which a progress bar is shown."""

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help=f"Configuration file. Default: $HYBRIDPROXY_CONFIG, then ./{DEFAULT_FILE}."),
]
OnPlane = Annotated[
    Literal["general", "sovereign", "all"],
    typer.Option("--plane", help="Which calls: those of ordinary tenants, of sovereign ones, or all."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class Step(Protocol):
    """Takes how much more is done, and of how much in all where that was not known before."""

    def __call__(self, more: int, of: int | None = None, /) -> None:
        """Take it."""
        ...


def config_path(given: Path | None) -> Path:
    """Return the configuration file to use; ends the program when there is none."""
    path = given or Path(os.environ.get("HYBRIDPROXY_CONFIG") or DEFAULT_FILE)
    if not path.is_file():
        fail(f"there is no configuration file {path}: give one with --config or $HYBRIDPROXY_CONFIG")
    return path


def load_config(given: Path | None, *, json_output: bool = False, plane: str = "all") -> "Configuration":
    """Load the configuration; ends the program with every mistake listed when it is wrong."""
    from hybridproxy.config.load import load
    from hybridproxy.config.mistakes import ConfigError
    from hybridproxy.model.plane import Plane

    try:
        return load(config_path(given), os.environ, Plane(plane), today())
    except ConfigError as error:
        refuse(error, json_output=json_output)


def today() -> str:
    """Return the day, in UTC, as YYYY-MM-DD."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def refuse(error: "ConfigError", *, json_output: bool = False) -> NoReturn:
    """End the program with every mistake of a configuration listed."""
    mistakes = [str(mistake) for mistake in error.mistakes]
    if json_output:
        print_json({"ok": False, "mistakes": mistakes})
    else:
        for mistake in mistakes:
            print(mistake, file=sys.stderr)
        print(f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}", file=sys.stderr)
    raise typer.Exit(FOUND)


def open_database(path: Path | None) -> "CountryDatabase":
    """Open the country database, None: the built-in one; ends the program when the file is none."""
    from geo.database import CountryDatabase, DatabaseError

    try:
        return CountryDatabase.open(path)
    except DatabaseError as error:
        print(f"hybridproxy: geo.database: {error}", file=sys.stderr)
        raise typer.Exit(FOUND) from None


def print_json(value: Any) -> None:
    """Print a result for programs."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Step]:
    """Show a progress bar on a terminal once it takes longer than a moment; what it gives takes what was done since."""
    if not sys.stderr.isatty():
        yield lambda _more, _of=None: None
        return
    from rich.console import Console
    from rich.progress import Progress

    began = time.monotonic()
    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task(what, total=total)

    def step(more: int, of: int | None = None) -> None:
        bar.update(task, advance=more, total=of)  # None leaves the total as it is
        if not bar.live.is_started and time.monotonic() - began >= PATIENCE:
            bar.start()

    try:
        yield step
    finally:
        bar.stop()


def fail(message: str) -> NoReturn:
    """End the program: it was called wrongly, or cannot work."""
    print(f"hybridproxy: {message}", file=sys.stderr)
    raise typer.Exit(MISUSE)
