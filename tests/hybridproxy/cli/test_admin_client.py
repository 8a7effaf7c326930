"""How commands reach the running server, and what they say when they do not."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from typer.testing import Result

import hybridproxy.cli.admin_client as module
from hybridproxy.stores.memory import MemoryHealth

Run = Callable[..., Result]
Admin = Callable[..., AbstractAsyncContextManager[MemoryHealth]]

COMMANDS = (["reload"], ["state"], ["drain", "sg", "--reason", "x"], ["undrain", "sg"])


def change(file: Path, before: str, after: str) -> None:
    """Replace a part of the file."""
    file.write_text(file.read_text().replace(before, after))


def answered(body: bytes, status: str = "200 OK") -> bytes:
    """Return an answer on the wire."""
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


async def test_a_server_that_listens_on_all_addresses_is_asked_on_loopback(file: Path, run: Run, admin: Admin) -> None:
    """0.0.0.0 is no address to connect to."""
    async with admin():
        change(file, "admin: {host: 127.0.0.1", "admin: {host: 0.0.0.0")
        done = await asyncio.to_thread(run, "reload", "--config", file)
    assert done.exit_code == 0, done.output


def test_of_all_ipv6_addresses_the_loopback_is_asked(file: Path, run: Run, unused_tcp_port: int) -> None:
    """A server on :: takes no IPv4 connection, so it is not asked by one."""
    change(file, "host: 127.0.0.1, port: 8081", f"host: '::', port: {unused_tcp_port}")
    done = run("reload", "--config", file)
    assert done.exit_code == 2
    assert f"no answer from the admin port at ::1:{unused_tcp_port}: " in done.stderr


async def test_a_proxy_in_the_environment_is_not_used(
    file: Path, run: Run, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token goes to the admin port and to nobody else."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with admin():
        assert (await asyncio.to_thread(run, "reload", "--config", file)).exit_code == 0


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_server_is_told_with_its_place(command: list[str], file: Path, run: Run, unused_tcp_port: int) -> None:
    """When nothing listens, the message has the address that was tried."""
    change(file, "host: 127.0.0.1, port: 8081", f"host: 127.0.0.1, port: {unused_tcp_port}")
    done = run(*command, "--config", file)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"hybridproxy: no answer from the admin port at 127.0.0.1:{unused_tcp_port}: ")
    assert done.stdout == ""


@pytest.mark.parametrize(
    "answer",
    [
        answered(b"[]"),
        answered(b"hello"),
        answered(b"\xff"),
        answered(b"hello", "404 Not Found"),
        answered(b"{}".rjust(5000)),
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
)
@pytest.mark.parametrize("command", COMMANDS[:3], ids=" ".join)
async def test_something_else_on_that_port_is_told(
    command: list[str], answer: bytes, file: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever listens in the admin port's place, the outcome is status 2 and a sentence."""
    monkeypatch.setattr(module, "MAX_ANSWER", 4000)

    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(stranger, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        change(file, "host: 127.0.0.1, port: 8081", f"host: 127.0.0.1, port: {port}")
        done = await asyncio.to_thread(run, *command, "--config", file)
    assert done.exit_code == 2
    assert f"127.0.0.1:{port}" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (answered(b'{"ok": true}'), "what answers there is no hybridproxy"),
        (answered(b"{}", "503 Service Unavailable"), "the server answered with status 503"),
        (answered(json.dumps({"error": "no"}).encode(), "400 Bad Request"), "no"),
    ],
)
async def test_an_object_that_is_no_state_is_told(answer: bytes, says: str, file: Path, run: Run) -> None:
    """JSON alone does not make it a hybridproxy."""

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(other, "127.0.0.1", 0) as server:
        change(file, "host: 127.0.0.1, port: 8081", f"host: 127.0.0.1, port: {server.sockets[0].getsockname()[1]}")
        done = await asyncio.to_thread(run, "state", "--json", "--config", file)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.endswith(f"{says}\n")


@pytest.mark.parametrize("command", COMMANDS[1:], ids=" ".join)
async def test_a_wrong_token_is_told(command: list[str], file: Path, run: Run, admin: Admin) -> None:
    """An order that was not carried out is not success, and neither token is shown."""
    async with admin(token="another"):
        done = await asyncio.to_thread(run, *command, "--config", file)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "admin token" in done.stderr
    assert "of-tests" not in done.output


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_an_admin_port_there_is_no_way(command: list[str], file: Path, run: Run) -> None:
    """The message says which section is missing."""
    file.write_text("\n".join(line for line in file.read_text().splitlines() if not line.startswith("admin")))
    done = run(*command, "--config", file)
    assert done.exit_code == 2
    assert "the configuration has no admin section" in done.stderr
