"""Marks: what is out of service by word or by refusal, the same at every replica whatever order they hear it in."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.health import Key, backend_key, credential_key, region_key
from hybridproxy.stores import marks as module
from hybridproxy.stores.marks import KEPT, MAX_REASON, MAX_SECONDS, SKEW, Mark, MarkKind, Marks, fits

KEY = backend_key("a")
WALL = 1_790_000_000.0


class World:
    """A replica's marks and clocks."""

    def __init__(self) -> None:
        self.now, self.wall = 100.0, WALL
        self.changed: list[Key] = []
        self.marks = Marks(lambda: self.now, lambda: self.wall, self.changed.append)


@pytest.fixture
def world() -> World:
    """A replica without marks."""
    return World()


def test_a_mark_keeps_calls_away_until_it_ends(world: World) -> None:
    """The view is told at once; callers read the kind and not the operator's words."""
    world.marks.put(KEY, MarkKind.DRAIN, "rotating a leaked key", 60)
    ban = world.marks.ban(KEY)
    assert ban is not None
    assert (ban.until, ban.reason) == (160.0, "drained by an operator")
    assert world.changed == [KEY]
    world.wall += 61
    assert world.marks.ban(KEY) is None
    assert world.marks.in_force() == []


def test_of_two_marks_the_longer_holds(world: World) -> None:
    """A backend that is drained and tripped is out until both are over."""
    world.marks.put(KEY, MarkKind.TRIP, "", 60)
    world.marks.put(KEY, MarkKind.DRAIN, "", 600)
    ban = world.marks.ban(KEY)
    assert ban is not None
    assert ban.until == 700.0


def test_time_and_words_are_bounded(world: World) -> None:
    """Nothing is out for longer than a week by one word, and no reason is a book."""
    mark = world.marks.put(KEY, MarkKind.DRAIN, "x" * 1000, 1e9)
    assert (mark.until, len(mark.reason)) == (WALL + MAX_SECONDS, MAX_REASON)
    assert world.marks.put(KEY, MarkKind.DRAIN, "", -5).until == WALL


def test_a_lifted_mark_is_remembered_as_lifted(world: World) -> None:
    """So that a replica which missed it does not bring the mark back; after a while it is forgotten."""
    put = world.marks.put(KEY, MarkKind.DRAIN, "", 600)
    lifted = world.marks.lift(KEY, MarkKind.DRAIN)
    assert lifted is not None
    assert lifted.version > put.version
    assert not world.marks.hear(put)
    assert world.marks.ban(KEY) is None
    assert world.marks.lift(KEY, MarkKind.DRAIN) is None
    world.marks.tick()
    assert list(world.marks) == [lifted]
    world.wall += KEPT + 1
    world.marks.tick()
    assert list(world.marks) == []


def test_a_step_of_the_clock_over_the_end_of_a_mark_leaves_nothing_behind(world: World) -> None:
    """The ban lives on another clock: it is shown anew when the mark is over, and by the attempt to lift it."""
    world.marks.put(KEY, MarkKind.DRAIN, "", 60)
    world.wall += 3600
    world.changed.clear()
    assert world.marks.lift(KEY, MarkKind.DRAIN) is None
    world.marks.tick()
    assert world.changed == [KEY, KEY]


def test_a_clock_that_goes_back_does_not_bring_an_old_version(world: World) -> None:
    """The next word still counts as newer than the last."""
    first = world.marks.put(KEY, MarkKind.DRAIN, "", 60)
    world.wall -= 3600
    assert world.marks.put(KEY, MarkKind.DRAIN, "", 60).version == first.version + 1


@pytest.mark.parametrize("version", [0, -1, 10**30])
def test_a_version_that_cannot_be_is_refused(version: int, world: World) -> None:
    """Otherwise one value could keep every later word from being heard."""
    assert not world.marks.hear(Mark(KEY, MarkKind.DRAIN, "", WALL + 60, version))


def test_of_two_words_in_one_millisecond_the_one_that_is_heard_holds(world: World) -> None:
    """Two operators at two replicas: what Redis took first is what all have in the end. An echo is no news."""
    put = world.marks.put(KEY, MarkKind.DRAIN, "mine", 60.0001)
    assert not world.marks.hear(replace(put, until=WALL + 60))
    assert world.marks.hear(replace(put, reason="theirs"))
    assert world.marks.hear(replace(put, reason="theirs", until=0.0))
    assert world.marks.ban(KEY) is None


@pytest.mark.parametrize("behind", [30.0, 2 * SKEW])
def test_a_clock_that_is_behind_hears_a_mark_once(world: World, behind: float) -> None:
    """A quarantine of a week ends later than any of its own marks; each time it was new would be an alert."""
    mark = Mark(credential_key("a", "a#1"), MarkKind.QUARANTINE, "", WALL + MAX_SECONDS, int(WALL * 1000))
    world.wall -= behind
    heard = 0
    for _ in range(60):
        heard += world.marks.hear(mark)
        world.wall += 0.5
    assert heard == 1


