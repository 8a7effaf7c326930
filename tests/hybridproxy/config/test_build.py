import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from geo.networks import pack
from geo.regions import Region
from hybridproxy.config.load import load
from hybridproxy.config.settings import Admin, Configuration, Geo, Redis
from hybridproxy.model.backend import Credential, Endpoint, SovereignBackend, TimeoutOverrides, Timeouts, Trust
from hybridproxy.model.call import Capability
from hybridproxy.model.limits import Caps, Limits, ModelLimits, Rates
from hybridproxy.model.price import UNKNOWN, Price
from hybridproxy.model.residency import Residency
from hybridproxy.model.snapshot import Handling, OnCut, Prefer, Served, Tenant
from hybridproxy.resilience.breaker import DEFAULT_RULES, Rules

Config = Callable[..., str]
Load = Callable[..., Configuration]


def test_the_contracts_example_becomes_the_snapshot_it_describes(product: Path, environ: dict[str, str]) -> None:
    """Every name of the example is where routing looks for it."""
    snapshot = load(product, environ).snapshot
    assert snapshot.regions == ("china", "asia", "north-america", "europe", "default")
    dashscope = snapshot.backends["dashscope-sg"]
    assert dashscope.endpoints == (Endpoint("https", "dashscope-intl.aliyuncs.com", 443, "/compatible-mode/v1"),)
    assert dashscope.credentials == (Credential("dashscope-sg#1.b902b8", "canary-dashscope"),)
    assert snapshot.backends["openrouter-us"].pin == ("deepinfra", "together")
    assert {model.name: len(model.served_by) for model in snapshot.models.values()} == {"qwen3-235b": 4}
    route = snapshot.routes["default"]
    assert route.regions["asia"] == (("dashscope-sg",), ("openrouter-us",))
    assert route.regions["china"] == ()
    assert (route.prefer, route.handling) == ((Prefer.ORDER,), Handling(Timeouts(), 0.0, (OnCut.ERROR,), 0.0))
    tenants = {name: dataclasses.replace(tenant, salt="") for name, tenant in snapshot.tenants.items()}
    limits = Limits(Rates(600, 400_000, 200), Caps(day=50_000_000_000))
    shop = Tenant("shop", "default", limits=limits)
    assert tenants == {"shop": shop, "bank": Tenant("bank", None, Residency(vpc=True))}
    assert snapshot.keys[bytes.fromhex("51aa" * 16)] is snapshot.tenants["bank"]


def test_limits_and_budgets_of_a_pattern_hold_together(config: Config, load_text: Load) -> None:
    """What both sections say of the same models is one entry, and each may name patterns of its own."""
    limits = "{rpm: 60, models: {'qwen-max*': {rpm: 6}, b: {tpm: 7}}}"
    budget = "{usd_per_month: 0.5, models: {'qwen-max*': {usd_per_day: 1}, c: {usd_per_day: 2}}}"
    tenants = f"{{t: {{keys: ['sha256:{'3' * 64}'], limits: {limits}, budget: {budget}}}}}"
    inside = "endpoints: ['https://10.0.3.11'], allow_cidrs: [10.0.3.0/24]"
    vpc = f"{{provider: vllm, trust: vpc, {inside}, limits: {{rpm: 9}}}}"
    snapshot = load_text(config(backends=f"{{a: {vpc}}}", tenants=tenants)).snapshot
    assert snapshot.tenants["t"].limits == Limits(
        Rates(rpm=60),
        Caps(month=500_000_000),
        (
            ModelLimits("qwen-max*", Rates(rpm=6), Caps(day=1_000_000_000)),
            ModelLimits("b", Rates(tpm=7)),
            ModelLimits("c", caps=Caps(day=2_000_000_000)),
        ),
    )
    assert snapshot.backends["a"].limits == snapshot.sovereign["a"].limits == Rates(rpm=9)


