"""From a file to a configuration, or to every mistake in it.

Read the files (`sources`), check each value (`schema`), check that all fits together (`check`), build. Each step works
with what the earlier ones left standing, so that one run finds all there is to find.
"""

import copy
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hybridproxy.catalogue.catalogue import NO_OVERLAY, Overlay
from hybridproxy.catalogue.checkpoints import LINES
from hybridproxy.catalogue.offers import Offer
from hybridproxy.config.build import settings_of, snapshot_of
from hybridproxy.config.check import check, warn
from hybridproxy.config.context import DEFAULT, Context
from hybridproxy.config.mistakes import ConfigError, KeyPath
from hybridproxy.config.offers import models_of
from hybridproxy.config.overlay import read_overlay
from hybridproxy.config.planes import contradicted, narrowed
from hybridproxy.config.problems import message_of
from hybridproxy.config.schema import ConfigurationFile
from hybridproxy.config.settings import Configuration
from hybridproxy.config.sources import Sources, read_sources
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


def load(path: str | Path, environ: Mapping[str, str], plane: Plane = Plane.ALL, today: str = "") -> Configuration:
    """Read a configuration. All of it is checked and proved, whichever part of it a plane then gets.

    Args:
        path: the main file.
        environ: where `${NAME}` is looked up.
        plane: which calls are to be served with it.
        today: YYYY-MM-DD, for what is gone and what soon will be; "": nothing is said of that.

    Raises:
        ConfigError: with every mistake that was found; no message holds a value from the environment.

    """
    path = Path(path)
    sources = read_sources(path, environ, plane)
    if sources.data is None and sources.mistakes:
        raise ConfigError(sources.complete())
    file = _validated(sources)
    overlay = NO_OVERLAY if file is None else read_overlay(file.catalogue, path.parent, sources)
    models, offers = ({}, ()) if file is None else models_of(file, overlay, today)
    if file is not None:
        for where, message in [
            *check(file, _context(file, sources, overlay, offers, today)),
            *contradicted(file, sources.withheld, plane),
        ]:
            if sources.intact(where):
                sources.refuse(_as_written(where, sources.data), message)
    if file is None or sources.mistakes:
        raise ConfigError(sources.complete())
    if plane is Plane.SOVEREIGN and not any(backend.sovereign for backend in file.backends.values()):
        sources.warnings.append(sources.note(("backends",), "there is no vpc backend: this plane has nothing to serve"))
    snapshot = snapshot_of(file, path.parent, models)
    proof = prove(snapshot, random.Random(0), failures=False)  # noqa: S311 - only the order within groups
    if proof.violations:
        raise ConfigError([sources.note(("tenants", v.case.tenant), f"residency: {v}") for v in proof.violations])
    warnings = [
        *sources.warnings,
        *(
            sources.note(where, message)
            for where, message in warn(file, _context(file, sources, overlay, offers, today))
        ),
    ]
    return Configuration(
        snapshot=narrowed(snapshot, plane),
        settings=settings_of(file, path.parent),
        warnings=tuple(map(str, warnings)),
        sources=tuple(sources.paths),
        offers=offers,
        overlay=overlay,
    )


def _context(
    file: ConfigurationFile, sources: Sources, overlay: Overlay, offers: Sequence[Offer], today: str
) -> Context:
    names = {}
    for section in ("backends", "models", "routes", "regions"):
        written = sources.data.get(section)
        names[section] = tuple(written if isinstance(written, dict) else getattr(file, section))
    return Context(
        names,
        sources.environment.templates,
        Path(sources.main.file).parent,
        sources.intact,
        sources.withheld,
        offers,
        {*LINES, *(note.line for note in overlay.values() if note.line)},
        today,
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
                sources.refuse(
                    path, message_of(problem, path, ConfigurationFile), key=key or problem["type"] == "extra_forbidden"
                )
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
