"""Health that workers share through a real server: what one finds out the others hear, and what they never do."""

import asyncio

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from hybridproxy.model.fault import Fault, FaultKind, Verdict
from hybridproxy.model.health import backend_key, credential_key
from hybridproxy.resilience import breaker
from hybridproxy.resilience.breaker import Outcome, Phase, Rules, Signal
from hybridproxy.stores.marks import MarkKind
from hybridproxy.stores.messages import digest
from hybridproxy.stores.shared import QUIET
from tests.hybridproxy.stores.alone import STEPS, compare
from tests.hybridproxy.stores.fleet import BRIEF, KEY, OTHER, REDIS_KEY, Fleet, impatient, reached, settings
from tests.support.redis_monitor import commands
from tests.support.redis_servers import RedisServer
from tests.support.relay import BLACK_HOLE, STALLED, Faults, Relay

OPEN, CLOSED = Phase.OPEN, Phase.CLOSED
LASTING = Rules(200.0, 200.0)


# ---- opening ----


@pytest.mark.parametrize(
    ("finders", "tenants", "unreachable", "opens"),
    [
        (1, ("a", "b"), True, False),  # a replica with a broken resolver
        (2, ("a",), False, False),  # a tenant whose calls fail wherever they are made
        (2, ("a", "b"), False, True),
        (2, ("a",), True, True),
    ],
    ids=["one worker", "one tenant", "two and two", "nobody can connect"],
)
async def test_the_fleet_opens_by_workers_and_tenants(
    server: RedisServer, finders: int, tenants: tuple[str, ...], unreachable: bool, opens: bool
) -> None:
    """Two workers must find it out, and of two tenants or with no connection; only those that do are open otherwise."""
    async with Fleet(settings(server.address), 5) as fleet:
        await fleet.sync()
        for worker in fleet.workers[:finders]:
            worker.find_out(tenants=tenants, unreachable=unreachable)
        await fleet.sync()
        await fleet.sync()
        assert fleet.phases() == [OPEN] * (5 if opens else finders) + [CLOSED] * (0 if opens else 5 - finders)
        assert fleet.phases(OTHER) == [CLOSED] * 5
        if opens:
            others = [worker.health.state(KEY) for worker in fleet.workers[finders:]]
            assert {state.reason for state in others} == {
                "other replicas cannot reach it" if unreachable else "other replicas see it fail"
            }


async def test_two_workers_with_a_tenant_each_are_two_tenants(server: RedisServer) -> None:
    """What counts is whose calls failed anywhere."""
    async with Fleet(settings(server.address), 5) as fleet:
        await fleet.sync()
        fleet.workers[0].find_out(tenants=("a",))
        fleet.workers[1].find_out(tenants=("b",))
        await fleet.sync()
        await fleet.sync()
        assert set(fleet.phases()) == {OPEN}


async def test_votes_that_add_nothing_are_not_kept(server: RedisServer) -> None:
    """However many workers one tenant's calls fail at, few votes are stored; another tenant's vote still opens it."""
    async with Fleet(settings(server.address), 8) as fleet:
        await fleet.sync()
        for worker in fleet.workers[:7]:
            worker.find_out(tenants=("a",))
        for _ in range(2):
            await fleet.sync()
            fields = server.ask("HKEYS", REDIS_KEY)
            assert len([field for field in fields if field[:1] == b"v"]) == 2  # type: ignore[attr-defined]
        fleet.workers[7].find_out(tenants=("b",))
        await fleet.sync()
        fields = server.ask("HKEYS", REDIS_KEY)
        assert not [field for field in fields if field[:1] == b"v"]  # type: ignore[attr-defined]
        assert [field[:1] for field in fields].count(b"t") == 1  # type: ignore[attr-defined]


async def test_in_a_fleet_of_three_one_is_enough(server: RedisServer) -> None:
    """Three in ten of those that live."""
    async with Fleet(settings(server.address), 3) as fleet:
        await fleet.sync()
        fleet.workers[0].find_out()
        await fleet.sync()
        assert set(fleet.phases()) == {OPEN}


async def test_what_was_heard_is_no_vote(server: RedisServer) -> None:
    """When Redis forgets, only who found it out says so again, and the others keep what they heard."""
    async with Fleet(settings(server.address), 5) as fleet:
        await fleet.sync()
        for worker in fleet.workers[:2]:
            worker.find_out()
        await fleet.sync()
        await fleet.sync()
        server.ask("FLUSHALL")
        for worker in fleet.workers[2:]:
            await worker.sync()
        fields = server.ask("HKEYS", REDIS_KEY)
        assert {field[:1] for field in fields} == {b"w"}  # type: ignore[attr-defined]
        assert set(fleet.phases()) == {OPEN}


