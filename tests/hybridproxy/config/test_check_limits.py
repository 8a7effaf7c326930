"""What is probably not meant about limits and budgets."""

from collections.abc import Callable

import pytest

from hybridproxy.config.check_limits import COVERS_NONE, FORGETS, SMALL
from hybridproxy.config.settings import Configuration

Config = Callable[..., str]
Load = Callable[..., Configuration]

KEYS = [f"sha256:{n:064x}" for n in range(2)]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("budget: {usd_per_day: 5}", ("budget", FORGETS)),
        ("budget: {models: {'*': {usd_per_month: 5}}}", ("budget.models.*", FORGETS)),
        ("budget: {models: {'*': {}}}", None),
        ("limits: {models: {'nothing-*': {rpm: 5}}}", ("limits.models.nothing-*", COVERS_NONE)),
        ("limits: {models: {'*': {rpm: 5}}}", None),
        ("limits: {tpm: 1000}", ("limits.tpm", SMALL.format(1024))),
        ("limits: {tpm: 1000, answer: 999}", None),
        ("limits: {tpm: 5000, answer: 5000}", ("limits.tpm", SMALL.format(5000))),
        ("limits: {tpm: 100000, models: {'*': {tpm: 1024}}}", ("limits.models.*.tpm", SMALL.format(1024))),
        ("limits: {rpm: 1, tpm: 1025, streams: 1}", None),
    ],
)
def test_what_is_pointed_out(config: Config, load_text: Load, options: str, says: tuple[str, str] | None) -> None:
    """With its place, and once for all tenants with the same."""
    one = f"{{a: {{keys: ['{KEYS[0]}'], {options}}}}}"
    two = f"{{a: {{keys: ['{KEYS[0]}'], {options}}}, b: {{keys: ['{KEYS[1]}'], {options}}}}}"
    for tenants, more in ((one, ""), (two, " (and 1 more like it)")):
        warnings = [warning.split(": ", 1)[1] for warning in load_text(config(tenants=tenants)).warnings]
        assert warnings == ([f"tenants.a.{says[0]}: {says[1]}{more}"] if says else [])
