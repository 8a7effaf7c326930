"""`${NAME}` in the file is the environment's value of NAME: the only way a secret gets into the configuration.

What came from there never goes into a message: `hide` puts the name back in its place.
"""

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hybridproxy.config.document import Document
from hybridproxy.config.mistakes import KeyPath

_REFERENCE = re.compile(r"\$\{(?:([A-Za-z_][A-Za-z0-9_]*)\})?")

_SHORTEST_HIDDEN = 4
"""Characters. What is shorter is no secret, and hiding it would garble the message."""


Withhold = Callable[[KeyPath, str], str | None]
"""Takes a path and the text there; returns what stands in for a text that is not to be read, None for others."""


@dataclass(slots=True)
class Environment:
    """What was taken from the environment.

    Attributes:
        variables: name -> value, all there are.
        templates: path -> the text before substitution, for the values that held a `${NAME}`.
        used: name -> value, of those that were used.
        withhold: says which references are not followed.

    """

    variables: Mapping[str, str] = field(repr=False)
    templates: dict[KeyPath, str] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict, repr=False)
    withhold: Withhold = lambda _path, _text: None

    def substitute(self, document: Document) -> Iterator[tuple[KeyPath, str]]:
        """Put the values in, in place; yield the path and the message for each that is not set."""
        yield from self._walk(document.data, ())

    def _walk(self, data: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
        entries = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
        for step, value in list(entries):
            if isinstance(value, str):
                if "${" in value:
                    data[step] = yield from self._value(value, (*path, step))
            else:
                yield from self._walk(value, (*path, step))

    def _value(self, template: str, path: KeyPath) -> Generator[tuple[KeyPath, str], None, str]:
        self.templates[path] = template
        instead = self.withhold(path, template)
        if instead is not None:
            return instead
        problems: dict[str, None] = {}

        def put(match: re.Match[str]) -> str:
            name = match[1]
            if name is None:
                problems["${ begins a reference: write ${NAME}, NAME made of letters, digits and _"] = None
                return match[0]
            value = self.variables.get(name)
            if value is None:
                problems[f"the environment has no {name}: set it"] = None
                return match[0]
            self.used[name] = value
            return value

        text = _REFERENCE.sub(put, template)
        for problem in problems:
            yield path, problem
        return text

    def hide(self, message: str) -> str:
        """Return a message with the names of variables in place of their values."""
        for name, value in sorted(self.used.items(), key=lambda item: -len(item[1])):
            if len(value) >= _SHORTEST_HIDDEN:
                message = message.replace(value, f"${{{name}}}")
        return message


def literal_part(template: str) -> str:
    """Return what is left of a text without its references."""
    return _REFERENCE.sub("", template)
