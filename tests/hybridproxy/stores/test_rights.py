"""The right to probe: one in the whole fleet, on a real server."""

import asyncio

from hybridproxy.model.fault import Verdict
from hybridproxy.model.health import Admits
from hybridproxy.resilience import breaker
from hybridproxy.resilience.breaker import PROBES_TO_CLOSE, Claimed, Outcome, Phase, Rules, Signal
from hybridproxy.stores.rights import PATIENCE
from tests.hybridproxy.stores.fleet import BRIEF, KEY, REDIS_KEY, Fleet, Worker, impatient, settings
from tests.support.redis_servers import RedisServer


async def take_all(fleet: Fleet, seconds: float) -> list[int | None]:
    """Let all workers ask at the same time."""
    asked = [asyncio.create_task(worker.rights.take(KEY, seconds)) for worker in fleet.workers]
    await asyncio.sleep(0)
    await asyncio.gather(*(worker.sync() for worker in fleet.workers))
    return await asyncio.gather(*asked)


async def take(worker: Worker, seconds: float = 5.0) -> int | None:
    """Let one ask."""
    asked = asyncio.create_task(worker.rights.take(KEY, seconds))
    await asyncio.sleep(0)
    await worker.sync()
    return await asked


async def probe(worker: Worker, epoch: int, *, good: bool) -> None:
    """Probe under a right until that is decided, and give it back."""
    health = worker.health
    health.step(KEY, breaker.Leased(epoch, worker.now() + 5))
    assert worker.phase() is Phase.HALF_OPEN
    health.step(KEY, breaker.Checked(epoch, passed=True))
    for _ in range(PROBES_TO_CLOSE):
        health.step(KEY, Claimed())
        health.step(KEY, Outcome(Signal.START, Verdict.OK if good else Verdict.FAULT, epoch=epoch))
    worker.rights.finish(KEY, epoch, closed=worker.phase() is Phase.CLOSED, open_for=max(0.0, worker.left()))
    assert await worker.sync()


async def opened(fleet: Fleet) -> None:
    """Let the fleet open a target, for a moment that is over."""
    for worker in fleet.workers[:2]:
        worker.find_out()
    await fleet.sync()
    await fleet.sync()
    assert set(fleet.phases()) == {Phase.OPEN}
    fleet.clock.pass_(0.15)


async def test_of_eight_workers_that_ask_at_once_one_has_the_right(server: RedisServer) -> None:
    """However they race, exactly one is granted; when it ran out, exactly one more; numbers only grow."""
    async with Fleet(settings(server.address), 8, rules=BRIEF) as fleet:
        await opened(fleet)
        numbers = []
        for _ in range(3):
            epochs = [epoch for epoch in await take_all(fleet, 0.6) if epoch is not None]
            assert len(epochs) == 1
            assert await take_all(fleet, 0.6) == [None] * 8
            numbers += epochs
            fleet.clock.pass_(0.62)
        assert numbers == sorted(set(numbers))


async def test_nobody_probes_what_the_fleet_still_leaves_alone(server: RedisServer) -> None:
    """While the shared opening lasts no right is given, also to a worker that just started."""
    async with Fleet(settings(server.address), 2, rules=Rules(2.0, 2.0)) as fleet:
        for worker in fleet.workers:
            worker.find_out()
        await fleet.sync()
        assert await take_all(fleet, 5) == [None, None]


async def test_a_right_is_kept_by_its_owner_only(server: RedisServer) -> None:
    """Renewing works for the owner, and not for another worker or another epoch, nor after somebody else has it."""
    async with Fleet(settings(server.address), 2, rules=BRIEF) as fleet:
        await opened(fleet)
        owner, other = fleet.workers
        epoch = await take(owner, 5.0)
        assert epoch is not None
        assert not await other.rights.renew(KEY, epoch, 1)
        assert not await owner.rights.renew(KEY, epoch + 1, 1)
        for expected in (True, False):
            asked = asyncio.create_task(owner.rights.renew(KEY, epoch, 0.2))
            await asyncio.sleep(0)
            await owner.sync()
            assert await asked is expected
            fleet.clock.pass_(0.25)
            assert (await take(other, 5) is not None) is expected


