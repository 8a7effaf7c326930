"""Tests of health as routing sees it."""

from hybridproxy.model.health import HEALTHY, Ban, Health
from hybridproxy.model.plan import Target
from tests.support.make import backend, snapshot


def test_a_ban_is_found_under_a_targets_own_key() -> None:
    """Two endpoints, or two keys, of one backend are ill one by one."""
    one = backend("together-us", hosts=2, keys=2)
    timeouts = snapshot().routes["default"].timeouts
    keys = {Target(one, e, c, "qwen", timeouts).health_key for e in one.endpoints for c in one.credentials}
    assert len(keys) == 4
    health: Health = {("together-us", "10.0.3.1:8000", "qwen", "key2"): Ban(7.0, "open")}
    assert len(keys & set(health)) == 1
    assert not HEALTHY
