"""One call from top to bottom. Read this first.

    caller     where from (trusted hops -> address -> location -> region) and who (key -> tenant); another plane's: 421
    body       bounded, parsed once, judged: from here on only our own serialisation goes upstream
    plan       policy, then health, then order; every backend has its reason
    execute    attempts until one shows output; from then on that one only
    settle     one outcome for the caller, one set of facts for whoever observes; whatever happened

What the pipeline does not know: HTTP towards the caller (ingress), sockets towards backends (transport), Redis, logs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, reduce
from typing import Final

from hybridproxy.dialects import openai
from hybridproxy.gateway.driver import Driver, Session
from hybridproxy.gateway.parts import Parts
from hybridproxy.gateway.relay import AnswerAttempt, Client
from hybridproxy.gateway.reply import (
    Reply,
    fault_reply,
    internal_reply,
    misdirected,
    refusal_reply,
    request_error_reply,
    unauthorized,
)
from hybridproxy.gateway.running import Running
from hybridproxy.model.backend import Backend, SovereignBackend
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.caller import Caller
from hybridproxy.model.facts import CallFacts, Seam
from hybridproxy.model.fault import FACTS, Fault, FaultKind
from hybridproxy.model.plan import Candidate, Refusal
from hybridproxy.model.plane import Plane
from hybridproxy.model.residency import NO_DEMAND, Residency
from hybridproxy.model.snapshot import Handling, OnCut, Tenant
from hybridproxy.model.usage import Usage
from hybridproxy.model.value import value
from hybridproxy.residency.demand import DemandError, parse_demand
from hybridproxy.residency.proof import described
from hybridproxy.residency.records import Origin
from hybridproxy.resilience.continuation import replayable, resumable
from hybridproxy.resilience.deadline import shortened
from hybridproxy.resilience.hedge import HedgeAfter, hedge_after
from hybridproxy.resilience.terms import Terms
from hybridproxy.routing.decision import decision, header
from hybridproxy.routing.plan import plan, plan_sovereign
from hybridproxy.telemetry.logs import tenant_hash

GONE: Final = 499
RESIDENCY: Final = "x-hybridproxy-residency"


@value
class Arrival:
    """What the ingress knows of a request before its body is read.

    Attributes:
        operation: what the path asks for.
        request_id: ours.
        key: the key the caller presented, None when it presented none that can be read.
        peer: the other end of the connection.
        forwarded: the values of the header that names the client's address.
        explain: the caller wants the decision in a header.
        silence: seconds the caller bears without a byte, None: it did not say.
        whole: seconds it gives the whole call, None: it did not say.
        residency: what the call demands of whoever works on it, in the caller's words; of several all hold.
        body: reads the body, within the bounds; raises `openai.RequestError` or `BodyError`.

    """

    operation: Operation
    request_id: str
    key: str | None = field(repr=False)
    peer: str | None = field(repr=False)
    forwarded: Sequence[str] = field(repr=False)
    explain: bool
    body: Callable[[], Awaitable[bytes]]
    silence: float | None = None
    whole: float | None = None
    residency: Sequence[str] = ()


@dataclass(slots=True)
class Asked:
    """A call that is to be planned and executed, and what its answer's headers are made of."""

    arrival: Arrival
    caller: Caller
    model: str
    client: Client
    policy: str = ""
    candidates: Sequence[Candidate] = ()

    @property
    def request_id(self) -> str:
        """Our name of the call."""
        return self.arrival.request_id

    @property
    def tenant(self) -> str:
        """Whose call it is."""
        return self.caller.tenant.id

    @property
    def owner(self) -> Tenant:
        """The same tenant, with what its calls bear upstream."""
        return self.caller.tenant

    def origin(self, n: int) -> Origin:
        """Return what the audit log tells of attempt `n`."""
        caller = self.caller
        demand = caller.residency
        words = "none" if demand is NO_DEMAND else _words(demand)
        tenant = tenant_hash(caller.tenant.id)
        return Origin(self.arrival.request_id, n, tenant, self.policy, words, self.candidates)

    def headers(self, backend: str, attempts: int) -> dict[str, str]:
        """Return the headers that every answer to a model call has."""
        made = {
            "x-request-id": self.arrival.request_id,
            "x-hybridproxy-backend": backend,
            "x-hybridproxy-region": self.caller.region or "none",
            "x-hybridproxy-attempts": str(attempts),
        }
        if self.arrival.explain:
            made["x-hybridproxy-decision"] = header(decision(self.model, self.caller, self.candidates))
        return made


