"""`hybridproxy state`: what is out of service and why."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from hybridproxy.model.fault import FACTS, Fault, FaultKind, Verdict
from hybridproxy.resilience import breaker
from hybridproxy.resilience.breaker import Outcome, Signal
from hybridproxy.stores.memory import MemoryHealth

Run = Callable[..., Result]
Admin = Callable[..., AbstractAsyncContextManager[MemoryHealth]]

SG = ("sg", "sg.example", "qwen-sg", "sg#1")
US = ("us", "us.example", "qwen-us", "us#1")
VPC = ("vpc", "10.0.3.1", "qwen-vpc", "vpc#1")


def fail(health: MemoryHealth, key: tuple[str, str, str, str], kind: FaultKind, **more: Any) -> None:
    """Let a target fail once."""
    health.note(key, Outcome(Signal.START, FACTS[kind].verdict, FACTS[kind].text, **more), Fault(kind))


async def test_a_good_day_is_a_short_list_and_status_0(file: Path, run: Run, admin: Admin) -> None:
    """Every backend and region is in service; there is no table of targets or keys."""
    async with admin():
        done = await asyncio.to_thread(run, "state", "--config", file)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        "BACKEND  PROVIDER  REGION  TRUST        SERVICE\n"
        "sg       openai    asia    third-party  in service\n"
        "us       openai    -       third-party  in service\n"
        "vpc      vllm      -       vpc          in service\n"
        "\n"
        "REGION   ITS BACKENDS  SERVICE\n"
        "china    -             in service\n"
        "asia     sg            in service\n"
        "default  -             in service\n"
        "\n"
        "under way  2 calls\n"
        "load       waits of 0.4 ms, memory 64 of 512 MB, at most 5000 calls\n"
        "sharing    none: each replica knows its own\n"
    )


async def test_what_is_out_is_shown_with_its_reason_and_end(file: Path, run: Run, admin: Admin) -> None:
    """Status 1, and a line for each backend, target, region and key that is not as it should be."""
    async with admin(shared={"up": True, "live": 3, "age": 0.31}) as health:
        health.drain("vpc", "maintenance", 3600)
        health.evacuate("asia", "cable cut", 7200)
        fail(health, SG, FaultKind.CREDENTIAL)
        for _ in range(5):
            fail(health, US, FaultKind.OVERLOADED)
        fail(health, VPC, FaultKind.THROTTLED, wait=60.0)
        done = await asyncio.to_thread(run, "state", "--config", file)
    assert done.exit_code == 1
    rows = [line.split(maxsplit=4) for line in done.stdout.splitlines()]
    assert ["sg", "openai", "asia", "third-party", "evacuated until 2026-09-21T16:13:20Z: cable cut"] in rows
    assert ["vpc", "vllm", "-", "vpc", "drained until 2026-09-21T15:13:20Z: maintenance"] in rows
    text = " ".join(done.stdout.split())
    overloaded, throttled = FACTS[FaultKind.OVERLOADED].text, FACTS[FaultKind.THROTTLED].text
    for says in (
        "sg sg.example qwen-sg sg#1 closed 0 0 of 0 failed 0 of 0 failed quarantined: our key was refused",
        f"us us.example qwen-us us#1 open 1 0 of 0 failed 0 of 0 failed open: 5 faults in a row: {overloaded}; checked",
        "checked at 2026-09-21T14:13:25Z",
        f"vpc 10.0.3.1 qwen-vpc vpc#1 closed 0 0 of 0 failed 0 of 0 failed cooling off: {throttled}; cools off",
        "cools off until 2026-09-21T14:14:20Z",
        "sg#1 sg all models quarantined until 2026-09-28T14:13:20Z: our key was refused",
        "sharing through Redis: 3 live workers, last synced 0.3 s ago",
    ):
        assert says in text
    assert "of-tests" not in done.output


async def test_what_comes_back_by_a_ramp_is_nothing_found(file: Path, run: Run, admin: Admin) -> None:
    """It is shown with its share of the calls; nobody has to do anything. So are faults that opened nothing."""
    async with admin() as health:
        for _ in range(5):
            fail(health, US, FaultKind.OVERLOADED)
        health.step(US, breaker.HeardClosed(1))
        health.good(SG, Signal.START)
        health.note(SG, Outcome(Signal.INTEGRITY, Verdict.FAULT, "cut"))
        done = await asyncio.to_thread(run, "state", "--config", file)
    assert done.exit_code == 0
    assert "coming back by a ramp; gets 10% of its calls" in done.stdout
    assert "closed   0       0 of 1 failed  1 of 1 failed  fit\n" in done.stdout


@pytest.mark.parametrize(
    ("reasons", "status", "says"), [(["lag"], 1, "; refuses calls now because of lag"), ([], 0, "")]
)
async def test_calls_that_are_refused_because_of_the_load_are_something_found(
    reasons: list[str], status: int, says: str, file: Path, run: Run, admin: Admin
) -> None:
    """Status 1 while they are; afterwards only their number is left."""
    async with admin(pressure={"reasons": reasons, "refused": {"calls": 0, "memory": 3, "lag": 1200}}):
        done = await asyncio.to_thread(run, "state", "--config", file)
    assert done.exit_code == status
    assert f"5000 calls{says}; refused so far: 3 because of memory, 1200 because of lag\n" in done.stdout


@pytest.mark.parametrize(
    ("shared", "says", "status"),
    [
        ({"up": True, "live": 1, "age": 0.2}, "through Redis: 1 live worker, last synced 0.2 s ago", 0),
        ({"up": False, "live": 3, "age": 41.26}, "Redis cannot be reached: last synced 41.3 s ago", 1),
        ({"up": False, "live": 1, "age": float("inf")}, "Redis cannot be reached: never synced", 1),
    ],
)
async def test_how_sharing_goes(
    shared: dict[str, Any], says: str, status: int, file: Path, run: Run, admin: Admin
) -> None:
    """A replica that is alone is something found."""
    async with admin(shared=shared):
        done = await asyncio.to_thread(run, "state", "--config", file)
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (status, f"sharing    {says}")


async def test_more_targets_than_are_sent_are_counted(
    file: Path, run: Run, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table says that it is not complete."""
    monkeypatch.setattr("hybridproxy.gateway.operator.MAX_TARGETS", 2)
    async with admin() as health:
        for number in range(5):
            health.good(("us", "us.example", f"m{number}", "us#1"), Signal.START)
        done = await asyncio.to_thread(run, "state", "--config", file)
    assert "… and 3 more\n" in done.stdout


