"""The server as a process of its own: how it starts, logs, reloads, drains and refuses to start."""

import asyncio
import os
import signal
import socket
import sys
import time
from pathlib import Path

import aiohttp
import orjson
import pytest

from hybridproxy.simulator.server import RunningSimulators
from tests.support.patience import LONG
from tests.support.raw_server import CHUNKED, Peer, RawServer, chunk
from tests.support.raw_upstream import delta
from tests.support.serving import environment, port_of, server
from tests.support.stack import BANK, SHOP

STARTS_WITHIN = 15.0
"""Seconds on a slow and busy machine; the target on an idle one is 1.5."""


def change(file: Path, before: str, after: str) -> None:
    """Replace a part of the configuration."""
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def text_of(file: Path) -> str:
    """Return the configuration."""
    return file.read_text()


def remove(file: Path) -> None:
    """Take the configuration away."""
    file.unlink()


def write(file: Path, text: str) -> None:
    """Replace the whole configuration."""
    file.write_text(text)


def break_database(file: Path) -> None:
    """Have the configuration name a country database that is none."""
    (file.parent / "geo.mmdb").write_text("not a database")
    file.write_text(file.read_text() + "geo: {database: geo.mmdb}\n")


async def collect(response: aiohttp.ClientResponse, parts: list[bytes]) -> None:
    """Read to the end, keeping what came before a break."""
    while part := await response.content.readany():
        parts.append(part)


def taken_port() -> socket.socket:
    """Return a socket that listens, so that nobody else can on its port."""
    return socket.create_server(("127.0.0.1", 0))


def stood(pid: int) -> float:
    """Return the seconds in which a process could have gone on, had others not had the CPU."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


async def test_it_is_ready_quickly(file: Path, simulators: RunningSimulators, http: aiohttp.ClientSession) -> None:
    """From the command to traffic in seconds, without those that others had: the best of three starts."""
    took = []
    for _ in range(3):
        begun = time.monotonic()
        async with server(file, COVERAGE_PROCESS_CONFIG="", COVERAGE_PROCESS_START="") as proxy:  # measured, it is slow
            await proxy.ready(http)
            took.append(time.monotonic() - begun - stood(proxy.process.pid))
        if took[-1] <= STARTS_WITHIN:
            break
    print(f"ready after {min(took):.2f} s")  # noqa: T201 - the measured figure
    assert min(took) <= STARTS_WITHIN


async def test_the_log_has_one_line_a_call(
    file: Path, simulators: RunningSimulators, http: aiohttp.ClientSession
) -> None:
    """On stdout is one JSON line for each call, with the call's id, and stderr has nothing."""
    async with server(file) as proxy:
        await proxy.ready(http)
        (started,) = await proxy.logged("server.started")
        assert (started["host"], started["port"], started["pid"]) == ("127.0.0.1", proxy.port, proxy.process.pid)
        ids = []
        for key, body, status in (
            (SHOP, {}, 200), (SHOP, {"stream": True}, 200), (BANK, {}, 200), (SHOP, {"model": "nope"}, 404),
            ("hp_" + "x" * 43, {}, 401),
        ):  # fmt: skip
            async with proxy.call(http, key, **body) as response:
                assert response.status == status
                await response.read()
                ids.append((response.headers["x-request-id"], status))
        calls = await proxy.logged("call.finished", len(ids))
        assert [(line["id"], line["status"]) for line in calls] == ids
        assert all({"time", "tenant", "region", "backend", "attempts", "ms"} <= line.keys() for line in calls)
        assert proxy.errors == ""


async def test_sighup_takes_a_good_file_and_refuses_a_bad_one(
    file: Path, simulators: RunningSimulators, http: aiohttp.ClientSession
) -> None:
    """A good file holds for the next call; after a bad one the old one stays, and the log has the mistakes."""
    async with server(file) as proxy:
        await proxy.ready(http)
        change(file, "north-america: [together-us, openrouter-us,", "north-america: [openrouter-us,")
        good = text_of(file)
        proxy.signal(signal.SIGHUP)
        (reloaded,) = await proxy.logged("config.reloaded")
        assert reloaded["needs_restart"] is False
        async with proxy.call(http) as response:
            assert response.headers["x-hybridproxy-backend"] == "openrouter-us"
        for bad in (good + "nonsense: 1\n", "{", ""):
            seen = len(proxy.events("config.refused"))
            write(file, bad)
            proxy.signal(signal.SIGHUP)
            refused = (await proxy.logged("config.refused", seen + 1))[-1]
            assert refused["mistakes"][0].startswith(f"{file}:")
        remove(file)
        proxy.signal(signal.SIGHUP)
        await proxy.logged("config.refused", 4)
        async with proxy.call(http) as response:
            assert response.headers["x-hybridproxy-backend"] == "openrouter-us"
        write(file, good.replace(f"port: {proxy.port}", "port: 0"))
        proxy.signal(signal.SIGHUP)
        assert (await proxy.logged("config.reloaded", 2))[-1]["needs_restart"] is True
        async with proxy.call(http) as response:
            assert response.status == 200
        assert proxy.errors == ""


