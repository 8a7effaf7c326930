"""Processes that are killed, logs that are tampered with: what was sent is in the log, and damage is found."""

import asyncio
import contextlib
import io
import os
import random
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from hybridproxy.residency.verify import Verifier
from hybridproxy.simulator.server import RunningSimulators, SimulatorSpec, serve
from hybridproxy.stores.segments import files_in, lines_of
from hybridproxy.stores.signing import PREFIX, is_signature, load_key
from tests.support.audits import records, verified
from tests.support.patience import LONG
from tests.support.stack import BANK, CONFIG, DEFAULTS, ENVIRON, SHOP, SMALL, chat, digest, running

ROOT = Path(__file__).resolve().parents[2]
TRIALS = 1000
PROVIDERS = ("dashscope", "together", "openrouter", "vllm")


@pytest.fixture
async def simulators() -> AsyncIterator[RunningSimulators]:
    """Simulated upstreams in this process, so that their journals outlive the proxy."""
    started = await serve([SimulatorSpec(provider) for provider in PROVIDERS])
    yield started
    await started.close()


@contextlib.asynccontextmanager
async def proxy(
    folder: Path, simulators: RunningSimulators, port: int, **settings: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """One `hybridproxy serve`, ready, with an audit log; killed at the end if it is still there."""
    urls = {s.name: s.base_url for s in simulators.all} | {"vllm": simulators["vllm"].url}
    digests = {"shop": digest(SHOP), "bank": digest(BANK), "small": digest(SMALL)}
    values = DEFAULTS | {"audit": "audit: {path: audit, anchor: heads}"} | settings
    file = folder / "hybridproxy.yaml"
    text = CONFIG.format(**values, **urls, **digests).replace("port: 0\n", f"port: {port}\n")
    file.write_text("".join(line for line in text.splitlines(keepends=True) if not line.startswith("admin:")))
    environment = os.environ | ENVIRON | {"PYTHONPATH": str(ROOT), "COVERAGE_PROCESS_CONFIG": ""}
    with (folder / "out.jsonl").open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hybridproxy", "serve", "--config", str(file),
            cwd=folder, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        async with asyncio.timeout(2 * LONG), aiohttp.ClientSession() as http:
            while True:
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    async with http.get(f"http://127.0.0.1:{port}/readyz") as response:
                        if response.status == 200:
                            break
                assert process.returncode is None, (folder / "out.jsonl").read_text()
                await asyncio.sleep(0.01)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def load(port: int, stop: asyncio.Event) -> None:
    """Make sovereign calls one after the other until told to stop; what breaks off does so."""
    headers = {"authorization": f"Bearer {BANK}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        while not stop.is_set():
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with http.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=chat()) as response:
                    await response.read()
            await asyncio.sleep(0)


async def test_what_a_killed_process_sent_is_in_its_log(
    tmp_path: Path, simulators: RunningSimulators, unused_tcp_port_factory: object
) -> None:
    """Killed three times: every request that reached the VPC has its intent, and the chains hold."""
    journal = simulators["vllm"].upstream.journal
    rng = random.Random(7)
    for _ in range(3):
        port = unused_tcp_port_factory()  # type: ignore[operator]
        stop = asyncio.Event()
        async with proxy(tmp_path, simulators, port) as process:
            loads = [asyncio.create_task(load(port, stop)) for _ in range(8)]
            enough = len(journal.entries) + rng.randint(21, 60)
            async with asyncio.timeout(LONG):
                while len(journal.entries) < enough:
                    await asyncio.sleep(0.001)
            process.kill()
            await process.wait()
            stop.set()
            await asyncio.gather(*loads)
    sent = {dict(entry.headers)["x-request-id"] for entry in journal.entries}
    intents = {record["id"] for record in records(tmp_path / "audit", "intent")}
    assert len(sent) > 60
    assert sent <= intents
    heads = (tmp_path / "heads").read_bytes().splitlines(keepends=True)
    proof = verified(tmp_path / "audit", heads)
    assert proof.sound, list(map(str, proof.findings))
    assert len(proof.chains) == 3
    assert not any(chain.ended for chain in proof.chains)
    afters = [record["after"] for record in records(tmp_path / "audit", "begin")]
    assert [after and after["boot"] for after in afters] == [None, proof.chains[0].boot, proof.chains[1].boot]


async def test_a_process_that_may_write_no_more_sends_nothing_inside(
    tmp_path: Path, simulators: RunningSimulators, unused_tcp_port_factory: object
) -> None:
    """The kernel's limit on the size of files, where no small disk can be mounted: 503, and others are served."""
    port = unused_tcp_port_factory()  # type: ignore[operator]
    async with proxy(tmp_path, simulators, port) as process, aiohttp.ClientSession() as http:

        async def status(key: str) -> int:
            headers = {"authorization": f"Bearer {key}", "x-forwarded-for": "128.100.1.1"}
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            async with http.post(url, headers=headers, json=chat()) as response:
                await response.read()
                return response.status

        async def served() -> None:
            """Wait until calls inside are served: a record that a busy machine makes late costs a call its answer."""
            async with asyncio.timeout(LONG):
                while (found := await status(BANK)) != 200:
                    assert found == 503

        await served()
        assert await status(SHOP) == 200
        size = files_in(tmp_path / "audit")[0].stat().st_size
        limit = await asyncio.create_subprocess_exec("prlimit", f"--pid={process.pid}", f"--fsize={size + 100}:")
        if await limit.wait():
            pytest.skip("prlimit is not there")
        sent = len(simulators["vllm"].upstream.journal.entries)
        assert [await status(BANK), await status(SHOP), await status(BANK)] == [503, 200, 503]
        assert len(simulators["vllm"].upstream.journal.entries) == sent
        limit = await asyncio.create_subprocess_exec("prlimit", f"--pid={process.pid}", "--fsize=unlimited:")
        assert await limit.wait() == 0
        await served()
    heads = (tmp_path / "heads").read_bytes().splitlines(keepends=True)
    assert verified(tmp_path / "audit", heads).sound


async def test_a_thousand_damages_of_a_real_log_are_found(tmp_path: Path) -> None:
    """Flip, delete, move, repeat, cut: any record of a log that was written and signed for real (V7).

    What the documentation says to do without our code says the same of it.
    """
    async with running(tmp_path, audit="audit: {path: audit, anchor: heads}") as stack:
        for n in range(12):
            async with stack.post(key=(BANK, SHOP)[n % 2], json=chat()) as response:
                await response.read()
    folder, anchor = tmp_path / "audit", (tmp_path / "heads").read_bytes().splitlines(keepends=True)
    (path,) = files_in(folder)
    whole, key = list(lines_of(path)), load_key(folder / "key.pem").public

    def sound(lines: list[bytes]) -> bool:
        verifier = Verifier(is_signature, [key])
        verifier.prepare(lines[0] if lines else b"")
        verifier.anchor("heads", anchor)
        verifier.read(path.name, lines)
        return verifier.result().sound

    assert sound(whole)
    code = (ROOT / "docs/audit.md").read_text().partition("```python\n")[2].partition("```")[0]
    command = [sys.executable, "-c", code, f"{PREFIX}{key.hex()}", str(path)]  # as `audit key` prints it
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: ASYNC221 - short
    path.write_bytes(b"".join(whole).replace(b"10", b"11", 1))
    assert subprocess.run(command, check=False, capture_output=True).returncode == 1  # noqa: ASYNC221 - short
    missed = [seed for seed in range(TRIALS) if sound(damaged(whole, random.Random(seed)))]
    assert missed == []
    shutil.rmtree(folder)


def damaged(lines: list[bytes], rng: random.Random) -> list[bytes]:
    """Return a log that something was done to."""
    at, kind = rng.randrange(len(lines)), rng.choice(("flip", "delete", "move", "repeat", "cut"))
    rest = lines[:at] + lines[at + 1 :]
    if kind == "flip":
        data = bytearray(b"".join(lines))
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return io.BytesIO(data).readlines()
    if kind == "delete":
        return rest
    if kind == "move":
        to = rng.choice([n for n in range(len(lines)) if n != at])
        return [*rest[:to], lines[at], *rest[to:]]
    if kind == "repeat":
        to = rng.randint(0, len(lines))
        return [*lines[:to], lines[at], *lines[to:]]
    data = bytearray(b"".join(lines))
    return io.BytesIO(data[: rng.randrange(len(data))]).readlines()
