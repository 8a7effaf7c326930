"""A plan: the ordered attempts a call may make, with a reason for every backend kept or dropped."""

from enum import Enum
from typing import Generic

from hybridproxy.model.backend import B, Backend, Credential, Endpoint, SovereignBackend, Timeouts
from hybridproxy.model.health import HealthKey, Key, backend_key, credential_key, region_key
from hybridproxy.model.load import EndpointKey
from hybridproxy.model.price import UNKNOWN, Price
from hybridproxy.model.snapshot import Handling
from hybridproxy.model.value import value


@value
class Target(Generic[B]):
    """One attempt a call may make: a backend at one of its endpoints, with one of its credentials.

    `model` is the backend's own name of the model, `context` its window in tokens, None: not known; `continues`: it
    takes the beginning of an answer and goes on with it; `streams_only`: it answers only as a stream. `place`: what its
    endpoint's load is kept under, None: the backend has one endpoint.
    """

    backend: B
    endpoint: Endpoint
    credential: Credential
    model: str
    timeouts: Timeouts
    context: int | None = None
    price: Price = UNKNOWN
    continues: bool = False
    place: EndpointKey | None = None
    streams_only: bool = False

    @property
    def health_key(self) -> HealthKey:
        """What its health is remembered under: backend, endpoint, model, credential."""
        return (self.backend.id, self.endpoint.authority, self.model, self.credential.id)

    @property
    def around(self) -> tuple[Key, ...]:
        """What has to be fit beside it: its backend, that one's region, its credential."""
        backend = self.backend
        return (
            backend_key(backend.id),
            region_key(backend.region),
            credential_key(backend.id, self.credential.id),
        )


@value
class Candidate:
    """A backend that was looked at. `reason` says why it was kept or dropped."""

    backend: str
    kept: bool
    reason: str


@value
class Plan(Generic[B]):
    """The attempts a call may make, best first; at least one.

    Attributes:
        targets: one a backend, and behind it another of the same backend where there is one: a second endpoint or key.
        candidates: every backend looked at.
        handling: how patient the call is, and what becomes of it when its stream is cut.
        family: of the model.

    """

    targets: tuple[Target[B], ...]
    candidates: tuple[Candidate, ...]
    handling: Handling
    family: str = "other"


GeneralPlan = Plan[Backend]
SovereignPlan = Plan[SovereignBackend]


class RefusalKind(Enum):
    """Why no attempt can be made; decides the status the caller sees."""

    UNKNOWN_MODEL = "unknown_model"
    REGION_REFUSED = "region_refused"
    NO_BACKEND_ALLOWED = "no_backend_allowed"
    NO_BACKEND_LEFT = "no_backend_left"
    CONTEXT_TOO_LONG = "context_too_long"


@value
class Refusal:
    """No attempt can be made.

    `message` says why and what to do; `retry_after` is in seconds, None where waiting is no help.
    """

    kind: RefusalKind
    message: str
    candidates: tuple[Candidate, ...] = ()
    retry_after: float | None = None