def test_a_tenants_salt_follows_from_its_first_key_and_its_name(config: Config, load_text: Load) -> None:
    """So all replicas have the same and no two tenants; a second key changes nothing; it is never shown."""
    one, two = ("sha256:" + digit * 64 for digit in "12")

    def salts(tenants: str) -> dict[str, str]:
        loaded = load_text(config(tenants=tenants)).snapshot.tenants
        assert all(tenant.salt not in repr(tenant) for tenant in loaded.values())
        return {name: tenant.salt for name, tenant in loaded.items()}

    before = salts(f"{{a: {{keys: ['{one}']}}, b: {{keys: ['{two}']}}}}")
    assert len(set(before.values())) == 2
    assert all(len(salt) == 64 for salt in before.values())
    assert salts(f"{{a: {{keys: ['{one}', '{two}']}}}}")["a"] == before["a"]
    assert salts(f"{{a: {{keys: ['{two}']}}}}")["a"] not in before.values()


def test_priorities_arrive(config: Config, load_text: Load) -> None:
    """Of a tenant, and of a backend in both of its views."""
    vpc = "{a: {provider: vllm, trust: vpc, base_url: 'http://127.0.0.1', allow_cidrs: [127.0.0.0/8], priority: true}}"
    snapshot = load_text(config(backends=vpc, tenants="{t: {keys: ['sha256:%s'], priority: 9}}" % ("3" * 64))).snapshot
    assert snapshot.tenants["t"].priority == 9
    assert (snapshot.backends["a"].priority, snapshot.sovereign["a"].priority) == (True, True)


def test_a_server_without_the_other_dialects_is_spoken_to_in_openais_alone(config: Config, load_text: Load) -> None:
    """So is a backend with pins, which no other dialect has words for."""
    server = (
        "{provider: openai, trust: vpc, base_url: 'http://127.0.0.1', allow_cidrs: [127.0.0.0/8], openai_only: true}"
    )
    snapshot = load_text(config(backends=f"{{a: {server}}}")).snapshot
    assert snapshot.backends["a"].plain
    assert snapshot.sovereign["a"].plain
    pinned = load_text(
        config(backends="{a: {provider: openrouter, api_key: '${TOGETHER_API_KEY}', pin: [deepinfra]}}")
    ).snapshot
    assert pinned.backends["a"].plain
    assert (
        not load_text(config(backends="{a: {provider: openrouter, api_key: '${TOGETHER_API_KEY}'}}"))
        .snapshot.backends["a"]
        .plain
    )


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
            "timeouts: {connect: 1s, first_token: 500ms}}, b: {provider: vllm, base_url: 'https://h:8443/v1/'}}",
            models="{'q*': {family: qwen3, context: 1000, served_by: {a: {name: 'Q/*', context: 500, lacks: [tools], "
            "streams_only: true, price: {input: 0.2, output: 0.6000000004}}, b: q}}, "
            "'qwen*': {family: qwen3, served_by: {b: x}}}",
            routes="{fast: {regions: {default: [[a, b]]}, timeouts: {total: 2m}, patience: 2500ms, "
            "on_cut: [resume, replay], hedge: 1%}}",
            tenants="{t: {keys: ['sha256:" + "A" * 64 + "'], route: fast, models: ['q*'], region: sea, backends: [a]}}",
        )
    ).snapshot
    a, b = snapshot.backends["a"], snapshot.backends["b"]
    assert [credential.id.partition(".")[0] for credential in a.credentials] == ["a#1", "a#2"]
    assert len({credential.id.partition(".")[2] for credential in a.credentials}) == 2
    assert (a.weight, a.timeouts) == (3.0, TimeoutOverrides(connect=1.0, first_token=0.5))
    assert b.endpoints == (Endpoint("https", "h", 8443, "/v1"),)
    assert [model.name for model in snapshot.wildcards] == ["qwen*", "q*"]
    assert snapshot.models["q*"].served_by == (
        Served(
            "a", "Q/*", 500, frozenset({Capability.TOOLS}), streams_only=True, price=Price(200_000_000, 600_000_000)
        ),
        Served("b", "q", 1000, price=UNKNOWN),
    )
    assert snapshot.routes["fast"].regions == {"default": (("a", "b"),)}
    assert snapshot.routes["fast"].handling == Handling(
        Timeouts(total=120.0), patience=2.5, on_cut=(OnCut.RESUME, OnCut.REPLAY, OnCut.ERROR), hedge=0.01
    )
    (digest,), (tenant,) = snapshot.keys, snapshot.keys.values()
    assert digest == b"\xaa" * 32
    wanted = Tenant("t", "fast", models=("q*",), backends=frozenset({"a"}), region="sea", salt=tenant.salt)
    assert tenant == wanted


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
    assert (settings.redis, settings.breaker) == (None, DEFAULT_RULES)
    assert [region.name for region in settings.regions] == ["default"]


