"""From every dialect to every provider, each feature works, or is refused or named: see docs/compatibility.md."""

from pathlib import Path

import pytest

from tests.conformance.matrix.cells import CALLERS, KNOWN, bad, known, run_pair
from tests.conformance.table import DOCUMENT, dialects, pairs, written

AGAIN = "run: python -m tests.conformance.table"


def test_every_dialect_has_a_caller() -> None:
    """A dialect that is new has to be asked and understood here before it can be relied on."""
    assert set(dialects()) <= set(CALLERS)


def test_every_pair_has_its_cells() -> None:
    """A dialect or a provider that is new has no results yet."""
    assert set(known()) == set(pairs()), AGAIN


@pytest.mark.parametrize(("dialect", "provider"), pairs())
async def test_a_pair(dialect: str, provider: str, tmp_path: Path) -> None:
    """Every feature, streaming and not, does what was kept of it, and nothing is lost in silence."""
    found = await run_pair(tmp_path, dialect, provider)
    assert bad(found) == {}
    assert found == known().get((dialect, provider)), AGAIN


def test_what_is_known_not_to_work_still_does_not() -> None:
    """A reason that was written down goes when it is no longer true."""
    for (provider, feature), reason in KNOWN.items():
        rows = [cells for (_, of), cells in known().items() if of == provider]
        assert reason in {cells[name] for cells in rows for name in (feature, f"{feature}, streamed")}


def test_the_document_has_the_results() -> None:
    """The table in docs/compatibility.md is what the results give."""
    text = DOCUMENT.read_text()
    assert text == written(text, known()), AGAIN
