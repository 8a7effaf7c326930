"""Configurations made by chance that promise no more than they keep: every one has to be accepted.

    text = written(sound(random.Random(7)))

They have backends of all providers and sites, VPC clusters, routes, and tenants with all sorts of residency terms. What
a site promises is written down here once more, so that a row of the product's that promises too much shows up.
"""

import hashlib
import io
from collections.abc import Sequence
from random import Random
from typing import Any, Final

from ruamel.yaml import YAML

Json = dict[str, Any]

COUNTRIES: Final = ("US", "CA", "DE", "FR", "SG", "JP", "NO", "CH", "BR", "ZA")
UNION: Final = frozenset(
    {
        "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU",
        "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
    }
)  # fmt: skip
REGIONS: Final[Json] = {
    "china": {"countries": ["CN"]},
    "nordic": {"countries": ["NO", "SE", "DK", "FI", "IS"]},
    "asia": {"continents": ["AS"], "countries": ["AU", "NZ"]},
    "america": {"continents": ["NA", "SA"]},
    "europe": {"continents": ["EU"]},
}
SITES: Final[Sequence[Json]] = (
    {"provider": "dashscope", "site": "singapore"},
    {"provider": "dashscope", "site": "beijing"},
    {"provider": "dashscope", "site": "hongkong"},
    {"provider": "dashscope", "site": "virginia", "base_url": "https://ws1.us.example/compatible-mode/v1"},
    {"provider": "dashscope", "site": "frankfurt", "base_url": "https://ws1.eu.example/compatible-mode/v1"},
    {"provider": "dashscope", "site": "tokyo", "base_url": "https://ws1.jp.example/compatible-mode/v1"},
    {"provider": "dashscope-native", "site": "singapore"},
    {"provider": "dashscope-native", "site": "beijing"},
    {"provider": "dashscope-native", "site": "hongkong"},
    {"provider": "dashscope-native", "site": "virginia", "base_url": "https://ws1.us.example/api/v1"},
    {"provider": "dashscope-native", "site": "frankfurt", "base_url": "https://ws1.eu.example/api/v1"},
    {"provider": "dashscope-native", "site": "tokyo", "base_url": "https://ws1.jp.example/api/v1"},
    {"provider": "together"},
    {"provider": "openrouter"},
    {"provider": "openrouter", "site": "us"},
    {"provider": "openrouter", "site": "eu"},
    {"provider": "fireworks"},
    {"provider": "deepinfra"},
    {"provider": "groq"},
    {"provider": "cerebras"},
    {"provider": "novita"},
    {"provider": "bedrock", "site": "us-east-1"},
    {"provider": "bedrock", "site": "eu-central-1"},
    {"provider": "anthropic"},
    {"provider": "deepseek"},
    {"provider": "deepseek", "site": "beta"},
    {"provider": "gemini"},
    {"provider": "tokenmix"},
    {"provider": "portkey"},
    {"provider": "portkey", "site": "airs"},
    {"provider": "litellm", "base_url": "https://litellm.example:4000"},
    {"provider": "llama-cpp", "base_url": "https://gpu-5.example:8080"},
    {"provider": "openai", "base_url": "https://llm.example/v1"},
    {"provider": "vllm", "endpoints": ["https://gpu-1.example:8000", "https://gpu-2.example:8000"]},
    {"provider": "sglang", "base_url": "https://gpu-3.example:30000"},
    {"provider": "tensorrt-llm", "base_url": "https://gpu-4.example:8000"},
)
KNOWN: Final[dict[tuple[str, str], Json]] = {
    ("dashscope", "singapore"): {"storage": {"SG"}},
    ("dashscope", "beijing"): {"compute": {"CN"}, "storage": {"CN"}},
    ("dashscope", "virginia"): {"storage": {"US"}},
    ("dashscope", "frankfurt"): {"storage": {"DE"}},
    ("dashscope", "tokyo"): {"storage": {"JP"}},
    ("dashscope-native", "singapore"): {"storage": {"SG"}},
    ("dashscope-native", "beijing"): {"compute": {"CN"}, "storage": {"CN"}},
    ("dashscope-native", "virginia"): {"storage": {"US"}},
    ("dashscope-native", "frankfurt"): {"storage": {"DE"}},
    ("dashscope-native", "tokyo"): {"storage": {"JP"}},
    ("openrouter", "us"): {"compute": {"US"}, "storage": {"US"}},
    ("openrouter", "eu"): {"compute": UNION, "storage": UNION},
    ("groq", ""): {"retention": 30},
}
"""What is known of sites; of all others nothing is."""

