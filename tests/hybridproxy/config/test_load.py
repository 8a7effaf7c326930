# ruff: noqa: E501, PT017 - a mistake is one line; refusing is one of two good ends
import copy
import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybridproxy.config.load import load
from hybridproxy.config.mistakes import ConfigError
from hybridproxy.config.settings import Configuration

Config = Callable[..., str]
Load = Callable[..., Configuration]
Mistakes = Callable[..., list[str]]
Write = Callable[..., Path]

TWENTY = """\
listen: {port: 99999, prot: 1, proxy_protocol: v1}
admin: {token: letmein, host: 'a b'}
geo: {database: nowhere.mmdb, overrides: {10.0.0.1/8: SG}}
regions:
  asia: {countries: [UK]}
  asia: {}
  default: {}
backends:
  dash: {provider: dashscop, api_key: "${NOT_SET}"}
  together: {provider: together, api_key: sk-literal, weight: heavy}
  vpc:
    provider: vllm
    trust: vpc
    endpoints: ["http://10.0.3.11:8000", "https://vllm.internal"]
    tls: {ca: nowhere.pem}
models:
  qwen: {family: qwen3, served_by: {together: Qwen/*, nobody: x}}
routes:
  default: {regions: {europe: [together], asia: [dash, nobody]}, prefer: [luck]}
tenants:
  shop: {keys: ["hp_canary"], route: fast, region: moon}
  bank: {keys: ["sha256:%s"], residency: vpc, models: [gpt]}
""" % ("0" * 64)


def test_the_contracts_example_loads_without_a_warning(product: Path, environ: dict[str, str]) -> None:
    """Every name of the public contract is accepted, and does something."""
    loaded = load(str(product), environ)
    assert loaded.warnings == ()
    assert loaded.sources == (product,)


def test_all_mistakes_of_a_file_are_listed_at_once(mistakes_in: Mistakes) -> None:
    """One run tells an operator everything that has to be changed, from top to bottom."""
    found = [mistake.removeprefix("hybridproxy.yaml:").split(": ")[:2] for mistake in mistakes_in(TWENTY)]
    assert found == [
        ["1:16", "listen.port"],
        ["1:23", "listen.prot"],
        ["1:48", "listen.proxy_protocol"],
        ["2:16", "admin.token"],
        ["2:31", "admin.host"],
        ["3:17", "geo.database"],
        ["3:43", "geo.overrides.10.0.0.1/8"],
        ["5:22", "regions.asia.countries[0]"],
        ["6:3", "regions.asia"],
        ["9:20", "backends.dash.provider"],
        ["9:39", "backends.dash.api_key"],
        ["10:43", "backends.together.api_key"],
        ["10:63", "backends.together.weight"],
        ["11:3", "backends.vpc.allow_cidrs"],
        ["14:17", "backends.vpc.endpoints[0]"],
        ["14:42", "backends.vpc.endpoints[1]"],
        ["15:15", "backends.vpc.tls.ca"],
        ["17:47", "models.qwen.served_by.together"],
        ["17:63", "models.qwen.served_by.nobody"],
        ["19:13", "routes.default.regions.default"],
        ["19:31", "routes.default.regions.europe"],
        ["19:56", "routes.default.regions.asia[1]"],
        ["19:74", "routes.default.prefer"],
        ["21:17", "tenants.shop.keys[0]"],
        ["21:38", "tenants.shop.route"],
        ["21:52", "tenants.shop.region"],
        ["22:118", "tenants.bank.models[0]"],
    ]


