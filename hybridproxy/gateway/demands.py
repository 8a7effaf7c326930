"""What a call demands of whoever works on it, and that it asks for nothing against that itself."""

from collections.abc import Sequence
from functools import reduce
from typing import Any, Final

from hybridproxy.dialects.request import RequestError
from hybridproxy.model.call import Call
from hybridproxy.model.residency import NO_DEMAND, Residency
from hybridproxy.residency.demand import DemandError, parse_demand

RESIDENCY: Final = "x-hybridproxy-residency"


def demanded(texts: Sequence[str]) -> Residency:
    """Return what a call demands in its headers; of several all hold.

    Raises:
        RequestError: one of them cannot be read.

    """
    try:
        return reduce(Residency.raised, map(parse_demand, texts))
    except DemandError as error:
        raise RequestError(f"{RESIDENCY}: {error}", param=RESIDENCY, code="invalid_residency") from None


_KEPT: Final = ("store", "conversation")
"""Fields by which a caller has an upstream keep an answer that it would not keep by itself."""


def hold_to_terms(call: Call, demand: Residency) -> None:
    """Hold a call to its terms in what it asks for itself: what upstreams do unasked is their sites' promise.

    Servers of tools that the caller names (MCP) are called by the upstream, with parts of the conversation: nobody has
    promised where they are.

    Raises:
        RequestError: it asks for what its terms do not allow.

    """
    if demand == NO_DEMAND:
        return
    asked = (call.body,) if call.native is None else (call.body, call.native)
    for name in _KEPT if demand.retention is not None else ():
        if any(body.get(name) for body in asked):
            message = f"{name!r} would have the answer kept, and these residency terms allow none to be kept on demand"
            raise RequestError(message, param=name, code="invalid_residency")
    named = next((name for body in asked for name in _SERVERS if _names_a_server(body.get(name))), None)
    if named is not None:
        message = f"{named!r} names a server that nobody has promised anything of, and this call has residency terms"
        raise RequestError(message, param=named, code="invalid_residency")


_SERVERS: Final = ("mcp_servers", "tools")
"""Fields in which a caller names servers that the upstream calls."""


def _names_a_server(given: Any) -> bool:
    """Return whether one of these servers has an address, or one of these tools is on a server."""
    entries = given if type(given) is list else []
    return any(type(one) is dict and (one.get("url") or str(one.get("type")).startswith("mcp")) for one in entries)
