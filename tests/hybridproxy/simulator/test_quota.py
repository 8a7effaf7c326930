"""A simulated account's quotas, as a provider would count them."""

from hybridproxy.simulator.behaviour import Behaviour
from hybridproxy.simulator.quota import Quota, error_for
from hybridproxy.simulator.rows import PROVIDERS


def test_without_settings_nothing_is_counted() -> None:
    """Every call is taken."""
    quota = Quota()
    assert [quota.overrun(Behaviour(), 1.0) for _ in range(1000)] == [None] * 1000


def test_a_second_and_a_minute_are_counted_from_each_call() -> None:
    """Two within any second, three within any minute; who is refused counts for nothing."""
    quota, settings = Quota(), Behaviour(per_second=2, per_minute=3)
    told = [quota.overrun(settings, now) for now in (0.0, 0.5, 0.9, 1.0, 1.2, 2.5, 60.0, 60.4)]
    assert told == [None, None, "per_second", None, "per_second", "per_minute", None, "per_minute"]


def test_calls_at_a_time() -> None:
    """As many as are under way."""
    quota, settings = Quota(), Behaviour(at_a_time=1)
    assert quota.overrun(settings, 0.0) is None
    quota.under_way += 1
    assert quota.overrun(settings, 0.0) == "at_a_time"


def test_dashscope_has_an_error_for_each() -> None:
    """The others have one for all."""
    assert error_for(PROVIDERS["dashscope"], "per_second").code == "Throttling.BurstRate"
    assert error_for(PROVIDERS["together"], "per_second").code == "rate_limit_exceeded"
