"""Where the audit log is to be written, and who should have one."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hybridproxy.config.load import load
from hybridproxy.config.settings import Configuration
from tests.hybridproxy.config.conftest import DIGEST, ENVIRON

Config = Callable[..., str]
Load = Callable[..., Configuration]
Mistakes = Callable[..., list[str]]

OTHER = f"sha256:{'b' * 64}"
VPC = '{v: {provider: vllm, trust: vpc, endpoints: ["https://10.0.3.1"], allow_cidrs: [10.0.3.0/24]}}'
BANKS = {
    "backends": VPC,
    "models": "{m: {family: qwen3, served_by: {v: m}}}",
    "routes": "{}",
    "tenants": f'{{bank: {{keys: ["{DIGEST}"], residency: vpc}}, other: {{keys: ["{OTHER}"], residency: vpc}}}}',
}


def of_the_log(loaded: Configuration) -> list[str]:
    """Return the warnings about the audit log."""
    return [warning for warning in loaded.warnings if "audit" in warning]


def test_places_are_relative_to_the_file_and_the_key_is_beside_the_log(
    config: Config, load_text: Load, tmp_path: Path
) -> None:
    """Unless they are named; nothing is made by looking at them."""
    audit = load_text(config(audit="{path: logs/audit}")).settings.audit
    assert audit is not None
    assert (audit.folder, audit.key, audit.anchor) == (
        tmp_path / "logs/audit", tmp_path / "logs/audit/key.pem", None,
    )  # fmt: skip
    audit = load_text(config(audit="{path: /var/empty-audit, key: k.pem, anchor: heads.log}")).settings.audit
    assert audit is not None
    assert (audit.folder, audit.key, audit.anchor) == (
        Path("/var/empty-audit"), tmp_path / "k.pem", tmp_path / "heads.log",
    )  # fmt: skip
    audit = load_text(config(audit='{path: a, anchor: "https://anchor.example/heads"}')).settings.audit
    assert audit is not None
    assert audit.anchor == "https://anchor.example/heads"
    assert load_text(config()).settings.audit is None
    assert [path.name for path in tmp_path.iterdir()] == ["hybridproxy.yaml"]


@pytest.mark.parametrize(
    ("audit", "path", "says"),
    [
        ("{path: file}", "audit.path", "file is no folder"),
        ("{path: file/below}", "audit.path", "file is no folder"),
        ("{path: a, key: folder}", "audit.key", "this is no file"),
        ("{path: a, key: file/key}", "audit.key", "would be made here"),
        ("{path: a, anchor: folder}", "audit.anchor", "this is a folder"),
        ("{path: a, anchor: file/heads}", "audit.anchor", "would be made here"),
        ("{path: a, anchor: 'https://user:x@anchor.example'}", "audit.anchor", "no user"),
        ("{path: a, anchor: 'ftp://anchor.example'}", "audit.anchor", "https:// or http://"),
        ("{path: a, anchor: ''}", "audit.anchor", "expected none, a file, or a URL"),
        ("{path: a, anchor: 5}", "audit.anchor", "expected none, a file, or a URL"),
        ("{path: ''}", "audit.path", "not empty"),
        ("{}", "audit.path", "is required"),
    ],
)
def test_a_place_that_cannot_be_is_a_mistake(
    config: Config, mistakes_in: Mistakes, tmp_path: Path, audit: str, path: str, says: str
) -> None:
    """Told with its option, before the first call needs it."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (mistake,) = mistakes_in(config(audit=audit))
    assert f"{path}: " in mistake
    assert says in mistake


@pytest.mark.parametrize("what", ["folder", "key"])
def test_a_place_that_may_not_be_used_is_a_mistake(
    config: Config, mistakes_in: Mistakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """By the user that runs this; root may do anything, so the system is asked and not tried."""
    (tmp_path / "k").touch()
    refused = os.R_OK if what == "key" else os.W_OK | os.X_OK
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != refused)
    (mistake,) = mistakes_in(config(audit="{path: a, key: k}"))
    assert ("cannot be read" if what == "key" else "may not be written to") in mistake


def test_a_sovereign_tenant_without_an_audit_log_is_a_warning(config: Config, load_text: Load) -> None:
    """One for all of them; with a log there is none."""
    (warning,) = of_the_log(load_text(config(**BANKS)))
    assert "tenants.bank.residency: there is no audit section" in warning
    assert warning.endswith("(and 1 more like it)")
    assert of_the_log(load_text(config(**BANKS, audit="{path: a}"))) == []
    one = BANKS | {"tenants": f'{{bank: {{keys: ["{DIGEST}"], residency: vpc}}}}'}
    (warning,) = of_the_log(load_text(config(**one)))
    assert warning.endswith("nothing shows where its calls went")


def test_an_anchor_beside_the_log_is_a_warning(config: Config, load_text: Load) -> None:
    """Who can cut the one can cut the other."""
    (warning,) = load_text(config(audit="{path: a, anchor: a/heads}")).warnings
    assert "audit.anchor: stands beside the log" in warning


def test_the_product_example_has_a_log(product: Path) -> None:
    """It is accepted as it stands."""
    audit = load(product, ENVIRON).settings.audit
    assert audit is not None
    assert audit.folder == product.parent / "audit"
