"""Brings targets back: for each that is open, the right to probe, a check of ours, and then the probes.

A background task, ten times a second; no call waits for it. For each target whose open time is over it asks for the one
right to probe in the fleet, connects to the target without asking anything, and, if that works, lets callers' calls
probe it. A backend of the VPC is probed by calls of one token of our own instead, never by a sovereign caller's; and so
is a target nobody calls, at most one series of probes each `IDLE_EVERY` seconds. Where a call of ours tells nothing (a
model that takes no such call answers 400 or 404), callers' calls are the probes from then on, in the VPC too.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from hybridproxy.gateway.account import Probe
from hybridproxy.gateway.outgoing import outgoing_request, spoken
from hybridproxy.gateway.parts import Parts
from hybridproxy.gateway.relay import AnswerAttempt, StreamAttempt
from hybridproxy.model.backend import Backend, SovereignBackend, Trust
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.fault import Fault, Source, Verdict
from hybridproxy.model.health import HealthKey
from hybridproxy.model.plan import Target
from hybridproxy.model.price import UNKNOWN
from hybridproxy.model.snapshot import DEFAULT_TIMEOUTS, Snapshot
from hybridproxy.resilience import breaker
from hybridproxy.resilience.breaker import Phase, Signal, outcome_of
from hybridproxy.resilience.events import (
    Event,
    Failed,
    Finished,
    FirstOutput,
)
from hybridproxy.routing.targets import is_known, served_as
from hybridproxy.stores.gates import Turn, Wish
from hybridproxy.stores.leases import Leases
from hybridproxy.tasks import spawn, wait
from hybridproxy.transport.session import GeneralSession, SovereignSession

TICK: Final = 0.1
UNUSED: Final = 1.0
"""Seconds a probe waits for a caller before one of ours goes out."""

IDLE_EVERY: Final = 30.0
LEASE_MARGIN: Final = 5.0
GIVE_BACK: Final = 0.5
"""Seconds that are waited at the end until the rights to probe are given back."""
ASK_AGAIN: Final = 0.5
"""Seconds until the right to probe is asked for again when another replica has it."""

REQUEST_ID: Final = "probe"
_PROBE: Final = Wish("")


class Prober:
    """One worker's."""

    def __init__(
        self,
        parts: Parts,
        leases: Leases,
        snapshot: Callable[[], Snapshot],
        general: GeneralSession,
        sovereign: SovereignSession,
    ) -> None:
        """Probe by these two ways out.

        Args:
            parts: the shell's. Our own calls take their part of what credentials may be used for, and do not wait for
                it; what they cost is nobody's, but somebody bills it, so it is in the ledger.
            leases: where the right to probe comes from.
            snapshot: the configuration of the moment.
            general: the way to third parties.
            sovereign: the way into the VPC.

        """
        self.sent = 0
        """Probes of our own so far."""
        self._parts = parts
        self._health = parts.health
        self._leases = leases
        self._snapshot = snapshot
        self._general = general
        self._sovereign = sovereign
        self._now = asyncio.get_running_loop().time
        self._busy: set[HealthKey] = set()
        self._not_before: dict[HealthKey, float] = {}
        self._own_at: dict[HealthKey, float] = {}
        self._unsuited: set[HealthKey] = set()  # our own calls tell nothing of them
        self._closed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self) -> None:
        """Probe until `close`."""
        while not self._closed.is_set():
            try:
                self.tick()
            except Exception:  # noqa: BLE001 - a bug may cost one turn, not every target's way back
                self._parts.report(REQUEST_ID)
            await wait(self._closed, TICK)

    async def close(self) -> None:
        """Stop, and wait a moment until the rights to probe are given back."""
        self._closed.set()
        await wait(self._idle, GIVE_BACK)

    def tick(self) -> None:
        """Start what is due."""
        self._health.tick()
        now = self._now()
        for key in self._health.out():
            state = self._health.state(key)
            due = state.phase is Phase.OPEN and now >= max(state.until, self._not_before.get(key, 0.0))
            if due and key not in self._busy:
                self._busy.add(key)
                self._idle.clear()
                spawn(self._bring_back(key), f"probe: {key[0]}")
        for times in (self._not_before, self._own_at):
            for key in [key for key, at in times.items() if key not in self._busy and at < now - IDLE_EVERY]:
                del times[key]

    async def _bring_back(self, key: HealthKey) -> None:
        epoch: int | None = None
        try:
            target = _target(self._snapshot(), key)
            if target is None:
                self._health.forget_one(key)
                return
            if self._is_marked(target, key):
                self._not_before[key] = self._now() + ASK_AGAIN
                return
            seconds = target.timeouts.connect + target.timeouts.first_token + LEASE_MARGIN
            epoch = await self._leases.take(key, seconds)
            if epoch is None:
                self._not_before[key] = self._now() + ASK_AGAIN
                return
            state = self._health.step(key, breaker.Leased(epoch, self._now() + seconds))
            if state.phase is not Phase.HALF_OPEN or state.epoch != epoch:
                return
            fault = await self._check(target)
            what = "" if fault is None else fault.facts.text
            inside = isinstance(target.backend, SovereignBackend) or target.backend.trust is Trust.VPC
            ours = inside and key not in self._unsuited
            self._health.step(key, breaker.Checked(epoch, fault is None, what, ours))
            await self._watch(key, epoch, target, seconds, ours=ours)
        finally:
            if epoch is not None:
                self._finish(key, epoch)
            self._busy.discard(key)
            if not self._busy:
                self._idle.set()

    async def _watch(self, key: HealthKey, epoch: int, target: Target[Any], seconds: float, *, ours: bool) -> None:
        """Keep the right while callers' probes are out, and send our own where no caller does."""
        unused_since = out_since = self._now()
        while not self._closed.is_set():
            state, now = self._health.state(key), self._now()
            if state.phase is not Phase.HALF_OPEN or state.epoch != epoch:
                return
            out_since = out_since if state.out else now
            if state.lease_until - now < seconds / 2 and now - out_since < DEFAULT_TIMEOUTS.total:
                if not await self._leases.renew(key, epoch, seconds):
                    return
                self._health.step(key, breaker.Leased(epoch, self._now() + seconds))
            elif state.out or state.cool_until > now:  # or no caller may come, whose absence would tell anything
                unused_since = now
                await asyncio.sleep(TICK)
            elif (
                state.ticket and (ours or now - unused_since >= UNUSED) and self._may_send(key, state.passed, ours=ours)
            ):
                if not await self._send(key, epoch, target):
                    self._not_before[key] = self._now() + self._health.rules.open_for
                    return
                unused_since = self._now() - UNUSED
            else:
                await asyncio.sleep(TICK)

    def _may_send(self, key: HealthKey, passed: int, *, ours: bool) -> bool:
        """Return whether a probe of ours may go out: one series each `IDLE_EVERY` seconds at a third party."""
        now = self._now()
        if ours or passed or now - self._own_at.get(key, -IDLE_EVERY) >= IDLE_EVERY:
            self._own_at[key] = now
            return True
        return False

    def _finish(self, key: HealthKey, epoch: int) -> None:
        """Give the right back, with what came of it."""
        state, now = self._health.state(key), self._now()
        if state.epoch != epoch:  # somebody else's probes decided meanwhile, or it is no longer configured
            self._leases.finish(key, epoch, closed=False)
            return
        if state.phase is Phase.HALF_OPEN:  # given up without evidence
            state = self._health.step(key, breaker.Expired(force=True))
        closed = state.phase is Phase.CLOSED
        if closed:
            self._unsuited.discard(key)
        self._leases.finish(key, epoch, closed=closed, open_for=0.0 if closed else max(0.0, state.until - now))

    async def _check(self, target: Target[Any]) -> Fault | None:
        """Connect, and ask nothing; return what went wrong."""
        if isinstance(target.backend, SovereignBackend):
            return await self._sovereign.check(target)
        return await self._general.check(target)

    def _is_marked(self, target: Target[Any], key: HealthKey) -> bool:
        """Return whether an operator, or a refused key, keeps calls away: then probes have no business there either."""
        return any(self._health.marks.ban(one) is not None for one in (*target.around, key))

    async def _send(self, key: HealthKey, epoch: int, target: Target[Any]) -> bool:
        """Make the probe: a call of ours that asks for one token. Return whether it told anything."""
        turn = self._parts.limiters.free(target) or self._parts.limiters.ask(target, _PROBE)
        if not isinstance(turn, Turn):
            await asyncio.sleep(TICK)
            return True
        state = self._health.step(key, breaker.Claimed())
        if not state.out or state.epoch != epoch:
            turn.cancel()
            return True
        self.sent += 1
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Fault | None] = loop.create_future()

        def post(event: Event) -> None:
            if not done.done() and isinstance(event, FirstOutput | Finished | Failed):
                done.set_result(event.fault if isinstance(event, Failed) else None)

        call = _call(self._health.operation(key))
        way = spoken(call, target)
        kind = StreamAttempt if call.stream else AnswerAttempt
        attempt = kind(0, call, target, post, self._parts.wall, way)
        probe = Probe(self._parts, target, call, attempt, turn)
        session: Any = self._sovereign if isinstance(target.backend, SovereignBackend) else self._general
        fault: Fault | None = None
        try:
            request = outgoing_request(call, target, probe.name, way=way).request
            attempt.exchange = session.start(target, request, attempt)
            fault = await done
        finally:
            probe.end(fault, answered=done.done() and fault is None)
            attempt.release()
            turn.end(fault=fault)
            verdict = Verdict.OK if fault is None else fault.facts.verdict
            if not done.done():
                verdict = Verdict.IGNORED
            self._health.note(key, outcome_of(Signal.START, verdict, fault, epoch=epoch), fault)
        told = verdict is not Verdict.IGNORED
        if not told and fault is not None and fault.facts.source is not Source.US:
            self._unsuited.add(key)
        return told


