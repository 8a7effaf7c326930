"""Tests of the keys that replicas recognise."""

import pytest

from hybridproxy.model.health import backend_key, credential_key, region_key
from hybridproxy.routing.plan import plan
from hybridproxy.routing.targets import is_known, keys_of, other_keys, served_as, target_keys
from tests.support.make import backend, call, caller, model, snapshot


def test_every_target_of_a_plan_is_among_the_keys() -> None:
    """Whatever a call may be sent to, another replica's word about it is understood."""
    made = snapshot(
        backends=[backend("a", hosts=2, keys=2), backend("b")],
        models=[model("qwen", {"a": "q", "b": "Q"}), model("other", {"a": "o"})],
        regions={"asia": [["a"], ["b"]]},
    )
    keys = target_keys(made)
    assert len(keys) == len(set(keys)) == 2 * 2 * 2 + 1
    chosen = plan(call(), caller(), made, {}, 0.0, _First())
    assert {target.health_key for target in getattr(chosen, "targets", ())} <= set(keys)
    assert target_keys(made) is keys


def test_a_model_that_two_names_lead_to_is_one_target() -> None:
    """Its health does not depend on what the caller called it."""
    made = snapshot(
        backends=[backend("a")], models=[model("x", {"a": "q"}), model("y", {"a": "q"})], regions={"asia": [["a"]]}
    )
    assert list(keys_of(made, made.backends["a"])) == [("a", "10.0.3.1:8000", "q", "key1")]


def test_what_else_can_be_out_of_service_has_a_key() -> None:
    """Regions that hold a backend, backends, and their credentials."""
    made = snapshot(
        backends=[backend("a", keys=2, region="asia"), backend("b")], models=[model("q", {"a": "q"})], regions={}
    )
    assert other_keys(made) == (
        region_key("asia"),
        backend_key("a"),
        backend_key("b"),
        credential_key("a", "key1"),
        credential_key("a", "key2"),
        credential_key("b", "key1"),
    )


class _First:
    def random(self) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("key", "known"),
    [
        (("a", "10.0.3.1:8000", "q", "key1"), True),
        (("a", "10.0.3.1:8000", "free-7b", "key1"), True),
        (("a", "10.0.3.1:8000", "other", "key1"), False),
        (("a", "10.0.3.9:8000", "q", "key1"), False),
        (("a", "10.0.3.1:8000", "q", "key2"), False),
        (("b", "10.0.3.1:8000", "q", "key1"), False),
        (credential_key("a", "key1"), True),
        (credential_key("a", "key2"), False),
        (credential_key("b", "key1"), False),
    ],
)
def test_what_is_no_longer_configured_is_not_known(key: tuple[str, ...], known: bool) -> None:
    """After a reload nothing is held against what is gone; a wildcard model may have any name that fits."""
    made = snapshot(
        backends=[backend("a")], models=[model("x", {"a": "q"}), model("free/*", {"a": "free-*"})], regions={}
    )
    assert is_known(made, key) is known


def test_how_a_backend_serves_what_it_calls_by_a_name() -> None:
    """A model of that very name goes before a pattern that fits it."""
    made = snapshot(backends=[backend("a")], models=[model("all/*", {"a": "q*"}), model("x", {"a": "q7"})], regions={})
    found = {name: served_as(made, "a", name) for name in ("q7", "q8", "o")}
    assert {name: served and served.name for name, served in found.items()} == {"q7": "q7", "q8": "q*", "o": None}