async def test_three_good_probes_close_it_for_all(server: RedisServer) -> None:
    """The others hear it and take their calls back by the ramp; the votes are gone."""
    async with Fleet(settings(server.address), 4, rules=BRIEF) as fleet:
        await opened(fleet)
        prober = fleet.workers[3]
        epoch = await take(prober)
        assert epoch is not None
        await probe(prober, epoch, good=True)
        await fleet.sync()
        assert set(fleet.phases()) == {Phase.CLOSED}
        for worker in fleet.workers:
            assert worker.health.view[KEY].admits is Admits.RAMP
        await fleet.sync()
        assert set(fleet.phases()) == {Phase.CLOSED}


async def test_a_failed_probe_keeps_it_from_all_for_longer(server: RedisServer) -> None:
    """The prober's new open time holds for everybody: no right before its end."""
    async with Fleet(settings(server.address), 3, rules=Rules(0.1, 1.0)) as fleet:
        await opened(fleet)
        prober = fleet.workers[2]
        epoch = await take(prober)
        assert epoch is not None
        before = [worker.left() for worker in fleet.workers]
        prober.health.rules = Rules(10.0, 10.0)
        await probe(prober, epoch, good=False)
        await fleet.sync()
        assert all(worker.left() > left + 0.5 for worker, left in zip(fleet.workers, before, strict=True))
        assert await take_all(fleet, 5) == [None] * 3


async def test_a_late_result_counts_for_nothing(server: RedisServer) -> None:
    """Whoever gives back a right that ran out and went to another closes nothing; the other's result does."""
    async with Fleet(settings(server.address), 3, rules=BRIEF) as fleet:
        await opened(fleet)
        late, prompt, witness = fleet.workers
        old = await take(late, 0.05)
        fleet.clock.pass_(0.1)
        new = await take(prompt)
        assert old is not None
        assert new is not None
        late.rights.finish(KEY, old, closed=True)
        await late.sync()
        await witness.sync()
        assert witness.phase() is Phase.OPEN
        await probe(prompt, new, good=True)
        await witness.sync()
        assert witness.phase() is Phase.CLOSED


async def test_a_right_given_back_without_evidence_is_free_at_once(server: RedisServer) -> None:
    """The next worker has it; so it is when whoever asked was cancelled before the answer came."""
    async with Fleet(settings(server.address), 2, rules=BRIEF) as fleet:
        await opened(fleet)
        first, second = fleet.workers
        epoch = await take(first)
        assert epoch is not None
        first.rights.finish(KEY, epoch, closed=False)
        await first.sync()
        asked = asyncio.create_task(second.rights.take(KEY, 5))
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await second.sync()
        assert await take(first) is None
        await second.sync()
        assert await take(first) is not None
        assert set(fleet.phases()) == {Phase.OPEN}


async def test_one_alone_may_probe_what_only_it_found_out(server: RedisServer) -> None:
    """Without a quorum the target is open here only: its probes need the right too, and close nothing elsewhere."""
    async with Fleet(settings(server.address), 5, rules=BRIEF) as fleet:
        await fleet.sync()
        alone = fleet.workers[0]
        alone.find_out(tenants=("one",))
        fleet.clock.pass_(0.1)
        epoch = await take(alone)
        assert epoch is not None
        await probe(alone, epoch, good=False)
        await fleet.sync()
        assert fleet.phases() == [Phase.OPEN] + [Phase.CLOSED] * 4
        fleet.clock.pass_(0.15)
        epoch = await take(alone)
        assert epoch is not None
        await probe(alone, epoch, good=True)
        await fleet.sync()
        assert set(fleet.phases()) == {Phase.CLOSED}


