"""V1: configurations that keep what they promise are accepted and proved, those that leak are refused.

Sound ones are made by chance, leaky ones by hand (`tests.support.leaks`) and by changing sound ones where it hurts.
"""

import copy
import random
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridproxy.config.load import load
from hybridproxy.config.mistakes import ConfigError
from hybridproxy.providers import PROVIDERS
from hybridproxy.residency.proof import Proof, prove
from tests.support import leaks, sound
from tests.support.leaks import LEAKS, POINTED_OUT, SOUND, Leak
from tests.support.sound import written

SEEDS = 200
PORTIONS = 8
"""Parts in which the sound ones are gone through, so that several processes share them."""

Json = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the hand-written configurations include."""
    (tmp_path / "tenants.d").mkdir()
    (tmp_path / "tenants.d" / "ministry.yaml").write_text(leaks.INCLUDED)
    return tmp_path


def judged(text: str, folder: Path, environ: dict[str, str]) -> Proof:
    """Load a configuration and prove it, with every combination of failures.

    Raises:
        ConfigError: it is refused.

    """
    file = folder / "hybridproxy.yaml"
    file.write_text(text)
    return prove(load(file, environ).snapshot, random.Random(0))


@pytest.mark.no_cover  # it computes for long what other tests cover, and being watched doubles that
@pytest.mark.parametrize("portion", range(PORTIONS))
def test_sound_configurations_are_accepted(portion: int, tmp_path: Path) -> None:
    """200 seeds: loaded from YAML in two styles, no violation, and whoever has a demand has some way out."""
    cases = ways = 0
    for seed in range(portion, SEEDS, PORTIONS):
        config = sound.sound(random.Random(seed))
        found = judged(written(config, flow=seed % 3 == 0), tmp_path, sound.ENVIRON)
        assert found.violations == (), f"seed {seed}"
        assert not found.sampled
        cases, ways = cases + found.cases, ways + len(found.ways)
    print(f"{cases} cases, {ways} ways out")  # noqa: T201 - the figures
    assert ways > SEEDS // PORTIONS


def test_the_seeds_have_everything() -> None:
    """All providers and sites, clusters, all kinds of terms, sovereign tenants and others: or they would say little."""
    made = [sound.sound(random.Random(seed)) for seed in range(SEEDS)]
    backends = [backend for config in made for backend in config["backends"].values()]
    sites = {(one["provider"], one.get("site", "")) for one in backends}
    assert sites == {(one["provider"], one.get("site", "")) for one in sound.SITES}
    named = {(name, site) for name, provider in PROVIDERS.items() for site in provider.sites or ("",)}
    assert {one for one in sites ^ named if one[0] != "bedrock"} == set()  # whose sites are all alike
    assert max(len(one.get("endpoints", ())) for one in backends if one.get("trust") == "vpc") == 4
    terms = [tenant["residency"] for config in made for tenant in config["tenants"].values() if "residency" in tenant]
    kinds = {frozenset(demand) if isinstance(demand, dict) else demand for demand in terms}
    assert {"vpc", frozenset({"vpc", "compute"}), frozenset({"compute", "storage", "retention"})} <= kinds
    assert len(kinds) >= 10


def test_the_hand_written_one_is_sound_before_it_is_changed(folder: Path) -> None:
    """So that what is refused below is refused for the change."""
    found = judged(SOUND, folder, dict(leaks.ENVIRON))
    assert (found.violations, found.tenants) == ((), 5)


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.why)
def test_a_leak_is_refused(leak: Leak, folder: Path) -> None:
    """For its own reason, not for a slip of the test's."""
    for name, text in leak.files.items():
        (folder / name).write_text(text)
    with pytest.raises(ConfigError) as refused:
        judged(leak.text(), folder, dict(leaks.ENVIRON))
    assert re.search(leak.says, str(refused.value)), str(refused.value).replace(str(folder), "")


def test_there_are_enough_of_them() -> None:
    """Sixty at least, no two alike."""
    assert len({leak.why for leak in LEAKS}) == len(LEAKS)
    assert len({(leak.text(), *leak.files.values()) for leak in LEAKS}) == len(LEAKS)
    assert len(LEAKS) >= 60


@pytest.mark.parametrize("leak", POINTED_OUT, ids=lambda leak: leak.why)
def test_what_may_be_meant_is_pointed_out(leak: Leak, folder: Path) -> None:
    """Nobody but the operator knows whose machine a public address is."""
    file = folder / "hybridproxy.yaml"
    file.write_text(leak.text())
    warnings = load(file, dict(leaks.ENVIRON)).warnings
    assert any(leak.says in warning for warning in warnings)


# ---- changes of sound ones, by chance ----

Change = Callable[[Json, random.Random], bool]
"""Makes a configuration leak, in place; returns whether there was anything to change."""


def _of_the_vpc(config: Json) -> list[Json]:
    return [one for one in config["backends"].values() if one.get("trust") == "vpc"]


def _of_others(config: Json) -> list[Json]:
    backends = config["backends"].values()
    return [one for one in backends if "trust" not in one and not PROVIDERS[one["provider"]].self_hosted]


