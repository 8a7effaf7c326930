"""From a file to a configuration, or to every mistake in it.

Read the files (`sources`), check each value (`schema`), check that all fits together (`check`), build. Each step works
with what the earlier ones left standing, so that one run finds all there is to find.
"""

import copy
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hybridproxy.config.build import settings_of, snapshot_of
from hybridproxy.config.check import check, warn
from hybridproxy.config.context import DEFAULT, Context
from hybridproxy.config.mistakes import ConfigError, KeyPath
from hybridproxy.config.planes import contradicted, narrowed
from hybridproxy.config.schema import ConfigurationFile
from hybridproxy.config.settings import Configuration
from hybridproxy.config.sources import Sources, read_sources
from hybridproxy.config.values import suggestion
from hybridproxy.model.plane import Plane
from hybridproxy.residency.proof import prove

_KEY = "[key]"
"""What pydantic puts at the end of a path when it means the key."""

_ROUNDS = 20
"""Times the schema is tried again without what it refused; two are usual."""

_STAND_INS: Mapping[tuple[str, ...], Any] = {
    ("admin", "token"): "-",
    ("backends",): {},
    ("backends", "*", "provider"): "openai",
    ("redis", "url"): "rediss+sentinel://redis/redis",  # the kind that every other option of the section goes with
    ("models",): {},
    ("models", "*", "family"): "other",
    ("models", "*", "served_by"): {},
    ("routes", "*", "regions"): {DEFAULT: []},
    ("tenants", "*", "keys"): [],
}
"""What takes the place of a required value that was refused, so that the rest of its section can be checked."""

_MESSAGES = {
    "missing": "is required",
    "model_type": "expected a mapping, {} for an empty one",
    "dict_type": "expected a mapping, {} for an empty one",
    "list_type": "expected a list",
    "string_type": "expected text: put it in quotes if it looks like something else",
    "string_too_short": "expected text that is not empty",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "bool_type": "expected true or false",
}
"""Pydantic's word for a mistake -> ours."""


def load(path: str | Path, environ: Mapping[str, str], plane: Plane = Plane.ALL) -> Configuration:
    """Read a configuration. All of it is checked and proved, whichever part of it a plane then gets.

    Args:
        path: the main file.
        environ: where `${NAME}` is looked up.
        plane: which calls are to be served with it.

    Raises:
        ConfigError: with every mistake that was found; no message holds a value from the environment.

    """
    path = Path(path)
    sources = read_sources(path, environ, plane)
    if sources.data is None and sources.mistakes:
        raise ConfigError(sources.complete())
    file = _validated(sources)
    if file is not None:
        for where, message in [
            *check(file, _context(file, sources)),
            *contradicted(file, sources.withheld, plane),
        ]:
            if sources.intact(where):
                sources.refuse(_as_written(where, sources.data), message)
    if file is None or sources.mistakes:
        raise ConfigError(sources.complete())
    if plane is Plane.SOVEREIGN and not any(backend.sovereign for backend in file.backends.values()):
        sources.warnings.append(sources.note(("backends",), "there is no vpc backend: this plane has nothing to serve"))
    snapshot = snapshot_of(file, path.parent)
    proof = prove(snapshot, random.Random(0), failures=False)  # noqa: S311 - only the order within groups
    if proof.violations:
        raise ConfigError([sources.note(("tenants", v.case.tenant), f"residency: {v}") for v in proof.violations])
    warnings = [
        *sources.warnings,
        *(sources.note(where, message) for where, message in warn(file, sources.data, _context(file, sources))),
    ]
    return Configuration(
        snapshot=narrowed(snapshot, plane),
        settings=settings_of(file, path.parent),
        warnings=tuple(map(str, warnings)),
        sources=tuple(sources.paths),
    )


def _context(file: ConfigurationFile, sources: Sources) -> Context:
    names = {}
    for section in ("backends", "models", "routes", "regions"):
        written = sources.data.get(section)
        names[section] = tuple(written if isinstance(written, dict) else getattr(file, section))
    return Context(
        names, sources.environment.templates, Path(sources.main.file).parent, sources.intact, sources.withheld
    )


def _validated(sources: Sources) -> ConfigurationFile | None:
    """Return what the schema accepts, after noting all that it refuses; None when nothing is left."""
    data = sources.data
    for attempt in range(_ROUNDS):
        try:
            return ConfigurationFile.model_validate(data)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False)
        known = set(sources.refused)
        paths = []
        for problem in problems:
            path, key = _path_of(problem, data)
            paths.append(path)
            if key or path not in known:
                sources.refuse(path, _message(problem, path), key=key or problem["type"] == "extra_forbidden")
        if not isinstance(data, dict):
            return None
        if attempt == 0:
            data = copy.deepcopy(data)
        for path in paths:
            _take_out(data, path)
    return None


def _path_of(problem: ErrorDetails, data: Any) -> tuple[KeyPath, bool]:
    """Return the path of a problem in the file, and whether the key is meant."""
    path = problem["loc"]
    if path and path[-1] == _KEY:
        holder = _look_up(data, path[:-1])
        if not isinstance(holder, dict) or _KEY not in holder:
            return path[:-1], True
    return _as_written(path, data), False


def _as_written(path: KeyPath, data: Any) -> KeyPath:
    """Return the path without places in lists that are not in the file, where a single word stands for a list of it."""
    while path and isinstance(path[-1], int) and not isinstance(_look_up(data, path[:-1]), list):
        path = path[:-1]
    return path


def _look_up(data: Any, path: KeyPath) -> Any:
    for step in path:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _take_out(data: dict[str, Any], path: KeyPath) -> None:
    """Remove a value, or put its stand-in there. Lists go whole: their other items keep no place of their own."""
    for pattern, stand_in in _STAND_INS.items():
        if _fits(path[: len(pattern)], pattern) and (len(path) == len(pattern) or isinstance(path[len(pattern)], int)):
            section = _look_up(data, path[: len(pattern) - 1])
            if isinstance(section, dict):
                section[pattern[-1]] = copy.deepcopy(stand_in)
            return
    chain: list[tuple[dict[str, Any], str]] = []
    inner: Any = data
    for step in path:
        if not isinstance(inner, dict) or step not in inner:
            break
        chain.append((inner, str(step)))
        inner = inner[str(step)]
    if chain:
        holder, name = chain[-1]
        del holder[name]


def _fits(path: KeyPath, pattern: tuple[str, ...]) -> bool:
    return len(path) == len(pattern) and all(word in ("*", step) for word, step in zip(pattern, path, strict=True))


def _message(problem: ErrorDetails, path: KeyPath) -> str:
    """Return what was expected, in our words."""
    kind = problem["type"]
    if kind == "extra_forbidden":
        return f"unknown option: {suggestion(str(path[-1]), _options_at(path[:-1]))}"
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    if kind in ("too_short", "too_long"):
        bound = "min_length" if kind == "too_short" else "max_length"
        return f"expected at {'least' if kind == 'too_short' else 'most'} {problem['ctx'][bound]}"
    return _MESSAGES.get(kind) or problem["msg"].replace("Input should be", "expected")


def _options_at(path: KeyPath) -> list[str]:
    """Return the names of the options of the section at a path."""
    section: type[BaseModel] = ConfigurationFile
    named = False
    for step in path:
        if named:  # the step is a name the operator chose
            named = False
            continue
        annotation = section.model_fields[str(step)].annotation
        section = next(_sections_in(annotation))
        named = get_origin(annotation) is dict
    return list(section.model_fields)


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections_in(inner)
