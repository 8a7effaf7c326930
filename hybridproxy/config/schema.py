"""The configuration file as pydantic models: which options there are, their types and their defaults.

What one value must look like is checked here; what has to fit together, and that required lists are not empty, in
`check`. A value of the public contract that this version does not do is refused here where ignoring it would change
what happens to a call (`_only`, `_no_…`), and accepted with a warning where only a feature is missing (`NOT_DONE_YET`).
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, StringConstraints

from hybridproxy.config.redis_url import RedisUrl, redis_url
from hybridproxy.config.values import (
    Anchor,
    BodySize,
    Cidr,
    Continent,
    Country,
    Days,
    Digest,
    Duration,
    FamilyName,
    Hedge,
    Host,
    ModelName,
    ModelPattern,
    Name,
    OpenTime,
    Patience,
    Places,
    Port,
    PositiveDuration,
    ProviderName,
    Resolver,
    Secret,
    TenantId,
    Url,
    Ways,
    Weight,
    Workers,
)
from hybridproxy.model.backend import Trust
from hybridproxy.model.snapshot import OnCut
from hybridproxy.residency.demand import EXPECTED
from hybridproxy.resilience.breaker import DEFAULT_RULES

NOT_DONE_YET: Mapping[tuple[str, ...], str] = {
    ("ledger",): "no ledger is written in this version",
    ("backends", "*", "limits"): "limits are not enforced in this version",
    ("tenants", "*", "limits"): "limits are not enforced in this version",
    ("tenants", "*", "budget"): "budgets are not enforced in this version",
}
"""Options that are checked but do nothing; `*` stands for any name."""


def _only(available: str, *planned: str | type) -> Callable[[Any], str]:
    """Return a check that takes one word and says of planned words, or kinds of value, that they are not there yet."""

    def check(value: Any) -> str:
        if value == available:
            return available
        if any(isinstance(value, word) if isinstance(word, type) else value == word for word in planned):
            raise ValueError(f"not available in this version: only {available} is")
        raise ValueError(f"expected {available}")

    return check


def _only_list(available: str, *planned: str) -> Callable[[Any], list[str]]:
    """Return a check for a list of words of which only one is there yet."""

    def check(value: Any) -> list[str]:
        if value == [available]:
            return [available]
        words = (available, *planned)
        if isinstance(value, list) and value and all(word in words for word in value):
            raise ValueError(f"not available in this version: only [{available}] is")
        raise ValueError(f"expected [{available}]")

    return check


def _no_tls(value: Any) -> None:
    if value is not None:
        raise ValueError("not available in this version: put a load balancer that ends TLS in front")


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _group(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _given(value: Any) -> Any:
    """Refuse an option that stands there without a value: left out it would mean everything, which nobody meant."""
    if value is None:
        raise ValueError("has no value: give it one, or leave it out")
    return value


def _residency(value: Any) -> Any:
    if value is None:
        raise ValueError(f"demands nothing: {EXPECTED}")
    if value == "vpc":
        return {"vpc": True}
    if isinstance(value, str):
        raise ValueError(EXPECTED)  # noqa: TRY004 - pydantic's own way
    return value


class Section(BaseModel):
    """Base of all sections: unknown options are mistakes, and no value is ever shown in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class ListenSection(Section):
    """The data port."""

    host: Host = "0.0.0.0"
    port: Port = 8080
    workers: Workers = None
    proxy_protocol: Annotated[
        Literal["off"], PlainValidator(_only("off", "on", "v1", "v2", "auto"), json_schema_input_type=Literal["off"])
    ] = "off"
    trusted_proxies: list[Cidr] = []
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    max_body: BodySize = 10_000_000
    body_timeout: PositiveDuration = 30.0
    keepalive: PositiveDuration = 75.0
    drain_delay: Duration = 0.0
    drain_timeout: Duration = 130.0
    tls: Annotated[None, PlainValidator(_no_tls, json_schema_input_type=None)] = None


class AdminSection(Section):
    """The admin port."""

    host: Host = "127.0.0.1"
    port: Port = 8081
    token: Secret = Field(repr=False)


class TlsSection(Section):
    """How a server proves itself."""

    ca: str | None = Field(None, min_length=1)
    name: Host | None = None


class BackendTlsSection(TlsSection):
    """How a backend proves itself, and how we do to it."""

    cert: str | None = Field(None, min_length=1)
    key: str | None = Field(None, min_length=1)


class RedisSection(Section):
    """What replicas share."""

    url: Annotated[
        RedisUrl,
        PlainValidator(
            redis_url,
            json_schema_input_type=Annotated[str, Field(pattern=r"^rediss?(\+(sentinel|cluster))?://|^\$\{")],
        ),
    ] = Field(repr=False)
    name: Name = "default"
    sentinel_password: Secret | None = Field(None, repr=False)
    tls: TlsSection = TlsSection()


class BreakerSection(Section):
    """How long a target that keeps failing is left alone: at first, and at most."""

    open_for: OpenTime = DEFAULT_RULES.open_for
    open_max: OpenTime = DEFAULT_RULES.open_max


class GeoSection(Section):
    """Where addresses are: `database` is `builtin` or a path."""

    database: str = Field("builtin", min_length=1)
    overrides: dict[Cidr, Country] = {}


class RegionSection(Section):
    """Countries and continents that make a region; neither: what no other region has."""

    countries: list[Country] = []
    continents: list[Continent] = []


class BackendTimeouts(Section):
    """A backend's own timeouts."""

    connect: PositiveDuration | None = None
    first_token: PositiveDuration | None = None
    between_bytes: PositiveDuration | None = None
    answer: PositiveDuration | None = None


