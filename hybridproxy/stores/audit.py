"""The audit log: an intent before the first byte of a request, an outcome at its end, in one chain a process.

Records are taken on the event loop. Who has to wait for one gets a future, which is done once the record is durable;
one `fdatasync` serves all who wait at that moment, and a thread of its own makes it. Nobody waits for the rest: it goes
out ten times a second. A chain stands where its last successful write left it: what could not be written was never part
of it, is counted, and leaves a `lost` record once writing works again. A record that somebody waited for fails then.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Final, Protocol

from hybridproxy.model.value import value
from hybridproxy.residency import chain as form
from hybridproxy.residency import records
from hybridproxy.residency.chain import Record, State, segment_name
from hybridproxy.stores.segments import Segments
from hybridproxy.stores.signing import SigningKey

FLUSH_SECONDS: Final = 0.1
HEAD_SECONDS: Final = 1.0
HEAD_RECORDS: Final = 1000
STALLED: Final = 2.0
"""Seconds after which a disk that does not answer is told of."""

MAX_WAITING, MAX_UNWAITED = 20_000, 10_000
"""Records that wait for the disk; the second half is kept for those that somebody waits for."""

MAX_BATCH: Final = 256
"""Records of one write: their hashes are made on the event loop, in about two milliseconds."""

MAX_SEGMENT: Final = 64 * 1024 * 1024
MAX_AGE: Final = 24 * 3600 * 1000
"""Bytes and milliseconds after which a new file is begun."""


class AuditError(Exception):
    """A record could not be made durable; the text says why."""


class Heads(Protocol):
    """Takes signed heads, to send them elsewhere."""

    def send(self, line: bytes) -> None:
        """Take one."""
        ...


@dataclass(slots=True, eq=False)
class Entry:
    """A record on its way. `of` is the intent whose outcome it is; `seq` is its number, once it has one, in `boot`."""

    record: Record = field(repr=False)
    of: "Entry | None" = None
    waiter: asyncio.Future[None] | None = None
    seq: int | None = None
    boot: str = ""


@value
class _Chain:
    """The chain under way: its name and beginning, the open segment, and where it stands."""

    boot: str
    began: int
    segment: int
    opened: int
    size: int
    state: State
    headed: int


@dataclass(slots=True)
class _Batch:
    """What goes out in one write."""

    chain: _Chain
    entries: list[Entry]
    data: bytes = field(repr=False)
    name: str | None
    sync: bool
    head: bytes | None
    lost: int


class Audit:
    """One process's log."""

    def __init__(
        self,
        segments: Segments,
        key: SigningKey,
        policy: str,
        *,
        wall: Callable[[], float],
        new_id: Callable[[], str],
        log: Callable[..., None],
        heads: Heads | None = None,
    ) -> None:
        """Write to segments. Must be made on the running loop.

        Args:
            segments: the files.
            key: signs the heads.
            policy: the hash of the policy in force.
            wall: seconds since the epoch.
            new_id: gives a chain its name.
            log: takes events.
            heads: takes the signed heads, None: they go nowhere else.

        """
        self.records = self.dropped = 0
        """Records written so far, and those that could not be."""
        self.failing = False
        self._segments = segments
        self._key = key
        self._policy = policy
        self._wall = wall
        self._new_id = new_id
        self._log = log
        self._heads = heads
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Entry] = deque()
        self._chain: _Chain | None = None
        self._after: dict[str, Any] | None = None
        self._batch: _Batch | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._timer: asyncio.Handle | None = None
        self._urgent = False
        self._waited_for = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._head_due = True
        self._unreported = 0
        self._slowest = 0.0
        self._started = self._closed = False
        self._jobs: SimpleQueue[_Batch | None] = SimpleQueue()

    # ---- what goes in ----

    def put(self, entry: Entry, *, wait: bool = False) -> asyncio.Future[None] | None:
        """Take a record; with `wait`, return what is done once it is durable, or fails with `AuditError`."""
        entry.record["at"] = self._now()
        waiter = entry.waiter = self._loop.create_future() if wait else None
        if len(self._queue) >= (MAX_WAITING if wait else MAX_UNWAITED) or self._closed:
            self._fail([entry], "too many records wait for the disk" if not self._closed else "it is closed")
            return waiter
        self._queue.append(entry)
        self._waited_for += wait
        if self._batch is None:
            self._soon(at_once=wait)
        return waiter

    def policy(self, policy: str) -> None:
        """Take the hash of another policy that is in force from now on."""
        if policy != self._policy:
            self._policy = policy
            self.put(Entry({"kind": form.POLICY, "policy": policy}))

    # ---- the process ----

    def start(self) -> None:
        """Begin a chain, which names the last record of the one before, if there is one.

        Raises:
            OSError: the folder cannot be made or read.

        """
        for name, tail in self._segments.tails():
            line, torn = form.last_of(tail)
            if torn:
                self._log("audit.torn", file=name)
            if line is not None and line.record is not None:
                boot, _ = form.named(name)
                self._after = {"boot": boot, "seq": line.record["seq"], "hash": line.hash.hex(), "torn": torn}
                break
        self._started = True
        threading.Thread(target=self._work, name="audit", daemon=True).start()
        self._flush()

    async def close(self, seconds: float = 2.0) -> None:
        """End the chain, for at most so long."""
        if self._started and not self._closed:
            self.put(Entry({"kind": form.END}))
            self._closed = self._head_due = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while self._queue or self._batch is not None:
                        self._flush()
                        await self._idle.wait()
            for timer in (self._timer, self._head_timer, self._stall):
                if timer is not None:
                    timer.cancel()
            self._jobs.put(None)

    def gauges(self) -> dict[str, float]:
        """Return what there is to measure; the longest `fdatasync` is that since this was asked last."""
        batch, slowest, self._slowest = self._batch, self._slowest, 0.0
        return {
            "hybridproxy_audit_records": self.records,
            "hybridproxy_audit_records_waiting": len(self._queue) + (0 if batch is None else len(batch.entries)),
            "hybridproxy_audit_bytes_waiting": 0 if batch is None else len(batch.data),
            "hybridproxy_audit_fsync_seconds_max": slowest,
            "hybridproxy_audit_dropped": self.dropped,
            "hybridproxy_audit_failing": float(self.failing),
        }

    # ---- writing ----

    def _now(self) -> int:
        return int(self._wall() * 1000)

    def _soon(self, *, at_once: bool) -> None:
        """Have what waits written: soon, or in the loop's next turn, so that all of this one share a write."""
        timer = self._timer
        if at_once and not self._urgent:
            self._urgent = True
            if timer is not None:
                timer.cancel()
            self._timer = self._loop.call_soon(self._flush)
        elif timer is None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self._flush)

    def _flush(self) -> None:
        """Hand what waits to the thread, unless it is still writing."""
        self._urgent = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._batch is not None or not (self._queue or self._head_due):
            return
        batch = self._batch = self._made()
        self._idle.clear()
        self._stall = self._loop.call_later(STALLED, self._stalled)
        self._jobs.put(batch)

    def _made(self) -> _Batch:
        """Return the next write: the records that wait, with what the chain adds of its own."""
        now, lines = self._now(), list[bytes]()
        entries = [self._queue.popleft() for _ in range(min(MAX_BATCH, len(self._queue)))]
        chain, start = self._place(now)
        state, lost = chain.state, self._unreported
        if start is not None:
            state, line = form.append(state, start)
            lines.append(line)
        if lost:
            state, line = form.append(state, {"kind": form.LOST, "at": now, "records": lost})
            lines.append(line)
        sync = start is not None
        for entry in entries:
            if entry.of is not None:
                same = entry.of.boot == chain.boot  # a number means nothing in another chain
                entry.record["of"] = entry.of.seq if same else None
                entry.of = None
            entry.seq, entry.boot = state.seq, chain.boot
            if entry.waiter is not None:
                self._waited_for -= 1
                sync = True
            state, line = form.append(state, entry.record)
            lines.append(line)
        head = None
        if self._head_due or start is not None or state.seq - chain.headed >= HEAD_RECORDS:
            state, head = form.append(state, {"kind": form.HEAD, "at": now, "boot": chain.boot}, self._key.sign)
            lines.append(head)
        self._head_due = False
        data = b"".join(lines)
        after = _Chain(
            chain.boot, chain.began, chain.segment, chain.opened, chain.size + len(data), state,
            chain.headed if head is None else state.seq,
        )  # fmt: skip
        name = None if start is None else segment_name(chain.boot, chain.began, chain.segment)
        return _Batch(after, entries, data, name, sync or head is not None, head, lost)

    def _place(self, now: int) -> tuple[_Chain, Record | None]:
        """Return where the next record goes, with the first record of a segment where one is to be begun."""
        chain = self._chain
        if chain is not None and chain.size < MAX_SEGMENT and now - chain.opened < MAX_AGE:
            return chain, None
        if chain is None:
            chain = _Chain(self._new_id(), now, 0, now, 0, State(), 0)
            more: dict[str, Any] = {"after": self._after}
        else:
            chain = _Chain(chain.boot, chain.began, chain.segment + 1, now, 0, chain.state, chain.headed)
            more = {"prev": chain.state.hash.hex()}
        start = records.begin(
            chain.boot, chain.began, segment=chain.segment, key=self._key.public, policy=self._policy, more=more
        )
        start["at"] = now
        return chain, start

    def _work(self) -> None:
        """Write batches; the body of the thread."""
        segments = self._segments
        while (batch := self._jobs.get()) is not None:
            error: OSError | None = None
            seconds = 0.0
            try:
                seconds = segments.write(batch.data, name=batch.name, sync=batch.sync)
            except OSError as failed:
                error = failed
            with contextlib.suppress(RuntimeError):  # the loop is gone
                self._loop.call_soon_threadsafe(self._written, batch, error, seconds)
        segments.close()

    def _written(self, batch: _Batch, error: OSError | None, seconds: float) -> None:
        """Take the news of a write."""
        self._batch = None
        self._idle.set()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        self._slowest = max(self._slowest, seconds)
        if error is None:
            self._succeeded(batch)
        else:
            self._failed(batch, error)
        if self._queue and not self._closed:
            self._soon(at_once=self._waited_for > 0 or len(self._queue) >= MAX_BATCH)

    def _succeeded(self, batch: _Batch) -> None:
        self._chain = batch.chain
        self._unreported -= batch.lost
        self.records += len(batch.entries)
        if batch.head is not None and self._heads is not None:
            self._heads.send(batch.head)
        for entry in batch.entries:
            entry.record.clear()  # a stream may last long, and its outcome needs only the number
            if entry.waiter is not None and not entry.waiter.done():
                entry.waiter.set_result(None)
        if self.failing:
            self.failing = False
            self._log("audit.recovered", lost=batch.lost, dropped=self.dropped)
        if batch.chain.state.seq > batch.chain.headed:
            self._sign_later()

    def _failed(self, batch: _Batch, error: OSError) -> None:
        chain = self._chain
        if chain is not None and not self._segments.usable:
            state = chain.state
            self._after = {"boot": chain.boot, "seq": state.seq - 1, "hash": state.hash.hex(), "torn": True}
            self._chain = None
        self._sign_later()  # and so find out, without a caller's help, whether it works again
        self._fail(batch.entries, error.strerror or type(error).__name__)

    def _fail(self, entries: list[Entry], why: str) -> None:
        """Give records up: nobody may rely on them. A write in doubt can have left them in a file that is closed."""
        self.dropped += len(entries)
        self._unreported += len(entries)
        for entry in entries:
            entry.seq = None
            entry.record.clear()
            if entry.waiter is not None and not entry.waiter.done():
                entry.waiter.set_exception(AuditError(why))
        self._alert(why)

    def _alert(self, why: str) -> None:
        if not self.failing and not self._closed:
            self.failing = True
            self._log("audit.failing", reason=why)

    def _stalled(self) -> None:
        self._alert(f"the disk has not answered for {STALLED:g} s")

    def _sign_later(self) -> None:
        if self._head_timer is None and not self._closed:
            self._head_timer = self._loop.call_later(HEAD_SECONDS, self._sign)

    def _sign(self) -> None:
        """Have a head written: a second is over in which records came."""
        self._head_timer = None
        self._head_due = True
        self._flush()
