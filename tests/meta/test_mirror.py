"""Tests stand where a reader looks for them."""

from pathlib import Path

from tests.meta.project import ROOT, mirror_of, project_files, pure_sources


def test_every_pure_module_has_its_own_test_file() -> None:
    """hybridproxy/routing/plan.py is tested by tests/hybridproxy/routing/test_plan.py, and so is every pure module."""
    modules = pure_sources()
    assert modules
    missing = [str(mirror_of(source)) for source in modules if not (ROOT / mirror_of(source)).is_file()]
    assert not missing, "missing:\n" + "\n".join(missing)


def test_every_test_file_has_its_source() -> None:
    """A test file that mirrors the source does not outlive it; stories over several modules stand in other folders."""
    mirrored = [path for path in project_files() if path.match("test_*.py") and path.parts[1] in ("geo", "hybridproxy")]
    expected = {path: Path(*path.parts[1:-1]) / path.name.removeprefix("test_") for path in mirrored}
    orphans = [f"{test}: no {source}" for test, source in expected.items() if not (ROOT / source).is_file()]
    assert not orphans, "\n".join(orphans)
