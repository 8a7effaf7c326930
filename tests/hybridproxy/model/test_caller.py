"""Tests of callers as values."""

import dataclasses

import pytest

from tests.support.make import SHOP, SINGAPORE, caller


def test_a_caller_is_a_tenant_at_a_place_for_the_whole_call() -> None:
    """Nothing on the way of a call can make it somebody else's."""
    who = caller(SHOP, location=SINGAPORE, region="asia")
    assert (who.tenant.id, who.location.country, who.region) == ("shop", "SG", "asia")
    with pytest.raises(dataclasses.FrozenInstanceError):
        who.tenant = SHOP  # type: ignore[misc]
