"""What the admin port says of usage, where there is a lot of it."""

import pytest

from hybridproxy.admin import usage
from hybridproxy.admin.server import AdminError
from hybridproxy.metering.report import WIDTH
from hybridproxy.metering.statement import Question


def test_an_answer_that_would_take_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With words that say what to ask instead; the same rows fit where they are put together."""
    monkeypatch.setattr(usage, "MOST_ROWS", 10)
    rows = {("2026-11-27", "shop", f"model{n}", "together-us", "europe"): [1] * WIDTH for n in range(11)}
    with pytest.raises(AdminError, match="11 rows, and 10 are the most: ask for fewer days"):
        usage._answered(rows, Question(), [], "worker", "json")
    body, kind = usage._answered(rows, Question(by=("tenant",)), [], "worker", "csv")
    assert (body.splitlines()[1][:8], kind) == (b"shop,11,", usage.CSV)