def test_what_is_heard_is_bounded_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark for a thousand years is one for a week, and there are not more than so many."""
    version = int(WALL * 1000)
    assert world.marks.hear(Mark(KEY, MarkKind.DRAIN, "y" * 1000, 4e12, version))
    (mark,) = world.marks
    assert (mark.until, len(mark.reason)) == (WALL + MAX_SECONDS + SKEW, MAX_REASON)
    monkeypatch.setattr(module, "MAX_MARKS", 1)
    assert not world.marks.hear(Mark(backend_key("b"), MarkKind.DRAIN, "", WALL + 60, version))
    assert world.marks.hear(Mark(KEY, MarkKind.DRAIN, "", WALL + 60, version + 1))


def test_only_what_an_order_can_lift_is_heard() -> None:
    """Kinds and keys go together."""
    target, credential = ("a", "host", "m", "a#1"), credential_key("a", "a#1")
    fitting = {
        *itertools.product((MarkKind.DRAIN, MarkKind.TRIP, MarkKind.RESET), (KEY,)),
        (MarkKind.EVACUATE, region_key("asia")),
        *itertools.product((MarkKind.QUARANTINE,), (target, credential)),
    }
    every = itertools.product(MarkKind, (KEY, region_key("asia"), target, credential, ("x", "y", "z")))
    assert {(kind, key) for kind, key in every if fits(key, kind)} == fitting


def test_a_mark_that_no_order_puts_is_not_heard(world: World) -> None:
    """A drain of a single target could be lifted by nobody."""
    assert not world.marks.hear(Mark(("a", "host", "m", "a#1"), MarkKind.DRAIN, "", WALL + 60, int(WALL * 1000)))
    assert len(world.marks) == 0


def test_time_that_passes_leaves_what_has_not_ended(world: World) -> None:
    """However often it is looked at."""
    mark = world.marks.put(KEY, MarkKind.DRAIN, "", 60)
    world.wall += 59
    world.changed.clear()
    world.marks.tick()
    assert (list(world.marks), world.changed) == ([mark], [])


def test_a_reset_keeps_nothing_out(world: World) -> None:
    """It is only put for others to hear, even when somebody gave it an end in the future."""
    world.marks.hear(Mark(KEY, MarkKind.RESET, "", WALL + 600, int(WALL * 1000)))
    assert world.marks.ban(KEY) is None
    assert world.marks.in_force() == []


def test_quarantines_of_what_is_gone_are_dropped_here_alone(world: World) -> None:
    """Another replica may still have the old key: nothing is lifted, and operators' marks stay."""
    world.marks.put(credential_key("a", "old"), MarkKind.QUARANTINE, "", 60)
    world.marks.put(credential_key("a", "new"), MarkKind.QUARANTINE, "", 60)
    world.marks.put(KEY, MarkKind.DRAIN, "", 60)
    world.marks.forget(lambda key: "new" in key)
    assert {mark.key for mark in world.marks} == {credential_key("a", "new"), KEY}


def test_whoever_listens_hears_whether_it_came_from_here(world: World) -> None:
    """What is heard is not told again as if it were new."""
    heard: list[tuple[MarkKind, bool]] = []
    world.marks.listeners.append(lambda mark, from_others: heard.append((mark.kind, from_others)))
    world.marks.put(KEY, MarkKind.DRAIN, "", 60)
    world.marks.hear(Mark(KEY, MarkKind.TRIP, "", WALL + 60, int(WALL * 1000)))
    assert heard == [(MarkKind.DRAIN, False), (MarkKind.TRIP, True)]


MARKS = st.lists(
    st.builds(
        Mark,
        st.sampled_from([KEY, backend_key("b")]),
        st.sampled_from([MarkKind.DRAIN, MarkKind.TRIP]),
        st.just(""),
        st.integers(0, 1000).map(lambda seconds: WALL + seconds),
        st.integers(1, 50),
    ),
    max_size=8,
    unique_by=lambda mark: (mark.key, mark.kind, mark.version),
)


@given(MARKS, st.randoms(use_true_random=False))
def test_the_order_of_hearing_does_not_matter(given_marks: list[Mark], random: object) -> None:
    """Replicas that hear the same marks agree, whichever way round and however often they hear them."""
    shuffled = [*given_marks, *given_marks]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = World(), World()
    for mark in given_marks:
        one.marks.hear(mark)
    for mark in shuffled:
        other.marks.hear(mark)
    assert set(one.marks) == set(other.marks)
