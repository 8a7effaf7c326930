"""One call from top to bottom. Read this first.

    caller     where from (trusted hops -> address -> location -> region) and who (key -> tenant); another plane's: 421
    enter      a place among the tenant's calls
    body       bounded, parsed once, judged: from here on only our own serialisation goes upstream
    plan       policy, then health, then order; every backend has its reason
    reserve    what it will use of the tenant's limits and budgets, by an estimate
    execute    attempts until one shows output; from then on that one only
    settle     what was used, one outcome for the caller, one set of facts for whoever observes; whatever happened

What the pipeline does not know: HTTP towards the caller (ingress), sockets towards backends (transport), Redis, logs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

import orjson

from hybridproxy.dialects import TRANSLATORS
from hybridproxy.dialects.longest import bounded
from hybridproxy.dialects.request import RequestError
from hybridproxy.dialects.translator import Asking
from hybridproxy.gateway.admission import Admission
from hybridproxy.gateway.attempt import Client
from hybridproxy.gateway.counting import ESTIMATED, estimated, may_estimate
from hybridproxy.gateway.demands import demanded, hold_to_terms
from hybridproxy.gateway.driver import Driver, Session
from hybridproxy.gateway.parts import Parts
from hybridproxy.gateway.reply import (
    Reply,
    fault_reply,
    internal_reply,
    misdirected,
    named,
    refusal_reply,
    request_error_reply,
    unauthorized,
)
from hybridproxy.gateway.running import Running
from hybridproxy.metering.estimate import prompt_tokens
from hybridproxy.metering.records import called
from hybridproxy.model.backend import Backend, SovereignBackend
from hybridproxy.model.bill import Bill
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.caller import Caller
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.facts import CallFacts, Seam
from hybridproxy.model.fault import FACTS, Fault, FaultKind
from hybridproxy.model.limits import NO_LIMITS
from hybridproxy.model.plan import Candidate, Plan, Refusal
from hybridproxy.model.plane import Plane
from hybridproxy.model.price import dollars
from hybridproxy.model.residency import NO_DEMAND
from hybridproxy.model.snapshot import OnCut, Tenant
from hybridproxy.model.usage import Usage
from hybridproxy.model.value import value
from hybridproxy.residency.proof import described
from hybridproxy.residency.records import Origin
from hybridproxy.resilience.continuation import replayable, resumable
from hybridproxy.resilience.deadline import shortened
from hybridproxy.resilience.hedge import HedgeAfter, hedge_after
from hybridproxy.resilience.terms import Terms
from hybridproxy.routing.decision import decision, header
from hybridproxy.routing.gate import find_model
from hybridproxy.routing.plan import plan, plan_sovereign
from hybridproxy.telemetry.logs import tenant_hash

GONE: Final = 499


@value
class Arrival:
    """What the ingress knows of a request before its body is read.

    Attributes:
        dialect: how the caller speaks; the path tells.
        asking: what the path and headers of the dialect's own ask for.
        request_id: ours.
        key: the key the caller presented, None when it presented none that can be read.
        peer: the other end of the connection.
        forwarded: the values of the header that names the client's address.
        explain: the caller wants the decision in a header.
        silence: seconds the caller bears without a byte, None: it did not say.
        whole: seconds it gives the whole call, None: it did not say.
        residency: what the call demands of whoever works on it, in the caller's words; of several all hold.
        body: reads the body, within the bounds; raises `RequestError` or `BodyError`.

    """

    dialect: Dialect
    asking: Asking
    request_id: str
    key: str | None = field(repr=False)
    peer: str | None = field(repr=False)
    forwarded: Sequence[str] = field(repr=False)
    explain: bool
    body: Callable[[], Awaitable[bytes]]
    silence: float | None = None
    whole: float | None = None
    residency: Sequence[str] = ()


def names_of(arrival: Arrival) -> dict[str, str]:
    """Return the headers that name a call."""
    return naming(arrival.dialect, arrival.request_id)


def naming(dialect: Dialect, request_id: str) -> dict[str, str]:
    """Return the headers that name a call; the SDKs of Anthropic look for a name of their own."""
    named_so = {"x-request-id": request_id}
    return {**named_so, "request-id": request_id} if dialect is Dialect.ANTHROPIC else named_so


@dataclass(slots=True)
class Asked:
    """A call that is to be planned and executed, and what its answer's headers are made of."""

    arrival: Arrival
    caller: Caller
    model: str
    client: Client
    policy: str = ""
    candidates: Sequence[Candidate] = ()
    limits: Mapping[str, str] = field(default_factory=dict)

    @property
    def request_id(self) -> str:
        """Our name of the call."""
        return self.arrival.request_id

    @property
    def tenant(self) -> str:
        """Whose call it is."""
        return self.caller.tenant.id

    @property
    def region(self) -> str:
        """Where it comes from."""
        return self.caller.region or ""

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

    def headers(self, backend: str, attempts: int, dropped: Sequence[str] = ()) -> dict[str, str]:
        """Return the headers that every answer to a model call has; `dropped`: what the backend was not sent."""
        made = {
            **names_of(self.arrival),
            "x-hybridproxy-backend": backend,
            "x-hybridproxy-region": self.caller.region or "none",
            "x-hybridproxy-attempts": str(attempts),
            **self.limits,
        }
        if dropped:
            made["x-hybridproxy-dropped"] = named(dropped)
        if self.arrival.explain:
            made["x-hybridproxy-decision"] = header(decision(self.model, self.caller, self.candidates))
        return made


