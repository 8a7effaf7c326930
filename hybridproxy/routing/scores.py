"""What is better among the allowed: the order within a weighted group."""

from collections.abc import Sequence
from typing import Protocol, TypeVar


class Rng(Protocol):
    """Chance."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...


class Weighted(Protocol):
    """Something with a share of the calls."""

    @property
    def weight(self) -> float:
        """Return the share, in any unit."""
        ...


W = TypeVar("W", bound=Weighted)


def ordered(group: Sequence[W], rng: Rng) -> list[W]:
    """Return a weighted group in the order to try: each place is drawn by weight from those that are left.

    Weighted sampling without replacement by exponential keys (Efraimidis and Spirakis, 2006). A weight of 0 comes last.
    """
    keys = [rng.random() ** (1.0 / item.weight) if item.weight > 0 else -1.0 for item in group]
    return [group[i] for i in sorted(range(len(group)), key=keys.__getitem__, reverse=True)]
