"""The judges of calls find what is made wrong on purpose."""

from tests.acceptance.calls import Ask, Call
from tests.acceptance.load import Load
from tests.acceptance.outages import LOUD_NOISE, NOISE, p99_change
from tests.acceptance.report import overtaken


def call(sent: float, took: float, replica: int = 0) -> Call:
    """Return a call that was sent when it was due."""
    return Call(0, Ask("key", replica=replica), sent, sent=sent, took=took)


def steady(begin: float, seconds: float, replica: int = 0) -> list[Call]:
    """Return fifty calls a second, all as they should be."""
    return [call(begin + n / 50, 0.01, replica) for n in range(round(50 * seconds))]


def frozen(begin: float, seconds: float, replica: int = 0) -> list[Call]:
    """Return fifty calls a second to a replica that stands still: all are answered when it goes on."""
    return [call(begin + n / 50, seconds - n / 50 + 0.01, replica) for n in range(round(50 * seconds))]


def test_a_call_that_waits_while_others_do_not_is_found() -> None:
    """Not one whose replica stood still, nor one that others overtake at another replica."""
    alone = call(0.1, 0.5)
    assert overtaken([*steady(0, 1), alone]) == [alone]
    assert overtaken([*steady(0, 1, replica=1), alone]) == []
    assert overtaken([*steady(0, 1), *frozen(1, 1), *steady(2, 1)]) == []


async def test_on_a_loud_machine_the_percentile_alone_does_not_tell() -> None:
    """A replica that stands still before and during a fault is forgiven; one that lets calls wait for Redis is not."""
    before = [one for replica in range(3) for one in (*frozen(0, 0.5, replica), *steady(0.5, 0.5, replica))]
    without = steady(1, 2, replica=2)
    still = [*frozen(1, 1), *steady(2, 1), *steady(1, 2, replica=1), *without]
    assert _judged([*before, *still], LOUD_NOISE)
    assert not _judged([*before, *still], NOISE)
    waiting = [call(1 + n / 2, 0.9) for n in range(4)]
    assert not _judged([*before, *steady(1, 2), *waiting, *steady(1, 2, replica=1), *without], LOUD_NOISE)
    all_wait = [call(1 + n / 50, 0.9, replica) for replica in range(2) for n in range(100)]
    assert not _judged([*before, *all_wait, *without], LOUD_NOISE)


async def test_on_a_quiet_machine_it_does() -> None:
    """There nothing else can have kept the calls."""
    before = [one for replica in range(3) for one in steady(0, 1, replica)]
    after = [one for replica in (1, 2) for one in steady(1, 2, replica)]
    assert _judged([*before, *after, *steady(1, 2)], LOUD_NOISE)
    assert not _judged([*before, *after, *frozen(1, 1), *steady(2, 1)], LOUD_NOISE)


def _judged(calls: list[Call], noise: float) -> bool:
    """Judge a second without a fault and two with it."""
    load = Load([], lambda _: Ask("key"), 1)
    load.calls = sorted(calls, key=lambda one: one.due)
    return p99_change(load, [(0.0, 1.0)], (1.0, 3.0), noise)[0]
