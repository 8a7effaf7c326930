"""`hybridproxy usage`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybridproxy.cli.common import FOUND, AsJson, ConfigFile, fail, load_config, print_columns, print_json, progress

if TYPE_CHECKING:
    from hybridproxy.metering.statement import Question


def usage(
    tenant: Annotated[str | None, typer.Option(help="The tenant's name. Default: all, and our own probes.")] = None,
    by: Annotated[str, typer.Option(help="Some of day,tenant,model,backend,region.")] = "tenant,model,backend",
    since: Annotated[str, typer.Option(help="The first day, UTC: 2026-11-01. Default: the first there is.")] = "",
    until: Annotated[str, typer.Option(help="The day after the last one; as --since. Default: now.")] = "",
    path: Annotated[Path | None, typer.Option(help="Folder of the ledger. Default: the configuration's.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    config: ConfigFile = None,
    json: AsJson = False,
) -> None:
    """Show what calls used and cost, from the ledger's files; no server has to run.

    An attempt counts for the day on which it began, UTC. Money is US dollars. Ends with status 1 when a line of the
    ledger cannot be read.

    Example: hybridproxy usage --tenant shop --by day,model --since 2026-11-01 --until 2026-12-01
    """
    from hybridproxy.metering.statement import QuestionError, answer, as_columns, as_csv, notes_of, question
    from hybridproxy.stores.ledger_files import bytes_in, usage_in

    if csv and json:
        fail("--csv or --json, not both")
    try:
        asked = question(by, tenant, since, until)
    except QuestionError as error:
        fail(f"--{error}")
    folder = _folder(path, config, json=json)
    try:
        with progress("reading", bytes_in(folder)) as step:
            found = usage_in(folder, asked.tenant, asked.since, asked.until, step)
    except OSError as error:
        fail(f"{error.filename or folder} cannot be read ({error.strerror})")
    notes = notes_of(running=found.running, folded=found.folded, unreadable=found.unreadable)
    answered = answer(found.rows, asked, notes)
    if json:
        print_json(answered)
    elif csv:
        print(as_csv(answered), end="")
    else:
        _print(as_columns(answered), asked, answered["notes"])
    if found.unreadable:
        raise typer.Exit(FOUND)


def _folder(path: Path | None, config: Path | None, *, json: bool) -> Path:
    if path is not None:
        return path
    ledger = load_config(config, json_output=json).settings.ledger
    if ledger is None:
        fail("the configuration has no ledger section: give the ledger's folder with --path")
    return ledger.folder


def _print(table: list[list[str]], asked: "Question", told: list[str]) -> None:
    if len(table) == 2:
        print(f"nothing{'' if asked.tenant is None else f' of {asked.tenant}'} in that time")
    else:
        print_columns(table)
    for note in told:
        print(f"note: {note}")
