"""Tests of what policy allows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.call import Capability, Operation
from hybridproxy.model.residency import Residency
from hybridproxy.model.snapshot import Served, Tenant
from hybridproxy.providers import PROVIDERS
from hybridproxy.routing import gate
from tests.support.make import BANK, SHOP, backend, call, model, snapshot, sovereign

OPENAI, DASHSCOPE, OPENROUTER = PROVIDERS["openai"], PROVIDERS["dashscope"], PROVIDERS["openrouter"]
PLAIN = Served("b", "own-name")
QWEN = model("qwen", [PLAIN])


# ---- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "name", "may"),
    [
        (("*",), "anything", True),
        (("qwen",), "qwen", True),
        (("qwen",), "qwen3", False),
        (("a", "qwen-*"), "qwen-max", True),
        (("qwen-*-instruct*",), "qwen-72b-instruct-2507", True),
        (("qwen[12]*",), "qwen1x", False),
        (("qwen[12]*",), "qwen[12]x", True),
        (("qwen?*",), "qwen3", False),
        (("Qwen*",), "qwen3", False),
        ((), "qwen", False),
    ],
)
def test_a_tenant_may_use_what_its_patterns_cover(patterns: tuple[str, ...], name: str, may: bool) -> None:
    """Only the star is special; brackets, question marks and case are taken literally."""
    assert gate.may_use(Tenant("t", "default", models=patterns), name) is may


@pytest.mark.parametrize(
    ("pattern", "name", "star"),
    [
        ("together/*", "together/Qwen/Qwen3", "Qwen/Qwen3"),
        ("*-latest", "qwen-latest", "qwen"),
        ("a*a", "aa", ""),
        ("a*a", "a", None),
        ("together/*", "openrouter/x", None),
        ("plain", "plain", None),
        ("*", "", ""),
    ],
)
def test_a_star_stands_for_what_it_covers(pattern: str, name: str, star: str | None) -> None:
    """The two ends of a pattern never overlap in a name."""
    assert gate.starred(pattern, name) == star


@given(st.text("ab*", max_size=4), st.text("ab", max_size=3), st.text("ab", max_size=4))
def test_putting_the_star_back_gives_the_name(before: str, after: str, name: str) -> None:
    """Whatever a pattern covers can be written with it again."""
    pattern = before.replace("*", "") + "*" + after
    star = gate.starred(pattern, name)
    assert star is None or pattern.replace("*", star) == name


def test_a_model_is_found_by_its_name_before_any_wildcard() -> None:
    """The longest wildcard comes next; a caller cannot name the wildcard itself, nor what it may not use."""
    short, long = model("qwen*", {"b": "x"}), model("qwen-vl*", {"b": "x"})
    config = snapshot(models=[short, QWEN, long])
    assert gate.find_model(config, SHOP, "qwen") is QWEN
    assert gate.find_model(config, SHOP, "qwen-vl-max") is long
    assert gate.find_model(config, SHOP, "qwen-max") is short
    assert gate.find_model(config, SHOP, "qwen*") is short
    assert gate.find_model(config, SHOP, "llama") is None
    assert gate.find_model(config, Tenant("t", "default", models=("llama",)), "qwen") is None


def test_the_star_goes_into_the_backends_own_name() -> None:
    """`together/*` lets callers use a provider's own names without listing them."""
    every = model("together/*", {"t": "*"})
    assert gate.upstream_name(every, every.served_by[0], "together/Qwen/Qwen3") == "Qwen/Qwen3"
    fixed = model("any-*", {"t": "one"})
    assert gate.upstream_name(fixed, fixed.served_by[0], "any-thing") == "one"
    plain = model("qwen", {"t": "odd*name"})
    assert gate.upstream_name(plain, plain.served_by[0], "qwen") == "oddname"


def test_a_tenant_sees_the_models_it_can_reach() -> None:
    """Not what its patterns exclude, nor what only backends serve that its route or its rights leave out."""
    config = snapshot(
        backends=[backend("a"), backend("b"), backend("vpc", provider="vllm")],
        inside=[sovereign("vpc")],
        models=[
            model("one", {"a": "x"}),
            model("two", {"b": "x"}),
            model("three", {"vpc": "x"}),
            model("no", {"c": "x"}),
        ],
        regions={"asia": [["a"]], "default": [["b"]]},
    )
    assert gate.usable_models(config, SHOP) == ["one", "two"]
    assert gate.usable_models(config, Tenant("t", "default", models=("t*",))) == ["two"]
    assert gate.usable_models(config, Tenant("t", "default", backends=frozenset({"a"}))) == ["one"]
    assert gate.usable_models(config, BANK) == ["three"]
    assert gate.usable_models(config, Tenant("b", None, Residency(vpc=True), backends=frozenset({"other"}))) == []


# ---- one backend, one call -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "served", "provider", "reason"),
    [
        ({}, PLAIN, OPENAI, None),
        ({"operation": Operation.COMPLETION}, PLAIN, DASHSCOPE, "dashscope does not offer completion"),
        ({"operation": Operation.COMPLETION}, PLAIN, OPENAI, None),
        (
            {"needs": frozenset(Capability)},
            Served("b", "x", lacks=frozenset({Capability.VISION, Capability.TOOLS})),
            OPENAI,
            "does not do tools, vision",
        ),
        (
            {"needs": frozenset({Capability.TOOLS})},
            Served("b", "x", lacks=frozenset({Capability.VISION})),
            OPENAI,
            None,
        ),
        ({"choices": 2}, PLAIN, OPENROUTER, "gives at most 1 answers to a call, 2 are asked for"),
        ({"choices": 5}, PLAIN, DASHSCOPE, "gives at most 4 answers to a call, 5 are asked for"),
        ({"choices": 4}, PLAIN, DASHSCOPE, None),
        ({"stream": False}, Served("b", "x", streams_only=True), OPENAI, "answers only as a stream"),
        ({"stream": True}, Served("b", "x", streams_only=True), OPENAI, None),
        ({"text": "a" * 9000}, PLAIN, OPENAI, None),
        ({"text": "a" * 900}, Served("b", "x", context=1000), OPENAI, None),
        ({"text": "a" * 5000}, Served("b", "x", context=1000), OPENAI, None),
        (
            {"text": "a" * 9000},
            Served("b", "x", context=1000),
            OPENAI,
            "input too long: about 2250 tokens (estimated), its window is 1000",
        ),
    ],
)
def test_a_backend_is_dropped_with_the_first_reason_that_speaks(
    made: dict[str, Any], served: Served, provider: Any, reason: str | None
) -> None:
    """What a call needs against what this backend's model can; a window only when it is clearly too small."""
    assert gate.allows(call(**made), model("qwen", [served]), served, provider) == reason