def test_no_secret_is_ever_shown(
    mistakes_in: Mistakes, config: Config, load_text: Load, product: Path, environ: dict[str, str]
) -> None:
    """Values from the environment are in no message, no repr and no traceback, wherever an operator put them by mistake."""
    canary = "canary-" + "x" * 100
    everywhere = config(
        listen='{host: "${C}", port: "${C}", workers: "${C}", trusted_proxies: ["${C}"], max_body: "${C}", keepalive: "${C}"}',
        admin='{token: "${C}", port: "${C}"}',
        geo='{database: "${C}", overrides: {10.0.0.0/8: "${C}"}}',
        redis='{url: "${C}", name: "${C} ", sentinel_password: "${C} ", tls: {ca: "${C}", name: "${C} "}}',
        breaker='{open_for: "${C}", open_max: "${C}"}',
        regions='{asia: {countries: ["${C}"], continents: ["${C}"]}}',
        backends='{a: {provider: "${C}", site: "${C}", api_key: "${C} ", base_url: "${C}", weight: "${C}", allow_cidrs: ["${C}"], region: "${C}"}, '
        'b: {provider: together, site: "${C}", api_key: ["${C}"], tls: {ca: "${C}", name: "${C}"}, trust: "${C}"}}',
        models='{m: {family: "${C}", served_by: {a: "${C} ", c: {name: "${C}", lacks: ["${C}"], context: "${C}", price: {input: "${C}", output: "${C}"}}}}}',
        routes='{default: {regions: {asia: ["${C}", ["${C}"]], default: "${C}"}, prefer: ["${C}"], patience: "${C}", on_cut: ["${C}"], hedge: "${C}"}}',
        tenants='{t: {keys: ["${C}"], route: "${C}", region: "${C}", backends: ["${C}"], models: ["${C}"], residency: "${C}"}}',
        include='["${C}", "${C}*"]',
    )
    for value in (canary, "canary-short", "canary-99"):
        found = mistakes_in(everywhere, {"C": value})
        assert len(found) > 25
        assert not any("canary" in line for line in found)
    with pytest.raises(ConfigError) as refused:
        load(product, {**environ, "TOGETHER_API_KEY": canary + " with a space"})
    assert canary not in "".join(traceback.format_exception(refused.value)) + repr(refused.value)
    assert "canary" not in repr(load(product, environ))
    for url in (
        "redis://u:${C}@h:0",
        "redis://${C}",
        "rediss+cluster://a,${C}:x",
        "redis+sentinel://a/${C} /0",
        "redis://h/${C}",
        "${C}://h",
    ):
        found = mistakes_in(config(redis=f'{{url: "{url}"}}'), {"C": canary})
        assert len(found) == 1
        assert "canary" not in found[0]
    shared = load_text(config(redis='{url: "redis+sentinel://u:${C}@h/m", sentinel_password: "${C}"}'), {"C": canary})
    assert shared.settings.redis is not None
    assert (shared.settings.redis.password, shared.settings.redis.sentinel_password) == (canary, canary)
    assert "canary" not in repr(shared)


def test_literal_secrets_are_not_repeated(mistakes_in: Mistakes, config: Config) -> None:
    """A secret that stands in the file, against the rule, does not get into the log as well."""
    lines = mistakes_in(
        config(
            admin="{token: canary-token}",
            redis="{url: 'redis://:canary@h'}",
            backends="{a: {provider: together, api_key: canary-key}, b: {provider: vllm, base_url: 'https://u:canary@h'}}",
            tenants="{t: {keys: [hp_canary]}}",
        )
    )
    assert len(lines) == 5
    assert not any("canary" in line for line in lines)


@pytest.mark.parametrize("text", ["", "[]", "just text", "7"])
def test_a_file_that_is_no_mapping_is_refused(text: str, mistakes_in: Mistakes) -> None:
    """An empty file and one of another kind are no configuration."""
    assert mistakes_in(text) == ["hybridproxy.yaml:1:1: expected a mapping, {} for an empty one"]


def test_mistakes_inside_and_around_a_value_are_both_shown(config: Config, mistakes_in: Mistakes) -> None:
    """Refusing a section for its name or for what it lacks does not hide what is wrong inside it."""
    text = config(tenants="{a b: {keys: [hp_x], rout: x}}", audit="{x: 1, anchor: 2}")
    assert [line.split(": ")[:2] for line in mistakes_in(text)] == [
        ["hybridproxy.yaml:5:11", 'tenants["a b"]'],
        ["hybridproxy.yaml:5:24", 'tenants["a b"].keys[0]'],
        ["hybridproxy.yaml:5:31", 'tenants["a b"].rout'],
        ["hybridproxy.yaml:6:1", "audit.path"],
        ["hybridproxy.yaml:6:9", "audit.x"],
        ["hybridproxy.yaml:6:23", "audit.anchor"],
    ]


