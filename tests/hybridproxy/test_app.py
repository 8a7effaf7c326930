"""The composition root: what it refuses to start on, how it reloads, and what it says of itself."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import http_parser, web

from hybridproxy.app import Worker
from hybridproxy.building import StartError, check_parts, make_running
from hybridproxy.config.load import load
from hybridproxy.config.mistakes import ConfigError
from hybridproxy.model.fault import Verdict
from hybridproxy.resilience.breaker import Outcome, Signal
from tests.support.audits import verified

CONFIG = """
listen: {host: 127.0.0.1, port: 0}
regions: {asia: {continents: [AS]}, china: {countries: [CN]}, default: {}}
backends:
  a: {provider: openai, base_url: "https://a.example/v1", api_key: "key-of-tests"}
  b: {provider: openai, base_url: "https://b.example/v1", api_key: "key-of-tests"}
models: {m: {family: other, served_by: {a: m, b: m}}}
routes: {default: {regions: {asia: [a], china: [], default: [b]}}}
tenants: {shop: {keys: ["sha256:KEY"], route: default, models: ["*"]}}
""".replace("KEY", "11" * 32).replace('"key-of-tests"', '"${K}"')


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound configuration without an admin port."""
    monkeypatch.setenv("K", "key-of-tests")
    path = tmp_path / "hybridproxy.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the worker logs to."""
    return tmp_path / "log.jsonl"


@pytest.fixture
async def worker(file: Path, log: Path) -> AsyncIterator[Worker]:
    """A worker that listens."""
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    made = Worker(file, load(file, os.environ), fd)
    try:
        await made.start()
        yield made
    finally:
        await made.close()
        os.close(fd)


async def written(worker: Worker, log: Path) -> list[dict[str, Any]]:
    """Return the log so far."""
    while worker.writer._lines or not worker.writer._idle.is_set():  # what came during a write goes out after it
        worker.writer.flush()
        await worker.writer._idle.wait()
    return [orjson.loads(line) for line in log.read_bytes().splitlines()]


def fail(worker: Worker, name: str, credential: int = 0) -> None:
    """Have a backend's calls with one of its keys fail until it gets none."""
    backend = worker.gateway.running.snapshot.backends[name]
    key = (name, backend.endpoints[0].authority, "m", backend.credentials[credential].id)
    for _ in range(20):
        worker.health.note(key, Outcome(Signal.START, Verdict.FAULT, "it could not be reached"))
    assert key in worker.health.view


def test_the_parts_here_are_fine() -> None:
    """This installation may serve."""
    check_parts()


def test_the_slow_parser_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without aiohttp's C parser nothing starts, and the message says what to do."""
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    with pytest.raises(StartError, match="AIOHTTP_NO_EXTENSIONS"):
        check_parts()


def test_another_aiohttp_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The edge was tested against one version; another is named beside the right one."""
    monkeypatch.setattr(aiohttp, "__version__", "9.9.9")
    with pytest.raises(StartError, match=r"aiohttp is 9\.9\.9, this version is made for 3\."):
        check_parts()


async def test_a_port_it_may_not_have_is_told(file: Path) -> None:
    """Whatever keeps it from listening, the message has address, reason and option."""
    for host, why in (("192.0.2.1", "192.0.2.1:0"), ("no-such-host.invalid", "no-such-host.invalid:0")):
        file.write_text(CONFIG.replace("host: 127.0.0.1", f"host: {host}"))
        worker = Worker(file, load(file, os.environ), 2)
        worker.writer.write = lambda line: None  # type: ignore[method-assign] # nothing on the test's stderr
        try:
            with pytest.raises(StartError, match=why) as raised:
                await worker.start()
        finally:
            await worker.close()
        assert "change listen.port" in str(raised.value)


def test_a_database_that_is_none_is_a_mistake_in_the_configuration(file: Path, tmp_path: Path) -> None:
    """A country database that cannot be used is told like any other mistake, so that start and reload refuse it."""
    (tmp_path / "geo.mmdb").write_text("not a database")
    file.write_text(CONFIG + "geo: {database: geo.mmdb}\n")
    configuration = load(file, os.environ)
    with pytest.raises(ConfigError, match=r"geo\.mmdb"):
        make_running(configuration)


async def test_a_reload_keeps_what_it_knows_of_backends_that_stay(worker: Worker, file: Path) -> None:
    """A failing backend is still failing after a reload; one that left the file is forgotten."""
    for name in ("a", "b"):
        fail(worker, name)
    assert {key[0] for key in worker.health.view} == {"a", "b"}
    file.write_text(
        "\n".join(line for line in CONFIG.splitlines() if not line.startswith("  b:"))
        .replace(", b: m", "")
        .replace("default: [b]", "default: [a]")
    )
    assert await worker.reload() == []
    assert {key[0] for key in worker.health.view} == {"a"}


async def test_two_reloads_at_once_are_one_after_the_other(worker: Worker, file: Path) -> None:
    """An impatient operator does no harm: the last good file is in force."""
    file.write_text(CONFIG.replace("asia: [a]", "asia: [b]"))
    assert not any(await asyncio.gather(worker.reload(), worker.reload(), worker.reload()))
    assert worker.gateway.running.snapshot.routes["default"].regions["asia"] == (("b",),)


async def test_a_reload_says_what_needs_a_restart(worker: Worker, file: Path, log: Path) -> None:
    """What a running process cannot change is told; the rest holds from the reload on."""
    for listen, more, restart in (
        ("host: 127.0.0.1, port: 0", "breaker: {open_for: 2s, open_max: 9s}", False),
        ("host: 127.0.0.1, port: 0, keepalive: 20s", "", True),
        ("host: 127.0.0.1, port: 0, keepalive: 20s", "admin: {token: '${K}'}", True),
    ):
        file.write_text(CONFIG.replace("host: 127.0.0.1, port: 0", listen) + more + "\n")
        assert await worker.reload() == []
        told = [line["needs_restart"] for line in await written(worker, log) if line["event"] == "config.reloaded"]
        assert told[-1] is restart
        if more.startswith("breaker"):
            assert (worker.health.rules.open_for, worker.health.rules.open_max) == (2, 9)


async def test_a_region_is_ready_while_one_of_its_backends_is_fit(worker: Worker) -> None:
    """A global load balancer asks for a region: one with nothing, or with nothing fit, or unknown, is not ready."""
    assert worker._ready(None) == (True, "")
    assert worker._ready("asia") == (True, "")
    assert worker._ready("china") == (False, "no usable backend")
    assert worker._ready("atlantis") == (False, "unknown region")
    fail(worker, "a")
    assert worker._ready("asia") == (False, "no usable backend")
    assert worker._ready("default") == (True, "")
    assert worker._ready(None) == (True, "")


async def test_one_bad_key_of_two_does_not_make_a_region_unready(
    worker: Worker, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend with a target that is still fit serves its region: one key or one model resting is no outage."""
    one, two = 'a.example/v1", api_key: "${K}"', 'a.example/v1", api_keys: ["${K}", "${K2}"]'
    file.write_text(CONFIG.replace(one, two))
    monkeypatch.setenv("K2", "other-key-of-tests")
    assert await worker.reload() == []
    fail(worker, "a", credential=0)
    assert worker._ready("asia") == (True, "")
    fail(worker, "a", credential=1)
    assert worker._ready("asia") == (False, "no usable backend")


