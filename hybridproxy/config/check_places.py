"""Where a backend says that it is, against what is known: the networks of a VPC, and the words of sites."""

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final

from hybridproxy.config.build import beyond, site_promise_for
from hybridproxy.config.context import Finding
from hybridproxy.config.mistakes import KeyPath
from hybridproxy.config.schema import BackendSection
from hybridproxy.config.values import endpoint
from hybridproxy.model.backend import Endpoint
from hybridproxy.model.residency import listed
from hybridproxy.providers import PROVIDERS
from hybridproxy.residency.address import CARRYING

Located = Sequence[tuple[KeyPath, Endpoint]]
"""Endpoints that the operator wrote, with their paths."""

_LOOPBACK: Final = ipaddress.IPv6Network("::1/128")
_PRIVATE: Final = ipaddress.IPv6Network("fc00::/7")
_WIDEST_PUBLIC: Final = 16
"""Shortest prefix of a public IPv6 network: nobody was ever given a wider one."""


def check_places(here: KeyPath, backend: BackendSection, endpoints: Located) -> Iterator[Finding]:
    """Yield what does not fit between a backend's addresses, its site and its promises."""
    yield from _promises(here, backend)
    yield from _addresses(backend, endpoints)
    if backend.sovereign:
        for index, cidr in enumerate(backend.allow_cidrs):
            network = ipaddress.ip_network(cidr)
            if isinstance(network, ipaddress.IPv6Network) and (fault := _fault_of(network)):
                yield (*here, "allow_cidrs", index), fault


def _fault_of(network: ipaddress.IPv6Network) -> str:
    if network.prefixlen < _PRIVATE.prefixlen:  # wider than any network may be, which is refused elsewhere
        return ""
    if network.prefixlen < _WIDEST_PUBLIC and not network.subnet_of(_PRIVATE):
        return f"too wide for a public network: expected a prefix of /{_WIDEST_PUBLIC} or longer"
    if network != _LOOPBACK and any(network.overlaps(carrying) for carrying in CARRYING):
        return "its addresses carry IPv4 addresses, to which packets may be sent on: name the machines' own networks"
    return ""


def _promises(here: KeyPath, backend: BackendSection) -> Iterator[Finding]:
    """Refuse a contract that says the opposite of the site: the place it names is not among those of the site."""
    own = backend.promises
    if own is None:
        return
    site = site_promise_for(backend)
    for what, says, mine, theirs in (
        ("compute", "computes", own.compute, site.compute),
        ("storage", "keeps data", own.storage, site.storage),
    ):
        if mine is not None and theirs is not None and not mine & theirs:
            source = f"{site.evidence}, {site.dated}"
            yield (*here, "promises", what), f"{backend.provider} says that it {says} in {listed(theirs)} ({source})"


def _addresses(backend: BackendSection, endpoints: Located) -> Iterator[Finding]:
    """Refuse the address of another site than the one that is named: its promises are not those of this one."""
    if backend.site is None:
        return
    sites = PROVIDERS[backend.provider].sites
    known = {endpoint(url).host: site for site, url in sites.items() if url}
    workspaces = {beyond(url): site for site, url in PROVIDERS[backend.provider].workspaces.items()}
    for path, one in endpoints:
        other = known.get(one.host, workspaces.get(one.host.partition(".")[2], backend.site))
        if other != backend.site:
            whose = f"the site {other}" if other else f"{backend.provider} without a site"
            yield path, f"the address of {whose}, not of the site {backend.site}"
