"""The audit log over real sockets: what is recorded, what waits for it, and what a disk that fails costs whom."""

import asyncio
import contextlib
import hashlib
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hybridproxy.residency.policy import policy_hash
from hybridproxy.stores import anchor, audit
from hybridproxy.stores.audit import Audit
from hybridproxy.stores.segments import Segments
from hybridproxy.telemetry.logs import tenant_hash
from hybridproxy.transport import upstream
from tests.hybridproxy.transport.certificates import Authority
from tests.support.audits import records, verified
from tests.support.patience import LONG
from tests.support.raw_server import Peer, RawServer, answer
from tests.support.stack import BANK, SHOP, Stack, chat, running

AUDIT = "audit: {path: audit, anchor: heads}"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that a busy machine makes late is waited for, and no disk hangs, but where a test says so."""
    monkeypatch.setattr(upstream, "RECORD_WITHIN", 3600)
    monkeypatch.setattr(audit, "STALLED", 3600)
    monkeypatch.setattr(anchor, "LAST", LONG)


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """Everything, with an audit log."""
    async with running(tmp_path, audit=AUDIT) as started:
        yield started


def log_of(stack: Stack) -> Audit:
    """Return the audit log of a stack."""
    assert stack.worker.audit is not None
    return stack.worker.audit


async def written(stack: Stack, kind: str | None = None, count: int = 0) -> list[dict[str, Any]]:
    """Wait until all is on the disk, and so many of a kind, and return the records."""
    log, folder = log_of(stack), stack.log.parent / "audit"
    await stack.until(lambda: not log._queue and log._batch is None and len(records(folder, kind)) >= count)
    return records(folder, kind)


async def idle(stack: Stack) -> None:
    """Wait until nothing is on its way to the disk."""
    log = log_of(stack)
    await stack.until(lambda: not log._queue and log._batch is None)


async def ask(stack: Stack, key: str = BANK, **body: Any) -> tuple[int, dict[str, str], bytes]:
    """Make a call; return its status, headers and body."""
    async with stack.post(key=key, json=chat(**body)) as response:
        return response.status, dict(response.headers), await response.read()


def request_id(entry: dict[str, Any]) -> str:
    """Return our id of a call from what an upstream got."""
    return str(dict(entry["headers"])["x-request-id"])


async def ended(stack: Stack) -> None:
    """End the log in order."""
    await log_of(stack).close(LONG)
    assert stack.worker.anchor is not None
    await stack.worker.anchor.close()


class HeldUp:
    """A disk that does not answer while it is held up."""

    def __init__(self, stack: Stack) -> None:
        self.go = threading.Event()
        self.go.set()
        segments: Segments = log_of(stack)._segments
        write = segments.write

        def slow(*args: Any, **options: Any) -> float:
            self.go.wait(2 * LONG)
            return write(*args, **options)

        segments.write = slow  # type: ignore[method-assign]


@pytest.fixture
def disk(stack: Stack) -> Iterator[HeldUp]:
    """The stack's disk, to hold up."""
    held = HeldUp(stack)
    yield held
    held.go.set()


# ---- what is recorded ----


@pytest.mark.parametrize("stream", [True, False])
async def test_each_request_has_an_intent_and_an_outcome(stack: Stack, stream: bool) -> None:
    """Who by which policy, every candidate, where to, whether over a connection that was there, how many bytes."""
    for key in (BANK, BANK, SHOP):
        status, _, _ = await ask(stack, key, stream=stream)
        assert status == 200
    found = await written(stack, "outcome", 3)
    intents = await written(stack, "intent", 3)
    snapshot = stack.worker.gateway.running.snapshot
    assert {intent["policy"] for intent in intents} == {policy_hash(snapshot)}
    assert [(i["tenant"], i["backend"], i["peer"], i["reused"], i["sovereign"], i["demand"]) for i in intents] == [
        (tenant_hash("bank"), "vpc", "127.0.0.1", False, True, "vpc"),
        (tenant_hash("bank"), "vpc", "127.0.0.1", True, True, "vpc"),
        (tenant_hash("shop"), "together-us", "127.0.0.1", False, False, "none"),
    ]
    assert ["vpc", True, "inside the VPC"] in intents[0]["candidates"]
    assert len(intents[0]["candidates"]) == 4
    got = stack.received("vllm") + stack.received("together")
    assert [outcome["of"] for outcome in found] == [intent["seq"] for intent in intents]
    for intent, outcome, entry in zip(intents, found, got, strict=True):
        assert outcome["id"] == intent["id"] == request_id(entry)
        assert (outcome["status"], outcome["fault"]) == (200, "")
        assert outcome["sent"] > 300
        assert outcome["received"] > 300


