"""Who waits is served by priority, and within one the tenants in turn."""

from collections import Counter
from itertools import groupby, pairwise

from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.resilience.line import Line

Item = tuple[int, str, int]


def line_of(*items: Item) -> Line[Item]:
    """Return a line with these in it."""
    line: Line[Item] = Line()
    for item in items:
        line.add(item, item[0], item[1])
    return line


def served(line: Line[Item]) -> list[Item]:
    """Serve everybody; return the order."""
    order = []
    while len(line):
        first = next(line.firsts())
        line.served(first[0], first[1])
        order.append(first)
    return order


def test_a_burst_of_one_tenant_does_not_stand_before_anothers_call() -> None:
    """The quiet tenant came last and is served second."""
    line = line_of((0, "noisy", 1), (0, "noisy", 2), (0, "noisy", 3), (0, "quiet", 1))
    assert list(line.firsts()) == [(0, "noisy", 1), (0, "quiet", 1)]
    assert served(line) == [(0, "noisy", 1), (0, "quiet", 1), (0, "noisy", 2), (0, "noisy", 3)]


def test_a_lower_number_goes_first() -> None:
    """Whoever stands back waits for all who do not."""
    line = line_of((5, "batch", 1), (0, "shop", 1), (5, "batch", 2), (0, "shop", 2))
    assert [item[1] for item in served(line)] == ["shop", "shop", "batch", "batch"]


def test_who_leaves_is_not_served() -> None:
    """A caller that leaves the line leaves no gap; the last of a priority takes it along."""
    line = line_of((0, "a", 1), (0, "a", 2), (0, "b", 1), (3, "c", 1))
    for item in ((0, "a", 1), (0, "b", 1), (3, "c", 1)):
        line.remove(item, item[0], item[1])
    assert served(line) == [(0, "a", 2)]


def test_in_a_full_line_the_noisiest_makes_room() -> None:
    """For a tenant with fewer in it, or for a call that goes first; nobody makes room for one that would be last."""
    line = line_of((0, "noisy", 1), (0, "noisy", 2), (0, "noisy", 3), (0, "quiet", 1))
    assert line.last_for(0, "quiet") == (0, "noisy", 3)
    assert line.last_for(0, "new") == (0, "noisy", 3)
    assert line.last_for(0, "noisy") is None
    assert line.last_for(1, "new") is None
    behind = line_of((0, "shop", 1), (9, "batch", 1))
    assert behind.last_for(0, "shop") == (9, "batch", 1)
    assert line_of((0, "a", 1)).last_for(0, "b") is None
    assert line_of().last_for(0, "a") is None


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc"))))
def test_everybody_is_served_once_and_nobody_twice_in_a_row_while_others_wait(waiting: list[tuple[int, str]]) -> None:
    """Within a priority, tenants with calls left take turns, and each one's calls keep their order."""
    items = [(priority, tenant, number) for number, (priority, tenant) in enumerate(waiting)]
    order = served(line_of(*items))
    assert sorted(order) == sorted(items)
    assert [priority for priority, _, _ in order] == sorted(priority for priority, _, _ in items)
    for _, group in groupby(order, key=lambda item: item[0]):
        same = list(group)
        left = Counter(tenant for _, tenant, _ in same)
        for (_, tenant, number), (_, following, later) in pairwise(same):
            left[tenant] -= 1
            assert tenant != following or not any(count for other, count in left.items() if other != tenant)
            assert tenant != following or number < later
