"""The audit log's writer: what is durable when, what a failing disk costs, and what the next start makes of it."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hybridproxy.residency.records import Way
from hybridproxy.residency.verify import Proof
from hybridproxy.stores import audit as module
from hybridproxy.stores.audit import Audit, AuditError, Entry
from hybridproxy.stores.segments import Segments, files_in, lines_of
from hybridproxy.stores.signing import SigningKey, make_key
from hybridproxy.stores.trail import Trail
from tests.support.audits import records, verified
from tests.support.chains import POLICY, VPC, origin
from tests.support.patience import LONG

GENERAL = Way("us", "https://us.example", sovereign=False)


class Disk(Segments):
    """Files whose writes a test holds up or lets fail."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.writes = 0
        self.go = threading.Event()
        self.go.set()
        self.error: OSError | None = None
        self.breaks = False

    def write(self, data: bytes, *, name: str | None, sync: bool) -> float:
        self.go.wait(30)
        self.writes += 1
        if self.error is not None:
            self.usable = self.usable and not self.breaks
            raise self.error
        return super().write(data, name=name, sync=sync)


class Setup:
    """A log and everything around it."""

    def __init__(self, folder: Path, key: SigningKey) -> None:
        self.disk = Disk(folder / "audit")
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.heads: list[bytes] = []
        self.clock = itertools.count(1_790_000_000)
        ids = itertools.count()
        self.audit = Audit(
            self.disk, key, POLICY, wall=lambda: next(self.clock), new_id=lambda: f"{folder.name[:2]}{next(ids):014d}",
            log=lambda name, **fields: self.events.append((name, fields)), heads=self,
        )  # fmt: skip

    def send(self, line: bytes) -> None:
        """Take a head."""
        self.heads.append(line)

    async def written(self) -> None:
        """Wait until nothing is on its way."""
        await until(lambda: not self.audit._queue and self.audit._batch is None)

    def proof(self) -> Proof:
        """Verify what is on the disk, with the heads."""
        return verified(self.disk.folder, self.heads)

    def kinds(self) -> list[str]:
        """The records on the disk, by kind."""
        return [record["kind"] for record in records(self.disk.folder)]


async def until(condition: Callable[[], object]) -> None:
    """Wait for what a thread brings about."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a moment may take seconds: no head comes, and no disk hangs, but where a test says so."""
    monkeypatch.setattr(module, "HEAD_SECONDS", 3600)
    monkeypatch.setattr(module, "STALLED", LONG)


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """The key of all these logs."""
    return make_key(tmp_path_factory.mktemp("key") / "key.pem")


@asynccontextmanager
async def started(folder: Path, key: SigningKey) -> AsyncIterator[Setup]:
    """A log that is written."""
    setup = Setup(folder, key)
    setup.audit.start()
    try:
        await setup.written()
        yield setup
    finally:
        setup.disk.go.set()
        await setup.audit.close(LONG)


@pytest.fixture
async def setup(tmp_path: Path, key: SigningKey) -> AsyncIterator[Setup]:
    """A log that is written."""
    async with started(tmp_path, key) as made:
        yield made


def intend(setup: Setup, way: Way = VPC, n: int = 1) -> tuple[Trail, asyncio.Future[None] | None]:
    """Record an intent."""
    trail = Trail(setup.audit, origin(n), way)
    return trail, trail.intend("10.0.3.11", None, reused=False)


async def recorded(setup: Setup, way: Way = VPC) -> Trail:
    """Record an intent and wait until it is durable."""
    trail, durable = intend(setup, way)
    assert durable is not None
    await durable
    return trail


def end(trail: Trail, *, fault: str = "") -> None:
    """Record an outcome."""
    trail.end(sent=10, received=20, status=200, fault=fault)


async def test_a_chain_begins_with_process_policy_and_key(setup: Setup, key: SigningKey) -> None:
    """Signed at once, and ended in order."""
    await setup.audit.close(LONG)
    first, head, last, head2 = records(setup.disk.folder)
    assert (first["kind"], first["policy"], first["key"], first["after"]) == ("begin", POLICY, key.public.hex(), None)
    assert [head["kind"], last["kind"], head2["kind"]] == ["head", "end", "head"]
    assert len(setup.heads) == 2
    proof = setup.proof()
    assert proof.sound
    assert [(chain.unproven, chain.ended) for chain in proof.chains] == [(0, True)]
    await setup.audit.close(LONG)
    _, durable = intend(setup)
    assert durable is not None
    with pytest.raises(AuditError, match="closed"):
        await durable