async def test_json_is_what_the_admin_port_says(file: Path, run: Run, admin: Admin) -> None:
    """The same statuses, and a whole JSON value."""
    async with admin() as health:
        done = await asyncio.to_thread(run, "state", "--json", "--config", file)
        assert done.exit_code == 0
        assert [backend["id"] for backend in json.loads(done.stdout)["backends"]] == ["sg", "us", "vpc"]
        health.drain("sg", "drill", 60)
        done = await asyncio.to_thread(run, "state", "--json", "--config", file)
        assert done.exit_code == 1
        assert json.loads(done.stdout)["marks"][0]["backend"] == "sg"


async def test_limits_in_use_are_listed(file: Path, run: Run, admin: Admin) -> None:
    """The fullest first; money in dollars."""
    whose = {"tenant": "shop", "reserved": 0, "refused": 1200}
    limits = [
        {
            **whose,
            "models": "*",
            "measure": "day",
            "limit": 50_000_000_000,
            "share": 50_000_000_000,
            "used": 12_500_000_000,
        },
        {**whose, "models": "qwen*", "measure": "tokens", "limit": 400_000, "share": 100_000, "used": 99_000},
    ]
    async with admin(limits=limits):
        done = await asyncio.to_thread(run, "state", "--config", file)
    assert done.exit_code == 0
    assert (
        "LIMIT OF  MODELS  BOUNDS            LIMIT    ITS SHARE HERE  IN USE   REFUSED\n"
        "shop      *       US dollars today  50.0000  50.0000         12.5000  1,200\n"
        "shop      qwen*   tokens in 60 s    400,000  100,000         99,000   1,200\n"
        "… and 3 more\n"
    ) in done.stdout


async def test_limits_of_backends_are_shown_with_what_is_in_use_and_what_was_learnt(
    file: Path, run: Run, admin: Admin
) -> None:
    """What the operator gave by key, what was learnt by model; that some is used up is no fault, so status 0."""
    place = {"backend": "sg", "credential": "sg#1", "waiting": 2, "refused": 7}
    given = {**place, "model": None, "limits": {"rpm": {"limit": 600, "used": 598}}, "learnt": {}}
    learnt = {"at_a_time": 18, "rpm": None, "nothing_left_for": 2.5}
    async with admin(upstream=(given, {**place, "model": "qwen", "limits": {}, "learnt": learnt})):
        done = await asyncio.to_thread(run, "state", "--config", file)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "598 of 600 requests a minute" in done.stdout
    assert "18 calls at a time; nothing left for 2.5 s" in done.stdout
