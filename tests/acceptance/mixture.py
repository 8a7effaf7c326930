"""Calls of every kind, by a seed: dialects, streams, tools, thinking, cached prompts, embeddings, callers that leave.

A word of the prompts has four letters and its space more or less, about what a token of Qwen's has of English, since
the simulators count words: what is estimated from a text's length can only be as good as that.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]

TENANTS: Final = ("plain", "resumer", "replayer", "hedger", "bank")
"""By their routes; the last one's calls stay in the VPC."""

SHARES: Final = (1, 4, 2, 2, 1)
"""Of the calls: most are of those whose streams go on elsewhere, or are asked for twice, which happens seldom."""

LENGTHS: Final = (1, 2, 2, 3, 3, 3, 3, 4, 4, 5, 6)
TOOL: Final[Json] = {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"],
}  # fmt: skip
MARK: Final = {"cache_control": {"type": "ephemeral"}}


@dataclass(slots=True)
class Asked:
    """One call to make.

    Attributes:
        number: which it is.
        tenant: whose.
        kind: the dialect, and what is asked for.
        path: where it goes.
        body: what is sent.
        stream: whether it asks for a stream.
        wants_usage: the answer is to tell its usage.
        headers: beside the key.
        leaves: after so many reads of the body the caller leaves; -1: before it has an answer; None: it stays.

    """

    number: int
    tenant: str
    kind: str
    path: str
    body: Json
    stream: bool
    wants_usage: bool
    headers: dict[str, str] = field(default_factory=dict)
    leaves: int | None = None


class Mixture:
    """Makes up calls."""

    def __init__(self, seed: int) -> None:
        """Begin with words and beginnings of prompts that come again and again."""
        self._chance = random.Random(seed)
        self._words = ["".join(self._chance.choices("abcdefghijklmnoprstuvw", k=n)) for n in LENGTHS for _ in range(80)]
        self._beginnings = [self._text(self._chance.randint(80, 400)) for _ in range(12)]

    def calls(self, count: int) -> Iterator[Asked]:
        """Make up so many."""
        for number in range(count):
            yield self._call(number)

    def _text(self, words: int) -> str:
        return " ".join(self._chance.choices(self._words, k=words))

    def _one_in(self, n: int) -> bool:
        return self._chance.randrange(n) == 0

    def _call(self, number: int) -> Asked:
        chance = self._chance
        tenant = chance.choices(TENANTS, SHARES)[0]
        make = chance.choices((self._chat, self._messages, self._native, self._responses, self._embeddings),
                              (50, 20, 15, 7, 8))[0]  # fmt: skip
        asked = make(number, tenant)
        if asked.kind != "embeddings" and self._one_in(25):
            asked.leaves = chance.choice((-1, 1, 3)) if asked.stream else -1
        return asked

    def _prompt(self) -> str:
        """Return what the user says: mostly short, sometimes beyond the first tier of prices."""
        words = self._chance.choice((8, 20, 40, 60, 120)) if not self._one_in(20) else self._chance.randint(900, 1500)
        return self._text(words)

    def _limit(self) -> int | None:
        return self._chance.choice((None, None, 5, 20, 300))

    def _chat(self, number: int, tenant: str) -> Asked:
        chance, stream = self._chance, self._chance.random() < 0.6
        messages: list[Json] = [{"role": "user", "content": self._prompt()}]
        if chance.random() < 0.4:
            system: Json = {"role": "system", "content": chance.choice(self._beginnings)}
            if self._one_in(3):
                system["content"] = [{"type": "text", "text": system["content"], **MARK}]
            messages.insert(0, system)
        body: Json = {"model": "qwen", "messages": messages}
        wants_usage = not stream or chance.random() < 0.7
        if stream:
            body["stream"] = True
            if wants_usage:
                body["stream_options"] = {"include_usage": True}
        if (limit := self._limit()) is not None:
            body["max_completion_tokens"] = limit
        if self._one_in(6):
            body["tools"] = [{"type": "function", "function": {"name": "forecast", "parameters": TOOL}}]
        if self._one_in(6):
            body["enable_thinking"] = True
        if self._one_in(10):
            body["n"] = 2
        if tenant == "replayer":
            body |= {"temperature": 0, "seed": 7}
        return Asked(number, tenant, "chat", "/v1/chat/completions", body, stream, wants_usage)

    def _messages(self, number: int, tenant: str) -> Asked:
        chance, stream = self._chance, self._chance.random() < 0.6
        body: Json = {
            "model": "qwen",
            "max_tokens": self._limit() or 400,
            "messages": [{"role": "user", "content": self._prompt()}],
        }
        if chance.random() < 0.4:
            block: Json = {"type": "text", "text": chance.choice(self._beginnings)}
            body["system"] = [block | (MARK if self._one_in(2) else {})]
        if stream:
            body["stream"] = True
        if self._one_in(6):
            body["tools"] = [{"name": "forecast", "input_schema": TOOL}]
        elif self._one_in(6):
            body |= {"max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 1024}}
        return Asked(
            number, tenant, "messages", "/v1/messages", body, stream, True, {"anthropic-version": "2023-06-01"}
        )

    def _native(self, number: int, tenant: str) -> Asked:
        stream = self._chance.random() < 0.6
        parameters: Json = {"result_format": "message"}
        if stream:
            parameters["incremental_output"] = True
        if (limit := self._limit()) is not None:
            parameters["max_tokens"] = limit
        if self._one_in(6):
            parameters["enable_thinking"] = True
        messages = [{"role": "user", "content": self._prompt()}]
        body: Json = {"model": "qwen", "input": {"messages": messages}, "parameters": parameters}
        path = "/api/v1/services/aigc/text-generation/generation"
        return Asked(
            number, tenant, "native", path, body, stream, True, {"x-dashscope-sse": "enable"} if stream else {}
        )

    def _responses(self, number: int, tenant: str) -> Asked:
        stream = self._chance.random() < 0.6
        body: Json = {"model": "qwen", "input": self._prompt(), "store": False}
        return Asked(
            number, tenant, "responses", "/v1/responses", body | ({"stream": True} if stream else {}), stream, True
        )

    def _embeddings(self, number: int, tenant: str) -> Asked:
        body: Json = {"model": "vectors", "input": [self._prompt() for _ in range(self._chance.randint(1, 3))]}
        return Asked(number, tenant, "embeddings", "/v1/embeddings", body, False, True)
