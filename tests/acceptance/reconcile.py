"""The judge of two ledgers: what the proxy wrote down of its attempts, and what its upstreams' books say.

An attempt and a line of the books belong together by the call's id and the backend, and among several by their order.
A request that went out twice, since its first connection turned out to be dead, is one attempt with two lines.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from hybridproxy.metering.records import Basis, Ended, Outcome, Started
from hybridproxy.simulator.books import Line

Attempt = tuple[Started, Ended]
DEAD: Final = frozenset({"cut", "refused"})


@dataclass(frozen=True, slots=True)
class Match:
    """An attempt with its lines: one, but for a request that went out twice."""

    started: Started
    ended: Ended
    lines: tuple[Line, ...]

    @property
    def charged(self) -> int:
        """Nano-dollars by the books."""
        return sum(line.charged for line in self.lines)

    @property
    def tokens(self) -> tuple[int, ...]:
        """Input, output, cached, written and thinking by the books."""
        kinds = ((line.prompt, line.completion, line.cached, line.written, line.reasoning) for line in self.lines)
        return tuple(map(sum, zip(*kinds, strict=True)))

    @property
    def counted(self) -> tuple[int, ...]:
        """The same by the ledger."""
        usage = self.ended.usage
        return usage.prompt, usage.completion, usage.cached, usage.written, usage.reasoning

    @property
    def agrees(self) -> bool:
        """Whether both say the same, to the token and the nano-dollar."""
        return self.counted == self.tokens and self.ended.cost == self.ended.table == self.charged


@dataclass(slots=True)
class Reconciliation:
    """Both ledgers side by side."""

    matches: list[Match] = field(default_factory=list)
    unseen: list[Attempt] = field(default_factory=list)
    """Attempts that no books have."""
    unknown: list[Line] = field(default_factory=list)
    """Lines of the books that are no attempt's."""

    def of(self, *bases: Basis) -> list[Match]:
        """Return the matches whose cost is from one of these."""
        return [match for match in self.matches if match.ended.basis in bases]

    @property
    def wrong(self) -> list[Match]:
        """Attempts whose usage was reported, and of which the books say something else."""
        return [match for match in self.of(Basis.TABLE, Basis.UPSTREAM) if not match.agrees]

    @property
    def missed(self) -> list[Match]:
        """Attempts that are charged for, of which the ledger says that nobody charges."""
        return [match for match in self.of(Basis.NOTHING) if match.charged]

    @property
    def overlooked(self) -> list[Match]:
        """Attempts whose answers came whole with their usage, and that are an estimate all the same."""
        return [
            match
            for match in self.of(Basis.ESTIMATE)
            if match.ended.outcome is Outcome.ANSWERED and len(match.lines) == 1 and match.lines[0].told
        ]


def reconciled(attempts: Iterable[Attempt], books: Mapping[str, Iterable[Line]]) -> Reconciliation:
    """Bring both together; `books`: by backend."""
    found = Reconciliation()
    lines: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for backend, own in books.items():
        for line in own:
            lines[line.request_id, backend].append(line)
    by_place: Callable[[Attempt], tuple[str, str]] = lambda attempt: (attempt[0].call, attempt[0].backend)  # noqa: E731
    ordered = sorted(attempts, key=lambda attempt: (*by_place(attempt), attempt[0].n))
    for place, group in groupby(ordered, by_place):
        _pair(list(group), sorted(lines.pop(place, ())), found)
    found.unknown += [line for rest in lines.values() for line in rest]
    return found


def _pair(attempts: list[Attempt], lines: list[Line], found: Reconciliation) -> None:
    """Give each attempt of a call at a backend its lines."""
    if len(lines) < len(attempts):  # those that had nothing to send are not in the books
        unsent = [one for one in attempts if one[1].basis is Basis.NOTHING][: len(attempts) - len(lines)]
        found.unseen += unsent
        attempts = [one for one in attempts if one not in unsent]
    for place, (started, ended) in enumerate(attempts):
        if not lines:
            found.unseen.append((started, ended))
            continue
        mine = [lines.pop(0)]
        if len(lines) > len(attempts) - place - 1 and mine[0].outcome in DEAD and mine[0].status is None:
            mine.append(lines.pop(0))
        found.matches.append(Match(started, ended, tuple(mine)))
    found.unknown += lines


PROBE: Final = "probe_"
"""How the names of the proxy's own calls begin."""


@dataclass(slots=True)
class Sightings:
    """What upstreams saw of the attempts that the log tells of.

    Attributes:
        unseen: attempts that no upstream has.
        surplus: requests that are no attempt.
        twice: calls of which an upstream dropped a request without a word, that then went out again within the same
            attempt: so it looks where the upstream closes a connection that nobody had used for a while.
        probes: the proxy's own calls.

    """

    unseen: int = 0
    surplus: int = 0
    twice: int = 0
    probes: int = 0


def sightings(attempts: Mapping[str, int], lines: Iterable[Line]) -> Sightings:
    """Count the lines of all upstreams' books, call by call; `attempts`: how many each call had, by its name."""
    found = Sightings()
    seen: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line.request_id.startswith(PROBE):
            found.probes += 1
        else:
            seen[line.request_id].append(line)
    for name in attempts.keys() | seen.keys():
        made, mine = attempts.get(name, 0), seen.get(name, [])
        more = len(mine) - made
        # of what may be billed a call repeats one
        again = made > 0 and more > 0 and any(line.outcome in DEAD and line.status is None for line in mine)
        found.twice += again
        found.surplus += max(0, more) - again
        found.unseen += max(0, -more)
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """How far estimates are from the books, over all of them."""

    attempts: int
    tokens: tuple[int, int]
    """By the books and by the ledger."""
    cost: tuple[int, int]
    apart: int
    """Nano-dollars, one by one without their signs."""

    @property
    def share(self) -> float:
        """The ledger's sum beyond the books', of the books'."""
        return (self.cost[1] - self.cost[0]) / max(1, self.cost[0])


def difference(matches: Sequence[Match]) -> Difference:
    """Return how far the ledger is from the books."""
    return Difference(
        len(matches),
        (sum(sum(m.tokens[:2]) for m in matches), sum(sum(m.counted[:2]) for m in matches)),
        (sum(m.charged for m in matches), sum(m.ended.cost for m in matches)),
        sum(abs(m.ended.cost - m.charged) for m in matches),
    )
