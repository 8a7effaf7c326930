"""Where a backend says that it is, against what is known."""

from collections.abc import Callable
from typing import Any

import pytest

Config = Callable[..., str]
Load = Callable[..., object]
Mistakes = Callable[..., list[str]]

VPC = '{a: {provider: vllm, trust: vpc, endpoints: ["https://%s"], allow_cidrs: ["%s"]}}'
DASHSCOPE = "{a: {provider: dashscope, api_key: '${DASHSCOPE_API_KEY}', %s}}"
ROUTER = "{a: {provider: openrouter, api_key: '${OPENROUTER_API_KEY}', %s}}"


@pytest.mark.parametrize(
    ("address", "network", "says"),
    [
        ("[64:ff9b::808:808]", "64:ff9b::/96", "carry IPv4 addresses"),
        ("[64:ff9b:1::808:808]", "64:ff9b:1::/48", "carry IPv4 addresses"),
        ("[2002:808:808::1]", "2002:808:808::/48", "carry IPv4 addresses"),
        ("[2001:0:808:808::1]", "2001::/32", "carry IPv4 addresses"),
        ("[::808:808]", "::/96", "carry IPv4 addresses"),
        ("[::ffff:0:808:808]", "::ffff:0:0:0/96", "carry IPv4 addresses"),
        ("[::1]", "::/8", "too wide for a public network: expected a prefix of /16 or longer"),
        ("[2600::1]", "2600::/12", "too wide for a public network: expected a prefix of /16 or longer"),
    ],
)
def test_a_vpc_is_in_networks_of_ones_own(
    address: str, network: str, says: str, config: Config, mistakes_in: Mistakes
) -> None:
    """What is sent to an address that carries another one may come out anywhere, and half the internet is nobody's."""
    mistakes = mistakes_in(config(backends=VPC % (address, network)))
    assert any("backends.a.allow_cidrs[0]: " in mistake and says in mistake for mistake in mistakes)


@pytest.mark.parametrize(
    ("address", "network"),
    [("[::1]", "::1/128"), ("[fd00::1]", "fc00::/7"), ("[2600:1f18::1]", "2600:1f18::/33"), ("10.0.0.1", "10.0.0.0/8")],
)
def test_networks_of_ones_own_are_accepted(address: str, network: str, config: Config, load_text: Load) -> None:
    """This machine, private ones, and public ones that somebody was given."""
    assert load_text(config(backends=VPC % (address, network)))


@pytest.mark.parametrize(
    ("backends", "says"),
    [
        (
            DASHSCOPE % "site: beijing, promises: {compute: [US], evidence: x}",
            "a.promises.compute: dashscope says that it computes in CN (https://www.alibabacloud.com/",
        ),
        (
            DASHSCOPE % "site: singapore, promises: {storage: [US], evidence: x}",
            "a.promises.storage: dashscope says that it keeps data in SG (https://www.alibabacloud.com/",
        ),
        (ROUTER % "site: us, promises: {compute: [EU], evidence: x}", "a.promises.compute: openrouter says that it"),
    ],
)
def test_a_contract_does_not_say_the_opposite_of_the_site(
    backends: str, says: str, config: Config, mistakes_in: Mistakes
) -> None:
    """Whatever it says, the site's own word of where it is stands against it, with its source."""
    (mistake,) = mistakes_in(config(backends=backends))
    assert says in mistake


@pytest.mark.parametrize(
    "backends",
    [
        DASHSCOPE % "site: singapore, promises: {compute: [SG], storage: [SG, US], retention: none, evidence: x}",
        DASHSCOPE % "site: frankfurt, base_url: 'https://ws.eu.example', promises: {compute: [EU], evidence: x}",
        ROUTER % "site: us, base_url: 'https://router.example', promises: {compute: [EU], evidence: x}",
        ROUTER % "site: us, base_url: 'https://us.openrouter.ai/api/v1', promises: {compute: [US], evidence: x}",
    ],
)
def test_a_contract_may_say_more_than_the_site(backends: str, config: Config, load_text: Load) -> None:
    """Of what the site leaves open, or within what it says; and of an address that is not the site's, anything."""
    assert load_text(config(backends=backends))


@pytest.mark.parametrize(
    ("backends", "says"),
    [
        (
            DASHSCOPE % "site: virginia, base_url: 'https://dashscope.aliyuncs.com/compatible-mode/v1'",
            "a.base_url: the address of the site beijing, not of the site virginia",
        ),
        (
            ROUTER % "site: us, base_url: 'https://openrouter.ai/api/v1'",
            "a.base_url: the address of openrouter without a site, not of the site us",
        ),
        (
            ROUTER % "site: us, endpoints: ['https://us.openrouter.ai', 'https://openrouter.ai']",
            "a.endpoints[1]: the address of openrouter without a site, not of the site us",
        ),
    ],
)
def test_an_address_of_another_site_is_a_mistake(
    backends: str, says: str, config: Config, mistakes_in: Mistakes
) -> None:
    """Calls would be computed there, on the word of this one."""
    (mistake,) = mistakes_in(config(backends=backends))
    assert mistake.endswith(says)


def test_without_a_site_an_address_promises_nothing(config: Config, load_text: Load) -> None:
    """So it may be any: no demand is met by it."""
    assert load_text(config(backends=ROUTER % "base_url: 'https://us.openrouter.ai/api/v1'"))


@pytest.mark.parametrize(
    ("backend", "computes"),
    [
        ("provider: openrouter, site: us", "US"),
        ("provider: openrouter, site: us, base_url: 'http://us.openrouter.ai:8080/v2', insecure: true", "US"),
        ("provider: openrouter, site: us, base_url: 'https://us.router.example'", None),
        ("provider: openrouter, site: us, endpoints: ['https://us.openrouter.ai', 'https://us.router.example']", None),
        ("provider: openrouter, base_url: 'https://us.openrouter.ai'", None),
        ("provider: dashscope, site: beijing", "CN"),
        ("provider: dashscope, site: beijing, base_url: 'https://sim.example'", None),
    ],
)
def test_a_sites_word_holds_at_the_sites_address(
    backend: str, computes: str | None, config: Config, load_text: Load
) -> None:
    """Whoever answers at another one has promised nothing."""
    loaded: Any = load_text(config(backends=f"{{a: {{{backend}, api_key: '${{OPENROUTER_API_KEY}}'}}}}"))
    compute = loaded.snapshot.backends["a"].promise.compute
    assert compute == (None if computes is None else frozenset({computes}))


def test_the_sites_word_holds_where_each_account_has_an_address_of_its_own(config: Config, load_text: Load) -> None:
    """There is no other address to compare it with."""
    loaded: Any = load_text(config(backends=DASHSCOPE % "site: frankfurt, base_url: 'https://ws.eu.example'"))
    assert loaded.snapshot.backends["a"].promise.storage == frozenset({"DE"})
