"""What a call's course depends on."""

from hybridproxy.resilience.terms import Terms


def test_a_call_of_which_nothing_is_known_has_no_way_on_and_is_not_free() -> None:
    """No recoveries, no hedge, and a token of input at least."""
    terms = Terms(stream=True)
    assert (terms.recoveries, terms.hedge_after, terms.prompt) == ((), None, 1)
