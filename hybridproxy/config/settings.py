"""What the configuration says beyond routing: where to listen, and how to tell where a caller is."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from geo.networks import NetworkSet
from geo.regions import Region
from hybridproxy.catalogue.catalogue import Overlay
from hybridproxy.catalogue.offers import Offer
from hybridproxy.model.snapshot import Snapshot
from hybridproxy.resilience.breaker import DEFAULT_RULES, Rules
from hybridproxy.resilience.shedding import LATE


@dataclass(frozen=True, slots=True)
class Listen:
    """The data port.

    Attributes:
        host: address or name to bind.
        port: 0 lets the system choose.
        workers: processes, None: as many as the machine has cores.
        forwarded_header: the one header in which trusted proxies name the client.
        max_body: bytes of a request's body.
        body_timeout: seconds until a request's body has to be there.
        keepalive: seconds an idle connection is kept.
        drain_delay: seconds between the signal to stop and the end of listening.
        drain_timeout: seconds that running calls are given to end.
        max_calls: calls at a time in one process.
        shed_lag: seconds the event loop may be late before calls are refused for it.

    """

    host: str
    port: int
    workers: int | None
    forwarded_header: Literal["x-forwarded-for", "forwarded"]
    max_body: int
    body_timeout: float
    keepalive: float
    drain_delay: float
    drain_timeout: float
    max_calls: int = 5000
    shed_lag: float = LATE


@dataclass(frozen=True, slots=True)
class Admin:
    """The admin port and the token it asks for."""

    host: str
    port: int
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Geo:
    """Where addresses are: the database (None: the built-in one), and (CIDR, country) pairs that come before it."""

    database: Path | None
    overrides: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Redis:
    """The Redis that replicas share.

    Attributes:
        mode: how it is run.
        nodes: host and port of the server, of the sentinels, or of some nodes of the cluster.
        tls: it is reached by TLS.
        db: the number of its database.
        service: the sentinels' name of the master.
        username: None where there is none.
        password: None where there is none.
        sentinel_password: the sentinels' own.
        ca: a PEM file with the authorities to trust, None: the system's.
        tls_name: the name in its certificate, None: the host's.
        name: of the deployment: those with different names share a Redis and no health.

    """

    mode: Literal["standalone", "sentinel", "cluster"]
    nodes: tuple[tuple[str, int], ...]
    tls: bool = False
    db: int = 0
    service: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    tls_name: str | None = None
    name: str = "default"


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit log.

    Attributes:
        folder: where it is written.
        key: the file of the private key that signs its heads; made where there is none.
        anchor: the file or the URL that its heads are sent to besides, None: nowhere.

    """

    folder: Path
    key: Path
    anchor: Path | str | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger: the folder it is written to, and the days that its records are kept, None: for good."""

    folder: Path
    keep: int | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All that is not routing.

    Attributes:
        listen: the data port.
        admin: the admin port, None: there is none.
        geo: how addresses are located.
        regions: in the order in which they are tried.
        trusted: networks of proxies that are believed about the client's address.
        breaker: how long a target stays open.
        redis: what replicas share health through, None: each keeps to itself.
        audit: the audit log, None: there is none.
        ledger: what calls used and cost, None: it is not written down.

    """

    listen: Listen
    admin: Admin | None
    geo: Geo
    regions: tuple[Region, ...]
    trusted: NetworkSet
    breaker: Rules = DEFAULT_RULES
    redis: Redis | None = None
    audit: Audit | None = None
    ledger: Ledger | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration without mistakes.

    Attributes:
        snapshot: what routing decides by.
        settings: the rest.
        warnings: what is accepted and does nothing, or is probably not meant; each with its place.
        sources: the files it came from, the main one first.
        offers: which backend serves which model at which price, and who says so.
        overlay: what goes before the catalogue.

    """

    snapshot: Snapshot
    settings: Settings
    warnings: tuple[str, ...]
    sources: tuple[Path, ...]
    offers: tuple[Offer, ...] = ()
    overlay: Overlay = field(default_factory=dict)