async def test_an_opening_lasts_as_long_as_its_finder_says_and_does_not_grow(server: RedisServer) -> None:
    """Heard and told again and again, on a slow way too, the end stays where it was."""
    async with Fleet(settings(server.address), 2, rules=Rules(20.0, 20.0)) as fleet:
        for worker in fleet.workers:
            worker.find_out()
        await fleet.sync()
        ends = [worker.health.state(KEY).until for worker in fleet.workers]
        for way in (0.1, 0.15, 0.7, 0.1, 2.0):
            fleet.clock.way = way
            await fleet.sync()
        later = [worker.health.state(KEY).until for worker in fleet.workers]
        assert max(later) <= max(ends) + 0.02


async def test_a_closing_older_than_our_own_opening_closes_nothing(server: RedisServer) -> None:
    """A worker that was cut off hears of a closing that came before it found the target out: it stays open."""
    async with Fleet(settings(server.address), 2) as fleet:
        cut_off, other = fleet.workers
        await fleet.sync()
        other.find_out()
        await other.sync()
        other.health.reset(KEY[0])
        await other.sync()
        fleet.clock.pass_(0.05)
        cut_off.find_out()
        cut_off.health.marks._marks.clear()
        cut_off.shared._keys = lambda: [KEY]
        cut_off.shared._scopes = list  # it does not hear the mark of the reset
        await cut_off.sync()
        assert cut_off.phase() is OPEN


async def test_what_was_closed_just_now_opens_for_all_a_second_later(server: RedisServer) -> None:
    """A target that flaps is written no more than twice a second by one worker; who found it out keeps it open."""
    async with Fleet(settings(server.address), 4) as fleet:
        for step in ("opens", "closes"):
            for worker in fleet.workers[:2]:
                worker.find_out() if step == "opens" else worker.health.reset(KEY[0])
            await fleet.sync()
            await fleet.sync()
            assert set(fleet.phases()) == {OPEN if step == "opens" else CLOSED}
        for worker in fleet.workers[:2]:
            worker.find_out()
        await fleet.sync()
        await fleet.sync()
        assert fleet.phases() == [OPEN, OPEN, CLOSED, CLOSED]
        fleet.clock.pass_(1.05)
        await fleet.sync()
        await fleet.sync()
        assert set(fleet.phases()) == {OPEN}


# ---- cool-offs and marks ----


async def test_a_cool_off_is_shared(server: RedisServer) -> None:
    """A 429 at one worker keeps all of them away for as long, and the breaker stays closed; it does not grow."""
    async with Fleet(settings(server.address), 3) as fleet:
        first = fleet.workers[0]
        first.health.step(KEY, Outcome(Signal.START, Verdict.THROTTLE, "throttled", wait=7.0))
        end = first.health.state(KEY).cool_until
        for _ in range(4):
            await fleet.sync()
        assert set(fleet.phases()) == {CLOSED}
        for worker in fleet.workers:
            assert end - 0.01 < worker.health.view[KEY].until < end + 0.01


async def test_what_ended_and_begins_again_is_written_once(server: RedisServer) -> None:
    """The sync that finds a cool-off over has the next one to tell: one write, no removal before it."""
    async with Fleet(settings(server.address), 1) as fleet:
        (worker,) = fleet.workers
        for _ in range(2):
            worker.health.step(KEY, Outcome(Signal.START, Verdict.THROTTLE, "throttled", wait=0.2))
            with commands(server) as monitor:
                await worker.sync()
                records = monitor.until(lambda seen: any(one.name == "PEXPIRE" for one in seen))
            field = f"c {digest(KEY)}".encode()
            assert [one.name for one in records if field in one.args] == ["HSET"]
            fleet.clock.pass_(0.25)


async def test_marks_are_shared_and_lifted(server: RedisServer) -> None:
    """A drain with its reason and its end, a quarantined key; and each is lifted for all by whoever lifts it."""
    async with Fleet(settings(server.address), 3) as fleet:
        first, second, third = fleet.workers
        first.health.drain(KEY[0], "Wartung für „Rack 7“\n", 60)
        unauthorised = Fault(FaultKind.CREDENTIAL)
        second.health.note(KEY, Outcome(Signal.START, Verdict.CREDENTIAL, "refused"), unauthorised)
        await fleet.sync()
        await fleet.sync()
        for worker in fleet.workers:
            marks = {mark.kind: mark for mark in worker.health.marks.in_force()}
            assert set(marks) == {MarkKind.DRAIN, MarkKind.QUARANTINE}
            assert marks[MarkKind.DRAIN].reason == "Wartung für „Rack 7“\n"
            assert abs(marks[MarkKind.DRAIN].until - fleet.clock.wall() - 60) < 0.01
            assert set(worker.health.view) == {backend_key(KEY[0]), credential_key(KEY[0], KEY[3])}
        assert third.health.undrain(KEY[0])
        third.health.marks.lift(credential_key(KEY[0], KEY[3]), MarkKind.QUARANTINE)
        await third.sync()
        await fleet.sync()
        assert not any(worker.health.view for worker in fleet.workers)