async def test_nothing_that_is_secret_or_said_is_in_it(stack: Stack) -> None:
    """No prompt, answer, key, tenant's name or caller's address, in any file of the log."""
    for key in (BANK, SHOP):
        await ask(stack, key, text="the prompt canary", user="bank-user")
    await written(stack, "outcome", 2)
    await ended(stack)
    data = b"".join(path.read_bytes() for path in (stack.log.parent / "audit").glob("*.audit"))
    for word in (b"canary", b"bank", b"shop", BANK.encode(), b"vllm-key", b"tg-key", b"128.100", b"qwen"):
        assert word not in data


async def test_the_log_and_its_anchor_are_proven_to_their_end(stack: Stack) -> None:
    """After an end in order, every record is vouched for by a head that is elsewhere."""
    for _ in range(5):
        await ask(stack)
    await ended(stack)
    folder = stack.log.parent
    proof = verified(folder / "audit", (folder / "heads").read_bytes().splitlines(keepends=True))
    assert proof.sound
    assert [chain.unproven for chain in proof.chains] == [0]
    assert proof.anchored == len(records(folder / "audit", "head")) > 1


async def test_a_call_that_raises_its_demand_waits_for_its_record_too(stack: Stack) -> None:
    """It takes the sovereign way."""
    async with stack.post(json=chat(), headers={"x-hybridproxy-residency": "vpc"}) as response:
        assert response.status == 200
    (intent,) = await written(stack, "intent", 1)
    assert (intent["sovereign"], intent["demand"], intent["tenant"]) == (True, "vpc", tenant_hash("shop"))


async def test_every_attempt_has_its_own(stack: Stack) -> None:
    """One that failed over; what could not be reached at all; what an upstream refused."""
    stack.sim("together").behave({"fault": {"kind": "status", "status": 500}})
    status, _, _ = await ask(stack, SHOP)
    assert status == 200
    outcomes = await written(stack, "outcome", 2)
    assert [(o["status"], o["fault"]) for o in outcomes] == [(500, ""), (200, "")]
    assert [i["n"] for i in await written(stack, "intent")] == [0, 1]
    stack.sim("vllm").server.close()
    status, _, _ = await ask(stack)
    assert status == 503
    found = await written(stack, "unreached", 1)
    assert (found[0]["backend"], found[0]["fault"]) == ("vpc", "connect")


async def test_a_reload_with_another_policy_is_recorded(stack: Stack) -> None:
    """From then on intents name it."""
    file = stack.worker.path
    file.write_text(file.read_text().replace('models: ["only-*"]', 'models: ["only-us"]'))
    assert await stack.worker.reload() == []
    await ask(stack)
    (policy,) = await written(stack, "policy")
    (intent,) = await written(stack, "intent", 1)
    begin = (await written(stack, "begin"))[0]
    assert policy["policy"] == intent["policy"] != begin["policy"]


async def test_a_probe_of_ours_in_the_vpc_is_marked(tmp_path: Path) -> None:
    """Nobody's call: no tenant, and recorded before its first byte like any other."""
    async with running(tmp_path, audit=AUDIT, open_for="100ms", open_max="100ms") as stack:
        stack.sim("vllm").behave({"fault": {"kind": "status", "status": 500}})
        while not stack.worker.health.out():
            await ask(stack)
        stack.sim("vllm").behave({})
        probes: list[dict[str, Any]] = []
        async with asyncio.timeout(30):
            while not probes:
                probes = [intent for intent in await written(stack, "intent") if intent.get("probe")]
                await asyncio.sleep(0.01)
    assert (probes[0]["sovereign"], "tenant" in probes[0]) == (True, False)


