"""What pyproject.toml and the folders say about the project; the tests beside this file hold it to that.

Run as a program with `sources` or `tests` it prints the pure packages' files or the files that test them, one a line.
"""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS: list[dict[str, Any]] = PYPROJECT["tool"]["importlinter"]["contracts"]
REGISTRIES = tuple(f"hybridproxy/{package}/__init__.py" for package in ("dialects", "families", "providers"))


def pure_names() -> list[str]:
    """Return the packages and modules that the import contract `pure` is about, as import paths."""
    (contract,) = (contract for contract in CONTRACTS if contract.get("id") == "pure")
    return [name.removesuffix(".**") for name in contract["source_modules"]]


def sources(name: str) -> list[Path]:
    """Return the source files of a package or module, without `__init__.py`, relative to the project."""
    place = Path(*name.split("."))
    if (ROOT / place).is_dir():
        found = (path.relative_to(ROOT) for path in (ROOT / place).rglob("*.py"))
        return sorted(path for path in found if path.name != "__init__.py")
    return [place.with_suffix(".py")] if (ROOT / place).with_suffix(".py").is_file() else []


def mirror_of(source: Path) -> Path:
    """Return where the tests of a source file belong: hybridproxy/a/b.py -> tests/hybridproxy/a/test_b.py."""
    return Path("tests") / source.parent / f"test_{source.name}"


def project_files() -> list[Path]:
    """Return the files of the project, relative to it: what git tracks or would track, without git all but hidden."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        return sorted(path.relative_to(ROOT) for path in _visible(ROOT))
    return sorted(path for path in map(Path, listed) if (ROOT / path).is_file())


def _visible(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_file():
            yield path
        elif path.name == ".ci" or not (path.name.startswith((".", "__")) or path.name.endswith(".egg-info")):
            yield from _visible(path)


def pure_sources() -> list[Path]:
    """Return every source file of the pure packages and modules, relative to the project."""
    return [source for name in pure_names() for source in sources(name)]


def main(what: str) -> None:
    """Print the pure packages' `sources`, or the `tests` of theirs that are there."""
    found = pure_sources()
    if what == "tests":
        found = [mirror_of(source) for source in found if (ROOT / mirror_of(source)).is_file()]
    sys.stdout.writelines(f"{path}\n" for path in found)


if __name__ == "__main__":
    main(*sys.argv[1:])
