"""What has to fit together within one backend: its provider and site, its credentials, its addresses."""

import ssl
import stat
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

from geo.networks import SPECIAL_NETWORKS, Network, pack
from hybridproxy.config.check_places import check_places
from hybridproxy.config.context import Context, Finding, check_secret, is_file
from hybridproxy.config.mistakes import KeyPath
from hybridproxy.config.schema import BackendSection, RatesSection
from hybridproxy.config.values import suggestion
from hybridproxy.model.backend import Endpoint
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.dashscope import TRIAL, TRIAL_SITES
from hybridproxy.providers.sigv4 import pair_of
from hybridproxy.residency.address import NOBODYS, PRIVATE, RISKY, inside, read, within

_WIDEST_VPC = {32: 8, 128: 7}
"""Shortest prefix of a VPC's network: 10.0.0.0/8 and fc00::/7 are the largest private ones."""


def check_backend(name: str, backend: BackendSection, context: Context) -> Iterator[Finding]:
    """Yield what does not fit together within a backend."""
    here: KeyPath = ("backends", name)
    provider = PROVIDERS[backend.provider]
    known = context.intact((*here, "provider"))
    if known and backend.site is not None and backend.site not in provider.sites:
        yield (*here, "site"), f"{provider.name} has no such site: {suggestion(backend.site, sites_of(backend))}"
    yield from _credentials(here, backend, context)
    if known:
        yield from check_places(here, backend, located_endpoints(here, backend))
    yield from _workspace(here, backend, context)
    yield from _headers(here, backend, context)
    if backend.base_url is not None and backend.endpoints is not None:
        yield (*here, "endpoints"), "either base_url or endpoints, not both"
    elif backend.workspace is not None or not context.intact((*here, "workspace")):
        pass
    elif known and backend.base_url is None and backend.endpoints is None and context.intact((*here, "endpoints")):
        if provider.self_hosted:
            yield (*here, "base_url"), f"is required, or endpoints: {provider.name} is wherever you run it"
        elif backend.site is None and "" not in provider.sites:
            yield (*here, "site"), f"is required: {suggestion('', sites_of(backend))}"
        elif not provider.sites.get(backend.site or "", "-"):
            yield (*here, "base_url"), f"is required, or workspace: the address of {backend.site} is yours alone"
    yield from _endpoints(here, backend, context)
    if known and backend.priority and not provider.prioritises:
        able = ", ".join(row.name for row in PROVIDERS.values() if row.prioritises)
        yield (*here, "priority"), f"{provider.name} takes no priority: this is for {able}"
    if known and backend.openai_only and not (provider.paths and provider.wires):
        what = "speaks nothing else anyway" if provider.paths else "does not speak it"
        yield (*here, "openai_only"), f"{provider.name} {what}"
    yield from _resolver(here, backend)
    if name not in context.withheld:
        yield from _tls(here, backend, context)


def _workspace(here: KeyPath, backend: BackendSection, context: Context) -> Iterator[Finding]:
    """Look at a workspace, which stands for an address and belongs to a site."""
    if backend.workspace is None or not context.intact((*here, "provider")):
        return
    path, provider = (*here, "workspace"), PROVIDERS[backend.provider]
    if backend.base_url is not None or backend.endpoints is not None:
        yield path, "stands for an address of its own: leave it out, or base_url and endpoints"
    elif not provider.workspaces:
        yield path, f"{provider.name} has none: leave this out"
    elif backend.site is None:
        yield (*here, "site"), f"is required with a workspace: {suggestion('', sites_of(backend))}"
    elif backend.workspace == TRIAL and backend.site not in TRIAL_SITES:
        yield path, f"{backend.site} has no {TRIAL} workspace: name your own"


