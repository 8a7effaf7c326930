"""Shares of limits: the script agrees with its memory's form; and what a worker makes of them."""

import asyncio
import itertools
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from hybridproxy.model.limits import Caps, Limits, Measure, Rates
from hybridproxy.model.snapshot import Tenant
from hybridproxy.resilience.agreement import Agreed, sync
from hybridproxy.resilience.shares import LARGEST, Heard, Kind, Row, Said
from tests.hybridproxy.stores.agreed import KEYS, heard_of, in_redis, told_of
from tests.hybridproxy.stores.fleet import REDIS_KEY, Fleet, settings
from tests.hybridproxy.stores.tenants import PERIOD, START, Clock, Many, One
from tests.support.redis_groups import ClusterOf
from tests.support.redis_servers import RedisServer

# ---- the script and the memory ----

LIMITS = {"a0": (Kind.RATE, 100), "a1": (Kind.PLACES, 7), "a2": (Kind.CAP, 50_000_000_000), "a3": (Kind.CAP, LARGEST)}
PASSES = st.sampled_from([1, 300, 550, 6_000, 20_000, 70_000, 400_000, 1_000_000])


class Told:
    """What one worker knows of itself in a history."""

    def __init__(self, number: int) -> None:
        self.me = f"{number:x}a"
        self.seq = self.generation = self.known = 0
        self.used = dict.fromkeys(LIMITS, 0)
        self.held = dict.fromkeys(LIMITS, 0)
        self.heard = dict.fromkeys(LIMITS, (0, 0, 0))

    def row(self, name: str, chance: random.Random) -> Row:
        """Say anything of a limit that a worker could say."""
        kind, limit = LIMITS[name]
        cap = kind is Kind.CAP
        least = self.used[name] if cap else 0
        used = self.used[name] = chance.randint(least, max(least, self.held[name]))
        keep = max(used, chance.randint(0, self.held[name]))
        want = max(used, chance.choice([0, used, used + 3, limit // 3, limit]))
        if not cap:
            return Row(name, kind, limit, keep, used, want)
        spent, began = chance.randint(0, used), chance.choice([60_000, 40_000_000])
        return Row(name, kind, limit, keep, used, want, spent, began, 86_400_000 - began, *self.heard[name])

    def hear(self, heard: Heard) -> None:
        """Take an answer."""
        self.generation, self.known = heard.generation, heard.known
        for name, share in heard.shares.items():
            self.held[name] = share.held
            self.heard[name] = (heard.generation, share.gone, share.all)


@given(st.integers(0, 2**32))
@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_memory_and_redis_say_the_same(one_server: RedisServer, seed: int) -> None:
    """Whatever workers say in any order: syncs, late and lost ones, losses, goodbyes, restarts, wipes, time passing."""
    one_server.ask("FLUSHALL")
    chance = random.Random(seed)
    agreed, now = Agreed(), 1_800_000_000_000
    numbers = itertools.count(1)
    workers = [Told(next(numbers)) for _ in range(3)]
    with one_server.client() as client:
        for _ in range(25):
            now += chance.choice([1, 300, 550, 6_000, 20_000, 70_000, 400_000, 1_000_000])
            place = chance.randrange(3)
            worker = workers[place]
            what = chance.choice(["sync"] * 6 + ["wipe", "restart", "bye", "late"])
            if what == "wipe":
                one_server.ask("FLUSHALL")
                agreed = Agreed()
            elif what == "restart":
                worker = workers[place] = Told(next(numbers))
            worker.seq += what != "late"
            rows = tuple(worker.row(name, chance) for name in chance.sample(sorted(LIMITS), chance.randint(0, 4)))
            spender, bye = f"f{place}" if place else worker.me, what == "bye"
            said = Said(worker.me, f"b{place}", spender, worker.seq, worker.generation, worker.known, bye, rows)
            found = in_redis(client, worker.me, told_of(said), now)
            expected = sync(agreed, said, now)
            assert heard_of(found) == expected
            assert found.junk == 0
            worker.hear(expected)


async def test_while_the_keys_of_a_cluster_move_limits_are_told_and_heard(tmp_path: Path) -> None:
    """Three keys on one node, with a month in which nobody spends: no step of the slot's move is felt."""
    with ClusterOf(tmp_path, node_timeout=30_000) as cluster:
        one = One(Clock(), 1, Tenant("shop", "default", limits=Limits(Rates(rpm=100))))
        async with Fleet(settings(*cluster.addresses, mode="cluster"), 1) as fleet:
            (worker,) = fleet.workers
            worker.shared.shares = one.shares
            assert one.admit() is not None
            assert await worker.sync()
            migration = cluster.migration(REDIS_KEY)
            for step in (migration.begin, migration.move, migration.finish):
                await asyncio.to_thread(step)
                for shares in (one.shares, None):
                    worker.shared.shares = shares
                    one.clock.pass_by(PERIOD)
                    assert await worker.sync(), step
            assert cluster.owner(REDIS_KEY) is migration.target
            assert {cluster.slot(key) for key in KEYS} == {cluster.slot(REDIS_KEY)}


# ---- a fleet of workers ----


def test_a_burst_at_one_worker_gets_all_of_the_limit_within_a_second() -> None:
    """Nobody else wants any of it."""
    fleet = Many(3, Rates(rpm=100))
    fleet.step(0)
    fleet.press(1.2, workers=fleet.workers[:1])
    assert fleet.used >= 95


def test_the_first_call_of_a_tenant_is_never_refused_for_want_of_a_share() -> None:
    """Neither a small limit nor a large call; not before the first sync, nor after a quiet time."""
    fleet = Many(4, Rates(rpm=2, tpm=1000, streams=1), Caps(day=1000))
    assert fleet.ask(fleet.workers[0], tokens=900, cost=900)
    for _ in range(300):
        fleet.step(1.0)
    assert fleet.ask(fleet.workers[0], tokens=900, cost=90)


def test_workers_that_are_all_pressed_have_equal_parts_and_use_it_to_the_full() -> None:
    """Together they never have more than a tenth above the limit, and after the first minute not more than it."""
    fleet = Many(4, Rates(rpm=400))
    assert fleet.press(70) <= 440
    assert 380 <= fleet.press(20) <= 400
    shares = [worker.shares.ceiling(("shop", "", Measure.REQUESTS), 400) for worker in fleet.workers]
    assert max(shares) - min(shares) <= 4


def test_the_demand_moves_and_the_shares_follow_within_two_seconds_of_what_comes_free() -> None:
    """Who is not asked any more gives back as its calls grow old."""
    fleet = Many(2, Rates(rpm=600))
    first, second = fleet.workers
    fleet.press(60, workers=[first])
    fleet.press(58, workers=[second])
    most = fleet.press(5, workers=[second])
    assert 570 <= most <= 600


@pytest.mark.parametrize("pressed", [1, 2])
def test_a_partition_never_lets_more_than_a_tenth_above_the_limit_through(pressed: int) -> None:
    """Half of the workers lose Redis for five minutes, with the demand at them or not; then all agree again."""
    fleet = Many(4, Rates(rpm=400))
    asked = fleet.workers[:pressed] if pressed == 1 else None
    fleet.press(70, 0.2, asked)
    for worker in fleet.workers[2:]:
        worker.reach = False
    assert fleet.press(300, 0.2, None) <= 440
    assert fleet.used >= 350
    for worker in fleet.workers[2:]:
        worker.reach = True
    assert fleet.press(2, 0.2) <= 440
    assert 380 <= fleet.press(70, 0.2) <= 400


def test_without_redis_the_fleet_keeps_its_shares_and_later_its_parts() -> None:
    """All lose it for five minutes: never more than the limit, and used to the full."""
    fleet = Many(4, Rates(rpm=400))
    fleet.press(70, 0.2)
    for worker in fleet.workers:
        worker.reach = False
    assert fleet.press(8, 0.2) <= 400
    assert fleet.press(300, 0.2) <= 400
    assert fleet.used >= 380


def test_workers_join_and_leave() -> None:
    """Two more, then four fewer, under pressure: never more than a tenth above."""
    fleet = Many(2, Rates(rpm=400))
    fleet.press(70, 0.2)
    for number in (7, 8):
        fleet.workers.append(One(fleet.clock, number, fleet.tenant))
        assert fleet.press(20, 0.2) <= 440
    for worker in fleet.workers[:2]:
        worker.shares.leave()
        worker.sync(fleet.agreed)
    del fleet.workers[:2]
    assert fleet.press(80, 0.2) <= 440
    assert 380 <= fleet.used <= 400


def test_a_worker_that_was_killed_and_came_back_leaves_no_quota_stuck() -> None:
    """Its former self is forgotten once what it used has grown old."""
    fleet = Many(2, Rates(rpm=400, streams=40))
    fleet.press(20, 0.2)
    fleet.workers[1] = One(fleet.clock, 9, fleet.tenant, name="20")
    fleet.press(70, 0.2)
    assert 380 <= fleet.press(5, 0.2) <= 400
    assert fleet.workers[0].shares.known == 2


def test_redis_that_is_wiped_changes_nothing() -> None:
    """Under pressure: no more is let through than before."""
    fleet = Many(3, Rates(rpm=300))
    fleet.press(70, 0.2)
    for _ in range(3):
        fleet.agreed = fleet.agreed.__class__()
        assert fleet.press(20, 0.2) <= 300
    assert fleet.used >= 285


# ---- money ----

DOLLAR = 1_000_000_000


def test_a_cap_is_spent_to_the_full_and_never_above() -> None:
    """By three workers at once; whoever has not met the tenant yet lets nothing through either."""
    fleet = Many(3, caps=Caps(day=10 * DOLLAR))
    fleet.press(30, 0.2, fleet.workers[:2], cost=DOLLAR // 100)
    assert 9.8 * DOLLAR <= fleet.spent <= 10 * DOLLAR
    excess = fleet.workers[2].refused(cost=DOLLAR // 1000)
    assert excess is not None
    assert excess.measure is Measure.DAY
    fleet.workers.append(One(fleet.clock, 9, fleet.tenant))
    fleet.step(PERIOD)
    assert fleet.workers[3].refused(cost=1) is not None
    fleet.press(100, 0.5, cost=DOLLAR // 100)
    assert fleet.spent <= 10 * DOLLAR


@pytest.mark.parametrize("pressed", [[0], [2], [0, 1, 2, 3]], ids=str)
def test_a_cap_never_relaxes_in_a_partition(pressed: list[int]) -> None:
    """Half of the fleet without Redis for hours: together no more than the cap; healed, the rest can be spent."""
    fleet = Many(4, caps=Caps(day=100 * DOLLAR))
    for _ in range(10):
        for worker in fleet.workers:
            fleet.ask(worker, cost=DOLLAR)
        fleet.step(PERIOD)
    for worker in fleet.workers[2:]:
        worker.reach = False
    fleet.press(7200, 20.0, [fleet.workers[n] for n in pressed], cost=DOLLAR)
    assert 45 * DOLLAR <= fleet.spent <= 100 * DOLLAR
    for worker in fleet.workers[2:]:
        worker.reach = True
    fleet.press(30, 0.5, cost=DOLLAR)
    assert 97 * DOLLAR <= fleet.spent <= 100 * DOLLAR


def test_a_new_day_begins_with_start_shares_and_has_the_whole_cap() -> None:
    """Also where Redis went just before midnight: then each has its part of it."""
    for reach in (True, False):
        fleet = Many(2, caps=Caps(day=100 * DOLLAR))
        fleet.clock.wall = START - START % 86_400 + 86_400 - 60
        fleet.press(20, 0.5, cost=DOLLAR)
        assert 98 * DOLLAR <= fleet.spent <= 100 * DOLLAR
        for worker in fleet.workers:
            worker.reach = reach
        fleet.press(39, 0.5, cost=DOLLAR)
        fleet.spent = 0
        fleet.press(60, 0.5, cost=DOLLAR)
        assert 96 * DOLLAR <= fleet.spent <= 100 * DOLLAR


def test_a_worker_with_a_ledger_has_back_what_its_former_self_did_not_spend() -> None:
    """It was killed; the ledger knows what it spent."""
    fleet = Many(2, caps=Caps(day=100 * DOLLAR))
    first, second = fleet.workers
    second.shares.spender = "f00d"
    for _ in range(10):
        fleet.ask(first, cost=DOLLAR)
        fleet.ask(second, cost=DOLLAR)
        fleet.step(PERIOD)
    again = fleet.workers[1] = One(fleet.clock, 9, fleet.tenant, name="20", spender="f00d")
    again.quotas.restore([("2027-01-15", "shop", "qwen", 10 * DOLLAR)])
    fleet.press(30, 0.5, cost=DOLLAR)
    assert 98 * DOLLAR <= fleet.spent <= 100 * DOLLAR


def test_money_survives_a_wipe_after_a_replica_has_left() -> None:
    """What it spent is known by those that stay."""
    fleet = Many(3, caps=Caps(day=100 * DOLLAR))
    for _ in range(20):
        for worker in fleet.workers:
            fleet.ask(worker, cost=DOLLAR)
        fleet.step(PERIOD)
    gone = fleet.workers.pop()
    gone.shares.leave()
    gone.sync(fleet.agreed)
    fleet.press(3, 0.2, [], cost=DOLLAR)
    fleet.agreed = fleet.agreed.__class__()
    fleet.press(60, 0.5, cost=DOLLAR)
    assert 97 * DOLLAR <= fleet.spent <= 100 * DOLLAR


# ---- any history ----


@given(st.integers(0, 2**32))
@examples(max_examples=4, deadline=None)
def test_whatever_happens_a_tenth_above_the_limit_is_the_most_and_a_cap_is_a_cap(seed: int) -> None:
    """Demand that moves, partitions of some minutes, workers that come, some at once or unheard, and leave."""
    chance = random.Random(seed)
    limit = 200
    fleet = Many(chance.randint(1, 5), Rates(tpm=limit), Caps(day=1000))
    pressed, cut_at = list(fleet.workers), dict.fromkeys(fleet.workers, 0.0)
    for number in range(10, 26):
        what = chance.choice(["demand"] * 4 + ["cut", "heal", "heal", "join", "join", "stranger", "leave", "quiet"])
        worker = chance.choice(fleet.workers)
        if what == "demand":
            pressed = chance.sample(fleet.workers, chance.randint(0, len(fleet.workers)))
        elif what in {"cut", "heal"}:
            worker.reach = what == "heal"
            cut_at[worker] = fleet.clock.now if worker.reach else cut_at.get(worker, 0.0) or fleet.clock.now
        elif what in {"join", "stranger"} and len(fleet.workers) < 8:
            for place in range(chance.randint(1, 4) if what == "join" else 1):
                one = One(fleet.clock, number * 10 + place, fleet.tenant)
                one.reach = what == "join" or any(not other.shares._syncs for other in fleet.workers)
                cut_at[one] = fleet.clock.now
                one.sync(fleet.agreed)
                fleet.workers.append(one)
                pressed.append(one)
        elif what == "leave" and len(fleet.workers) > 1 and worker.reach:
            worker.shares.leave()
            worker.sync(fleet.agreed)
            fleet.workers.remove(worker)
        elif what == "quiet":
            fleet.press(130, 5.0, [])
        for one in fleet.workers:
            one.reach = one.reach or fleet.clock.now - cut_at[one] > 500
        pressed = [one for one in pressed if one in fleet.workers]
        most = fleet.press(chance.choice([1, 4, 30, 70]), 0.5, pressed, cost=chance.choice([0, 1]))
        assert most <= limit * 1.1 + len(fleet.workers)
        assert fleet.spent <= 1000
