"""The hash of a policy: the same for the same policy, another for another."""

import dataclasses
from typing import Any

from hybridproxy.model.backend import Tls
from hybridproxy.model.plane import Plane
from hybridproxy.model.residency import Residency
from hybridproxy.model.snapshot import Snapshot, Tenant
from hybridproxy.residency.policy import policy_hash
from tests.support.make import backend, model, snapshot, sovereign


def made(**changes: Any) -> Snapshot:
    """A small configuration with one tenant, and something changed in it."""
    config = snapshot(
        backends=[backend("a"), backend("b")], inside=[sovereign("vpc")], models=[model("qwen", {"a": "x"})],
        regions={"asia": [["a"], ["b"]]},
    )  # fmt: skip
    return dataclasses.replace(config, **{"tenants": {"shop": Tenant("shop", "default")}, **changes})


def test_it_is_that_of_the_policy_whatever_order_it_is_written_in() -> None:
    """And whatever was worked out from it since."""
    one, other = made(), made(backends={"b": backend("b"), "a": backend("a")})
    other.memo["worked out"] = 1
    assert policy_hash(one) == policy_hash(other)
    assert len(policy_hash(one)) == 64


def test_whatever_decides_where_calls_go_changes_it() -> None:
    """A tenant's demand, a backend's network, the order of a route."""
    hashes = {
        policy_hash(made()),
        policy_hash(made(tenants={"shop": Tenant("shop", "default", Residency(compute=frozenset({"US", "CA"})))})),
        policy_hash(made(sovereign={"vpc": dataclasses.replace(sovereign("vpc"), allow_cidrs=("10.0.0.0/8",))})),
        policy_hash(made(backends={"a": backend("a"), "b": dataclasses.replace(backend("b"), pin=("x",))})),
        policy_hash(snapshot(backends=[backend("a"), backend("b")], regions={"asia": [["b"], ["a"]]})),
    }
    assert len(hashes) == 5


def test_keys_are_no_part_of_it() -> None:
    """It goes into records and proofs that many read; and a new key is no new policy."""
    keys = made(keys={b"x": Tenant("shop", "default")}, backends={"a": backend("a", keys=2), "b": backend("b")})
    assert policy_hash(keys) == policy_hash(made())


def test_a_process_of_one_plane_has_the_hash_of_the_whole() -> None:
    """Its records are compared with the proof, which is of all that is configured."""
    whole = snapshot(backends=[backend("a"), backend("b")])
    part = dataclasses.replace(whole, backends={}, plane=Plane.SOVEREIGN, policy=policy_hash(whole))
    assert policy_hash(part) == policy_hash(whole)
    assert policy_hash(dataclasses.replace(whole, plane=Plane.GENERAL)) == policy_hash(whole)
    assert policy_hash(dataclasses.replace(part, policy=None)) != policy_hash(whole)


def test_neither_a_new_key_nor_another_folder_is_another_policy() -> None:
    """The salt of a tenant's caches comes from its key, and a path depends on where a process was started."""

    def of(salt: str, folder: str, ca: str = "ca.pem") -> str:
        tls = Tls(ca=f"{folder}{ca}", name="vllm", cert=f"{folder}me.pem", key=f"{folder}key.pem")
        tenant = Tenant("shop", "default", salt=salt)
        return policy_hash(made(tenants={"shop": tenant}, backends={"a": dataclasses.replace(backend("a"), tls=tls)}))

    assert of("one", "/etc/hybridproxy/") == of("other", "")
    assert of("one", "", "another.pem") != of("one", "")
