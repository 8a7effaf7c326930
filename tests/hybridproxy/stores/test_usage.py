"""What ledgers tell a real Redis, and what whoever asks makes of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from hybridproxy.config.settings import Redis
from hybridproxy.metering.report import COST, Rows, grouped
from hybridproxy.stores import usage as module
from hybridproxy.stores.ledger_files import usage_in
from hybridproxy.stores.messages import PoisonedError
from hybridproxy.stores.usage import Fleet, UsageTeller, field_of, key_of
from tests.hybridproxy.stores.test_audit import until
from tests.support.bookkeeping import DAY, NOON, TODAY, Books, called, whole
from tests.support.redis_servers import RedisServer

DAYS = ("2026-11-26", TODAY)


def settings(server: RedisServer) -> Redis:
    """How to reach a server."""
    return Redis("standalone", (server.address,))


@asynccontextmanager
async def told(
    folder: Path, server: RedisServer, name: str = "00c0ffee00c0ffee"
) -> AsyncIterator[tuple[Books, UsageTeller]]:
    """A ledger and what tells of it, when the test says so."""
    books = Books(folder, lambda: NOON / 1000)
    books.ledger._new_id = lambda: name
    books.ledger.start()
    teller = UsageTeller(books.ledger, settings(server), wall=lambda: NOON / 1000)
    try:
        yield books, teller
    finally:
        await teller.close()
        await teller._server.close()
        await books.close()


async def tell_all(books: Books, teller: UsageTeller) -> None:
    """Tell until there is nothing to tell."""
    await books.flushed()
    failures = teller.failures
    while await teller.tell():
        pass
    assert teller.failures == failures


async def fleet(server: RedisServer, *tenants: str) -> Rows:
    """What Redis has."""
    found = Fleet(settings(server), tenants or ("shop", "bank"))
    await found.read(DAYS)
    assert found.junk == 0
    return found.rows


async def test_the_fleets_sums_are_those_of_all_ledgers(tmp_path: Path, server: RedisServer) -> None:
    """Whatever is told again and again counts once; probes and odd names are in it; no tenant's name is in Redis."""
    async with told(tmp_path / "a", server, "a" * 16) as one, told(tmp_path / "b", server, "b" * 16) as other:
        for n, (books, teller) in enumerate((one, other, one)):
            for m, tenant in enumerate(("shop", "bank", "")):
                made = whole(f"{n}.{m}", tenant=tenant, model="ü /x", region="", at=NOON - DAY * (m == 1))
                books.put(made)
                books.ledger.put(called(made))
            await tell_all(books, teller)
            assert not books.ledger.changed
        both = usage_in(tmp_path / "a")
        both.add(usage_in(tmp_path / "b"), usage_in(tmp_path / "b").rows)
        assert await fleet(server) == both.rows
        bank = "#" + field_of((TODAY, "bank", "", "", ""))[:16]
        assert grouped(await fleet(server, "shop"), ["tenant"]).keys() == {("shop",), ("",), (bank,)}
        name = key_of(settings(server), TODAY)
        with server.client() as client:
            assert 39 * 86_400 < client.ttl(name) <= 40 * 86_400
            assert "shop" not in repr(client.hgetall(name))


async def test_what_redis_forgot_is_told_again_from_the_ledgers_files(tmp_path: Path, own_server: RedisServer) -> None:
    """It was killed and has nothing; days that the ledger has no more in memory come from its files."""
    async with told(tmp_path, own_server) as (books, teller):
        books.put(whole("1", at=NOON - 5 * DAY))
        books.put(whole("2"))
        await tell_all(books, teller)
    own_server.kill()
    async with told(tmp_path, own_server) as (books, teller):
        books.put(whole("3"))
        await books.flushed()
        assert not await teller.tell()
        assert (teller.up, teller.failures) == (False, 1)
        own_server.start()
        await tell_all(books, teller)
        found = Fleet(settings(own_server), ("shop",))
        await found.read(["2026-11-22", TODAY])
        assert found.rows == usage_in(tmp_path).rows
        own_server.kill()
        own_server.start()
        books.put(whole("4"))
        await tell_all(books, teller)
        found = Fleet(settings(own_server), ("shop",))
        await found.read(["2026-11-22", TODAY])
        assert found.rows == usage_in(tmp_path).rows


async def test_it_runs_by_itself_and_tells_the_last_calls_before_it_stops(
    tmp_path: Path, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every second or so; nobody waits for it."""
    monkeypatch.setattr(module, "PERIOD", 0.01)
    async with told(tmp_path, server) as (books, teller):
        running = asyncio.create_task(teller.run())
        books.put(whole("1"))
        await until(lambda: teller.told)
        books.put(whole("2"))
        await books.flushed()
        await teller.close()
        await running
        assert sum(sums[COST] for sums in (await fleet(server)).values()) == 1400
        assert teller.waiting == 0


async def test_a_message_has_a_bound(tmp_path: Path, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is told with the next ones, a day at a time; what changes meanwhile is told again."""
    monkeypatch.setattr(module, "MOST", 3)
    async with told(tmp_path, server) as (books, teller):
        for n in range(7):
            books.put(whole(str(n), model=f"m{n}", at=NOON - DAY * (n % 2)))
        await books.flushed()
        assert await teller.tell()
        assert teller.waiting == 4
        call = teller._server.call

        async def changes(*what: object) -> object:
            books.put(whole("late", model="m1", at=NOON - DAY))
            books.ledger._flush()
            return await call(*what)  # type: ignore[arg-type]

        monkeypatch.setattr(teller._server, "call", changes)
        await teller.tell()
        monkeypatch.setattr(teller._server, "call", call)
        await tell_all(books, teller)
        assert await fleet(server) == usage_in(tmp_path).rows


async def test_what_no_worker_wrote_is_no_sum(tmp_path: Path, server: RedisServer) -> None:
    """It is counted as junk; a key that is no hash is an error, and the ledger goes on."""
    name = key_of(settings(server), TODAY)
    good, row = " ".join(["1"] * 14), "a" * 16 + " t m b r"
    less = good.replace("1", "-1")
    odd = {row: good, row + "2": "1 2", row + " x": good, "ü t m b r": good, row + "3": less}
    with server.client() as client:
        client.hset(name, mapping=odd)
        client.hset(name, mapping={"x t m b " + "r" * 5000: good, row + "4": " ".join([str(2**63)] * 14)})
    found = Fleet(settings(server), ())
    await found.read([TODAY])
    assert (found.junk, len(found.rows)) == (6, 1)
    server.ask("SET", name, "spoiled")
    with pytest.raises(RedisError):
        await Fleet(settings(server), ()).read([TODAY])
    with pytest.raises(PoisonedError):
        module._page(b"x")
    async with told(tmp_path, server) as (books, teller):
        books.put(whole("1"))
        await books.flushed()
        assert not await teller.tell()
        assert books.ledger.changed
    assert usage_in(tmp_path).records == 1


async def test_a_day_that_the_ledger_is_still_reading_is_not_told_yet(tmp_path: Path, server: RedisServer) -> None:
    """Its sums would be too small, and replace those that are there."""
    async with told(tmp_path, server) as (books, teller):
        books.put(whole("1"))
        await tell_all(books, teller)
        books.ledger.incomplete.add(TODAY)
        books.put(whole("2"))
        await books.flushed()
        assert not await teller.tell()
        books.ledger.incomplete.clear()
        assert await teller.tell()
