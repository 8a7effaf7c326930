"""YAML 1.2 text to plain values, with the place of each of them.

The parser gives events; this module makes values of them by the core schema of YAML 1.2 (chapter 10.3): `NO`, `off`
and `yes` are words, `010` is ten, dates are text. Keys of mappings are always text.

Two parsers give the same events. `ruamel.yaml` speaks YAML 1.2 and its verdict counts, but it needs 20 us an event. Its
companion in C is 14 times faster and of YAML 1.1 in syntax: what it cannot read (an unquoted URL inside braces), finds
fault with or would read differently (`_READ_DIFFERENTLY`) is parsed again by the first one. Without the C
parser all works, slower.

Refused: repeated keys, tags, merge keys, several documents, nesting deeper than `MAX_DEPTH`, aliases that repeat more
than `MAX_ALIASED` values in all. An alias is a copy, so one value never stands in two places.
"""

import contextlib
import copy
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
)
from ruamel.yaml.reader import ReaderError

from hybridproxy.config.mistakes import KeyPath, Mistake, dotted

try:
    from _ruamel_yaml import CParser  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    CParser = None

FAST_PARSER: Any = CParser
"""The parser in C; None on a platform without it."""

MAX_DEPTH = 32
"""Levels of mappings and lists; the contract needs seven."""

MAX_ALIASED = 100_000
"""Values that aliases may repeat, counted after expansion."""

_MAX_NUMBER = 64
"""Characters of a number; what is longer stays text and fails where a number is wanted."""

Event = Any  # ruamel.yaml's events carry no types
Place = tuple[int, int]
"""Line and column, both from 1."""

