"""Tests of signed thoughts on their way through a caller."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.responses.seal import sealed, unsealed

SIGNED = {"type": "thinking", "thinking": "so", "signature": "s"}
HIDDEN = {"type": "redacted_thinking", "data": "d"}
ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**53) | st.text(max_size=4),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(["type", "thinking", "id", "function"]), x),
    max_leaves=6,
)


def test_signed_thoughts_come_back_as_they_were() -> None:
    """And nothing that is not signed, nor any other field."""
    seal = sealed([{**SIGNED, "more": {}}, HIDDEN, {"type": "thinking", "thinking": "x"}, {"type": "text"}, 7], "")
    assert seal is not None
    assert unsealed(seal) == [SIGNED, HIDDEN]


def test_a_signature_alone_gets_the_thought() -> None:
    """A stream has the text in deltas of its own; of two the first gets it."""
    seal = sealed(
        [{"type": "thinking", "signature": "s"}, {"type": "thinking", "thinking": "", "signature": "t"}], "so"
    )
    assert unsealed(seal or "") == [SIGNED, {"type": "thinking", "thinking": "", "signature": "t"}]


def test_nothing_signed_is_nothing_sealed() -> None:
    """The field is left out then."""
    assert sealed([{"type": "thinking", "thinking": "x"}], "x") is None


def test_what_was_not_sealed_here_holds_nothing() -> None:
    """An upstream's own field, damage, or an invention."""
    mark = (sealed([HIDDEN], "") or "").partition(".")[0] + "."
    for text in ("gAAAAB", mark, mark + "%%%", mark + "e30=", mark + "Ww==", mark + "é"):
        assert unsealed(text) == []


@given(st.lists(ANY), st.text())
def test_nothing_makes_it_raise(blocks: list[Any], text: str) -> None:
    """Both ends are untrusted."""
    seal = sealed(blocks, text)
    assert seal is None or all(block["type"] for block in unsealed(seal))
    assert unsealed(text) == []
