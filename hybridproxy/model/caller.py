"""A caller: who sends the call, and from where."""

from geo.location import Location
from hybridproxy.model.snapshot import Tenant
from hybridproxy.model.value import value


@value
class Caller:
    """Who and where.

    Attributes:
        tenant: whose key it was.
        location: what the country database or an override said of the client's address.
        region: the configured region that follows, None when no region takes this country.

    """

    tenant: Tenant
    location: Location
    region: str | None
