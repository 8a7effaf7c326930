"""The configuration file as pydantic models: which options there are, their types and their defaults.

What one value must look like is checked here; what has to fit together, and that required lists are not empty, in
`check`. A value of the public contract that this version does not do is refused here, since ignoring it would change
what happens to a call (`_only`, `_no_…`).
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, StringConstraints

from hybridproxy.config.model_values import Preferences
from hybridproxy.config.redis_url import RedisUrl, redis_url
from hybridproxy.config.schema_models import ModelSection
from hybridproxy.config.section import Section
from hybridproxy.config.values import (
    Anchor,
    BodySize,
    Cidr,
    Continent,
    Country,
    Days,
    Digest,
    Duration,
    HeaderName,
    HeaderValue,
    Hedge,
    Host,
    KeptDays,
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
    Workspace,
)
from hybridproxy.metering.estimate import MAX_ANSWER
from hybridproxy.model.backend import Trust
from hybridproxy.model.snapshot import DEFAULT_PREFER, OnCut
from hybridproxy.residency.demand import EXPECTED
from hybridproxy.resilience.breaker import DEFAULT_RULES
from hybridproxy.resilience.shedding import LATE


def _only(available: str, *planned: str | type) -> Callable[[Any], str]:
    """Return a check that takes one word and says of planned words, or kinds of value, that they are not there yet."""

    def check(value: Any) -> str:
        if value == available:
            return available
        if any(isinstance(value, word) if isinstance(word, type) else value == word for word in planned):
            raise ValueError(f"not available in this version: only {available} is")
        raise ValueError(f"expected {available}")

    return check


def _no_tls(value: Any) -> None:
    if value is not None:
        raise ValueError("not available in this version: put a load balancer that ends TLS in front")


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
    max_calls: int = Field(5000, ge=1, le=1_000_000)
    shed_lag: PositiveDuration = LATE
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


Amount = Annotated[int, Field(ge=1, le=1_000_000_000_000)]
AnswerTokens = Annotated[int, Field(ge=1, le=MAX_ANSWER)]
Usd = Annotated[float, Field(ge=0, le=1_000_000_000, allow_inf_nan=False)]


class RatesSection(Section):
    """Requests and tokens a minute, calls at a time."""

    rpm: Amount | None = None
    tpm: Amount | None = None
    streams: Amount | None = None


class LimitsSection(RatesSection):
    """The same of a tenant, and for the models that patterns cover; and how many tokens an answer may have."""

    answer: AnswerTokens | None = None
    models: dict[ModelPattern, RatesSection] = Field({}, max_length=100)


class CapsSection(Section):
    """Money that may be spent."""

    usd_per_day: Usd | None = None
    usd_per_month: Usd | None = None


class BudgetSection(CapsSection):
    """The same of a tenant, and for the models that patterns cover."""

    models: dict[ModelPattern, CapsSection] = Field({}, max_length=100)


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
    workspace: Workspace | None = None
    base_url: Url | None = None
    endpoints: list[Url] | None = Field(None, min_length=1, max_length=256)
    weight: Weight = 1.0
    timeouts: BackendTimeouts = BackendTimeouts()
    limits: RatesSection = RatesSection()
    region: Name | None = None
    allow_cidrs: list[Cidr] = []
    resolver: list[Resolver] = Field([], max_length=4)
    tls: BackendTlsSection = BackendTlsSection()
    insecure: bool = False
    promises: PromiseSection | None = None
    pin: list[Name] = []
    priority: bool = False
    headers: dict[HeaderName, HeaderValue] = Field({}, max_length=16, repr=False)
    openai_only: bool = False
    shares_kept: bool = False

    @property
    def sovereign(self) -> bool:
        """Whether sovereign tenants may use it."""
        return self.trust == Trust.VPC.value


Group = Annotated[list[Name], Field(min_length=1), BeforeValidator(_group, json_schema_input_type=str | list[str])]


class RouteSection(Section):
    """Which backends serve which region, in which order."""

    regions: dict[Name, list[Group]]
    prefer: Preferences = DEFAULT_PREFER
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
    """The ledger: its folder, and for how long single records are kept."""

    path: str = Field(min_length=1)
    keep: KeptDays | None = None


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
    limits: LimitsSection = LimitsSection()
    budget: BudgetSection = BudgetSection()

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
    catalogue: str | None = Field(None, min_length=1)
    routes: dict[Name, RouteSection] = {}
    audit: AuditSection | None = None
    ledger: LedgerSection | None = None
    include: list[str] = Field([], max_length=64)
    tenants: dict[TenantId, TenantSection] = {}
