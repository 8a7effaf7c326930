"""What a process of one plane reads of its configuration, and what it has of it."""

import dataclasses
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hybridproxy.config.load import load
from hybridproxy.config.mistakes import ConfigError
from hybridproxy.config.planes import withheld
from hybridproxy.model.backend import Trust
from hybridproxy.model.plane import Plane
from hybridproxy.model.snapshot import Snapshot
from hybridproxy.residency.policy import policy_hash
from hybridproxy.residency.proof import prove

DIGEST, OTHER = "11" * 32, "22" * 32
CONFIG = f"""
admin: {{token: "${{ADMIN}}"}}
regions: {{asia: {{continents: [AS]}}, default: {{}}}}
backends:
  a: {{provider: together, api_key: "${{THIRD}}"}}
  b: {{provider: openai, api_keys: ["${{THIRD}}", "${{THIRD2}}"], base_url: "https://${{THIRD_HOST}}/v1"}}
  c: {{provider: openai, api_key: "${{THIRD}}", endpoints: ["${{THIRD_URL}}", "${{THIRD_URL2}}"]}}
  shared:
    {{provider: vllm, trust: vpc, api_key: "${{SHARED}}", base_url: "${{SHARED_URL}}", allow_cidrs: [10.0.3.0/24]}}
  inner:
    {{provider: vllm, trust: vpc, api_key: "${{INNER}}", base_url: "http://127.0.0.1:1", allow_cidrs: [127.0.0.0/8]}}
models: {{m: {{family: qwen3, served_by: {{a: m, b: m, c: m, shared: m, inner: m}}}}}}
routes: {{default: {{regions: {{asia: [[a, shared], b], default: [b, c]}}}}}}
tenants:
  shop: {{keys: ["sha256:{DIGEST}"]}}
  bank: {{keys: ["sha256:{OTHER}"], residency: vpc}}
"""
THIRD = {
    "THIRD": "t", "THIRD2": "u", "THIRD_HOST": "b.example", "THIRD_URL": "https://c.example",
    "THIRD_URL2": "https://d.example",
}  # fmt: skip
INSIDE = {"SHARED": "s", "SHARED_URL": "http://10.0.3.1:8000", "INNER": "i"}
SHARED = {"ADMIN": "admin"}


class Watched(Mapping[str, str]):
    """An environment that knows what was read of it."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values_ = values
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return self.values_[name]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("nobody lists the environment")

    def __len__(self) -> int:
        return len(self.values_)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Third parties, a VPC backend that an ordinary route lists too, and one that none lists."""
    path = tmp_path / "hybridproxy.yaml"
    path.write_text(CONFIG.replace("allow_cidrs: [10.0.3.0/24]", "allow_cidrs: [10.0.3.0/24], insecure: true"))
    return path


def secrets(snapshot: Snapshot) -> set[str]:
    """Every key that a snapshot holds."""
    credentials = [b.credentials for b in snapshot.backends.values()]
    credentials += [b.credentials for b in snapshot.sovereign.values()]
    return {credential.secret for several in credentials for credential in several}


def test_a_sovereign_process_has_nothing_of_third_parties(file: Path) -> None:
    """Their variables are neither there nor read, and what routing works with does not know them."""
    environ = Watched(SHARED | INSIDE)
    snapshot = load(file, environ, Plane.SOVEREIGN).snapshot
    assert environ.read == set(SHARED | INSIDE)
    assert set(snapshot.backends) == set(snapshot.sovereign) == {"shared", "inner"}
    assert all(backend.trust is Trust.VPC for backend in snapshot.backends.values())
    assert secrets(snapshot) == {"s", "i"}
    assert snapshot.routes["default"].regions == {"asia": (("shared",),), "default": ()}
    assert snapshot.plane is Plane.SOVEREIGN
    assert set(snapshot.tenants) == {"shop", "bank"}  # to tell the one from a stranger
    assert "withheld" not in repr(snapshot)


def test_what_is_set_is_not_read_either(file: Path) -> None:
    """A secret that happens to be there stays where it is."""
    environ = Watched(SHARED | INSIDE | THIRD)
    load(file, environ, Plane.SOVEREIGN)
    assert environ.read.isdisjoint(THIRD)


def test_a_general_process_has_no_key_that_only_sovereign_calls_need(file: Path) -> None:
    """A VPC backend that an ordinary route lists is used by ordinary calls, so its key is needed."""
    environ = Watched({**SHARED, **THIRD, "SHARED": "s", "SHARED_URL": INSIDE["SHARED_URL"]})
    snapshot = load(file, environ, Plane.GENERAL).snapshot
    assert "INNER" not in environ.read
    assert set(snapshot.backends) == {"a", "b", "c", "shared"}
    assert snapshot.sovereign == {}
    assert secrets(snapshot) == {"t", "u", "s"}
    assert [str(e.host) for e in snapshot.backends["c"].endpoints] == ["c.example", "d.example"]
    assert snapshot.plane is Plane.GENERAL


def test_without_a_plane_everything_is_needed(file: Path) -> None:
    """As ever."""
    snapshot = load(file, SHARED | INSIDE | THIRD).snapshot
    assert (len(snapshot.backends), len(snapshot.sovereign), snapshot.plane) == (5, 2, Plane.ALL)
    with pytest.raises(ConfigError) as error:
        load(file, SHARED | INSIDE)
    assert len(error.value.mistakes) == 7


