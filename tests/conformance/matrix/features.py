"""The features: what is asked for, how the simulated upstream behaves, and what the caller must hear."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from hybridproxy.simulator.journal import Entry
from tests.conformance.matrix.asking import CITY, TOOLS, Ask, Heard, Turn
from tests.support.paired import MODEL

Check = Callable[["Scene"], str | None]
"""Returns what is wrong, None where nothing is."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One call that was made."""

    ask: Ask
    heard: Heard
    entry: Entry
    name: str
    """Whom the simulated upstream says it is."""
    stream: bool

    @property
    def said(self) -> str:
        """What the simulated model says."""
        return f"Hello from {self.name} ({MODEL}). You said: {self.ask.turns[-1].text}"


@dataclass(frozen=True, slots=True)
class Feature:
    """One row of what must work from every dialect to every provider."""

    name: str
    ask: Ask = field(default_factory=Ask)
    behaviour: Mapping[str, Any] = field(default_factory=dict)
    check: Check = lambda _scene: None
    status: int = 0
    """What the upstream answers where something goes wrong there; the caller's dialect says what is heard."""
    too_long: bool = False
    """It says that the prompt is too long for the model."""


def _differs(what: str, found: object, wanted: object) -> str | None:
    return None if found == wanted else f"{what} {found!r} in place of {wanted!r}"


def _text(scene: Scene) -> str | None:
    several = not scene.stream or scene.heard.pieces > 1
    return (
        _differs("text", scene.heard.text, scene.said)
        or _differs("finish", scene.heard.finish, "stop")
        or _differs("whole", scene.heard.whole, True)
        or _differs("in pieces", several, True)
    )


def _turns(scene: Scene) -> str | None:
    """Nothing of the conversation is lost: the upstream counts the words of all of it."""
    words = sum(len(turn.text.split()) for turn in scene.ask.turns)
    user = next(turn.text for turn in reversed(scene.ask.turns) if turn.role == "user")
    wanted = f"Hello from {scene.name} ({MODEL}). You said: {user}"
    return _differs("text", scene.heard.text, wanted) or _differs("words read", scene.entry.prompt_tokens, words)


def _tools(scene: Scene) -> str | None:
    wanted = [
        ("weather", {"city": "example for weather", "days": 1}),
        ("time", {"place": "example for time"}),
    ]
    found = [(name, orjson.loads(arguments or "null")) for name, arguments in scene.heard.calls]
    split = not scene.stream or scene.heard.pieces > 4
    return (
        _differs("calls", found, wanted)
        or _differs("finish", scene.heard.finish, "tools")
        or _differs("arguments in pieces", split, True)
    )


def _thinks(scene: Scene) -> str | None:
    return _differs("thought", scene.heard.reasoning.strip(), "thought1 thought2 thought3") or _text(scene)


def _sees(scene: Scene) -> str | None:
    return _differs("text", scene.heard.text, f"{scene.said} (images: 2)")


def _schema(scene: Scene) -> str | None:
    return _differs("answer", orjson.loads(scene.heard.text or "null"), {"city": scene.said, "days": 1})


def _logprobs(scene: Scene) -> str | None:
    return _differs("tokens with a probability", scene.heard.logprobs, scene.said)


def _stop(scene: Scene) -> str | None:
    wanted = scene.said[: scene.said.index(" You")]
    return _differs("text", scene.heard.text, wanted) or _differs("finish", scene.heard.finish, "stop")


def _limit(scene: Scene) -> str | None:
    fits = bool(scene.heard.text) and scene.said.startswith(scene.heard.text) and scene.heard.text != scene.said
    return _differs("cut short", fits, True) or _differs("finish", scene.heard.finish, "length")


def _usage(scene: Scene) -> str | None:
    return _differs("tokens", scene.heard.tokens, (scene.entry.prompt_tokens, scene.entry.completion_tokens))


TALK = (
    Turn("system", "be kind to all"),
    Turn("user", "first question here"),
    Turn("assistant", "some first answer"),
    Turn("user", "and second"),
)
TOLD = (
    Turn("user", "weather and time please"),
    Turn("assistant", "", calls=(("call_1", "weather", '{"city":"Berlin"}'), ("call_2", "time", '{"place":"Paris"}'))),
    Turn("tool", "it is sunny there", answers="call_1"),
    Turn("tool", "half past ten", answers="call_2"),
)
FEATURES: Final = (
    Feature("text", check=_text),
    Feature("turns", Ask(TALK), check=_turns),
    Feature("tools", Ask(tools=True), {"tool_calls": len(TOOLS)}, _tools),
    Feature("tool results", Ask(TOLD, tools=True), check=_turns),
    Feature("thinking", Ask(thinks=True), {"reasoning": 3}, _thinks),
    Feature("images", Ask((Turn("user", "look at these", images=2),)), check=_sees),
    Feature("JSON schema", Ask(schema=CITY), check=_schema),
    Feature("logprobs", Ask(logprobs=True), check=_logprobs),
    Feature("stop", Ask(stop=" You"), check=_stop),
    Feature("length", Ask(limit=3), check=_limit),
    Feature("usage", check=_usage),
    Feature("bad request", status=400),
    Feature("key refused", status=401),
    Feature("too long", status=400, too_long=True),
    Feature("no money", status=402),
    Feature("model unknown", status=404),
    Feature("throttled", status=429),
    Feature("broken", status=500),
    Feature("overloaded", status=503),
    Feature("error inside", behaviour={"fault": {"kind": "in_band_error", "after_pieces": 2}}),
    Feature("cut", behaviour={"fault": {"kind": "cut", "after_pieces": 2}}),
)