async def test_a_log_that_fails_says_nothing_of_the_backend_that_is_probed(tmp_path: Path) -> None:
    """Once it works again the backend comes back by probes of ours, and no caller's call is one."""
    async with running(tmp_path, audit=AUDIT, open_for="100ms", open_max="100ms") as stack:
        stack.sim("vllm").behave({"fault": {"kind": "status", "status": 500}})
        while not stack.worker.health.out():
            await ask(stack)
        stack.sim("vllm").behave({})
        segments = log_of(stack)._segments
        write, sent = segments.write, stack.worker.prober.sent

        def full(*_: Any, **__: Any) -> float:
            raise OSError(28, "No space left on device")

        segments.write = full  # type: ignore[method-assign]
        await stack.until(lambda: stack.worker.prober.sent >= sent + 2)
        segments.write = write  # type: ignore[method-assign]
        await stack.until(lambda: not stack.worker.health.out())


# ---- what waits ----


async def until_waiting(stack: Stack) -> None:
    """Wait until a record is on its way to the disk."""
    log = log_of(stack)
    await stack.until(lambda: log._batch is not None and any(e.waiter is not None for e in log._batch.entries))


@pytest.mark.parametrize("warm", [False, True])
async def test_not_a_byte_leaves_before_the_intent_is_durable(stack: Stack, disk: HeldUp, warm: bool) -> None:
    """Over a fresh connection and over one that has carried others; general calls pass by meanwhile."""
    if warm:
        await ask(stack)
    before = len(stack.received("vllm"))
    disk.go.clear()
    call = asyncio.create_task(ask(stack))
    await until_waiting(stack)
    status, _, _ = await ask(stack, SHOP)
    assert status == 200
    assert len(stack.received("vllm")) == before
    assert not call.done(), await call
    disk.go.set()
    assert (await call)[0] == 200
    assert len(stack.received("vllm")) == before + 1


@pytest.mark.parametrize("warm", [False, True])
async def test_who_leaves_while_waiting_has_sent_nothing(stack: Stack, disk: HeldUp, warm: bool) -> None:
    """The outcome says so; the connection was not used and serves the next call."""
    if warm:
        await ask(stack)
    before, opened = len(stack.received("vllm")), stack.worker.sovereign.opened
    disk.go.clear()
    call = asyncio.create_task(ask(stack))
    await until_waiting(stack)
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call
    await stack.until(lambda: stack.worker.gateway.in_flight == 0)
    disk.go.set()
    outcome = (await written(stack, "outcome", 1 + warm))[-1]
    assert (outcome["sent"], outcome["status"], outcome["fault"]) == (0, 0, "cancelled")
    assert outcome["of"] == (await written(stack, "intent"))[-1]["seq"]
    assert len(stack.received("vllm")) == before
    assert (await ask(stack))[0] == 200
    assert stack.worker.sovereign.opened == max(1, opened)


async def test_callers_that_come_and_go_leave_nothing_unrecorded(stack: Stack) -> None:
    """Two hundred, cancelled at any moment: what reached the VPC has an intent, and each intent one outcome."""

    async def one(n: int) -> None:
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(n % 40 / 4000):
                await ask(stack, stream=n % 2 == 0)

    for start in range(0, 200, 20):
        await asyncio.gather(*(one(n) for n in range(start, start + 20)))
    await stack.until(lambda: stack.worker.gateway.in_flight == 0)
    await written(stack)
    await ended(stack)
    folder = stack.log.parent / "audit"
    intents = {r["id"]: r for r in records(folder, "intent")}
    outcomes = records(folder, "outcome")
    assert {request_id(entry) for entry in stack.received("vllm")} <= intents.keys()
    assert sorted(o["of"] for o in outcomes) == sorted(i["seq"] for i in records(folder, "intent"))
    assert verified(folder).sound


