from hybridproxy.model.limits import NO_LIMITS, NO_RATES, ModelLimits, Rates


def test_nothing_is_limited_unless_somebody_says_so() -> None:
    """A tenant or a backend without a word about limits has none."""
    assert Rates() == NO_RATES == NO_LIMITS.rates == ModelLimits("*").rates
    assert NO_LIMITS.models == ()
