"""Tests of what is known of models by their names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.families.natures import (
    NATURES,
    Thought,
    continues,
    plain_name,
    sees,
    streams_only,
    thought_of,
)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Qwen/Qwen3.7-Plus", "qwen3.7-plus"),
        ("accounts/fireworks/models/qwen3p7-plus", "qwen3.7-plus"),
        ("qwen.qwen3-235b-a22b-2507-v1:0", "qwen3-235b-a22b-2507"),
        ("qwen-3-235b-a22b-instruct-2507", "qwen3-235b-a22b-instruct-2507"),
        ("qwen/qwen-2.5-72b-instruct", "qwen2.5-72b-instruct"),
        ("@dashscope-us/qwen3-max", "qwen3-max"),
        ("qwen/qwen3-coder:free", "qwen3-coder"),
        ("qwen-plus", "qwen-plus"),
    ],
)
def test_a_model_is_the_same_whatever_a_provider_calls_it(name: str, plain: str) -> None:
    """What stands around its name is the provider's."""
    assert plain_name(name) == plain


@pytest.mark.parametrize(
    ("name", "thought", "images"),
    [
        ("qwq-plus", Thought.ALWAYS, False),
        ("Qwen/Qwen3-235B-A22B-Thinking-2507", Thought.ALWAYS, False),
        ("qwen3-vl-235b-a22b-thinking", Thought.ALWAYS, True),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507-tput", Thought.NEVER, False),
        ("qwen3-32b", Thought.ASKED, False),
        ("qwen3.5-397b-a17b", Thought.ASKED, True),
        ("Qwen/Qwen2.5-72B-Instruct-Turbo", Thought.NEVER, False),
        ("qwen2.5-vl-72b-instruct", Thought.NEVER, True),
        ("qwen3-omni-flash", None, True),
        ("qwen/qwen3-coder", Thought.NEVER, False),
        ("deepseek-r1-0528", Thought.ALWAYS, False),
        ("qwen3.8-max", Thought.ASKED, None),
        ("qwen-plus", None, None),
        ("gpt-5.4", None, None),
        ("own-name", None, None),
    ],
)
def test_what_a_name_says(name: str, thought: Thought | None, images: bool | None) -> None:
    """And of a name that nobody knows nothing is known."""
    assert (thought_of(name), sees(name)) == (thought, images)


def test_some_answer_only_as_a_stream_at_dashscope() -> None:
    """The open ones that may think do, and the same weights elsewhere do not."""
    assert streams_only("dashscope", "qwen3-235b-a22b")
    assert streams_only("dashscope", "qwq-32b")
    assert streams_only("dashscope-native", "qwen2.5-omni-7b")
    assert not streams_only("dashscope", "qwen3-235b-a22b-instruct-2507")
    assert not streams_only("dashscope", "qwen-plus")
    assert not streams_only("vllm", "Qwen/Qwen3-235B-A22B")


@pytest.mark.parametrize(
    ("provider", "site", "name", "does"),
    [
        ("dashscope", "singapore", "qwen-turbo", True),
        ("dashscope", "beijing", "qwen-turbo-latest", False),
        ("dashscope", "singapore", "qwen3.8-max", False),
        ("dashscope", "beijing", "qwen3-235b-a22b", True),
        ("vllm", "", "Qwen/Qwen3-235B-A22B-Thinking-2507", False),
        ("openrouter", "us", "qwen/qwen3.8-2.4t-a95b", False),
        ("vllm", "", "own-name", True),
    ],
)
def test_not_every_model_can_be_asked_to_go_on(provider: str, site: str, name: str, does: bool) -> None:
    """By site, by model, and never one that thinks first whatever it is told."""
    assert continues(provider, site, name) is does


def test_every_row_says_something_and_who_said_it() -> None:
    """A row without a fact is a row too many."""
    for row in NATURES:
        assert row.source
        assert (row.thought, row.sees, row.streams_at) != (None, None, None)


@given(st.text(max_size=40))
def test_any_text_is_a_name(name: str) -> None:
    """Callers of wildcards choose it."""
    thought_of(name)
    sees(name)
    streams_only("dashscope", name)
    continues("dashscope", "", name)
