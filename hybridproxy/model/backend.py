"""Backends: what the operator configured to answer calls.

A sovereign tenant's calls use `SovereignBackend`, everybody else's use `Backend`. The two have the same fields and no
common type that a function could accept by mistake: code that may only touch general traffic takes `Backend`, and the
type checker refuses it a `SovereignBackend`.
"""

from dataclasses import field
from enum import Enum
from typing import TypeVar

from hybridproxy.model.limits import NO_RATES, Rates
from hybridproxy.model.residency import NO_PROMISE, Promise
from hybridproxy.model.value import value


class Trust(Enum):
    """Who operates the machines behind a backend."""

    THIRD_PARTY = "third-party"
    VPC = "vpc"


@value
class Endpoint:
    """Where a backend listens: `scheme` is http or https, `base_path` has no slash at its end."""

    scheme: str
    host: str
    port: int
    base_path: str

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"


NameServer = tuple[str, int]
"""The address of a name server, never a name, and its port."""


@value
class Tls:
    """How a backend proves itself, and how we do.

    Attributes:
        ca: a PEM file with the authorities that sign its certificate, None: the system's roots.
        name: what its certificate says, None: the endpoint's host.
        cert: a PEM file with our certificate and what leads from it to its authority, None: we have none to show.
        key: a PEM file with the key of that certificate.

    """

    ca: str | None = None
    name: str | None = None
    cert: str | None = None
    key: str | None = None


@value
class Credential:
    """A key of ours.

    Attributes:
        id: may be shown.
        secret: goes into one header and nowhere else, or nowhere at all.
        header: which that is.
        prefix: what stands before it there.
        signs: service and region for which requests are signed with it instead; None: it is shown.

    """

    id: str
    secret: str = field(repr=False)
    header: str = "authorization"
    prefix: str = "Bearer "
    signs: tuple[str, str] | None = None


@value
class Timeouts:
    """How long to wait, in seconds.

    `first_token` and `between_bytes` are for streams; a call that does not stream has `answer` instead. `total` bounds
    the call over all attempts, `commit_within` the time until a stream's head goes to the caller. The defaults are
    those of the public contract.
    """

    connect: float = 3.0
    first_token: float = 20.0
    between_bytes: float = 30.0
    answer: float = 300.0
    total: float = 600.0
    commit_within: float = 50.0


@value
class TimeoutOverrides:
    """A backend's own timeouts; None leaves the route's."""

    connect: float | None = None
    first_token: float | None = None
    between_bytes: float | None = None
    answer: float | None = None

    def over(self, base: Timeouts) -> Timeouts:
        """Return the route's timeouts with this backend's put over them."""
        if self == _NO_OVERRIDES:
            return base
        return Timeouts(
            connect=base.connect if self.connect is None else self.connect,
            first_token=base.first_token if self.first_token is None else self.first_token,
            between_bytes=base.between_bytes if self.between_bytes is None else self.between_bytes,
            answer=base.answer if self.answer is None else self.answer,
            total=base.total,
            commit_within=base.commit_within,
        )


_NO_OVERRIDES = TimeoutOverrides()


@value
class Backend:
    """A backend for calls of ordinary tenants.

    Attributes:
        id: the operator's name for it.
        provider: the row of `PROVIDERS` that says how it speaks.
        site: the provider's site, "" for its only one.
        trust: who operates it.
        endpoints: at least one; they serve the same models.
        credentials: at least one; an endpoint without authentication has one with an empty secret.
        weight: its share within a weighted group.
        allow_cidrs: the only addresses it may be reached at; empty: any.
        tls: how it proves itself.
        pin: providers behind an aggregator that may be used, empty: all.
        timeouts: its own timeouts.
        region: the region its endpoint lies in, which an operator may evacuate; "" where nobody said.
        promise: where it computes, and what it keeps.
        priority: its engines go by the priority of calls.
        resolver: name servers in the VPC, the only ones that are asked for its endpoints' names; empty: the system's.
        headers: what the operator adds to each of its requests.
        shares_kept: what its account keeps (answers, files) may be named by every tenant that may use it.
        openai_only: it is spoken to in OpenAI's dialect alone, whatever else its provider speaks.
        limits: how much of it each of its credentials may be used.

    """

    id: str
    provider: str
    site: str
    trust: Trust
    endpoints: tuple[Endpoint, ...]
    credentials: tuple[Credential, ...]
    weight: float = 1.0
    allow_cidrs: tuple[str, ...] = ()
    tls: Tls = Tls()
    pin: tuple[str, ...] = ()
    timeouts: TimeoutOverrides = _NO_OVERRIDES
    region: str = ""
    promise: Promise = NO_PROMISE
    priority: bool = False
    resolver: tuple[NameServer, ...] = ()
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    openai_only: bool = False
    shares_kept: bool = False
    limits: Rates = NO_RATES

    @property
    def plain(self) -> bool:
        """Whether OpenAI's dialect is to be preferred: pins are said, and seen to be kept, in that alone."""
        return self.openai_only or bool(self.pin)


@value
class SovereignBackend:
    """A `trust: vpc` backend for calls of sovereign tenants.

    The fields are those of `Backend`; `allow_cidrs` is never empty, and every endpoint is an IP literal within it, or a
    name that only `resolver` is asked for.
    """

    id: str
    provider: str
    site: str
    endpoints: tuple[Endpoint, ...]
    credentials: tuple[Credential, ...]
    allow_cidrs: tuple[str, ...]
    weight: float = 1.0
    tls: Tls = Tls()
    pin: tuple[str, ...] = ()
    timeouts: TimeoutOverrides = _NO_OVERRIDES
    region: str = ""
    promise: Promise = NO_PROMISE
    priority: bool = False
    resolver: tuple[NameServer, ...] = ()
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    openai_only: bool = False
    shares_kept: bool = False
    limits: Rates = NO_RATES

    @property
    def plain(self) -> bool:
        """Whether OpenAI's dialect is to be preferred: pins are said, and seen to be kept, in that alone."""
        return self.openai_only or bool(self.pin)


B = TypeVar("B", Backend, SovereignBackend)