def _headers(here: KeyPath, backend: BackendSection, context: Context) -> Iterator[Finding]:
    """Only headers that say something of the account may be added; what steers a call is ours."""
    if not context.intact((*here, "provider")):
        return
    takes = PROVIDERS[backend.provider].auth_for(backend.site or "").takes
    seen: set[str] = set()
    for name in backend.headers:
        path = (*here, "headers", name)
        if name.lower() not in takes:
            known = f"expected one of: {', '.join(sorted(takes))}" if takes else f"{backend.provider} takes none"
            yield path, f"is no header to add: {known}"
        if name.lower() in seen:
            yield path, "stands here twice"
        seen.add(name.lower())


def _tls(here: KeyPath, backend: BackendSection, context: Context) -> Iterator[Finding]:
    tls, tls_path = backend.tls, (*here, "tls")
    if tls.ca is not None and not is_file(context.base / tls.ca):
        yield (*tls_path, "ca"), "expected a PEM file with the certificates to trust; there is no such file"
    if (tls.cert is None) is not (tls.key is None):
        yield (*tls_path, "cert" if tls.key is None else "key"), "cert and key go together: write both, or neither"
    if tls.cert is None or tls.key is None:
        return
    paths = {"cert": context.base / tls.cert, "key": context.base / tls.key}
    missing = [option for option, path in paths.items() if not is_file(path)]
    for option in missing:
        yield (*tls_path, option), f"expected a PEM file with our {_OURS[option]}; there is no such file"
    if not missing:
        try:
            # with a password, or OpenSSL would ask for one on the terminal
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(paths["cert"], paths["key"], password="")
        except (OSError, ValueError):  # ssl.SSLError is an OSError
            yield (*tls_path, "key"), "expected the key of the certificate, both in PEM form and without a password"


_OURS = {"cert": "certificate", "key": "key"}


def _resolver(here: KeyPath, backend: BackendSection) -> Iterator[Finding]:
    if backend.resolver and not backend.sovereign:
        yield (*here, "resolver"), "only for vpc backends: names of others are asked of the system's name servers"
        return
    networks = tuple(map(ip_network, backend.allow_cidrs))
    for index, (address, _) in enumerate(backend.resolver):
        found = read(address)
        if found is None or not (inside(found, networks) or inside(found, PRIVATE)):
            path = (*here, "resolver", index)
            yield path, "expected a name server of your own: a private address, or one inside allow_cidrs"


def warn_backend(name: str, backend: BackendSection, context: Context) -> Iterator[Finding]:
    """Yield what is accepted of a backend, and is probably not meant."""
    keys = len(backend.api_keys or ())
    if keys > 1 and backend.limits != RatesSection():
        message = f"they hold for each of its {keys} keys: keys of one account share one quota, so list one of them"
        yield ("backends", name, "limits"), message
    if not backend.sovereign or name in context.withheld:
        return
    here: KeyPath = ("backends", name)
    for path, endpoint in located_endpoints(here, backend):
        address = read(endpoint.host)
        if address is not None and (pack(endpoint.host) or b"") not in SPECIAL_NETWORKS:
            yield path, "a public address for a vpc backend: make sure that it is a machine of yours"
        if endpoint.scheme == "http" and backend.insecure and not (address is not None and address.is_loopback):
            yield path, "plain http for a vpc backend: whoever can listen on that network reads prompts and answers"
    secured = [endpoint for _, endpoint in located_endpoints(here, backend) if endpoint.scheme == "https"]
    if secured and backend.tls.ca is None:
        yield (*here, "tls"), "ca is not set: any authority that this system trusts could vouch for an impostor"
    for index, cidr in enumerate(backend.allow_cidrs):
        if any(within(ip_network(cidr), risky) for risky in RISKY):
            yield (*here, "allow_cidrs", index), "holds addresses of metadata services, which give out credentials"
    if backend.tls.key is not None and _is_public(context.base / backend.tls.key):
        yield (*here, "tls", "key"), "everybody on this machine may read the key: chmod o-r"


def _is_public(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IROTH)


def sites_of(backend: BackendSection) -> list[str]:
    """Return the names of the sites of a backend's provider."""
    return [site for site in PROVIDERS[backend.provider].sites if site]


