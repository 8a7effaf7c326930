"""`hybridproxy drain`, `undrain`, `trip`, `reset`, `evacuate`, `restore`: orders to a running server."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from typer.testing import Result

from hybridproxy.model.health import backend_key, region_key
from hybridproxy.resilience.breaker import Signal
from hybridproxy.stores.memory import MemoryHealth

Run = Callable[..., Result]
Admin = Callable[..., AbstractAsyncContextManager[MemoryHealth]]

SG = ("sg", "sg.example", "qwen-sg", "sg#1")


async def test_each_order_is_carried_out_and_told_in_one_line(file: Path, run: Run, admin: Admin) -> None:
    """What is so now, and until when; status 0."""
    async with admin() as health:
        health.good(SG, Signal.START)

        async def tell(*command: str) -> str:
            done = await asyncio.to_thread(run, *command, "--config", file)
            assert (done.exit_code, done.stderr) == (0, "")
            return done.stdout

        assert await tell("drain", "sg", "--reason", "ticket 4711", "--for", "2h") == (
            "backend sg is drained until 2026-09-21T16:13:20Z: no new calls, those under way come to their end\n"
        )
        assert backend_key("sg") in health.view
        assert await tell("undrain", "sg", "--reason", "done") == "backend sg is no longer drained\n"
        assert await tell("undrain", "sg") == "nothing to do: backend sg is not drained\n"
        assert await tell("trip", "sg", "--reason", "wrong answers") == (
            "backend sg is tripped until 2026-09-21T15:13:20Z; then it comes back by a check, probes and a ramp\n"
        )
        assert SG in health.view
        assert await tell("reset", "sg") == "backend sg is reset: forgot trips: 1, breakers: 1\n"
        assert await tell("evacuate", "asia", "--reason", "cable cut", "--for", "7d") == (
            "region asia is evacuated until 2026-09-28T14:13:20Z: no new calls to sg\n"
        )
        assert region_key("asia") in health.view
        assert await tell("restore", "asia") == "region asia is no longer evacuated\n"
        assert not health.view


async def test_json_has_the_whole_result(file: Path, run: Run, admin: Admin) -> None:
    """A program reads what the admin port answered."""
    async with admin(shared={"up": True, "live": 2, "age": 0.1}):
        done = await asyncio.to_thread(run, "drain", "us", "--reason", "drill", "--json", "--config", file)
    assert done.exit_code == 0
    answer = json.loads(done.stdout)
    assert (answer["id"], answer["changed"], answer["shared"]) == ("us", True, True)
    assert answer["out"] == {"why": "drained", "reason": "drill", "until": "2026-09-21T15:13:20Z"}


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["drain", "nope", "--reason", "x"], "there is no backend 'nope': expected one of: sg, us, vpc"),
        (["reset", "../regions"], "there is no backend '../regions'"),
        (["drain", "..", "--reason", "x"], ""),
        (["drain", "sg", "--reason", " "], "'reason': expected a text of 1 to 200 printable characters"),
        (["trip", "sg", "--reason", "x", "--for", "8d"], "'for': expected a duration such as 90s, 30m, 1h or 7d"),
        (["evacuate", "mars", "--reason", "x"], "there is no region 'mars': expected one of: asia, china, default"),
        (["evacuate", "china", "--reason", "x"], "set backends.NAME.region"),
        (["restore", "mars"], "there is no region 'mars'"),
    ],
)
async def test_an_order_that_makes_no_sense_is_misuse(
    command: list[str], says: str, file: Path, run: Run, admin: Admin
) -> None:
    """Status 2, the server's words on stderr, and nothing has changed."""
    async with admin() as health:
        for flags in ([], ["--json"]):
            done = await asyncio.to_thread(run, *command, *flags, "--config", file)
            assert (done.exit_code, done.stdout) == (2, "")
            assert done.stderr.startswith("hybridproxy: ")
            assert says in done.stderr
        assert not health.view


@pytest.mark.parametrize("command", [["drain", "sg"], ["trip", "sg"], ["evacuate", "asia"]])
def test_taking_out_wants_a_reason(command: list[str], file: Path, run: Run) -> None:
    """Whoever is on call next reads it; the command does not start without."""
    done = run(*command, "--config", file)
    assert done.exit_code == 2
    assert "Missing option '--reason'" in done.stderr


@pytest.mark.parametrize("flags", [[], ["--json"]])
async def test_while_redis_is_gone_the_order_holds_and_the_operator_is_told(
    flags: list[str], file: Path, run: Run, admin: Admin
) -> None:
    """Status 1: it worked here, and the other replicas do not know yet."""
    async with admin(shared={"up": False, "live": 1, "age": 40.0}) as health:
        done = await asyncio.to_thread(run, "drain", "sg", "--reason", "drill", *flags, "--config", file)
        assert backend_key("sg") in health.view
    assert done.exit_code == 1
    assert "drained" in done.stdout
    assert done.stderr == "hybridproxy: Redis cannot be reached: so far only this replica knows\n"