def _call(operation: Operation) -> Call:
    """Return the smallest call of a kind; whether an engine counts says less of it than whether it answers."""
    operation = Operation.CHAT if operation is Operation.COUNT else operation
    return Call(operation, "", operation.streams, False, 1, frozenset(), 64, _SMALLEST[operation])


_SMALLEST: Final[dict[Operation, dict[str, Any]]] = {
    Operation.CHAT: {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 1, "stream": True},
    Operation.COMPLETION: {"prompt": "ping", "max_tokens": 1, "stream": True},
    Operation.EMBEDDING: {"input": "ping"},
}


def _target(snapshot: Snapshot, key: HealthKey) -> Target[Backend] | Target[SovereignBackend] | None:
    """Return the target behind a key, None when it is gone. One inside the VPC is reached the sovereign way."""
    if not is_known(snapshot, key):
        return None
    name, authority, model, credential_id = key
    backend: Backend | SovereignBackend | None = snapshot.sovereign.get(name) or snapshot.backends.get(name)
    if backend is None:
        return None
    endpoint = next((e for e in backend.endpoints if e.authority == authority), None)
    credential = next((c for c in backend.credentials if c.id == credential_id), None)
    if endpoint is None or credential is None:
        return None
    served = served_as(snapshot, name, model)
    times, price = backend.timeouts.over(DEFAULT_TIMEOUTS), UNKNOWN if served is None else served.price
    if isinstance(backend, SovereignBackend):
        return Target(backend, endpoint, credential, model, times, price=price)
    return Target(backend, endpoint, credential, model, times, price=price)
