"""A tenant's calls on their way past its limits, a step at a time, as they are made for calls over sockets."""

from hybridproxy.model.limits import Measure
from hybridproxy.model.snapshot import Tenant
from hybridproxy.resilience.quota import Excess
from hybridproxy.stores.quotas import Quotas, Reservation


def enter(quotas: Quotas, who: Tenant) -> Excess | None:
    """Take a place for a call, where the tenant has limits."""
    mine = quotas.of(who)
    return None if mine is None else quotas.enter(mine)


def leave(quotas: Quotas, who: Tenant) -> None:
    """Give a place back, where the tenant has limits."""
    mine = quotas.of(who)
    if mine is not None:
        quotas.leave(mine)


def reserve(quotas: Quotas, who: Tenant, model: str = "qwen", tokens: int = 0, cost: int = 0) -> Reservation | Excess:
    """Reserve what a call of a tenant that has limits will use."""
    mine = quotas.of(who)
    assert mine is not None
    return quotas.reserve(mine, mine.covering(model), tokens, cost)


def rates(quotas: Quotas, who: Tenant, model: str | None) -> dict[Measure, tuple[int, int, float]]:
    """Return what is told of the limits that cover a call for a model."""
    mine = quotas.of(who)
    assert mine is not None
    return quotas.rates(mine.covering(model))
