"""Mistakes in a configuration: where each is, and what was expected there."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]
"""The way from the top of a file to a value: keys of mappings and indexes of lists."""

_PLAIN_KEY = re.compile(r"[\w./*:@+-]{1,80}")


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing that is wrong.

    Attributes:
        file: the file as it was named.
        line: from 1; 0 when the file as a whole is meant.
        column: from 1; 0 as above.
        path: the option, as in `backends.vpc.tls.ca`; "" when there is none.
        message: what was expected; never a secret.

    """

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: "
        return f"{where}{self.path}: {self.message}" if self.path else f"{where}{self.message}"


class ConfigError(Exception):
    """A configuration that is refused, with every mistake that was found, in the order of the files."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


def dotted(path: KeyPath) -> str:
    """Return a path as people write it: `tenants.shop.keys[0]`; odd keys are quoted and clipped."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step[:80])}]"
    return text
