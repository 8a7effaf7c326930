"""What is demanded of a backend: it is only ever raised."""

from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.residency import EUROPEAN_UNION, NO_DEMAND, Promise, Residency, listed
from hybridproxy.routing.gate import resides

PLACES = st.none() | st.frozensets(st.sampled_from(["US", "CA", "SG", "DE"]), max_size=3)
DAYS = st.none() | st.integers(0, 60)
DEMANDS = st.builds(Residency, st.booleans(), PLACES, PLACES, DAYS)
PROMISES = st.builds(Promise, PLACES, PLACES, DAYS)


def test_of_two_demands_the_stricter_of_each_term_holds() -> None:
    """The countries both allow, the shorter time, the VPC if either wants it."""
    tenant = Residency(compute=frozenset({"US", "CA"}), retention=30)
    call = Residency(vpc=True, compute=frozenset({"US", "DE"}), storage=frozenset({"US"}))
    assert tenant.raised(call) == Residency(True, frozenset({"US"}), frozenset({"US"}), 30)


@given(DEMANDS, DEMANDS, PROMISES)
def test_nothing_that_is_joined_to_a_demand_lets_a_backend_in(one: Residency, other: Residency, site: Promise) -> None:
    """Whatever a caller writes: who does not meet the tenant's demand does not meet both."""
    both = one.raised(other)
    assert both == other.raised(one) == both.raised(one)
    assert one.raised(NO_DEMAND) == one
    if resides(one, site) is not None:
        assert resides(both, site) is not None
    assert both.vpc >= one.vpc


def test_the_european_union_is_named_as_one() -> None:
    """A list of 27 codes says less."""
    assert listed(EUROPEAN_UNION | {"NO"}) == "EU, NO"
    assert listed(frozenset({"US", "CA"})) == "CA, US"
    assert listed(frozenset()) == "no country"
