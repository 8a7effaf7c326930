"""How a provider wants to be shown a key."""

from typing import Final

from hybridproxy.model.value import value


@value
class Auth:
    """Where a key goes.

    Attributes:
        header: the header that shows it.
        prefix: what stands before it there.
        takes: other headers that an operator may set for a backend, in small letters; each says something of the
            account or its settings, none of a single call.
        signs: the service for which requests are signed where the key is `ID:SECRET[:TOKEN]`; "": keys are shown.

    """

    header: str = "authorization"
    prefix: str = "Bearer "
    takes: frozenset[str] = frozenset()
    signs: str = ""


BEARER: Final = Auth()
