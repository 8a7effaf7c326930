"""The planes: which calls a process serves, so that sovereign and other calls can be kept in processes of their own."""

from enum import Enum


class Plane(Enum):
    """Which calls a process serves; the value is the word of `serve --plane`."""

    GENERAL = "general"
    """Ordinary calls. It has nothing of a VPC backend that no ordinary route lists."""
    SOVEREIGN = "sovereign"
    """Calls that may reach VPC backends or nothing. It has nothing of a third party's."""
    ALL = "all"

    def serves(self, *, sovereign: bool) -> bool:
        """Return whether a call, or a tenant's calls, are served here."""
        return self is Plane.ALL or sovereign is (self is Plane.SOVEREIGN)
