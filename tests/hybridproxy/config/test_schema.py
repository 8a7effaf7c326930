# ruff: noqa: E501 - a mistake is one line
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hybridproxy.config import schema
from hybridproxy.config.schema import ConfigurationFile
from hybridproxy.config.settings import Configuration

Config = Callable[..., str]
Load = Callable[..., Configuration]
Mistakes = Callable[..., list[str]]

DIGEST = "sha256:" + "0123456789abcdef" * 4

# Sections that take the place of those of a small configuration, one a line: regions, backends, models, routes, tenants,
# then what it has not. Expected: line:column: path: message.
CASES: list[tuple[dict[str, str], list[str]]] = [
    (
        {"listen": "{prot: 1}"},
        [
            "6:10: listen.prot: unknown option: expected one of: body_timeout, drain_delay, drain_timeout, forwarded_header, host, keepalive, max_body, max_calls, port, proxy_protocol, shed_lag, tls, trusted_proxies, workers; did you mean port?"
        ],
    ),
    (
        {"listen": "{port: 70000}"},
        ["6:16: listen.port: expected a port from 0 to 65535"],
    ),
    (
        {"listen": "{port: true}"},
        ["6:16: listen.port: expected a port from 0 to 65535"],
    ),
    (
        {"listen": "{workers: 0}"},
        ["6:19: listen.workers: expected auto or a number from 1 to 1024"],
    ),
    (
        {"listen": "{host: 'a b'}"},
        ["6:16: listen.host: expected an IP address or a host name"],
    ),
    (
        {"listen": "{max_body: 65MB}"},
        ["6:20: listen.max_body: expected bytes as a number or as in 10MB, from 1 to 64MB"],
    ),
    (
        {"listen": "{keepalive: 0s}"},
        ["6:21: listen.keepalive: expected a duration longer than 0"],
    ),
    (
        {"listen": "{body_timeout: 3 weeks}"},
        ["6:24: listen.body_timeout: expected a duration such as 500ms, 3s or 2m, or seconds as a number, at most 24h"],
    ),
    (
        {"listen": "{trusted_proxies: [10.0.0.1/8]}"},
        ["6:28: listen.trusted_proxies[0]: has bits set beyond its prefix: write 10.0.0.0/8"],
    ),
    (
        {"listen": "{trusted_proxies: [banana]}"},
        ["6:28: listen.trusted_proxies[0]: not a network: write one like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7"],
    ),
    (
        {"listen": "{trusted_proxies: [7]}"},
        ["6:28: listen.trusted_proxies[0]: expected a network in quotes, such as 10.0.0.0/8 or 2001:db8::/32"],
    ),
    (
        {"listen": "{forwarded_header: x-real-ip}"},
        ["6:28: listen.forwarded_header: expected 'x-forwarded-for' or 'forwarded'"],
    ),
    (
        {"listen": "[]"},
        ["6:9: listen: expected a mapping, {} for an empty one"],
    ),
    (
        {"regions": "{asia: {countries: [UK], continents: [XX]}, default: {}}"},
        [
            "1:30: regions.asia.countries[0]: expected an ISO 3166-1 country code in capitals, such as SG",
            "1:48: regions.asia.continents[0]: expected a continent's code: AF, AN, AS, EU, NA, OC, SA",
        ],
    ),
    (
        {"regions": "{asia: {countries: SG}}"},
        ["1:29: regions.asia.countries: expected a list"],
    ),
    (
        {"regions": "{default: }"},
        ["1:11: regions.default: expected a mapping, {} for an empty one"],
    ),
    (
        {"geo": "{overrides: {10.0.0.0/8: Singapore}}"},
        ["6:31: geo.overrides.10.0.0.0/8: expected an ISO 3166-1 country code in capitals, such as SG"],
    ),
    (
        {"geo": "{overrides: {x: SG}}"},
        ["6:19: geo.overrides.x: not a network: write one like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7"],
    ),
    (
        {"geo": "{database: nowhere.mmdb}"},
        ["6:17: geo.database: expected `builtin` or a database file; there is no such file"],
    ),
    (
        {"banana": "1"},
        [
            "6:1: banana: unknown option: expected one of: admin, audit, backends, breaker, catalogue, geo, include, ledger, listen, models, redis, regions, routes, tenants"
        ],
    ),
    (
        {"tenants": "{'a b': {keys: ['%D']}}"},
        [
            "5:11: tenants[\"a b\"]: expected a tenant's name: letters, digits, '.', '_', '@' and '-', at most 128 characters"
        ],
    ),
    (
        {"tenants": "{t: {keys: [hp_abc]}}"},
        [
            "5:22: tenants.t.keys[0]: expected sha256: and 64 hex digits, as `hybridproxy key new TENANT` prints; never a key itself"
        ],
    ),
    (
        {"tenants": "{t: {keys: []}}"},
        ["5:21: tenants.t.keys: expected at least one key: `hybridproxy key new TENANT` makes one"],
    ),
    (
        {"tenants": "{t: {}}"},
        ["5:11: tenants.t.keys: is required"],
    ),
    (
        {"tenants": "{t: {keys: ['%D'], models: [1]}}"},
        ["5:107: tenants.t.models[0]: expected a model's name or a pattern with *: visible ASCII characters"],
    ),
    (
        {"models": "{m: {served_by: {a: m}}}"},
        ["3:10: models.m.family: is required"],
    ),
    (
        {"models": "{m: {family: qwen33, served_by: {a: m}}}"},
        [
            "3:22: models.m.family: unknown family: expected one of: deepseek, other, qwen2.5, qwen3, smollm2; did you mean qwen3?"
        ],
    ),
    (
        {"models": "{m: {family: qwen3, served_by: {}}}"},
        ["3:40: models.m.served_by: expected at least one backend"],
    ),
    (
        {"models": "{'m**': {family: qwen3, served_by: {a: m}}}"},
        ["3:10: models.m**: a model's name holds at most one *"],
    ),
    (
        {"models": "{m: {family: qwen3, served_by: {a: {name: m, lacks: [eyes]}}}}"},
        ["3:62: models.m.served_by.a.lacks[0]: expected 'tools', 'vision' or 'json_schema'"],
    ),
    (
        {"models": "{m: {family: qwen3, context: 1.5, served_by: {a: 7}}}"},
        [
            "3:38: models.m.context: expected a whole number",
            "3:58: models.m.served_by.a: expected a mapping, {} for an empty one",
        ],
    ),
    (
        {"models": "{}"},
        ["3:9: models: expected at least one model"],
    ),
    (
        {"routes": "{default: {}}"},
        ["4:10: routes.default.regions: is required"],
    ),
    (
        {"routes": "{default: {regions: {default: a}}}"},
        ["4:39: routes.default.regions.default: expected a list"],
    ),
    (
        {"routes": "{default: {regions: {default: [[]]}}}"},
        ["4:40: routes.default.regions.default[0]: expected at least 1"],
    ),
    (
        {"listen": "{proxy_protocol: v2}"},
        ["6:26: listen.proxy_protocol: not available in this version: only off is"],
    ),
    (
        {"listen": "{proxy_protocol: false}"},
        ["6:26: listen.proxy_protocol: expected off"],
    ),
    (
        {"listen": "{tls: {cert: a, key: b}}"},
        ["6:15: listen.tls: not available in this version: put a load balancer that ends TLS in front"],
    ),
    (
        {
            "routes": "{default: {regions: {default: [a]}, prefer: [order, price], on_cut: [error, resume], patience: 61s}}"
        },
        [
            "4:53: routes.default.prefer: order and weight decide what nothing else does: put one of them last",
            "4:77: routes.default.on_cut: nothing is tried after error: let it stand last",
            "4:104: routes.default.patience: expected at most 60s: a caller waits for it",
        ],
    ),
    (
        {"routes": "{default: {regions: {default: [a]}, prefer: [luck], on_cut: error, patience: long, hedge: 3%}}"},
        [
            "4:53: routes.default.prefer: expected a list of order, latency, price, fresh, weight",
            "4:69: routes.default.on_cut: expected a list of resume, replay, error, in the order to try them",
            "4:86: routes.default.patience: expected a duration such as 500ms, 3s or 2m, or seconds as a number, at most 24h",
            "4:99: routes.default.hedge: expected off, or a share of the calls such as 1%: above 0% and at most 2%",
        ],
    ),
    (
        {"routes": "{default: {regions: {default: [a]}, on_cut: [], hedge: true, hedges: off}}"},
        [
            "4:53: routes.default.on_cut: expected a list of resume, replay, error, in the order to try them",
            "4:64: routes.default.hedge: expected off, or a share of the calls such as 1%: above 0% and at most 2%",
            "4:70: routes.default.hedges: unknown option: expected one of: hedge, on_cut, patience, prefer, regions, timeouts; did you mean hedge?",
        ],
    ),
    (
        {"routes": "{default: {regions: {default: [a]}, on_cut: [resume, 7], patience: -1}}"},
        [
            "4:53: routes.default.on_cut: expected a list of resume, replay, error, in the order to try them",
            "4:76: routes.default.patience: expected a duration such as 500ms, 3s or 2m, or seconds as a number, at most 24h",
        ],
    ),
    (
        {"routes": "{default: {regions: {default: [a]}, on_cut: [replay, replay]}}"},
        ["4:53: routes.default.on_cut: a word stands in the list twice"],
    ),
    (
        {"redis": "{}"},
        ["6:1: redis.url: is required"],
    ),
    (
        {"redis": "redis://h"},
        ["6:8: redis: expected a mapping, {} for an empty one"],
    ),
    (
        {
            "redis": "{url: 'redis://a,b', name: a b, sentinel_password: '', tls: {cert: x, ca: '', name: '-'}, urls: []}"
        },
        [
            "6:14: redis.url: several hosts: write redis+sentinel:// or redis+cluster://",
            "6:35: redis.name: expected a name: letters, digits, '.', '_' and '-', at most 64 characters",
            "6:59: redis.sentinel_password: expected ${NAME}, whose value is not empty and has no spaces, line ends or control characters",
            "6:69: redis.tls.cert: unknown option: expected one of: ca, name",
            "6:82: redis.tls.ca: expected text that is not empty",
            "6:92: redis.tls.name: expected an IP address or a host name",
            "6:98: redis.urls: unknown option: expected one of: name, sentinel_password, tls, url; did you mean url?",
        ],
    ),
    (
        {"breaker": "{open_for: 0s, open_max: 6m, open: 1s}"},
        [
            "6:21: breaker.open_for: expected a duration longer than 0",
            "6:35: breaker.open_max: expected at most 5m: callers do without the backend for so long",
            "6:39: breaker.open: unknown option: expected one of: open_for, open_max; did you mean open_max?",
        ],
    ),
    (
        {"breaker": "{open_for: long, open_max: true}"},
        [
            "6:21: breaker.open_for: expected a duration such as 500ms, 3s or 2m, or seconds as a number, at most 24h",
            "6:37: breaker.open_max: expected a duration such as 500ms, 3s or 2m, or seconds as a number, at most 24h",
        ],
    ),
    (
        {"backends": "{a: {provider: vllm, base_url: 'https://h', region: [asia]}}"},
        ["2:63: backends.a.region: expected a name: letters, digits, '.', '_' and '-', at most 64 characters"],
    ),
    (
        {"models": "{m: {family: qwen3, served_by: {a: {name: m, price: 3}}}}"},
        ["3:61: models.m.served_by.a.price: expected a mapping, {} for an empty one"],
    ),
    (
        {"models": "{m: {family: qwen3, served_by: {a: {name: m, price: {input: -1}}}}}"},
        [
            "3:54: models.m.served_by.a.price.output: is required",
            "3:69: models.m.served_by.a.price.input: expected greater than or equal to 0",
        ],
    ),
    (
        {"models": "{m: {family: qwen3, served_by: {a: {name: m, price: {input: .inf, output: 1e300}}}}}"},
        [
            "3:69: models.m.served_by.a.price.input: expected a finite number",
            "3:83: models.m.served_by.a.price.output: expected less than or equal to 1000000",
        ],
    ),
    (
        {"tenants": "{t: {keys: ['%D'], residency: {compute: [us], retention: no}}}"},
        [
            "5:119: tenants.t.residency.compute: expected a list of ISO 3166-1 country codes in capitals, or EU",
            "5:136: tenants.t.residency.retention: expected none, or days as in 30d",
        ],
    ),
    (
        {"tenants": "{t: {keys: ['%D'], residency: {compute: [XX]}}}"},
        ["5:119: tenants.t.residency.compute: expected an ISO 3166-1 country code in capitals, such as SG"],
    ),
    (
        {"tenants": "{t: {keys: ['%D'], residency: }}"},
        [
            "5:98: tenants.t.residency: demands nothing: expected vpc, or as in {compute: [US], storage: [US], retention: none}",
        ],
    ),
    (
        {"tenants": "{t: {keys: ['%D'], residency: {vpc: true, compute: ~}}}"},
        ["5:130: tenants.t.residency.compute: has no value: give it one, or leave it out"],
    ),
    (
        {"tenants": "{t: {keys: ['%D'], backends: }}"},
        ["5:98: tenants.t.backends: has no value: give it one, or leave it out"],
    ),
    (
        {"tenants": "{t: {keys: ['%D'], backends: []}}"},
        ["5:108: tenants.t.backends: expected at least 1"],
    ),
    (
        {"tenants": "{t: {keys: ['%D'], residency: eu}}"},
        [
            "5:109: tenants.t.residency: expected vpc, or as in {compute: [US], storage: [US], retention: none}",
        ],
    ),
]


@pytest.mark.parametrize(("sections", "expected"), CASES)
def test_a_value_that_cannot_be_is_refused_in_its_place(
    sections: dict[str, str], expected: list[str], config: Config, mistakes_in: Mistakes
) -> None:
    """Each value that is misspelt, out of bounds or not available yet is shown with its place and what was expected."""
    text = config(**sections).replace("%D", DIGEST).replace("%U", DIGEST.upper().replace("SHA", "sha"))
    assert mistakes_in(text) == [f"hybridproxy.yaml:{line}" for line in expected]


DOCUMENTATION = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_documentation_names_every_option() -> None:
    """An option that is not in docs/configuration.md is one nobody knows of."""
    text = DOCUMENTATION.read_text()
    sections = [ConfigurationFile, *(vars(schema)[name] for name in vars(schema) if name.endswith("Section"))]
    options = {option for section in sections for option in section.model_fields}
    assert len(options) > 50
    assert [option for option in sorted(options) if not re.search(rf"\b{option}\b", text)] == []


def test_the_documentations_smallest_file_loads(load_text: Load) -> None:
    """What a newcomer copies first works as it stands."""
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    assert load_text(example, {}).warnings == ()