@pytest.mark.parametrize("plane", [Plane.GENERAL, Plane.SOVEREIGN])
def test_all_of_the_file_is_checked_on_every_plane(file: Path, plane: Plane) -> None:
    """A mistake in the other plane's part is one all the same, and so is a key that stands in the file."""
    text = file.read_text()
    for before, after, words in (
        ('api_key: "${THIRD}"}', "api_key: sk-1}", "a secret may not stand in the file"),
        ('api_key: "${INNER}"', "api_key: sk-2", "a secret may not stand in the file"),
        ("served_by: {a: m", "served_by: {z: m", "there is no backend z"),
        ("http://127.0.0.1:1", "https://8.8.8.8", "not within the backend's allow_cidrs"),
    ):
        file.write_text(text.replace(before, after))
        with pytest.raises(ConfigError) as error:
            load(file, SHARED | INSIDE | THIRD, plane)
        assert any(words in str(mistake) for mistake in error.value.mistakes), words


def test_what_decides_about_planes_is_written_out(file: Path) -> None:
    """A `${NAME}` in `trust`, or in a route, would be read after it was decided which keys to read."""
    text, environ = file.read_text(), {**SHARED, **INSIDE, **THIRD, "V": "vpc", "N": "inner"}
    file.write_text(text.replace('trust: vpc, api_key: "${INNER}"', 'trust: "${V}", api_key: "${INNER}"'))
    with pytest.raises(ConfigError) as error:
        load(file, environ, Plane.SOVEREIGN)
    assert [mistake.path for mistake in error.value.mistakes] == ["backends.inner.trust"]
    assert load(file, environ).snapshot.sovereign.keys() == {"shared", "inner"}
    file.write_text(text.replace("default: [b, c]", 'default: [b, "${N}"]'))
    with pytest.raises(ConfigError) as error:
        load(file, environ, Plane.GENERAL)
    assert [mistake.path for mistake in error.value.mistakes] == ["backends.inner.trust"]


def test_files_of_the_other_plane_need_not_be_there(file: Path) -> None:
    """A general process has no client certificate of the VPC, a sovereign one no authority of a third party."""
    tls = "tls: {ca: no.pem, cert: no.crt, key: no.key}"
    text = file.read_text()
    file.write_text(text.replace('api_key: "${INNER}"', f'{tls}, api_key: "${{INNER}}"'))
    load(file, SHARED | INSIDE | THIRD, Plane.GENERAL)
    with pytest.raises(ConfigError):
        load(file, SHARED | INSIDE, Plane.SOVEREIGN)
    file.write_text(text.replace("provider: together,", f"provider: together, {tls},"))
    load(file, SHARED | INSIDE, Plane.SOVEREIGN)
    with pytest.raises(ConfigError):
        load(file, SHARED | INSIDE | THIRD, Plane.GENERAL)


def test_a_sovereign_process_without_a_vpc_backend_is_warned_of(file: Path) -> None:
    """It could serve nothing."""
    text = file.read_text().replace("trust: vpc, ", "").split("  bank:")[0]
    file.write_text(text)
    loaded = load(file, SHARED, Plane.SOVEREIGN)
    assert any("nothing to serve" in warning for warning in loaded.warnings)
    assert not any("nothing to serve" in w for w in load(file, SHARED | INSIDE | THIRD, Plane.GENERAL).warnings)


@pytest.mark.parametrize("data", [None, [], 5, {}, {"backends": None}, {"backends": []}, {"backends": {"a": 5}}])
def test_a_file_that_is_wrong_is_no_reason_to_fail(data: object) -> None:
    """What is wrong with it is told later."""
    assert withheld(data, Plane.ALL) == frozenset()
    assert withheld(data, Plane.GENERAL) == frozenset()
    assert withheld(data, Plane.SOVEREIGN) <= {"a"}
    inside = {"a": {"trust": "vpc"}, "b": {}}
    odd = {"backends": inside, "routes": {"r": {"regions": 5, "timeouts": {"connect": "a"}}, "s": [None]}}
    assert withheld(odd, Plane.GENERAL) == {"a"}


def test_both_planes_are_parts_of_one_policy(file: Path) -> None:
    """Each proves without a violation, has the ways that the whole gives its calls, and the whole's hash."""
    environ = SHARED | INSIDE | THIRD
    whole = load(file, environ).snapshot
    parts = {plane: load(file, environ, plane).snapshot for plane in (Plane.GENERAL, Plane.SOVEREIGN)}
    ways = {(way.demand, way.backend) for way in prove(whole, random.Random(0)).ways}
    general = prove(
        dataclasses.replace(parts[Plane.GENERAL], tenants={"shop": whole.tenants["shop"]}), random.Random(0)
    )
    sovereign = prove(
        dataclasses.replace(parts[Plane.SOVEREIGN], tenants={"bank": whole.tenants["bank"]}), random.Random(0)
    )
    for proof, demand in ((general, "none"), (sovereign, "vpc")):
        assert proof.violations == ()
        assert {(way.demand, way.backend) for way in proof.ways} == {way for way in ways if way[0] == demand}
    assert prove(parts[Plane.SOVEREIGN], random.Random(0)).violations == ()
    assert policy_hash(parts[Plane.GENERAL]) == policy_hash(whole)
    text = file.read_text()  # addresses are part of the policy: those that are not read would make another one
    for name, value in THIRD.items():
        text = text.replace(f"https://${{{name}}}", f"https://{value}") if name == "THIRD_HOST" else text
        text = text.replace(f"${{{name}}}", value) if "URL" in name else text
    file.write_text(text)
    assert policy_hash(load(file, SHARED | INSIDE, Plane.SOVEREIGN).snapshot) == policy_hash(
        load(file, environ).snapshot
    )
