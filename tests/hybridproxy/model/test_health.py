"""Health as routing sees it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.health import (
    HEALTHY,
    RAMP_SECONDS,
    RAMP_START,
    Admits,
    Ban,
    Health,
    backend_key,
    credential_key,
    named_by,
    region_key,
)
from hybridproxy.model.plan import Target
from tests.support.make import backend, snapshot


def test_a_ban_is_found_under_a_targets_own_key() -> None:
    """Two endpoints, or two keys, of one backend are ill one by one."""
    one = backend("together-us", hosts=2, keys=2)
    timeouts = snapshot().routes["default"].handling.timeouts
    keys = {Target(one, e, c, "qwen", timeouts).health_key for e in one.endpoints for c in one.credentials}
    assert len(keys) == 4
    health: Health = {("together-us", "10.0.3.1:8000", "qwen", "key2"): Ban(7.0, "open")}
    assert len(keys & set(health)) == 1
    assert not HEALTHY


def test_keys_of_different_things_are_never_the_same() -> None:
    """A backend, a region and a key that an operator gave one name are told apart."""
    keys = [backend_key("sg"), region_key("sg"), credential_key("sg", "sg"), ("sg", "sg", "sg", "sg")]
    assert len(set(keys)) == 4


def test_what_is_held_against_a_backend_names_it() -> None:
    """Routing looks closer only at backends and regions that are named at all."""
    target = ("together-us", "10.0.3.1:8000", "qwen", "key1")
    keys = [target, backend_key("vpc"), credential_key("openrouter-us", "key1"), region_key("asia")]
    assert named_by(keys) == {"together-us", "vpc", "openrouter-us", "asia"}
    assert named_by([]) == set()


@pytest.mark.parametrize(("passed", "share"), [(0.0, RAMP_START), (15.0, 0.55), (RAMP_SECONDS, 1.0), (300.0, 1.0)])
def test_a_ramp_grows_from_a_tenth_to_all(passed: float, share: float) -> None:
    """A recovered backend is not knocked over by all the calls that waited for it."""
    ban = Ban(130.0, "coming back by a ramp", Admits.RAMP, since=100.0)
    assert ban.share(100.0 + passed) == pytest.approx(share)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0, 100))
def test_a_share_never_shrinks_and_stays_a_share(since: float, now: float, later: float) -> None:
    """Whatever the clocks say: between a tenth and all of the calls, and more of them later."""
    ban = Ban(since + RAMP_SECONDS, "coming back by a ramp", Admits.RAMP, since)
    assert RAMP_START <= ban.share(now) <= ban.share(now + later) <= 1.0