class RouteTimeouts(Section):
    """A route's timeouts."""

    connect: PositiveDuration = 3.0
    first_token: PositiveDuration = 20.0
    between_bytes: PositiveDuration = 30.0
    answer: PositiveDuration = 300.0
    total: PositiveDuration = 600.0
    commit_within: PositiveDuration = 50.0


class Limits(Section):
    """Requests and tokens a minute, streams at a time."""

    rpm: int | None = Field(None, ge=1)
    tpm: int | None = Field(None, ge=1)
    streams: int | None = Field(None, ge=1)


class Budget(Section):
    """Money a tenant may spend."""

    usd_per_day: float | None = Field(None, ge=0, allow_inf_nan=False)
    usd_per_month: float | None = Field(None, ge=0, allow_inf_nan=False)


class Price(Section):
    """US dollars for a million tokens."""

    input: float = Field(ge=0, le=1_000_000, allow_inf_nan=False)
    output: float = Field(ge=0, le=1_000_000, allow_inf_nan=False)


class PromiseSection(Section):
    """What an operator's contract says of a backend beyond what its site promises to everybody."""

    compute: Places | None = None
    storage: Places | None = None
    retention: Days | None = None
    evidence: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class BackendSection(Section):
    """One backend."""

    provider: ProviderName
    site: Name | None = None
    trust: Literal["third-party", "vpc"] = "third-party"
    api_key: Secret | None = Field(None, repr=False)
    api_keys: list[Secret] | None = Field(None, min_length=1, max_length=256, repr=False)
    base_url: Url | None = None
    endpoints: list[Url] | None = Field(None, min_length=1, max_length=256)
    weight: Weight = 1.0
    timeouts: BackendTimeouts = BackendTimeouts()
    limits: Limits | None = None
    region: Name | None = None
    allow_cidrs: list[Cidr] = []
    resolver: list[Resolver] = Field([], max_length=4)
    tls: BackendTlsSection = BackendTlsSection()
    insecure: bool = False
    promises: PromiseSection | None = None
    pin: list[Name] = []
    priority: bool = False

    @property
    def sovereign(self) -> bool:
        """Whether sovereign tenants may use it."""
        return self.trust == Trust.VPC.value


class ServedSection(Section):
    """How one backend serves a model."""

    name: ModelName
    context: int | None = Field(None, ge=1, le=1_000_000_000)
    lacks: list[Literal["tools", "vision", "json_schema"]] = []
    streams_only: bool = False
    price: Price | None = None


class ModelSection(Section):
    """One model that callers may name."""

    family: FamilyName
    context: int | None = Field(None, ge=1, le=1_000_000_000)
    served_by: dict[
        Name,
        Annotated[ServedSection, BeforeValidator(_named, json_schema_input_type=str | ServedSection)],
    ] = Field(json_schema_extra={"minProperties": 1})


Group = Annotated[list[Name], Field(min_length=1), BeforeValidator(_group, json_schema_input_type=str | list[str])]


class RouteSection(Section):
    """Which backends serve which region, in which order."""

    regions: dict[Name, list[Group]]
    prefer: Annotated[
        list[str],
        PlainValidator(_only_list("order", "latency", "price", "fresh"), json_schema_input_type=list[Literal["order"]]),
    ] = ["order"]
    patience: Patience = 0.0
    on_cut: Ways = (OnCut.ERROR,)
    hedge: Hedge = Field(0.0, json_schema_extra={"default": "off"})
    timeouts: RouteTimeouts = RouteTimeouts()


class AuditSection(Section):
    """The audit log: its folder, where its heads go besides, and the file of the key that signs them."""

    path: str = Field(min_length=1)
    anchor: Anchor = "none"
    key: str | None = Field(None, min_length=1)


class LedgerSection(Section):
    """The ledger."""

    path: str


class ResidencySection(Section):
    """Where a tenant's calls may be worked on and kept; `vpc`: on the operator's own machines only."""

    vpc: bool = False
    compute: Annotated[Places | None, BeforeValidator(_given)] = None
    storage: Annotated[Places | None, BeforeValidator(_given)] = None
    retention: Annotated[Days | None, BeforeValidator(_given)] = None


class TenantSection(Section):
    """One tenant."""

    keys: list[Digest] = Field(max_length=256, json_schema_extra={"minItems": 1})
    route: Name | None = None
    residency: Annotated[
        ResidencySection | None,
        BeforeValidator(_residency, json_schema_input_type=Literal["vpc"] | ResidencySection),
    ] = None
    models: list[ModelPattern] = Field(["*"], min_length=1, max_length=1000)
    region: Name | None = None
    backends: Annotated[Annotated[list[Name], Field(min_length=1)] | None, BeforeValidator(_given)] = None
    priority: int = Field(0, ge=0, le=100)
    limits: Limits | None = None
    budget: Budget | None = None

    @property
    def sovereign(self) -> bool:
        """Whether its calls may reach VPC backends only."""
        return self.residency is not None and self.residency.vpc


class ConfigurationFile(Section):
    """The configuration of hybridproxy: one YAML 1.2 file."""

    listen: ListenSection = ListenSection()
    admin: AdminSection | None = None
    redis: RedisSection | None = None
    breaker: BreakerSection = BreakerSection()
    geo: GeoSection = GeoSection()
    regions: dict[Name, RegionSection] = {"default": RegionSection()}
    backends: dict[Name, BackendSection] = Field(json_schema_extra={"minProperties": 1})
    models: dict[ModelName, ModelSection] = Field(json_schema_extra={"minProperties": 1})
    routes: dict[Name, RouteSection] = {}
    audit: AuditSection | None = None
    ledger: LedgerSection | None = None
    include: list[str] = Field([], max_length=64)
    tenants: dict[TenantId, TenantSection] = {}
