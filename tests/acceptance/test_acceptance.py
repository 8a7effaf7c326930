"""The short form of every acceptance test."""

from pathlib import Path

import pytest

from tests.acceptance.forms import FORMS


@pytest.mark.timeout(600)  # some try again on a machine that is busy, and each wait is long there
@pytest.mark.parametrize("name", FORMS)
async def test_it_survives(name: str, tmp_path: Path) -> None:
    """Everything that must hold in this test of `forms` does, with smaller numbers."""
    if why := FORMS[name].forbidden():
        pytest.skip(why)
    report = await FORMS[name].run(tmp_path, full=False)
    print(report.measured)  # noqa: T201 - the figures
    assert not report.failed, "\n".join(report.failed)