async def test_an_intent_is_on_the_disk_once_its_future_is_done(setup: Setup) -> None:
    """Its outcome names it."""
    trail = await recorded(setup)
    intent = records(setup.disk.folder)[-1]
    assert (intent["kind"], intent["peer"], intent["tenant"]) == ("intent", "10.0.3.11", "4381dc2ab142")
    end(trail)
    await setup.written()
    outcome = records(setup.disk.folder)[-1]
    assert (outcome["kind"], outcome["of"], outcome["sent"]) == ("outcome", intent["seq"], 10)
    assert setup.audit.gauges()["hybridproxy_audit_records"] == 2


async def test_those_who_wait_share_one_write(setup: Setup) -> None:
    """A hundred in one turn of the loop; and who comes while the disk works shares the next one."""
    before = setup.disk.writes
    setup.disk.go.clear()
    first = [intend(setup, n=n)[1] for n in range(100)]
    await until(lambda: setup.audit._batch is not None)
    assert setup.audit.gauges()["hybridproxy_audit_records_waiting"] == 100
    assert setup.audit.gauges()["hybridproxy_audit_bytes_waiting"] > 10_000
    second = [intend(setup, n=n)[1] for n in range(100)]
    setup.disk.go.set()
    for durable in [*first, *second]:
        assert durable is not None
        await durable
    assert setup.disk.writes == before + 2
    assert setup.audit.gauges()["hybridproxy_audit_fsync_seconds_max"] > 0
    assert setup.audit.gauges()["hybridproxy_audit_fsync_seconds_max"] == 0


async def test_nobody_waits_for_the_others(setup: Setup) -> None:
    """They share a write ten times a second; who waits takes them along."""
    before = setup.disk.writes
    trail, durable = intend(setup, GENERAL)
    end(trail)
    assert durable is None
    await recorded(setup)
    assert setup.disk.writes == before + 1
    intend(setup, GENERAL)
    await setup.written()
    assert setup.kinds()[2:] == ["intent", "outcome", "intent", "intent"]


async def test_what_was_not_reached_is_recorded_too(setup: Setup) -> None:
    """Without an intent, since nothing was ever going to be sent."""
    end(Trail(setup.audit, None, VPC), fault="connect")
    await setup.written()
    found = records(setup.disk.folder)[-1]
    assert (found["kind"], found["probe"], found["fault"]) == ("unreached", True, "connect")


async def test_heads_are_signed_each_second_and_each_thousand_records(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While there is something to sign."""
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.01)
    await recorded(setup)
    await until(lambda: len(setup.heads) == 2)
    assert setup.kinds()[-1] == "head"
    assert setup.audit._head_timer is None
    monkeypatch.setattr(module, "HEAD_RECORDS", 3)
    monkeypatch.setattr(module, "HEAD_SECONDS", 3600)
    for _ in range(3):
        await recorded(setup)
    assert len(setup.heads) == 3
    assert setup.proof().chains[0].unproven == 0


async def test_another_policy_is_recorded_once(setup: Setup) -> None:
    """A reload that changes nothing of it leaves no record."""
    setup.audit.policy(POLICY)
    setup.audit.policy("another")
    await setup.written()
    assert [r["policy"] for r in records(setup.disk.folder) if r["kind"] == "policy"] == ["another"]


# ---- a disk that fails ----


async def test_a_failing_disk_fails_those_who_wait_and_nobody_else(setup: Setup) -> None:
    """Told once; when it works again a record says how many are missing, and the chain has no gap."""
    setup.disk.error = OSError(28, "No space left on device")
    for _ in range(3):
        trail, durable = intend(setup)
        assert durable is not None
        with pytest.raises(AuditError, match="No space left"):
            await durable
        end(trail, fault="audit")
        general, none = intend(setup, GENERAL)
        assert none is None
        end(general)
    await setup.written()
    assert setup.events == [("audit.failing", {"reason": "No space left on device"})]
    assert (setup.audit.gauges()["hybridproxy_audit_failing"], setup.audit.dropped) == (1, 12)
    setup.disk.error = None
    await recorded(setup)
    assert setup.events[1:] == [("audit.recovered", {"lost": 12, "dropped": 12})]
    assert setup.kinds()[2:] == ["lost", "intent"]
    assert [r["records"] for r in records(setup.disk.folder) if r["kind"] == "lost"] == [12]
    assert setup.proof().sound


async def test_an_outcome_whose_intent_was_lost_says_so(setup: Setup) -> None:
    """It names no other record by mistake."""
    setup.disk.error = OSError(28, "No space left on device")
    trail, _ = intend(setup, GENERAL)
    await setup.written()
    setup.disk.error = None
    end(trail)
    await setup.written()
    assert records(setup.disk.folder)[-1]["of"] is None


async def test_a_disk_that_works_again_is_noticed_without_a_call(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second later, by the next head."""
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.01)
    setup.disk.error = OSError(28, "No space left on device")
    intend(setup, GENERAL)
    await until(lambda: setup.audit.failing)
    setup.disk.error = None
    await until(lambda: not setup.audit.failing)
    assert setup.kinds()[-2:] == ["lost", "head"]


