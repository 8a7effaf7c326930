"""The same history through two workers, one that shares and one that does not."""

import asyncio

from hybridproxy.config.settings import Redis
from hybridproxy.model.fault import Verdict
from hybridproxy.model.health import HealthKey
from hybridproxy.resilience import breaker
from hybridproxy.resilience.breaker import BreakerState, Outcome, Phase, Rules, Signal
from tests.hybridproxy.stores.fleet import KEY, OTHER, Clock, Fleet, Worker

STEPS = (
    "fault", "unreachable", "other tenant", "good", "end", "outage", "no way", "throttle", "sync", "probe", "reset",
)  # fmt: skip

TICK = 0.0007
"""Seconds between two events; less than a millisecond, so that times are rounded on their way to Redis and back."""


async def compare(redis: Redis, history: list[tuple[str, bool]]) -> None:
    """Let the same happen to both, at the same times; whatever of it Redis heard, they end in the same states."""
    async with Fleet(redis, 2, rules=Rules(0.004, 0.01), first=1) as fleet:
        shared, alone = fleet.workers  # the second never syncs
        for worker in fleet.workers:
            worker.health._chance = lambda: 0.5
        for what, flag in history:
            fleet.clock.pass_(TICK)
            key = OTHER if flag else KEY
            for worker in fleet.workers:
                _step(worker, what, key)
            if what == "sync":
                assert await shared.sync()
            elif what == "probe":
                await _probe(shared, alone, key, fleet.clock, good=not flag)
        assert await shared.sync()
        for key in (KEY, OTHER):
            with_redis, without = (worker.health.states().get(key, breaker.CLOSED) for worker in fleet.workers)
            assert _essence(with_redis) == _essence(without)


def _step(worker: Worker, what: str, key: HealthKey) -> None:
    if what in {"fault", "unreachable", "other tenant"}:
        worker.fault(key, tenant=what, unreachable=what == "unreachable")
    elif what in {"outage", "no way"}:
        for tenant in "ababa":
            worker.fault(key, tenant=tenant, unreachable=what == "no way")
    elif what in {"good", "end"}:
        worker.health.good(key, Signal.START if what == "good" else Signal.INTEGRITY)
    elif what == "throttle":
        worker.health.step(key, Outcome(Signal.START, Verdict.THROTTLE, "throttled", wait=5.0))
    elif what == "reset":
        worker.health.states()  # counts what was good so far, so that this is forgotten too
        worker.health.reset(key[0])


async def _probe(shared: Worker, alone: Worker, key: HealthKey, clock: Clock, *, good: bool) -> None:
    """Probe as soon as that is possible, each under its own right."""
    if shared.phase(key) is not Phase.OPEN:
        return
    clock.pass_(0.02)
    asked = asyncio.create_task(shared.rights.take(key, 5))
    await asyncio.sleep(0)
    assert await shared.sync()
    epochs = {shared: await asked, alone: alone.health.state(key).epoch + 1}
    for worker, epoch in epochs.items():
        assert epoch is not None
        worker.health.step(key, breaker.Leased(epoch, clock.now + 5))
        worker.health.step(key, breaker.Checked(epoch, good, "refused"))
        for _ in range(3):
            worker.health.step(key, breaker.Claimed())
            worker.health.step(key, Outcome(Signal.START, Verdict.OK, epoch=epoch))
        left = max(0.0, worker.health.state(key).until - clock.now)
        worker.rights.finish(key, epoch, closed=worker.phase(key) is Phase.CLOSED, open_for=left)


def _essence(state: BreakerState) -> tuple[object, ...]:
    """Return all of a state but the numbers of its rights, and what is over."""
    return (
        state.phase, state.streak, state.starts.faults, state.starts.good, state.ends.good, state.opens, state.passed,
        state.tenants, state.unreachable, round(state.cool_until, 3), round(state.closed_at, 3), state.reason,
    )  # fmt: skip