async def test_a_result_that_is_told_late_closes_nothing_that_opened_since(server: RedisServer) -> None:
    """Good probes count from when they were made: told a second after the fleet opened the target, they are old."""
    async with Fleet(settings(server.address), 5, rules=BRIEF) as fleet:
        await fleet.sync()
        late, *others = fleet.workers
        late.find_out(tenants=("one",))
        fleet.clock.pass_(0.1)
        epoch = await take(late)
        assert epoch is not None
        late.rights.finish(KEY, epoch, closed=True)
        fleet.clock.pass_(1.1)
        for worker in others[:2]:
            worker.find_out()
            await worker.sync()
        fleet.clock.pass_(0.15)
        assert await take(others[2]) is None
        await late.sync()
        await fleet.sync()
        assert set(fleet.phases()) == {Phase.OPEN}
        assert await take(others[2]) is not None


async def test_a_number_no_server_gave_blocks_nothing(server: RedisServer) -> None:
    """A target whose numbers are far ahead is taken as unknown, and the right is given with a true one."""
    async with Fleet(settings(server.address), 1, rules=BRIEF) as fleet:
        (worker,) = fleet.workers
        worker.find_out(tenants=("one",))
        fleet.clock.pass_(0.1)
        await worker.sync()
        (name,) = [field.split()[1] for field in server.ask("HKEYS", REDIS_KEY) if field[:1] == b"v"]  # type: ignore[attr-defined]
        poison = f"open {int(fleet.clock.wall() * 1000)} 99999999999998 99999999999998 0 - f"
        server.ask("HSET", REDIS_KEY, b"t " + name, poison)
        assert await worker.sync()
        assert worker.shared.poisoned == 1
        assert worker.health.state(KEY).epoch == 0
        epoch = await take(worker)
        assert epoch is not None
        assert epoch < 10**13


async def test_without_redis_about_one_of_the_fleet_probes(own_server: RedisServer) -> None:
    """The chance is one in as many workers as there last were; the epoch is the next one known here."""
    async with Fleet(settings(own_server.address), 8, rules=BRIEF) as fleet:
        await fleet.sync()
        await fleet.sync()
        own_server.kill()
        worker = fleet.workers[0]
        worker.find_out()
        assert not await worker.sync()
        worker.rng.seed(1)
        assert [await worker.rights.take(KEY, 5) for _ in range(50)] == [None] * 50  # perhaps only the master changes
        fleet.clock.pass_(PATIENCE)
        granted = 0
        for _ in range(800):
            epoch = await worker.rights.take(KEY, 5)
            if epoch is not None:
                assert epoch == 1
                assert await worker.rights.renew(KEY, epoch, 5)
                assert await worker.rights.take(KEY, 5) is None
                worker.rights.finish(KEY, epoch, closed=False)
                granted += 1
        assert 60 <= granted <= 140


async def test_whoever_had_the_right_when_redis_went_keeps_it(own_server: RedisServer) -> None:
    """Its probes go on; what waits for an answer is not left waiting, and its result is told when Redis is back."""
    async with Fleet(settings(own_server.address), 2, rules=BRIEF) as fleet:
        await opened(fleet)
        owner, other = fleet.workers
        epoch = await take(owner)
        assert epoch is not None
        own_server.pause()
        asked = asyncio.create_task(owner.rights.renew(KEY, epoch, 5))
        await asyncio.sleep(0)
        with impatient():
            assert not await owner.sync()
        assert await asked
        own_server.resume()
        await probe(owner, epoch, good=True)
        await other.sync()
        assert other.phase() is Phase.CLOSED


async def test_who_stops_leaves_nobody_waiting(server: RedisServer) -> None:
    """A worker that is closed answers None."""
    async with Fleet(settings(server.address), 1) as fleet:
        (worker,) = fleet.workers
        asked = asyncio.create_task(worker.rights.take(KEY, 5))
        await asyncio.sleep(0)
        worker.rights.give_up()
        assert await asked is None