def _credentials(here: KeyPath, backend: BackendSection, context: Context) -> Iterator[Finding]:
    if backend.api_key is not None and backend.api_keys is not None:
        yield (*here, "api_keys"), "either api_key or api_keys, not both"
    located: list[tuple[KeyPath, str]] = [((*here, "api_keys", n), key) for n, key in enumerate(backend.api_keys or ())]
    if backend.api_key is not None:
        located.append(((*here, "api_key"), backend.api_key))
    signs = context.intact((*here, "provider")) and PROVIDERS[backend.provider].auth_for(backend.site or "").signs
    for path, key in located:
        yield from check_secret(path, context, ":" if signs else "")
        if signs and ":" in key and pair_of(key) is None:
            yield path, "expected a key, or ID:SECRET, or ID:SECRET:TOKEN: what signs has two or three parts"
    missing = backend.api_key is None and backend.api_keys is None and context.intact((*here, "api_keys"))
    if missing and not PROVIDERS[backend.provider].self_hosted:
        yield (*here, "api_key"), f"is required for {backend.provider}: write ${{NAME}} and set it in the environment"


def located_endpoints(here: KeyPath, backend: BackendSection) -> list[tuple[KeyPath, Endpoint]]:
    """Return the endpoints the operator wrote, with their paths."""
    if backend.base_url is not None:
        return [((*here, "base_url"), backend.base_url)]
    return [((*here, "endpoints", index), endpoint) for index, endpoint in enumerate(backend.endpoints or ())]


def _endpoints(here: KeyPath, backend: BackendSection, context: Context) -> Iterator[Finding]:
    endpoints = located_endpoints(here, backend)
    networks = tuple(map(ip_network, backend.allow_cidrs))
    guarded = bool(backend.allow_cidrs) and context.intact((*here, "allow_cidrs"))
    seen: set[Endpoint] = set()
    for path, endpoint in endpoints:
        packed = pack(endpoint.host)
        loopback = packed is not None and (packed[:1] == b"\x7f" if len(packed) == 4 else packed == bytes(15) + b"\1")
        if endpoint.scheme == "http" and not loopback and not backend.insecure and context.intact((*here, "insecure")):
            yield path, "plain http beyond this machine: write https, or insecure: true if the network is trusted"
        if packed is None and backend.sovereign and not backend.resolver and context.intact((*here, "resolver")):
            yield (
                path,
                "a vpc backend is reached by its IP address: a name could be made to point elsewhere (see resolver)",
            )
        address = read(endpoint.host)
        if address is not None and guarded and not inside(address, networks):
            yield path, "the address is not within the backend's allow_cidrs"
        if endpoint in seen:
            yield path, "the endpoint is listed twice"
        seen.add(endpoint)
    if backend.sovereign:
        yield from _vpc(here, backend)


def _vpc(here: KeyPath, backend: BackendSection) -> Iterator[Finding]:
    if not PROVIDERS[backend.provider].self_hosted:
        yield (*here, "trust"), f"{backend.provider} is a third party: trust: vpc is for servers of your own"
    elif PROVIDERS[backend.provider].passes_on:
        yield (
            (*here, "trust"),
            f"{backend.provider} passes calls on: trust: vpc is for servers that answer by themselves",
        )
    if not backend.allow_cidrs:
        yield (*here, "allow_cidrs"), "is required for a vpc backend: the networks its addresses have to be in"
    for index, cidr in enumerate(backend.allow_cidrs):
        network = Network.parse(cidr)
        if any(within(ip_network(cidr), nobodys) for nobodys in NOBODYS):
            yield (*here, "allow_cidrs", index), "no server has an address in this network"
        prefix = network.bits - (network.last - network.first).bit_length()
        if prefix < _WIDEST_VPC[network.bits]:
            path = (*here, "allow_cidrs", index)
            yield path, f"too wide for a private network: expected a prefix of /{_WIDEST_VPC[network.bits]} or longer"