ENVIRON: Final = {"ADMIN_TOKEN": "admin-token", "KEY": "upstream-key", "KEY_2": "upstream-key-2"}


def sound(chance: Random, *, third: int = 4, engines: int = 2, models: int = 4, tenants: int = 8) -> Json:
    """Return a configuration with at most so many of each."""
    made: Json = {"admin": {"token": "${ADMIN_TOKEN}"}}
    chosen = [name for name in REGIONS if chance.random() < 0.6]
    made["regions"] = {**{name: REGIONS[name] for name in chosen}, "default": {}}
    inside = {f"vpc-{n}": _engine(chance, n) for n in range(chance.randint(1, engines))}
    outside = {f"third-{n}": _third(chance) for n in range(chance.randint(1, third))}
    made["backends"] = dict(_shuffled(chance, list((inside | outside).items())))
    made["models"] = _models(chance, list(made["backends"]), chance.randint(1, models))
    made["routes"] = {name: _route(chance, list(made["backends"]), chosen) for name in ("default", "other")}
    made["tenants"] = {f"tenant-{n}": _tenant(chance, made, n) for n in range(chance.randint(1, tenants))}
    return made


def written(config: Json, *, flow: bool = False) -> str:
    """Return a configuration as YAML."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = flow
    out = io.StringIO()
    yaml.dump(config, out)
    return out.getvalue()


def promised(backend: Json) -> Json:
    """Return what a backend promises: its site's word, and the operator's contract where it says more."""
    found: Json = dict(KNOWN.get((backend["provider"], backend.get("site", "")), {}))
    if backend.get("pin"):
        found["retention"] = 0
    own = backend.get("promises", {})
    found |= {what: _meant(own[what]) for what in ("compute", "storage") if what in own}
    if "retention" in own:
        found["retention"] = 0 if own["retention"] == "none" else int(own["retention"][:-1])
    return found


def digest(name: str) -> str:
    """Return the digest of a tenant's key."""
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


def _meant(places: list[str]) -> set[str]:
    return set().union(*(UNION if place == "EU" else {place} for place in places))


def _shuffled(chance: Random, items: list[Any]) -> list[Any]:
    return chance.sample(items, len(items))


def _engine(chance: Random, number: int) -> Json:
    """Return a cluster in the VPC: addresses of one network, or of two, of either family."""
    network, hosts = chance.choice(
        [
            (f"10.{number}.3.0/24", [f"10.{number}.3.{n}" for n in range(11, 20)]),
            ("172.16.0.0/12", [f"172.2{number}.0.{n}" for n in range(11, 20)]),
            ("192.168.7.64/26", [f"192.168.7.{n}" for n in range(65, 75)]),
            ("fd00:20::/64", [f"[fd00:20::{number}{n}]" for n in range(11, 20)]),
            ("127.0.0.0/8", [f"127.0.{number}.{n}" for n in range(11, 20)]),
        ]
    )
    urls = [f"https://{host}:{chance.choice([443, 8000])}" for host in chance.sample(hosts, chance.randint(1, 4))]
    made: Json = {
        "provider": chance.choice(["vllm", "sglang", "tensorrt-llm", "llama-cpp", "openai"]),
        "trust": "vpc",
        "endpoints": urls,
    }
    made["allow_cidrs"] = [network, *(["10.99.0.0/16"] if chance.random() < 0.3 else [])]
    if made["provider"] == "openai":
        made["api_key"] = "${KEY}"
    if chance.random() < 0.3:
        made |= {"endpoints": [url.replace("https", "http") for url in urls], "insecure": True}
    if chance.random() < 0.5:
        made["promises"] = _promises(chance, {})
    return made


