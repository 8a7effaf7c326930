"""Tests of callers as values."""

from tests.support.make import SHOP, SINGAPORE, caller


def test_a_caller_is_a_tenant_at_a_place_for_the_whole_call() -> None:
    """Tenant, place and region stay together."""
    who = caller(SHOP, location=SINGAPORE, region="asia")
    assert (who.tenant.id, who.location.country, who.region) == ("shop", "SG", "asia")
