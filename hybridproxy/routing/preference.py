"""What a route prefers: the allowed ways in the order of its criteria, the first first.

Each criterion puts the ways into classes, and the next one orders within a class. What is nearly the best counts as
the best (`NEAR_PRICE`, `NEAR_PACE`): the best of those that are left opens a class and takes with it whoever is near to
it. So two ways that differ by a hundredth never swap places for that. What no criterion tells apart keeps the route's
order, in which a weighted group is drawn by chance; with `weight` all of a class is one such group.

- **price**: what this call may cost, by the tier its input falls into (`expected_tokens`). A price nobody gave is last.
- **fresh**: the day the checkpoint came out; one that nobody knows comes last.
- **latency**: the time to the first output of a backend's streams, smoothed. Where nothing was measured of late a way
  counts as one of the best, and in `EXPLORED` of the calls it stands before the others, so that it is measured.

Nothing here adds a way or takes one out.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from hybridproxy.dialects.thinking import read_thinking
from hybridproxy.metering.estimate import prompt_tokens
from hybridproxy.model.call import ANSWER_BOUNDS, Call
from hybridproxy.model.load import Loads, Pace, PaceKey
from hybridproxy.model.price import MILLION, Price
from hybridproxy.model.snapshot import Prefer
from hybridproxy.routing.scores import Rng, Weighted, ordered

NEAR_PRICE: Final = 1.05
"""Times the lowest price that count as the lowest."""

NEAR_PACE: Final = 1.25
NEAR_SECONDS: Final = 0.05
"""Times the shortest time, or seconds beyond it, that count as the shortest."""

SMOOTHING: Final = 0.2
"""What one more call counts against those before it."""

ENOUGH: Final = 3
"""Measured calls below which a time says nothing."""

STALE: Final = 600.0
"""Seconds after which a time says nothing any more."""

EXPLORED: Final = 0.05

ANSWER: Final = 1000
"""Tokens of an answer whose caller sets no limit."""


class Ranked(Weighted, Protocol):
    """What is put in order."""

    @property
    def price(self) -> Price:
        """What its tokens cost."""
        ...

    @property
    def fresh(self) -> int:
        """A number that is larger for what is fresher, 0: nothing is known."""
        ...

    @property
    def pace_key(self) -> PaceKey:
        """What its times are kept under."""
        ...


R = TypeVar("R", bound=Ranked)
Classes = list[list[R]]


def paced(before: Pace | None, seconds: float, now: float) -> Pace:
    """Return how soon a backend answers after one more call; what is stale counts for nothing."""
    if before is None or now - before.at > STALE:
        return Pace(seconds, 1, now)
    return Pace(before.seconds + SMOOTHING * (seconds - before.seconds), before.calls + 1, now)


def measured(pace: Pace | None, now: float) -> float | None:
    """Return the seconds that a backend takes to its first output, None where too little is known."""
    return None if pace is None or pace.calls < ENOUGH or now - pace.at > STALE else pace.seconds


def expected_tokens(call: Call, family: str) -> tuple[int, int, bool]:
    """Return about how many tokens a call's input has, how many its answer may have, and whether it asks to think."""
    body, answer = call.body, ANSWER
    for name in ANSWER_BOUNDS:
        limit = body.get(name)
        if type(limit) is int and 0 < limit <= MILLION:
            answer = limit
            break
    return prompt_tokens(call, family), answer, read_thinking(body).on is True


def arranged(groups: Sequence[tuple[R, ...]]) -> tuple[tuple[R, ...], ...]:
    """Return groups in the order of freshness; those of a group that are equally fresh stay one."""
    days = sorted({item.fresh for group in groups for item in group}, reverse=True)
    parts = (tuple(item for item in group if item.fresh == day) for day in days for group in groups)
    return tuple(part for part in parts if part)


def preferred(
    groups: Sequence[tuple[R, ...]],
    criteria: Sequence[Prefer],
    call: Call,
    family: str,
    loads: Loads,
    now: float,
    rng: Rng,
) -> list[R]:
    """Return every item of the groups once, the preferred first."""
    if Prefer.WEIGHT in criteria:
        classes = [ordered([item for group in groups for item in group], rng)]
    else:
        classes = [[item for group in groups for item in (group if len(group) == 1 else ordered(group, rng))]]
    for criterion in criteria:
        if criterion is Prefer.PRICE:
            classes = _by_price(classes, call, family)
        elif criterion is Prefer.FRESH:
            classes = [part for items in classes for part in _split(items, [-item.fresh for item in items], _same)]
        elif criterion is Prefer.LATENCY:
            classes = [part for items in classes for part in _by_pace(items, loads, now, rng)]
    return [item for items in classes for item in items]


def _by_price(classes: Classes[R], call: Call, family: str) -> Classes[R]:
    prompt, answer, thinks = expected_tokens(call, family)

    return [
        part
        for items in classes
        for part in _split(
            items,
            [item.price.expected(prompt, answer, thinks=thinks) if item.price.known else math.inf for item in items],
            _near_price,
        )
    ]


def _by_pace(items: list[R], loads: Loads, now: float, rng: Rng) -> Classes[R]:
    """Split by measured times. What is not known is neither good nor bad, but now and then tried."""
    if len(items) == 1:
        return [items]
    paces = loads.paces
    times = [measured(paces.get(item.pace_key), now) for item in items]
    known = [seconds for seconds in times if seconds is not None]
    if not known:
        return [items]
    unknown = _AHEAD if len(known) < len(times) and rng.random() < EXPLORED else min(known)
    return _split(items, [unknown if seconds is None else seconds for seconds in times], _near_pace)


_AHEAD: Final = -1.0
"""Less than every time."""


def _near_price(least: float) -> float:
    return least * NEAR_PRICE


def _near_pace(least: float) -> float:
    return least if least < 0 else max(least * NEAR_PACE, least + NEAR_SECONDS)


def _same(least: float) -> float:
    return least


def _split(items: list[R], values: Sequence[float], near: Callable[[float], float]) -> Classes[R]:
    """Split a class by a value each, lowest first; `near` says up to which value others are as good as the lowest."""
    if len(items) <= 1:
        return [items]
    order = sorted(range(len(items)), key=values.__getitem__)
    bound = near(values[order[0]])
    if values[order[-1]] <= bound:
        return [items]
    split: Classes[R] = []
    places: list[int] = []
    for n in order:
        if values[n] > bound:
            split.append([items[m] for m in sorted(places)] if len(places) > 1 else [items[places[0]]])
            places = []
            bound = near(values[n])
        places.append(n)
    split.append([items[m] for m in sorted(places)])
    return split
