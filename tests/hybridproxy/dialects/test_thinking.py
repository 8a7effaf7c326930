"""Tests of reading what a caller says of thinking, and saying it to a provider."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.dialects.thinking import NOTHING, Thinking, read_thinking, say_thinking
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.thinks import EFFORTS, Thinks

SPELLED = {name: row.thinks for name, row in PROVIDERS.items() if row.thinks is not None}
TEMPLATE_OFF = {"enable_thinking": False, "thinking": False}
TEMPLATE_ON = dict.fromkeys(TEMPLATE_OFF, True)
PLACES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "reasoning_effort": st.sampled_from([*EFFORTS, "default", "", True, False, 0, 2048, None, [1]]),
        "enable_thinking": st.sampled_from([True, False, None, "yes"]),
        "thinking_budget": st.sampled_from([0, 512, 4096, -1, None, "many"]),
        "thinking_token_budget": st.sampled_from([0, 100]),
        "include_reasoning": st.booleans() | st.none(),
        "reasoning_format": st.sampled_from(["hidden", "parsed", None]),
        "disable_reasoning": st.booleans() | st.none(),
        "thinking": st.sampled_from(
            [
                {"type": "enabled", "budget_tokens": 2000},
                {"type": "disabled"},
                {"type": []},
                {},
                "on",
                None,
                {"type": "x"},
            ]
        ),
        "reasoning": st.fixed_dictionaries(
            {},
            optional={
                "effort": st.sampled_from(EFFORTS),
                "max_tokens": st.sampled_from([0, 1000]),
                "enabled": st.booleans(),
                "exclude": st.booleans(),
                "summary": st.just("auto"),
            },
        ),
        "chat_template_kwargs": st.fixed_dictionaries(
            {}, optional={"enable_thinking": st.booleans(), "thinking": st.booleans(), "other": st.just(1)}
        ),
        "temperature": st.just(1),
    },
)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"temperature": 1}, NOTHING),
        ({"reasoning_effort": "high"}, (True, None, "high", None)),
        ({"reasoning_effort": "none"}, (False, None, None, None)),
        ({"reasoning_effort": True}, (True, None, None, None)),
        ({"reasoning_effort": 2048}, (True, 2048, None, None)),
        ({"reasoning_effort": None}, (None, None, None, None)),
        ({"enable_thinking": False, "reasoning_effort": "high"}, (False, None, None, None)),
        ({"enable_thinking": True, "thinking_budget": 500}, (True, 500, None, None)),
        ({"enable_thinking": True, "thinking_budget": 0}, (True, None, None, None)),
        ({"thinking_budget": 0}, (False, None, None, None)),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, (True, 2000, None, None)),
        ({"thinking": {"type": "disabled"}}, (False, None, None, None)),
        ({"thinking": "on"}, (None, None, None, None)),
        ({"reasoning": {"effort": "low", "exclude": True}}, (True, None, "low", True)),
        ({"reasoning": {"enabled": True, "max_tokens": 7}}, (True, 7, None, None)),
        ({"chat_template_kwargs": {"thinking": True}}, (True, None, None, None)),
        ({"disable_reasoning": True}, (False, None, None, None)),
        ({"include_reasoning": False}, (None, None, None, True)),
        ({"reasoning_format": "parsed"}, (None, None, None, False)),
    ],
)
def test_every_spelling_is_read(body: dict[str, Any], told: Any) -> None:
    """One meaning comes out of each."""
    found = read_thinking(body)
    assert found == told if isinstance(told, Thinking) else (found.on, found.budget, found.effort, found.hide) == told


@pytest.mark.parametrize(
    ("provider", "body", "sent", "unsaid"),
    [
        ("dashscope", {"reasoning_effort": "none"}, {"enable_thinking": False}, ()),
        ("dashscope", {"reasoning_effort": "high"}, {"enable_thinking": True, "reasoning_effort": "high"}, ()),
        ("dashscope", {"reasoning_effort": "minimal"}, {"enable_thinking": True, "reasoning_effort": "low"},
         ("reasoning_effort",)),
        ("dashscope", {"thinking": {"type": "enabled", "budget_tokens": 2000}},
         {"enable_thinking": True, "thinking_budget": 2000}, ()),
        ("dashscope", {"reasoning": {"effort": "low", "max_tokens": 9, "exclude": True}},
         {"enable_thinking": True, "thinking_budget": 9}, ("reasoning.effort", "reasoning.exclude")),
        ("vllm", {"enable_thinking": False}, {"chat_template_kwargs": TEMPLATE_OFF}, ()),
        ("vllm", {"enable_thinking": True, "thinking_budget": 64, "chat_template_kwargs": {"x": 1}},
         {"thinking_token_budget": 64, "chat_template_kwargs": {"x": 1, **TEMPLATE_ON}}, ()),
        ("vllm", {"reasoning_effort": "none"}, {"chat_template_kwargs": TEMPLATE_OFF}, ()),
        ("vllm", {"reasoning": {"exclude": True}}, {"include_reasoning": False}, ()),
        ("openrouter", {"enable_thinking": True}, {"reasoning": {"enabled": True}}, ()),
        ("openrouter", {"thinking_budget": 900}, {"reasoning": {"max_tokens": 900}}, ()),
        ("fireworks", {"enable_thinking": False}, {"thinking": {"type": "disabled"}}, ()),
        ("fireworks", {"thinking_budget": 5}, {"thinking": {"type": "enabled", "budget_tokens": 1024}},
         ("thinking_budget",)),
        ("fireworks", {"reasoning": {"effort": "xhigh"}}, {"reasoning_effort": "high"}, ("reasoning.effort",)),
        ("groq", {"enable_thinking": False}, {"reasoning_effort": "none"}, ()),
        ("groq", {"enable_thinking": True}, {"reasoning_effort": "default"}, ()),
        ("groq", {"thinking_budget": 64}, {"reasoning_effort": "default"}, ("thinking_budget",)),
        ("gemini", {"enable_thinking": False}, {"reasoning_effort": "none"}, ()),
        ("deepseek", {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}, ()),
        ("deepseek", {"reasoning": {"effort": "low"}},
         {"thinking": {"type": "enabled"}, "reasoning_effort": "low"}, ()),
        ("novita", {"reasoning_effort": "high"}, {"enable_thinking": True}, ("reasoning_effort",)),
        ("together", {"reasoning_effort": "none"}, {"reasoning": {"enabled": False}}, ()),
        ("bedrock", {"enable_thinking": False}, {}, ("enable_thinking",)),
        ("bedrock", {"enable_thinking": True}, {}, ("enable_thinking",)),
        ("cerebras", {"reasoning": {"exclude": True, "summary": "auto"}},
         {"reasoning_format": "hidden", "reasoning": {"summary": "auto"}}, ()),
        ("cerebras", {"reasoning": {"exclude": False}}, {}, ()),
    ],
)  # fmt: skip
def test_it_is_said_in_the_providers_spelling(
    provider: str, body: dict[str, Any], sent: dict[str, Any], unsaid: tuple[str, ...]
) -> None:
    """What cannot be said there is named."""
    assert say_thinking(body, SPELLED[provider]) == unsaid
    assert body == sent


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("dashscope", {"enable_thinking": True, "thinking_budget": 0}),
        ("vllm", {"reasoning_effort": "high", "chat_template_kwargs": {"enable_thinking": False}}),
        ("groq", {"reasoning_effort": "default", "reasoning_format": "parsed"}),
        ("groq", {"reasoning_effort": "none"}),
        ("fireworks", {"reasoning_effort": 4096}),
        ("openrouter", {"reasoning": {"effort": "none", "summary": "auto"}}),
        ("deepseek", {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}),
        ("gemini", {"temperature": 1}),
    ],
)
def test_the_providers_own_spelling_goes_as_it_is(provider: str, body: dict[str, Any]) -> None:
    """Whatever it means by it; and nothing is added where nothing was said."""
    given = copy.deepcopy(body)
    assert say_thinking(body, SPELLED[provider]) == ()
    assert body == given


def test_who_only_passes_calls_on_gets_what_the_caller_wrote() -> None:
    """Nobody knows who reads it in the end."""
    body = {"enable_thinking": True, "reasoning": {"effort": "low"}}
    assert say_thinking(body, None) == ()
    assert body == {"enable_thinking": True, "reasoning": {"effort": "low"}}


@pytest.mark.parametrize("provider", SPELLED)
@given(body=PLACES)
def test_nothing_is_lost_in_silence(provider: str, body: dict[str, Any]) -> None:
    """What comes out means what went in, as far as nothing is named; the caller's objects stay as they were."""
    given, before = copy.deepcopy(body), read_thinking(body)
    sent = dict(body)
    unsaid = say_thinking(sent, SPELLED[provider])
    assert body == given
    assert set(unsaid) <= set(before.places)
    whats = {before.places[place] for place in unsaid}
    after = read_thinking(sent)
    if "on" not in whats and before.on is not None and not whats & {"budget", "effort"}:
        assert after.on is before.on
    if before.budget is not None and "budget" not in whats:
        assert after.budget == before.budget
    if before.effort in EFFORTS and "effort" not in whats and provider != "deepseek":
        assert after.effort == before.effort
    if before.hide and "hide" not in whats:
        assert after.hide
    assert sent.get("temperature") == body.get("temperature")


def test_a_spelling_without_a_switch_says_so() -> None:
    """Nothing is made up."""
    body = {"enable_thinking": True, "reasoning_effort": "odd"}
    assert say_thinking(body, Thinks()) == ("enable_thinking", "reasoning_effort")
    assert body == {}
