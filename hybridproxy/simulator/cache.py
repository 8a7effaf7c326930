"""A prefix cache as engines keep one: what a prompt begins with is known if a prompt with the same salt began so.

vLLM and SGLang cache by blocks of tokens, this one by whole messages; an answer is not kept, as its block seldom ends
where it does. See "automatic prefix caching" in vLLM's documentation, which also has `cache_salt`.
"""

from collections import OrderedDict
from collections.abc import Iterator
from hashlib import sha256
from typing import Final, cast

import orjson

from hybridproxy.simulator.answers import count_words
from hybridproxy.simulator.rows import Json

KEPT: Final = 20_000
"""Beginnings that are remembered, the ones used last."""


class PrefixCache:
    """One server's."""

    def __init__(self) -> None:
        """Begin empty, as an engine that was started anew."""
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def take(self, body: Json, *, unasked: bool = True, asked: bool = False) -> tuple[int, int]:
        """Return how many tokens of a chat's prompt were known, and how many are kept because the caller asked for it.

        A server that keeps what it reads `unasked` knows all of the prompt from now on. Where the caller marks how far
        its prompt is worth keeping (`cache_control`), and the server takes that, that part alone is looked up and kept.
        """
        cached = written = 0
        beginnings = list(_beginnings(body))
        marked = [place for place, (_, _, mark) in enumerate(beginnings) if mark] if asked else []
        if marked:
            beginnings = beginnings[: marked[-1] + 1]
        elif not unasked:
            return 0, 0
        for words, beginning, _ in beginnings:
            if beginning in self._known:
                cached = words
            self._known[beginning] = None
            self._known.move_to_end(beginning)
        if marked:
            written = beginnings[-1][0] - cached
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return cached, written


def _beginnings(body: Json) -> Iterator[tuple[int, bytes, bool]]:
    """Give a prompt's beginnings, the shortest first: their words, what they are known by, whether one ends marked."""
    digest = sha256(orjson.dumps([body.get("model"), body.get("cache_salt")]))
    words = 0
    for message in cast("list[Json]", body["messages"]):
        words += count_words(message)
        plain, marked = _unmarked(message)
        digest.update(orjson.dumps(plain))
        yield words, digest.digest(), marked


def _unmarked(message: Json) -> tuple[Json, bool]:
    """Return a message without marks on it or its parts, and whether there were any."""
    content = message.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    if not any("cache_control" in holder for holder in (message, *parts)):
        return message, False
    plain = {name: value for name, value in message.items() if name != "cache_control"}
    if parts:
        plain["content"] = [{name: value for name, value in part.items() if name != "cache_control"} for part in parts]
    return plain, True
