"""Decisions stay pure, beyond what import-linter can see."""

import ast
import os
import subprocess
import sys

import pytest

from tests.meta.project import PYPROJECT, REGISTRIES, ROOT, project_files, pure_sources

IMPURE = ("aiohttp", "asyncio", "geoip2", "maxminddb", "prometheus_client", "pydantic", "redis", "structlog", "uvloop")


def test_importing_the_pure_packages_brings_no_framework_in() -> None:
    """A fresh interpreter that imports every pure module has not loaded asyncio or a framework, even indirectly."""
    modules = [".".join(path.with_suffix("").parts) for path in pure_sources()]
    code = f"import sys, {', '.join(modules)}; print(*sorted(set({IMPURE!r}) & set(sys.modules)))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_package_init_files_are_empty() -> None:
    """Importing a module runs no other code of its package: all `__init__.py` are empty but for the registries."""
    roots = ("hybridproxy", "geo")
    inits = [path for path in project_files() if path.parts[0] in roots and path.name == "__init__.py"]
    assert inits
    filled = [str(path) for path in inits if str(path) not in REGISTRIES and (ROOT / path).read_text()]
    assert not filled, "not empty:\n" + "\n".join(filled)


@pytest.mark.parametrize("registry", REGISTRIES)
def test_a_registry_holds_a_table_and_nothing_else(registry: str) -> None:
    """A registry imports its own package's rows and the model, and assigns tables."""
    path = ROOT / registry
    tree = ast.parse(path.read_text() if path.is_file() else "")
    allowed = (ast.Assign, ast.AnnAssign, ast.Expr, ast.ImportFrom)
    assert [ast.unparse(node) for node in tree.body if not isinstance(node, allowed)] == []
    package = registry.removesuffix("/__init__.py").replace("/", ".")
    foreign = [
        node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        and not (node.module or "").startswith((package, "hybridproxy.model", "collections.abc", "types", "typing"))
    ]
    assert foreign == []


def test_every_package_has_its_place_in_the_layers() -> None:
    """A new package of hybridproxy cannot escape the import rules: the layers name it."""
    (layers,) = (c["layers"] for c in PYPROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    named = {word.strip(" ()") for layer in layers for word in layer.split(":")} | {"hybridproxy.simulator"}
    found = {
        f"hybridproxy.{path.stem if path.is_file() else path.name}"
        for path in (ROOT / "hybridproxy").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert found - named - {"hybridproxy.__init__", "hybridproxy.__main__"} == set()
