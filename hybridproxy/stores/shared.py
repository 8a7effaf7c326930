"""Health and limits that the replicas share through Redis: the sync task of one worker. No call ever waits for it.

Twice a second, and at once when a target changed its phase or the right to probe is wanted (yet never more than four
times a second), one script in Redis takes what this worker knows and answers what the fleet knows: see `lua/sync.lua`.
A worker always says all it holds, so what Redis forgot is there again after the next sync. A key that is missing means
nothing, and nobody closes for it.

What Redis can do to this process, whatever it holds:

    open a target       for at most `MAX_SHARED` seconds at once, and no longer than this replica's own rules allow
    cool it off         for at most `MAX_COOL_OFF` seconds
    put or lift a mark  of something configured, by a version as new, for at most seven days
    close a target      that is open, if the closing is newer than the opening: good probes of another replica, or an
                        operator's reset. `breaker.step` demands a newer epoch; of an opening by our own judgement, the
                        time must be later too
    keep it from probes for at most `MAX_LEASE` seconds
    make this worker's share of a limit smaller, see `stores.shares`; whatever is wrong there is wrong there alone

It names no backend, allows nothing that policy forbids, and shortens no opening of our own but as said. Epochs are
believed only near the server's clock. While Redis is gone every replica judges alone and, once that lasts, probes with
the chance of one in as many as there last were.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from redis.exceptions import ResponseError

from hybridproxy.config.settings import Redis
from hybridproxy.model.fault import Verdict
from hybridproxy.model.health import HealthKey, Key
from hybridproxy.resilience import breaker
from hybridproxy.resilience.breaker import FOREVER, Outcome, Phase, Signal
from hybridproxy.stores.marks import Mark, MarkKind
from hybridproxy.stores.memory import Change, MemoryHealth
from hybridproxy.stores.messages import (
    AHEAD,
    KINDS,
    MAX_NUMBER,
    MAX_SHARED,
    MOST,
    TOLD,
    PoisonedError,
    Reply,
    Request,
    Verdicts,
    digest,
    mark_id,
    milliseconds,
    parse,
    shared_mark,
)
from hybridproxy.stores.redis import Server, script
from hybridproxy.stores.rights import Rights
from hybridproxy.stores.shares import FleetShares
from hybridproxy.tasks import wait

PERIOD, JITTER = 0.53, 0.1
"""Seconds between two syncs, and by which part it may be more: no field is written more than twice in a second."""

GAP: Final = 0.26
"""Seconds between two round trips; a little over a quarter, so that no second sees five."""

FIRST_RETRY, LAST_RETRY = 1.0, 5.0
SLACK: Final = 0.25
"""Seconds; an end that is told as so little later is an echo of the one we know, late by a busy loop and the way."""

ROUNDED: Final = 0.002
"""Seconds; a time that went to Redis and back was rounded twice, to milliseconds."""

QUIET: Final = 10.0
"""Seconds between two log lines of one sort."""

SCRIPT: Final = script("shares", "sync")
FOUND_OUT: Final = {True: "other replicas cannot reach it", False: "other replicas see it fail"}


class SharedHealth:
    """One worker's, over its `MemoryHealth`. `rights` are the rights to probe.

    Attributes:
        rights: see `leases.Leases`.
        shares: what this worker has of limits, None: limits are not shared. Set before `run`.
        up: the last sync worked.
        live: workers of the fleet, this one too, when it last did.
        failures: syncs that did not work.
        poisoned: values in Redis that no worker wrote.

    """

    def __init__(
        self,
        health: MemoryHealth,
        settings: Redis,
        worker: str,
        *,
        now: Callable[[], float],
        rng: Callable[[], float],
        keys: Callable[[], Iterable[HealthKey]],
        scopes: Callable[[], Iterable[Key]],
        log: Callable[..., None],
    ) -> None:
        """Share by a Redis; nothing is connected before `run`.

        Args:
            health: what this worker knows.
            settings: where Redis is.
            worker: random hexadecimal digits, different for each worker.
            now: the clock of `health`.
            rng: a number in [0, 1).
            keys: the configured targets.
            scopes: what marks can name beside them.
            log: takes the name of an event and its fields.

        """
        self.rights = Rights(health, now, rng, self._wake)
        self.shares: FleetShares | None = None
        self.up = False
        self.live = 1
        self.failures = 0
        self.poisoned = 0
        self._health = health
        self._worker = worker
        self._now = now
        self._rng = rng
        self._keys = keys
        self._scopes = scopes
        self._log = log
        self._server = Server(settings)
        self._tag = f"{{hp:{settings.name}}}"
        self._found_out: dict[HealthKey, float] = {}  # open by our own judgement, since
        self._reset: dict[HealthKey, tuple[int, float]] = {}  # its epoch, since when: an operator's word, not told yet
        self._versions: dict[str, int] = {}  # of the marks in Redis
        self._hearing = False
        self._retries = 0
        self._synced_at = -FOREVER
        self._said_at: dict[str, float] = {}
        self._lost = False
        self._news = asyncio.Event()
        self._tried = asyncio.Event()
        self._closed = asyncio.Event()
        self._ended = asyncio.Event()
        self._running = False
        health.listeners.append(self._changed)
        health.marks.listeners.append(self._marked)

    @property
    def round_trips(self) -> int:
        """Calls sent so far."""
        return self._server.trips

    @property
    def connects(self) -> int:
        """Connections tried so far."""
        return self._server.connects

    def age(self) -> float:
        """Return the seconds since the last sync that worked."""
        return self._now() - self._synced_at

    async def run(self) -> None:
        """Sync until `close`."""
        self._running = True
        clock = asyncio.get_running_loop().time
        try:
            while not self._closed.is_set():
                started, trips = clock(), self._server.trips
                self._news.clear()
                worked = await self._sync()
                self._tried.set()
                if worked:
                    due = started + PERIOD * (1 + JITTER * self._rng())
                    await wait(self._news, due - clock())
                    soonest = started + GAP * (self._server.trips - trips)
                    await wait(self._closed, soonest - clock())
                else:
                    spread = min(LAST_RETRY, FIRST_RETRY * 2.0**self._retries) - FIRST_RETRY
                    await wait(self._closed, FIRST_RETRY + spread * self._rng())
            if self.up:
                await self._say_goodbye()
        finally:
            self.rights.give_up()
            await self._server.close()
            self._ended.set()

    def close(self) -> None:
        """Stop; a sync that is under way comes to its end first, and what is left of results is told."""
        self._closed.set()
        self._news.set()

    async def begun(self, seconds: float) -> None:
        """Wait for the first sync, whether it works or not, for so long at most."""
        await wait(self._tried, seconds)

    async def ended(self) -> None:
        """Wait until `run` has come to its end, if it was begun."""
        if self._running:
            await self._ended.wait()

    async def _say_goodbye(self) -> None:
        """Let nobody have to wait for a right to probe, or do without a share, that ends with this worker."""
        for _ in range(1 if self.shares is None else self.shares.leave()):
            if (self.shares is not None or self.rights.has_results()) and not await self._sync():
                break

    # ---- what is new here: these are called on the way of calls, and only take a note ----

    def _wake(self) -> None:
        self._news.set()

    def _changed(self, change: Change) -> None:
        key, state = change.key, change.state
        if state.phase is Phase.CLOSED:
            self._found_out.pop(key, None)
            if state.closed_at == -FOREVER:
                self._reset[key] = (state.epoch, self._now())
        elif change.before is Phase.CLOSED and not self._hearing and state.reason != MarkKind.TRIP.value:
            self._found_out[key] = self._now()
        if not self._hearing:
            self._wake()

    def _marked(self, mark: Mark, heard: bool) -> None:  # noqa: FBT001 - a listener's signature
        if heard:
            return
        if mark.kind is MarkKind.RESET:  # the targets are about to be forgotten, their cool-offs too
            for key in _targets(self._health.view):
                if key[0] == mark.key[1]:
                    self._reset[key] = (self._health.state(key).epoch, self._now())
        self._wake()

    # ---- one sync ----

    async def _sync(self) -> bool:
        """Say and hear once; return whether it worked."""
        reset = dict(list(self._reset.items())[:MOST])
        request = self._request(reset)
        started = self._now()
        try:
            reply = parse(await self._server.call(SCRIPT, self._keys_of(request), request.encoded()))
            self._take(reply, reset, self._now() - started)
        except Exception as error:  # noqa: BLE001 - whatever a server's bytes bring about, this task goes on
            self._failed(error)
            return False
        return True

    def _keys_of(self, request: Request) -> tuple[str, ...]:
        """Return the keys that are needed and no other: in a slot that is being moved all have to exist."""
        health = f"{self._tag}:health"
        if request.shares is None or self.shares is None:
            return (health,)
        return health, f"{self._tag}:shares", f"{self._tag}:spend:{self.shares.month}"

    def _take(self, reply: Reply, reset: dict[HealthKey, tuple[int, float]], elapsed: float) -> None:
        """Take the answer of a sync."""
        self.up, self.live, self._retries = True, min(max(1, reply.live), MOST), 0
        self._synced_at = self._now()
        if self._lost:
            self._lost = False
            self._log("redis.found")
        for key, word in reset.items():
            if self._reset.get(key) == word:
                del self._reset[key]
        self.rights.answered(reply, self.live)
        with self._listening():
            self._hear(reply, elapsed)
        if self.shares is not None and reply.shares is not None:
            self.shares.answered(reply.shares)
        junk = reply.junk + (0 if reply.shares is None else reply.shares.junk)
        if junk or not reply.shares_fit:
            self._poison(max(1, junk), "fields were removed that no worker wrote" if junk else "limits are unusable")

    def _request(self, reset: dict[HealthKey, tuple[int, float]]) -> Request:
        now, health = self._now(), self._health
        for key in [key for key in self._found_out if health.state(key).phase is Phase.CLOSED]:  # it was forgotten
            del self._found_out[key]
        votes = {}
        for key, since in list(self._found_out.items())[:MOST]:
            state = health.state(key)
            tenants = ",".join(sorted(digest([tenant], 8) for tenant in state.tenants if tenant))
            left, age = milliseconds(state.until - now, MAX_SHARED), milliseconds(now - since, 1e6)
            votes[digest(key)] = (left, age, int(state.unreachable), tenants)
        cool: dict[str, tuple[int, int]] = {}
        for key in _targets(health.view):
            state = health.state(key)
            if state.cool_until > now and len(cool) < MOST:
                cool[digest(key)] = (milliseconds(state.cool_until - now, MAX_SHARED), _number(state.epoch))
        marks: dict[str, tuple[int, int, str]] = {}
        for mark in health.marks:
            if self._versions.get(mark_id(mark), 0) < mark.version and len(marks) < MOST:
                marks[mark_id(mark)] = shared_mark(mark)
        take, renew, done = self.rights.asked()
        forget = {
            digest(key): (_number(epoch), milliseconds(now - since, TOLD)) for key, (epoch, since) in reset.items()
        }
        shares = self.shares.asked() if self.shares is not None and self.shares.is_due() else None
        return Request(self._worker, votes, cool, marks, take, renew, done, forget, shares)

    def _hear(self, reply: Reply, elapsed: float) -> None:
        """Take what the fleet knows. Times count from when we asked, so that no echo of ours grows longer."""
        self._versions = {name: version for name, (version, _, _) in reply.marks.items()}
        if reply.marks:
            scopes = {digest(key): key for key in (*self._keys(), *self._scopes())}
            for name, (version, until, reason) in reply.marks.items():
                target, _, kind = name.partition(" ")
                if target in scopes and kind in KINDS:
                    self._health.marks.hear(Mark(scopes[target], KINDS[kind], reason, until, version))
        if not reply.targets and not reply.cools:
            return
        keys = {digest(key): key for key in (*self._keys(), *self._health.out())}
        for name, verdict in reply.targets.items():
            key = keys.get(name)
            if key is not None and key not in self._reset and not self.rights.has_news_of(key):
                self._hear_of(key, verdict, reply.now, elapsed)
        for name, left in reply.cools.items():
            key = keys.get(name)
            if key is not None and key not in self._reset:
                self._hear_throttled(key, left - elapsed)

    def _hear_of(self, key: HealthKey, verdict: Verdicts, now: int, elapsed: float) -> None:
        state, asked_at = self._health.state(key), self._now() - elapsed
        if verdict.epoch > max(now, state.epoch) + AHEAD:
            self._poison(1, "an epoch is ahead of its time")
        elif verdict.phase == "open":
            until = asked_at + verdict.seconds
            if state.phase is not Phase.OPEN or until > max(state.until, self._now()) + SLACK:
                seconds, reason = max(0.0, until - self._now()), FOUND_OUT[verdict.unreachable]
                self._health.step(key, breaker.HeardOpen(seconds, verdict.epoch, reason))
        elif asked_at - (TOLD - verdict.seconds) > self._found_out.get(key, -FOREVER) + ROUNDED:
            self._health.step(key, breaker.HeardClosed(verdict.epoch))

    def _hear_throttled(self, key: HealthKey, wait: float) -> None:
        known = max(self._health.state(key).cool_until - self._now(), 0.0)
        if wait > known + SLACK:
            throttled = Outcome(Signal.START, Verdict.THROTTLE, "other replicas are throttled", wait)
            self._health.step(key, throttled)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Mark changes as heard: they are not our own judgement, and no news to the others."""
        self._hearing = True
        try:
            yield
        finally:
            self._hearing = False

    # ---- when it does not work ----

    def _failed(self, error: Exception) -> None:
        self.up = False
        self.failures += 1
        self._retries = min(self._retries + 1, 10)
        self.rights.unreachable()
        if isinstance(error, PoisonedError) or (isinstance(error, ResponseError) and "POISONED" in str(error)):
            self._poison(1, str(error))
        if not self._lost and self._may_say("redis.lost"):
            self._lost = True
            self._log("redis.lost", error=_described(error))

    def _poison(self, count: int, what: str) -> None:
        self.poisoned += count
        if self._may_say("redis.poisoned"):
            self._log("redis.poisoned", what=what, count=self.poisoned)

    def _may_say(self, event: str) -> bool:
        now = self._now()
        if now - self._said_at.get(event, -FOREVER) < QUIET:
            return False
        self._said_at[event] = now
        return True


def _targets(keys: Iterable[Key]) -> list[HealthKey]:
    return [(key[0], key[1], key[2], key[3]) for key in keys if len(key) == 4]


def _number(epoch: int) -> int:
    return min(epoch, MAX_NUMBER - 1)


def _described(error: BaseException) -> str:
    """Return what happened without an address: the server's own words, otherwise only the kind."""
    if isinstance(error, ResponseError):
        return f"{type(error).__name__}: {str(error)[:100]}"
    inner = error.__cause__ or error.__context__
    return type(error).__name__ + (f" ({type(inner).__name__})" if inner is not None else "")
