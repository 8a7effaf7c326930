"""Tests of the rows of hosts."""

from datetime import date

from hybridproxy.catalogue.checkpoints import CHECKPOINTS
from hybridproxy.catalogue.hosts import HOSTS
from hybridproxy.model.price import NANO


def test_every_row_is_of_a_known_checkpoint_once_with_a_date() -> None:
    """A price is cents to dollars, a window thousands of tokens, a removal a day."""
    assert len({(row.provider, row.site, row.name) for row in HOSTS}) == len(HOSTS)
    for row in HOSTS:
        assert row.checkpoint in CHECKPOINTS
        assert row.price is None or 0 < row.price.input <= row.price.output < 10 * NANO
        assert row.context is None or row.context >= 32_000
        assert row.dated >= "2026-08-18"
        if row.leaves:
            date.fromisoformat(row.leaves)


def test_what_is_gone_is_kept_with_its_day() -> None:
    """So a configuration that still names it is told so."""
    gone = {row.name: row.leaves for row in HOSTS if row.leaves and row.leaves < "2026-11-23"}
    assert gone["Qwen/Qwen3.8-2.4T-A95B"] == "2026-11-04"
    assert gone["qwen-3-32b"] == "2026-02-16"
    assert len(gone) == 9