@dataclass(slots=True)
class Record:
    """What happened so far; becomes `CallFacts` when the call is over."""

    begun: float
    caller: Caller | None = None
    model: str = ""
    stream: bool = False
    candidates: Sequence[Candidate] = ()
    status: int = 0
    code: str | None = None
    backend: str = ""
    attempts: int = 0
    faults: Sequence[Fault] = ()
    usage: Usage | None = None
    text: int = 0
    first_output: float | None = None
    lost: int = 0
    hedged: bool = False
    seams: Sequence[Seam] = ()


class Gateway:
    """Serves calls with the configuration of the moment; `running` is swapped whole on reload."""

    def __init__(
        self,
        running: Running,
        parts: Parts,
        *,
        general: Session[Backend],
        sovereign: Session[SovereignBackend],
    ) -> None:
        """Take the configuration, the parts, and the two ways out, which are never exchanged for one another."""
        self.running = running
        self.in_flight = 0
        self._parts = parts
        self._general = general
        self._sovereign = sovereign
        self._now = asyncio.get_running_loop().time

    async def serve(self, arrival: Arrival, client: Client) -> Reply | None:
        """Serve one call; None when the answer went out through `client`."""
        record = Record(self._now())
        self.in_flight += 1
        reply: Reply | None = None
        try:
            reply = await self._serve(arrival, client, record)
        except asyncio.CancelledError:
            record.status, record.code = GONE, FACTS[FaultKind.CLIENT_GONE].code
            raise
        except Exception:  # noqa: BLE001 - the one place where a bug becomes an answer; it is reported with the id
            self._parts.report(arrival.request_id)
            reply = internal_reply()
        finally:
            if reply is not None:
                record.status, record.code = reply.status, reply.code
                if reply.code is not None:
                    self._complete_headers(reply, arrival, record)
            self.in_flight -= 1
            self._tell(arrival, record)
        return reply

    async def _serve(self, arrival: Arrival, client: Client, record: Record) -> Reply | None:
        running = self.running

        tenant = running.tenant(arrival.key)
        if tenant is None:
            return unauthorized(given=arrival.key is not None)
        location, region = running.whereabouts(arrival.peer, arrival.forwarded)
        caller = record.caller = Caller(tenant, location, tenant.region or region)
        plane = running.snapshot.plane
        if plane is Plane.GENERAL and tenant.sovereign:
            return misdirected()

        try:
            if arrival.residency:
                caller = record.caller = replace(caller, demands=_demands(arrival.residency))
            if plane is not Plane.ALL and not plane.serves(sovereign=caller.sovereign):
                return misdirected()
            call = openai.decode_request(arrival.operation, await arrival.body())
        except openai.RequestError as error:
            return request_error_reply(error)
        record.model, record.stream = call.model, call.stream

        asked = Asked(arrival, caller, call.model, client, running.policy)
        driver = self._driver(running, caller, call, asked)
        del call  # the driver lets go of it when it needs it no more: a body may be large and a stream last long
        record.candidates = asked.candidates
        if isinstance(driver, Refusal):
            return refusal_reply(driver, asked.headers("none", 0))
        try:
            await driver.run()
        finally:
            self._settle(driver, record)
        if driver.opened:
            record.status, record.code = 200, None if driver.fault is None else driver.fault.facts.code
            return None
        headers = asked.headers(driver.backend, driver.execution.attempts)
        if driver.fault is not None:
            return fault_reply(driver.fault, headers, sovereign=caller.sovereign)
        assert isinstance(driver.result, AnswerAttempt)  # noqa: S101 - a call that does not stream was answered
        return Reply(200, driver.result.answer, headers)

    def _driver(
        self, running: Running, caller: Caller, call: Call, asked: Asked
    ) -> Driver[Backend] | Driver[SovereignBackend] | Refusal:
        """Plan a call; each kind of plan meets the session of its own kind, and no other."""
        parts, now = self._parts, self._now()
        health, rng, loads = parts.health.view, parts.rng, parts.loads.view
        allowance = parts.allowances.of(caller.tenant.id, now)
        if caller.sovereign:
            inside = plan_sovereign(call, caller, running.snapshot, health, now, rng, loads)
            asked.candidates = inside.candidates
            if isinstance(inside, Refusal):
                return inside
            terms = self._terms(asked.arrival, call, inside.handling)
            return Driver(call, inside, self._sovereign, parts, asked, terms, allowance)
        chosen = plan(call, caller, running.snapshot, health, now, rng, loads)
        asked.candidates = chosen.candidates
        if isinstance(chosen, Refusal):
            return chosen
        if chosen.handling.hedge:
            allowance.save_hedge(chosen.handling.hedge)
        hedge = hedge_after(chosen, parts.first_tokens) if call.stream else None
        terms = self._terms(asked.arrival, call, chosen.handling, hedge)
        return Driver(call, chosen, self._general, parts, asked, terms, allowance)

    def _terms(self, arrival: Arrival, call: Call, handling: Handling, hedge: HedgeAfter | None = None) -> Terms:
        """Return what the call's course depends on: the route's handling, within what the caller will wait."""
        if arrival.silence is not None or arrival.whole is not None:
            times = shortened(handling.timeouts, silence=arrival.silence, whole=arrival.whole, stream=call.stream)
            if times is not handling.timeouts:
                handling = replace(handling, timeouts=times)
        ways = handling.on_cut if call.stream and len(handling.on_cut) > 1 else ()
        recoveries = tuple(way for way in ways if _RECOVERS[way](call))
        if all(way is OnCut.ERROR for way in recoveries):
            recoveries = ()
        return Terms(call.stream, handling, recoveries, call.size, hedge)

    def _complete_headers(self, reply: Reply, arrival: Arrival, record: Record) -> None:
        """Give an error the headers that every answer to a model call has, as far as the call got."""
        caller = record.caller
        region = None if caller is None else caller.region
        reply.headers["x-request-id"] = arrival.request_id
        reply.headers.setdefault("x-hybridproxy-backend", "none")
        reply.headers.setdefault("x-hybridproxy-region", region or "none")
        reply.headers.setdefault("x-hybridproxy-attempts", "0")

    def _tell(self, arrival: Arrival, record: Record) -> None:
        """Tell the observer; what breaks there is its own."""
        try:
            self._parts.observer.call_finished(self._facts(arrival, record))
        except Exception:  # noqa: BLE001 - telemetry never costs a caller its answer
            self._parts.report(arrival.request_id)

    def _settle(self, driver: Driver[Backend] | Driver[SovereignBackend], record: Record) -> None:
        record.backend = driver.backend
        record.attempts = driver.execution.attempts
        record.faults = driver.execution.faults
        record.first_output = driver.first_output
        record.usage, record.text = driver.usage, driver.text
        record.lost, record.hedged, record.seams = sum(driver.execution.lost.values()), driver.hedged, driver.seams

    def _facts(self, arrival: Arrival, record: Record) -> CallFacts:
        caller = record.caller
        first = record.first_output
        return CallFacts(
            request_id=arrival.request_id,
            operation=arrival.operation,
            tenant="" if caller is None else caller.tenant.id,
            country=None if caller is None else caller.location.country,
            region=None if caller is None else caller.region,
            model=record.model,
            stream=record.stream,
            status=record.status,
            code=record.code,
            backend=record.backend,
            attempts=record.attempts,
            faults=tuple(fault.logged() for fault in record.faults) if record.faults else (),
            candidates=tuple(record.candidates),
            usage=record.usage,
            text=record.text,
            seconds=self._now() - record.begun,
            first_output=None if first is None else first - record.begun,
            lost=record.lost,
            hedged=record.hedged,
            seams=tuple(record.seams),
        )


def _demands(texts: Sequence[str]) -> Residency:
    try:
        return reduce(Residency.raised, map(parse_demand, texts))
    except DemandError as error:
        raise openai.RequestError(f"{RESIDENCY}: {error}", param=RESIDENCY, code="invalid_residency") from None


_words = lru_cache(maxsize=1000)(described)

_RECOVERS: Final[dict[OnCut, Callable[[Call], bool]]] = {
    OnCut.RESUME: resumable,
    OnCut.REPLAY: replayable,
    OnCut.ERROR: lambda _call: True,
}
"""Whether a way to go on with a cut stream fits a call."""
