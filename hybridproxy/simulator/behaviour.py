"""How a simulated upstream behaves: settings that are replaced whole, checked field by field.

Two tables are all there is to it: `_FIELDS`, every setting with its check, and `FAULTS`, every fault with the options
it takes. The documentation names the same rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, cast

from hybridproxy.simulator.errors import ERRORS
from hybridproxy.simulator.prices import Price, read_prices, shown_prices

Check = Callable[[object], object]
Chunking = Literal["event", "bytes", "merged", "split"]

MAX_MS: Final = 3_600_000
MAX_PIECES: Final = 1_000_000
MAX_TEXT: Final = 1_000_000
MAX_FAULTS: Final = 50


class BehaviourError(ValueError):
    """Settings that cannot be used; `mistakes` has one line for each."""

    def __init__(self, mistakes: list[str]) -> None:
        """Keep the mistakes."""
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong, and for which calls. Options that a kind does not take stay None."""

    kind: str
    times: int | None = None
    probability: float = 1.0
    seed: int = 0
    for_ms: float | None = None
    only_stream: bool | None = None
    only_model: str | None = None
    only_key: str | None = None
    on: Literal["calls", "all"] | None = None
    name: str | None = None
    status: int | None = None
    code: str | int | None = None
    type: str | None = None
    message: str | None = None
    body: object = None
    headers: Mapping[str, str] | None = None
    after_pieces: int | None = None
    before_head: bool | None = None
    how: str | None = None
    when: str | None = None
    comments: bool | None = None
    done: bool | None = None
    location: str | None = None
    delay_ms: float | None = None
    size: int | None = None
    content_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Every setting of one simulated upstream; the defaults are a healthy, immediate one."""

    latency_ms: float = 0
    first_token_ms: float = 0
    pace_ms: float = 0
    pieces: int | None = None
    text: str | None = None
    reasoning: int = 0
    thinks: Literal["always", "asked"] = "always"
    caches: bool | None = None
    prices: dict[str, Price] = field(default_factory=dict)
    tool_calls: int = 1
    finish_reason: str | None = None
    chunking: Chunking = "event"
    line_ending: Literal["\n", "\r\n", "\r"] = "\n"
    bom: bool = False
    head_first: bool = False
    comments_every_ms: float | None = None
    usage: bool | None = None
    done: bool = True
    strips_prefix: bool | None = None
    echo_prefix: bool = False
    refuse_prefix: bool = False
    host: str | None = None
    waiting: int = 0
    kv_usage: float = 0
    per_second: int | None = None
    per_minute: int | None = None
    at_a_time: int | None = None
    bad_keys: tuple[str, ...] = ("bad-key",)
    fault: Fault | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def all_faults(self) -> tuple[Fault, ...]:
        """Every fault; of several that could strike the first one does."""
        return self.faults if self.fault is None else (self.fault, *self.faults)


def _number(low: float, high: float, unit: str) -> Check:
    def check(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"expected {unit} from {low:g} to {high:g}")
        return value

    return check


def _whole(low: int, high: int) -> Check:
    def check(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"expected a whole number from {low} to {high}")
        return value

    return check


def _one_of(*allowed: object) -> Check:
    def check(value: object) -> object:
        if value not in allowed or type(value) not in {type(item) for item in allowed}:
            raise ValueError(f"expected one of {', '.join(repr(item) for item in allowed)}")
        return value

    return check


def _text(value: object) -> object:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"expected a text of at most {MAX_TEXT} characters")
    return value


def _field_value(value: object) -> object:
    """Check a value for a header: printable, so that a setting cannot break the head by accident."""
    if not isinstance(value, str) or not value.isprintable() or not value.isascii():
        raise ValueError("expected printable ASCII text")
    return value


def _header_map(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError("expected an object of header names and values")  # noqa: TRY004 - one kind of mistake
    for name, text in value.items():
        if not name or not name.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"expected header names, got {name!r}")
        _field_value(text)
    return value


def _keys(value: object) -> object:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("expected a list of keys")
    return tuple(value)


def _name(value: object) -> object:
    if not isinstance(value, str) or value not in ERRORS:
        raise ValueError(f"expected a named error, one of {', '.join(sorted(ERRORS))}")
    return value


def _code(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("expected a text or a whole number")  # noqa: TRY004 - one kind of mistake
    return value


def _anything(value: object) -> object:
    return value


def _or_null(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


_milliseconds, _flag = _number(0, MAX_MS, "milliseconds"), _one_of(True, False)
_pieces, _status = _whole(0, MAX_PIECES), _whole(200, 599)

_FIELDS: Final[Mapping[str, Check]] = {
    "latency_ms": _milliseconds,
    "first_token_ms": _milliseconds,
    "pace_ms": _milliseconds,
    "pieces": _or_null(_pieces),
    "text": _or_null(_text),
    "reasoning": _whole(0, 10_000),
    "thinks": _one_of("always", "asked"),
    "caches": _or_null(_flag),
    "prices": read_prices,
    "tool_calls": _whole(1, 100),
    "finish_reason": _or_null(_text),
    "chunking": _one_of("event", "bytes", "merged", "split"),
    "line_ending": _one_of("\n", "\r\n", "\r"),
    "bom": _flag,
    "head_first": _flag,
    "comments_every_ms": _or_null(_number(1, MAX_MS, "milliseconds")),
    "usage": _or_null(_flag),
    "done": _flag,
    "strips_prefix": _or_null(_flag),
    "echo_prefix": _flag,
    "refuse_prefix": _flag,
    "host": _or_null(_text),
    "waiting": _whole(0, 1_000_000),
    "kv_usage": _number(0, 1, "a part"),
    "per_second": _or_null(_whole(1, 1_000_000)),
    "per_minute": _or_null(_whole(1, 1_000_000)),
    "at_a_time": _or_null(_whole(1, 1_000_000)),
    "bad_keys": _keys,
    "fault": lambda value: None if value is None else _read_fault(value),
    "faults": lambda value: _read_faults(value, MAX_FAULTS),
}

_COMMON: Final[Mapping[str, Check]] = {
    "times": _or_null(_whole(1, 1_000_000_000)),
    "probability": _number(0, 1, "a probability"),
    "seed": _whole(0, 2**53),
    "for_ms": _or_null(_number(1, MAX_MS, "milliseconds")),
    "only_stream": _or_null(_flag),
    "only_model": _or_null(_text),
    "only_key": _or_null(_text),
    "on": _or_null(_one_of("calls", "all")),
}

_ERROR: Final[Mapping[str, Check]] = {"code": _code, "type": _text, "message": _text}
_ENDING: Final = _one_of("close", "reset")

FAULTS: Final[Mapping[str, Mapping[str, Check]]] = {
    "status": {"status": _status, "body": _anything, "headers": _header_map, **_ERROR},
    "named": {"name": _name, "headers": _header_map},
    "cut": {"after_pieces": _pieces, "before_head": _flag, "how": _ENDING},
    "truncate_json": {"after_pieces": _pieces, "how": _ENDING},
    "stall": {"after_pieces": _pieces, "before_head": _flag, "comments": _flag},
    "garbage": {"after_pieces": _pieces, "how": _one_of("event", "bytes", "chunk")},
    "in_band_error": {"after_pieces": _pieces, "done": _flag, "name": _name, **_ERROR},
    "no_finish": {"after_pieces": _pieces, "done": _flag},
    "refuse": {"how": _ENDING, "when": _one_of("request", "accept")},
    "redirect": {"location": _field_value, "status": _one_of(301, 302, 303, 307, 308)},
    "extra_bytes": {"body": _text, "delay_ms": _milliseconds},
    "early_response": {"status": _status, **_ERROR},
    "gzip": {},
    "huge_header": {"size": _whole(1, 16 * 1024 * 1024)},
    "wrong_content_type": {"content_type": _field_value},
    "informational": {"status": _one_of(100, 102, 103)},
}
"""Every fault with the options it takes beside the common ones."""

BEFORE_BODY: Final = frozenset({"refuse", "early_response"})
"""Faults decided from the head alone; they know neither the model nor whether the call streams."""

_REQUIRED: Final[Mapping[str, str]] = {"status": "status", "named": "name", "redirect": "location"}


def parse_behaviour(given: object, base: Behaviour | None = None) -> Behaviour:
    """Read settings from JSON; those that are not given come from `base`, or are the defaults.

    Raises:
        BehaviourError: with every mistake, each naming its field and what was expected.
    """
    if not isinstance(given, dict):
        raise BehaviourError(["behaviour: expected a JSON object"])
    found, mistakes = _checked("behaviour", given, _FIELDS)
    if mistakes:
        raise BehaviourError(mistakes)
    start = base or Behaviour()
    kept = {item.name: getattr(start, item.name) for item in fields(Behaviour)}
    return Behaviour(**(kept | found))


def _read_fault(given: object) -> Fault:
    if not isinstance(given, dict):
        raise BehaviourError(["fault: expected null or an object with a kind"])
    options = dict(given)
    kind = options.pop("kind", None)
    if not isinstance(kind, str) or kind not in FAULTS:
        raise BehaviourError([f"fault.kind: expected one of {', '.join(FAULTS)}, got {kind!r}"])
    found, mistakes = _checked(f"fault ({kind})", options, {**_COMMON, **FAULTS[kind]})
    required = _REQUIRED.get(kind)
    if required is not None and required not in found and required not in options:
        mistakes.append(f"fault.{required}: {kind!r} needs it")
    if kind in BEFORE_BODY and (found.get("only_stream") is not None or found.get("only_model") is not None):
        mistakes.append(f"fault: {kind!r} comes before the body, so it cannot depend on only_stream or only_model")
    if found.get("when") == "accept" and found.get("times") is None and found.get("for_ms") is None:
        mistakes.append("fault: refusing at 'accept' closes this control address as well; give times or for_ms")
    if mistakes:
        raise BehaviourError(mistakes)
    return Fault(kind=kind, **cast("dict[str, Any]", found))


def _read_faults(given: object, most: int) -> tuple[Fault, ...]:
    if not isinstance(given, list) or len(given) > most:
        raise BehaviourError([f"faults: expected a list of at most {most} faults"])
    return tuple(_read_fault(one) for one in given)


def _checked(
    what: str, given: Mapping[str, object], checks: Mapping[str, Check]
) -> tuple[dict[str, object], list[str]]:
    found: dict[str, object] = {}
    mistakes: list[str] = []
    for name, value in given.items():
        if name not in checks:
            mistakes.append(f"{what}: unknown field {name!r}; known are {', '.join(checks)}")
            continue
        try:
            found[name] = checks[name](value)
        except BehaviourError as error:
            mistakes.extend(error.mistakes)
        except ValueError as error:
            mistakes.append(f"{what}.{name}: {error}, got {value!r:.60}")
    return found, mistakes


def show_behaviour(behaviour: Behaviour) -> dict[str, object]:
    """Return the settings as JSON; of the fault only what is set."""
    shown = {item.name: getattr(behaviour, item.name) for item in fields(Behaviour)}
    shown["bad_keys"] = list(behaviour.bad_keys)
    shown["prices"] = shown_prices(behaviour.prices)
    shown["faults"] = [_shown_fault(fault) for fault in behaviour.faults]
    if behaviour.fault is not None:
        shown["fault"] = _shown_fault(behaviour.fault)
    return shown


def _shown_fault(fault: Fault) -> dict[str, object]:
    values = {item.name: getattr(fault, item.name) for item in fields(Fault)}
    return {name: value for name, value in values.items() if value is not None}
