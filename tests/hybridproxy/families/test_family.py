"""Tests of estimating a call's tokens."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridproxy.families import FAMILIES
from hybridproxy.families.family import Family, estimate_tokens

QWEN = FAMILIES["qwen3"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["messages", "content"]), inner),
)


def tokens(family: Family = QWEN, **body: Any) -> int:
    """The estimate for a body."""
    return estimate_tokens(family, body).tokens


def test_english_takes_four_characters_a_token() -> None:
    """A thousand letters are about 250 tokens, wherever in the input they stand."""
    assert tokens(prompt="a" * 1000) == 250
    assert tokens(input=["a" * 500, "b" * 500]) == 250
    assert tokens(messages=[{"role": "user", "content": [{"type": "text", "text": "a" * 1000}]}]) == 250
    assert tokens(tools=[{"type": "function", "function": {"description": "a" * 1000}}]) == 250


@pytest.mark.parametrize("text", ["阿里云百炼", "ひらがなカナ", "한국어번역기"])
def test_east_asian_text_is_counted_by_character(text: str) -> None:
    """A character there is more than half a token, and three bytes of it are not three letters."""
    assert tokens(prompt=text * 100) == int(len(text) * 100 * 0.6)


def test_other_scripts_count_by_their_bytes() -> None:
    """Umlauts and emoji take more tokens than ASCII, as they take more bytes."""
    assert tokens(prompt="ü" * 1000) == 500
    assert tokens(prompt="🙂" * 1000) == 1000


def test_mixed_text_is_the_sum_of_its_parts() -> None:
    """English around Chinese is neither all the one nor all the other."""
    assert tokens(prompt="hello " * 100 + "你好" * 100) == int(600 * 0.25 + 200 * 0.6)


def test_an_array_of_tokens_is_counted_exactly() -> None:
    """A caller that tokenised by itself knows the number."""
    assert tokens(prompt=[1, 2, 3]) == 3
    assert tokens(input=[[1, 2], [3, 4, 5]]) == 5


@pytest.mark.parametrize(
    "kind", ["image_url", "input_audio", "file", "video", "video_url", "audio_url", "image_embeds", "audio_embeds"]
)
def test_images_and_fields_that_are_no_text_count_for_nothing(kind: str) -> None:
    """The estimate is rather too low: a megabyte of base64 is no text, and `temperature` is no input."""
    part = {"type": kind, kind: {"url": "data:image/png;base64," + "A" * 1_000_000}}
    assert tokens(messages=[{"role": "user", "content": [part, {"type": "text", "text": "a" * 40}]}]) == 10
    assert tokens(temperature=1, stop=["a" * 1000], input=[]) == 0


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["messages", "prompt", "input", "tools", "n"]), JSON))
def test_any_body_has_an_estimate(body: dict[str, Any]) -> None:
    """Estimating never raises and is never negative."""
    for family in FAMILIES.values():
        assert estimate_tokens(family, body).tokens >= 0


def test_a_large_body_is_estimated_without_holding_the_worker() -> None:
    """Ten megabytes of Chinese are counted at the speed of C, and so are half a million tokens."""
    begun = time.thread_time()
    tokens(prompt="你" * 3_300_000, input=[1] * 500_000)
    assert time.thread_time() - begun < 0.5  # 0.01 on a quiet machine


def test_families_are_found_by_the_word_of_the_configuration() -> None:
    """The table's keys are the rows' own names, and a family nobody knows has a row to stand for it."""
    assert {name: family.name for name, family in FAMILIES.items()} == {name: name for name in FAMILIES}
    assert "other" in FAMILIES