async def test_after_a_write_in_doubt_a_new_chain_begins(setup: Setup) -> None:
    """It names the last record that is certain; the old file stays as it is."""
    await recorded(setup)
    setup.disk.error, setup.disk.breaks = OSError(5, "Input/output error"), True
    _, durable = intend(setup)
    assert durable is not None
    with pytest.raises(AuditError, match="Input/output"):
        await durable
    setup.disk.error = None
    await recorded(setup)
    one, two = files_in(setup.disk.folder)
    begin = next(record for record in records(setup.disk.folder) if record["kind"] == "begin" and record["after"])
    assert (begin["after"]["boot"], begin["after"]["torn"]) == (one.name.split("-")[1], True)
    assert begin["after"]["seq"] == len(list(lines_of(one))) - 1
    assert begin["boot"] == two.name.split("-")[1] != begin["after"]["boot"]
    assert setup.proof().sound


async def test_an_outcome_in_another_chain_than_its_intent_names_no_number(setup: Setup) -> None:
    """Or it would be another request's: numbers begin anew."""
    trail = await recorded(setup)
    setup.disk.error, setup.disk.breaks = OSError(5, "Input/output error"), True
    _, durable = intend(setup, n=2)
    assert durable is not None
    with pytest.raises(AuditError, match="Input/output"):
        await durable
    setup.disk.error = None
    again = await recorded(setup)
    for one in (trail, again):
        one.end(sent=10, received=20, status=200, fault="")
    await setup.written()
    outcomes = [record for record in records(setup.disk.folder) if record["kind"] == "outcome"]
    intents = [record for record in records(setup.disk.folder) if record["kind"] == "intent"]
    assert [record["of"] for record in outcomes] == [None, intents[-1]["seq"]]


