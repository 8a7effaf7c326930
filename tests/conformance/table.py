"""Call every feature from every dialect to every provider, and write docs/compatibility.md from what came of it.

    python -m tests.conformance.table

The results are kept in `matrix/results.jsonl`; the tests beside this file find the same, or fail.
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Final

import uvloop

from hybridproxy.dialects import TRANSLATORS
from hybridproxy.providers import PROVIDERS
from hybridproxy.simulator.rows import PROVIDERS as IMITATED
from tests.conformance.matrix.cells import PASSED, RESULTS, bad, keep, known, run_pair
from tests.conformance.matrix.features import FEATURES
from tests.meta.project import ROOT

DOCUMENT: Final = ROOT / "docs" / "compatibility.md"
BEGIN, END = "<!-- table: written by `python -m tests.conformance.table` -->", "<!-- end of table -->"
YES: Final = "✓"


def dialects() -> list[str]:
    """Return every dialect that callers speak."""
    return [dialect.value for dialect in TRANSLATORS]


def pairs() -> list[tuple[str, str]]:
    """Return every dialect with every provider."""
    return [(dialect, provider) for dialect in dialects() for provider in PROVIDERS]


def table(results: dict[tuple[str, str], dict[str, str]]) -> str:
    """Return one table a dialect, and the reasons that their numbers stand for."""
    reasons: dict[str, int] = {}
    lines: list[str] = []
    for dialect in dialects():
        lines += [f"### Callers of `{dialect}`", "", "| | " + " | ".join(row.name for row in FEATURES) + " |"]
        lines.append("|---|" + "---|" * len(FEATURES))
        for provider in PROVIDERS:
            cells = results[dialect, provider]
            shown = [_cell(cells[row.name], cells[f"{row.name}, streamed"], reasons) for row in FEATURES]
            lines.append(f"| {_name(provider)} | " + " | ".join(shown) + " |")
        lines.append("")
    lines += [f"{number}. {reason}" for reason, number in reasons.items()]
    found = [cell for cells in results.values() for cell in cells.values()]
    passed = sum(cell == PASSED for cell in found)
    lines += ["", f"{len(found)} cells: {passed} passed, {len(found) - passed} with a reason."]
    return "\n".join(lines)


def _name(provider: str) -> str:
    return provider if provider in IMITATED else f"{provider} *"


def _cell(whole: str, streamed: str, reasons: dict[str, int]) -> str:
    """Return a sign for both, or one for each where they differ."""
    signs = [YES if cell == PASSED else f"{reasons.setdefault(cell, len(reasons) + 1)}" for cell in (whole, streamed)]
    return signs[0] if signs[0] == signs[1] else f"{signs[0]} / {signs[1]}"


def written(text: str, results: dict[tuple[str, str], dict[str, str]]) -> str:
    """Return the document with the table of these results."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{table(results)}\n\n{END}{tail}"


async def run() -> dict[tuple[str, str], dict[str, str]]:
    """Call everything."""
    results: dict[tuple[str, str], dict[str, str]] = {}
    for dialect, provider in pairs():
        with tempfile.TemporaryDirectory() as folder:
            results[dialect, provider] = await run_pair(Path(folder), dialect, provider)
        for name, found in bad(results[dialect, provider]).items():
            sys.stderr.write(f"{dialect} -> {provider}, {name}: {found}\n")
    return results


def main() -> int:
    """Run, keep and write; return 1 where something is lost in silence."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        results = runner.run(run())
    keep(results)
    DOCUMENT.write_text(written(DOCUMENT.read_text(), known()))
    sys.stderr.write(f"wrote {RESULTS.relative_to(ROOT)} and {DOCUMENT.relative_to(ROOT)}\n")
    return 1 if any(bad(cells) for cells in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
