"""`hybridproxy reload`: ask the running server for its new configuration."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from typer.testing import Result

Run = Callable[..., Result]
Admin = Callable[..., AbstractAsyncContextManager[object]]


async def test_the_new_file_is_in_force(file: Path, run: Run, admin: Admin) -> None:
    """A good file: one word, status 0."""
    async with admin():
        done = await asyncio.to_thread(run, "reload", "--config", file)
        assert (done.exit_code, done.stdout, done.stderr) == (0, "reloaded\n", "")
        done = await asyncio.to_thread(run, "reload", "--config", file, "--json")
        assert (done.exit_code, json.loads(done.stdout)) == (0, {"reloaded": True})


async def test_what_the_server_found_is_listed(file: Path, run: Run, admin: Admin) -> None:
    """The server may see mistakes that are none here, such as a variable it does not have: status 1 and its list."""
    mistakes = ("proxy.yaml:2:5: a: is required", "proxy.yaml:3:5: b: is required")
    async with admin(mistakes):
        done = await asyncio.to_thread(run, "reload", "--config", file)
        assert done.exit_code == 1
        assert (done.stdout + done.stderr).splitlines() == list(mistakes)
        done = await asyncio.to_thread(run, "reload", "--config", file, "--json")
        assert done.exit_code == 1
        assert json.loads(done.stdout) == {"reloaded": False, "mistakes": list(mistakes)}


async def test_a_wrong_token_is_told(file: Path, run: Run, admin: Admin) -> None:
    """A token that is not the server's is not success, and the message says what is wanted."""
    async with admin(token="another"):
        done = await asyncio.to_thread(run, "reload", "--config", file)
    assert done.exit_code == 1
    assert "admin token" in done.output


def test_without_an_admin_port_the_other_way_is_named(file: Path, run: Run) -> None:
    """A server without an admin port reloads on SIGHUP."""
    file.write_text("\n".join(line for line in file.read_text().splitlines() if not line.startswith("admin")))
    done = run("reload", "--config", file)
    assert done.exit_code == 2
    assert "SIGHUP" in done.stderr