async def test_sighup_with_a_broken_country_database_keeps_the_old_one(
    file: Path, simulators: RunningSimulators, http: aiohttp.ClientSession
) -> None:
    """A database that is none is a mistake like others: logged as config.refused, and nothing is lost."""
    async with server(file) as proxy:
        await proxy.ready(http)
        break_database(file)
        proxy.signal(signal.SIGHUP)
        (refused,) = await proxy.logged("config.refused")
        assert "geo.mmdb" in refused["mistakes"][0]
        async with proxy.call(http) as response:
            assert response.headers["x-hybridproxy-region"] == "north-america"
        assert proxy.errors == ""


async def test_the_reload_command_reaches_the_running_server(
    file: Path, simulators: RunningSimulators, http: aiohttp.ClientSession
) -> None:
    """`hybridproxy reload` with the server's own file: one word, and the log has it."""
    async with server(file) as proxy:
        await proxy.ready(http)
        command = [sys.executable, "-m", "hybridproxy", "reload", "--config", str(file)]
        asked = await asyncio.create_subprocess_exec(*command, env=environment(), stdout=asyncio.subprocess.PIPE)
        out, _ = await asyncio.wait_for(asked.communicate(), LONG)
        assert (asked.returncode, out) == (0, b"reloaded\n")
        await proxy.logged("config.reloaded")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_the_stream_under_way_end(
    number: signal.Signals, file: Path, simulators: RunningSimulators, http: aiohttp.ClientSession
) -> None:
    """Told to stop in the middle of a stream, the server ends it complete, takes no new connection, exits with 0."""
    drains = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED, chunk(delta("one ")))
        await drains.wait()
        await peer.send(chunk(delta("two", "stop")), chunk(b"data: [DONE]\n\n"), chunk(b""))
        await peer.gone()

    async with RawServer(script) as upstream, server(file) as proxy:
        await proxy.ready(http)
        change(file, simulators["together"].base_url, f"http://127.0.0.1:{upstream.port}/v1")
        proxy.signal(signal.SIGHUP)
        await proxy.logged("config.reloaded")
        async with proxy.call(http, stream=True) as response:
            await response.content.readany()
            proxy.signal(number)
            await proxy.logged("server.draining")
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", proxy.port)
            drains.set()
            assert (await response.read()).endswith(b"data: [DONE]\n\n")
        assert await proxy.ended() == 0
        assert proxy.events("server.draining")[0]["in_flight"] == 1
        assert [line["event"] for line in proxy.lines()][-2:] == ["call.finished", "server.stopped"]
        assert proxy.events("call.finished")[0]["status"] == 200
        assert proxy.errors == ""


async def test_a_second_sigterm_ends_it_at_once(
    file: Path, simulators: RunningSimulators, http: aiohttp.ClientSession
) -> None:
    """Who does not want to wait signals again: the stream is cut, seen as cut, logged, and the exit status is 0."""
    simulators["together"].behave({"pace_ms": 50, "pieces": 10_000})
    async with server(file) as proxy:
        await proxy.ready(http)
        async with proxy.call(http, stream=True) as response:
            await response.content.readany()
            proxy.signal(signal.SIGTERM)
            await proxy.logged("server.draining")
            proxy.signal(signal.SIGTERM)
            parts: list[bytes] = []
            with pytest.raises(aiohttp.ClientPayloadError):
                await collect(response, parts)
            assert b"[DONE]" not in b"".join(parts)
        assert await proxy.ended() == 0  # the stream would have gone on for minutes
        assert len(proxy.events("call.finished")) == 1
        assert proxy.lines()[-1]["event"] == "server.stopped"
        assert proxy.errors == ""