async def test_an_operator_trips_and_resets_the_whole_fleet(server: RedisServer) -> None:
    """A trip is nobody's vote; a reset forgets openings and cool-offs everywhere, whoever found them out."""
    async with Fleet(settings(server.address), 4) as fleet:
        first, second, third, fourth = fleet.workers
        await fleet.sync()
        fourth.health.good(KEY, Signal.START)
        first.health.good(KEY, Signal.START)
        first.health.trip(KEY[0], "maintenance", 60)
        await fleet.sync()
        assert fourth.phase() is OPEN
        assert not first.shared._found_out
        for worker in (second, third):
            worker.find_out(OTHER)
        third.health.step(KEY, Outcome(Signal.START, Verdict.THROTTLE, "throttled", wait=60.0))
        await fleet.sync()
        await fleet.sync()
        assert set(fleet.phases(OTHER)) == {OPEN}
        assert second.health.reset(KEY[0])
        for _ in range(3):
            await fleet.sync()
        for worker in fleet.workers:
            assert (worker.phase(), worker.phase(OTHER)) == (CLOSED, CLOSED)
            assert worker.health.state(KEY).cool_until == 0
            assert not worker.health.view


# ---- when Redis forgets, lies or goes ----


async def test_an_empty_redis_closes_nothing_and_is_filled_within_two_seconds(server: RedisServer) -> None:
    """After FLUSHALL openings and marks stand, and are in Redis again."""
    async with Fleet(settings(server.address), 3, rules=LASTING, run=True) as fleet:
        for worker in fleet.workers[:2]:
            worker.find_out()
        fleet.workers[2].health.drain(KEY[0], "work", 60)
        fleet.start()
        wanted = {b"t " + digest(KEY).encode(), f"m {digest(backend_key(KEY[0]))} D".encode()}
        await reached(lambda: set(fleet.phases()) == {OPEN}, "an open target")

        def there() -> bool:
            return wanted <= set(server.ask("HKEYS", REDIS_KEY))  # type: ignore[call-overload,no-any-return]

        await reached(there, "the state in Redis")
        server.ask("FLUSHALL")
        await reached(there, "the state in Redis again")
        assert set(fleet.phases()) == {OPEN}
        await reached(lambda: all(backend_key(KEY[0]) in worker.health.view for worker in fleet.workers), "the drain")


@pytest.mark.parametrize("way", ["kill", "pause"])
async def test_without_redis_each_worker_judges_alone(own_server: RedisServer, way: str) -> None:
    """A crash or a silent server: nothing is raised, breakers work, it is told once; then all is shared again."""
    async with Fleet(settings(own_server.address), 2, rules=LASTING, run=True) as fleet:
        first, second = fleet.workers
        fleet.start()
        await reached(lambda: first.shared.up and second.shared.up, "Redis")
        with impatient():
            await fleet.next_syncs()  # the calls before them are patient still
            (own_server.kill if way == "kill" else own_server.pause)()
            await reached(lambda: not first.shared.up and not second.shared.up, "its loss")
            first.find_out()
            assert fleet.phases() == [OPEN, CLOSED]
            await reached(lambda: min(worker.shared.failures for worker in fleet.workers) > 1, "another try in vain")
        assert fleet.phases() == [OPEN, CLOSED]
        assert all(worker.task is not None and not worker.task.done() for worker in fleet.workers)
        (own_server.start if way == "kill" else own_server.resume)()
        await reached(lambda: set(fleet.phases()) == {OPEN}, "what the first found out, at the second")
        await reached(lambda: max(worker.shared.age() for worker in fleet.workers) < 1, "syncs at both")
        for worker in fleet.workers:
            assert [event for event, _ in worker.events] == ["redis.lost", "redis.found"]
            assert "127.0.0.1" not in str(worker.events)