def _sovereign(config: Json) -> list[Json]:
    return [one for one in config["tenants"].values() if "vpc" in str(one.get("residency"))]


def _demanding(config: Json) -> list[Json]:
    return [one for one in config["tenants"].values() if isinstance(one.get("residency"), dict)]


def stranger(config: Json, chance: random.Random) -> bool:
    """One address of the VPC is somebody else's."""
    urls = chance.choice(_of_the_vpc(config))["endpoints"]
    host = f"{chance.choice([1, 8, 9, 34, 52, 104, 203])}.{chance.randrange(256)}.{chance.randrange(256)}.9"
    urls[chance.randrange(len(urls))] = chance.choice([f"https://{host}", f"https://[::ffff:{host}]:8000"])
    return True


def misspelt(config: Json, chance: random.Random) -> bool:
    """One address of the VPC is written so that somebody reads it otherwise."""
    urls = chance.choice(_of_the_vpc(config))["endpoints"]
    at = chance.randrange(len(urls))
    host = re.sub(r"https?://(.*?)(:\d+)?$", r"\1", urls[at])
    odd = ["{}.example", "{}.", "x@{}", "{}@x.example", "0{}", "{}#@x", "{}%2e", "x{}", "localhost"]
    urls[at] = f"https://{chance.choice(odd).format(host)}:8000"
    return True


def unbounded(config: Json, chance: random.Random) -> bool:
    """The networks of the VPC are gone, or take in the world."""
    wide = ["0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/2", "2000::/3", "::ffff:0:0/96", "64:ff9b::/96", "2002::/16"]
    chance.choice(_of_the_vpc(config))["allow_cidrs"] = chance.choice([[], None, *([network] for network in wide)])
    return True


def adopted(config: Json, chance: random.Random) -> bool:
    """A third party is called one's own, with all that goes with it."""
    others = _of_others(config)
    if others:
        own = {"trust": "vpc", "endpoints": ["https://10.0.0.1"], "allow_cidrs": ["10.0.0.0/8"]}
        one = chance.choice(others)
        one.pop("base_url", None)
        one.update(own)
    return bool(others)


def disowned(config: Json, chance: random.Random) -> bool:
    """Nothing is one's own any more, and somebody counts on it."""
    for one in _of_the_vpc(config):
        del one["trust"]
    return bool(_sovereign(config))


def led_out(config: Json, chance: random.Random) -> bool:
    """A sovereign tenant gets a way of its own."""
    tenants = _sovereign(config)
    if tenants:
        way: Json = chance.choice([{"route": "default"}, {"backends": [next(iter(config["backends"]))]}])
        chance.choice(tenants).update(way)
    return bool(tenants)


def forgotten(config: Json, chance: random.Random) -> bool:
    """A tenant's terms say nothing, or are no terms."""
    tenants = [one for one in config["tenants"].values() if "residency" in one]
    if tenants:
        words: list[Any] = [None, {}, "", "none", "VPC", "vpc ", [], ["vpc"], True]
        terms = [{"vpc": False}, {"compute": None}, {"vpc": "true"}, {"vpc": True, "storage": None}]
        chance.choice(tenants)["residency"] = chance.choice([*words, *terms])
    return bool(tenants)


def beyond(config: Json, chance: random.Random) -> bool:
    """A tenant demands a place in which nobody is."""
    tenants = _demanding(config)
    if tenants:
        what = chance.choice(["compute", "storage"])
        one = chance.choice(tenants)
        one["residency"] = {**one["residency"], what: ["AQ"]}
        if what == "storage":  # who keeps nothing keeps it nowhere
            one["residency"]["compute"] = ["AQ"]
    return bool(tenants)


def unproved(config: Json, chance: random.Random) -> bool:
    """A promise loses its evidence."""
    promises = [one["promises"] for one in config["backends"].values() if "promises" in one]
    if promises:
        one = chance.choice(promises)
        one["evidence"] = chance.choice(["", " ", "\t", None, 7])
    return bool(promises)


def shared(config: Json, chance: random.Random) -> bool:
    """Two tenants have one key."""
    tenants = list(config["tenants"].values())
    if len(tenants) > 1:
        one, other = chance.sample(tenants, 2)
        (digest,) = other["keys"]
        one["keys"] = [chance.choice([digest, "sha256:" + digest[7:].upper()])]
    return len(tenants) > 1


CHANGES: list[Change] = [
    stranger, misspelt, unbounded, adopted, disowned, led_out, forgotten, beyond, unproved, shared,
]  # fmt: skip


@pytest.mark.no_cover
@settings(max_examples=60)
@given(st.integers(0, 10_000), st.sampled_from(CHANGES), st.integers(0, 10_000))
def test_a_sound_configuration_that_is_made_to_leak_is_refused(seed: int, change: Change, luck: int) -> None:
    """Whatever else stands in it; and before the change it was accepted."""
    config = sound.sound(random.Random(seed))
    leaky = copy.deepcopy(config)
    if not change(leaky, random.Random(luck)):
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "hybridproxy.yaml"
        file.write_text(written(config))
        load(file, sound.ENVIRON)
        with pytest.raises(ConfigError):
            judged(written(leaky), Path(folder), sound.ENVIRON)
