# ruff: noqa: E501 - a mistake is one line
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hybridproxy.config import sources
from hybridproxy.config.settings import Configuration

Config = Callable[..., str]
Load = Callable[..., Configuration]
Mistakes = Callable[..., list[str]]
Write = Callable[..., Path]


def tenant(number: int) -> str:
    """Return a tenant's line."""
    return f'  t{number}: {{keys: ["sha256:{number:064x}"]}}\n'


def test_tenants_come_from_included_files_too(config: Config, write: Write, load_text: Load) -> None:
    """A pattern relative to the main file leads to tenants' files; each is read once, in the order of their names."""
    write("tenants:\n" + tenant(1), "tenants.d/b.yaml")
    write("tenants:\n" + tenant(2), "tenants.d/a.yaml")
    write("# nobody yet\n", "tenants.d/c.yaml")
    write("tenants:\n", "tenants.d/d.yaml")
    loaded = load_text(config(tenants="", include="[tenants.d/*.yaml, tenants.d/a.yaml]"))
    assert list(loaded.snapshot.tenants) == ["t2", "t1"]
    assert [path.name for path in loaded.sources] == ["hybridproxy.yaml", "a.yaml", "b.yaml", "c.yaml", "d.yaml"]


def test_a_pattern_that_fits_nothing_is_a_warning_and_a_missing_file_a_mistake(
    config: Config, load_text: Load, mistakes_in: Mistakes
) -> None:
    """An empty folder of tenants is legal; a file that was named has to be there."""
    (warning,) = load_text(config(include="[tenants.d/*.yaml]")).warnings
    assert warning.endswith("hybridproxy.yaml:6:11: include[0]: no file fits this pattern")
    assert mistakes_in(config(include='[shop.yaml, 7, "a\\0b", ""]')) == [
        "hybridproxy.yaml:6:11: include[0]: there is no such file",
        "hybridproxy.yaml:6:22: include[1]: expected a file or a pattern such as tenants.d/*.yaml",
        "hybridproxy.yaml:6:25: include[2]: expected a file or a pattern such as tenants.d/*.yaml",
        "hybridproxy.yaml:6:33: include[3]: there is no such file",
    ]


def test_mistakes_in_included_files_are_shown_in_those_files(
    config: Config, write: Write, mistakes_in: Mistakes
) -> None:
    """Whatever is wrong with an included file, the place is the one in that file."""
    write("tenants:\n" + tenant(1), "a.yaml")
    write("tenants:\n" + tenant(1) + '  t2: {keys: ["${NOBODY}"], rout: x}\nlisten: {}\n', "b.yaml")
    write("[]\n", "c.yaml")
    write("tenants: []\n", "d.yaml")
    write("a: b: c\n", "e.yaml")
    write("tenants:\n  t3: {keys: [hp_x], route: nowhere}\n", "f.yaml")
    write("tenants:\n" + tenant(1).replace("t1", "t"), "g.yaml")
    assert mistakes_in(config(include="['?.yaml']")) == [
        "b.yaml:2:3: tenants.t1: the tenant stands in a.yaml:2 already: keep one",
        "b.yaml:3:15: tenants.t2.keys[0]: the environment has no NOBODY: set it",
        "b.yaml:3:29: tenants.t2.rout: unknown option: expected one of: backends, budget, keys, limits, models, priority, region, residency, route; did you mean route?",
        "b.yaml:4:1: listen: an included file holds tenants and nothing else",
        "c.yaml:1:1: expected a mapping with `tenants`",
        "d.yaml:1:1: tenants: expected a mapping of tenants",
        "e.yaml:1:5: not YAML: mapping values are not allowed here",
        "f.yaml:2:15: tenants.t3.keys[0]: expected sha256: and 64 hex digits, as `hybridproxy key new TENANT` prints; never a key itself",
        "f.yaml:2:29: tenants.t3.route: there is no route nowhere: expected one of: default",
        "g.yaml:2:3: tenants.t: the tenant stands in hybridproxy.yaml:5 already: keep one",
    ]


def test_a_wrong_list_of_tenants_or_includes_is_left_to_the_schema(config: Config, mistakes_in: Mistakes) -> None:
    """Where merging makes no sense, the types are what is wrong."""
    assert mistakes_in(config(tenants="[]", include="[x.yaml]")) == [
        "hybridproxy.yaml:5:10: tenants: expected a mapping, {} for an empty one"
    ]
    assert mistakes_in(config(include="x.yaml")) == ["hybridproxy.yaml:6:10: include: expected a list"]


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, mistakes_in: Mistakes, write: Write) -> None:
    """Missing, a folder, a pipe without a writer, not UTF-8, or not even a name."""

    def why(path: Path) -> str:
        read = sources.read_sources(path, {})
        assert read.data is None
        (mistake,) = read.complete()
        return mistake.message

    assert why(tmp_path / "no.yaml") == "cannot be read: No such file or directory"
    assert why(tmp_path) == "cannot be read: Is a directory"
    assert why(Path("a\0b")) == "cannot be read: not a file's name"
    os.mkfifo(tmp_path / "pipe")
    assert why(tmp_path / "pipe") == "cannot be read: not a regular file"
    assert mistakes_in("listen: {}\né: \xff".encode("latin-1")) == [
        "hybridproxy.yaml:2:1: not UTF-8: save the file in that encoding"
    ]


def test_a_byte_order_mark_is_no_part_of_the_file(config: Config, load_text: Load) -> None:
    """Some editors put one at the beginning."""
    assert load_text(b"\xef\xbb\xbf" + config().encode()).snapshot.tenants


def test_sizes_and_numbers_of_files_are_bounded(
    config: Config, write: Write, mistakes_in: Mistakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file, all included files and their number have a limit; what goes beyond is refused, not read."""
    for number in range(3):
        write("tenants:\n" + tenant(number), f"d/{number}.yaml")
    text = config(include="['d/*.yaml']")
    monkeypatch.setattr(sources, "MAX_INCLUDES", 2)
    assert mistakes_in(text) == ["hybridproxy.yaml:6:11: include[0]: leads to more than 2 files"]
    monkeypatch.setattr(sources, "MAX_INCLUDES", 3)
    monkeypatch.setattr(sources, "MAX_INCLUDED", 200)
    (mistake,) = mistakes_in(text)
    assert mistake.startswith("d/2.yaml: too large: more than ")
    monkeypatch.setattr(sources, "MAX_FILE", 100)
    assert mistakes_in(text) == ["hybridproxy.yaml: too large: more than 100 bytes are left for it"]
