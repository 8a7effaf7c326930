"""The files of a configuration: read, parsed, with the environment put in, tenants of included files taken in.

`Sources` also keeps the book: every mistake with its place, and which parts are refused already, so that what follows
from a mistake is not reported as another one.
"""

import glob
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hybridproxy.config.document import Document, Marks, parse
from hybridproxy.config.environment import Environment
from hybridproxy.config.mistakes import KeyPath, Mistake, dotted
from hybridproxy.config.planes import stand_in, withheld
from hybridproxy.model.plane import Plane

MAX_FILE = 16_000_000
"""Bytes of one file."""

MAX_INCLUDED = 64_000_000
"""Bytes of all included files."""

MAX_INCLUDES = 1000
"""Files that `include` may lead to."""


@dataclass(slots=True)
class Sources:
    """The files and what was noted about them.

    Attributes:
        environment: where `${NAME}` is looked up.
        main: the main file.
        data: its values, the tenants of included files among them.
        tenants: tenant -> the included file it stands in.
        paths: of all files read, the main one first.
        mistakes: what is wrong.
        warnings: what is probably not meant.
        refused: paths of mistakes, and all paths above them.
        withheld: the backends that the plane does without.

    """

    environment: Environment
    main: Document
    data: Any = field(default=None, repr=False)
    tenants: dict[str, Document] = field(default_factory=dict)
    paths: list[Path] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    warnings: list[Mistake] = field(default_factory=list)
    refused: set[KeyPath] = field(default_factory=set)
    withheld: frozenset[str] = frozenset()

    def intact(self, path: KeyPath) -> bool:
        """Return whether nothing was refused at a path or under it."""
        return path not in self.refused

    def refuse(self, path: KeyPath, message: str, *, key: bool = False) -> None:
        """Note a mistake."""
        self.mistakes.append(self.note(path, message, key=key))
        self.refused.update(path[:length] for length in range(1, len(path) + 1))

    def note(self, path: KeyPath, message: str, *, key: bool = False) -> Mistake:
        """Return what is to be said about a value (`key`: about its key), with its place and without secrets."""
        document = self.main
        if len(path) > 1 and path[0] == "tenants":
            document = self.tenants.get(str(path[1]), document)
        return Mistake(document.file, *document.place(path, key=key), dotted(path), self.environment.hide(message))

    def complete(self) -> tuple[Mistake, ...]:
        """Return all mistakes, file by file in the order they were read, each from top to bottom."""
        order = {str(path): number for number, path in enumerate(self.paths)}
        return tuple(sorted(set(self.mistakes), key=lambda mistake: (order[mistake.file], mistake)))


def read_sources(path: Path, environ: Mapping[str, str], plane: Plane = Plane.ALL) -> Sources:
    """Read the main file and what it includes, for a plane. What could not be read is noted as a mistake."""
    sources = Sources(Environment(environ), Document(str(path), None, Marks((1, 1), (1, 1))), paths=[path])
    main, _ = read_document(path, sources, MAX_FILE)
    if main is None:
        return sources
    sources.main = main
    sources.data = main.data
    sources.withheld = withheld(main.data, plane)
    if sources.withheld:
        sources.environment.withhold = partial(stand_in, names=sources.withheld, plane=plane)
    for where, message in sources.environment.substitute(main):
        sources.refuse(where, message)
    if isinstance(main.data, dict):
        _include(main.data, path, sources)
    return sources


def read_document(path: Path, sources: Sources, allowance: int) -> tuple[Document | None, int]:
    """Read and parse a file of at most so many bytes; return what is in it and its size."""
    name = str(path)
    try:
        # O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - Path.open takes no flags
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            raw = file.read(allowance + 1) if regular else b""
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or "not a file's name"
        sources.mistakes.append(Mistake(name, 0, 0, "", f"cannot be read: {reason}"))
        return None, 0
    if not regular:
        sources.mistakes.append(Mistake(name, 0, 0, "", "cannot be read: not a regular file"))
        return None, 0
    if len(raw) > allowance:
        sources.mistakes.append(Mistake(name, 0, 0, "", f"too large: more than {allowance} bytes are left for it"))
        return None, 0
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode()) + 1
        sources.mistakes.append(Mistake(name, line, column, "", "not UTF-8: save the file in that encoding"))
        return None, 0
    document, mistakes = parse(text, name)
    sources.mistakes.extend(mistakes)
    return document, len(raw)


def _include(data: dict[str, Any], path: Path, sources: Sources) -> None:
    patterns = data.get("include")
    tenants = data.get("tenants")
    if not isinstance(patterns, list) or not isinstance(tenants, dict | None):
        return  # the schema says what is wrong with them
    merged: dict[str, Any] = dict(tenants or {})
    allowance = MAX_INCLUDED
    for number, pattern in enumerate(patterns):
        for included in _matching(pattern, number, path, sources):
            if len(sources.paths) > MAX_INCLUDES:
                sources.refuse(("include", number), f"leads to more than {MAX_INCLUDES} files")
                return
            sources.paths.append(included)
            document, size = read_document(included, sources, min(MAX_FILE, allowance))
            allowance -= size
            if document is not None:
                _merge(document, merged, sources)
    if merged:
        sources.data = {**data, "tenants": merged}


def _matching(pattern: Any, number: int, path: Path, sources: Sources) -> list[Path]:
    """Return the files a pattern leads to that were not read yet, sorted."""
    if not isinstance(pattern, str) or "\0" in pattern:
        sources.refuse(("include", number), "expected a file or a pattern such as tenants.d/*.yaml")
        return []
    fitting = glob.glob(str(Path(glob.escape(str(path.parent))) / pattern))  # noqa: PTH207 - takes absolute ones
    found = [file for file in map(Path, sorted(fitting)) if not file.is_dir()]
    known = {os.path.realpath(seen) for seen in sources.paths}  # Path.resolve raises for links in a circle
    if not found and glob.has_magic(pattern):
        sources.warnings.append(sources.note(("include", number), "no file fits this pattern"))
    elif not found:
        sources.refuse(("include", number), "there is no such file")
    return [file for file in found if os.path.realpath(file) not in known]


def _merge(document: Document, merged: dict[str, Any], sources: Sources) -> None:
    """Take the tenants of an included file in."""

    def refuse(path: KeyPath, message: str) -> None:
        place = document.place(path, key=True)
        sources.mistakes.append(Mistake(document.file, *place, dotted(path), message))

    data = document.data
    tenants = data.get("tenants") if isinstance(data, dict) else None
    if data is not None and not isinstance(data, dict):
        refuse((), "expected a mapping with `tenants`")
        return
    for key in data or ():
        if key != "tenants":
            refuse((key,), "an included file holds tenants and nothing else")
    if tenants is not None and not isinstance(tenants, dict):
        refuse(("tenants",), "expected a mapping of tenants")
        return
    mine = Document(document.file, {"tenants": {}}, document.marks)
    for name, tenant in (tenants or {}).items():
        if name in merged:
            there = sources.tenants.get(name, sources.main)
            line, _ = there.place(("tenants", name), key=True)
            refuse(("tenants", name), f"the tenant stands in {there.file}:{line} already: keep one")
            continue
        merged[name] = mine.data["tenants"][name] = tenant
        sources.tenants[name] = mine
    for where, message in sources.environment.substitute(mine):
        sources.refuse(where, message)