def test_the_redis_of_the_example_is_one_server(product: Path, environ: dict[str, str]) -> None:
    """Its whole URL comes from the environment; nothing else needs to be said."""
    assert load(product, environ).settings.redis == Redis("standalone", (("redis", 6379),), password="canary-redis")


def test_what_replicas_share_health_through_becomes_settings(config: Config, load_text: Load, tmp_path: Path) -> None:
    """Sentinels with TLS: every option of the section arrives, the path relative to the file."""
    (tmp_path / "ca.pem").touch()
    settings = load_text(
        config(
            redis='{url: "rediss+sentinel://hp%40x:${TOGETHER_API_KEY}@a,[fd00::1]:26380/main/3", name: staging.eu-1, '
            'sentinel_password: "${TOGETHER_API_KEY_2}", tls: {ca: ca.pem, name: Redis.internal}}',
            breaker="{open_for: 500ms, open_max: 2m}",
        )
    ).settings
    assert settings.redis == Redis(
        mode="sentinel",
        nodes=(("a", 26379), ("fd00::1", 26380)),
        tls=True,
        db=3,
        service="main",
        username="hp@x",
        password="canary-together",
        sentinel_password="canary-together-2",
        ca=tmp_path / "ca.pem",
        tls_name="redis.internal",
        name="staging.eu-1",
    )
    assert settings.breaker == Rules(0.5, 120.0)


REGIONS = "{asia: {continents: [AS], countries: [US]}, europe: {countries: [FR]}, north-america: {countries: [US]}}"
CHINA = "{asia: {continents: [AS]}, china: {countries: [CN]}, default: {}}"
KEY = "api_key: '${TOGETHER_API_KEY}'"


@pytest.mark.parametrize(
    ("regions", "backend", "region"),
    [
        (REGIONS, f"provider: dashscope, site: singapore, {KEY}", "asia"),
        (REGIONS, f"provider: dashscope, site: singapore, {KEY}, region: europe", "europe"),
        (REGIONS, f"provider: dashscope, site: singapore, {KEY}, base_url: 'https://h'", "asia"),
        (REGIONS, f"provider: dashscope, site: hongkong, {KEY}", "asia"),
        (REGIONS, f"provider: dashscope, site: beijing, {KEY}", ""),
        (CHINA, f"provider: dashscope, site: beijing, {KEY}", "china"),
        (REGIONS, f"provider: dashscope, site: virginia, {KEY}, base_url: 'https://h'", "asia"),
        (REGIONS, f"provider: dashscope, site: frankfurt, {KEY}, base_url: 'https://h'", ""),
        (CHINA, f"provider: dashscope, site: tokyo, {KEY}, base_url: 'https://h'", "asia"),
        (CHINA, f"provider: together, {KEY}", ""),
        ("{us: {continents: ['NA']}, default: {}}", f"provider: together, {KEY}", "us"),
        ("{us: {continents: ['NA']}, default: {}}", f"provider: openrouter, {KEY}", ""),
        ("{us: {continents: ['NA']}, default: {}}", f"provider: openrouter, site: us, {KEY}", "us"),
        ("{rest: {}}", f"provider: together, {KEY}", ""),
        (REGIONS, "provider: vllm, base_url: 'https://h'", ""),
        (REGIONS, "provider: openai, base_url: 'https://h', region: north-america", "north-america"),
    ],
)
def test_a_backend_lies_where_the_operator_or_its_site_says(
    regions: str, backend: str, region: str, config: Config, load_text: Load
) -> None:
    """The first region with its site's country or continent; in mainland China only one that names it; or nowhere."""
    snapshot = load_text(config(regions=regions, backends=f"{{a: {{{backend}}}}}")).snapshot
    assert snapshot.backends["a"].region == region