@pytest.mark.parametrize("faults", [BLACK_HOLE, STALLED], ids=["black hole", "stalled"])
async def test_at_most_one_connection_a_second_is_tried(server: RedisServer, faults: Faults) -> None:
    """However long Redis is gone, and whatever is asked for meanwhile."""
    redis, time = Relay(*server.address), asyncio.get_running_loop().time
    async with redis as relay, Fleet(settings(("127.0.0.1", relay.port)), 1, rules=BRIEF, run=True) as fleet:
        (worker,) = fleet.workers
        fleet.start()
        await reached(lambda: worker.shared.up, "Redis")
        with impatient():
            await fleet.next_syncs()  # the call before it is patient still
            relay.faults = faults
            await reached(lambda: not worker.shared.up, "its loss")
            began, before = time(), worker.shared.connects
            while time() < began + 3.5 or worker.shared.connects == before:
                worker.find_out()
                worker.health.step(KEY, breaker.Reset())
                await worker.rights.take(KEY, 5)
                await asyncio.sleep(0.05)
            tried, seconds = worker.shared.connects - before, time() - began
        assert tried <= seconds + 0.5  # the first a second after the loss; twice as many if each loss led to the next


# ---- what it costs, and what it says ----


async def test_four_round_trips_a_second_and_nothing_said_aloud(server: RedisServer) -> None:
    """Under constant change: few commands, and no name, key or reason's owner in anything that Redis sees."""
    time = asyncio.get_running_loop().time
    began = time()
    with commands(server) as monitor:
        async with Fleet(settings(server.address), 2, rules=BRIEF, run=True) as fleet:
            fleet.start()
            while time() < began + 3.0:
                for worker in fleet.workers:
                    worker.find_out()
                    worker.health.step(KEY, breaker.Reset())
                    worker.health.step(OTHER, Outcome(Signal.START, Verdict.THROTTLE, "throttled", wait=5))
                    worker.health.drain(KEY[0], "planned", 60)
                await asyncio.sleep(0.02)
            records = monitor.records()
    seconds = time() - began
    for worker in fleet.workers:
        assert worker.shared.round_trips <= 4 * seconds + 2
        assert (worker.shared.failures, worker.shared.connects) == (0, 1)
    calls = [record for record in records if record.client != "lua"]
    assert {record.name for record in calls} <= {"EVALSHA", "EVAL"}
    changed = [record for record in records if record.client == "lua" and record.name in {"HSET", "HDEL"}]
    assert changed
    assert {record.args[1] for record in changed} == {REDIS_KEY.encode()}
    said = b"\n".join(arg for record in records for arg in record.args)
    assert b"canary" not in said
    assert b"host.example" not in said
    with server.client() as client:
        assert client.keys("*") == [REDIS_KEY.encode()]
        assert 0 < client.pttl(REDIS_KEY) <= 8 * 24 * 3600 * 1000


async def test_on_a_quiet_day_two_round_trips_a_second_that_write_little(server: RedisServer) -> None:
    """A healthy fleet only says that it lives; each worker a little more or less often than twice a second."""
    time = asyncio.get_running_loop().time
    async with Fleet(settings(server.address), 2, run=True) as fleet:
        fleet.start()
        await reached(lambda: all(worker.shared.up for worker in fleet.workers), "Redis")
        began, before = time(), [worker.shared.round_trips for worker in fleet.workers]

        def trips() -> list[int]:
            return [worker.shared.round_trips - trips for worker, trips in zip(fleet.workers, before, strict=True)]

        with commands(server) as monitor:
            await reached(lambda: min(trips()) >= 5, "five syncs of each")
            made, records, seconds = trips(), monitor.records(), time() - began
        assert max(made) <= 2 * seconds + 1
        assert {record.name for record in records if record.client != "lua"} == {"EVALSHA"}
        assert len([record for record in records if record.name == "HSET"]) <= 2 * (seconds + 1)
        await reached(lambda: fleet.workers[0].shared.live == 2, "the other one")


async def test_a_flapping_redis_does_not_fill_the_log(server: RedisServer) -> None:
    """Lost and found within some seconds is told once."""
    async with Fleet(settings(server.address), 1) as fleet:
        (worker,) = fleet.workers
        for _ in range(5):
            worker.shared._failed(ConnectionError("x"))
            await worker.sync()
        assert [event for event, _ in worker.events] == ["redis.lost", "redis.found"]
        fleet.clock.pass_(QUIET)
        worker.shared._failed(ConnectionError("x"))
        assert worker.events[-1] == ("redis.lost", {"error": "ConnectionError"})


# ---- a replica alone ----


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.booleans()), min_size=3, max_size=60))
@examples(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sharing_with_nobody_changes_nothing(one_server: RedisServer, history: list[tuple[str, bool]]) -> None:
    """One worker with Redis ends in the states it would have alone, whatever happened in between."""
    one_server.ask("FLUSHALL")
    asyncio.run(compare(settings(one_server.address), history))