async def test_the_load_balancer_may_notice_before_the_port_closes(
    file: Path, simulators: RunningSimulators, http: aiohttp.ClientSession
) -> None:
    """During `drain_delay` readyz says 503, livez 200, and calls that still come are served."""
    change(file, "trusted_proxies", "drain_delay: 120s\n  trusted_proxies")
    async with server(file) as proxy:
        await proxy.ready(http)
        proxy.signal(signal.SIGTERM)
        await proxy.logged("server.draining")
        for path, status in (("/readyz", 503), ("/livez", 200)):
            async with http.get(proxy.url + path) as response:
                assert response.status == status
        async with proxy.call(http) as response:
            assert response.status == 200
            assert response.headers["connection"] == "close"
        proxy.signal(signal.SIGTERM)  # it need not wait any longer
        assert await proxy.ended() == 0


async def test_killed_outright_it_can_start_again_at_once(
    file: Path, simulators: RunningSimulators, http: aiohttp.ClientSession
) -> None:
    """After the kernel killed it with connections open, the next process gets the same port."""
    async with server(file) as proxy:
        await proxy.ready(http)
        async with proxy.call(http) as response:
            assert response.status == 200
        proxy.signal(signal.SIGKILL)
        assert await proxy.ended() == -signal.SIGKILL
    async with server(file) as proxy:
        await proxy.ready(http)
        async with proxy.call(http) as response:
            assert response.status == 200


@pytest.mark.parametrize("section", ["listen", "admin"])
async def test_a_taken_port_is_told_with_the_option_that_moves_it(section: str, file: Path) -> None:
    """A port that somebody else has: status 2, and one line that names address, reason and option."""
    before = port_of(file, section)
    with taken_port() as other:
        port = other.getsockname()[1]
        change(file, f"port: {before}", f"port: {port}")
        async with server(file) as proxy:
            assert await proxy.ended() == 2
            assert proxy.errors.count("\n") == 1
            assert f"127.0.0.1:{port}" in proxy.errors
            assert f"{section}.port" in proxy.errors
            assert "something else listens there" in proxy.errors


async def test_several_workers_are_told_to_be_one(
    file: Path, simulators: RunningSimulators, http: aiohttp.ClientSession
) -> None:
    """`workers: 4` serves with one process and says so."""
    change(file, "trusted_proxies", "workers: 4\n  trusted_proxies")
    async with server(file) as proxy:
        await proxy.ready(http)
        assert proxy.errors == "hybridproxy: listen.workers: this version runs one worker\n"
        async with proxy.call(http) as response:
            assert response.status == 200
        assert len(await proxy.logged("server.started")) == 1


async def test_an_unset_variable_is_told(file: Path) -> None:
    """A secret that is not in the environment keeps the server from starting: status 1, the variable and the place."""
    change(file, "${TOGETHER}", "${NOT_SET_ANYWHERE}")
    async with server(file) as proxy:
        assert await proxy.ended() == 1
        assert "NOT_SET_ANYWHERE" in proxy.errors
        assert "backends.together-us.api_key" in proxy.errors
        assert proxy.lines() == []


async def test_a_broken_country_database_is_told(file: Path) -> None:
    """A database that is none keeps the server from starting, in words."""
    break_database(file)
    async with server(file) as proxy:
        assert await proxy.ended() in {1, 2}
        assert "geo.mmdb" in proxy.errors
        assert "Traceback" not in proxy.errors


async def test_without_the_c_parser_it_refuses_to_start(file: Path) -> None:
    """The slow and laxer parser in Python that aiohttp falls back to never faces strangers."""
    async with server(file, AIOHTTP_NO_EXTENSIONS="1") as proxy:
        assert await proxy.ended() == 2
        assert proxy.errors == (
            "hybridproxy: aiohttp's C parser is not loaded: install its wheel and unset AIOHTTP_NO_EXTENSIONS\n"
        )


async def test_nobody_reading_the_log_does_not_stop_it(
    file: Path, simulators: RunningSimulators, http: aiohttp.ClientSession
) -> None:
    """`hybridproxy serve | head -1`: when the reader has left, calls are served as before, and the end is clean."""
    reading, writing = os.pipe()
    async with server(file, out=writing) as proxy:
        os.close(writing)
        await proxy.ready(http)
        line = await asyncio.to_thread(os.read, reading, 65536)
        assert orjson.loads(line.splitlines()[0])["event"] == "server.started"
        os.close(reading)
        for _ in range(3):
            async with proxy.call(http) as response:
                assert response.status == 200
            await asyncio.sleep(0.15)  # longer than lines are collected: each call's line meets the closed pipe
        proxy.signal(signal.SIGTERM)
        assert await proxy.ended() == 0
        assert proxy.errors == ""
