"""The rights to probe of one worker, as Redis gives them; `leases.Leases` says what they are.

While Redis cannot be reached the worker gives itself a right with the chance of one in as many as there are workers, so
that about one of the fleet probes; but not within the first `PATIENCE` seconds: a change of the master takes no longer,
and another worker may still have the right. A right that it has itself stays its own: nobody else can have been given
it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from hybridproxy.model.health import HealthKey
from hybridproxy.model.value import value
from hybridproxy.stores.memory import MemoryHealth
from hybridproxy.stores.messages import AHEAD, MAX_LEASE, MAX_NUMBER, MAX_SHARED, TOLD, Reply, digest, milliseconds

PATIENCE = 5.0
"""Seconds; as long as a target stays open at first. The sentinels of the tests change a master within 3 s."""

Done = tuple[int, int, int, int]
"""See `messages.Request`."""


@dataclass(slots=True)
class Right:
    """One that this worker has: its epoch, until when by our clock, and whether Redis knows of it."""

    epoch: int
    until: float
    shared: bool


@dataclass(slots=True)
class Wish:
    """A right that is asked for (no epoch) or is to be kept, for so long."""

    seconds: float
    epoch: int | None
    answer: asyncio.Future[int | None]
    sent: bool = False


@value
class Result:
    """What came of a right, and when: the target was closed, or stays open until then."""

    epoch: int
    closed: bool
    until: float
    at: float


class Rights:
    """See `leases.Leases`. `asked` and `answered` are the two halves of a sync."""

    def __init__(
        self, health: MemoryHealth, now: Callable[[], float], rng: Callable[[], float], wake: Callable[[], None]
    ) -> None:
        """Have none. `wake` makes the next sync come soon."""
        self._health = health
        self._now = now
        self._rng = rng
        self._wake = wake
        self._live = 1
        self._reachable = True  # until the first sync shows that it is not
        self._lost_at = now()
        self._mine: dict[HealthKey, Right] = {}
        self._wishes: dict[HealthKey, Wish] = {}
        self._results: dict[HealthKey, Result] = {}
        self._sent: dict[HealthKey, Result] = {}

    async def take(self, key: HealthKey, seconds: float) -> int | None:
        """Return the epoch of the right to probe for so long, None when somebody else has it."""
        mine = self._mine.get(key)
        if key in self._wishes or (mine is not None and self._now() < mine.until):
            return None
        return await self._wish(key, seconds, None)

    async def renew(self, key: HealthKey, epoch: int, seconds: float) -> bool:
        """Keep the right for longer; False when it is lost."""
        mine = self._mine.get(key)
        if mine is None or mine.epoch != epoch or key in self._wishes:
            return False
        if not mine.shared:
            mine.until = self._now() + seconds
            return True
        return await self._wish(key, seconds, epoch) == epoch

    def finish(self, key: HealthKey, epoch: int, *, closed: bool, open_for: float = 0.0) -> None:
        """Give the right back with the result; not closed and open for no time: there is no evidence."""
        mine = self._mine.get(key)
        if mine is None or mine.epoch != epoch:
            return
        del self._mine[key]
        now = self._now()
        if mine.shared:
            self._results[key] = Result(epoch, closed, now + open_for, now)
            self._wake()

    def has_results(self) -> bool:
        """Return whether there are results that Redis does not know yet."""
        return bool(self._results)

    def has_news_of(self, key: HealthKey) -> bool:
        """Return whether there is a result that Redis does not know yet."""
        return key in self._results

    # ---- what the sync calls ----

    def asked(self) -> tuple[dict[str, tuple[int, int]], dict[str, tuple[int, int]], dict[str, Done]]:
        """Return what to send: rights to take, to renew, and results."""
        take, renew = {}, {}
        for key, wish in self._wishes.items():
            wish.sent = True
            seconds = milliseconds(wish.seconds, MAX_LEASE)
            if wish.epoch is None:
                take[digest(key)] = (seconds, min(self._health.state(key).epoch, MAX_NUMBER - 2))
            else:
                renew[digest(key)] = (wish.epoch, seconds)
        now, self._sent = self._now(), dict(self._results)
        done: dict[str, Done] = {}
        for key, result in self._sent.items():
            closed = int(result.closed and now - result.at < TOLD)  # later than that nobody would hear it
            left, age = milliseconds(result.until - now, MAX_SHARED), milliseconds(now - result.at, TOLD)
            done[digest(key)] = (result.epoch, closed, left, age)
        return take, renew, done

    def answered(self, reply: Reply, live: int) -> None:
        """Take what Redis answered to that."""
        self._reachable, self._live = True, live
        for key, result in self._sent.items():
            if self._results.get(key) is result:
                del self._results[key]
        for key, wish in [(key, wish) for key, wish in self._wishes.items() if wish.sent]:
            del self._wishes[key]
            name = digest(key)
            if wish.epoch is None:
                self._granted(key, wish, reply.granted.get(name), reply.now)
            elif name in reply.renewed:
                self._mine[key] = Right(wish.epoch, self._now() + wish.seconds, shared=True)
                _answer(wish, wish.epoch)
            else:
                self._mine.pop(key, None)
                _answer(wish, None)

    def unreachable(self) -> None:
        """Answer without Redis all that waits for it."""
        if self._reachable:
            self._reachable, self._lost_at = False, self._now()
        wishes, self._wishes = self._wishes, {}
        for key, wish in wishes.items():
            _answer(wish, self._alone(key, wish))

    def give_up(self) -> None:
        """Let nobody wait any more."""
        self._reachable = False
        wishes, self._wishes = self._wishes, {}
        for wish in wishes.values():
            _answer(wish, None)

    # ---- inside ----

    async def _wish(self, key: HealthKey, seconds: float, epoch: int | None) -> int | None:
        answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        wish = Wish(seconds, epoch, answer)
        if not self._reachable:
            return self._alone(key, wish)
        self._wishes[key] = wish
        self._wake()
        return await answer

    def _granted(self, key: HealthKey, wish: Wish, epoch: int | None, server_now: int) -> None:
        known = self._health.state(key).epoch
        if epoch is None or not known < epoch <= max(server_now, known) + AHEAD:
            _answer(wish, None)
        elif wish.answer.done():  # whoever asked was cancelled
            self._results[key] = Result(epoch, closed=False, until=0.0, at=self._now())
        else:
            self._mine[key] = Right(epoch, self._now() + wish.seconds, shared=True)
            _answer(wish, epoch)

    def _alone(self, key: HealthKey, wish: Wish) -> int | None:
        """Decide without Redis."""
        if wish.epoch is not None:
            self._mine[key] = Right(wish.epoch, self._now() + wish.seconds, shared=True)
            return wish.epoch
        if wish.answer.done() or self._now() < self._lost_at + PATIENCE or self._rng() >= 1 / self._live:
            return None
        epoch = self._health.state(key).epoch + 1
        self._mine[key] = Right(epoch, self._now() + wish.seconds, shared=False)
        return epoch


def _answer(wish: Wish, epoch: int | None) -> None:
    if not wish.answer.done():
        wish.answer.set_result(epoch)
