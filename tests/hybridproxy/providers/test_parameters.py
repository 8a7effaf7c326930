"""Tests of the lists of fields."""

from typing import Any

import pytest

from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.groq import GROQ
from hybridproxy.providers.parameters import CORE, SAMPLING, lost_field


def test_a_list_has_what_every_chat_needs() -> None:
    """Whoever has a list of its own takes at least that, where it speaks OpenAI's dialect."""
    assert SAMPLING < CORE
    for row in PROVIDERS.values():
        if row.accepts is not None and row.paths:
            assert row.accepts >= CORE
            assert not row.accepts & row.refuses.keys() or row.name == "gemini"
            assert set(row.renames) <= row.accepts


def test_nobody_answers_without_what_the_call_is_about() -> None:
    """A call that gives functions, or wants sound or a search, goes where these are known, or is refused."""
    for row in PROVIDERS.values():
        if row.accepts is not None:
            assert {"functions", "audio", "web_search_options"} <= row.accepts | row.refuses.keys(), row.name
    for name in ("deepinfra", "llama-cpp", "sglang", "vllm"):
        assert {"functions", "web_search_options"} <= PROVIDERS[name].refuses.keys(), name
    for name in ("dashscope", "deepseek"):
        assert "logit_bias" in PROVIDERS[name].refuses
    native = PROVIDERS["dashscope-native"].refuses
    assert {"functions", "audio", "web_search_options", "logit_bias"} <= native.keys()


@pytest.mark.parametrize(
    ("body", "lost"),
    [
        ({"messages": [{"role": "user"}]}, None),
        ({"messages": [{"role": "user"}, {"role": "user", "name": "ann"}]}, "messages[].name"),
        ({"messages": [{"name": ""}], "logprobs": False, "logit_bias": {}, "top_logprobs": None}, None),
        ({"logprobs": True, "top_logprobs": 2}, "logprobs"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
    ],
)
def test_a_field_is_lost_where_it_asks_for_something(body: dict[str, Any], lost: str | None) -> None:
    """What it would be without it is nothing lost."""
    assert lost_field(body, GROQ.refuses) == lost