def test_a_vpc_backend_lies_where_the_operator_says_in_both_views(config: Config, load_text: Load) -> None:
    """An evacuation reaches sovereign tenants' calls too."""
    snapshot = load_text(
        config(
            regions=REGIONS,
            backends="{a: {provider: vllm, trust: vpc, endpoints: ['https://10.0.0.1'], allow_cidrs: [10.0.0.0/8], "
            "region: europe}}",
        )
    ).snapshot
    assert snapshot.backends["a"].region == snapshot.sovereign["a"].region == "europe"


def test_a_workspace_is_an_address_at_its_site(config: Config, load_text: Load) -> None:
    """Its promises are the site's, also where its address was written out."""
    snapshot = load_text(
        config(
            backends="{a: {provider: dashscope, site: tokyo, workspace: llm-1a, api_key: '${KEY}'}, "
            "b: {provider: dashscope, site: beijing, workspace: trial, api_key: '${KEY}'}, "
            "c: {provider: dashscope, site: beijing, api_key: '${KEY}', "
            "base_url: 'https://llm-2.cn-beijing.maas.aliyuncs.com/compatible-mode/v1'}}"
        ),
        {"KEY": "k"},
    ).snapshot
    hosts = {name: backend.endpoints[0].host for name, backend in snapshot.backends.items()}
    assert hosts == {
        "a": "llm-1a.ap-northeast-1.maas.aliyuncs.com",
        "b": "trial.cn-beijing.maas.aliyuncs.com",
        "c": "llm-2.cn-beijing.maas.aliyuncs.com",
    }
    assert {backend.endpoints[0].base_path for backend in snapshot.backends.values()} == {"/compatible-mode/v1"}
    assert snapshot.backends["b"].promise == snapshot.backends["c"].promise
    assert snapshot.backends["c"].promise.compute == frozenset({"CN"})


def test_keys_and_headers_arrive_as_the_provider_wants_them(config: Config, load_text: Load) -> None:
    """Portkey's in a header of its own, a pair of AWS to sign with, an API key of Bedrock as it is."""
    snapshot = load_text(
        config(
            backends="{a: {provider: portkey, api_key: '${KEY}', headers: {X-Portkey-Config: pc-1}}, "
            "q: {provider: portkey, site: airs, api_key: '${KEY}'}, "
            "b: {provider: bedrock, site: us-west-2, api_keys: ['${KEY}', '${ID}:${KEY}', '${ID}:${KEY}:${TOKEN}']}}"
        ),
        {"KEY": "k", "ID": "AKIA1", "TOKEN": "t"},
    ).snapshot
    shown = {
        name: [(key.secret, key.header, key.prefix, key.signs) for key in backend.credentials]
        for name, backend in snapshot.backends.items()
    }
    signs = ("bedrock", "us-west-2")
    assert shown == {
        "a": [("k", "x-portkey-api-key", "", None)],
        "q": [("k", "authorization", "Bearer ", None)],
        "b": [
            ("k", "authorization", "Bearer ", None),
            ("AKIA1:k", "authorization", "Bearer ", signs),
            ("AKIA1:k:t", "authorization", "Bearer ", signs),
        ],
    }
    assert snapshot.backends["a"].headers == (("x-portkey-config", "pc-1"),)
    assert "pc-1" not in repr(snapshot.backends["a"])


def test_what_a_name_says_of_a_model_holds_unless_the_operator_says_otherwise(config: Config, load_text: Load) -> None:
    """A model without eyes gets no images; one that only streams at DashScope is asked for a stream."""
    snapshot = load_text(
        config(
            backends="{a: {provider: dashscope, site: singapore, api_key: '${KEY}'}, "
            "b: {provider: groq, api_key: '${KEY}'}}",
            models="{m: {family: qwen3, served_by: {a: qwen3-235b-a22b, b: own-name}}, "
            "n: {family: qwen3, served_by: {a: {name: qwen3-235b-a22b, lacks: [], streams_only: false}, "
            "b: {name: qwq-32b, lacks: [tools]}}}}",
        ),
        {"KEY": "k"},
    ).snapshot
    found = {
        (name, served.backend): (served.lacks, served.streams_only)
        for name, model in snapshot.models.items()
        for served in model.served_by
    }
    assert found == {
        ("m", "a"): (frozenset({Capability.VISION}), True),
        ("m", "b"): (frozenset(), False),
        ("n", "a"): (frozenset(), False),
        ("n", "b"): (frozenset({Capability.TOOLS}), False),
    }