async def test_an_upstream_that_closes_while_we_wait_is_left_for_a_fresh_connection(tmp_path: Path) -> None:
    """Over a connection that had carried others, once more; a fresh one that closes at once is out of reach."""
    closing: list[Peer] = []

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(OK))
        closing.append(peer)
        await peer.gone()

    async with RawServer(script) as server, running(tmp_path, audit=AUDIT) as stack:
        point_at(stack, f"http://127.0.0.1:{server.port}")
        assert await stack.worker.reload() == []
        disk = HeldUp(stack)
        assert (await ask(stack))[0] == 200
        disk.go.clear()
        call = asyncio.create_task(ask(stack))
        await until_waiting(stack)
        closing[0].close()
        await stack.until(lambda: stack.worker.sovereign.open == 0)
        disk.go.set()
        assert (await call)[0] == 200
        outcomes = await written(stack, "outcome", 3)
        assert [(o["fault"], o["sent"] > 0) for o in outcomes] == [("", True), ("stale", False), ("", True)]
        assert [i["reused"] for i in await written(stack, "intent")] == [False, True, False]


async def test_a_fresh_connection_that_closes_while_we_wait_is_a_fault(tmp_path: Path) -> None:
    """Nothing was sent, and the record says so."""
    peers: list[Peer] = []

    async def script(peer: Peer) -> None:
        peers.append(peer)
        await peer.gone()

    async with RawServer(script) as server, running(tmp_path, audit=AUDIT, patience="0s") as stack:
        point_at(stack, f"http://127.0.0.1:{server.port}")
        assert await stack.worker.reload() == []
        disk = HeldUp(stack)
        disk.go.clear()
        call = asyncio.create_task(ask(stack))
        await until_waiting(stack)
        peers[0].close()
        await stack.until(lambda: stack.worker.sovereign.open == 0)
        disk.go.set()
        found = (await written(stack, "outcome", 1))[0]
        assert (found["fault"], found["sent"]) == ("connect", 0)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call


OK = b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'  # noqa: E501


def point_at(stack: Stack, url: str, more: str = "") -> None:
    """Have the configuration lead into another VPC."""
    file = stack.worker.path
    file.write_text(
        file.read_text()
        .replace(stack.sim("vllm").url, url)
        .replace("allow_cidrs: [127.0.0.0/8]", f"allow_cidrs: [127.0.0.0/8]{more}")
    )


async def test_the_certificate_is_recorded_by_its_fingerprint(tmp_path: Path) -> None:
    """SHA-256 over what the server showed, over a fresh connection and a reused one."""
    authority = Authority(tmp_path, "VPC CA")
    context = authority.server("vllm.internal")

    async def script(peer: Peer) -> None:
        for _ in range(2):
            await peer.request()
            await peer.send(answer(OK))
        await peer.gone()

    pem = (tmp_path / "server1.pem").read_text()
    fingerprint = hashlib.sha256(
        ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END CERTIFICATE-----") + 26])
    ).hexdigest()
    async with RawServer(script, tls=context) as server, running(tmp_path, audit=AUDIT) as stack:
        point_at(stack, f"https://127.0.0.1:{server.port}", f', tls: {{ca: "{authority.ca}", name: vllm.internal}}')
        assert await stack.worker.reload() == []
        for _ in range(2):
            assert (await ask(stack))[0] == 200
        intents = await written(stack, "intent", 2)
        assert [(i["certificate"], i["reused"]) for i in intents] == [(fingerprint, False), (fingerprint, True)]


# ---- a disk that fails ----


