"""The configuration in force, with what was built from it. One value, swapped whole: no call sees half of a reload."""

from collections.abc import Sequence
from dataclasses import dataclass

from geo.client_ip import client_address
from geo.locate import Locator
from geo.location import Location
from geo.regions import region_of
from hybridproxy.config.keys import find_tenant
from hybridproxy.config.settings import Settings
from hybridproxy.model.snapshot import Snapshot, Tenant


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """What a call is judged by, from its first byte to its last."""

    snapshot: Snapshot
    settings: Settings
    locator: Locator
    policy: str = ""
    """The hash of its policy, for the audit log."""

    def tenant(self, key: str | None) -> Tenant | None:
        """Return whose key it is, None when nobody's."""
        return None if key is None else find_tenant(self.snapshot.keys, key)

    def whereabouts(self, peer: str | None, forwarded: Sequence[str]) -> tuple[Location, str | None]:
        """Return where a client is and the configured region that follows."""
        listen = self.settings.listen
        client = client_address(peer, forwarded, listen.forwarded_header, self.settings.trusted)
        location = self.locator.locate(client.address)
        return location, region_of(location, self.settings.regions)
