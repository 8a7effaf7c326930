"""Where the ledger is to be written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hybridproxy.config.settings import Configuration, Ledger

Config = Callable[..., str]
Load = Callable[..., Configuration]
Mistakes = Callable[..., list[str]]


def test_the_folder_is_relative_to_the_file_and_nothing_is_made_by_looking(
    config: Config, load_text: Load, tmp_path: Path
) -> None:
    """Records are kept for good, unless it says for how long."""
    assert load_text(config(ledger="{path: a/ledger}")).settings.ledger == Ledger(tmp_path / "a/ledger")
    assert load_text(config(ledger="{path: l, keep: 400d}")).settings.ledger == Ledger(tmp_path / "l", 400)
    assert load_text(config()).settings.ledger is None
    assert [path.name for path in tmp_path.iterdir()] == ["hybridproxy.yaml"]


@pytest.mark.parametrize(
    ("ledger", "path", "says"),
    [
        ("{path: file}", "ledger.path", "file is no folder"),
        ("{path: ./a}", "ledger.path", "the audit log is written there"),
        ("{path: ''}", "ledger.path", "not empty"),
        ("{}", "ledger.path", "is required"),
        ("{path: l, keep: none}", "ledger.keep", "expected days as in 400d"),
        ("{path: l, keep: 0d}", "ledger.keep", "days as in 30d"),
        ("{path: l, keep: 5}", "ledger.keep", "days as in 30d"),
    ],
)
def test_a_place_that_cannot_be_is_a_mistake(
    config: Config, mistakes_in: Mistakes, tmp_path: Path, ledger: str, path: str, says: str
) -> None:
    """Told with its option, before the server starts."""
    (tmp_path / "file").touch()
    (mistake,) = mistakes_in(config(ledger=ledger, audit="{path: a}"))
    assert f"{path}: " in mistake
    assert says in mistake
