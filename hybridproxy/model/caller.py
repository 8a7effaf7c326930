"""A caller: who sends the call, and from where."""

from geo.location import Location
from hybridproxy.model.residency import Residency
from hybridproxy.model.snapshot import Tenant
from hybridproxy.model.value import value


@value
class Caller:
    """Who and where.

    Attributes:
        tenant: whose key it was.
        location: what the country database or an override said of the client's address.
        region: the configured region that follows, None when no region takes this country.
        demands: what this call demands beside its tenant, None: nothing.

    """

    tenant: Tenant
    location: Location
    region: str | None
    demands: Residency | None = None

    @property
    def residency(self) -> Residency:
        """What the call demands of whoever works on it: never less than its tenant."""
        own = self.tenant.residency
        return own if self.demands is None else own.raised(self.demands)

    @property
    def sovereign(self) -> bool:
        """Whether the call may reach VPC backends or nothing."""
        return self.tenant.residency.vpc or (self.demands is not None and self.demands.vpc)
