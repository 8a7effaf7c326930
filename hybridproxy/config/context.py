"""What every check works with: what is known beside the valid part of the file, and the findings common to many."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridproxy.catalogue.checkpoints import LINES
from hybridproxy.catalogue.offers import Offer
from hybridproxy.config.environment import literal_part
from hybridproxy.config.mistakes import KeyPath
from hybridproxy.config.values import suggestion

Finding = tuple[KeyPath, str]

DEFAULT = "default"
"""The region of callers no other region takes; the route of tenants that name none."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the checks know beside the valid part of the file.

    Attributes:
        names: section -> the names written there, broken entries included.
        templates: path -> text with its `${NAME}` references, where there were any.
        base: the folder relative paths start at.
        intact: whether nothing at or under a path was refused already.
        withheld: the backends that this plane does without, whose files need not be there.
        offers: what the backends serve; of broken entries nothing.
        lines: the lines of models that a logical name may stand for.
        today: YYYY-MM-DD; "": not known, and then nothing is said of what is gone.

    """

    names: Mapping[str, Collection[str]]
    templates: Mapping[KeyPath, str]
    base: Path
    intact: Callable[[KeyPath], bool]
    withheld: frozenset[str] = frozenset()
    offers: Sequence[Offer] = ()
    lines: Collection[str] = LINES
    today: str = ""


def is_file(path: Path) -> bool:
    """Return whether there is a file."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for names that are too long


def check_secret(path: KeyPath, context: Context, between: str = "") -> Iterator[Finding]:
    """Yield what is wrong with a secret that stands in the file, as a whole or in part; `between` may join parts."""
    template = context.templates.get(path)
    if template is None or literal_part(template).replace(between or "\0", ""):
        yield path, "a secret may not stand in the file: write ${NAME} and set it in the environment"


def check_filled(path: KeyPath, items: Collection[Any], noun: str) -> Iterator[Finding]:
    """Yield what is wrong where nothing is."""
    if not items:
        yield path, f"expected at least one {noun}"


def check_known(path: KeyPath, noun: str, name: str, known: Collection[str]) -> Iterator[Finding]:
    """Yield what is wrong with a name that nothing has."""
    # Where there are no backends at all, that is the mistake, and it is reported as such.
    if name not in known and (known or noun != "backend"):
        yield path, f"there is no {noun} {name}: {suggestion(name, known)}"
