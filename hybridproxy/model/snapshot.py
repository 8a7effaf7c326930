"""The configuration as routing sees it: one frozen value, swapped whole on reload."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hybridproxy.model.backend import Backend, SovereignBackend, Timeouts
from hybridproxy.model.call import Capability
from hybridproxy.model.limits import NO_LIMITS, Limits
from hybridproxy.model.plane import Plane
from hybridproxy.model.price import UNKNOWN, Price
from hybridproxy.model.residency import NO_DEMAND, Residency
from hybridproxy.model.value import value

DEFAULT_TIMEOUTS = Timeouts()


class Prefer(Enum):
    """How a route orders the backends it allows."""

    ORDER = "order"
    """As the route lists them; a group by weighted chance."""
    LATENCY = "latency"
    """By the time to the first output that was measured."""
    PRICE = "price"
    """By what the call is expected to cost."""
    FRESH = "fresh"
    """By the day the checkpoint came out."""
    WEIGHT = "weight"
    """By weighted chance, as if all were one group."""

    __hash__ = object.__hash__  # members are one of a kind; Enum's own hash is a call in Python


DEFAULT_PREFER = (Prefer.ORDER,)


class OnCut(Enum):
    """What becomes of a stream that breaks after its first output; the value is the word in the configuration."""

    RESUME = "resume"
    """Another backend continues the text natively."""
    REPLAY = "replay"
    """Another backend answers again, and is heard once it has said the same."""
    ERROR = "error"
    """The caller is told."""


@value
class Handling:
    """How a route treats its calls.

    Attributes:
        timeouts: how long to wait for what.
        patience: seconds a call may wait for a backend that asks for it, or for one more try there, before it moves on.
        on_cut: what is tried, in this order, when a stream breaks after its first output.
        hedge: which part of the calls may be sent to a second backend when the first is slow; 0: none.
        paced: the route goes by how soon backends answer, so that is measured.

    """

    timeouts: Timeouts = DEFAULT_TIMEOUTS
    patience: float = 0.0
    on_cut: tuple[OnCut, ...] = (OnCut.ERROR,)
    hedge: float = 0.0
    paced: bool = False


DEFAULT_HANDLING = Handling()


@value
class Served:
    """How one backend serves a model.

    Attributes:
        backend: the backend's id.
        name: the backend's own name of the model; in a wildcard model `*` stands for what the caller's name had there.
        context: the context window in tokens, None: not known, and then never a reason to drop the backend.
        lacks: capabilities that this backend's model does not have.
        streams_only: it answers only as a stream.
        price: what its tokens cost.
        released: the day its checkpoint came out, YYYY-MM-DD; "": not known.
        official: the backend is the API of those who made the model.
        closed: it was not the operator who named it, and its weights are its maker's alone, who is another: the backend
            may have it computed there, so that its promise says nothing of this model.

    """

    backend: str
    name: str
    context: int | None = None
    lacks: frozenset[Capability] = frozenset()
    streams_only: bool = False
    price: Price = UNKNOWN
    released: str = ""
    official: bool = False
    closed: bool = False


@value
class Model:
    """A model by the name callers use; `name` may hold one `*`.

    `latest`: it is a logical name for whatever is the freshest of this line; "": it is one model.
    """

    name: str
    family: str
    served_by: tuple[Served, ...]
    latest: str = ""


@value
class Route:
    """Ordered backends for each region. A group of several backends is ordered by weighted chance.

    `prefer`: what decides before that, the first first.
    """

    name: str
    regions: Mapping[str, tuple[tuple[str, ...], ...]]
    prefer: tuple[Prefer, ...] = DEFAULT_PREFER
    handling: Handling = DEFAULT_HANDLING


@value
class Tenant:
    """Who pays for a call and what it may use.

    Attributes:
        id: the operator's name for it.
        route: the route its calls take, None for a sovereign tenant, whose route is every VPC backend.
        residency: what its calls demand of whoever works on them.
        models: name patterns it may use (`*` stands for anything).
        backends: backends it may use, None: all that its route lists.
        region: the region it is served as, wherever the caller is; None: where the caller is.
        salt: what keeps its prompts' caches apart from other tenants'; nobody else can tell it.
        priority: how far behind others its calls stand at an engine that has several waiting; 0: not at all.
        limits: how much it may use and spend.

    """

    id: str
    route: str | None
    residency: Residency = NO_DEMAND
    models: tuple[str, ...] = ("*",)
    backends: frozenset[str] | None = None
    region: str | None = None
    salt: str = field(default="", repr=False)
    priority: int = 0
    limits: Limits = NO_LIMITS

    @property
    def sovereign(self) -> bool:
        """Whether its calls reach VPC backends or nothing."""
        return self.residency.vpc


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Everything routing decides by. Mappings are never changed after the snapshot was made.

    Attributes:
        backends: general view of every backend, the VPC's too: an ordinary tenant's route may list those.
        sovereign: the `trust: vpc` backends as sovereign tenants see them.
        models: by name; those with a `*` are also in `wildcards`, longest pattern first.
        tenants: by id.
        keys: SHA-256 digest of a key -> tenant.
        plane: which calls are served here; what the others need was left out of the rest.
        policy: the hash of the whole policy, where something was left out here; None: this is all of it.
        memo: what routing worked out from the rest, kept with it so that a reload forgets it; bounded by its user.

    """

    regions: tuple[str, ...]
    backends: Mapping[str, Backend]
    sovereign: Mapping[str, SovereignBackend]
    models: Mapping[str, Model]
    routes: Mapping[str, Route]
    tenants: Mapping[str, Tenant]
    keys: Mapping[bytes, Tenant] = field(repr=False)
    wildcards: tuple[Model, ...] = ()
    plane: Plane = Plane.ALL
    policy: str | None = None
    memo: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)