# Where the C parser silently gives other values than YAML 1.2 has: question marks (in `[a, ?b]` it sees a key), line
# breaks of YAML 1.1, byte order marks; and tabs, which it takes where YAML has none. Found with 600,000 random texts.
_READ_DIFFERENTLY = re.compile("[?\t\x85\u2028\u2029\ufeff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL_OR_HEX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


@dataclass(slots=True)
class Marks:
    """Where a value stands, and what is inside it.

    Attributes:
        key: of the key that holds it, of the value itself in a list.
        value: of the value.
        inside: of its entries or items.

    """

    key: Place
    value: Place
    inside: dict[str | int, "Marks"] | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file."""

    file: str
    data: Any = field(repr=False)
    marks: Marks = field(repr=False)

    def place(self, path: KeyPath, *, key: bool = False) -> Place:
        """Return where a value stands (`key`: where its key does); for one that is not there, the key around it."""
        marks = self.marks
        for step in path:
            inner = None if marks.inside is None else marks.inside.get(step)
            if inner is None:
                return marks.key
            marks = inner
        return marks.key if key else marks.value


def parse(text: str, file: str) -> tuple[Document | None, list[Mistake]]:
    """Read one YAML document.

    Returns:
        The document (None when the text cannot be read at all) and what is wrong with it.

    """
    if FAST_PARSER is not None and not _READ_DIFFERENTLY.search(text):
        with contextlib.suppress(Exception):  # the other parser finds the same, or does not mind
            document, mistakes = _Builder(file).document(_fast_events(text))
            if not mistakes:
                return document, []
    try:
        return _Builder(file, text).document(YAML(typ="safe", pure=True).parse(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        context = f" {error.context}" if error.context else ""
        return None, [Mistake(file, place[0], place[1], "", f"not YAML: {error.problem}{context}")]
    except ReaderError as error:
        before = text[: error.position]
        place = (before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        return None, [Mistake(file, *place, "", f"not YAML: the character U+{error.character:04X} is not allowed")]
    except Exception as error:  # noqa: BLE001 - the parser raises what it meets, such as OverflowError for "\UFFFFFFFF"
        return None, [Mistake(file, 1, 1, "", f"not YAML: the parser gave up ({type(error).__name__})")]


def _fast_events(text: str) -> Iterator[Event]:
    return iter(FAST_PARSER(text).get_event, None)


class _RefusedError(Exception):
    """The document is YAML but over a bound; reading ends here."""

    def __init__(self, event: Event, message: str) -> None:
        self.place = _place(event)
        super().__init__(message)


def _place(event: Event) -> Place:
    mark = event.start_mark
    return mark.line + 1, mark.column + 1


class _Builder:
    """Makes values of events, and notes what is wrong on the way."""

    def __init__(self, file: str, text: str = "") -> None:
        self.file = file
        self.questions = text if "?" in text else ""
        self.mistakes: list[Mistake] = []
        self.path: list[str | int] = []
        self.anchors: dict[str, tuple[Any, dict[str | int, Marks] | None, int]] = {}
        self.nodes = 0
        self.aliased = 0
        self.events: Iterator[Event] = iter(())

    def document(self, events: Iterable[Event]) -> tuple[Document | None, list[Mistake]]:
        self.events = iter(events)
        next(self.events)  # the stream starts
        start = next(self.events)
        if not isinstance(start, DocumentStartEvent):
            return Document(self.file, None, Marks((1, 1), (1, 1))), []
        if start.version not in (None, (1, 2)):
            self.note(start, "this file is read as YAML 1.2: leave the %YAML line out")
        root = next(self.events)
        try:
            data, inside = self.node(root)
            next(self.events)  # the document ends
            after = next(self.events)
            if isinstance(after, DocumentStartEvent):
                self.note(after, "a second document: put everything into one")
        except _RefusedError as refused:
            self.mistakes.append(Mistake(self.file, *refused.place, dotted(tuple(self.path)), str(refused)))
            return None, self.mistakes
        return Document(self.file, data, Marks((1, 1), _place(root), inside)), self.mistakes

    def note(self, event: Event, message: str) -> None:
        self.mistakes.append(Mistake(self.file, *_place(event), dotted(tuple(self.path)), message))

    def node(self, event: Event) -> tuple[Any, dict[str | int, Marks] | None]:
        """Return the value that begins with an event, and the marks inside it."""
        if isinstance(event, AliasEvent):
            return self.alias(event)
        before = self.nodes
        self.nodes += 1
        data: Any
        inside: dict[str | int, Marks] | None = None
        if event.tag is not None:
            self.note(event, f"tags such as {str(event.tag)[:40]} are not used here: leave it out")
        if isinstance(event, ScalarEvent):
            _whole(event)
            data = _scalar(event.value) if event.implicit[0] else event.value
        elif len(self.path) >= MAX_DEPTH:
            raise _RefusedError(event, f"nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, MappingStartEvent):
            data, inside = self.mapping()
        else:
            data, inside = self.sequence()
        if event.anchor is not None:
            self.anchors[event.anchor] = (data, inside, self.nodes - before)
        return data, inside

    def alias(self, event: Event) -> tuple[Any, dict[str | int, Marks] | None]:
        known = self.anchors.get(event.anchor)
        if known is None:
            self.note(event, f"no anchor &{event.anchor[:40]} before this alias")
            return None, None
        data, inside, size = known
        self.nodes += size
        self.aliased += size
        if self.aliased > MAX_ALIASED:
            raise _RefusedError(event, f"aliases repeat more than {MAX_ALIASED} values: write them out")
        return copy.deepcopy(data), inside

    def mapping(self) -> tuple[dict[str, Any], dict[str | int, Marks]]:
        data: dict[str, Any] = {}
        inside: dict[str | int, Marks] = {}
        while not isinstance(event := next(self.events), CollectionEndEvent):
            key = self.key(event)
            self.path.append(key)
            at = _place(event)
            if key in inside:
                first = inside[key].key[0]
                self.note(event, f"the key stands here a second time, first in line {first}: keep one")
            event = next(self.events)
            value, within = self.node(event)
            if key not in inside:
                data[key] = value
                # The parsers disagree about where nothing stands: it stands at its key.
                nothing = isinstance(event, ScalarEvent) and not event.value and event.implicit[0]
                inside[key] = Marks(at, at if nothing else _place(event), within)
            self.path.pop()
        return data, inside

    def key(self, event: Event) -> str:
        if not isinstance(event, ScalarEvent):
            raise _RefusedError(event, "a key has to be plain text")
        _whole(event)
        if event.tag is not None or event.anchor is not None:
            self.note(event, "a key takes neither tag nor anchor")
        # ruamel.yaml too takes the word `?b` in `[a, ?b]` for a key; without this, the list would hold a mapping.
        before = event.start_mark.index - 1 if self.questions else -1
        while before >= 0 and self.questions[before] == " ":
            before -= 1
        if before >= 0 and self.questions[before] == "?":
            self.note(event, "a question mark before a key: leave it out, or quote the text that begins with it")
        if event.value == "<<" and event.implicit[0]:
            self.note(event, "merge keys are not part of YAML 1.2: write the entries out")
        return str(event.value)

    def sequence(self) -> tuple[list[Any], dict[str | int, Marks]]:
        data: list[Any] = []
        inside: dict[str | int, Marks] = {}
        while not isinstance(event := next(self.events), CollectionEndEvent):
            index = len(data)
            self.path.append(index)
            value, within = self.node(event)
            data.append(value)
            at = _place(event)
            inside[index] = Marks(at, at, within)
            self.path.pop()
        return data, inside


def _whole(event: Event) -> None:
    """Refuse surrogates, halves of characters: escapes can make them, and nothing can print or encode them."""
    if not event.value.isascii() and _SURROGATE.search(event.value):
        raise _RefusedError(event, "half a character, U+D800 to U+DFFF: write the character itself")


def _scalar(text: str) -> Any:
    """Return the value of an unquoted scalar by the core schema of YAML 1.2."""
    # Most scalars are names: their first letter tells that they are no number and none of the words.
    if text and text[0] not in "~nNtTfF.+-0123456789":
        return text
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= _MAX_NUMBER:
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        if _OCTAL_OR_HEX.fullmatch(text):
            return int(text, 0)
    return text
