"""Processes that are killed under load, again and again: what was sent is in the ledger, once."""

import asyncio
import collections
import contextlib
import os
import random
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import orjson
import pytest

from hybridproxy.metering.lines import Attempt, attempt_line, started_line
from hybridproxy.metering.records import Called, Outcome
from hybridproxy.metering.report import FIELDS, total
from hybridproxy.simulator.server import RunningSimulator, RunningSimulators
from hybridproxy.stores import ledger, redis
from hybridproxy.stores.board import Board, left_on
from hybridproxy.stores.ledger import FLUSH_SECONDS
from hybridproxy.stores.ledger_files import usage_in
from tests.integration.test_audit_crash import proxy, simulators
from tests.support.bookkeeping import Books, begun, records_in, whole
from tests.support.patience import LONG, begin_a_day, until
from tests.support.redis_servers import RedisServer
from tests.support.stack import BANK, SHOP, TORONTO, chat, running

__all__ = ["simulators"]

LEDGER = "ledger: {path: ledger}"
KILLS = int(os.environ.get("HYBRIDPROXY_KILLS", "2"))


async def load(port: int, seed: int, stop: asyncio.Event) -> None:
    """Make calls of all kinds one after the other until told to stop; what breaks off does so."""
    rng = random.Random(seed)
    async with aiohttp.ClientSession() as http:
        while not stop.is_set():
            headers = {"authorization": f"Bearer {rng.choice((SHOP, BANK))}", "x-forwarded-for": TORONTO}
            body = chat("word " * rng.randint(1, 50), stream=rng.random() < 0.5)
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with http.post(
                    f"http://127.0.0.1:{port}/v1/chat/completions", headers=headers, json=body
                ) as response:
                    await response.read()
            await asyncio.sleep(0)


def sent(simulators: RunningSimulators) -> collections.Counter[str]:
    """How many requests the upstreams got for each call."""
    entries = [entry for one in simulators.all for entry in one.upstream.journal.entries]
    return collections.Counter(dict(entry.headers)["x-request-id"] for entry in entries)


async def took(upstreams: Sequence[RunningSimulator], count: int) -> None:
    """Wait until upstreams got so many requests more."""
    before = sum(len(one.upstream.journal.entries) for one in upstreams)
    await until(lambda: sum(len(one.upstream.journal.entries) for one in upstreams) >= before + count)


async def restarted(folder: Path) -> None:
    """Let the next ledger take over what a killed process left."""
    books = Books(folder / "ledger")
    books.ledger.start()
    await books.close()


async def test_what_a_killed_process_sent_is_in_the_ledger_once(
    tmp_path: Path, simulators: RunningSimulators, unused_tcp_port_factory: object
) -> None:
    """Every request that reached an upstream has its attempt, each call its one record, and the sums are theirs."""
    simulators["together"].behave({"fault": {"kind": "status", "status": 500, "probability": 0.1}})
    rng = random.Random(7)
    for kill in range(KILLS):
        port = unused_tcp_port_factory()  # type: ignore[operator]
        stop = asyncio.Event()
        async with proxy(tmp_path, simulators, port, audit=LEDGER) as process:
            loads = [asyncio.create_task(load(port, kill * 10 + n, stop)) for n in range(8)]
            await took(simulators.all, rng.randint(40, 80))
            if kill == KILLS - 1:
                simulators["vllm"].behave({"latency_ms": 25_000})
                await took([simulators["vllm"]], 1)  # so that one at least is under way then
            process.kill()
            await process.wait()
            stop.set()
            await asyncio.gather(*loads)
    before = usage_in(tmp_path / "ledger")
    await restarted(tmp_path)
    records = records_in(tmp_path / "ledger")
    attempts = {(one.started.call, one.started.n): one for one in records if isinstance(one, Attempt)}
    calls = [one for one in records if isinstance(one, Called)]
    assert len(attempts) + len(calls) == len(records)
    booked = collections.Counter(call for call, _ in attempts)
    unknown = [one for one in attempts.values() if one.ended.outcome is Outcome.UNKNOWN]
    assert sent(simulators) <= booked
    assert sum((booked - sent(simulators)).values()) <= len(unknown)
    assert unknown
    assert all(one.ended.cost == one.ended.table and one.ended.usage.estimated for one in unknown)
    assert {call for call, _ in attempts} <= {one.call for one in calls}
    assert max(collections.Counter(one.call for one in calls).values()) == 1
    found = usage_in(tmp_path / "ledger")
    sums = dict(zip(FIELDS, total(found.rows.values()), strict=True))
    assert (sums["calls"], sums["attempts"], sums["unknown"]) == (len(calls), len(attempts), len(unknown))
    assert sums["cost"] == sum(one.ended.cost for one in attempts.values())
    assert before.rows == found.rows  # a report before the next start counts what was in flight in the same way
    assert before.running > 0


