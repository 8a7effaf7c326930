"""The records of one request: what is meant before its first byte, what became of it at its end."""

import asyncio

from hybridproxy.residency import records
from hybridproxy.residency.records import Origin, Way
from hybridproxy.stores.audit import Audit, Entry


class Trail:
    """One request's way into the log. Those of a sovereign call are waited for."""

    __slots__ = ("_audit", "_intent", "_origin", "_way")

    def __init__(self, audit: Audit, origin: Origin | None, way: Way) -> None:
        """Record in a log."""
        self._audit = audit
        self._origin = origin
        self._way = way
        self._intent: Entry | None = None

    def intend(self, peer: str | None, certificate: str | None, *, reused: bool) -> asyncio.Future[None] | None:
        """Record that the request is about to be sent; what comes back, if anything, has to be done before it is."""
        record = records.intent(self._origin, self._way, peer=peer, certificate=certificate, reused=reused)
        entry = self._intent = Entry(record)
        return self._audit.put(entry, wait=self._way.sovereign)

    def end(self, *, sent: int, received: int, status: int, fault: str) -> None:
        """Record what became of it."""
        entry, self._intent = self._intent, None
        if entry is None:
            self._audit.put(Entry(records.unreached(self._origin, self._way, fault=fault)))
            return
        request = records.PROBE if self._origin is None else self._origin.id
        record = records.outcome(None, request, sent=sent, received=received, status=status, fault=fault)
        self._audit.put(Entry(record, entry))
