"""Tests of plans as values."""

from hybridproxy.model.plan import Target
from tests.support.make import backend, snapshot


def test_a_targets_health_key_holds_no_secret() -> None:
    """Health goes to logs and other replicas: it knows a credential by its id."""
    one = backend("together-us")
    target = Target(one, one.endpoints[0], one.credentials[0], "Qwen/Qwen3", snapshot().routes["default"].timeouts)
    assert target.health_key == ("together-us", "10.0.3.1:8000", "Qwen/Qwen3", "key1")
