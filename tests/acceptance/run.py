"""Runs the acceptance tests in full, those named or all, and writes what they found: `python -m tests.acceptance.run`.

Each result is a line of `results.jsonl`, the last one of each test; the table in `docs/reliability.md` is made of them.
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import os
import platform
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson
import uvloop

from tests.acceptance.forms import FORMS, Form
from tests.acceptance.processes import ROOT
from tests.acceptance.report import Report

RESULTS = Path(__file__).with_name("results.jsonl")
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- results: written by `make acceptance` -->", "<!-- end of results -->"


def machine() -> str:
    """Return what sort of machine this is."""
    cpu = re.search(r"^model name\s*:\s*([A-Za-z() ]+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    kind = f" ({cpu[1].strip()})" if cpu else ""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    linux = ".".join(platform.release().split(".")[:2])
    return f"{os.cpu_count()} CPUs{kind}, {memory:.0f} GB, Linux {linux}, Python {platform.python_version()}"


async def measured(form: Form, *, full: bool) -> tuple[Report, float]:
    """Run one test; what breaks it is a finding as well."""
    began = time.monotonic()
    report = Report(form.id)
    with tempfile.TemporaryDirectory(prefix="acceptance-") as folder:
        try:
            async with asyncio.timeout(form.limit):
                report = await form.run(Path(folder), full=full)
        except Exception as error:  # noqa: BLE001 - the other tests go on
            said = str(error).strip().rpartition("\n")[2].replace(folder, "…")[:200]
            report.check("broke off", f"{type(error).__name__} {said}".strip(), False)
    return report, time.monotonic() - began


def results() -> dict[str, dict[str, Any]]:
    """Return the last result of each test."""
    lines = RESULTS.read_bytes().splitlines() if RESULTS.is_file() else []
    return {line["id"]: line for line in map(orjson.loads, lines)}


def keep(form: Form, report: Report, took: float) -> None:
    """Keep a result in the place of the one before."""
    known = results()
    known[form.id] = {
        "id": form.id,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": machine(),
        "setup": form.setup,
        "holds": form.holds,
        "measured": report.measured,
        "verdict": "missed" if report.failed else "met",
        "seconds": round(took),
    }
    RESULTS.write_bytes(b"".join(orjson.dumps(known[name]) + b"\n" for name in FORMS if name in known))


def table() -> str:
    """Return the results for people."""
    known = results()
    machines = sorted({line["machine"] for line in known.values()})
    rows = [f"Machine: {'; '.join(machines)}.", "", "| | setup | must hold | measured | |", "|---|---|---|---|---|"]
    for name in FORMS:
        if (line := known.get(name)) is None:
            continue
        verdict = "met" if line["verdict"] == "met" else "**missed**"
        measured = line["measured"].replace("; ", "<br>")
        cells = (name, line["setup"], line["holds"], f"{measured} ({line['date']})", verdict)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    missing = [name for name in FORMS if name not in known]
    if missing:
        rows += ["", f"Not run yet: {', '.join(missing)}."]
    return "\n".join(rows)


def write() -> None:
    """Put the table into the document."""
    text = DOCUMENT.read_text()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    DOCUMENT.write_text(f"{head}{BEGIN}\n\n{table()}\n\n{END}{tail}")


async def run(forms: list[Form], *, full: bool) -> bool:
    """Run tests one after the other; return whether everything held."""
    good = True
    for form in forms:
        print(f"== {form.id}: {form.setup if full else 'short form'}", flush=True)  # noqa: T201 - a program's output
        if why := form.forbidden():
            print(f"== {form.id}: left out, {why}\n", flush=True)  # noqa: T201
            continue
        report, took = await measured(form, full=full)
        for check in report.checks:
            print(f"   {'ok    ' if check.holds else 'MISSED'} {check.what}: {check.found}")  # noqa: T201
        for note in report.notes:
            print(f"          {note}")  # noqa: T201
        print(f"== {form.id}: {'MISSED' if report.failed else 'ok'}, {took:.0f} s\n", flush=True)  # noqa: T201
        good = good and not report.failed
        if full:
            keep(form, report, took)
            write()
    return good


def main() -> int:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="acceptance", description=__doc__)
    parser.add_argument("tests", nargs="*", metavar="ID", help=f"one or more of {', '.join(FORMS)}; none: all")
    parser.add_argument("--short", action="store_true", help="the short forms, which are not written down")
    parser.add_argument("--table", action="store_true", help="run nothing, only write the table anew")
    given = parser.parse_args()
    unknown = [name for name in given.tests if name not in FORMS]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}: expected some of {', '.join(FORMS)}")
    if given.table:
        write()
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything that was started is ended
    forms = [FORMS[name] for name in given.tests] if given.tests else list(FORMS.values())
    with contextlib.suppress(KeyboardInterrupt):
        return 0 if uvloop.run(run(forms, full=not given.short)) else 1
    return 130


if __name__ == "__main__":
    sys.exit(main())
