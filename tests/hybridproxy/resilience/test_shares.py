"""What one worker does with its share of a limit while it does not hear the others."""

from hybridproxy.model.limits import Measure
from hybridproxy.resilience.shares import PATIENT, RISES, Kind, alone, cold, seconds_of


def test_without_redis_a_share_stays_then_shrinks_to_the_part_then_is_the_part() -> None:
    """Of a rate; those that hold less wait until the others have come down. Money stays what it is."""
    for kind in (Kind.RATE, Kind.PLACES):
        assert [alone(kind, 100, 80, 0, 4, age) for age in (0, PATIENT, PATIENT + 1, RISES + 1)] == [80, 80, 25, 25]
        assert [alone(kind, 100, 3, 0, 4, age) for age in (0, PATIENT, PATIENT + 1, RISES + 1)] == [3, 3, 3, 25]
    assert alone(Kind.RATE, 100, 80, 60, 4, RISES + 1) == 10
    assert [alone(Kind.CAP, 100, 80, 0, 4, age) for age in (0, RISES + 1, 1e6)] == [80, 80, 80]


def test_the_start_share_is_a_sixteenth_of_a_rate_and_a_hundredth_of_a_cap() -> None:
    """For all workers together; half of it for those that have just begun."""
    assert cold(Kind.RATE, 1600, 2, 0.0) == 50
    assert cold(Kind.RATE, 1600, 2, 0.0, new=True) == 25
    assert cold(Kind.PLACES, 1000, 2, RISES + 1) == 500
    assert cold(Kind.CAP, 1000, 2, 0.0) == 5
    assert cold(Kind.CAP, 1000, 2, 0.0, new=True) == 5


def test_who_never_reached_redis_has_little_since_nobody_leaves_it_anything() -> None:
    """Of a cap three such workers have what is set aside for them."""
    never = float("inf")
    assert cold(Kind.RATE, 3200, 1, never, new=True) == 100
    assert cold(Kind.CAP, 3000, 1, never, new=True) == 10
    assert cold(Kind.CAP, 3000, 1, never, new=True, began=60.0) == 10


def test_a_new_period_without_redis_has_its_part_of_the_cap() -> None:
    """As long as the others may know of it: not long after the worker was lost."""
    hour = 3600.0
    assert cold(Kind.CAP, 1000, 2, 100.0, began=60.0) == 490
    assert cold(Kind.CAP, 1000, 2, 0.6, began=0.1) == 5
    assert cold(Kind.CAP, 1000, 2, 100.0, began=200.0) == 5
    assert cold(Kind.CAP, 1000, 2, 2 * hour, began=hour) == 5
    assert cold(Kind.CAP, 1000, 2, 25 * hour, began=25 * hour - 60) == 5


def test_since_when_a_period_is_under_way() -> None:
    """Days and months of the calendar, UTC."""
    moment = 1_798_761_600_000 - 1500  # 2026-12-31 23:59:58.5
    assert seconds_of(Measure.DAY, moment) == 86_398.5
    assert seconds_of(Measure.MONTH, moment) == 30 * 86_400 + 86_398.5
    assert seconds_of(Measure.MONTH, moment + 1500) == 0.0
