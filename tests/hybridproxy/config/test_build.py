import dataclasses
from collections.abc import Callable
from pathlib import Path

from geo.networks import pack
from geo.regions import Region
from hybridproxy.config.load import load
from hybridproxy.config.settings import Admin, Configuration, Geo
from hybridproxy.model.backend import Credential, Endpoint, SovereignBackend, TimeoutOverrides, Timeouts, Trust
from hybridproxy.model.call import Capability
from hybridproxy.model.snapshot import Prefer, Served, Tenant

Config = Callable[..., str]
Load = Callable[..., Configuration]


def test_the_contracts_example_becomes_the_snapshot_it_describes(product: Path, environ: dict[str, str]) -> None:
    """Every name of the example is where routing looks for it."""
    snapshot = load(product, environ).snapshot
    assert snapshot.regions == ("china", "asia", "north-america", "europe", "default")
    dashscope = snapshot.backends["dashscope-sg"]
    assert dashscope.endpoints == (Endpoint("https", "dashscope-intl.aliyuncs.com", 443, "/compatible-mode/v1"),)
    assert dashscope.credentials == (Credential("dashscope-sg#1", "canary-dashscope"),)
    assert snapshot.backends["openrouter-us"].pin == ("deepinfra", "together")
    assert {model.name: len(model.served_by) for model in snapshot.models.values()} == {"qwen3-235b": 4}
    route = snapshot.routes["default"]
    assert route.regions["asia"] == (("dashscope-sg",), ("openrouter-us",))
    assert route.regions["china"] == ()
    assert (route.prefer, route.timeouts) == (Prefer.ORDER, Timeouts())
    assert snapshot.tenants == {"shop": Tenant("shop", "default"), "bank": Tenant("bank", None, sovereign=True)}
    assert snapshot.keys[bytes.fromhex("51aa" * 16)] is snapshot.tenants["bank"]


def test_a_vpc_backend_has_two_views_with_the_same_fields(product: Path, environ: dict[str, str]) -> None:
    """Ordinary routes may list it; sovereign tenants get it as a type of its own."""
    snapshot = load(product, environ).snapshot
    general, sovereign = snapshot.backends["vpc"], snapshot.sovereign["vpc"]
    assert list(snapshot.sovereign) == ["vpc"]
    assert general.trust is Trust.VPC
    assert isinstance(sovereign, SovereignBackend)
    assert sovereign.allow_cidrs == ("10.0.3.0/24",)
    assert sovereign.credentials == (Credential("vpc#1", ""),)
    assert sovereign.tls.ca == str(product.parent / "vpc-ca.pem")
    for field in (field.name for field in dataclasses.fields(SovereignBackend)):
        assert getattr(sovereign, field) == getattr(general, field)


def test_every_option_of_routing_arrives(config: Config, load_text: Load) -> None:
    """Options the example leaves out: keys, weights, timeouts, groups, wildcards, contexts, what is lacking."""
    snapshot = load_text(
        config(
            regions="{sea: {countries: [SG]}, default: {}}",
            backends="{a: {provider: together, api_keys: ['${TOGETHER_API_KEY}', '${TOGETHER_API_KEY_2}'], weight: 3, "
            "timeouts: {connect: 1s, first_token: 500ms}}, b: {provider: openai, base_url: 'https://h:8443/v1/'}}",
            models="{'q*': {family: qwen3, context: 1000, served_by: {a: {name: 'Q/*', context: 500, lacks: [tools], "
            "streams_only: true}, b: q}}, 'qwen*': {family: qwen3, served_by: {b: x}}}",
            routes="{fast: {regions: {default: [[a, b], b]}, timeouts: {total: 2m}}}".replace(
                "[[a, b], b]", "[[a, b]]"
            ),
            tenants="{t: {keys: ['sha256:" + "A" * 64 + "'], route: fast, models: ['q*'], region: sea, backends: [a]}}",
        )
    ).snapshot
    a, b = snapshot.backends["a"], snapshot.backends["b"]
    assert [credential.id for credential in a.credentials] == ["a#1", "a#2"]
    assert (a.weight, a.timeouts) == (3.0, TimeoutOverrides(connect=1.0, first_token=0.5))
    assert b.endpoints == (Endpoint("https", "h", 8443, "/v1"),)
    assert [model.name for model in snapshot.wildcards] == ["qwen*", "q*"]
    assert snapshot.models["q*"].served_by == (
        Served("a", "Q/*", 500, frozenset({Capability.TOOLS}), streams_only=True),
        Served("b", "q", 1000),
    )
    assert snapshot.routes["fast"].regions == {"default": (("a", "b"),)}
    assert snapshot.routes["fast"].timeouts == Timeouts(total=120.0)
    assert snapshot.keys == {b"\xaa" * 32: Tenant("t", "fast", models=("q*",), backends=frozenset({"a"}), region="sea")}


def test_what_is_not_routing_becomes_settings(config: Config, load_text: Load, tmp_path: Path) -> None:
    """Ports, proxies, regions and the database are read with their units and relative to the file."""
    (tmp_path / "geo.mmdb").touch()
    settings = load_text(
        config(
            regions="{asia: {continents: [AS], countries: [AU]}, default: {}}",
            listen="{port: 0, workers: 2, trusted_proxies: [10.0.0.0/8], forwarded_header: forwarded, max_body: 1MB, "
            "drain_delay: 5s}",
            admin='{port: 0, token: "${HYBRIDPROXY_ADMIN_TOKEN}"}',
            geo="{database: geo.mmdb, overrides: {192.0.2.0/24: NO}}",
        )
    ).settings
    assert (settings.listen.port, settings.listen.workers, settings.listen.max_body) == (0, 2, 1_000_000)
    assert (settings.listen.forwarded_header, settings.listen.drain_delay) == ("forwarded", 5.0)
    assert settings.admin == Admin("127.0.0.1", 0, "canary-admin-token")
    assert settings.geo == Geo(tmp_path / "geo.mmdb", (("192.0.2.0/24", "NO"),))
    assert settings.regions[0] == Region("asia", frozenset({"AU"}), frozenset({"AS"}))
    assert (pack("10.1.2.3") or b"") in settings.trusted


def test_a_small_file_gets_the_documented_defaults(config: Config, load_text: Load) -> None:
    """Nothing said: port 8080 on all addresses, no admin port, the built-in database, one region."""
    text = config().replace("regions: {default: {}}\n", "", 1)
    settings = load_text(text).settings
    assert (settings.listen.host, settings.listen.port, settings.listen.workers) == ("0.0.0.0", 8080, None)
    assert settings.admin is None
    assert settings.geo.database is None
    assert [region.name for region in settings.regions] == ["default"]
