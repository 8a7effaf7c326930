"""Tests of the spellings of thinking."""

import pytest

from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.thinks import EFFORTS, NO_TEMPLATE, TEMPLATE, same

SPELLED = [(name, row) for name, row in PROVIDERS.items() if row.thinks is not None]


def test_a_word_is_the_same_word() -> None:
    """Where a provider calls it so, too."""
    assert same("low", "high") == {"low": "low", "high": "high"}
    assert set(TEMPLATE) == set(NO_TEMPLATE)


@pytest.mark.parametrize("name", [name for name, _ in SPELLED])
def test_a_spelling_is_sound(name: str) -> None:
    """Words are words, what goes with a budget or a word needs one, and whatever is said is sent."""
    row = PROVIDERS[name]
    spelling = row.thinks
    assert spelling is not None
    assert set(spelling.efforts) <= set(EFFORTS)
    assert bool(spelling.effort) == bool(spelling.efforts)
    assert spelling.budget or not spelling.with_budget
    assert spelling.effort or not spelling.with_effort
    places = {
        *spelling.own, *spelling.on, *spelling.off, *spelling.with_budget, *spelling.with_effort, *spelling.hide,
        spelling.budget, spelling.effort,
    } - {""}  # fmt: skip
    fields = {place.partition(".")[0] for place in places}
    assert not fields & row.drops
    assert row.accepts is None or fields <= row.accepts


def test_who_only_passes_calls_on_is_told_nothing() -> None:
    """What is behind it reads it as it is."""
    assert {name for name, row in PROVIDERS.items() if row.thinks is None} == {
        "tokenmix", "portkey", "litellm", "openai",
    }  # fmt: skip
