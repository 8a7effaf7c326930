"""What the audit log's records hold: who, by which policy, where to. Never content, a key, or a tenant's name."""

from collections.abc import Sequence
from typing import Any, Final

from hybridproxy.model.plan import Candidate
from hybridproxy.model.value import value
from hybridproxy.residency.chain import BEGIN, INTENT, OUTCOME, UNREACHED, VERSION, Record

MAX_CANDIDATES: Final = 16
MAX_REASON: Final = 160
"""Characters of a reason: it is made of our own words and the operator's names."""

PROBE: Final = "probe"


@value
class Origin:
    """Whose request goes out, as far as the audit log tells.

    Attributes:
        id: our id of the call.
        n: which of the call's attempts.
        tenant: the hash of its tenant, "" for a probe of ours.
        policy: the hash of the policy it was planned by.
        demand: what the call demands of whoever works on it, in words.
        candidates: every backend looked at, and why it was kept or dropped.

    """

    id: str
    n: int
    tenant: str
    policy: str
    demand: str
    candidates: Sequence[Candidate] = ()


@value
class Way:
    """Where a request goes: the backend's name, its endpoint as the configuration has it, and which kind of session."""

    backend: str
    endpoint: str
    sovereign: bool


def begin(boot: str, began: int, *, segment: int, key: bytes, policy: str, more: dict[str, Any]) -> Record:
    """Return the first record of a segment.

    Args:
        boot: the name of the chain: one a process, and another where a disk forced it to begin anew.
        began: when the chain did.
        segment: which of the chain's, from 0.
        key: the public key its heads are signed with.
        policy: the hash of the policy in force.
        more: `prev`, the hash it follows; for a chain's first one `after`, where the chain before it ends.

    """
    return {
        "kind": BEGIN,
        "version": VERSION,
        "boot": boot,
        "began": began,
        "segment": segment,
        "key": key.hex(),
        "policy": policy,
        **more,
    }


def intent(origin: Origin | None, way: Way, *, peer: str | None, certificate: str | None, reused: bool) -> Record:
    """Return what is recorded before the first byte of a request.

    Args:
        origin: whose it is, None: ours.
        way: where it goes.
        peer: the address that is connected to.
        certificate: SHA-256 over the certificate it showed, None where there is no TLS.
        reused: the connection has carried other requests.

    """
    return {"kind": INTENT, **_asked(origin, way), "peer": peer, "certificate": certificate, "reused": reused}


def unreached(origin: Origin | None, way: Way, *, fault: str) -> Record:
    """Return what is recorded of a request for which no connection was to be had."""
    return {"kind": UNREACHED, **_asked(origin, way), "fault": fault}


def outcome(of: int | None, request: str, *, sent: int, received: int, status: int, fault: str) -> Record:
    """Return what is recorded of the end of a request.

    Args:
        of: the number of its intent, None where that was lost.
        request: our id of the call.
        sent: bytes of head and body that were handed to the network.
        received: bytes of the answer, its head too.
        status: its HTTP status, 0: none came.
        fault: what went wrong on the way, "" nothing did.

    """
    return {
        "kind": OUTCOME,
        "of": of,
        "id": request,
        "sent": sent,
        "received": received,
        "status": status,
        "fault": fault,
    }


def _asked(origin: Origin | None, way: Way) -> dict[str, Any]:
    to = {"backend": way.backend, "endpoint": way.endpoint, "sovereign": way.sovereign}
    if origin is None:
        return {"id": PROBE, "probe": True, **to}
    kept = [(c.backend, c.kept, c.reason[:MAX_REASON]) for c in origin.candidates[:MAX_CANDIDATES]]
    return {
        "id": origin.id,
        "n": origin.n,
        "tenant": origin.tenant,
        "policy": origin.policy,
        "demand": origin.demand,
        "candidates": kept,
        **to,
    }
