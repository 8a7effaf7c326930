"""Tests of what is new in a text that comes twice."""

import time
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hybridproxy.dialects.overlap import ECHO, PERIOD, DiffersError, Joint, Known

# Few letters and much whitespace, so that texts repeat themselves and cuts fall beside whitespace.
TEXTS = st.text("ab \n", max_size=60) | st.text(max_size=60)
CUTS = st.lists(st.integers(0, 80), max_size=8)


def pieces(text: str, cuts: list[int]) -> list[str]:
    """The text in pieces, some of them empty."""
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(places)]


def joined(said: str, *deltas: str) -> str:
    """What the caller has in the end."""
    joint = Joint(said)
    return said + "".join(map(joint.next, deltas)) + joint.next("", last=True)


def is_pattern(text: str) -> bool:
    """Whether the text is one thing again and again, by a slow and independent reading."""
    return any(all(a == b for a, b in zip(text, text[p:], strict=False)) for p in range(1, len(text) // 2 + 1))


@given(TEXTS, st.integers(0, 60), CUTS, st.booleans(), st.booleans())
def test_nothing_is_lost_and_nothing_comes_twice(
    full: str, cut: int, cuts: list[int], strips: bool, echoes: bool
) -> None:
    """Wherever the stream broke, however the next one is cut, whether whitespace comes again or not, echo or not."""
    said, rest = full[:cut], full[cut:]
    begun = said.rstrip()
    if strips:
        rest = full[len(begun) :]
    elif said != begun:  # the same whitespace could not be told from what comes again
        assume(rest[:1] != said[len(begun)])
    if echoes:
        assume(len(begun) >= ECHO and not is_pattern(begun))
        rest = begun + rest
    else:  # an honest copy of the whole beginning, right at the cut: what the length makes unlikely
        assume(len(begun) < ECHO or is_pattern(begun) or not rest.startswith(begun))
    assert joined(said, *pieces(rest, cuts)) == full


@pytest.mark.parametrize(
    ("said", "deltas", "whole"),
    [
        ("Hello ", (" ", "world"), "Hello world"),
        ("Hello ", ("world",), "Hello world"),
        ("one\n\n", ("\n", "\n", "\ntwo"), "one\n\n\ntwo"),
        ("one\n\n", ("\n", "two", "\n\n"), "one\n\ntwo\n\n"),
        ("one \n", ("\n two",), "one \n\n two"),
        ("\n\n", ("\n", "\nHello"), "\n\nHello"),
        ("", (" Hello",), " Hello"),
    ],
)
def test_whitespace_at_the_seam_comes_once(said: str, deltas: tuple[str, ...], whole: str) -> None:
    """What equals the whitespace still awaited is dropped up to the first difference, and nothing after it."""
    assert joined(said, *deltas) == whole


@pytest.mark.parametrize(
    ("said", "deltas", "whole"),
    [
        ("ha", ("ha", " ha"), "haha ha"),
        ("ha ", ("ha", " ha"), "ha ha ha"),
        ("两只老虎，", ("两只老虎，", "跑得快"), "两只老虎，两只老虎，跑得快"),
        ("-" * 40, ("-" * 38, "--", "\n"), "-" * 80 + "\n"),
        ("na na na na na na ", ("na na na na na na hey",), "na " * 12 + "hey"),
        ("|---|---|---|---", ("|---|---|---|---|",), "|---" * 8 + "|"),
        ("The sea is wide,", ("The sea ", "was calm"), "The sea is wide,The sea was calm"),
        ("The sea is wide,", ("The sea ",), "The sea is wide,The sea "),
    ],
)
def test_a_text_that_honestly_repeats_itself_is_whole(said: str, deltas: tuple[str, ...], whole: str) -> None:
    """Short texts, patterns, a beginning that only looks the same, one that ends too soon: no character is lost."""
    assert joined(said, *deltas) == whole


def test_an_echo_of_the_tail_is_taken_for_text() -> None:
    """The next row of a table begins like the last one."""
    row = "| apples and pears | none |\n"
    assert joined("| fruit | left |\n" + row, row) == "| fruit | left |\n" + row + row


def test_an_echo_of_the_whole_is_dropped_with_the_whitespace_after_it() -> None:
    """In one piece or by character."""
    said, rest = "The sea is wide, \n", " \nand deep."
    echo = said.rstrip() + rest
    assert joined(said, echo) == joined(said, *echo) == "The sea is wide, \nand deep."


def test_a_pattern_is_known_in_a_long_text_too() -> None:
    """A model in a loop goes on with it; a text without one is compared whole."""
    assert joined("0123456789" * 1000, "0123456789" * 1000) == "0123456789" * 2000
    plain = "".join(map(str, range(PERIOD)))
    assert joined(plain, plain, "!") == plain + "!"


def test_a_long_text_takes_time_in_proportion() -> None:
    """Whitespace that comes again by character, and much echo: sixteen times as much takes about that much longer."""

    def seconds(size: int) -> float:
        spaces, letters = " " * (5 * size), "".join(map(str, range(size)))
        begun = time.thread_time()
        assert len(joined("a" + spaces, *spaces)) == 5 * size + 1
        assert len(joined(letters, *letters)) == len(letters)
        return time.thread_time() - begun

    # 256 times as long if all were read again with each piece
    assert min(seconds(20_000) for _ in range(3)) < 16 * 5 * min(seconds(1_250) for _ in range(5))


@given(TEXTS, st.integers(0, 60), CUTS)
def test_a_repetition_gives_exactly_the_rest(full: str, cut: int, cuts: list[int]) -> None:
    """Wherever the pieces end."""
    known = Known(full[:cut])
    assert "".join(map(known.beyond, pieces(full, cuts))) == full[cut:]
    assert known.reached


def test_the_first_difference_is_an_error_without_the_text() -> None:
    """It tells where, not what."""
    known = Known("secret one")
    assert (known.beyond("secret"), known.reached) == ("", False)
    with pytest.raises(DiffersError) as caught:
        known.beyond(" two")
    assert str(caught.value) == "the repetition differs within 4 characters from character 6 on"