async def test_a_crash_is_reported_without_the_values_it_happened_with(worker: Worker, log: Path) -> None:
    """The log says which kind of error and where, with the call's id, and not what the message said."""

    def broken() -> None:
        raise KeyError("the caller's secret")

    try:
        broken()
    except KeyError:
        worker._report("req_1")
    lines = await written(worker, log)
    (crash,) = [line for line in lines if line["event"] == "call.crashed"]
    assert (crash["id"], crash["error"]) == ("req_1", "KeyError")
    assert crash["where"][-1].startswith("test_app.py:")
    assert "secret" not in log.read_text()


async def test_the_gauges_tell_what_is_going_on(worker: Worker) -> None:
    """A scrape of an idle worker shows that it is idle."""
    text = worker.metrics.render().decode()
    for name in ("calls_in_flight", "upstream_connections", "log_lines_dropped"):
        assert f"hybridproxy_{name} 0.0\n" in text


async def test_stopping_an_idle_worker_takes_no_time(worker: Worker, log: Path) -> None:
    """With nothing under way the drain is over at once; a second stop is harmless."""
    await asyncio.wait_for(worker.stop(), 30)
    assert worker.stopped.is_set()
    await asyncio.wait_for(worker.stop(), 30)
    assert [line["event"] for line in await written(worker, log)] == [
        "server.started",
        "server.draining",
    ]


# ---- the audit log ----


async def test_a_key_that_is_none_is_not_started_on(file: Path) -> None:
    """It says which option to correct, and nothing of what is in the file."""
    (file.parent / "k").write_text("secret words")
    file.write_text(file.read_text() + "audit: {path: audit, key: k}\n")
    with pytest.raises(StartError, match=r"audit\.key: .* holds no private key") as raised:
        Worker(file, load(file, os.environ), 1)
    assert "secret words" not in str(raised.value)


async def test_a_folder_that_cannot_be_made_is_not_started_on(file: Path) -> None:
    """Something came into its place since the configuration was checked."""
    file.write_text(file.read_text() + "audit: {path: audit, key: k}\n")
    made = Worker(file, load(file, os.environ), 1)
    (file.parent / "audit").touch()
    with pytest.raises(StartError, match=r"File exists.*audit\.path"):
        await made.start()
    await made.close()


async def test_heads_are_posted_to_a_url(file: Path, log: Path) -> None:
    """At the start and at the end; a configuration that changes the log is told to need a restart."""
    heads: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        heads.extend((await request.read()).splitlines(keepends=True))
        return web.Response()

    app = web.Application()
    app.router.add_post("/heads", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    text = file.read_text()
    file.write_text(text + f'audit: {{path: audit, anchor: "http://127.0.0.1:{runner.addresses[0][1]}/heads"}}\n')
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    made = Worker(file, load(file, os.environ), fd)
    await made.start()
    assert b"hybridproxy_audit_anchored_heads" in made.metrics.render()
    file.write_text(text)
    assert await made.reload() == []
    await made.close()
    await runner.cleanup()
    os.close(fd)
    assert len(heads) == 2
    proof = verified(file.parent / "audit", heads)
    assert proof.sound
    assert proof.chains[0].unproven == 0
    assert [e["needs_restart"] for e in map(orjson.loads, log.read_bytes().splitlines()) if "needs_restart" in e] == [
        True
    ]