@contextlib.contextmanager
def full(folder: Path) -> Iterator[Callable[[], None]]:
    """A small file system in a folder; gives what fills it to the last byte, but for what is given back."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip(f"mounting a tmpfs is not allowed here: {done.stderr.decode().strip()}")

    def fill() -> None:
        with contextlib.suppress(OSError), (folder / "filler").open("ab", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass

    try:
        yield fill
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


async def test_a_full_disk_refuses_sovereign_calls_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 in the caller's dialect with a time to come again, nothing sent; and all is well once there is room."""
    monkeypatch.setattr(audit, "HEAD_SECONDS", 3600)  # the next call finds out whether there is room again
    place = tmp_path / "small"
    place.mkdir()
    with full(place) as fill:
        async with running(tmp_path, audit="audit: {path: small/audit, key: key.pem}") as stack:
            assert (await ask(stack))[0] == 200
            fill()
            sent = len(stack.received("vllm"))
            written = -1
            while log_of(stack).records != written:  # the last block of the file may still have room for a few
                written = log_of(stack).records
                await ask(stack)
                await idle(stack)
            before = len(stack.received("vllm"))
            for stream in (True, False):
                status, headers, body = await ask(stack, stream=stream)
                assert status == 503
                assert b"audit_unavailable" in body
                assert int(headers["Retry-After"]) >= 1
                assert (await ask(stack, SHOP, stream=stream))[0] == 200
            assert len(stack.received("vllm")) == before <= sent + 20
            await idle(stack)
            assert stack.worker.health.out() == []
            gauges = log_of(stack).gauges()
            assert (gauges["hybridproxy_audit_failing"], gauges["hybridproxy_audit_dropped"] > 4) == (1, True)
            events = [line for line in await stack.lines() if line["event"].startswith("audit.")]
            *before_it, last = [(e["event"], e.get("reason")) for e in events]
            assert last == ("audit.failing", "No space left on device")
            assert before_it[::2] == [last] * len(before_it[::2])  # told again where a small record had room between
            assert {name for name, _ in before_it[1::2]} <= {"audit.recovered"}
            (place / "filler").unlink()
            assert (await ask(stack))[0] == 200
            assert (await written_in(place / "audit", stack, "lost"))[0]["records"] >= 4
        assert verified(place / "audit").sound


async def written_in(folder: Path, stack: Stack, kind: str) -> list[dict[str, Any]]:
    """Wait for a record of a kind in another folder."""
    await stack.until(lambda: records(folder, kind))
    return records(folder, kind)


async def test_a_disk_that_hangs_refuses_them_within_seconds(
    stack: Stack, disk: HeldUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As our own fault, not the backend's; what is written later was never sent, and the record says so."""
    assert (await ask(stack))[0] == 200
    monkeypatch.setattr(upstream, "RECORD_WITHIN", 0.05)
    sent = len(stack.received("vllm"))
    disk.go.clear()
    status, _, body = await ask(stack)
    assert (status, b"audit_unavailable" in body) == (503, True)
    assert (await ask(stack, SHOP))[0] == 200
    assert stack.worker.health.out() == []
    monkeypatch.setattr(upstream, "RECORD_WITHIN", LONG)
    disk.go.set()
    outcome = [o for o in await written(stack, "outcome", 3) if o["fault"] == "audit"]
    assert [o["sent"] for o in outcome] == [0]
    assert (await ask(stack))[0] == 200
    assert len(stack.received("vllm")) == sent + 1


async def test_without_an_audit_section_nothing_waits_and_nothing_is_written(tmp_path: Path) -> None:
    """And nothing is counted."""
    async with running(tmp_path) as stack:
        assert (await ask(stack))[0] == 200
        assert stack.worker.audit is None
        assert b"hybridproxy_audit" not in stack.worker.metrics.render()
    assert not (tmp_path / "audit").exists()


async def test_the_log_and_its_anchor_are_measured(stack: Stack) -> None:
    """Records, what waits, the slowest fdatasync, what was dropped, what the anchor did not take."""
    await ask(stack)
    await written(stack, "outcome", 1)
    text = stack.worker.metrics.render().decode()
    for name in (
        "records", "records_waiting", "bytes_waiting", "fsync_seconds_max", "dropped", "failing", "anchor_failures",
        "anchored_heads",
    ):  # fmt: skip
        assert f"hybridproxy_audit_{name} " in text