@dataclass(slots=True)
class Record:
    """What happened so far; becomes `CallFacts` when the call is over."""

    begun: float
    caller: Caller | None = None
    admission: Admission | None = None
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
    bills: Sequence[tuple[str, Bill]] = ()


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
            if record.admission is not None:
                record.admission.close()
            if reply is not None:
                reply.said_in(arrival.dialect, arrival.request_id)
                record.status, record.code = reply.status, reply.code
                if reply.code is not None:
                    self._complete_headers(reply, arrival, record)
            self.in_flight -= 1
            self._tell(arrival, record)
        return reply

    def own_limit(self, dialect: Dialect, key: str | None) -> Reply | None:
        """Return the answer to a call whose tenant has used up its places or requests; None: no such limit stops it.

        For a worker that is about to refuse calls for its own sake: whose fault it is, is told first. Leaves no record.
        """
        tenant = self.running.tenant(key)
        if tenant is None or tenant.limits is NO_LIMITS:
            return None
        return Admission(self._parts.quotas, tenant, dialect).full()

    async def _serve(self, arrival: Arrival, client: Client, record: Record) -> Reply | None:
        running = self.running

        tenant = running.tenant(arrival.key)
        if tenant is None:
            return unauthorized(given=arrival.key is not None)
        location, region = running.whereabouts(arrival.peer, arrival.forwarded)
        caller = record.caller = Caller(tenant, location, tenant.region or region)
        plane = running.snapshot.plane
        known = tenant.sovereign or not arrival.residency  # else what it demands may make it sovereign
        if known and plane is not Plane.ALL and not plane.serves(sovereign=tenant.sovereign):
            return misdirected()
        admission = record.admission = Admission(self._parts.quotas, tenant, arrival.dialect)
        refused = admission.enter()
        return await self._called(arrival, client, record, running, caller, admission) if refused is None else refused

    async def _called(
        self,
        arrival: Arrival,
        client: Client,
        record: Record,
        running: Running,
        caller: Caller,
        admission: Admission,
    ) -> Reply | None:
        """Serve a call that has its place."""
        plane = running.snapshot.plane
        try:
            if arrival.residency:
                caller = record.caller = replace(caller, demands=demanded(arrival.residency))
            if plane is not Plane.ALL and not plane.serves(sovereign=caller.sovereign):
                return misdirected()
            call = TRANSLATORS[arrival.dialect].decode(arrival.asking, await arrival.body())
            hold_to_terms(call, caller.residency)
            if caller.tenant.limits.answer is not None:
                call = bounded(call, caller.tenant.limits.answer)
        except RequestError as error:
            return request_error_reply(error)
        record.model, record.stream = call.model, call.stream

        asked = Asked(arrival, caller, call.model, client, running.policy)
        driver = self._driver(running, caller, call, asked)
        counts = call if call.operation is Operation.COUNT else None
        record.candidates = asked.candidates
        if counts is not None or not isinstance(driver, Refusal):
            refused = admission.reserve(call, None if isinstance(driver, Refusal) else driver.plan)
            if refused is not None:
                return refused
        del call  # the driver lets go of it when it needs it no more: a body may be large and a stream last long
        asked.limits = admission.headers()
        if isinstance(driver, Refusal):
            return _instead(driver, asked.headers("none", 0), caller, counts, running)
        if admission.prompt:
            driver.account.prompt = admission.prompt
        self._parts.following.begin(admission, driver)
        try:
            await driver.run()
        finally:
            self._parts.following.end(admission)
            self._settle(driver, record)
        if driver.opened:
            record.status, record.code = 200, None if driver.fault is None else driver.fault.facts.code
            return None
        result = driver.result
        headers = asked.headers(
            driver.backend or "none", driver.execution.attempts, () if result is None else result.dropped
        )
        if driver.fault is not None:
            return _instead(driver.fault, headers, caller, counts, running)
        assert result is not None  # noqa: S101 - a call that does not stream was answered
        if arrival.explain:
            headers["x-hybridproxy-cost"] = dollars(driver.cost)
        return Reply(200, result.answer, headers)

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
            terms = self._terms(asked.arrival, call, inside)
            return Driver(call, inside, self._sovereign, parts, asked, terms, allowance)
        chosen = plan(call, caller, running.snapshot, health, now, rng, loads)
        asked.candidates = chosen.candidates
        if isinstance(chosen, Refusal):
            return chosen
        hedge = hedge_after(chosen, parts.first_tokens) if call.stream else None
        terms = self._terms(asked.arrival, call, chosen, hedge)
        return Driver(call, chosen, self._general, parts, asked, terms, allowance)

    def _terms(self, arrival: Arrival, call: Call, plan: Plan[Any], hedge: HedgeAfter | None = None) -> Terms:
        """Return what the call's course depends on: the route's handling, within what the caller will wait."""
        handling = plan.handling
        if arrival.silence is not None or arrival.whole is not None:
            times = shortened(handling.timeouts, silence=arrival.silence, whole=arrival.whole, stream=call.stream)
            if times is not handling.timeouts:
                handling = replace(handling, timeouts=times)
        ways = handling.on_cut if call.stream and len(handling.on_cut) > 1 else ()
        recoveries = tuple(way for way in ways if _RECOVERS[way](call))
        if all(way is OnCut.ERROR for way in recoveries):
            recoveries = ()
        return Terms(call.stream, handling, recoveries, prompt_tokens(call, plan.family), hedge)

    def _complete_headers(self, reply: Reply, arrival: Arrival, record: Record) -> None:
        """Give an error the headers that every answer to a model call has, as far as the call got."""
        caller = record.caller
        region = None if caller is None else caller.region
        reply.headers |= names_of(arrival)
        if record.admission is not None:
            reply.headers |= record.admission.headers()
        reply.headers.setdefault("x-hybridproxy-backend", "none")
        reply.headers.setdefault("x-hybridproxy-region", region or "none")
        reply.headers.setdefault("x-hybridproxy-attempts", "0")

    def _tell(self, arrival: Arrival, record: Record) -> None:
        """Tell the ledger and the observer; what breaks there is its own."""
        try:
            facts = self._facts(arrival, record)
            if facts.tenant:
                self._parts.ledger.put(called(facts, int(self._parts.wall() * 1000)))
            self._parts.observer.call_finished(facts)
        except Exception:  # noqa: BLE001 - telemetry never costs a caller its answer
            self._parts.report(arrival.request_id)

    def _settle(self, driver: Driver[Backend] | Driver[SovereignBackend], record: Record) -> None:
        record.backend = driver.backend
        record.attempts = driver.execution.attempts
        record.faults = driver.execution.faults
        record.first_output = driver.first_output
        record.usage, record.text = driver.usage, driver.text
        record.bills = driver.account.bills
        record.lost, record.hedged, record.seams = sum(driver.execution.lost.values()), driver.hedged, driver.seams
        if record.admission is not None:
            record.admission.settle(driver)

    def _facts(self, arrival: Arrival, record: Record) -> CallFacts:
        caller = record.caller
        first = record.first_output
        return CallFacts(
            arrival.request_id,
            arrival.asking.operation,
            "" if caller is None else caller.tenant.id,
            None if caller is None else caller.location.country,
            None if caller is None else caller.region,
            record.model,
            record.stream,
            record.status,
            record.code,
            record.backend,
            record.attempts,
            tuple(fault.logged() for fault in record.faults) if record.faults else (),
            tuple(record.candidates),
            record.usage,
            record.text,
            self._now() - record.begun,
            None if first is None else first - record.begun,
            record.lost,
            record.hedged,
            tuple(record.seams),
            arrival.dialect,
            tuple(record.bills),
            "" if record.admission is None else record.admission.limited,
        )


def _instead(
    why: Refusal | Fault, headers: dict[str, str], caller: Caller, counts: Call | None, running: Running
) -> Reply:
    """Return what a caller gets whom no backend answered: an error, or an estimate for who wants tokens counted."""
    model = None if counts is None else find_model(running.snapshot, caller.tenant, counts.model)
    if counts is not None and model is not None and may_estimate(why):
        return Reply(200, orjson.dumps(estimated(counts, model)), headers | ESTIMATED)
    if isinstance(why, Refusal):
        return refusal_reply(why, headers)
    return fault_reply(why, headers, sovereign=caller.sovereign)


_words = lru_cache(maxsize=1000)(described)

_RECOVERS: Final[dict[OnCut, Callable[[Call], bool]]] = {
    OnCut.RESUME: resumable,
    OnCut.REPLAY: replayable,
    OnCut.ERROR: lambda _call: True,
}
"""Whether a way to go on with a cut stream fits a call."""
