"""Tests of what policy allows."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridproxy.model.call import Capability, Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.residency import Residency
from hybridproxy.model.snapshot import Served, Tenant
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.provider import Provider, Wire
from hybridproxy.routing import gate
from hybridproxy.routing.gate import Manner
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
            "does not do tools, vision (messages[].content[].image_url)",
        ),
        (
            {"needs": frozenset({Capability.TOOLS})},
            Served("b", "x", lacks=frozenset({Capability.VISION})),
            OPENAI,
            None,
        ),
        ({"choices": 2}, PLAIN, OPENROUTER, "gives at most 1 answers to a call, 2 are asked for (n)"),
        ({"choices": 5}, PLAIN, DASHSCOPE, "gives at most 4 answers to a call, 5 are asked for (n)"),
        ({"choices": 4}, PLAIN, DASHSCOPE, None),
        ({"stream": False}, Served("b", "x", streams_only=True), OPENAI, None),
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


@pytest.mark.parametrize(
    ("dialect", "said"),
    [
        (Dialect.ANTHROPIC, "json_schema (output_config.format), tools, vision (messages.*.content.*: image)"),
        (Dialect.RESPONSES, "json_schema (text.format), tools, vision (input[].content[].image_url)"),
        (
            Dialect.DASHSCOPE,
            (
                "json_schema (parameters.response_format), tools (parameters.tools), "
                "vision (input.messages[].content[].image)"
            ),
        ),
    ],
)
def test_what_a_model_lacks_is_named_as_the_caller_wrote_it(dialect: Dialect, said: str) -> None:
    """A picture stands somewhere else in each dialect."""
    asked = replace(call(needs=frozenset(Capability)), dialect=dialect)
    served = Served("b", "x", lacks=frozenset(Capability))
    assert gate.allows(asked, model("qwen", [served]), served, OPENAI) == f"does not do {said}"


def test_a_call_that_would_lose_its_meaning_goes_elsewhere() -> None:
    """The reason names the field, and what would be missing; of other calls than chats nothing is known."""
    groq = PROVIDERS["groq"]
    chat = replace(call(), body={"messages": [{"role": "user", "name": "ann"}]})
    served = Served("b", "x")
    assert gate.allows(chat, model("qwen", [served]), served, groq) == (
        "does not take messages[].name: it would not be told who speaks"
    )
    assert gate.allows(call(), model("qwen", [served]), served, groq) is None
    other = replace(PROVIDERS["openai"], refuses={"logprobs": "x"})
    assert gate.allows(
        replace(call(), operation=Operation.COMPLETION, body={"prompt": "a", "logprobs": 1}),
        model("qwen", [served]), served, other,
    ) is None  # fmt: skip


MESSAGES = {Dialect.ANTHROPIC: Wire({Operation.CHAT: "/messages"})}


@pytest.mark.parametrize(
    ("provider", "plain", "reason"),
    [
        (replace(OPENAI, wires=MESSAGES), False, None),
        (replace(OPENAI, wires=MESSAGES), True, "is not spoken to in anthropic, which alone has container"),
        (OPENAI, False, "is not spoken to in anthropic, which alone has container"),
    ],
)
def test_what_only_the_callers_dialect_can_say_binds_a_call_to_backends_that_speak_it(
    provider: Provider, plain: bool, reason: str | None
) -> None:
    """Pins are said in OpenAI's dialect, so who is pinned is not spoken to in another."""
    bound = replace(call(), dialect=Dialect.ANTHROPIC, bound=("container",))
    assert gate.allows(bound, model("qwen", [PLAIN]), PLAIN, provider, Manner(plain=plain)) == reason


def test_what_an_account_keeps_is_named_only_where_its_tenants_share_it() -> None:
    """An id may be another tenant's: the account knows none of them."""
    chat = replace(call(), kept="file_id")
    reason = "file_id would name what its account keeps, whoever's it is: shares_kept of the backend allows that"
    assert gate.allows(chat, model("qwen", [PLAIN]), PLAIN, OPENAI) == reason
    assert gate.allows(chat, model("qwen", [PLAIN]), PLAIN, OPENAI, Manner(shares=True)) is None


@pytest.mark.parametrize(
    ("provider", "native", "continues", "reason"),
    [
        (OPENAI, None, True, None),
        (OPENAI, None, False, "does not go on from the beginning of an answer (messages)"),
        (replace(OPENAI, wires=MESSAGES), {}, False, None),
        (OPENAI, {}, False, "does not go on from the beginning of an answer (messages)"),
    ],
)
def test_an_answer_that_the_caller_began_goes_to_who_goes_on_with_it(
    provider: Provider, native: Any, continues: bool, reason: str | None
) -> None:
    """By its own continuation, or because the caller's own words reach it; the others would take it for a turn."""
    begun = replace(
        call(), dialect=Dialect.ANTHROPIC if native is not None else Dialect.OPENAI, native=native, begun=True
    )
    assert gate.allows(begun, model("qwen", [PLAIN]), PLAIN, provider, Manner(continues=continues)) == reason


def test_what_only_the_callers_dialect_can_say_is_not_put_together_out_of_a_stream() -> None:
    """A model that only streams can serve it as a stream alone."""
    served, provider = Served("b", "x", streams_only=True), replace(OPENAI, wires=MESSAGES)
    bound = replace(call(stream=False), dialect=Dialect.ANTHROPIC, bound=("container",))
    reason = gate.allows(bound, model("qwen", [served]), served, provider)
    assert reason == "answers only as a stream, out of which container cannot be put together"
    assert gate.allows(replace(bound, stream=True), model("qwen", [served]), served, provider) is None
