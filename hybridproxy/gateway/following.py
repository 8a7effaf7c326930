"""Calls under way that count against a budget, and what they have come to cost.

An estimate is reserved for a call before it is sent, and nobody knows then how long its answer gets, or whether it is
made twice. So that a budget does not fill up unseen, each of these calls is asked once a second what it costs by now;
where that is more than was reserved, more is reserved. Nothing is done for a chunk, and nothing where no budget is.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from hybridproxy.gateway.admission import Admission, Spender

EVERY: Final = 1.0
"""Seconds between two looks at the same call."""

AT_ONCE: Final = 100
"""Calls that are looked at before others have the loop."""


class Following:
    """All of a process."""

    __slots__ = ("_calls", "_looks")

    def __init__(self) -> None:
        """Begin with none."""
        self._calls: dict[Admission, Spender] = {}
        self._looks = False

    def begin(self, admission: Admission, spender: Spender) -> None:
        """Follow a call, if a budget covers it. Called on the running loop."""
        if admission.capped:
            self._calls[admission] = spender
            if not self._looks:
                self._looks = True
                asyncio.get_running_loop().call_later(EVERY, self._look)

    def end(self, admission: Admission) -> None:
        """Follow it no more. Again is no harm."""
        self._calls.pop(admission, None)

    def __len__(self) -> int:
        """How many are followed."""
        return len(self._calls)

    def _look(self, left: Sequence[tuple[Admission, Spender]] = ()) -> None:
        left = left or list(self._calls.items())
        for admission, spender in left[:AT_ONCE]:
            admission.follow(spender)  # of one that is over nothing happens
        rest, loop = left[AT_ONCE:], asyncio.get_running_loop()
        self._looks = bool(rest or self._calls)
        if rest:
            loop.call_soon(self._look, rest)
        elif self._calls:
            loop.call_later(EVERY, self._look)