async def test_a_process_that_may_write_no_more_serves_on_and_forgets_nothing(
    tmp_path: Path, simulators: RunningSimulators, unused_tcp_port_factory: object
) -> None:
    """The kernel's limit on the size of files, where no small disk can be mounted; `kill -9` costs nothing then."""
    port = unused_tcp_port_factory()  # type: ignore[operator]
    async with proxy(tmp_path, simulators, port, audit=LEDGER) as process, aiohttp.ClientSession() as http:

        async def ask() -> None:
            headers = {"authorization": f"Bearer {SHOP}", "x-forwarded-for": TORONTO}
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            async with http.post(url, headers=headers, json=chat()) as response:
                assert response.status == 200
                await response.read()

        await ask()
        board = tmp_path / "ledger" / "0" / "board"
        await until(lambda: not left_on(board))
        limit = await asyncio.create_subprocess_exec("prlimit", f"--pid={process.pid}", "--fsize=10:")
        if await limit.wait():
            pytest.skip("prlimit is not there")
        for _ in range(20):
            await ask()
        await until(lambda: len(left_on(board)) == 40)  # the last call's own record comes behind its answer
        await asyncio.sleep(FLUSH_SECONDS * 2)  # it would have been written by now
        assert len(left_on(board)) == 40
        process.kill()
        await process.wait()
    await restarted(tmp_path)
    found = records_in(tmp_path / "ledger")
    attempts = [one for one in found if isinstance(one, Attempt)]
    assert collections.Counter(one.started.call for one in attempts) == sent(simulators)
    assert {one.ended.outcome for one in attempts} == {Outcome.ANSWERED}
    assert sum(isinstance(one, Called) for one in found) == 21


def test_a_process_that_is_killed_in_the_middle_of_a_line_leaves_none(tmp_path: Path) -> None:
    """At any byte of it: what is on the board is the old line, the new one, or nothing."""
    old, new = started_line(begun("1", cost=7)), attempt_line(whole("1").started, whole("1").ended)
    board = Board(tmp_path / "board")
    board.clear()
    board.put(old)
    slot = board._free[-1]
    for at in range(0, len(new), 7):
        board._memory[slot + 1 : slot + 1 + at] = new[1 : 1 + at]  # and there it ends
        assert left_on(tmp_path / "board") == [old.rstrip(b"\n")]
    board.close()


async def test_the_admin_port_tells_what_this_worker_and_the_fleet_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As JSON and as CSV; by default of the fleet where there is a Redis, and all of it within seconds."""
    monkeypatch.setattr(ledger, "STALLED", LONG)  # a busy machine is no disk that hangs, and no Redis that is gone
    monkeypatch.setattr(redis, "TIMEOUT", LONG / 2)
    monkeypatch.setattr(redis, "DEADLINE", LONG)
    begin_a_day()
    with RedisServer(tmp_path) as server:
        text = f'redis: {{url: "{server.url}"}}'
        async with running(tmp_path, audit=LEDGER, redis=text) as stack:
            for key in (SHOP, BANK):
                async with stack.post(key=key, json=chat()) as response:
                    assert response.status == 200

            async def ask(**asked: str) -> tuple[int, str]:
                headers = {"authorization": "Bearer admin-token-of-tests"}
                url = stack.admin_url + "/admin/v1/usage"
                async with stack.http.get(url, params=asked, headers=headers) as response:
                    return response.status, await response.text()

            assert stack.worker.ledger is not None
            assert await stack.worker.ledger.flushed(LONG)
            status, body = await ask(scope="worker", by="tenant")
            worker = orjson.loads(body)
            assert (status, worker["scope"], worker["notes"]) == (200, "worker", [])
            assert [row["tenant"] for row in worker["rows"]] == ["bank", "shop"]
            assert worker["total"]["calls"] == 2
            async with asyncio.timeout(LONG):
                while orjson.loads((await ask(by="tenant"))[1])["rows"] != worker["rows"]:
                    await asyncio.sleep(0.05)
            assert orjson.loads((await ask())[1])["scope"] == "fleet"
            status, body = await ask(by="tenant", tenant="shop", format="csv")
            assert body.splitlines()[1].startswith("shop,1,1,")
            for wrong, says in (
                ({"by": "colour"}, "by: expected"),
                ({"scope": "moon"}, "scope: expected"),
                ({"format": "xml"}, "format: expected"),
                ({"colour": "red"}, "unknown parameter 'colour'"),
            ):
                status, body = await ask(**wrong)
                assert (status, says in body) == (400, True)
            url, headers = stack.admin_url + "/admin/v1/usage", {"authorization": "Bearer admin-token-of-tests"}
            async with stack.http.get(url + "?tenant=shop&tenant=bank", headers=headers) as response:
                assert (response.status, "twice" in await response.text()) == (400, True)
            server.kill()
            status, body = await ask()
            assert (status, "scope=worker" in body) == (503, True)
            gauges = stack.worker._gauges()
            assert gauges["hybridproxy_ledger_records"] == 4
    async with running(tmp_path) as stack:
        headers = {"authorization": "Bearer admin-token-of-tests"}
        async with stack.http.get(stack.admin_url + "/admin/v1/usage", headers=headers) as response:
            assert (response.status, "no ledger section" in await response.text()) == (400, True)
