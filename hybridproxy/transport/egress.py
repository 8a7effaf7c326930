"""Where a connection may go: addresses are judged before anything is sent to them, a name never is."""

import ipaddress
from collections.abc import Iterable

from hybridproxy.residency.address import Address, inside, read

__all__ = ["Address", "EgressRefusedError", "Guard", "literal"]

literal = read
"""Return the address that a host is written as, None for a name."""


class EgressRefusedError(Exception):
    """No address is left that may be connected to. The text says why and holds no address."""


class Guard:
    """The networks of one backend's `allow_cidrs`."""

    __slots__ = ("_networks",)

    def __init__(self, cidrs: Iterable[str]) -> None:
        """Read the networks.

        Raises:
            ValueError: one of them is no network.

        """
        try:
            self._networks = tuple(ipaddress.ip_network(cidr) for cidr in cidrs)
        except ValueError:
            raise ValueError("allow_cidrs holds something that is no network") from None

    @property
    def open(self) -> bool:
        """Whether there is no restriction at all."""
        return not self._networks

    def allows(self, address: Address) -> bool:
        """Whether the networks hold the address, and all that it leads to."""
        return inside(address, self._networks)

    def only_allowed(self, addresses: Iterable[Address]) -> list[Address]:
        """Return those that may be connected to, in their order.

        Raises:
            EgressRefusedError: none of them may.

        """
        allowed = [address for address in addresses if self.open or self.allows(address)]
        if not allowed:
            raise EgressRefusedError("none of its addresses is inside allow_cidrs")
        return allowed
