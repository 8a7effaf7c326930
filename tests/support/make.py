"""Makes the values that tests of decisions need, with everything that does not matter left at something plain."""

from collections.abc import Mapping, Sequence
from typing import Any

from geo.location import Location
from hybridproxy.model.backend import Backend, Credential, Endpoint, SovereignBackend, TimeoutOverrides, Timeouts, Trust
from hybridproxy.model.call import Call, Capability, Operation
from hybridproxy.model.caller import Caller
from hybridproxy.model.plan import Target
from hybridproxy.model.residency import Residency
from hybridproxy.model.snapshot import DEFAULT_PREFER, Handling, Model, Prefer, Route, Served, Snapshot, Tenant

SINGAPORE = Location("SG", "AS", "database", "country")
CHINA = Location("CN", "AS", "database", "country")
NOWHERE = Location(None, None, "unknown", "none")


def endpoints(count: int) -> tuple[Endpoint, ...]:
    """Make so many endpoints, 10.0.3.1 and on."""
    return tuple(Endpoint("https", f"10.0.3.{i + 1}", 8000, "/v1") for i in range(count))


def credentials(count: int) -> tuple[Credential, ...]:
    """Make so many credentials, key1 and on."""
    return tuple(Credential(f"key{i + 1}", f"secret{i + 1}") for i in range(count))


def backend(
    name: str,
    *,
    provider: str = "openai",
    hosts: int = 1,
    keys: int = 1,
    weight: float = 1.0,
    timeouts: TimeoutOverrides | None = None,
    region: str = "",
) -> Backend:
    """Make a backend of a third party."""
    return Backend(
        id=name,
        provider=provider,
        site="",
        trust=Trust.THIRD_PARTY,
        endpoints=endpoints(hosts),
        credentials=credentials(keys),
        weight=weight,
        timeouts=timeouts or TimeoutOverrides(),
        region=region,
    )


def sovereign(name: str, *, hosts: int = 1, weight: float = 1.0) -> SovereignBackend:
    """Make a backend inside the VPC."""
    return SovereignBackend(name, "vllm", "", endpoints(hosts), credentials(1), ("10.0.3.0/24",), weight)


def model(
    name: str, served_by: Mapping[str, str] | Sequence[Served], *, family: str = "qwen3", latest: str = ""
) -> Model:
    """Make a model, from backend -> its own name or from whole values."""
    if isinstance(served_by, Mapping):
        served_by = [Served(backend, own) for backend, own in served_by.items()]
    return Model(name, family, tuple(served_by), latest)


def snapshot(
    *,
    backends: Sequence[Backend] = (),
    inside: Sequence[SovereignBackend] = (),
    models: Sequence[Model] = (),
    regions: Mapping[str, Sequence[Sequence[str]]] | None = None,
    timeouts: Timeouts | None = None,
    handling: Handling | None = None,
    prefer: tuple[Prefer, ...] = DEFAULT_PREFER,
) -> Snapshot:
    """Make a configuration with one route, `default`."""
    groups = {name: tuple(map(tuple, listed)) for name, listed in (regions or {}).items()}
    return Snapshot(
        regions=tuple(groups),
        backends={one.id: one for one in backends},
        sovereign={one.id: one for one in inside},
        models={one.name: one for one in models},
        routes={"default": Route("default", groups, prefer, handling or Handling(timeouts or Timeouts()))},
        tenants={},
        keys={},
        wildcards=tuple(sorted((m for m in models if "*" in m.name), key=lambda m: -len(m.name))),
    )


SHOP = Tenant("shop", "default")
BANK = Tenant("bank", None, Residency(vpc=True))


def caller(tenant: Tenant = SHOP, *, location: Location = SINGAPORE, region: str | None = "asia") -> Caller:
    """Make a caller, from Singapore unless said otherwise."""
    return Caller(tenant, location, region)


def target(
    name: str = "a", *, host: int = 1, key: int = 1, context: int | None = None, continues: bool = True
) -> Target[Backend]:
    """Make a target of a backend, at one of its endpoints, with one of its keys."""
    one = backend(name, hosts=host, keys=key)
    return Target(one, one.endpoints[-1], one.credentials[-1], "qwen", Timeouts(), context=context, continues=continues)


def call(
    name: str = "qwen",
    *,
    operation: Operation = Operation.CHAT,
    stream: bool = True,
    choices: int = 1,
    needs: frozenset[Capability] = frozenset(),
    text: str = "hello",
) -> Call:
    """Make a call whose only message is the text."""
    body: dict[str, Any] = {"model": name, "messages": [{"role": "user", "content": text}]}
    return Call(operation, name, stream, False, choices, needs, len(text.encode()) + 60, body)
