"""Tests of what DashScope's own protocol makes of each model."""

from typing import Any

import pytest

from hybridproxy.families.dashscope import bounds_whole, gives_messages, is_multimodal, say_bound


@pytest.mark.parametrize(
    "model",
    [
        "qwen3.5-plus", "qwen3.6-flash", "qwen3.7-plus-2026-05-01", "qwen3.7-flash", "qwen3.7-max-2026-06-08",
        "qwen-vl-max", "qwen3-vl-plus", "qvq-max", "qwen3-omni-flash", "qwen-vl-ocr", "qwen2-audio-instruct", "QVQ-Max",
    ],
)  # fmt: skip
def test_models_that_see_have_the_path_for_media(model: str) -> None:
    """Also where they are asked for text alone."""
    assert is_multimodal(model)


@pytest.mark.parametrize(
    "model", ["qwen-plus", "qwen3-max", "qwen3.7-max", "qwen3.7-max-us", "qwen3-235b-a22b", "deepseek-v4", "QwQ-plus"]
)
def test_models_that_read_have_the_path_for_text(model: str) -> None:
    """They take nothing else."""
    assert is_multimodal(model) is False


@pytest.mark.parametrize("model", ["qwen3.8-max", "my-own", ""])
def test_of_others_nobody_says(model: str) -> None:
    """And so nothing is done about it."""
    assert is_multimodal(model) is None


@pytest.mark.parametrize("model", ["qwen3-max", "qwen3-vl-plus", "qwq-plus", "qwen3-235b-a22b", "qwen3-32b", "QwQ-32b"])
def test_some_models_give_messages_by_themselves(model: str) -> None:
    """Qwen3-Max, Qwen3-VL, QwQ and the open Qwen3."""
    assert gives_messages(model)


@pytest.mark.parametrize("model", ["qwen-plus", "qwen-max", "qwen3-coder-plus", "qwen2.5-72b-instruct", "other"])
def test_most_models_give_text(model: str) -> None:
    """Where the caller does not choose."""
    assert not gives_messages(model)


@pytest.mark.parametrize(
    "model", ["qwen3.7-max", "qwen3.8-max-2026-08-01", "qwen3.5-plus", "qwen3.6-flash-us", "deepseek-v4", "Qwen4-max"]
)
def test_newer_models_bound_answer_and_thoughts_together(model: str) -> None:
    """As Alibaba's page of its parameters lists them, and what came later."""
    assert bounds_whole(model)
    fields = {"max_completion_tokens": 5, "seed": 1}
    say_bound(fields, model)
    assert fields == {"max_completion_tokens": 5, "seed": 1}


@pytest.mark.parametrize("model", ["qwen-plus", "qwen3-max", "qwen3.6-max", "qwen3-235b-a22b", "qwq-plus", "my-own"])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_completion_tokens": 5}, {"max_tokens": 5}),
        ({"max_completion_tokens": 5, "max_tokens": None}, {"max_tokens": 5}),
        ({"max_completion_tokens": 5, "max_tokens": 3}, {"max_tokens": 3}),
        ({"max_completion_tokens": 5, "max_tokens": 9}, {"max_tokens": 5}),
        ({"max_completion_tokens": None, "max_tokens": 3}, {"max_completion_tokens": None, "max_tokens": 3}),
        ({"seed": 1}, {"seed": 1}),
    ],
)
def test_others_know_the_bound_of_the_answer_alone(model: str, given: dict[str, Any], said: dict[str, Any]) -> None:
    """They would overlook the other name, and the answer would be as long as it likes."""
    assert not bounds_whole(model)
    fields = dict(given)
    say_bound(fields, model)
    assert fields == said
