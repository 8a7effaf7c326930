"""`hybridproxy reload`: ask the running server for its new configuration."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from typer.testing import Result

from hybridproxy.admin.server import admin_app

Run = Callable[..., Result]


@asynccontextmanager
async def admin(file: Path, mistakes: list[str], token: str = "admin-token-of-tests") -> AsyncIterator[None]:
    """An admin port whose server would find these mistakes; the file is told its port."""

    async def reload() -> list[str]:
        return mistakes

    def explain(described: dict[str, Any]) -> dict[str, Any]:
        return described

    runner = web.AppRunner(admin_app(token=token, metrics=lambda: b"", explain=explain, reload=reload))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    use_port(file, runner.addresses[0][1])
    try:
        yield
    finally:
        await runner.cleanup()


def change(file: Path, before: str, after: str) -> None:
    """Replace a part of the file."""
    file.write_text(file.read_text().replace(before, after))


def use_port(file: Path, port: int) -> None:
    """Put the admin port into the file."""
    change(file, "host: 127.0.0.1, port: 8081", f"host: 127.0.0.1, port: {port}")


async def test_the_new_file_is_in_force(file: Path, run: Run) -> None:
    """A good file: one word, status 0."""
    async with admin(file, []):
        done = await asyncio.to_thread(run, "reload", "--config", file)
        assert (done.exit_code, done.stdout, done.stderr) == (0, "reloaded\n", "")
        done = await asyncio.to_thread(run, "reload", "--config", file, "--json")
        assert (done.exit_code, json.loads(done.stdout)) == (0, {"reloaded": True})


async def test_what_the_server_found_is_listed(file: Path, run: Run) -> None:
    """The server may see mistakes that are none here, such as a variable it does not have: status 1 and its list."""
    mistakes = ["proxy.yaml:2:5: a: is required", "proxy.yaml:3:5: b: is required"]
    async with admin(file, mistakes):
        done = await asyncio.to_thread(run, "reload", "--config", file)
        assert done.exit_code == 1
        assert (done.stdout + done.stderr).splitlines() == mistakes
        done = await asyncio.to_thread(run, "reload", "--config", file, "--json")
        assert done.exit_code == 1
        assert json.loads(done.stdout) == {"reloaded": False, "mistakes": mistakes}


async def test_a_wrong_token_is_told(file: Path, run: Run) -> None:
    """A token that is not the server's is not success, and the message says what is wanted."""
    async with admin(file, [], token="another"):
        done = await asyncio.to_thread(run, "reload", "--config", file)
    assert done.exit_code == 1
    assert "admin token" in done.output


async def test_a_server_that_listens_on_all_addresses_is_asked_on_loopback(file: Path, run: Run) -> None:
    """0.0.0.0 is no address to connect to."""
    async with admin(file, []):
        change(file, "admin: {host: 127.0.0.1", "admin: {host: 0.0.0.0")
        done = await asyncio.to_thread(run, "reload", "--config", file)
    assert done.exit_code == 0, done.output


async def test_a_proxy_in_the_environment_is_not_used(file: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token goes to the admin port and to nobody else."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with admin(file, []):
        assert (await asyncio.to_thread(run, "reload", "--config", file)).exit_code == 0


def test_no_server_is_told_with_its_place(file: Path, run: Run, unused_tcp_port: int) -> None:
    """When nothing listens, the message has the address that was tried."""
    use_port(file, unused_tcp_port)
    done = run("reload", "--config", file)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"hybridproxy: no answer from the admin port at 127.0.0.1:{unused_tcp_port}: ")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nhello",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
)
async def test_something_else_on_that_port_is_told(answer: bytes, file: Path, run: Run) -> None:
    """Whatever listens in the admin port's place, the outcome is status 2 and a sentence."""

    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(stranger, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        use_port(file, port)
        done = await asyncio.to_thread(run, "reload", "--config", file)
    assert done.exit_code == 2
    assert f"127.0.0.1:{port}" in done.stderr
    assert done.stdout == ""


def test_without_an_admin_port_the_other_way_is_named(file: Path, run: Run) -> None:
    """A server without an admin port reloads on SIGHUP."""
    file.write_text("\n".join(line for line in file.read_text().splitlines() if not line.startswith("admin")))
    done = run("reload", "--config", file)
    assert done.exit_code == 2
    assert "SIGHUP" in done.stderr