def test_a_file_that_never_passes_the_schema_is_still_refused_with_its_mistakes(
    config: Config, mistakes_in: Mistakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of tries is bounded, and what was found until then is reported."""
    monkeypatch.setattr("hybridproxy.config.load._ROUNDS", 1)
    assert mistakes_in(config(listen="{port: x}")) == [
        "hybridproxy.yaml:6:16: listen.port: expected a port from 0 to 65535"
    ]


def test_an_empty_mapping_lacks_backends_and_models(mistakes_in: Mistakes) -> None:
    """The least a gateway needs."""
    assert mistakes_in("{}") == [
        "hybridproxy.yaml:1:1: backends: is required",
        "hybridproxy.yaml:1:1: models: is required",
    ]


def test_a_syntax_error_is_shown_alone(mistakes_in: Mistakes) -> None:
    """What cannot be read cannot be checked."""
    assert mistakes_in("listen: {port: 1\nbackends: {}\n") == [
        "hybridproxy.yaml:2:9: not YAML: expected ',' or '}', but got ':' while parsing a flow mapping"
    ]


def test_a_file_that_is_not_there_is_a_mistake_like_others(tmp_path: Path) -> None:
    """The caller needs to know one exception only."""
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
        load(tmp_path / "hybridproxy.yaml", {})


def test_a_name_like_pydantics_mark_for_keys_is_a_name(mistakes_in: Mistakes, config: Config) -> None:
    """`[key]` as an option's name is an unknown option at its own place."""
    (line,) = mistakes_in(config(listen='{"[key]": 1}'))
    assert line.startswith('hybridproxy.yaml:6:10: listen["[key]"]: unknown option')


def test_five_thousand_tenants_load_quickly(write: Write, config: Config, environ: dict[str, str]) -> None:
    """A fleet's tenants in included files load within the time a reload may take; 0.7 s on a quiet machine."""
    for part in range(10):
        lines = (
            f'  t{part}-{i}: {{keys: ["sha256:{part * 500 + i:064x}"], route: default, models: ["*"], '
            f"limits: {{rpm: 600, tpm: 400000, streams: 200}}, budget: {{usd_per_day: 50}}}}\n"
            for i in range(500)
        )
        write("tenants:\n" + "".join(lines), f"tenants.d/{part}.yaml")
    path = write(config(tenants="{}", include="[tenants.d/*.yaml]"))
    started = time.process_time()
    loaded = load(path, environ)
    took = time.process_time() - started
    assert len(loaded.snapshot.keys) == 5000
    assert took <= 15  # of a CPU, on a slow machine that counts coverage


NAMES = st.sampled_from(
    ["listen", "admin", "geo", "regions", "backends", "models", "routes", "tenants", "include", "keys", "a", "m", "default",
     "provider", "family", "served_by", "endpoints", "base_url", "redis", "breaker", "url", "region", "tls", "open_for", "trust", "allow_cidrs", "port", "token", "residency",
     "api_key", "prefer", "[key]", "asia", "x y", "", "audit", "database", "overrides", "timeouts", "limits"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers(-2, 99999) | st.floats() | st.text(max_size=8) | st.sampled_from(
    ["vllm", "together", "qwen3", "vpc", "https://10.0.0.1", "10.0.0.0/8", "a", "m", "default", "${A}", "${B}", "3s", "*", "SG",
     "sha256:" + "0" * 64, "order", "redis://h", "rediss+sentinel://a,b/m", "2%", "off", "resume", "error"]
)  # fmt: skip
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=30
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(NAMES, TREES, max_size=8))
def test_any_structure_is_a_configuration_or_a_list_of_mistakes(tmp_path: Path, tree: dict[str, Any]) -> None:
    """Nothing an operator writes makes the loader raise anything but its own error, and each mistake has a place."""
    path = tmp_path / "any.yaml"
    path.write_text(json.dumps(tree))
    try:
        load(path, {"A": "value-of-a"})
    except ConfigError as error:
        assert error.mistakes
        assert all(mistake.line >= 1 and mistake.column >= 1 for mistake in error.mistakes)


SMALL: dict[str, Any] = {
    "backends": {
        "a": {"provider": "vllm", "base_url": "http://127.0.0.1:1", "timeouts": {"connect": "3s"}, "region": "asia"},
        "v": {"provider": "vllm", "trust": "vpc", "endpoints": ["https://10.0.0.1"], "allow_cidrs": ["10.0.0.0/8"]},
    },
    "regions": {"asia": {"countries": ["SG"]}, "default": {}},
    "models": {
        "m": {
            "family": "qwen3",
            "served_by": {"a": "m", "v": {"name": "m", "lacks": ["tools"], "price": {"input": 1, "output": 2.5}}},
        }
    },
    "routes": {
        "default": {
            "regions": {"asia": ["a", ["v"]], "default": ["a"]},
            "on_cut": ["resume"],
            "hedge": "1%",
            "patience": "3s",
        }
    },
    "tenants": {"t": {"keys": ["sha256:" + "0" * 64]}, "b": {"keys": ["sha256:" + "1" * 64], "residency": "vpc"}},
    "listen": {"port": 1, "trusted_proxies": ["10.0.0.0/8"]},
    "admin": {"token": "${A}"},
    "redis": {
        "url": "rediss+sentinel://:${A}@a,b:1/m/2",
        "name": "x",
        "sentinel_password": "${A}",
        "tls": {"name": "h"},
    },
    "breaker": {"open_for": "1s", "open_max": "2s"},
}


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in a tree."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(deeper for step, value in entries for deeper in places(value, (*path, step)))][0 if path else 1 :]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(places(SMALL)), SCALARS | st.just([]) | st.just({}) | TREES), min_size=1, max_size=3
    )
)
def test_a_configuration_with_a_few_values_changed_is_loaded_or_refused(
    tmp_path: Path, changes: list[tuple[tuple[Any, ...], Any]]
) -> None:
    """Slips in a good file never crash the loader, and what it accepts gives sovereign tenants VPC backends only."""
    tree = json.loads(json.dumps(SMALL))
    for path, value in changes:
        holder = tree
        for step in path[:-1]:
            holder = holder[step] if isinstance(holder, dict) and step in holder else None
        if isinstance(holder, dict):
            holder[path[-1]] = copy.deepcopy(value)
    file = tmp_path / "slips.yaml"
    file.write_text(json.dumps(tree))
    try:
        loaded = load(file, {"A": "value-of-a"})
    except ConfigError as error:
        assert error.mistakes
    else:
        assert all(loaded.snapshot.backends[name].allow_cidrs for name in loaded.snapshot.sovereign)
