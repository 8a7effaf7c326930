"""Whether, how much and how hard a model shall think: read in every spelling, said in the provider's own.

Spellings found in bodies of OpenAI's form: `reasoning_effort` (OpenAI; as a switch or a number also Fireworks),
`enable_thinking` and `thinking_budget` (DashScope), `thinking` (Anthropic, DeepSeek, Fireworks), `output_config.effort`
(Anthropic), `reasoning` (OpenRouter, Together), `chat_template_kwargs` (vLLM, SGLang and others),
`thinking_token_budget` (vLLM), `include_reasoning` (Groq, vLLM), `reasoning_format` and `disable_reasoning` (Cerebras).
A body that says nothing of it stays as it is, and so does one that says it in no other way than the provider's own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any, Final

from hybridproxy.model.value import value
from hybridproxy.providers.thinks import EFFORTS, Thinks

Body = dict[str, Any]

_SWITCHES: Final = (
    "enable_thinking", "reasoning.enabled", "chat_template_kwargs.enable_thinking", "chat_template_kwargs.thinking",
)  # fmt: skip
_BUDGETS: Final = ("thinking_budget", "thinking.budget_tokens", "reasoning.max_tokens", "thinking_token_budget")
_EFFORTS: Final = (
    "reasoning_effort", "reasoning.effort", "chat_template_kwargs.reasoning_effort", "output_config.effort",
)  # fmt: skip
_TYPES: Final = {"enabled": True, "adaptive": True, "disabled": False}
_OBJECTS: Final = ("thinking", "reasoning", "chat_template_kwargs", "output_config")
_FIELDS: Final = frozenset(
    {
        "reasoning_effort", "enable_thinking", "thinking_budget", "thinking_token_budget", "include_reasoning",
        "reasoning_format", "disable_reasoning", *_OBJECTS,
    }
)  # fmt: skip


@value
class Thinking:
    """What a body says of thinking; None: nothing.

    Attributes:
        on: it shall be thought, or not.
        budget: most tokens that it may take.
        effort: a word for how hard, other than that it shall not be.
        hide: the caller does not want to see it.
        places: which place says what: a place of the body -> "on", "budget", "effort" or "hide".

    """

    on: bool | None = None
    budget: int | None = None
    effort: str | None = None
    hide: bool | None = None
    places: Mapping[str, str] = field(default_factory=dict)


NOTHING: Final = Thinking()


def read_thinking(body: Mapping[str, Any]) -> Thinking:
    """Return what a body says of thinking. Where places differ, switches count more than words, and the first most."""
    if _FIELDS.isdisjoint(body):
        return NOTHING
    found: dict[str, Any] = {}
    places: dict[str, str] = {}
    for place, what, given in (*_switches(body), *_amounts(body), *_looks(body)):
        found.setdefault(what, given)
        places[place] = what
    return _settled(found, places)


Said = Iterator[tuple[str, str, Any]]
"""A place, what it is about, and what it says of that."""


def _switches(body: Mapping[str, Any]) -> Said:
    for place in _SWITCHES:
        if type(given := _at(body, place)) is bool:
            yield place, "on", given
    kind = _at(body, "thinking.type")
    if isinstance(kind, str) and kind in _TYPES:
        yield "thinking.type", "on", _TYPES[kind]
    if type(given := body.get("disable_reasoning")) is bool:
        yield "disable_reasoning", "on", not given


def _amounts(body: Mapping[str, Any]) -> Said:
    for place in _BUDGETS:
        if type(given := _at(body, place)) is int:
            yield place, "budget", given
    for place in _EFFORTS:
        given = _at(body, place)
        if type(given) is bool or given == "none":
            yield place, "on", given is True
        elif type(given) is int:
            yield place, "budget", given
        elif isinstance(given, str):
            yield place, "effort", given


def _looks(body: Mapping[str, Any]) -> Said:
    for place, hidden in (("include_reasoning", False), ("reasoning.exclude", True)):
        if type(given := _at(body, place)) is bool:
            yield place, "hide", given is hidden
    if isinstance(given := body.get("reasoning_format"), str):
        yield "reasoning_format", "hide", given == "hidden"


def _settled(found: Mapping[str, Any], places: Mapping[str, str]) -> Thinking:
    """Return what the places mean together: a budget of nothing is a switch, too."""
    budget, effort, on = found.get("budget"), found.get("effort"), found.get("on")
    if on is None and (budget is not None or effort is not None):
        on = budget is None or budget > 0
    if not on or (budget is not None and budget <= 0):
        budget = None
    return Thinking(on, budget, effort if on else None, found.get("hide"), places)


def say_thinking(body: Body, spelling: Thinks | None) -> tuple[str, ...]:
    """Say what a body says of thinking in a provider's spelling; return the places that could not be said there.

    The body is changed, the objects in it are not. A word that the provider does not have is said with the nearest, and
    its place is among those that are returned.
    """
    told = NOTHING if spelling is None else read_thinking(body)
    if spelling is None or not told.places or _is_own(told, spelling):
        return ()
    for place in told.places:
        _remove(body, place)
    said: dict[str, Any] = {}
    unsaid: set[str] = set()
    if told.on is False:
        said |= spelling.off
        if not spelling.off:
            unsaid.add("on")
    elif told.on:
        unsaid |= _say_on(told, spelling, said)
    if told.hide:
        said |= spelling.hide
        if not spelling.hide:
            unsaid.add("hide")
    for place, what in said.items():
        _put(body, place, what)
    if "on" in unsaid and "on" not in told.places.values():  # a budget of nothing, for one, was the switch
        unsaid |= {"budget", "effort"}
    return tuple(place for place, what in told.places.items() if what in unsaid)


def _say_on(told: Thinking, spelling: Thinks, said: dict[str, Any]) -> set[str]:
    """Say that there shall be thinking, and of which kind; return what of it could not be said."""
    unsaid: set[str] = set()
    if told.budget is not None:
        if spelling.budget:
            said |= {**spelling.with_budget, spelling.budget: max(told.budget, spelling.least)}
        if not spelling.budget or told.budget < spelling.least:
            unsaid.add("budget")
    if told.effort is not None:
        word = _nearest(told.effort, spelling)
        if word is not None and not (said and spelling.either):
            said |= {**spelling.with_effort, spelling.effort: spelling.efforts[word]}
        if word != told.effort or (said and spelling.effort not in said):
            unsaid.add("effort")
    if not said:
        said |= spelling.on
        if not spelling.on:
            unsaid.add("on")
    elif "on" in told.places.values() and not spelling.either:  # how much and how hard may not switch it on
        said |= {place: what for place, what in spelling.on.items() if place not in said}
    return unsaid


def _nearest(effort: str, spelling: Thinks) -> str | None:
    """Return the word of `EFFORTS` nearest to one that the provider has, the lower of two; None: it has none."""
    words = [word for word in spelling.efforts if word != "none"]
    if effort not in EFFORTS or not words:
        return None
    place = EFFORTS.index(effort)
    return min(words, key=lambda word: (abs(EFFORTS.index(word) - place), EFFORTS.index(word)))


def _is_own(told: Thinking, spelling: Thinks) -> bool:
    """Return whether the provider reads by itself what the caller wrote."""
    known = told.effort is None or told.effort not in EFFORTS or told.effort in spelling.efforts.values()
    off = (
        told.on is not False or "none" in spelling.efforts or all(told.places.get(place) != "on" for place in _EFFORTS)
    )
    return known and off and spelling.own.issuperset(told.places)


def _at(body: Mapping[str, Any], place: str) -> Any:
    name, _, inner = place.partition(".")
    holder = body.get(name)
    if not inner:
        return holder
    return holder.get(inner) if isinstance(holder, dict) else None


def _remove(body: Body, place: str) -> None:
    """Take a place out; an object that has nothing left goes with it."""
    name, _, inner = place.partition(".")
    rest = {key: given for key, given in body[name].items() if key != inner} if inner else {}
    if rest:
        body[name] = rest
    else:
        del body[name]


def _put(body: Body, place: str, given: Any) -> None:
    name, _, inner = place.partition(".")
    if inner:
        holder = body.get(name)
        given = {**(holder if isinstance(holder, dict) else {}), inner: given}
    body[name] = given