async def test_a_disk_that_hangs_is_told(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so is its return. Who gave up waiting does no harm."""
    monkeypatch.setattr(module, "STALLED", 0.01)
    setup.disk.go.clear()
    _, durable = intend(setup)
    assert durable is not None
    await until(lambda: setup.audit.failing)
    durable.cancel()
    monkeypatch.setattr(module, "STALLED", LONG)
    setup.disk.go.set()
    await setup.written()
    assert [name for name, _ in setup.events] == ["audit.failing", "audit.recovered"]
    assert setup.kinds()[-1] == "intent"


async def test_what_waits_is_bounded(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes then is refused at once, or counted; and a part is kept for those who would be refused."""
    monkeypatch.setattr(module, "MAX_UNWAITED", 1)
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    setup.disk.go.clear()
    intend(setup)  # the one that is being written
    await until(lambda: setup.audit._batch is not None)
    for _ in range(3):
        intend(setup, GENERAL)
    assert setup.audit.dropped == 2
    _, kept = intend(setup)
    _, refused = intend(setup)
    assert kept is not None
    assert refused is not None
    with pytest.raises(AuditError, match="too many"):
        await refused
    setup.disk.go.set()
    await kept


async def test_a_long_queue_goes_out_in_parts(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, without a pause between them."""
    monkeypatch.setattr(module, "MAX_BATCH", 10)
    for _ in range(35):
        intend(setup, GENERAL)
    durable = intend(setup)[1]
    assert durable is not None
    await durable
    assert setup.kinds()[2:] == ["intent"] * 36


# ---- files and starts ----


async def test_files_are_exchanged_by_size_and_by_age(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each begins with a record that follows the last one of the file before."""
    monkeypatch.setattr(module, "MAX_SEGMENT", 1)
    await recorded(setup)
    await recorded(setup)
    monkeypatch.setattr(module, "MAX_SEGMENT", 1 << 30)
    monkeypatch.setattr(module, "MAX_AGE", 0)
    await recorded(setup)
    await setup.audit.close(LONG)
    files = files_in(setup.disk.folder)
    assert len(files) == 5
    assert [record["segment"] for record in records(setup.disk.folder) if record["kind"] == "begin"] == [0, 1, 2, 3, 4]
    proof = setup.proof()
    assert proof.sound
    assert len(proof.chains) == 1


async def test_a_file_that_cannot_be_begun_keeps_the_one_before(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain goes on in it, or in the next file that can be begun."""
    monkeypatch.setattr(module, "MAX_SEGMENT", 1)
    setup.disk.error = OSError(28, "No space left on device")
    durable = intend(setup)[1]
    assert durable is not None
    with pytest.raises(AuditError):
        await durable
    setup.disk.error = None
    await recorded(setup)
    assert [record["segment"] for record in records(setup.disk.folder) if record["kind"] == "begin"] == [0, 1]
    assert setup.proof().sound


async def test_the_next_start_begins_a_chain_that_names_the_last_one(tmp_path: Path, key: SigningKey) -> None:
    """After an end in order, and after a crash that left a torn line; an empty file is passed over."""
    async with started(tmp_path, key) as one:
        await recorded(one)
    folder = tmp_path / "audit"
    path = files_in(folder)[0]
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])
    (folder / "999999999999999-zz-000000.audit").touch()
    second = Setup(tmp_path, key)
    second.audit._new_id = lambda: "second"
    second.clock = itertools.count(1_800_000_000)
    second.audit.start()
    await second.written()
    await second.audit.close(LONG)
    (folder / "999999999999999-zz-000000.audit").unlink()
    begin = next(r for r in records(folder) if r["kind"] == "begin" and r["boot"] == "second")
    assert begin["after"]["torn"] is True
    assert begin["after"]["boot"] == path.name.split("-")[1]
    assert ("audit.torn", {"file": path.name}) in second.events
    proof = verified(folder, [*one.heads, *second.heads])
    assert proof.sound
    assert [chain.torn for chain in proof.chains] == [True, False]


async def test_a_log_that_never_started_has_no_end(tmp_path: Path, key: SigningKey) -> None:
    """A start that failed elsewhere."""
    setup = Setup(tmp_path, key)
    await setup.audit.close(LONG)
    assert not setup.disk.folder.exists()
    (tmp_path / "audit").touch()
    with pytest.raises(FileExistsError):
        setup.audit.start()


async def test_an_end_does_not_wait_for_a_disk_that_hangs(tmp_path: Path, key: SigningKey) -> None:
    """A moment, and then the process ends without it."""
    setup = Setup(tmp_path, key)
    setup.audit.start()
    await setup.written()
    setup.disk.go.clear()
    intend(setup, GENERAL)
    await setup.audit.close(0.01)
    setup.disk.go.set()
    await until(lambda: not any(thread.name == "audit" for thread in threading.enumerate()))
    await asyncio.sleep(0)
    assert verified(setup.disk.folder).sound


async def test_a_record_alone_can_be_put(setup: Setup) -> None:
    """What is put without waiting gives nothing to wait for."""
    assert setup.audit.put(Entry({"kind": "policy", "policy": "x"})) is None


async def test_a_start_on_a_full_disk_is_made_up_for(
    tmp_path: Path, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits is refused meanwhile; the chain begins as soon as there is room, without a caller's help."""
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.01)
    setup = Setup(tmp_path, key)
    setup.disk.error = OSError(28, "No space left on device")
    setup.audit.start()
    await until(lambda: setup.audit.failing)
    durable = intend(setup)[1]
    assert durable is not None
    with pytest.raises(AuditError):
        await durable
    setup.disk.error = None
    await until(lambda: not setup.audit.failing)
    await setup.audit.close(LONG)
    assert setup.kinds()[:3] == ["begin", "lost", "head"]
    assert setup.proof().sound


async def test_an_end_that_comes_while_a_head_is_written_has_its_own(tmp_path: Path, key: SigningKey) -> None:
    """What is signed already does not vouch for what comes after it."""
    setup = Setup(tmp_path, key)
    setup.disk.go.clear()
    setup.audit.start()
    closing = asyncio.create_task(setup.audit.close(LONG))
    await asyncio.sleep(0)
    setup.disk.go.set()
    await closing
    assert setup.kinds() == ["begin", "head", "end", "head"]
