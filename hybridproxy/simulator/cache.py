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

    def take(self, body: Json) -> int:
        """Return how many tokens of a chat's prompt were known, and know the rest from now on."""
        cached = 0
        for words, beginning in _beginnings(body):
            if beginning in self._known:
                cached = words
            self._known[beginning] = None
            self._known.move_to_end(beginning)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return cached


def _beginnings(body: Json) -> Iterator[tuple[int, bytes]]:
    """Give a prompt's beginnings, the shortest first: their words, and what they are known by."""
    digest = sha256(orjson.dumps([body.get("model"), body.get("cache_salt")]))
    words = 0
    for message in cast("list[Json]", body["messages"]):
        words += count_words(message)
        digest.update(orjson.dumps(message))
        yield words, digest.digest()
