"""What policy allows: may this backend serve this call for this tenant at all? Health has no say here.

Each reason to drop a backend is one function; `allows` gives the first that speaks, None when nothing does. They are
pure, so the same answer stands in `explain`, in the decision header and in the log.
"""

from fnmatch import fnmatchcase
from itertools import chain
from typing import Final

from hybridproxy.families import FAMILIES
from hybridproxy.families.family import TokenEstimate, estimate_tokens
from hybridproxy.model.call import Call, Capability, Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.residency import Promise, Residency, listed
from hybridproxy.model.snapshot import Model, Served, Snapshot, Tenant
from hybridproxy.model.value import value
from hybridproxy.providers.parameters import lost_field
from hybridproxy.providers.provider import Provider

WINDOW_MARGIN = 1.3
"""A backend is dropped for its context window only when the estimate exceeds the window by this factor."""


def find_model(snapshot: Snapshot, tenant: Tenant, name: str) -> Model | None:
    """Return the model a tenant means by a name, None when there is none or the tenant may not use it."""
    if not may_use(tenant, name):
        return None
    model = snapshot.models.get(name)
    if model is not None and "*" not in model.name:
        return model
    return next((m for m in snapshot.wildcards if starred(m.name, name) is not None), None)


def may_use(tenant: Tenant, name: str) -> bool:
    """Return whether one of the tenant's patterns covers a model's name; only `*` is special."""
    return any(covers(pattern, name) for pattern in tenant.models)


def covers(pattern: str, name: str) -> bool:
    """Return whether a pattern covers a model's name; only `*` is special."""
    return pattern in ("*", name) or (
        "*" in pattern and fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]"))
    )


def usable_models(snapshot: Snapshot, tenant: Tenant) -> list[str]:
    """Return the names of the models a tenant may use, in the configuration's order; wildcards as they are written."""
    reachable = _reachable(snapshot, tenant)
    return [
        name
        for name, model in snapshot.models.items()
        if may_use(tenant, name) and any(served.backend in reachable for served in model.served_by)
    ]


def _reachable(snapshot: Snapshot, tenant: Tenant) -> set[str]:
    """Return the backends that a tenant's calls may lead to, whatever the region."""
    backends = set(snapshot.sovereign)
    if not tenant.sovereign:
        groups = chain.from_iterable(snapshot.routes[tenant.route or ""].regions.values())
        backends = set(chain.from_iterable(groups))
    return backends if tenant.backends is None else backends & tenant.backends


def starred(pattern: str, name: str) -> str | None:
    """Return what the `*` of a pattern stands for in a name, None when the name does not fit or there is no `*`."""
    before, star, after = pattern.partition("*")
    fits = star and len(name) >= len(before) + len(after) and name.startswith(before) and name.endswith(after)
    return name[len(before) : len(name) - len(after)] if fits else None


def upstream_name(model: Model, served: Served, name: str) -> str:
    """Return the backend's own name of the model a caller called `name`."""
    if "*" not in served.name:
        return served.name
    return served.name.replace("*", starred(model.name, name) or "", 1)


@value
class Manner:
    """What a backend's section and site say of how it may be spoken to.

    Attributes:
        plain: in OpenAI's dialect, where its provider speaks that.
        continues: it takes the beginning of an answer and goes on with it.
        shares: what its account keeps may be named by every tenant that may use it.

    """

    plain: bool = False
    continues: bool = False
    shares: bool = False


USUAL: Final = Manner()


def allows(call: Call, model: Model, served: Served, provider: Provider, manner: Manner = USUAL) -> str | None:
    """Return why a backend may not serve a call, None when it may."""
    if call.operation not in provider.paths and not provider.offers(call.operation):
        return f"{provider.name} does not offer {call.operation.value}"
    if (call.bound or call.kept or call.begun) and (reason := _unspeakable(call, served, provider, manner)):
        return reason
    if call.needs and not call.needs.isdisjoint(served.lacks):
        return f"does not do {', '.join(sorted(_FIELDS[call.dialect][need] for need in call.needs & served.lacks))}"
    if provider.refuses and call.operation is Operation.CHAT and (lost := lost_field(call.body, provider.refuses)):
        return f"does not take {lost}: {provider.refuses[lost]}"
    if call.choices > provider.max_choices:
        return f"gives at most {provider.max_choices} answers to a call, {call.choices} are asked for (n)"
    return None if served.context is None else _window(call, model, served.context)


def _unspeakable(call: Call, served: Served, provider: Provider, manner: Manner) -> str | None:
    """Return what of a call cannot be said to a backend, as far as it is a matter of dialects."""
    native, gathers = provider.speaks_like(call, plain=manner.plain), served.streams_only and not call.stream
    if call.bound and not native:
        return f"is not spoken to in {call.dialect.value}, which alone has {', '.join(call.bound)}"
    if call.bound and gathers:
        return f"answers only as a stream, out of which {', '.join(call.bound)} cannot be put together"
    if call.kept and not manner.shares:
        return f"{call.kept} would name what its account keeps, whoever's it is: shares_kept of the backend allows that"
    if call.begun and not manner.continues and (call.native is None or gathers or not native):
        return "does not go on from the beginning of an answer (messages)"
    return None


_FIELDS: Final = {
    Dialect.OPENAI: {
        Capability.TOOLS: "tools",
        Capability.VISION: "vision (messages[].content[].image_url)",
        Capability.JSON_SCHEMA: "json_schema (response_format)",
    },
    Dialect.RESPONSES: {
        Capability.TOOLS: "tools",
        Capability.VISION: "vision (input[].content[].image_url)",
        Capability.JSON_SCHEMA: "json_schema (text.format)",
    },
    Dialect.ANTHROPIC: {
        Capability.TOOLS: "tools",
        Capability.VISION: "vision (messages.*.content.*: image)",
        Capability.JSON_SCHEMA: "json_schema (output_config.format)",
    },
    Dialect.DASHSCOPE: {
        Capability.TOOLS: "tools (parameters.tools)",
        Capability.VISION: "vision (input.messages[].content[].image)",
        Capability.JSON_SCHEMA: "json_schema (parameters.response_format)",
    },
}
"""What a call needs, with the caller's field that says so where it is called otherwise."""


def resides(demand: Residency, promise: Promise) -> str | None:
    """Return the fact about a site that stands against a demand, None when nothing does."""
    for noun, wanted, given, says in (
        ("computed", demand.compute, promise.compute, promise.computes),
        ("kept", demand.storage, frozenset[str]() if promise.retention == 0 else promise.storage, promise.stores),
    ):
        if wanted is not None and (given is None or not given <= wanted):
            return f"{says}; the call may be {noun} in {listed(wanted)} only"
    days = demand.retention
    if days is not None and (promise.retention is None or promise.retention > days):
        return f"{promise.retains}; the call may be kept {f'for {days} days at most' if days else 'nowhere'}"
    return None


TOO_LONG = "input too long: "


def _window(call: Call, model: Model, context: int) -> str | None:
    """Why the input cannot fit. A byte is at most one token, so small bodies need no estimate."""
    if call.size <= context:
        return None
    estimate: TokenEstimate = estimate_tokens(FAMILIES[model.family], call.body)
    if estimate.tokens <= WINDOW_MARGIN * context:
        return None
    return f"{TOO_LONG}about {estimate.tokens} tokens (estimated), its window is {context}"