def _third(chance: Random) -> Json:
    made = dict(chance.choice(SITES))
    made["api_keys" if chance.random() < 0.2 else "api_key"] = "${KEY}"
    if "api_keys" in made:
        made["api_keys"] = ["${KEY}", "${KEY_2}"]
    if made["provider"] == "openrouter" and chance.random() < 0.5:
        made["pin"] = ["deepinfra"]
    if chance.random() < 0.3:
        made["promises"] = _promises(chance, KNOWN.get((made["provider"], made.get("site", "")), {}))
    return made


def _promises(chance: Random, known: Json) -> Json:
    """Return what a contract says; where the site's word is known the contract does not speak against it."""
    made: Json = {"evidence": "contract of 2026-03-01"}
    for what in ("compute", "storage"):
        if chance.random() < 0.6:
            others = chance.sample([*COUNTRIES, "EU"], chance.randint(1, 2))
            made[what] = sorted({*known.get(what, ()), *others})
    if chance.random() < 0.5:
        made["retention"] = chance.choice(["none", "7d", "30d"])
    return made


def _models(chance: Random, backends: list[str], count: int) -> Json:
    made: Json = {}
    for n in range(count):
        star = chance.random() < 0.25
        served = chance.sample(backends, chance.randint(1, len(backends)))
        how: list[Any] = [f"own-{n}", {"name": f"own-{n}", "lacks": ["vision"]}, {"name": f"own-{n}", "context": 9000}]
        made[f"model-{n}{'-*' if star else ''}"] = {
            "family": chance.choice(["qwen3", "deepseek", "other"]),
            "served_by": {name: "own-*" if star else chance.choice(how) for name in served},
        }
    return made


def _route(chance: Random, backends: list[str], regions: list[str]) -> Json:
    def groups() -> list[Any]:
        names = chance.sample(backends, chance.randint(1, len(backends)))
        cut = chance.randint(0, len(names) - 1)
        grouped = [names[cut:]] if len(names) - cut > 1 else names[cut:]
        return [*names[:cut], *grouped]

    made: Json = {
        "regions": {name: groups() for name in (*regions, "default") if name == "default" or chance.random() < 0.7}
    }
    if chance.random() < 0.5:
        made |= {"hedge": "2%", "patience": "2s", "on_cut": ["resume", "replay"]}
    return made


def _tenant(chance: Random, made: Json, number: int) -> Json:
    """Return a tenant whose demand one of the backends within its reach meets."""
    tenant: Json = {"keys": [digest(f"{number}")]}
    vpc = [name for name, backend in made["backends"].items() if backend.get("trust") == "vpc"]
    served = {name for model in made["models"].values() for name in model["served_by"]}
    if chance.random() < 0.4 and served.intersection(vpc):
        terms = _demand(chance, [promised(made["backends"][name]) for name in vpc])
        tenant["residency"] = {"vpc": True, **terms} if terms else "vpc"
        return tenant
    route = chance.choice(list(made["routes"]))
    tenant["route"] = route
    listed = made["routes"][route]["regions"].values()
    reach = sorted(
        {name for groups in listed for group in groups for name in ([group] if isinstance(group, str) else group)}
    )
    if chance.random() < 0.3:
        tenant["backends"] = reach = chance.sample(reach, chance.randint(1, len(reach)))
    if chance.random() < 0.7 and (terms := _demand(chance, [promised(made["backends"][name]) for name in reach])):
        tenant["residency"] = terms
    if chance.random() < 0.2:
        tenant["region"] = chance.choice(list(made["regions"]))
    return tenant


def _demand(chance: Random, promises: list[Json]) -> Json:
    """Return terms that one of these promises meets, and with some luck leave others out."""
    promise = chance.choice(promises)
    terms: Json = {}
    for what in ("compute", "storage"):
        if what in promise and chance.random() < 0.7:
            more = chance.sample(COUNTRIES, chance.randint(0, 2))
            terms[what] = sorted({*promise[what], *more})
    if "retention" in promise and chance.random() < 0.7:
        days = promise["retention"] + chance.choice([0, 23])
        terms["retention"] = f"{days}d" if days else "none"
    return terms
